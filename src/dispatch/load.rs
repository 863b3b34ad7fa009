//! Reads a `directory.toml` and checks that it holds together, and that it fits the taxonomy.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use serde::Deserialize;
use toml::Spanned;

use super::directory::{Area, Assignment, Department, Directory, LOCAL};
use crate::fault::{Checker, Faults, FileError, LabelIndex};
use crate::taxonomy::Taxonomy;

#[derive(Deserialize)]
struct RawDirectory {
    version: Spanned<String>,
    city: Spanned<String>,
    departments: Vec<RawDepartment>,
    assignments: Vec<RawAssignment>,
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
}

#[derive(Deserialize)]
struct RawAssignment {
    category: Spanned<String>,
    lead: Spanned<String>,
    #[serde(default)]
    supporting: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
struct RawArea {
    id: Spanned<String>,
    name: Spanned<String>,
    name_en: Spanned<String>,
    #[serde(default)]
    aliases: Vec<Spanned<String>>,
    unit: Option<Spanned<String>>,
    parent: Option<Spanned<String>>,
}

impl Directory {
    /// Reads the directory in the file at `path`, for the categories of `taxonomy`.
    ///
    /// # Errors
    /// If the file cannot be read or does not hold together; all faults at once.
    pub fn load(path: &Path, taxonomy: &Taxonomy) -> Result<Self, FileError> {
        let file = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(Self::parse(&file, &text, taxonomy)?),
            Err(source) => Err(FileError::Read { file, source }),
        }
    }

    /// Reads a directory from `text`, for the categories of `taxonomy`; faults name the file `file_name`.
    ///
    /// # Errors
    /// If the text does not hold together: an id is malformed or given twice, a name stands for two departments, an
    /// assignment names what does not exist, a category has no lead, areas do not form a tree; all faults at once.
    /// Errors of syntax or type come first, by themselves.
    pub fn parse(file_name: &str, text: &str, taxonomy: &Taxonomy) -> Result<Self, Faults> {
        let (raw, mut checker) = Checker::read::<RawDirectory>(file_name, text)?;
        let version = checker.text("version", &raw.version);
        let mut labels = LabelIndex::default();
        let read = |department| read_department(&mut checker, &mut labels, department);
        let departments: Vec<_> = raw.departments.iter().map(read).collect();
        let assignments = read_assignments(&mut checker, &raw, taxonomy);
        let areas: Vec<_> = raw.areas.iter().map(|area| read_area(&mut checker, area)).collect();
        check_tree(&mut checker, &raw);
        checker.finish()?;
        Ok(Self { version, city: raw.city.into_inner(), departments, assignments, areas, labels })
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
    }
}

fn read_assignments(checker: &mut Checker<'_>, raw: &RawDirectory, taxonomy: &Taxonomy) -> Vec<Assignment> {
    let known: HashSet<&str> =
        raw.departments.iter().map(|department| department.id.get_ref().as_str()).collect();
    let mut assigned = HashSet::new();
    for assignment in &raw.assignments {
        let RawAssignment { category, lead, supporting } = assignment;
        let name = category.get_ref().as_str();
        if taxonomy.category(name).is_none() {
            checker.fault(category.span(), format!("unknown category `{name}`"));
        }
        if !assigned.insert(name) {
            checker.fault(category.span(), format!("category `{name}` is assigned twice; it has one lead"));
        }
        if lead.get_ref() == LOCAL {
            let message = format!(
                "`{LOCAL}` cannot lead: it is the territorial unit, and a functional one must be named"
            );
            checker.fault(lead.span(), message);
        }
        let mut named = HashSet::new();
        for department in std::iter::once(lead).chain(supporting) {
            let id = department.get_ref().as_str();
            if !known.contains(id) {
                checker.fault(department.span(), format!("unknown department `{id}`"));
            }
            if !named.insert(id) {
                checker.fault(department.span(), format!("department `{id}` is named twice for `{name}`"));
            }
        }
    }
    // Where the missing entry would be added.
    let end = raw.assignments.last().map_or(raw.version.span(), |last| last.category.span());
    for category in taxonomy.categories.iter().filter(|category| !assigned.contains(category.id.as_str())) {
        checker.fault(end.clone(), format!("category `{}` has no lead: no assignment names it", category.id));
    }
    let read = |raw: &RawAssignment| Assignment {
        category: raw.category.get_ref().clone(),
        lead: raw.lead.get_ref().clone(),
        supporting: raw.supporting.iter().map(|department| department.get_ref().clone()).collect(),
    };
    raw.assignments.iter().map(read).collect()
}

fn read_area(checker: &mut Checker<'_>, raw: &RawArea) -> Area {
    Area {
        id: checker.path_id(&raw.id),
        name: checker.text("name", &raw.name),
        name_en: checker.text("name_en", &raw.name_en),
        aliases: raw.aliases.iter().map(|alias| checker.text("alias", alias)).collect(),
        unit: raw.unit.as_ref().map(|unit| checker.text("unit", unit)),
        parent: raw.parent.as_ref().map(|parent| parent.get_ref().clone()),
    }
}

/// Checks that the areas form a tree below the city.
fn check_tree(checker: &mut Checker<'_>, raw: &RawDirectory) {
    let mut ids = LabelIndex::default();
    for area in &raw.areas {
        ids.add(checker, &area.id, []);
    }
    let parents: HashMap<&str, Option<&str>> = raw
        .areas
        .iter()
        .map(|area| {
            (area.id.get_ref().as_str(), area.parent.as_ref().map(|parent| parent.get_ref().as_str()))
        })
        .collect();
    let city = raw.city.get_ref().as_str();
    match parents.get(city) {
        None => checker.fault(raw.city.span(), format!("city `{city}` is no area")),
        Some(Some(parent)) => checker.fault(raw.city.span(), format!("city `{city}` lies in `{parent}`")),
        Some(None) => {}
    }
    for area in &raw.areas {
        let id = area.id.get_ref().as_str();
        let Some(parent) = &area.parent else {
            if id != city {
                checker.fault(
                    area.id.span(),
                    format!("area `{id}` lies nowhere: it has no parent and is not the city"),
                );
            }
            continue;
        };
        if !parents.contains_key(parent.get_ref().as_str()) {
            checker.fault(parent.span(), format!("unknown parent `{}` of area `{id}`", parent.get_ref()));
        }
        let above =
            std::iter::successors(Some(parent.get_ref().as_str()), |id| parents.get(id).copied().flatten());
        // No tree is deeper than it has areas; areas that only lead into a cycle are not themselves at fault.
        if above.take(raw.areas.len()).any(|ancestor| ancestor == id) {
            checker
                .fault(parent.span(), format!("area `{id}` lies in itself, through `{}`", parent.get_ref()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_told_with_its_line() {
        let taxonomy = include_str!("../taxonomy/taxonomy.toml").split("[[label_systems]]").next().unwrap();
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
            let found = faults.faults.iter().any(|fault| fault.line == line && fault.message == message);
            assert!(found, "line {line}: {message}, in\n{faults}");
        };
        told(2, "city `town` lies in `town.east`");
        told(3, "unknown key `mayor`");
        told(12, "id `Water` is not in lower snake case ASCII, such as `labor_social_security`");
        told(15, "`消防` already stands for `fire`");
        told(15, "alias is empty");
        told(20, "`local` cannot lead: it is the territorial unit, and a functional one must be named");
        told(20, "unknown department `local`");
        told(21, "department `fire` is named twice for `housing`");
        told(24, "category `housing` is assigned twice; it has one lead");
        told(28, "unknown category `weather`");
        told(28, "category `finance` has no lead: no assignment names it");
        told(29, "unknown department `police`");
        told(35, "area `town` lies in itself, through `town.east`");
        told(41, "area `town.east` lies in itself, through `town`");
        told(44, "id `town.east` is given twice");
        told(53, "unknown parent `sea` of area `island`");
        // 15 above but for the categories, of which 19 are without a lead, and the second `town.east` in its cycle.
        assert_eq!(faults.faults.len(), 15 + 19 + 1, "{faults}");
    }
}
