//! The wrong answers that are worth reading: few enough to be read, and of every sort.
//!
//! First critical rows that were missed, then rows that a machine would have sent to the wrong place, then those that the
//! model was surest of; the rest is dealt out among the most frequent confusions, so that each shows a case. Of lists of
//! labels those that the model was surest of.

use std::collections::{BTreeMap, HashSet};

use super::answers::Answer;
use super::metrics::{MultiLabel, SingleLabel};
use super::problem::EvaluatedProblem;
use super::question::Question;

/// How many wrong answers are told.
const MOST: usize = 50;
/// How many of them are critical rows, sent by a machine, or sure, at most.
const OF_A_SORT: usize = 10;
/// A wrong answer of this probability is a sure one.
const SURE: f64 = 0.9;

/// A wrong answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct WrongAnswer {
    pub(super) row: usize,
    /// The probability of what was decided; for a list that of its weakest link.
    pub(super) probability: f64,
    /// The probability of what is right.
    pub(super) gold_probability: f64,
    /// Why it is worth reading.
    pub(super) reason: String,
}

/// The names of labels in a row, for people.
pub(super) type Names<'a> = dyn Fn(&[usize]) -> String + 'a;

/// Chooses wrong answers that are worth reading.
pub(super) fn worth_reading(
    problem: &EvaluatedProblem,
    question: &Question,
    answers: &[Answer],
    names: &Names<'_>,
) -> Vec<WrongAnswer> {
    match problem {
        EvaluatedProblem::Single(problem) => of_single(problem, question, answers, names),
        EvaluatedProblem::Multi(problem) => of_multi(problem, answers, names),
    }
}

fn of_single(
    problem: &SingleLabel,
    question: &Question,
    answers: &[Answer],
    names: &Names<'_>,
) -> Vec<WrongAnswer> {
    let confidence = |row: usize| problem.probabilities(row)[problem.decided()[row]];
    let is_wrong = |row: &usize| problem.gold()[*row] != problem.decided()[*row];
    let mut wrong: Vec<usize> = (0..problem.rows()).filter(is_wrong).collect();
    wrong.sort_by(|a, b| confidence(*b).total_cmp(&confidence(*a)));

    let mut chosen = Chosen::default();
    let critical = |row: &usize| Some(problem.gold()[*row]) == question.critical;
    chosen.take(wrong.iter().copied().filter(critical), |_| "critical, and not seen to be".to_owned());
    let accepted = |row: &usize| answers[*row].dispatch.as_ref().is_some_and(|dispatch| dispatch.accepted);
    chosen.take(wrong.iter().copied().filter(accepted), |_| {
        "a machine would have dispatched this alone".to_owned()
    });
    let sure = |row: &usize| confidence(*row) >= SURE;
    chosen.take(wrong.iter().copied().filter(sure), |_| "wrong, and sure of it".to_owned());

    let mut confusions: BTreeMap<(usize, usize), Vec<usize>> = BTreeMap::new();
    for row in &wrong {
        confusions.entry((problem.gold()[*row], problem.decided()[*row])).or_default().push(*row);
    }
    let mut confusions: Vec<_> = confusions.into_iter().collect();
    confusions.sort_by_key(|(_, rows)| std::cmp::Reverse(rows.len()));
    let deepest = confusions.first().map_or(0, |(_, rows)| rows.len());
    for ((gold, decided), rows, row) in (0..deepest).flat_map(|turn| {
        confusions.iter().filter_map(move |(pair, rows)| Some((*pair, rows, *rows.get(turn)?)))
    }) {
        let (gold, decided) = (names(&[gold]), names(&[decided]));
        chosen.add(row, || match rows.len() {
            1 => format!("the only row of {gold} taken for {decided}"),
            rows => format!("one of {rows} rows of {gold} taken for {decided}"),
        });
    }
    let told = |(row, reason)| WrongAnswer {
        row,
        probability: confidence(row),
        gold_probability: problem.gold_probability(row),
        reason,
    };
    chosen.rows.into_iter().map(told).collect()
}

fn of_multi(problem: &MultiLabel, answers: &[Answer], names: &Names<'_>) -> Vec<WrongAnswer> {
    // A list is as sure as its weakest link, be that a label that is in it or one that is left out.
    let sureness = |row: usize, list: &[usize]| {
        let probabilities = answers[row].probabilities.iter().enumerate();
        let link = |(label, p): (usize, &f32)| f64::from(if list.contains(&label) { *p } else { 1.0 - *p });
        probabilities.map(link).fold(1.0, f64::min)
    };
    let rows = problem.gold().iter().zip(problem.decided()).enumerate();
    let mut wrong: Vec<WrongAnswer> = rows
        .filter(|(_, (gold, decided))| gold != decided)
        .map(|(row, (gold, decided))| WrongAnswer {
            row,
            probability: sureness(row, decided),
            // A label that the head does not have is impossible to it.
            gold_probability: if gold.iter().all(|label| *label < problem.num_labels()) {
                sureness(row, gold)
            } else {
                0.0
            },
            reason: difference(gold, decided, names),
        })
        .collect();
    wrong.sort_by(|a, b| b.probability.total_cmp(&a.probability));
    wrong.truncate(MOST);
    wrong
}

fn difference(gold: &[usize], decided: &[usize], names: &Names<'_>) -> String {
    let only = |these: &[usize], those: &[usize]| -> Vec<usize> {
        these.iter().copied().filter(|label| !those.contains(label)).collect()
    };
    let (missing, added) = (only(gold, decided), only(decided, gold));
    let mut parts = Vec::new();
    if !missing.is_empty() {
        parts.push(format!("misses {}", names(&missing)));
    }
    if !added.is_empty() {
        parts.push(format!("adds {}", names(&added)));
    }
    parts.join(", ")
}

/// Rows with the reason why they were chosen, each once.
#[derive(Default)]
struct Chosen {
    rows: Vec<(usize, String)>,
    seen: HashSet<usize>,
}

impl Chosen {
    /// Takes the first rows of a sort.
    fn take(&mut self, rows: impl Iterator<Item = usize>, reason: impl Fn(usize) -> String) {
        for row in rows.filter(|row| !self.seen.contains(row)).take(OF_A_SORT).collect::<Vec<_>>() {
            self.add(row, || reason(row));
        }
    }

    fn add(&mut self, row: usize, reason: impl FnOnce() -> String) {
        if self.rows.len() < MOST && self.seen.insert(row) {
            self.rows.push((row, reason()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classifier::Problem;
    use crate::eval::answers::Dispatch;
    use crate::taxonomy::Taxonomy;
    use crate::terms::Terms;

    fn names(labels: &[usize]) -> String {
        labels.iter().map(|label| ["甲", "乙", "丙"][*label]).collect::<Vec<_>>().join("、")
    }

    fn question(head: &str, labels: [&str; 3]) -> Question {
        let taxonomy = Taxonomy::built_in();
        let terms = Terms { taxonomy: &taxonomy, directory: None };
        Question::new(head, Problem::SingleLabelClassification, labels, terms, None).unwrap()
    }

    /// Rows of (gold, decided, probability of what was decided, whether a machine would send it).
    fn reasons(head: &str, labels: [&str; 3], rows: &[(usize, usize, f64, bool)]) -> Vec<(usize, String)> {
        let probabilities = rows.iter().flat_map(|(_, decided, p, _)| {
            (0..3).map(move |label| if label == *decided { *p } else { (1.0 - p) / 2.0 })
        });
        let problem = SingleLabel::new(
            3,
            rows.iter().map(|row| row.0).collect(),
            probabilities.collect(),
            rows.iter().map(|row| row.1).collect(),
        );
        let answer = |row: &(usize, usize, f64, bool)| Answer {
            dispatch: Some(Dispatch { accepted: row.3, supporting: vec![] }),
            ..Answer::default()
        };
        let answers: Vec<Answer> = rows.iter().map(answer).collect();
        let chosen = of_single(&problem.unwrap(), &question(head, labels), &answers, &names);
        chosen.into_iter().map(|wrong| (wrong.row, wrong.reason)).collect()
    }

    #[test]
    fn each_sort_of_error_has_its_reason() {
        let rows = [
            (0, 0, 0.9, true),
            (0, 1, 0.6, false),
            (0, 1, 0.7, false),
            (1, 2, 0.95, false),
            (2, 0, 0.5, true),
            (1, 0, 0.5, false),
        ];
        let reasons = reasons("kind", ["a", "b", "c"], &rows);
        let expected = [
            (4, "a machine would have dispatched this alone"),
            (3, "wrong, and sure of it"),
            (2, "one of 2 rows of 甲 taken for 乙"),
            (5, "the only row of 乙 taken for 甲"),
            (1, "one of 2 rows of 甲 taken for 乙"),
        ];
        assert_eq!(reasons, expected.map(|(row, reason)| (row, reason.to_owned())));
    }

    #[test]
    fn critical_rows_come_first_and_fifty_are_told() {
        let mut rows = vec![(0, 1, 0.99, true); 80];
        rows.push((2, 0, 0.4, false));
        let reasons = reasons("urgency", ["normal", "urgent", "critical"], &rows);
        assert_eq!(reasons[0], (80, "critical, and not seen to be".to_owned()));
        assert_eq!(reasons.len(), MOST);
        let rows: HashSet<usize> = reasons.iter().map(|(row, _)| *row).collect();
        assert_eq!(rows.len(), MOST, "each once");
    }

    #[test]
    fn lists_tell_what_is_missing_and_what_is_too_much() {
        let problem =
            MultiLabel::new(3, vec![vec![0, 1], vec![2]], vec![0.5; 6], vec![vec![1, 2], vec![2]]).unwrap();
        let answer = Answer { probabilities: vec![0.3, 0.8, 0.6], ..Answer::default() };
        let wrong = of_multi(&problem, &[answer.clone(), answer], &names);
        assert_eq!(wrong.len(), 1);
        assert_eq!(wrong[0].reason, "misses 甲, adds 丙");
        assert!((wrong[0].probability - 0.6).abs() < 1e-6 && (wrong[0].gold_probability - 0.3).abs() < 1e-6);
    }
}
