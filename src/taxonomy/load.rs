//! Reads a `taxonomy.toml` and checks that it holds together.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use serde::Deserialize;
use toml::Spanned;

use super::{Category, LabelSystem, Taxonomy, Term};
use crate::fault::{self, Checker, Faults, FileError, LabelIndex};
use crate::label::LabelSet;

/// How far the shares of a crosswalk row may be from summing to one; rounding to three decimals stays far below it.
const ROW_SUM_TOLERANCE: f64 = 0.005;

#[derive(Deserialize)]
struct RawTaxonomy {
    version: Spanned<String>,
    categories: Vec<RawCategory>,
    kinds: Vec<RawTerm>,
    urgencies: Vec<RawTerm>,
    risks: Vec<RawTerm>,
    groups: Vec<RawTerm>,
    #[serde(default)]
    label_systems: Vec<RawLabelSystem>,
}

#[derive(Deserialize)]
struct RawCategory {
    id: Spanned<String>,
    name: Spanned<String>,
    name_en: Spanned<String>,
    scope: Spanned<String>,
    scope_en: Spanned<String>,
    examples: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
struct RawTerm {
    id: Spanned<String>,
    name: Spanned<String>,
    name_en: Spanned<String>,
    description: Spanned<String>,
    description_en: Spanned<String>,
}

#[derive(Deserialize)]
struct RawLabelSystem {
    id: Spanned<String>,
    name: Spanned<String>,
    labels: Spanned<Vec<String>>,
    crosswalk: BTreeMap<String, Spanned<BTreeMap<String, Spanned<f64>>>>,
}

impl Taxonomy {
    /// Reads the taxonomy in the file at `path`.
    ///
    /// # Errors
    /// If the file cannot be read or does not hold together; all faults at once.
    pub fn load(path: &Path) -> Result<Self, FileError> {
        fault::load(path, Self::parse)
    }

    /// Reads a taxonomy from `text`; faults name the file `file_name`.
    ///
    /// # Errors
    /// If the text does not hold together: an id is malformed or given twice, a name is empty or stands for two
    /// entries, a key is unknown, or a crosswalk does not fit the categories; all faults at once. Errors of syntax or
    /// type come first, by themselves.
    pub fn parse(file_name: &str, text: &str) -> Result<Self, Faults> {
        let (raw, mut checker) = Checker::read::<RawTaxonomy>(file_name, text)?;
        let version = checker.text("version", &raw.version);
        if raw.categories.is_empty() {
            checker.fault(raw.version.span(), "there is no category");
        }
        let categories: Vec<_> = read_categories(&mut checker, &raw.categories);
        let kinds = read_terms(&mut checker, &raw.kinds);
        let urgencies = read_terms(&mut checker, &raw.urgencies);
        let risks = read_terms(&mut checker, &raw.risks);
        let groups = read_terms(&mut checker, &raw.groups);
        let mut index = LabelIndex::default();
        let mut label_systems = Vec::new();
        for system in &raw.label_systems {
            index.add(&mut checker, &system.id, []);
            label_systems.extend(read_label_system(&mut checker, system, &categories));
        }
        checker.finish()?;
        Ok(Self { version, categories, kinds, urgencies, risks, groups, label_systems })
    }
}

fn read_categories(checker: &mut Checker<'_>, categories: &[RawCategory]) -> Vec<Category> {
    let mut index = LabelIndex::default();
    let read = |raw: &RawCategory| {
        index.add(checker, &raw.id, [&raw.name, &raw.name_en]);
        Category {
            id: checker.id(&raw.id),
            name: checker.text("name", &raw.name),
            name_en: checker.text("name_en", &raw.name_en),
            scope: checker.text("scope", &raw.scope),
            scope_en: checker.text("scope_en", &raw.scope_en),
            examples: raw.examples.iter().map(|example| checker.text("example", example)).collect(),
        }
    };
    categories.iter().map(read).collect()
}

fn read_terms(checker: &mut Checker<'_>, terms: &[RawTerm]) -> Vec<Term> {
    let mut index = LabelIndex::default();
    let read = |raw: &RawTerm| {
        index.add(checker, &raw.id, [&raw.name, &raw.name_en]);
        Term {
            id: checker.id(&raw.id),
            name: checker.text("name", &raw.name),
            name_en: checker.text("name_en", &raw.name_en),
            description: checker.text("description", &raw.description),
            description_en: checker.text("description_en", &raw.description_en),
        }
    };
    terms.iter().map(read).collect()
}

/// Reads a label system; `None`, with a fault noted, if its labels are no set.
fn read_label_system(
    checker: &mut Checker<'_>,
    raw: &RawLabelSystem,
    categories: &[Category],
) -> Option<LabelSystem> {
    let id = checker.id(&raw.id);
    let name = checker.text("name", &raw.name);
    let labels = LabelSet::new(raw.labels.get_ref().iter().cloned())
        .map_err(|error| checker.fault(raw.labels.span(), format!("labels of `{id}`: {error}")))
        .ok();
    if raw.labels.get_ref().iter().any(|label| label.trim().is_empty()) {
        checker.fault(raw.labels.span(), format!("labels of `{id}`: a label is empty"));
    }
    let known: HashSet<&str> = categories.iter().map(|category| category.id.as_str()).collect();
    for (category, row) in &raw.crosswalk {
        if !known.contains(category.as_str()) {
            checker.fault(row.span(), format!("crosswalk of `{id}` names the unknown category `{category}`"));
        }
        check_row(checker, category, row, labels.as_ref());
    }
    for category in categories.iter().filter(|category| !raw.crosswalk.contains_key(&category.id)) {
        checker
            .fault(raw.id.span(), format!("crosswalk of `{id}` has no row for category `{}`", category.id));
    }
    let labels = labels?;
    let rows = raw.crosswalk.iter().map(|(category, row)| {
        let share = |label| row.get_ref().get(label).map_or(0.0, |share| *share.get_ref());
        (category.clone(), labels.iter().map(share).collect())
    });
    let rows: Vec<_> = rows.collect();
    Some(LabelSystem::new(id, name, labels, rows))
}

fn check_row(
    checker: &mut Checker<'_>,
    category: &str,
    row: &Spanned<BTreeMap<String, Spanned<f64>>>,
    labels: Option<&LabelSet>,
) {
    for (label, share) in row.get_ref() {
        if labels.is_some_and(|labels| labels.id(label).is_none()) {
            checker.fault(share.span(), format!("row `{category}` names the unknown label `{label}`"));
        }
        if !(0.0..=1.0).contains(share.get_ref()) {
            let message = format!(
                "row `{category}`: the share {} of `{label}` is not between 0 and 1",
                share.get_ref()
            );
            checker.fault(share.span(), message);
        }
    }
    let sum: f64 = row.get_ref().values().map(|share| *share.get_ref()).sum();
    // Written so that a sum that is no number is a fault, too.
    let sums_to_one = (sum - 1.0).abs() <= ROW_SUM_TOLERANCE;
    if !sums_to_one {
        checker.fault(row.span(), format!("row `{category}` sums to {sum:.3}, not 1"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = r#"version = "1"
kinds = []
urgencies = []
risks = []
groups = []

[[categories]]
id = "housing"
name = "住房"
name_en = "Housing"
scope = "房子"
scope_en = "homes"
examples = ["屋顶漏水"]

[[categories]]
id = "transport"
name = "交通"
name_en = "Transport"
scope = "车"
scope_en = "buses"
examples = []

[[label_systems]]
id = "two"
name = "二分"
labels = ["甲", "乙"]

[label_systems.crosswalk]
housing = { "甲" = 0.9, "乙" = 0.1 }
transport = { "乙" = 1 }
"#;

    fn faults(text: &str) -> Vec<(usize, String)> {
        let faults = Taxonomy::parse("t.toml", text).unwrap_err();
        faults.faults.into_iter().map(|fault| (fault.line, fault.message)).collect()
    }

    #[test]
    fn a_small_taxonomy_is_read() {
        let taxonomy = Taxonomy::parse("t.toml", SMALL).unwrap();
        assert_eq!(taxonomy.categories[1].name, "交通");
        assert_eq!(taxonomy.label_system("two").unwrap().row("transport"), Some(&[0.0, 1.0][..]));
    }

    #[test]
    fn every_fault_is_told_with_its_line() {
        let text = SMALL
            .replace("version = \"1\"", "version = \"\"")
            .replace("groups = []", "groups = []\ncolour = 3")
            .replace("name_en = \"Housing\"", "name_en = \"Transport\"\nweight = 2")
            .replace("id = \"transport\"", "id = \"Trans-port\"")
            .replace("scope = \"车\"", "scope = \" \"")
            .replace("[\"甲\", \"乙\"]", "[\"甲\", \"\"]")
            .replace("\"甲\" = 0.9", "\"甲\" = 0.8");
        let expected = [
            (1, "version is empty; write it"),
            (6, "unknown key `colour`; remove it or correct its spelling"),
            (12, "unknown key `weight`; remove it or correct its spelling"),
            (18, "id `Trans-port` is not in lower snake case ASCII, such as `labor_social_security`"),
            (20, "`Transport` already stands for `housing`; remove it from one of them"),
            (21, "scope is empty; write it"),
            (26, "crosswalk of `two` has no row for category `Trans-port`"),
            (28, "labels of `two`: a label is empty"),
            (31, "row `housing` names the unknown label `乙`"),
            (31, "row `housing` sums to 0.900, not 1"),
            (32, "crosswalk of `two` names the unknown category `transport`"),
            (32, "row `transport` names the unknown label `乙`"),
        ];
        let expected: Vec<_> = expected.map(|(line, message)| (line, message.to_owned())).into();
        assert_eq!(faults(&text), expected);
    }

    #[test]
    fn an_id_given_twice_is_told_where_it_comes_again() {
        let text = SMALL.replace("id = \"transport\"", "id = \"housing\"");
        assert!(
            faults(&text).contains(&(16, "id `housing` is given twice; rename or remove one".to_owned()))
        );
    }

    #[test]
    fn shares_are_numbers_between_0_and_1() {
        for share in ["nan", "inf", "-0.1", "1.1"] {
            let text = SMALL.replace("\"乙\" = 1 ", &format!("\"乙\" = {share} "));
            let faults = faults(&text);
            assert!(
                faults.iter().any(|(line, message)| *line == 30 && message.contains("between 0 and 1")),
                "{faults:?}"
            );
        }
    }

    #[test]
    fn labels_that_are_no_set_are_refused() {
        let text = SMALL.replace("[\"甲\", \"乙\"]", "[\"甲\", \"甲\"]");
        assert_eq!(faults(&text), [(26, "labels of `two`: label `甲` stands at both 0 and 1".to_owned())]);
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = Taxonomy::load(Path::new("/nowhere/taxonomy.toml")).unwrap_err();
        assert!(error.to_string().starts_with("cannot read `/nowhere/taxonomy.toml`: "));
    }
}
