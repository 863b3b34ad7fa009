//! Parts of the rows by themselves, the worst first.

use std::collections::BTreeMap;

use super::figures::{Bootstrap, of_rows};
use super::problem::EvaluatedProblem;
use super::report::Slice;

/// With fewer rows than this a slice is too small to conclude from.
const SMALL_ROWS: usize = 30;

/// The rows that have each value of a column.
fn parts(values: &[Vec<String>]) -> BTreeMap<&str, Vec<usize>> {
    let mut parts: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (row, values) in values.iter().enumerate() {
        for value in values {
            let part = parts.entry(value).or_default();
            // A list may name a value twice.
            if part.last() != Some(&row) {
                part.push(row);
            }
        }
    }
    parts
}

/// Figures of the rows with each value of a column. The worst stand first, those that are too small to tell last.
pub(super) fn slices(
    problem: &EvaluatedProblem,
    column: &str,
    values: &[Vec<String>],
    bootstrap: Bootstrap,
) -> Vec<Slice> {
    let slice = |(value, rows): (&str, Vec<usize>)| {
        let [accuracy, macro_f1] = of_rows(problem, &rows, bootstrap);
        Some(Slice {
            column: column.to_owned(),
            value: value.to_owned(),
            rows: rows.len() as u64,
            accuracy: accuracy?,
            macro_f1,
            small: rows.len() < SMALL_ROWS,
        })
    };
    let mut slices: Vec<Slice> = parts(values).into_iter().filter_map(slice).collect();
    slices.sort_by(|a, b| a.small.cmp(&b.small).then(a.accuracy.value.total_cmp(&b.accuracy.value)));
    slices
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::metrics::SingleLabel;

    fn values(values: &[&str]) -> Vec<Vec<String>> {
        values.iter().map(|values| values.split('+').map(str::to_owned).collect()).collect()
    }

    #[test]
    fn a_row_is_in_the_slice_of_each_of_its_values_once() {
        let values = values(&["a", "a+b", "b+b"]);
        let parts = parts(&values);
        assert_eq!(parts["a"], [0, 1]);
        assert_eq!(parts["b"], [1, 2]);
    }

    #[test]
    fn the_worst_come_first_and_the_small_last() {
        let gold: Vec<usize> = (0..90).map(|row| row % 2).collect();
        // East is wrong throughout, north is wrong but small, west is right.
        let place = |row: usize| match row {
            0..40 => "west",
            40..80 => "east",
            _ => "north",
        };
        let decided = (0..90).map(|row| if row < 40 { row % 2 } else { 1 - row % 2 }).collect();
        let problem = SingleLabel::new(2, gold, vec![0.5; 180], decided).unwrap();
        let problem = EvaluatedProblem::Single(problem);
        let values: Vec<Vec<String>> = (0..90).map(|row| vec![place(row).to_owned()]).collect();
        let slices = slices(&problem, "place", &values, Bootstrap { resamples: 20, seed: 1 });
        let told: Vec<_> =
            slices.iter().map(|slice| (slice.value.as_str(), slice.rows, slice.small)).collect();
        assert_eq!(told, [("east", 40, false), ("west", 40, false), ("north", 10, true)]);
        assert!((slices[1].accuracy.value - 1.0).abs() < 1e-12);
    }
}
