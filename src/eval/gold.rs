//! The labels of rows as numbers: those of the question, then those that it does not have.

use std::collections::{BTreeSet, HashMap};

use super::question::Question;
use super::report::UnknownLabel;
use super::rows::{GoldLabels, LabelledRows};
use crate::message::{shortened, some};

/// Rows with more labels than this for each one that the head has are not meant for the head. Two label sets often share
/// a word such as `other`, so that a wrong column may well hold a known label here and there.
const MOST_LABELS_A_KNOWN_ONE: u64 = 10;
/// Rows with more labels than this that the head does not have hold texts rather than labels.
const MOST_UNKNOWN_LABELS: usize = 200;

/// The labels of all rows, by number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gold {
    /// The labels of each row, ascending.
    pub rows: Vec<Vec<usize>>,
    /// The labels that the question does not have, in the order of their numbers.
    pub unknown: Vec<UnknownLabel>,
}

/// Hardly any of the labels is one of the question's, or too many are not: most likely the wrong column, or the wrong head.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "only {known} of the {labels} labels in the rows are known: the rows have {}; the known ones are {}\n\
     hint: check `--label-column`, `--head` and `--label-system`",
    some(found),
    some(expected)
)]
pub struct UnknownLabels {
    /// How many labels of the rows the question has.
    pub known: u64,
    /// How many labels the rows have in all.
    pub labels: u64,
    /// The labels that the question does not have, the most frequent first.
    pub found: Vec<String>,
    /// The labels of the question.
    pub expected: Vec<String>,
}

impl Gold {
    /// Numbers the labels of rows.
    ///
    /// # Errors
    /// If the question has less than a tenth of them, or more than 200 different ones are not its own.
    pub fn new(rows: &LabelledRows, question: &Question) -> Result<Self, UnknownLabels> {
        let mut numbers = Numbers { question, unknown: Vec::new(), places: HashMap::new(), known: 0 };
        let gold: Vec<Vec<usize>> = match rows.gold() {
            GoldLabels::One(labels) => labels.iter().map(|label| vec![numbers.of(label)]).collect(),
            GoldLabels::Many(sets) => sets.iter().map(|set| numbers.of_set(set)).collect(),
        };
        let gold = Self { rows: gold, unknown: numbers.unknown };
        let labels = numbers.known + gold.unknown.iter().map(|unknown| unknown.rows).sum::<u64>();
        let is_meant = gold.unknown.len() <= MOST_UNKNOWN_LABELS;
        if is_meant && numbers.known * MOST_LABELS_A_KNOWN_ONE >= labels {
            return Ok(gold);
        }
        Err(UnknownLabels {
            known: numbers.known,
            labels,
            found: gold.most_frequent_unknown().into_iter().map(|unknown| unknown.label).collect(),
            expected: question.labels.iter().map(str::to_owned).collect(),
        })
    }

    /// The labels that the question does not have, the most frequent first.
    pub fn most_frequent_unknown(&self) -> Vec<UnknownLabel> {
        let mut unknown = self.unknown.clone();
        unknown.sort_by_key(|unknown| std::cmp::Reverse(unknown.rows));
        unknown
    }
}

struct Numbers<'a> {
    question: &'a Question,
    unknown: Vec<UnknownLabel>,
    places: HashMap<&'a str, usize>,
    known: u64,
}

impl<'a> Numbers<'a> {
    fn of(&mut self, label: &'a str) -> usize {
        if let Some(number) = self.question.labels.id(label) {
            self.known += 1;
            return number;
        }
        let place = *self.places.entry(label).or_insert_with(|| {
            self.unknown.push(UnknownLabel { label: shortened(label), rows: 0 });
            self.unknown.len() - 1
        });
        self.unknown[place].rows += 1;
        self.question.labels.len() + place
    }

    fn of_set(&mut self, set: &'a [String]) -> Vec<usize> {
        // A label that stands twice counts once.
        let labels: BTreeSet<&String> = set.iter().collect();
        let mut numbers: Vec<usize> = labels.into_iter().map(|label| self.of(label)).collect();
        numbers.sort_unstable();
        numbers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classifier::Problem;
    use crate::eval::rows::Columns;
    use crate::taxonomy::Taxonomy;
    use crate::terms::Terms;

    fn gold(problem: Problem, known: [&str; 2], labels: &[&str]) -> Result<Gold, UnknownLabels> {
        let lines = labels.iter().map(|label| format!("{{\"text\":\"一\",\"label\":{label}}}\n"));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.jsonl");
        std::fs::write(&path, lines.collect::<String>()).unwrap();
        let columns = Columns { text: "text".into(), label: "label".into(), ..Columns::default() };
        let rows = LabelledRows::read(&[path], &columns, problem).unwrap();
        let taxonomy = Taxonomy::built_in();
        let terms = Terms { taxonomy: &taxonomy, directory: None };
        Gold::new(&rows, &Question::new("h", problem, known, terms, None).unwrap())
    }

    fn single(labels: &[&str]) -> Result<Gold, UnknownLabels> {
        let quoted: Vec<String> = labels.iter().map(|label| format!("{label:?}")).collect();
        let quoted: Vec<&str> = quoted.iter().map(String::as_str).collect();
        gold(Problem::SingleLabelClassification, ["a", "other"], &quoted)
    }

    #[test]
    fn labels_that_the_head_lacks_have_numbers_behind_its_own() {
        let gold = single(&["a", "x", "y", "y"]).unwrap();
        assert_eq!(gold.rows, [[0], [2], [3], [3]]);
        let unknown = gold.most_frequent_unknown();
        assert_eq!(unknown[0], UnknownLabel { label: "y".into(), rows: 2 });
        assert_eq!(unknown[1], UnknownLabel { label: "x".into(), rows: 1 });
    }

    #[test]
    fn a_list_is_a_set() {
        let many = Problem::MultiLabelClassification;
        let gold = gold(many, ["a", "b"], &["[\"b\", \"a\", \"b\"]", "[]"]).unwrap();
        assert_eq!(gold.rows, [vec![0, 1], vec![]]);
    }

    #[test]
    fn rows_with_hardly_a_known_label_are_refused() {
        assert_eq!(
            single(&["x", "y", "y"]).unwrap_err().to_string(),
            "only 0 of the 3 labels in the rows are known: the rows have `y`, `x`; the known ones are `a`, `other`\n\
             hint: check `--label-column`, `--head` and `--label-system`"
        );
        let mut one_in_ten = vec!["x"; 9];
        one_in_ten.push("other");
        assert!(single(&one_in_ten).is_ok());
        one_in_ten.push("x");
        assert!(single(&one_in_ten).is_err());
    }
}
