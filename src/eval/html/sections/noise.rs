//! Rows whose given label is doubtful.

use maud::html;

use super::super::table::{Cell, Table, ids, numbers, prose, words};
use super::super::words::term;
use super::Section;
use crate::eval::report::LabelNoise;

/// The section, if there are such rows.
pub(super) fn section(rows: &[LabelNoise]) -> Option<Section> {
    let columns = [
        ids(term("id", "编号")),
        prose(term("request", "诉求")),
        words(term("given", "原标签")),
        words(term("suggested", "建议标签")),
        numbers(term("score", "可疑度")),
    ];
    let cells = rows.iter().map(|row| {
        [
            Cell::text(&row.id),
            Cell::text(&row.text),
            Cell::text(&row.given),
            Cell::text(&row.suggested),
            Cell::number(row.score),
        ]
    });
    let body = html! {
        p.note { "Rows to look at again: the label in the file may be wrong. The score goes from 0 to 1." }
        (Table::new("noise-table", "Rows whose label is doubtful", columns).rows(cells))
    };
    (!rows.is_empty()).then_some(Section {
        id: "noise",
        heading: term("Doubtful labels", "疑似标注错误"),
        body,
    })
}
