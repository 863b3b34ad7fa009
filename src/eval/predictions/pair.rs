//! Brings the rows of two files of predictions together: those with the same id and the same text.

use std::collections::{HashMap, HashSet};
use std::fmt;

use super::{Prediction, Predictions};
use crate::message::some;

/// Which row of one file goes with which row of the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pairs {
    /// The places of a row in the one file and in the other, in the order of the one.
    pub rows: Vec<(usize, usize)>,
}

/// Why two files of predictions cannot be compared. They are called A and B, as whoever compares named them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PairError {
    /// They are of two heads.
    #[error("A is of the head `{a}`, B of `{b}`\nhint: evaluate the same head twice")]
    Heads {
        /// The head of A.
        a: String,
        /// The head of B.
        b: String,
    },
    /// The heads have other labels.
    #[error(
        "the labels differ: {}\nhint: only models of one label set can be compared",
        labels_told(only_a, only_b)
    )]
    Labels {
        /// Labels that only A has.
        only_a: Vec<String>,
        /// Labels that only B has; if there are none in either, the order differs.
        only_b: Vec<String>,
    },
    /// The files are of other rows.
    #[error("the rows differ: {0}\nhint: evaluate both models on the same file")]
    Rows(RowDifferences),
    /// The rows are the same, and what is right has changed.
    #[error(
        "`gold` differs in {}\nhint: the file was relabelled in between; evaluate both models on the same file",
        rows_told(ids)
    )]
    Gold {
        /// The ids of the rows.
        ids: Vec<String>,
    },
}

/// Rows that go with none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowDifferences {
    /// Ids of rows that only A has.
    pub only_a: Vec<String>,
    /// Ids of rows that only B has.
    pub only_b: Vec<String>,
    /// Ids of rows that both have, with another text.
    pub other_text: Vec<String>,
}

/// Finds for each row of `a` the one of `b` with the same id and the same text. Where several rows share both, the first
/// goes with the first, the second with the second.
///
/// # Errors
/// If head, labels, rows or gold labels differ; of the rows all that differ are told.
pub fn pair(a: &Predictions, b: &Predictions) -> Result<Pairs, PairError> {
    same_labels(a, b)?;
    let mut places: HashMap<_, Vec<usize>> = HashMap::new();
    // The first of several is the last of its list, where it can be taken off.
    for (place, row) in b.rows.iter().enumerate().rev() {
        places.entry(key(row)).or_default().push(place);
    }
    let (mut rows, mut only_a) = (Vec::new(), Vec::new());
    for (place, row) in a.rows.iter().enumerate() {
        match places.get_mut(&key(row)).and_then(Vec::pop) {
            Some(other) => rows.push((place, other)),
            None => only_a.push(row.id.clone()),
        }
    }
    let mut only_b: Vec<usize> = places.into_values().flatten().collect();
    if !(only_a.is_empty() && only_b.is_empty()) {
        only_b.sort_unstable();
        let only_b = only_b.into_iter().map(|place| b.rows[place].id.clone()).collect();
        return Err(PairError::Rows(RowDifferences::new(only_a, only_b)));
    }
    let differs = |&&(a_row, b_row): &&(usize, usize)| a.rows[a_row].gold != b.rows[b_row].gold;
    let ids: Vec<_> = rows.iter().filter(differs).map(|(place, _)| a.rows[*place].id.clone()).collect();
    if ids.is_empty() { Ok(Pairs { rows }) } else { Err(PairError::Gold { ids }) }
}

/// What a row is known by.
fn key(row: &Prediction) -> (&str, &str) {
    (&row.id, &row.digest)
}

fn same_labels(a: &Predictions, b: &Predictions) -> Result<(), PairError> {
    let (a, b) = (&a.header, &b.header);
    if a.head != b.head {
        return Err(PairError::Heads { a: a.head.clone(), b: b.head.clone() });
    }
    if a.labels == b.labels {
        return Ok(());
    }
    let only = |these: &[String], those: &[String]| {
        these.iter().filter(|label| !those.contains(label)).cloned().collect()
    };
    Err(PairError::Labels { only_a: only(&a.labels, &b.labels), only_b: only(&b.labels, &a.labels) })
}

impl RowDifferences {
    /// Takes rows that are left over, and finds those whose text has changed.
    fn new(mut only_a: Vec<String>, mut only_b: Vec<String>) -> Self {
        let in_b: HashSet<&String> = only_b.iter().collect();
        let other_text: Vec<_> = only_a.iter().filter(|id| in_b.contains(id)).cloned().collect();
        let changed: HashSet<&String> = other_text.iter().collect();
        only_a.retain(|id| !changed.contains(id));
        only_b.retain(|id| !changed.contains(id));
        Self { only_a, only_b, other_text }
    }
}

impl fmt::Display for RowDifferences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { only_a, only_b, other_text } = self;
        let parts = [("only A has", only_a), ("only B has", only_b), ("another text is in", other_text)];
        let parts = parts.into_iter().filter(|(_, ids)| !ids.is_empty());
        let parts: Vec<_> = parts.map(|(what, ids)| format!("{what} {}", rows_told(ids))).collect();
        f.write_str(&parts.join("; "))
    }
}

fn rows_told(ids: &[String]) -> String {
    let rows = if ids.len() == 1 { "row" } else { "rows" };
    format!("{} {rows} ({})", ids.len(), some(ids))
}

fn labels_told(only_a: &[String], only_b: &[String]) -> String {
    let parts = [("A", only_a), ("B", only_b)].into_iter().filter(|(_, labels)| !labels.is_empty());
    let parts: Vec<_> =
        parts.map(|(who, labels)| format!("only {who} has {} ({})", labels.len(), some(labels))).collect();
    if parts.is_empty() { "they stand in another order".to_owned() } else { parts.join("; ") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::{header, one, row};
    use super::*;

    fn predictions(ids: &[&str]) -> Predictions {
        let rows = ids.iter().map(|id| row(id, &one("a"), &[0.9, 0.1], &one("a"))).collect();
        Predictions::new(header(&["a", "b"]), rows).unwrap()
    }

    fn refused(a: &Predictions, b: &Predictions) -> String {
        pair(a, b).unwrap_err().to_string()
    }

    #[test]
    fn rows_are_paired_by_id_and_text() {
        let pairs = pair(&predictions(&["1", "2", "3"]), &predictions(&["3", "1", "2"])).unwrap();
        assert_eq!(pairs.rows, [(0, 1), (1, 2), (2, 0)]);
        assert_eq!(pair(&predictions(&[]), &predictions(&[])).unwrap().rows, []);
    }

    #[test]
    fn rows_that_are_there_twice_are_paired_in_order() {
        let pairs = pair(&predictions(&["1", "2", "1"]), &predictions(&["1", "1", "2"])).unwrap();
        assert_eq!(pairs.rows, [(0, 0), (1, 2), (2, 1)]);
        assert_eq!(
            refused(&predictions(&["1", "1"]), &predictions(&["1"])),
            "the rows differ: only A has 1 row (`1`)\nhint: evaluate both models on the same file"
        );
    }

    #[test]
    fn other_rows_are_refused_with_counts_and_ids() {
        let a = predictions(&["1", "2", "3", "4", "5", "6", "7", "8"]);
        let mut b = predictions(&["1", "x", "8"]);
        b.rows[2].digest = super::super::input_digest("", "reworded");
        assert_eq!(
            refused(&a, &b),
            "the rows differ: only A has 6 rows (`2`, `3`, `4`, `5`, `6`, …); only B has 1 row (`x`); \
             another text is in 1 row (`8`)\nhint: evaluate both models on the same file"
        );
    }

    #[test]
    fn other_heads_and_labels_are_refused() {
        let a = predictions(&["1"]);
        let with = |change: &dyn Fn(&mut Predictions)| {
            let mut b = a.clone();
            change(&mut b);
            refused(&a, &b)
        };
        assert_eq!(
            with(&|b| b.header.head = "risk".into()),
            "A is of the head `category`, B of `risk`\nhint: evaluate the same head twice"
        );
        let hint = "hint: only models of one label set can be compared";
        assert_eq!(
            with(&|b| b.header.labels = vec!["a".into(), "c".into(), "d".into()]),
            format!("the labels differ: only A has 1 (`b`); only B has 2 (`c`, `d`)\n{hint}")
        );
        assert_eq!(
            with(&|b| b.header.labels.reverse()),
            format!("the labels differ: they stand in another order\n{hint}")
        );
    }

    #[test]
    fn other_gold_labels_are_refused() {
        let a = predictions(&["1", "2", "3"]);
        let mut b = a.clone();
        b.rows[1].gold = one("b");
        b.rows[2].gold = one("b");
        assert_eq!(
            refused(&a, &b),
            "`gold` differs in 2 rows (`2`, `3`)\n\
             hint: the file was relabelled in between; evaluate both models on the same file"
        );
    }

    proptest! {
        #[test]
        fn pairing_does_not_depend_on_the_order_of_rows(
            (ids, a, b) in prop::collection::vec(0_usize..12, 0..30).prop_flat_map(|ids| {
                let places = Just((0..ids.len()).collect::<Vec<_>>());
                (Just(ids), places.clone().prop_shuffle(), places.prop_shuffle())
            }),
        ) {
            let file = |order: &[usize]| {
                let ids: Vec<_> = order.iter().map(|place| ids[*place].to_string()).collect();
                predictions(&ids.iter().map(String::as_str).collect::<Vec<_>>())
            };
            let pairs = pair(&file(&a), &file(&b)).unwrap().rows;
            // Every row of either file is in one pair, and both rows of a pair are the same.
            prop_assert!(pairs.iter().map(|pair| pair.0).eq(0..ids.len()));
            let mut others: Vec<_> = pairs.iter().map(|pair| pair.1).collect();
            others.sort_unstable();
            prop_assert!(others.into_iter().eq(0..ids.len()));
            prop_assert!(pairs.iter().all(|&(left, right)| ids[a[left]] == ids[b[right]]));
        }
    }
}
