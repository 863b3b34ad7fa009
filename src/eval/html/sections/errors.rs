//! Wrong answers worth reading.

use maud::{Markup, html};

use super::super::table::{Cell, Table, ids, numbers, prose, words};
use super::super::words::{marked, term, text};
use super::Section;
use crate::eval::report::WorkedError;

/// The section, if there are errors.
pub(super) fn section(errors: &[WorkedError]) -> Option<Section> {
    let columns = [
        ids(term("id", "编号")),
        prose(term("request", "诉求")),
        words(term("right", "真实标签")),
        numbers(term("p(right)", "真实概率")),
        words(term("given", "预测标签")),
        numbers(term("p(given)", "预测概率")),
        prose(term("why", "原因")),
    ];
    let rows = errors.iter().map(|error| {
        [
            Cell::text(&error.id),
            Cell::markup(request(error)),
            Cell::text(&error.gold),
            Cell::number(error.gold_probability),
            Cell::text(&error.predicted),
            Cell::number(error.probability),
            Cell::text(&error.reason),
        ]
    });
    let body = html! {
        @if errors.iter().any(|error| !error.spans.is_empty()) {
            p.note {
                "Marked are the words that the answer rests on: "
                mark.for1 { "a little" } " " mark.for2 { "more" } " " mark.for3 { "most" } "; "
                mark.against { "underlined" } " ones speak against it."
            }
        }
        (Table::new("errors-table", "Wrong answers, the most instructive first", columns).rows(rows))
    };
    (!errors.is_empty()).then_some(Section {
        id: "errors",
        heading: term("Errors worth reading", "典型错例"),
        body,
    })
}

fn request(error: &WorkedError) -> Markup {
    html! {
        @if let Some(title) = &error.title { b { (text(title)) } br; }
        (marked(&error.text, &error.spans))
    }
}
