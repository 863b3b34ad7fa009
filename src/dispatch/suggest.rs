//! Which departments should act on one request, and why.
//!
//! Every probability here means one thing: how likely the department is the one that leads. The learned head says so
//! where a model has one. Without it, or where it names no functional department of the directory, a department is as
//! likely as the categories that the directory assigns to it as lead:
//!
//! p(department) = Σ_c p(c) · [lead(c) = department].

use serde::Serialize;

use super::directory::{Area, Assignment, Department, Directory, LOCAL};

/// A department at least this likely to lead is listed, if it does not lead, as supporting.
pub const SUPPORTING_PROBABILITY: f32 = 0.05;

/// What is known about one request.
#[derive(Debug, Clone, Copy)]
pub struct DispatchInput<'a> {
    /// Ids of categories with their probabilities, the best first.
    pub categories: &'a [(&'a str, f32)],
    /// Labels of the learned department head with their probabilities, if the model has such a head. Labels that the
    /// directory does not know are left out.
    pub departments: Option<&'a [(&'a str, f32)]>,
    /// Labels of the departments that a learned head names as helping; empty without such a head.
    pub supporting: &'a [&'a str],
    /// The area that the request belongs to, if known.
    pub area: Option<&'a Area>,
    /// How many functional departments to list at most, the lead included; the lead is listed even if this is 0.
    pub top_k: usize,
}

/// The part that a unit plays in one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DepartmentRole {
    /// 主办: the functional department that answers for the request.
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
/// | `learned` | the model has learned that it handles such requests, or helps |
/// | `directory:<category id>` | the directory assigns it to this category |
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
    /// How likely it is the one that leads, 0 to 1. A unit that is listed only because the directory or the area names
    /// it keeps what probability it has, often 0: nobody has estimated that it leads.
    pub probability: f32,
    /// Why it is listed, in the words above.
    pub reason: String,
    /// The clause of the city's catalogue (派单目录) behind the reason; empty where there is none.
    pub clause: String,
}

/// Suggests who should act: one lead, then supporting departments by falling probability, then the territorial unit.
///
/// - The lead is the likeliest functional department. [`LOCAL`], which stands for whatever unit acts for the area, is
///   never the lead: it is listed as territorial with the probability that the head gives it.
/// - Supporting are the other functional departments that reach [`SUPPORTING_PROBABILITY`], those that a learned head
///   names as helping, and those that the directory names as supporting for the best category.
/// - Territorial is the unit of the area, merged with [`LOCAL`]; without an area (or with the whole city as the area),
///   [`LOCAL`] alone, if it reaches [`SUPPORTING_PROBABILITY`].
///
/// Each unit is listed once. Probabilities outside 0 to 1 are brought inside, and NaN counts as 0. The result is empty
/// only if the input names neither a category nor a functional department that the directory knows.
///
/// ```
/// use jiesu::dispatch::{Directory, DispatchInput, suggest};
///
/// let directory = Directory::built_in();
/// let area = directory.area("朝阳");
/// let input = DispatchInput { categories: &[("housing", 0.9)], departments: None, supporting: &[], area, top_k: 2 };
/// let names: Vec<_> = suggest(&directory, &input).into_iter().map(|unit| (unit.name, unit.reason)).collect();
/// assert_eq!(names[0], ("住建局".into(), "directory:housing".into()));
/// assert_eq!(names[2], ("朝阳区人民政府".into(), "area:beijing.chaoyang".into()));
/// ```
pub fn suggest(directory: &Directory, input: &DispatchInput<'_>) -> Vec<DepartmentSuggestion> {
    let mut candidates = learned_candidates(directory, input.departments.unwrap_or_default());
    if !candidates.iter().any(Candidate::is_functional) {
        candidates.extend(assigned_candidates(directory, input.categories));
    }
    for label in input.supporting {
        if let Some(department) = directory.department_by_label(label) {
            let candidate = add_probability(&mut candidates, department, 0.0);
            (candidate.learned, candidate.helps) = (true, true);
        }
    }
    sort_by_probability(&mut candidates);
    let Some(position) = candidates.iter().position(Candidate::is_functional) else { return Vec::new() };
    let mut lead = candidates.remove(position);
    let assignment = input.categories.iter().find_map(|(category, _)| directory.assignment(category));
    if let Some(assignment) = assignment.filter(|assignment| assignment.lead == lead.department.id) {
        lead.category.get_or_insert(&assignment.category);
    }
    let mut others = listed(directory, &lead, candidates, assignment);
    let local =
        others.iter().position(|other| !other.is_functional()).map(|position| others.remove(position));

    let supporting = others.iter().map(|other| other.suggestion(DepartmentRole::Supporting));
    std::iter::once(lead.suggestion(DepartmentRole::Lead))
        .chain(supporting.take(input.top_k.saturating_sub(1)))
        .chain(territorial(input.area, local.as_ref()))
        .collect()
}

/// A department that may be listed.
struct Candidate<'a> {
    department: &'a Department,
    probability: f32,
    /// Whether the learned head is a reason to list it.
    learned: bool,
    /// Whether a learned head names it as helping.
    helps: bool,
    /// The category whose assignment is a reason to list it.
    category: Option<&'a str>,
}

impl Candidate<'_> {
    fn is_functional(&self) -> bool {
        self.department.id != LOCAL
    }

    fn reasons(&self) -> Vec<String> {
        let learned = self.learned.then(|| "learned".to_owned());
        learned.into_iter().chain(self.category.map(|category| format!("directory:{category}"))).collect()
    }

    fn suggestion(&self, role: DepartmentRole) -> DepartmentSuggestion {
        DepartmentSuggestion {
            id: self.department.id.clone(),
            name: self.department.name.clone(),
            name_en: self.department.name_en.clone(),
            role,
            probability: self.probability,
            reason: self.reasons().join("+"),
            clause: String::new(),
        }
    }
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

fn add_probability<'c, 'a>(
    candidates: &'c mut Vec<Candidate<'a>>,
    department: &'a Department,
    probability: f32,
) -> &'c mut Candidate<'a> {
    let position = candidates.iter().position(|candidate| candidate.department.id == department.id);
    let position = position.unwrap_or_else(|| {
        candidates.push(Candidate {
            department,
            probability: 0.0,
            learned: false,
            helps: false,
            category: None,
        });
        candidates.len() - 1
    });
    let candidate = &mut candidates[position];
    let probability = if probability.is_nan() { 0.0 } else { probability.clamp(0.0, 1.0) };
    candidate.probability = (candidate.probability + probability).min(1.0);
    candidate
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
    let Some(assignment) = assignment else { return listed };
    for other in listed.iter_mut().filter(|other| other.department.id == assignment.lead) {
        other.category.get_or_insert(&assignment.category);
    }
    for id in assignment.supporting.iter().filter(|&id| *id != lead.department.id) {
        if let Some(other) = listed.iter_mut().find(|other| other.department.id == *id) {
            other.category.get_or_insert(&assignment.category);
        } else if let Some(department) = directory.department(id) {
            let estimate = unlikely.iter().find(|other| other.department.id == *id);
            let probability = estimate.map_or(0.0, |other| other.probability);
            listed.push(Candidate {
                department,
                probability,
                learned: false,
                helps: false,
                category: Some(&assignment.category),
            });
        }
    }
    sort_by_probability(&mut listed);
    listed
}

/// Sorts by falling probability; equals keep the order of the head or of the directory.
fn sort_by_probability(candidates: &mut [Candidate<'_>]) {
    candidates.sort_by(|a, b| b.probability.total_cmp(&a.probability));
}

/// The unit that acts for the area, merged with [`LOCAL`] if that is listed.
fn territorial(area: Option<&Area>, local: Option<&Candidate<'_>>) -> Option<DepartmentSuggestion> {
    let Some((area, unit)) = area.and_then(|area| Some((area, area.unit.as_ref()?))) else {
        return local.map(|local| local.suggestion(DepartmentRole::Territorial));
    };
    let mut reasons = local.map(Candidate::reasons).unwrap_or_default();
    reasons.push(format!("area:{}", area.id));
    Some(DepartmentSuggestion {
        id: area.id.clone(),
        name: unit.clone(),
        name_en: area.name_en.clone(),
        role: DepartmentRole::Territorial,
        probability: local.map_or(0.0, |local| local.probability),
        reason: reasons.join("+"),
        clause: String::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    type Ranked<'a> = &'a [(&'a str, f32)];

    /// Id, role and reason of each unit, with the probability in percent.
    fn units(
        categories: Ranked<'_>,
        departments: Option<Ranked<'_>>,
        area: &str,
        top_k: usize,
    ) -> Vec<String> {
        let directory = Directory::built_in();
        let area = directory.area(area);
        let input = DispatchInput { categories, departments, supporting: &[], area, top_k };
        suggest(&directory, &input)
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
            area: None,
            top_k: 9,
        };
        let units = suggest(&directory, &input);
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
    fn nothing_known_suggests_nothing() {
        assert!(
            units(&[("weather", 1.0)], Some(&[("unheard_of", 1.0), ("local", 0.5)]), "海淀", 3).is_empty()
        );
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
            let input = DispatchInput { categories: &categories, departments: departments.as_deref(), supporting: &[], area, top_k };
            let units = suggest(&directory, &input);

            let of_role = |role| units.iter().filter(move |unit| unit.role == role);
            prop_assert_eq!(of_role(DepartmentRole::Lead).count(), 1);
            prop_assert!(of_role(DepartmentRole::Supporting).count() < top_k.max(1));
            prop_assert!(of_role(DepartmentRole::Territorial).count() <= 1);
            prop_assert_eq!(units.iter().map(|unit| &unit.id).collect::<HashSet<_>>().len(), units.len());
            prop_assert!(units.is_sorted_by_key(|unit| unit.role), "lead, supporting, territorial");
            let functional = units.iter().filter(|unit| unit.role != DepartmentRole::Territorial);
            let by_probability = functional.is_sorted_by(|a, b| a.probability >= b.probability);
            prop_assert!(by_probability);
            prop_assert!(units.iter().all(|unit| (0.0..=1.0).contains(&unit.probability)));
            prop_assert!(units.iter().all(|unit| !unit.reason.is_empty()));
            prop_assert!(area.and_then(|area| area.unit.as_ref()).is_none_or(|unit| units.iter().any(|u| &u.name == unit)));
        }
    }
}
