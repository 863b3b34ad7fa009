//! The confusion matrix as a heat map.

use std::cmp::Reverse;

use maud::{Markup, html};

use super::super::words::count;
use super::{TEXT, columns, shortened, svg};
use crate::eval::report::ConfusionMatrix;

/// The most labels that are told apart.
const MOST: usize = 40;
/// The width of the picture without the room on its right, in CSS pixels.
const WIDTH: f64 = 960.0;
/// The room for a name, in columns of half a Chinese character.
const NAME_COLUMNS: usize = 26;
/// Where shades get so dark that the count in them is white.
const DARK: f64 = 0.55;

/// Draws the matrix, and tells how many labels it folded into one.
pub(in super::super) fn confusion(matrix: &ConfusionMatrix) -> (Markup, usize) {
    let (matrix, folded) = fold(matrix, MOST);
    (heat_map(&matrix), folded)
}

/// Keeps the labels with most rows in their order and adds the others up, where there are more than `most`.
fn fold(matrix: &ConfusionMatrix, most: usize) -> (ConfusionMatrix, usize) {
    let labels = matrix.labels.len();
    if labels <= most {
        return (matrix.clone(), 0);
    }
    let mut by_support: Vec<usize> = (0..labels).collect();
    by_support.sort_by_key(|&label| Reverse(matrix.counts[label].iter().sum::<u64>()));
    let mut kept = by_support[..most - 1].to_vec();
    kept.sort_unstable();
    let place = |label: usize| kept.binary_search(&label).unwrap_or(kept.len());
    let mut counts = vec![vec![0; most]; most];
    for (gold, row) in matrix.counts.iter().enumerate() {
        for (predicted, rows) in row.iter().enumerate() {
            counts[place(gold)][place(predicted)] += rows;
        }
    }
    let mut names: Vec<String> = kept.iter().map(|&label| matrix.labels[label].clone()).collect();
    let folded = labels - kept.len();
    names.push("others 其余".to_owned());
    (ConfusionMatrix { labels: names, counts }, folded)
}

fn heat_map(matrix: &ConfusionMatrix) -> Markup {
    let labels = matrix.labels.len();
    let widest = matrix.labels.iter().map(|name| columns(name)).max().unwrap_or(0).clamp(6, NAME_COLUMNS);
    let name_width = widest as f64 * TEXT / 2.0 + 8.0;
    // Names above lean by 45°: as high as they reach right.
    let slant = name_width * std::f64::consts::FRAC_1_SQRT_2 + 10.0;
    let (left, top) = (name_width + 24.0, slant + 18.0);
    let cell = ((WIDTH - left) / labels as f64).clamp(18.0, 36.0).floor();
    let square = cell * labels as f64;
    let size = ((left + square + slant).ceil(), (top + square + 4.0).ceil());
    let middle = |index: usize| (index as f64 + 0.5) * cell;
    let inner = html! {
        g.axis-title {
            text x=(left) y="15" { "given label 预测标签 →" }
            text transform={ "translate(15 " (top + square) ") rotate(-90)" } { "right label 真实标签 (cells: rows)" }
        }
        @for (index, name) in matrix.labels.iter().enumerate() {
            text text-anchor="end" x=(left - 6.0) y=(top + middle(index) + 4.0) { (shortened(name, NAME_COLUMNS)) }
            text transform={ "translate(" (left + middle(index) + 3.0) " " (top - 6.0) ") rotate(-45)" } {
                (shortened(name, NAME_COLUMNS))
            }
        }
        @for (gold, row) in matrix.counts.iter().enumerate() {
            g transform={ "translate(" (left) " " (top + gold as f64 * cell) ")" } { (row_of(gold, row, cell)) }
        }
        rect.frame x=(left) y=(top) width=(square) height=(square) {}
    };
    html! { div.heat { (svg(size, &says(matrix), &inner)) } }
}

/// The cells of one right label.
fn row_of(gold: usize, row: &[u64], cell: f64) -> Markup {
    let support = row.iter().sum::<u64>().max(1);
    html! {
        @for (predicted, &rows) in row.iter().enumerate() {
            @let x = predicted as f64 * cell;
            // The root, so that rare confusions show.
            @let shade = (rows as f64 / support as f64).sqrt();
            @let right = if gold == predicted { "right" } else { "wrong" };
            @if rows > 0 || gold == predicted {
                rect class=(right) x=(x) width=(cell) height=(cell) fill-opacity=(format!("{shade:.3}")) {}
            }
            @if rows > 0 {
                text.count.dark[shade > DARK].tight[rows > 999] text-anchor="middle" x=(x + cell / 2.0) y=(cell / 2.0 + 3.5) {
                    (short_count(rows))
                }
            }
        }
    }
}

/// A count short enough for a cell: thousands from five digits on.
fn short_count(rows: u64) -> String {
    if rows < 10_000 { rows.to_string() } else { format!("{}k", rows / 1_000) }
}

fn says(matrix: &ConfusionMatrix) -> String {
    let all: u64 = matrix.counts.iter().flatten().sum();
    let right: u64 = (0..matrix.labels.len()).map(|label| matrix.counts[label][label]).sum();
    let cells = matrix.counts.iter().enumerate().flat_map(|(gold, row)| {
        row.iter()
            .enumerate()
            .filter(move |(predicted, _)| *predicted != gold)
            .map(move |(predicted, rows)| (*rows, gold, predicted))
    });
    let worst = cells
        .filter(|(rows, ..)| *rows > 0)
        .max_by_key(|&(rows, gold, predicted)| (rows, Reverse((gold, predicted))));
    let worst = worst.map_or_else(String::new, |(rows, gold, predicted)| {
        let (gold, predicted) = (&matrix.labels[gold], &matrix.labels[predicted]);
        format!("; most often {gold} was taken for {predicted}, in {} rows", count(rows))
    });
    format!("Of {} rows {} stand on the diagonal{worst}.", count(all), count(right))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(counts: &[&[u64]]) -> ConfusionMatrix {
        let labels = (0..counts.len()).map(|label| format!("标签{label}")).collect();
        ConfusionMatrix { labels, counts: counts.iter().map(|row| row.to_vec()).collect() }
    }

    #[test]
    fn rare_labels_are_folded_and_no_row_is_lost() {
        let (folded, count) = fold(&matrix(&[&[5, 0, 1, 0], &[0, 1, 0, 1], &[2, 0, 7, 0], &[0, 1, 0, 0]]), 3);
        assert_eq!(count, 2);
        assert_eq!(folded.labels, ["标签0", "标签2", "others 其余"]);
        assert_eq!(folded.counts, [[5, 1, 0], [2, 7, 0], [0, 0, 3]]);
    }

    #[test]
    fn small_matrices_stay_whole() {
        let whole = matrix(&[&[1, 2], &[3, 4]]);
        assert_eq!(fold(&whole, 2), (whole, 0));
    }

    #[test]
    fn tells_the_most_frequent_confusion() {
        let said = says(&matrix(&[&[5, 0, 1], &[0, 1, 0], &[2, 0, 7]]));
        assert_eq!(
            said,
            "Of 16 rows 13 stand on the diagonal; most often 标签2 was taken for 标签0, in 2 rows."
        );
        assert_eq!(says(&matrix(&[&[4]])), "Of 4 rows 4 stand on the diagonal.");
    }

    #[test]
    fn counts_fit_their_cells() {
        assert_eq!([9_999, 12_345].map(short_count), ["9999", "12k"]);
    }

    #[test]
    fn an_empty_row_divides_by_nothing() {
        let (map, _) = confusion(&matrix(&[&[0, 0], &[0, 3]]));
        assert!(!map.into_string().contains("NaN"));
    }
}
