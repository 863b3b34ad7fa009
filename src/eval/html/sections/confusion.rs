//! Which labels are taken for which.

use maud::html;

use super::super::plots;
use super::super::words::term;
use super::Section;
use crate::eval::report::ConfusionMatrix;

/// The section, if there is a matrix with labels.
pub(super) fn section(matrix: Option<&ConfusionMatrix>) -> Option<Section> {
    let matrix = matrix.filter(|matrix| !matrix.labels.is_empty())?;
    let (heat_map, folded) = plots::confusion(matrix);
    let body = html! {
        p.note {
            "A line of the matrix holds the rows of one right label, counted by the label that they were given: blue on "
            "the diagonal is right, red beside it wrong. The shade is the square root of the share of that line, so "
            "that rare confusions show."
            @if folded > 0 { " The " (folded) " rarest labels are folded into one." }
        }
        (plots::figure(term("Right label against given label", "真实标签与预测标签"), &heat_map))
    };
    Some(Section { id: "confusion", heading: term("Confusions", "混淆矩阵"), body })
}
