//! What the labels of a model's heads stand for: the one place that ties head names to the taxonomy and the directory.

use crate::dispatch::Directory;
use crate::taxonomy::{Taxonomy, Term};

pub use crate::classifier::PRIMARY_HEAD as CATEGORY_HEAD;

/// Head that says how a request is meant.
pub const KIND_HEAD: &str = "kind";
/// Head that says how pressing it is.
pub const URGENCY_HEAD: &str = "urgency";
/// Multi-label head of risks.
pub const RISKS_HEAD: &str = "risks";
/// Multi-label head of vulnerable groups.
pub const GROUPS_HEAD: &str = "groups";
/// Multi-label head of the departments that help.
pub const SUPPORTING_HEAD: &str = "supporting";
/// Head that says which functional department leads.
pub const DEPARTMENT_HEAD: &str = "department";

/// A taxonomy, and a directory where departments matter.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// Categories, kinds, urgencies, risks and groups.
    pub taxonomy: &'a Taxonomy,
    /// Departments.
    pub directory: Option<&'a Directory>,
}

/// What a label stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meaning<'a> {
    /// Stable id.
    pub id: &'a str,
    /// Chinese name.
    pub name: &'a str,
    /// English name.
    pub name_en: &'a str,
}

impl<'a> Terms<'a> {
    /// What a label of a head, an id or a name, stands for; `None` for unknown labels and for heads of a user's own.
    pub fn meaning(&self, head: &str, label: &str) -> Option<Meaning<'a>> {
        let term = |term: &'a Term| Meaning { id: &term.id, name: &term.name, name_en: &term.name_en };
        match head {
            CATEGORY_HEAD => self.taxonomy.category_by_label(label).map(|category| Meaning {
                id: &category.id,
                name: &category.name,
                name_en: &category.name_en,
            }),
            KIND_HEAD => self.taxonomy.kind_by_label(label).map(term),
            URGENCY_HEAD => self.taxonomy.urgency_by_label(label).map(term),
            RISKS_HEAD => self.taxonomy.risk_by_label(label).map(term),
            GROUPS_HEAD => self.taxonomy.group_by_label(label).map(term),
            DEPARTMENT_HEAD | SUPPORTING_HEAD => {
                self.directory?.department_by_label(label).map(|department| Meaning {
                    id: &department.id,
                    name: &department.name,
                    name_en: &department.name_en,
                })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_an_id_or_a_name_of_its_head() {
        let (taxonomy, directory) = (Taxonomy::built_in(), Directory::built_in());
        let terms = Terms { taxonomy: &taxonomy, directory: Some(&directory) };
        let id = |head, label| terms.meaning(head, label).map(|meaning| meaning.id);
        assert_eq!(id(CATEGORY_HEAD, "住房物业"), Some("housing"));
        assert_eq!(id(KIND_HEAD, "complaint"), Some("complaint"));
        assert_eq!(id(DEPARTMENT_HEAD, "住建"), Some("housing_construction"));
        assert_eq!(id(KIND_HEAD, "housing"), None);
        assert_eq!(id("my_own_head", "housing"), None);
    }
}
