//! What becomes better, worse or merely different when model B answers in the place of model A.
//!
//! Two accuracies say by how much a model is better; which rows it newly gets wrong, and of which labels they are, is what
//! decides whether citizens will notice. Whether a difference is more than chance is left to a test.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Labels, Pairs, Predictions};

/// What is right about one row, and what the two models decided.
#[derive(Debug, Clone, Copy)]
pub struct Decision<'a> {
    /// What is right.
    pub gold: &'a Labels,
    /// What A decided.
    pub a: &'a Labels,
    /// What B decided.
    pub b: &'a Labels,
    /// How sure B was of what it decided, from 0 to 1.
    pub confidence: f32,
}

/// What the two models decided, row by row. The rows that they agree on, rightly or wrongly, are those in no other count.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// All rows.
    pub rows: usize,
    /// Rows that A has wrong and B right.
    pub gained: Change,
    /// Rows that A has right and B wrong.
    pub lost: Change,
    /// Rows that both have wrong, each in its own way.
    pub changed: Change,
    /// The labels with such rows, those with the most lost rows first, then those with the most gained ones.
    pub labels: Vec<LabelChanges>,
}

/// Rows that changed in one way.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Change {
    /// How many there are.
    pub rows: usize,
    /// Places of some of them among the decisions: those that B was surest of.
    pub examples: Vec<usize>,
}

/// How many rows changed of those that have a gold label. A row with several gold labels is among those of each, one with
/// none is among those of no label.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LabelChanges {
    /// The gold label.
    pub label: String,
    /// Rows that have it.
    pub support: usize,
    /// Of those, how many A has wrong and B right.
    pub gained: usize,
    /// Of those, how many A has right and B wrong.
    pub lost: usize,
    /// Of those, how many both have wrong, each in its own way.
    pub changed: usize,
}

impl Pairs {
    /// What the two models decided, in the order of the pairs.
    ///
    /// # Panics
    /// If the pairs are of other files.
    pub fn decisions<'a>(&self, a: &'a Predictions, b: &'a Predictions) -> Vec<Decision<'a>> {
        let decision = |&(of_a, of_b): &(usize, usize)| {
            let (of_a, of_b) = (&a.rows[of_a], &b.rows[of_b]);
            let confidence = of_b.confidence(&b.header.labels);
            Decision { gold: &of_a.gold, a: &of_a.decided, b: &of_b.decided, confidence }
        };
        self.rows.iter().map(decision).collect()
    }
}

/// Compares what two models decided; up to `examples` of each kind of change are named.
pub fn changes(decisions: &[Decision<'_>], examples: usize) -> Changes {
    let mut changes = Changes { rows: decisions.len(), ..Changes::default() };
    let mut labels: BTreeMap<&str, LabelChanges> = BTreeMap::new();
    for (row, Decision { gold, a, b, .. }) in decisions.iter().enumerate() {
        let (change, count): (_, fn(&mut LabelChanges) -> &mut usize) = match (a == gold, b == gold) {
            (false, true) => (&mut changes.gained, |label| &mut label.gained),
            (true, false) => (&mut changes.lost, |label| &mut label.lost),
            (false, false) if a != b => (&mut changes.changed, |label| &mut label.changed),
            (true, true) | (false, false) => {
                gold.iter().for_each(|label| labels.entry(label).or_default().support += 1);
                continue;
            }
        };
        change.rows += 1;
        change.examples.push(row);
        for label in gold.iter() {
            let label = labels.entry(label).or_default();
            label.support += 1;
            *count(label) += 1;
        }
    }
    for change in [&mut changes.gained, &mut changes.lost, &mut changes.changed] {
        let confidence = |row: &usize| decisions[*row].confidence;
        change.examples.sort_by(|left, right| confidence(right).total_cmp(&confidence(left)));
        change.examples.truncate(examples);
    }
    let named =
        labels.into_iter().map(|(label, changes)| LabelChanges { label: label.to_owned(), ..changes });
    changes.labels = named.filter(|label| label.gained + label.lost + label.changed > 0).collect();
    changes.labels.sort_by_key(|label| std::cmp::Reverse((label.lost, label.gained, label.changed)));
    changes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::{header, many, one, row};
    use super::super::{Prediction, pair};
    use super::*;

    fn compare(decisions: &[(Labels, Labels, Labels, f32)], examples: usize) -> Changes {
        let decisions: Vec<_> = decisions
            .iter()
            .map(|(gold, a, b, confidence)| Decision { gold, a, b, confidence: *confidence })
            .collect();
        changes(&decisions, examples)
    }

    fn label(label: &str, [support, gained, lost, changed]: [usize; 4]) -> LabelChanges {
        LabelChanges { label: label.into(), support, gained, lost, changed }
    }

    #[test]
    fn rows_are_gained_lost_or_changed() {
        let decisions = [
            ("x", "y", "x", 0.9),
            ("x", "x", "y", 0.8),
            ("x", "y", "z", 0.7),
            ("x", "y", "y", 0.6),
            ("y", "y", "y", 0.5),
            ("z", "z", "y", 0.95),
        ];
        let decisions = decisions.map(|(gold, a, b, confidence)| (one(gold), one(a), one(b), confidence));
        let change = |examples: &[usize]| Change { rows: examples.len(), examples: examples.into() };
        let expected = Changes {
            rows: 6,
            gained: change(&[0]),
            lost: change(&[5, 1]),
            changed: change(&[2]),
            labels: vec![label("x", [4, 1, 1, 1]), label("z", [1, 0, 1, 0])],
        };
        assert_eq!(compare(&decisions, 10), expected);
    }

    #[test]
    fn the_surest_examples_are_named() {
        let lost = |confidence| (one("x"), one("x"), one("y"), confidence);
        let changes = compare(&[lost(0.5), lost(0.9), lost(0.7), lost(0.9)], 3);
        assert_eq!(changes.lost, Change { rows: 4, examples: vec![1, 3, 2] });
        assert_eq!(compare(&[lost(0.5)], 0).lost, Change { rows: 1, examples: vec![] });
    }

    #[test]
    fn labels_with_the_most_lost_rows_come_first() {
        let lost = |gold: &str| (one(gold), one(gold), one("other"), 0.5);
        let gained = |gold: &str| (one(gold), one("other"), one(gold), 0.5);
        let changes = compare(&[gained("a"), gained("b"), lost("c"), lost("d"), gained("d"), gained("b")], 0);
        let labels: Vec<_> = changes.labels.iter().map(|label| label.label.as_str()).collect();
        assert_eq!(labels, ["d", "c", "b", "a"]);
    }

    #[test]
    fn lists_are_right_as_a_whole_and_count_for_each_of_their_labels() {
        let changes = compare(
            &[
                (many(&["x", "y"]), many(&["x"]), many(&["y", "x"]), 0.9),
                (many(&[]), many(&[]), many(&["x"]), 0.9),
            ],
            1,
        );
        assert_eq!((changes.gained.rows, changes.lost.rows), (1, 1));
        assert_eq!(changes.labels, [label("x", [1, 1, 0, 0]), label("y", [1, 1, 0, 0])]);
    }

    #[test]
    fn decisions_come_from_pairs() {
        let predictions = |rows: Vec<Prediction>| Predictions::new(header(&["x", "y"]), rows).unwrap();
        let a = predictions(vec![
            row("1", &one("x"), &[0.9, 0.1], &one("x")),
            row("2", &one("y"), &[0.8, 0.2], &one("x")),
        ]);
        let b = predictions(vec![
            row("2", &one("y"), &[0.25, 0.75], &one("y")),
            row("1", &one("x"), &[0.5, 0.5], &one("x")),
        ]);
        let decisions = pair(&a, &b).unwrap().decisions(&a, &b);
        assert!((decisions[1].confidence - 0.75).abs() < 1e-6);
        assert_eq!(changes(&decisions, 1).gained, Change { rows: 1, examples: vec![1] });
    }

    proptest! {
        #[test]
        fn gained_less_lost_is_the_difference_of_the_right_rows(
            rows in prop::collection::vec((0..3, 0..3, 0..3, 0.0_f32..1.0), 0..60),
        ) {
            let name = |label: &i32| one(&label.to_string());
            let decisions: Vec<_> = rows.iter().map(|(gold, a, b, p)| (name(gold), name(a), name(b), *p)).collect();
            let changes = compare(&decisions, 5);
            let right_a = rows.iter().filter(|row| row.0 == row.1).count();
            let right_b = rows.iter().filter(|row| row.0 == row.2).count();
            prop_assert_eq!(right_a + changes.gained.rows, right_b + changes.lost.rows);
            // Rows have one gold label here, so that those of the labels add up.
            prop_assert_eq!(changes.labels.iter().map(|label| label.gained).sum::<usize>(), changes.gained.rows);
            prop_assert_eq!(changes.labels.iter().map(|label| label.lost).sum::<usize>(), changes.lost.rows);
            prop_assert_eq!(changes.labels.iter().map(|label| label.changed).sum::<usize>(), changes.changed.rows);
        }
    }
}
