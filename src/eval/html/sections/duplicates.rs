//! Texts that occur more than once with different labels.

use maud::html;

use super::super::table::{Cell, Table, numbers, prose};
use super::super::words::{term, text};
use super::Section;
use crate::eval::report::Duplicate;

/// The section, if there are such texts.
pub(super) fn section(duplicates: &[Duplicate]) -> Option<Section> {
    let columns = [
        prose(term("request", "诉求")),
        prose(term("labels and rows", "标签与编号")),
        numbers(term("rows", "条数")),
    ];
    let rows = duplicates.iter().map(|duplicate| {
        let labels = html! {
            @for (index, label) in duplicate.labels.iter().enumerate() {
                @if index > 0 { br; }
                (text(&label.label)) ": "
                @for (index, id) in label.ids.iter().enumerate() { @if index > 0 { ", " } bdi.id { (id) } }
                @if label.rows > label.ids.len() as u64 { ", …" }
            }
        };
        let rows: u64 = duplicate.labels.iter().map(|label| label.rows).sum();
        [Cell::text(&duplicate.text), Cell::markup(labels), Cell::count(rows)]
    });
    let body = html! {
        p.note { "No model can be right on all of these." }
        (Table::new("duplicates-table", "Texts with several labels", columns).rows(rows))
    };
    let heading = term("One text, several labels", "同文不同标签");
    (!duplicates.is_empty()).then_some(Section { id: "duplicates", heading, body })
}
