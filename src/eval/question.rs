//! What is asked of whoever answers: a head, its labels by the ids that everybody knows them by, and the label system that
//! its categories are read in, if they are.

use crate::classifier::{DecisionRule, Problem};
use crate::label::{LabelError, LabelSet};
use crate::taxonomy::LabelSystem;
use crate::terms::{CATEGORY_HEAD, Terms, URGENCY_HEAD};

/// A head and the labels that its answers are compared in.
#[derive(Debug)]
pub struct Question {
    /// The head's name.
    pub head: String,
    /// Whether its labels exclude each other.
    pub problem: Problem,
    /// The labels, by id, in the order of an answer's probabilities.
    pub labels: LabelSet,
    names: Vec<LabelName>,
    reading: Option<Reading>,
    /// The quiet label, so that a row of another must not be missed, where there is one.
    pub quiet: Option<usize>,
    /// The label of rows that must not be missed at all.
    pub critical: Option<usize>,
}

/// What people call a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelName {
    /// Its name, most often Chinese; the label itself where it has none.
    pub name: String,
    /// Its English name.
    pub name_en: Option<String>,
}

/// The system that categories are read in, and the category of each label of the head.
#[derive(Debug)]
struct Reading {
    system: LabelSystem,
    categories: Vec<String>,
}

/// Why a question cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum QuestionError {
    /// Two labels of the head are the same.
    #[error("head `{head}`: {source}")]
    Labels {
        /// The head.
        head: String,
        /// What is wrong.
        source: LabelError,
    },
    /// A label system is read from categories alone.
    #[error(
        "label system `{system}` is read from head `{CATEGORY_HEAD}`, one label a text, not from `{head}`"
    )]
    NotCategories {
        /// The label system.
        system: String,
        /// The head.
        head: String,
    },
    /// A category that the taxonomy does not have.
    #[error("label `{label}` of head `{CATEGORY_HEAD}` is no category of the taxonomy")]
    UnknownCategory {
        /// The label.
        label: String,
    },
}

impl Question {
    /// Asks a head whose labels are `labels`. `terms` tells what they stand for, `system` the labels to read them in.
    ///
    /// # Errors
    /// If two labels stand for the same, or the head's labels cannot be read in the system.
    pub fn new<'a>(
        head: &str,
        problem: Problem,
        labels: impl IntoIterator<Item = &'a str>,
        terms: Terms<'_>,
        system: Option<&LabelSystem>,
    ) -> Result<Self, QuestionError> {
        let labels: Vec<&str> = labels.into_iter().collect();
        let set = |ids: Vec<String>| {
            LabelSet::new(ids).map_err(|source| QuestionError::Labels { head: head.to_owned(), source })
        };
        if let Some(system) = system {
            let names = system.labels.iter().map(|label| LabelName { name: label.to_owned(), name_en: None });
            return Ok(Self {
                head: head.to_owned(),
                problem,
                labels: system.labels.clone(),
                names: names.collect(),
                reading: Some(Reading::new(head, problem, &labels, terms, system)?),
                quiet: None,
                critical: None,
            });
        }
        let meaning = |label: &&str| terms.meaning(head, label);
        let ids = labels.iter().map(|label| meaning(label).map_or(*label, |meaning| meaning.id).to_owned());
        let names = labels.iter().map(|label| match meaning(label) {
            Some(meaning) => {
                LabelName { name: meaning.name.to_owned(), name_en: Some(meaning.name_en.to_owned()) }
            }
            None => LabelName { name: (*label).to_owned(), name_en: None },
        });
        let labels = set(ids.collect())?;
        let is_urgency = head == URGENCY_HEAD && problem == Problem::SingleLabelClassification;
        let urgencies = if is_urgency { terms.taxonomy.urgencies.as_slice() } else { &[] };
        Ok(Self {
            head: head.to_owned(),
            problem,
            quiet: urgencies.first().and_then(|urgency| labels.id(&urgency.id)),
            critical: urgencies.last().and_then(|urgency| labels.id(&urgency.id)),
            labels,
            names: names.collect(),
            reading: None,
        })
    }

    /// The label system that answers are read in, if it is not the head's own.
    pub fn system(&self) -> Option<&LabelSystem> {
        self.reading.as_ref().map(|reading| &reading.system)
    }

    /// What people call a label, by its place; nothing for one that is not the question's.
    pub fn name(&self, label: usize) -> Option<&LabelName> {
        self.names.get(label)
    }

    /// A label that stands in a file as one of this question's, if it is one by another name.
    pub fn label_of(&self, label: &str, terms: Terms<'_>) -> Option<String> {
        if self.labels.id(label).is_some() || self.reading.is_some() {
            return None;
        }
        let id = terms.meaning(&self.head, label)?.id;
        self.labels.id(id).map(|_| id.to_owned())
    }

    /// What the head says, in this question's labels.
    pub fn read(&self, probabilities: &[f32], decided: Vec<usize>) -> (Vec<f32>, Vec<usize>) {
        let Some(Reading { system, categories }) = &self.reading else {
            return (probabilities.to_vec(), decided);
        };
        let categories: Vec<(&str, f32)> =
            categories.iter().map(String::as_str).zip(probabilities.iter().copied()).collect();
        // Sums of rounded numbers may be a little above 1.
        let read: Vec<f32> = system.read(&categories).into_iter().map(|p| p.clamp(0.0, 1.0)).collect();
        let decided = DecisionRule::MostProbable.decide(&read);
        (read, decided)
    }
}

impl Reading {
    fn new(
        head: &str,
        problem: Problem,
        labels: &[&str],
        terms: Terms<'_>,
        system: &LabelSystem,
    ) -> Result<Self, QuestionError> {
        if head != CATEGORY_HEAD || problem != Problem::SingleLabelClassification {
            return Err(QuestionError::NotCategories { system: system.id.clone(), head: head.to_owned() });
        }
        let category = |label: &&str| match terms.meaning(CATEGORY_HEAD, label) {
            Some(meaning) => Ok(meaning.id.to_owned()),
            None => Err(QuestionError::UnknownCategory { label: (*label).to_owned() }),
        };
        let categories = labels.iter().map(category).collect::<Result<_, _>>()?;
        Ok(Self { system: system.clone(), categories })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::Directory;
    use crate::taxonomy::Taxonomy;

    fn question(head: &str, labels: &[&str], system: Option<&str>) -> Result<Question, QuestionError> {
        let (taxonomy, directory) = (Taxonomy::built_in(), Directory::built_in());
        let terms = Terms { taxonomy: &taxonomy, directory: Some(&directory) };
        let system = system.map(|id| taxonomy.label_system(id).unwrap());
        let problem = Problem::SingleLabelClassification;
        Question::new(head, problem, labels.iter().copied(), terms, system)
    }

    fn label_of(question: &Question, label: &str) -> Option<String> {
        let (taxonomy, directory) = (Taxonomy::built_in(), Directory::built_in());
        question.label_of(label, Terms { taxonomy: &taxonomy, directory: Some(&directory) })
    }

    #[test]
    fn labels_may_be_ids_or_names_on_either_side() {
        for labels in [["health", "housing"], ["医疗卫生", "住房物业"]] {
            let category = question("category", &labels, None).unwrap();
            assert!(category.labels.iter().eq(["health", "housing"]));
            assert_eq!(category.name(1).unwrap().name, "住房物业");
            assert_eq!(label_of(&category, "住房物业"), Some("housing".into()));
            assert_eq!(label_of(&category, "housing"), None, "already the question's own");
            assert_eq!(label_of(&category, "环境保护"), None, "the head lacks it");
        }
        let own = question("my_own_head", &["housing"], None).unwrap();
        assert_eq!(label_of(&own, "住房物业"), None, "no terms are known for the head");
        assert_eq!(own.name(0).unwrap().name, "housing");
    }

    #[test]
    fn a_label_system_is_read_from_categories() {
        let read = question("category", &["education", "health"], Some("petition7")).unwrap();
        let (probabilities, decided) = read.read(&[0.75, 0.25], vec![1]);
        assert_eq!(probabilities.len(), 7);
        assert_eq!(read.labels.name(decided[0]), "教育文体");
        let error = question("kind", &["help"], Some("petition7")).unwrap_err();
        assert!(error.to_string().contains("not from `kind`"), "{error}");
        let error = question("category", &["LABEL_0", "LABEL_1"], Some("petition7")).unwrap_err();
        assert!(error.to_string().starts_with("label `LABEL_0`"), "{error}");
    }

    #[test]
    fn the_most_pressing_urgency_is_critical() {
        let urgency = question("urgency", &["normal", "urgent", "critical"], None).unwrap();
        assert_eq!((urgency.quiet, urgency.critical), (Some(0), Some(2)));
        assert_eq!(question("kind", &["help", "praise"], None).unwrap().critical, None);
    }
}
