//! The governance taxonomy: categories, kinds, urgencies, risks, groups, and other people's label systems.
//!
//! A taxonomy is data: [`Taxonomy::built_in`] is the one that ships, a deployment may [`load`](Taxonomy::load) its
//! own. It comes out of a loader only if it holds together. Who acts on a category is left to
//! [`dispatch`](crate::dispatch).

mod crosswalk;
mod load;

use std::sync::{Arc, LazyLock};

pub use crosswalk::LabelSystem;

/// What requests can be about and how they can be meant, in one version.
///
/// ```
/// use jiesu::taxonomy::Taxonomy;
///
/// let taxonomy = Taxonomy::built_in();
/// assert_eq!(taxonomy.category("housing").unwrap().name, "住房物业");
/// assert_eq!(taxonomy.category_by_label("住房物业").unwrap().id, "housing");
/// assert_eq!(taxonomy.risk_by_label("wage_arrears").unwrap().name, "欠薪");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Taxonomy {
    /// The version that answers are stamped with.
    pub version: String,
    /// What a request is about (治理类别).
    pub categories: Vec<Category>,
    /// How a request is meant (诉求类型).
    pub kinds: Vec<Term>,
    /// How pressing a request is (紧急程度), from the least to the most.
    pub urgencies: Vec<Term>,
    /// What a request says is at stake (风险).
    pub risks: Vec<Term>,
    /// Who in a request needs care (重点人群).
    pub groups: Vec<Term>,
    /// Other people's labels, tied to the categories.
    pub label_systems: Vec<LabelSystem>,
}

/// One governance category.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Category {
    /// The stable identifier, such as `housing`.
    pub id: String,
    /// The Chinese name.
    pub name: String,
    /// The English name.
    pub name_en: String,
    /// What belongs here, in Chinese.
    pub scope: String,
    /// What belongs here, in English.
    pub scope_en: String,
    /// Invented requests that belong here.
    pub examples: Vec<String>,
}

/// One kind, urgency, risk or group.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Term {
    /// The stable identifier, such as `complaint`.
    pub id: String,
    /// The Chinese name.
    pub name: String,
    /// The English name.
    pub name_en: String,
    /// When it applies, in Chinese.
    pub description: String,
    /// When it applies, in English.
    pub description_en: String,
}

impl Taxonomy {
    /// The taxonomy that ships with the program.
    ///
    /// # Panics
    /// Never: a test reads the file that is built in.
    pub fn built_in() -> Arc<Self> {
        static BUILT_IN: LazyLock<Arc<Taxonomy>> = LazyLock::new(|| {
            let taxonomy = Taxonomy::parse("taxonomy.toml", include_str!("taxonomy.toml"));
            Arc::new(taxonomy.expect("the built-in taxonomy holds together"))
        });
        Arc::clone(&BUILT_IN)
    }

    /// The category with this id.
    pub fn category(&self, id: &str) -> Option<&Category> {
        self.categories.iter().find(|category| category.id == id)
    }

    /// The category that a model's label stands for: its id, Chinese name or English name, in any case.
    pub fn category_by_label(&self, label: &str) -> Option<&Category> {
        self.categories
            .iter()
            .find(|category| matches(label, [&category.id, &category.name, &category.name_en]))
    }

    /// The kind that a model's label stands for.
    pub fn kind_by_label(&self, label: &str) -> Option<&Term> {
        term_by_label(&self.kinds, label)
    }

    /// The urgency that a model's label stands for.
    pub fn urgency_by_label(&self, label: &str) -> Option<&Term> {
        term_by_label(&self.urgencies, label)
    }

    /// The risk that a model's label stands for.
    pub fn risk_by_label(&self, label: &str) -> Option<&Term> {
        term_by_label(&self.risks, label)
    }

    /// The group that a model's label stands for.
    pub fn group_by_label(&self, label: &str) -> Option<&Term> {
        term_by_label(&self.groups, label)
    }

    /// The label system with this id.
    pub fn label_system(&self, id: &str) -> Option<&LabelSystem> {
        self.label_systems.iter().find(|system| system.id == id)
    }
}

fn term_by_label<'a>(terms: &'a [Term], label: &str) -> Option<&'a Term> {
    terms.iter().find(|term| matches(label, [&term.id, &term.name, &term.name_en]))
}

fn matches(label: &str, names: [&String; 3]) -> bool {
    names.into_iter().any(|name| name.trim().eq_ignore_ascii_case(label.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_taxonomy_is_whole() {
        let taxonomy = Taxonomy::built_in();
        assert_eq!(taxonomy.categories.len(), 20);
        assert_eq!(taxonomy.kinds.len(), 7);
        assert_eq!(taxonomy.urgencies.len(), 3);
        assert_eq!(taxonomy.risks.len(), 8);
        assert_eq!(taxonomy.groups.len(), 9);
        assert!(taxonomy.categories.iter().all(|category| (2..=3).contains(&category.examples.len())));
    }

    #[test]
    fn labels_are_found_by_any_of_their_names() {
        let taxonomy = Taxonomy::built_in();
        for label in ["social_risk", " 社会风险\n", "Social Risk", "SOCIAL_RISK"] {
            assert_eq!(taxonomy.category_by_label(label).unwrap().id, "social_risk");
        }
        assert_eq!(taxonomy.kind_by_label("投诉").unwrap().id, "complaint");
        assert_eq!(taxonomy.urgency_by_label("Critical").unwrap().id, "critical");
        assert_eq!(taxonomy.risk_by_label("欠薪").unwrap().id, "wage_arrears");
        assert_eq!(taxonomy.group_by_label("退役军人").unwrap().id, "veteran");
        assert!(taxonomy.category_by_label("LABEL_0").is_none());
        assert!(taxonomy.category("社会风险").is_none(), "an id is an id");
    }
}
