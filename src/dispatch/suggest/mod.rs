//! Which departments should act on one request, and why.
//!
//! Every probability here means one thing: how likely the department is the one that leads. The learned head says so
//! where a model has one. Without it, or where it names no functional department of the directory, a department is as
//! likely as the categories that the directory assigns to it as lead:
//!
//! p(department) = Σ_c p(c) · [lead(c) = department].
//!
//! Of the rules that hold, one speaks for the lead; how it is weighed against the learned head stands in [`weigh`]. Who is
//! listed beside the lead stands in [`list`].

use serde::Serialize;

use super::area::Area;
use super::directory::Directory;
use super::policy::{Leadership, Policy};
use super::rule::Rule;

mod candidate;
mod list;
#[cfg(test)]
mod tests;
mod weigh;

use candidate::Candidates;

/// A department at least this likely to lead is listed, if it does not lead, as supporting.
pub const SUPPORTING_PROBABILITY: f32 = 0.05;
/// So many departments that the model finds this likely to help must be called together. On annotated requests that is
/// right for six of ten.
const WHISTLE_SUPPORTING: usize = 2;
const WHISTLE_PROBABILITY: f32 = 0.4;

/// What is known about one request.
#[derive(Debug, Clone, Copy, Default)]
pub struct DispatchInput<'a> {
    /// Ids of categories with their probabilities, the best first; empty without a model.
    pub categories: &'a [(&'a str, f32)],
    /// Labels of the learned department head with their probabilities, if the model has such a head. Labels that the
    /// directory does not know are left out.
    pub departments: Option<&'a [(&'a str, f32)]>,
    /// Labels of the departments that a learned head names as helping, with how likely each does; empty without such a
    /// head.
    pub supporting: &'a [(&'a str, f32)],
    /// The rules that hold, in the order in which they count.
    pub rules: &'a [&'a Rule],
    /// The policy that applies.
    pub policy: Option<&'a Policy>,
    /// The area that the request belongs to, if known.
    pub area: Option<&'a Area>,
    /// How pressing the request is, if known.
    pub urgency: Option<&'a str>,
    /// How many functional departments to list at most, the lead included; the lead is listed even if this is 0.
    pub top_k: usize,
}

/// The part that a unit plays in one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DepartmentRole {
    /// 主办: the unit that answers for the request.
    Lead,
    /// 协办: a functional department that helps.
    Supporting,
    /// 属地: the unit that acts for the area.
    Territorial,
}

/// One unit that should act.
///
/// Its reason is made of stable words, joined by `+` where several hold:
///
/// | reason | why the unit is listed |
/// |---|---|
/// | `rule:<rule id>` | a rule of the directory names it |
/// | `learned` | the model has learned that it handles such requests, or helps |
/// | `directory:<category id>` | the directory assigns it to this category |
/// | `policy:<policy id>` | a policy gives the lead to it |
/// | `area:<area id>` | it acts for the area of the request |
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DepartmentSuggestion {
    /// The department's id, or the area's where the unit of an area is meant.
    pub id: String,
    /// The unit's Chinese name.
    pub name: String,
    /// The unit's English name.
    pub name_en: String,
    /// Its part in the request.
    pub role: DepartmentRole,
    /// How likely it is the functional department that leads, 0 to 1. A unit that is listed only because the directory or
    /// the area names it keeps what probability it has, often 0: nobody has estimated that it leads.
    pub probability: f32,
    /// Why it is listed, in the words above.
    pub reason: String,
    /// The clause of the city's catalogue (派单目录) behind the reason, its id before its text; empty where there is none.
    pub clause: String,
}

/// Who should act on a request, and how.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Suggestion {
    /// One lead, then supporting departments, those that a rule calls for first and then by falling probability, then the
    /// territorial unit. Empty if nobody is known to fit.
    pub departments: Vec<DepartmentSuggestion>,
    /// Which of the two axes leads.
    pub leadership: Leadership,
    /// Whether several departments must act together (吹哨).
    pub whistle: bool,
    /// How long the lead has, in hours, if the urgency is known and the directory says so.
    pub time_limit_hours: Option<u32>,
    /// Why a person should look at the suggestion.
    pub doubts: Vec<Doubt>,
}

/// Why a person should look at a suggestion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doubt {
    /// A rule names another lead than the model has learned.
    RuleAgainstModel {
        /// The rule's id.
        rule: String,
        /// The id of its lead.
        rule_lead: String,
        /// The id of the department that the model finds likeliest.
        model_lead: String,
    },
    /// No rule holds, and nothing is known of the category: nobody fits.
    NobodyFits,
    /// The unit of the area should lead, but it is not clear where the request is about.
    NoArea {
        /// The policy's id.
        policy: String,
    },
}

/// Suggests who should act: one lead, then supporting departments, those that a rule calls for first and then by falling
/// probability, then the territorial unit.
///
/// - The lead is the department that the first binding rule names, or else the likeliest functional department. [`LOCAL`](super::LOCAL),
///   which stands for whatever unit acts for the area, leads only by policy: the unit of the area, or `LOCAL` where that
///   is unknown, then takes the lead and the functional department supports it.
/// - Supporting are the other functional departments that reach [`SUPPORTING_PROBABILITY`], those that a rule for this lead
///   or a learned head names as helping, those that the directory names as supporting for the best category, and the one
///   that the model finds likeliest, where a rule leads to another.
/// - Territorial is the unit of the area, merged with `LOCAL`; without an area (or with the whole city as the area),
///   `LOCAL` alone, if it reaches [`SUPPORTING_PROBABILITY`] or a rule or a policy asks for it.
///
/// Each unit is listed once. Probabilities outside 0 to 1 are brought inside, and NaN counts as 0. Nobody is suggested to
/// lead only if the input names neither a category nor a functional department that the directory knows, and no rule does.
///
/// ```
/// use jiesu::dispatch::{Directory, DispatchInput, suggest};
///
/// let directory = Directory::built_in();
/// let area = directory.areas_called("朝阳").pop();
/// let input = DispatchInput { categories: &[("housing", 0.9)], area, top_k: 2, ..DispatchInput::default() };
/// let units = suggest(&directory, &input).departments;
/// let names: Vec<_> = units.into_iter().map(|unit| (unit.name, unit.reason)).collect();
/// assert_eq!(names[0], ("住建局".into(), "directory:housing".into()));
/// assert_eq!(names[2], ("朝阳区人民政府".into(), "area:beijing.chaoyang".into()));
/// ```
pub fn suggest(directory: &Directory, input: &DispatchInput<'_>) -> Suggestion {
    let mut candidates = Candidates::new(directory, input);
    let likeliest = candidates.likeliest().map(|likeliest| likeliest.department.id.as_str());
    let speaker = weigh::speaker(directory, input.rules);
    candidates.weigh_against(speaker);
    candidates.add_reasons(directory, input);
    let binding = speaker.filter(|(rule, _)| rule.binds()).map(|(_, department)| department.id.as_str());
    let lead = candidates.take_lead(binding);
    let lead_id = lead.as_ref().map(|lead| lead.department.id.as_str());

    let agrees = |rule: &&Rule| rule.then.lead.is_none() || rule.then.lead.as_deref() == lead_id;
    let agreeing: Vec<&Rule> = input.rules.iter().copied().filter(agrees).collect();
    let helping = candidates.likely_helping();
    candidates.support(directory, lead_id, &agreeing);
    let leadership = input.policy.map_or(Leadership::Functional, |policy| policy.lead);
    Suggestion {
        doubts: doubts(
            likeliest,
            speaker.map(|(rule, department)| (rule, department.id.as_str())),
            lead_id,
            input,
        ),
        departments: list::units(directory, input, lead, candidates, (likeliest, &agreeing)),
        leadership,
        whistle: agreeing.iter().any(|rule| rule.then.whistle) || helping >= WHISTLE_SUPPORTING,
        time_limit_hours: time_limit(directory, &agreeing, input.urgency),
    }
}

fn doubts(
    likeliest: Option<&str>,
    speaker: Option<(&Rule, &str)>,
    lead: Option<&str>,
    input: &DispatchInput<'_>,
) -> Vec<Doubt> {
    let disagreement = likeliest.zip(speaker).filter(|(model_lead, (_, rule_lead))| model_lead != rule_lead);
    let disagreement = disagreement.map(|(model_lead, (rule, rule_lead))| Doubt::RuleAgainstModel {
        rule: rule.id.clone(),
        rule_lead: rule_lead.to_owned(),
        model_lead: model_lead.to_owned(),
    });
    let territorial = input.policy.filter(|policy| policy.lead != Leadership::Functional);
    let no_area = territorial.filter(|_| input.area.is_none_or(|area| area.unit.is_none()));
    let no_area = no_area.map(|policy| Doubt::NoArea { policy: policy.id.clone() });
    let leads = lead.is_some() || territorial.is_some_and(|policy| policy.lead == Leadership::Territorial);
    disagreement.into_iter().chain((!leads).then_some(Doubt::NobodyFits)).chain(no_area).collect()
}

/// The time limit of this urgency: that of the first rule that has one, else the directory's.
fn time_limit(directory: &Directory, rules: &[&Rule], urgency: Option<&str>) -> Option<u32> {
    let mut limits = rules.iter().map(|rule| &rule.then.time_limits).chain([&directory.time_limits]);
    limits.find_map(|limits| limits.get(urgency?)).copied()
}
