//! Where the model does worse than elsewhere.

use maud::{Markup, html};

use super::super::plots::{self, IntervalRow, Mark};
use super::super::table::{Cell, Table, numbers, words};
use super::super::words::{Term, count, decimal, term};
use super::Section;
use crate::eval::report::ReportError;
use crate::eval::report::{Figure, Slice};

/// How many values of a column its plot holds.
const PER_PLOT: usize = 25;

/// The section, if there are slices: a small plot a column, and one table of all, in the order given.
pub(super) fn section(slices: &[Slice], figures: &[Figure]) -> Result<Option<Section>, ReportError> {
    if slices.is_empty() {
        return Ok(None);
    }
    let right = |figure: &&Figure| ["accuracy", "exact_match"].contains(&figure.id.as_str());
    let overall = figures.iter().find(right).map(|figure| figure.estimate.value);
    let mut columns: Vec<&str> = Vec::new();
    for slice in slices {
        if !columns.contains(&slice.column.as_str()) {
            columns.push(&slice.column);
        }
    }
    let plots: Vec<Markup> =
        columns.iter().map(|column| plot(column, slices, overall)).collect::<Result<_, _>>()?;
    let body = html! {
        p.note {
            "Rows that share a value of a column, the worst first."
            @if overall.is_some() { " Accuracy is the share of rows that are wholly right; the dashed line is that of all rows." }
            @if slices.iter().any(|slice| slice.small) { " Hollow points rest on too few rows to conclude from." }
        }
        div.multiples { @for plot in &plots { (plot) } }
        (table(slices))
    };
    Ok(Some(Section { id: "slices", heading: term("Slices", "分组表现"), body }))
}

fn plot(column: &str, slices: &[Slice], overall: Option<f64>) -> Result<Markup, ReportError> {
    let of_column: Vec<&Slice> = slices.iter().filter(|slice| slice.column == column).collect();
    let shown = &of_column[..of_column.len().min(PER_PLOT)];
    let rows: Vec<IntervalRow> = shown
        .iter()
        .map(|slice| IntervalRow {
            name: slice.value.clone(),
            note: count(slice.rows),
            estimate: slice.accuracy,
            doubtful: slice.small,
        })
        .collect();
    let worst = shown.first().map_or_else(String::new, |slice| {
        format!(", {} at {} the first", slice.value, decimal(slice.accuracy.value))
    });
    let says = format!("Points with whiskers: accuracy of {} values of {column}{worst}.", shown.len());
    let svg = plots::interval_rows(&rows, Mark::Point, overall, ["accuracy (0 to 1)", "rows"], &says)?;
    let title = html! {
        "Accuracy by " bdi { (column) }
        @if shown.len() < of_column.len() { ", the first " (shown.len()) " of " (of_column.len()) }
    };
    Ok(plots::figure(title, &svg))
}

fn table(slices: &[Slice]) -> Markup {
    const COLUMNS: [Term; 6] = [
        term("column", "字段"),
        term("value", "取值"),
        term("rows", "样本"),
        term("accuracy", "准确率"),
        term("macro F1", "宏平均 F1"),
        term("note", "备注"),
    ];
    let [column, value, rows, accuracy, macro_f1, note] = COLUMNS;
    let columns =
        [words(column), words(value), numbers(rows), numbers(accuracy), numbers(macro_f1), words(note)];
    let rows = slices.iter().map(|slice| {
        [
            Cell::text(&slice.column),
            Cell::text(&slice.value),
            Cell::count(slice.rows),
            Cell::estimate(Some(slice.accuracy)),
            Cell::estimate(slice.macro_f1),
            Cell::markup(html! { @if slice.small { "few rows" } }),
        ]
    });
    html! { (Table::new("slices-table", "Figures of each slice", columns).rows(rows)) }
}
