//! Which departments should act on one request, and why.
//!
//! Every probability here means one thing: how likely the department is the one that leads. The learned head says so
//! where a model has one. Without it, or where it names no functional department of the directory, a department is as
//! likely as the categories that the directory assigns to it as lead:
//!
//! p(department) = Σ_c p(c) · [lead(c) = department].
//!
//! Of the rules that hold, one speaks for the lead: the first that binds, or else the one of the highest precision q. A
//! binding rule's department leads, and [`DOUBT_OF_BINDING`] is left to the others together. Another rule is one more
//! expert beside the learned head, and the two are pooled as logarithms are (Genest and Zidek 1986, "Combining probability
//! distributions"), the rule's odds counting as far as they are better than chance among n departments:
//!
//! p'(department) ∝ p(department) · exp([`RULE_WEIGHT`] · max(0, logit q − logit 1/n)) for its department,
//! p'(department) ∝ p(department) for the others, with the same sum as before.
//!
//! Without a learned head the rule knows more than the category does:
//!
//! p'(department) = q · [it is the rule's] + (1 − q) · p(department).

use serde::Serialize;

use super::area::Area;
use super::directory::{Assignment, Department, Directory, LOCAL};
use super::policy::{Leadership, Policy};
use super::rule::Rule;

/// A department at least this likely to lead is listed, if it does not lead, as supporting.
pub const SUPPORTING_PROBABILITY: f32 = 0.05;
/// How much a rule's odds count beside what the model has learned, which knows most of the rules' words too. Fitted on a
/// third of the annotated requests, with a model that had learned from the others.
const RULE_WEIGHT: f32 = 0.15;
/// How likely it is that another department leads than the one that a binding rule names.
const DOUBT_OF_BINDING: f32 = 0.02;
/// So many departments that help by what the model has learned must be called together.
const WHISTLE_SUPPORTING: usize = 2;

/// What is known about one request.
#[derive(Debug, Clone, Copy, Default)]
pub struct DispatchInput<'a> {
    /// Ids of categories with their probabilities, the best first; empty without a model.
    pub categories: &'a [(&'a str, f32)],
    /// Labels of the learned department head with their probabilities, if the model has such a head. Labels that the
    /// directory does not know are left out.
    pub departments: Option<&'a [(&'a str, f32)]>,
    /// Labels of the departments that a learned head names as helping; empty without such a head.
    pub supporting: &'a [&'a str],
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
    /// One lead, then supporting departments by falling probability, then the territorial unit. Empty if nobody is known
    /// to fit.
    pub departments: Vec<DepartmentSuggestion>,
    /// Which of the two axes leads.
    pub leadership: Leadership,
    /// Whether several departments must act together (吹哨).
    pub whistle: bool,
    /// How long the lead has, in hours, if the directory says so.
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

/// Suggests who should act: one lead, then supporting departments by falling probability, then the territorial unit.
///
/// - The lead is the department that the first binding rule names, or else the likeliest functional department. [`LOCAL`],
///   which stands for whatever unit acts for the area, leads only by policy: the unit of the area, or [`LOCAL`] where that
///   is unknown, then takes the lead and the functional department supports it.
/// - Supporting are the other functional departments that reach [`SUPPORTING_PROBABILITY`], those that a rule for this lead
///   or a learned head names as helping, and those that the directory names as supporting for the best category.
/// - Territorial is the unit of the area, merged with [`LOCAL`]; without an area (or with the whole city as the area),
///   [`LOCAL`] alone, if it reaches [`SUPPORTING_PROBABILITY`] or a rule or a policy asks for it.
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
    let mut candidates = learned_candidates(directory, input.departments.unwrap_or_default());
    let learned = candidates.iter().any(Candidate::is_functional);
    if !learned {
        candidates.extend(assigned_candidates(directory, input.categories));
    }
    sort_by_probability(&mut candidates);
    let likeliest = candidates.iter().find(|candidate| candidate.is_functional());
    let speaker = speaker(directory, input.rules);
    let mut doubts: Vec<Doubt> = disagreement(likeliest, speaker).into_iter().collect();
    if let Some(speaker) = speaker {
        let chance = 1.0 / directory.departments.len() as f32;
        weigh(&mut candidates, speaker, learned.then_some(chance));
    }
    let binding = speaker.filter(|(rule, _)| rule.binds()).map(|(_, department)| department.id.as_str());
    for rule in input.rules {
        let Some(department) = rule.then.lead.as_deref().and_then(|lead| directory.department(lead)) else {
            continue;
        };
        candidate(&mut candidates, department).rules.push(rule);
    }
    for label in input.supporting {
        if let Some(department) = directory.department_by_label(label) {
            let candidate = candidate(&mut candidates, department);
            (candidate.learned, candidate.helps) = (true, true);
        }
    }
    let helping = candidates.iter().filter(|candidate| candidate.helps).count();
    sort_by_probability(&mut candidates);
    let lead = candidates.iter().position(|candidate| match binding {
        Some(lead) => candidate.department.id == lead,
        None => candidate.is_functional(),
    });
    let Some(mut lead) = lead.map(|position| candidates.remove(position)) else {
        doubts.push(Doubt::NobodyFits);
        let departments = territorial(input, candidates.iter().find(|other| !other.is_functional()), &[]);
        return Suggestion {
            departments: departments.into_iter().collect(),
            doubts,
            ..Suggestion::default()
        };
    };

    let agrees = |rule: &&Rule| rule.then.lead.as_ref().is_none_or(|named| *named == lead.department.id);
    let agreeing: Vec<&Rule> = input.rules.iter().copied().filter(agrees).collect();
    support(directory, &mut candidates, &lead, &agreeing);
    let assignment = input.categories.iter().find_map(|(category, _)| directory.assignment(category));
    if let Some(assignment) = assignment.filter(|assignment| assignment.lead == lead.department.id) {
        lead.category.get_or_insert(&assignment.category);
    }
    let mut others = listed(directory, &lead, candidates, assignment);
    let local =
        others.iter().position(|other| !other.is_functional()).map(|position| others.remove(position));

    let unit =
        territorial(input, local.as_ref().or(asked_for(directory, input, &agreeing).as_ref()), &agreeing);
    let leadership = input.policy.map_or(Leadership::Functional, |policy| policy.lead);
    if let (Some(policy), Leadership::Territorial | Leadership::Both, true) =
        (input.policy, leadership, input.area.is_none_or(|area| area.unit.is_none()))
    {
        doubts.push(Doubt::NoArea { policy: policy.id.clone() });
    }
    Suggestion {
        departments: in_order(&lead, &others, unit, leadership, input.top_k),
        leadership,
        whistle: agreeing.iter().any(|rule| rule.then.whistle) || helping >= WHISTLE_SUPPORTING,
        time_limit_hours: time_limit(directory, &agreeing, input.urgency),
        doubts,
    }
}

/// A department that may be listed.
struct Candidate<'a> {
    department: &'a Department,
    probability: f32,
    /// Whether the learned head is a reason to list it.
    learned: bool,
    /// Whether a rule or a learned head names it as helping.
    helps: bool,
    /// The rules that name it.
    rules: Vec<&'a Rule>,
    /// The category whose assignment is a reason to list it.
    category: Option<&'a str>,
}

impl<'a> Candidate<'a> {
    fn new(department: &'a Department) -> Self {
        Self { department, probability: 0.0, learned: false, helps: false, rules: Vec::new(), category: None }
    }

    fn is_functional(&self) -> bool {
        self.department.id != LOCAL
    }

    fn reasons(&self) -> Vec<String> {
        let rules = self.rules.iter().map(|rule| format!("rule:{}", rule.id));
        let learned = self.learned.then(|| "learned".to_owned());
        rules.chain(learned).chain(self.category.map(|category| format!("directory:{category}"))).collect()
    }

    fn suggestion(&self, role: DepartmentRole) -> DepartmentSuggestion {
        DepartmentSuggestion {
            id: self.department.id.clone(),
            name: self.department.name.clone(),
            name_en: self.department.name_en.clone(),
            role,
            probability: self.probability,
            reason: self.reasons().join("+"),
            clause: clause(&self.rules),
        }
    }
}

/// The first clause of the rules that has one.
fn clause(rules: &[&Rule]) -> String {
    let clause = rules.iter().find_map(|rule| rule.then.clause.as_ref());
    clause.map_or_else(String::new, |clause| format!("{} {}", clause.id, clause.text))
}

/// The departments that the learned head names. Labels that name one department count together.
fn learned_candidates<'a>(directory: &'a Directory, departments: &[(&str, f32)]) -> Vec<Candidate<'a>> {
    let mut candidates = Vec::new();
    for &(label, probability) in departments {
        if let Some(department) = directory.department_by_label(label) {
            add_probability(&mut candidates, department, probability).learned = true;
        }
    }
    candidates
}

/// The departments that lead the categories, each through the first, and so likeliest, category that it leads.
fn assigned_candidates<'a>(directory: &'a Directory, categories: &[(&str, f32)]) -> Vec<Candidate<'a>> {
    let mut candidates = Vec::new();
    for &(category, probability) in categories {
        let Some(assignment) = directory.assignment(category) else { continue };
        if let Some(department) = directory.department(&assignment.lead) {
            add_probability(&mut candidates, department, probability)
                .category
                .get_or_insert(&assignment.category);
        }
    }
    candidates
}

fn candidate<'c, 'a>(
    candidates: &'c mut Vec<Candidate<'a>>,
    department: &'a Department,
) -> &'c mut Candidate<'a> {
    let position = candidates.iter().position(|candidate| candidate.department.id == department.id);
    let position = position.unwrap_or_else(|| {
        candidates.push(Candidate::new(department));
        candidates.len() - 1
    });
    &mut candidates[position]
}

fn add_probability<'c, 'a>(
    candidates: &'c mut Vec<Candidate<'a>>,
    department: &'a Department,
    probability: f32,
) -> &'c mut Candidate<'a> {
    let candidate = candidate(candidates, department);
    let probability = if probability.is_nan() { 0.0 } else { probability.clamp(0.0, 1.0) };
    candidate.probability = (candidate.probability + probability).min(1.0);
    candidate
}

/// The rule that speaks for the lead, and the department that it names: the first that binds, or else the first of the
/// highest precision.
fn speaker<'a>(directory: &'a Directory, rules: &[&'a Rule]) -> Option<(&'a Rule, &'a Department)> {
    let mut naming =
        rules.iter().filter_map(|rule| Some((*rule, directory.department(rule.then.lead.as_deref()?)?)));
    let first = naming.next()?;
    Some(naming.fold(first, |best, other| {
        let better = !best.0.binds() && (other.0.binds() || other.0.then.precision > best.0.then.precision);
        if better { other } else { best }
    }))
}

/// Whether the rule that speaks names another lead than the likeliest.
fn disagreement(likeliest: Option<&Candidate<'_>>, speaker: Option<(&Rule, &Department)>) -> Option<Doubt> {
    let (model_lead, (rule, department)) = (&likeliest?.department.id, speaker?);
    (department.id != *model_lead).then(|| Doubt::RuleAgainstModel {
        rule: rule.id.clone(),
        rule_lead: department.id.clone(),
        model_lead: model_lead.clone(),
    })
}

/// Weighs the candidates' probabilities against what the rule says that speaks for the lead; `chance` is that of a
/// department among all, where the candidates are those of a learned head.
fn weigh<'a>(
    candidates: &mut Vec<Candidate<'a>>,
    (rule, department): (&'a Rule, &'a Department),
    chance: Option<f32>,
) {
    let before: f32 = candidates.iter().map(|candidate| candidate.probability).sum();
    let named = candidate(candidates, department).probability;
    let logit = |p: f32| (p / (1.0 - p)).ln();
    let weighed = match (rule.then.precision, chance) {
        (None, _) => 1.0 - DOUBT_OF_BINDING,
        (Some(precision), Some(chance)) => {
            let odds = named * (RULE_WEIGHT * (logit(precision) - logit(chance)).max(0.0)).exp();
            before.min(1.0) * odds / (odds + before - named).max(f32::MIN_POSITIVE)
        }
        (Some(precision), None) => precision + (1.0 - precision) * named,
    };
    let total = if rule.binds() || chance.is_none() { 1.0 } else { before.min(1.0) };
    let others = candidates.iter_mut().filter(|candidate| candidate.department.id != department.id).collect();
    scale(others, (total - weighed).max(0.0));
    candidate(candidates, department).probability = weighed.min(1.0);
}

/// Makes the candidates' probabilities sum to `total`, unless they are all zero.
fn scale(candidates: Vec<&mut Candidate<'_>>, total: f32) {
    let sum: f32 = candidates.iter().map(|candidate| candidate.probability).sum();
    if sum > 0.0 {
        for candidate in candidates {
            candidate.probability *= total / sum;
        }
    }
}

/// Marks the departments that the rules for this lead name as helping.
fn support<'a>(
    directory: &'a Directory,
    candidates: &mut Vec<Candidate<'a>>,
    lead: &Candidate<'a>,
    rules: &[&'a Rule],
) {
    for rule in rules {
        let named = rule.then.supporting.iter().filter(|&id| *id != lead.department.id);
        for department in named.filter_map(|id| directory.department(id)) {
            let candidate = candidate(candidates, department);
            candidate.helps = true;
            candidate.rules.push(rule);
        }
    }
}

/// Those of the candidates besides the lead that are listed, and the supporting departments of the best category.
fn listed<'a>(
    directory: &'a Directory,
    lead: &Candidate<'a>,
    candidates: Vec<Candidate<'a>>,
    assignment: Option<&'a Assignment>,
) -> Vec<Candidate<'a>> {
    let (mut listed, unlikely): (Vec<_>, Vec<_>) =
        candidates.into_iter().partition(|other| other.helps || other.probability >= SUPPORTING_PROBABILITY);
    if let Some(assignment) = assignment {
        for other in listed.iter_mut().filter(|other| other.department.id == assignment.lead) {
            other.category.get_or_insert(&assignment.category);
        }
        for id in assignment.supporting.iter().filter(|&id| *id != lead.department.id) {
            let Some(department) = directory.department(id) else { continue };
            let known = listed.iter().any(|other| other.department.id == *id);
            let other = candidate(&mut listed, department);
            other.category.get_or_insert(&assignment.category);
            if !known {
                let estimate = unlikely.iter().find(|other| other.department.id == *id);
                other.probability = estimate.map_or(0.0, |estimate| estimate.probability);
            }
        }
    }
    sort_by_probability(&mut listed);
    listed
}

/// Sorts by falling probability; equals keep the order of the head or of the directory.
fn sort_by_probability(candidates: &mut [Candidate<'_>]) {
    candidates.sort_by(|a, b| b.probability.total_cmp(&a.probability));
}

/// [`LOCAL`], if a rule or the policy asks for the unit of the area though nothing else names it.
fn asked_for<'a>(
    directory: &'a Directory,
    input: &DispatchInput<'a>,
    rules: &[&'a Rule],
) -> Option<Candidate<'a>> {
    let by_policy = input.policy.is_some_and(|policy| policy.lead != Leadership::Functional);
    let asked = by_policy || rules.iter().any(|rule| rule.then.territorial);
    asked.then(|| directory.department(LOCAL).map(Candidate::new)).flatten()
}

/// The unit that acts for the area, merged with [`LOCAL`] if that is listed.
fn territorial(
    input: &DispatchInput<'_>,
    local: Option<&Candidate<'_>>,
    rules: &[&Rule],
) -> Option<DepartmentSuggestion> {
    let area = input.area.and_then(|area| Some((area, area.unit.as_ref()?)));
    if area.is_none() && local.is_none() {
        return None;
    }
    let rules: Vec<&Rule> = rules.iter().copied().filter(|rule| rule.then.territorial).collect();
    let policy = input.policy.filter(|policy| policy.lead != Leadership::Functional);
    let mut reasons: Vec<String> = rules.iter().map(|rule| format!("rule:{}", rule.id)).collect();
    reasons.extend(local.map(Candidate::reasons).unwrap_or_default());
    reasons.extend(policy.map(|policy| format!("policy:{}", policy.id)));
    reasons.extend(area.map(|(area, _)| format!("area:{}", area.id)));
    let by_policy = policy.and_then(|policy| policy.clause.as_ref());
    let clause = by_policy.map_or_else(|| clause(&rules), |clause| format!("{} {}", clause.id, clause.text));
    let (id, name, name_en) = match (area, local) {
        (Some((area, unit)), _) => (&area.id, unit, &area.name_en),
        (None, Some(local)) => (&local.department.id, &local.department.name, &local.department.name_en),
        (None, None) => return None,
    };
    Some(DepartmentSuggestion {
        id: id.clone(),
        name: name.clone(),
        name_en: name_en.clone(),
        role: DepartmentRole::Territorial,
        probability: local.map_or(0.0, |local| local.probability),
        reason: reasons.join("+"),
        clause,
    })
}

/// The units in the order in which they are listed.
fn in_order(
    lead: &Candidate<'_>,
    others: &[Candidate<'_>],
    unit: Option<DepartmentSuggestion>,
    leadership: Leadership,
    top_k: usize,
) -> Vec<DepartmentSuggestion> {
    let supporting = others.iter().map(|other| other.suggestion(DepartmentRole::Supporting));
    let supporting = supporting.take(top_k.saturating_sub(1));
    match (unit, leadership) {
        (Some(unit), Leadership::Territorial) => {
            let unit = DepartmentSuggestion { role: DepartmentRole::Lead, ..unit };
            [unit, lead.suggestion(DepartmentRole::Supporting)].into_iter().chain(supporting).collect()
        }
        (unit, _) => {
            std::iter::once(lead.suggestion(DepartmentRole::Lead)).chain(supporting).chain(unit).collect()
        }
    }
}

/// The time limit of this urgency: that of the first rule that has one, else the directory's.
fn time_limit(directory: &Directory, rules: &[&Rule], urgency: Option<&str>) -> Option<u32> {
    let mut limits = rules.iter().map(|rule| &rule.then.time_limits).chain([&directory.time_limits]);
    limits.find_map(|limits| limits.get(urgency?)).copied()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::super::rule::{Action, Clause, Conditions, TimeLimits};
    use super::*;

    type Ranked<'a> = &'a [(&'a str, f32)];

    /// Id, role and reason of each unit, with the probability in percent.
    fn units(
        categories: Ranked<'_>,
        departments: Option<Ranked<'_>>,
        area: &str,
        top_k: usize,
    ) -> Vec<String> {
        let directory = Directory::built_in();
        let area = directory.areas_called(area).pop();
        let input = DispatchInput { categories, departments, area, top_k, ..DispatchInput::default() };
        suggest(&directory, &input)
            .departments
            .iter()
            .map(|unit| {
                format!("{:?} {} {:.0} {}", unit.role, unit.id, 100.0 * unit.probability, unit.reason)
            })
            .collect()
    }

    #[test]
    fn departments_that_a_learned_head_names_as_helping_are_listed() {
        let directory = Directory::built_in();
        let departments = [("ecology", 0.9), ("justice", 0.01)];
        let input = DispatchInput {
            categories: &[("environment", 0.9)],
            departments: Some(&departments),
            supporting: &["justice", "ecology", "nobody"],
            top_k: 9,
            ..DispatchInput::default()
        };
        let units = suggest(&directory, &input).departments;
        let justice = units.iter().find(|unit| unit.id == "justice").unwrap();
        assert_eq!((justice.role, justice.reason.as_str()), (DepartmentRole::Supporting, "learned"));
        assert!((justice.probability - 0.01).abs() < 1e-6, "helping says nothing about leading");
        assert_eq!(units[0].id, "ecology");
        assert_eq!(units.iter().filter(|unit| unit.id == "ecology").count(), 1);
    }

    #[test]
    fn without_a_head_the_categories_weigh_their_leads() {
        let categories = [("housing", 0.4), ("finance", 0.3), ("urban_construction", 0.25), ("health", 0.01)];
        let expected = [
            "Lead housing_construction 65 directory:housing",
            "Supporting financial_regulation 30 directory:finance",
            "Supporting natural_resources 0 directory:housing",
            "Supporting market_regulation 0 directory:housing",
        ];
        assert_eq!(units(&categories, None, "", 10), expected);
    }

    #[test]
    fn two_lesser_categories_outweigh_the_best() {
        let categories = [("public_safety", 0.4), ("housing", 0.35), ("urban_construction", 0.25)];
        let units = units(&categories, None, "", 2);
        assert_eq!(
            units,
            [
                "Lead housing_construction 60 directory:housing",
                "Supporting emergency 40 directory:public_safety"
            ]
        );
    }

    #[test]
    fn the_head_leads_and_the_directory_adds() {
        let departments = [
            ("住建", 0.7),
            ("market_regulation", 0.2),
            ("fire", 0.06),
            ("natural_resources", 0.02),
            ("tax", 0.01),
        ];
        let expected = [
            "Lead housing_construction 70 learned+directory:housing",
            "Supporting market_regulation 20 learned+directory:housing",
            "Supporting fire 6 learned",
            "Supporting natural_resources 2 directory:housing",
            "Territorial beijing.haidian 0 area:beijing.haidian",
        ];
        assert_eq!(units(&[("housing", 0.9)], Some(&departments), "海淀区", 5), expected);
        assert_eq!(units(&[("housing", 0.9)], Some(&departments), "", 2), expected[..2]);
        assert_eq!(units(&[("housing", 0.9)], Some(&departments), "", 0), expected[..1]);
    }

    #[test]
    fn a_head_that_disagrees_with_the_directory_prevails_and_shows_it() {
        let departments = [("fire", 0.6), ("housing_construction", 0.4)];
        let expected =
            ["Lead fire 60 learned", "Supporting housing_construction 40 learned+directory:housing"];
        assert_eq!(units(&[("housing", 0.9)], Some(&departments), "", 2), expected);
    }

    #[test]
    fn local_is_territorial_and_becomes_the_unit_of_the_area() {
        let departments = [("local", 0.7), ("civil_affairs", 0.3)];
        let functional = "Lead civil_affairs 30 learned";
        let unit = "Territorial beijing.miyun 70 learned+area:beijing.miyun";
        assert_eq!(units(&[], Some(&departments), "密云", 3), [functional, unit]);
        assert_eq!(units(&[], Some(&departments), "", 3), [functional, "Territorial local 70 learned"]);
        assert_eq!(units(&[], Some(&departments), "北京市", 3), [functional, "Territorial local 70 learned"]);
    }

    #[test]
    fn a_head_without_a_functional_department_leaves_the_lead_to_the_categories() {
        let departments = [("unheard_of", 0.6), ("local", 0.4)];
        let expected = ["Lead education 90 directory:education", "Territorial local 40 learned"];
        assert_eq!(units(&[("education", 0.9)], Some(&departments), "", 1), expected);
    }

    #[test]
    fn where_nobody_fits_only_the_unit_of_the_area_is_left() {
        let departments = [("unheard_of", 1.0), ("local", 0.5)];
        let unit = "Territorial beijing.haidian 50 learned+area:beijing.haidian";
        assert_eq!(units(&[("weather", 1.0)], Some(&departments), "海淀", 3), [unit]);
        let directory = Directory::built_in();
        assert_eq!(suggest(&directory, &DispatchInput::default()).doubts, [Doubt::NobodyFits]);
    }

    /// A rule that holds for every request.
    fn rule(id: &str, lead: Option<&str>, precision: Option<f32>) -> Rule {
        let lead = lead.map(str::to_owned);
        let then = Action { lead, precision, ..Action::default() };
        Rule { id: id.to_owned(), line: 1, when: Conditions::default(), then }
    }

    /// What is suggested on a request for which these rules hold, if the model finds the fire brigade likeliest.
    fn with_rules(rules: &[&Rule], policy: Option<&Policy>) -> Suggestion {
        let directory = Directory::built_in();
        let area = directory.areas_called("海淀区").pop();
        let departments = [("fire", 0.5), ("housing_construction", 0.3), ("local", 0.2)];
        let input = DispatchInput {
            categories: &[("public_safety", 0.9)],
            departments: Some(&departments),
            rules,
            policy,
            area,
            urgency: Some("urgent"),
            top_k: 4,
            ..DispatchInput::default()
        };
        suggest(&directory, &input)
    }

    #[test]
    fn a_binding_rule_leads_and_the_disagreement_is_told() {
        let gas = rule("gas", Some("gas_company"), None);
        let suggestion = with_rules(&[&gas], None);
        let lead = &suggestion.departments[0];
        assert_eq!((lead.id.as_str(), lead.reason.as_str()), ("gas_company", "rule:gas"));
        assert!((lead.probability - 0.98).abs() < 1e-6);
        let disagreement = Doubt::RuleAgainstModel {
            rule: "gas".to_owned(),
            rule_lead: "gas_company".to_owned(),
            model_lead: "fire".to_owned(),
        };
        assert_eq!(suggestion.doubts, [disagreement]);
        let fire = rule("hydrant", Some("fire"), None);
        let agreed = with_rules(&[&fire], None);
        assert_eq!((agreed.departments[0].reason.as_str(), agreed.doubts), ("rule:hydrant+learned", vec![]));
        assert_eq!(with_rules(&[&fire, &gas], None).departments[0].id, "fire", "the first that binds");
    }

    #[test]
    fn a_rule_of_known_precision_is_weighed_against_the_model() {
        let lead = |precision| {
            let rule = rule("property", Some("housing_construction"), Some(precision));
            with_rules(&[&rule], None).departments[0].id.clone()
        };
        assert_eq!(lead(0.3), "fire");
        assert_eq!(lead(0.9), "housing_construction");
        let sum = |rules: &[&Rule]| -> f32 {
            with_rules(rules, None).departments.iter().map(|unit| unit.probability).sum()
        };
        let property = rule("property", Some("housing_construction"), Some(0.9));
        assert!((sum(&[&property]) - sum(&[])).abs() < 1e-6, "the mass stays");
        // 0.3·exp(0.15·(ln 9 + ln 43)) = 0.3·2.444 = 0.733; 0.733 / (0.733 + 0.7) = 0.512
        let weighed = with_rules(&[&property], None).departments[0].probability;
        assert!((weighed - 0.512).abs() < 1e-3, "{weighed}");
    }

    #[test]
    fn the_rule_of_the_highest_precision_speaks_unless_one_binds() {
        let rules = [
            rule("a", Some("fire"), Some(0.6)),
            rule("b", Some("gas_company"), Some(0.7)),
            rule("c", Some("emergency"), None),
        ];
        let doubts = |rules: &[&Rule]| with_rules(rules, None).doubts;
        let against = |rule: &str, rule_lead: &str| Doubt::RuleAgainstModel {
            rule: rule.to_owned(),
            rule_lead: rule_lead.to_owned(),
            model_lead: "fire".to_owned(),
        };
        assert_eq!(doubts(&[&rules[0]]), []);
        assert_eq!(doubts(&[&rules[0], &rules[1]]), [against("b", "gas_company")]);
        assert_eq!(doubts(&[&rules[1], &rules[2]]), [against("c", "emergency")]);
    }

    #[test]
    fn rules_alone_are_as_likely_as_they_have_been_right() {
        let directory = Directory::built_in();
        let gas = rule("gas", Some("gas_company"), Some(0.8));
        let input = DispatchInput { rules: &[&gas], top_k: 3, ..DispatchInput::default() };
        let suggestion = suggest(&directory, &input);
        assert!((suggestion.departments[0].probability - 0.8).abs() < 1e-6);
        assert_eq!(suggestion.doubts, []);
        let category = [("public_safety", 1.0)];
        let input = DispatchInput { categories: &category, rules: &[&gas], top_k: 9, ..input };
        let units = suggest(&directory, &input).departments;
        let probability = |id: &str| units.iter().find(|unit| unit.id == id).unwrap().probability;
        assert!((probability("gas_company") - 0.8).abs() < 1e-6);
        assert!((probability("emergency") - 0.2).abs() < 1e-6, "the category's lead has the rest");
    }

    #[test]
    fn a_rule_calls_supporting_departments_together_and_sets_the_time() {
        let mut gas = rule("gas", Some("gas_company"), None);
        gas.then.supporting = vec!["fire".into(), "emergency".into()];
        gas.then.time_limits = TimeLimits::from([("urgent".to_owned(), 2)]);
        gas.then.clause = Some(Clause { id: "7.1".into(), text: "燃气泄漏".into() });
        gas.then.whistle = true;
        let suggestion = with_rules(&[&gas], None);
        assert!(suggestion.whistle);
        assert_eq!(suggestion.time_limit_hours, Some(2));
        assert_eq!(suggestion.departments[0].clause, "7.1 燃气泄漏");
        let fire = suggestion.departments.iter().find(|unit| unit.id == "fire").unwrap();
        assert_eq!(
            (fire.role, fire.reason.as_str()),
            (DepartmentRole::Supporting, "rule:gas+learned+directory:public_safety")
        );
        assert!(suggestion.departments.iter().any(|unit| unit.id == "emergency"));
        assert!(!with_rules(&[], None).whistle);
        let other = rule("other", Some("fire"), None);
        let suggestion = with_rules(&[&other, &gas], None);
        assert!(!suggestion.whistle, "a rule for another lead adds nothing");
        let all = rule("all", None, None);
        let all = Rule { then: Action { whistle: true, ..all.then.clone() }, ..all };
        assert!(with_rules(&[&all], None).whistle);
    }

    fn policy(lead: Leadership) -> Policy {
        let clause = Some(Clause { id: "1".into(), text: "属地管理".into() });
        Policy { id: "streets".to_owned(), categories: vec![], area: None, lead, clause }
    }

    #[test]
    fn a_policy_gives_the_lead_to_the_unit_of_the_area() {
        let suggestion = with_rules(&[], Some(&policy(Leadership::Territorial)));
        let units: Vec<_> = suggestion
            .departments
            .iter()
            .map(|unit| (unit.role, unit.id.as_str(), unit.reason.as_str(), unit.clause.as_str()))
            .collect();
        let reason = "learned+policy:streets+area:beijing.haidian";
        assert_eq!(units[0], (DepartmentRole::Lead, "beijing.haidian", reason, "1 属地管理"));
        assert_eq!(units[1], (DepartmentRole::Supporting, "fire", "learned", ""));
        assert_eq!(suggestion.doubts, []);
        let both = with_rules(&[], Some(&policy(Leadership::Both)));
        let roles: Vec<_> = both.departments.iter().map(|unit| unit.role).collect();
        assert_eq!((roles[0], roles[roles.len() - 1]), (DepartmentRole::Lead, DepartmentRole::Territorial));
        assert_eq!(both.leadership, Leadership::Both);
    }

    #[test]
    fn a_territorial_lead_without_an_area_is_for_a_person_to_place() {
        let directory = Directory::built_in();
        let policy = policy(Leadership::Territorial);
        let input = DispatchInput {
            categories: &[("urban_management", 0.9)],
            policy: Some(&policy),
            ..DispatchInput::default()
        };
        let suggestion = suggest(&directory, &input);
        assert_eq!(suggestion.departments[0].id, LOCAL);
        assert_eq!(suggestion.doubts, [Doubt::NoArea { policy: "streets".to_owned() }]);
    }

    #[test]
    fn roles_are_written_in_snake_case() {
        assert_eq!(serde_json::to_string(&DepartmentRole::Territorial).unwrap(), "\"territorial\"");
    }

    fn probability() -> impl Strategy<Value = f32> {
        prop_oneof![8 => 0.0_f32..=1.0, 1 => any::<f32>()]
    }

    proptest! {
        #[test]
        fn a_suggestion_is_well_formed(
            categories in prop::collection::vec((0_usize..22, probability()), 1..22),
            departments in prop::option::of(prop::collection::vec((0_usize..46, probability()), 0..46)),
            area in 0_usize..18,
            rules in prop::collection::vec((0_usize..44, prop::option::of(0.01_f32..0.99)), 0..4),
            lead in prop::sample::select(vec![Leadership::Functional, Leadership::Territorial, Leadership::Both]),
            top_k in 0_usize..10,
        ) {
            let directory = Directory::built_in();
            // One past the end stands for a name that the directory does not know.
            let category = |position: usize| directory.assignments.get(position).map_or("?", |a| a.category.as_str());
            let department = |position: usize| directory.departments.get(position).map_or("?", |d| d.id.as_str());
            let mut categories: Vec<_> = categories.into_iter().map(|(c, p)| (category(c), p)).collect();
            categories.push(("other", 0.0));
            let departments: Option<Vec<_>> = departments
                .map(|departments| departments.into_iter().map(|(d, p)| (department(d), p)).collect());
            let area = directory.areas.get(area);
            let named: Vec<Rule> = rules.iter().map(|&(lead, precision)| {
                rule("r", Some(department(lead)).filter(|&lead| lead != LOCAL), precision)
            }).collect();
            let rules: Vec<&Rule> = named.iter().collect();
            let policy = policy(lead);
            let input = DispatchInput {
                categories: &categories,
                departments: departments.as_deref(),
                rules: &rules,
                policy: Some(&policy),
                area,
                top_k,
                ..DispatchInput::default()
            };
            let units = suggest(&directory, &input).departments;

            let of_role = |role| units.iter().filter(move |unit| unit.role == role);
            prop_assert_eq!(of_role(DepartmentRole::Lead).count(), 1);
            let supporting = top_k.max(1) - usize::from(lead != Leadership::Territorial);
            prop_assert!(of_role(DepartmentRole::Supporting).count() <= supporting);
            prop_assert!(of_role(DepartmentRole::Territorial).count() <= 1);
            prop_assert_eq!(units.iter().map(|unit| &unit.id).collect::<HashSet<_>>().len(), units.len());
            prop_assert!(units.is_sorted_by_key(|unit| unit.role), "lead, supporting, territorial");
            let functional = units.iter().filter(|unit| directory.department(&unit.id).is_some_and(|d| d.id != LOCAL));
            let by_probability = functional.is_sorted_by(|a, b| a.probability >= b.probability);
            prop_assert!(by_probability);
            prop_assert!(units.iter().all(|unit| (0.0..=1.0).contains(&unit.probability)));
            prop_assert!(units.iter().all(|unit| !unit.reason.is_empty()));
            prop_assert!(area.and_then(|area| area.unit.as_ref()).is_none_or(|unit| units.iter().any(|u| &u.name == unit)));
        }
    }
}
