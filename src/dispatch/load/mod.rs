//! Reads a `directory.toml` and checks that it holds together, and that it fits the taxonomy.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use serde::Deserialize;
use toml::Spanned;

use super::directory::{Assignment, Department, Directory, LOCAL};
use super::grassroots::GrassrootsCap;
use crate::fault::{self, Checker, Faults, FileError, LabelIndex, closest};
use crate::request::normalize_words;
use crate::taxonomy::Taxonomy;

mod areas;
mod rules;

use super::area::AreaIndex;
use super::rule::{RuleWords, TimeLimits};
use areas::{RawArea, check_tree, read_areas};
use rules::{RawPolicy, RawRule, check_rules, read_policies, read_rules};

#[derive(Deserialize)]
struct RawDirectory {
    version: Spanned<String>,
    city: Spanned<String>,
    departments: Vec<RawDepartment>,
    assignments: Vec<RawAssignment>,
    #[serde(default)]
    rules: Vec<Spanned<RawRule>>,
    #[serde(default)]
    policies: Vec<RawPolicy>,
    #[serde(default)]
    time_limit_hours: RawTimeLimits,
    grassroots: Option<RawGrassroots>,
    areas: Vec<RawArea>,
}

#[derive(Deserialize)]
struct RawDepartment {
    id: Spanned<String>,
    name: Spanned<String>,
    name_en: Spanned<String>,
    #[serde(default)]
    aliases: Vec<Spanned<String>>,
    duties: Spanned<String>,
    parent: Option<Spanned<String>>,
    contact: Option<Spanned<String>>,
}

#[derive(Deserialize)]
struct RawAssignment {
    category: Spanned<String>,
    lead: Spanned<String>,
    #[serde(default)]
    supporting: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
struct RawGrassroots {
    max_share: Spanned<f64>,
    window: Spanned<usize>,
}

/// Most requests that a share is taken over.
const MAX_WINDOW: usize = 1_000_000;
/// Most areas, departments or rules. Each may be compared with each other one: twice as many areas as the largest city
/// has communities still take seconds.
const MAX_ENTRIES: usize = 20_000;

/// Hours by the ids of urgencies, with the place of each.
type RawTimeLimits = BTreeMap<String, Spanned<u32>>;

/// What the entries of a directory may refer to.
struct Known<'a> {
    taxonomy: &'a Taxonomy,
    departments: HashSet<&'a str>,
    areas: HashSet<&'a str>,
}

impl Directory {
    /// Reads the directory in the file at `path`, for the categories of `taxonomy`.
    ///
    /// # Errors
    /// If the file cannot be read or does not hold together; all faults at once.
    pub fn load(path: &Path, taxonomy: &Taxonomy) -> Result<Self, FileError> {
        fault::load(path, |file, text| Self::parse(file, text, taxonomy))
    }

    /// Reads a directory from `text`, for the categories of `taxonomy`; faults name the file `file_name`.
    ///
    /// # Errors
    /// If the text does not hold together: an id is malformed or given twice, a name stands for two departments, an
    /// assignment, a rule or a policy names what does not exist, a category has no lead, a rule can never do what it
    /// says, areas do not form a tree; all faults at once. Errors of syntax or type come first, by themselves.
    pub fn parse(file_name: &str, text: &str, taxonomy: &Taxonomy) -> Result<Self, Faults> {
        let (raw, mut checker) = Checker::read::<RawDirectory>(file_name, text)?;
        let known = Known {
            taxonomy,
            departments: raw.departments.iter().map(|department| department.id.get_ref().as_str()).collect(),
            areas: raw.areas.iter().map(|area| area.id.get_ref().as_str()).collect(),
        };
        let version = checker.text("version", &raw.version);
        let counts =
            [(raw.areas.len(), "areas"), (raw.departments.len(), "departments"), (raw.rules.len(), "rules")];
        if let Some((_, what)) = counts.into_iter().find(|(count, _)| *count > MAX_ENTRIES) {
            let problem = format!("there are more than {MAX_ENTRIES} {what}; is it the right file?");
            return Err(checker.refuse(raw.version.span(), problem));
        }
        let mut labels = LabelIndex::default();
        let read = |department| read_department(&mut checker, &mut labels, department);
        let departments: Vec<_> = raw.departments.iter().map(read).collect();
        check_parents(&mut checker, &raw.departments, &known);
        let assignments = read_assignments(&mut checker, &raw, &known);
        let time_limits = read_time_limits(&mut checker, &raw.time_limit_hours, &known);
        let grassroots = raw.grassroots.as_ref().map(|cap| read_grassroots(&mut checker, cap));
        let areas = read_areas(&mut checker, &raw.areas);
        check_tree(&mut checker, &raw.city, &raw.areas);
        let rules = read_rules(&mut checker, &raw.rules, &known);
        let policies = read_policies(&mut checker, &raw.policies, &known);
        let area_index = match AreaIndex::new(&areas, normalize_words) {
            Ok(index) => index,
            Err(error) => return Err(checker.refuse(raw.city.span(), format!("too many areas: {error}"))),
        };
        let place = |id: &str| areas.iter().position(|area| area.id == id);
        let lies_in = |inner: &str, outer: &str| match (place(inner), place(outer)) {
            (Some(inner), Some(outer)) => area_index.lies_in(inner, outer),
            _ => false,
        };
        check_rules(&mut checker, (&raw.rules, &rules), (&raw.policies, &policies), lies_in);
        let checker = checker.checkpoint()?;
        let words = match RuleWords::new(&rules) {
            Ok(words) => words,
            Err(error) => return Err(checker.refuse(raw.version.span(), format!("too many rules: {error}"))),
        };
        let city = raw.city.into_inner();
        Ok(Self {
            version,
            city,
            departments,
            assignments,
            rules,
            policies,
            time_limits,
            grassroots,
            areas,
            labels,
            words,
            area_index,
        })
    }
}

fn read_department(checker: &mut Checker<'_>, labels: &mut LabelIndex, raw: &RawDepartment) -> Department {
    labels.add(checker, &raw.id, [&raw.name, &raw.name_en].into_iter().chain(&raw.aliases));
    Department {
        id: checker.id(&raw.id),
        name: checker.text("name", &raw.name),
        name_en: checker.text("name_en", &raw.name_en),
        aliases: raw.aliases.iter().map(|alias| checker.text("alias", alias)).collect(),
        duties: checker.text("duties", &raw.duties),
        parent: raw.parent.as_ref().map(|parent| parent.get_ref().clone()),
        contact: raw.contact.as_ref().map(|contact| checker.text("contact", contact)),
    }
}

/// Checks that departments that lie under another form no circle.
fn check_parents(checker: &mut Checker<'_>, departments: &[RawDepartment], known: &Known<'_>) {
    let parents: HashMap<&str, &str> = departments
        .iter()
        .filter_map(|department| {
            Some((department.id.get_ref().as_str(), department.parent.as_ref()?.get_ref().as_str()))
        })
        .collect();
    for department in departments {
        let (id, Some(parent)) = (department.id.get_ref().as_str(), &department.parent) else { continue };
        known.check_department(checker, parent);
        let above = std::iter::successors(Some(parent.get_ref().as_str()), |id| parents.get(id).copied());
        if above.take(departments.len()).any(|above| above == id) {
            let message = format!(
                "department `{id}` is above itself, through `{}`; give one of them another `parent`",
                parent.get_ref()
            );
            checker.fault(parent.span(), message);
        }
    }
}

fn read_assignments(checker: &mut Checker<'_>, raw: &RawDirectory, known: &Known<'_>) -> Vec<Assignment> {
    let mut assigned = HashSet::new();
    for assignment in &raw.assignments {
        let RawAssignment { category, lead, supporting } = assignment;
        let name = category.get_ref().as_str();
        known.check_category(checker, category);
        if !assigned.insert(name) {
            let message = format!("category `{name}` is assigned twice; remove one, it has one lead");
            checker.fault(category.span(), message);
        }
        if lead.get_ref() == LOCAL {
            let message = format!(
                "`{LOCAL}` cannot lead: it is the territorial unit; name a functional department, and let a policy with \
                 `lead = \"territorial\"` give the lead to the unit of the area"
            );
            checker.fault(lead.span(), message);
        }
        known.check_departments(checker, name, std::iter::once(lead).chain(supporting));
    }
    // Where the missing entry would be added.
    let end = raw.assignments.last().map_or(raw.version.span(), |last| last.category.span());
    let categories = &known.taxonomy.categories;
    for category in categories.iter().filter(|category| !assigned.contains(category.id.as_str())) {
        let id = &category.id;
        let message = format!(
            "category `{id}` has no lead; add `[[assignments]]` with `category = \"{id}\"` and its `lead`"
        );
        checker.fault(end.clone(), message);
    }
    let read = |raw: &RawAssignment| Assignment {
        category: raw.category.get_ref().clone(),
        lead: raw.lead.get_ref().clone(),
        supporting: raw.supporting.iter().map(|department| department.get_ref().clone()).collect(),
    };
    raw.assignments.iter().map(read).collect()
}

fn read_time_limits(checker: &mut Checker<'_>, raw: &RawTimeLimits, known: &Known<'_>) -> TimeLimits {
    for (urgency, hours) in raw {
        if !known.taxonomy.urgencies.iter().any(|term| term.id == *urgency) {
            let ids = known.taxonomy.urgencies.iter().map(|term| term.id.as_str());
            checker.fault(hours.span(), format!("unknown urgency `{urgency}`{}", closest(urgency, ids)));
        }
        if *hours.get_ref() == 0 {
            checker.fault(hours.span(), "a time limit of 0 hours cannot be kept; give 1 or more");
        }
    }
    raw.iter().map(|(urgency, hours)| (urgency.clone(), *hours.get_ref())).collect()
}

fn read_grassroots(checker: &mut Checker<'_>, raw: &RawGrassroots) -> GrassrootsCap {
    let (max_share, window) = (*raw.max_share.get_ref(), *raw.window.get_ref());
    if !(0.0..=1.0).contains(&max_share) {
        checker.fault(raw.max_share.span(), format!("max_share {max_share} is no share; give 0 to 1"));
    }
    if !(1..=MAX_WINDOW).contains(&window) {
        let message = format!(
            "window is {window}; give the number of requests that the share is taken over, 1 to {MAX_WINDOW}"
        );
        checker.fault(raw.window.span(), message);
    }
    GrassrootsCap { max_share, window }
}

impl Known<'_> {
    fn check_category(&self, checker: &mut Checker<'_>, category: &Spanned<String>) {
        let id = category.get_ref();
        if self.taxonomy.category(id).is_none() {
            let ids = self.taxonomy.categories.iter().map(|category| category.id.as_str());
            let hint = closest(id, ids);
            let hint =
                if hint.is_empty() { "; name the id of one of the taxonomy's categories" } else { &hint };
            checker.fault(category.span(), format!("unknown category `{id}`{hint}"));
        }
    }

    fn check_department(&self, checker: &mut Checker<'_>, department: &Spanned<String>) {
        let id = department.get_ref().as_str();
        if !self.departments.contains(id) {
            let hint = closest(id, self.departments.iter().copied());
            let hint =
                if hint.is_empty() { "; add it to `[[departments]]` or name one of them" } else { &hint };
            checker.fault(department.span(), format!("unknown department `{id}`{hint}"));
        }
    }

    /// Checks the departments that act together on `what`.
    fn check_departments<'s>(
        &self,
        checker: &mut Checker<'_>,
        what: &str,
        departments: impl Iterator<Item = &'s Spanned<String>>,
    ) {
        let mut named = HashSet::new();
        for department in departments {
            self.check_department(checker, department);
            let id = department.get_ref().as_str();
            if !named.insert(id) {
                let message = format!("department `{id}` is named twice for `{what}`; remove one");
                checker.fault(department.span(), message);
            }
        }
    }

    fn check_area(&self, checker: &mut Checker<'_>, area: &Spanned<String>) {
        let id = area.get_ref().as_str();
        if !self.areas.contains(id) {
            let hint = closest(id, self.areas.iter().copied());
            let hint = if hint.is_empty() { "; name the id of one of `[[areas]]`" } else { &hint };
            checker.fault(area.span(), format!("unknown area `{id}`{hint}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All that is wrong in a directory without departments.
    fn faults(text: &str) -> String {
        let text = format!("version = \"1\"\ncity = \"town\"\ndepartments = []\nassignments = []\n{text}\n");
        Directory::parse("d.toml", &text, &Taxonomy::built_in()).unwrap_err().to_string()
    }

    #[test]
    fn a_pattern_that_would_take_much_memory_is_refused_before_it_does() {
        for pattern in
            ["(a{1000}){1000}", r"\w{5000}", &"(".repeat(100_000), &format!("火{}", "{1,1000}".repeat(20))]
        {
            let told = faults(&format!(
                "areas = []\n[[rules]]\nid = \"fire\"\nwhen = {{ patterns = ['{pattern}'] }}\nthen = {{ whistle = true }}"
            ));
            assert!(told.contains("is no regular expression: "), "{told}");
        }
    }

    #[test]
    fn there_are_no_more_areas_than_any_city_has() {
        let area = |number| format!("{{ id = \"a{number}\", name = \"a\", name_en = \"a\" }}");
        let areas = (0..=MAX_ENTRIES).map(area).collect::<Vec<_>>().join(",");
        let told = faults(&format!("areas = [{areas}]"));
        assert_eq!(told, "d.toml:1: there are more than 20000 areas; is it the right file?");
    }

    #[test]
    fn every_fault_is_told_with_its_line() {
        let taxonomy =
            include_str!("../../taxonomy/taxonomy.toml").split("[[label_systems]]").next().unwrap();
        let taxonomy = Taxonomy::parse("taxonomy.toml", taxonomy).unwrap();
        let text = r#"version = "1"
city = "town"
mayor = "x"

[[departments]]
id = "fire"
name = "消防"
name_en = "Fire"
duties = "灭火"

[[departments]]
id = "Water"
name = "水务"
name_en = "Water"
aliases = ["消防", ""]
duties = "水"

[[assignments]]
category = "housing"
lead = "local"
supporting = ["fire", "fire"]

[[assignments]]
category = "housing"
lead = "fire"

[[assignments]]
category = "weather"
lead = "police"

[[areas]]
id = "town"
name = "城"
name_en = "Town"
parent = "town.east"

[[areas]]
id = "town.east"
name = "东"
name_en = "East"
parent = "town"

[[areas]]
id = "town.east"
name = "东二"
name_en = "East 2"
parent = "town"

[[areas]]
id = "island"
name = "岛"
name_en = "Island"
parent = "sea"
"#;
        let faults = Directory::parse("d.toml", text, &taxonomy).unwrap_err();
        let told = |line: usize, message: &str| {
            let found =
                faults.faults.iter().any(|fault| fault.line == line && fault.message.starts_with(message));
            assert!(found, "line {line}: {message}, in\n{faults}");
        };
        told(2, "city `town` lies in `town.east`");
        told(3, "unknown key `mayor`");
        told(12, "id `Water` is not in lower snake case ASCII, such as `labor_social_security`");
        told(15, "`消防` already stands for `fire`");
        told(15, "alias is empty");
        told(20, "`local` cannot lead: it is the territorial unit; name a functional department");
        told(20, "unknown department `local`");
        told(21, "department `fire` is named twice for `housing`");
        told(24, "category `housing` is assigned twice; remove one");
        told(28, "unknown category `weather`");
        told(28, "category `finance` has no lead; add `[[assignments]]`");
        told(29, "unknown department `police`");
        told(35, "area `town` lies in itself, through `town.east`");
        told(41, "area `town.east` lies in itself, through `town`");
        told(44, "id `town.east` is given twice");
        told(53, "unknown parent `sea` of area `island`");
        // 15 above but for the categories, of which 19 are without a lead, and the second `town.east` in its cycle.
        assert_eq!(faults.faults.len(), 15 + 19 + 1, "{faults}");
    }
}
