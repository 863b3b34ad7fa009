//! How well each label is told.

use maud::{Markup, html};

use super::super::plots::{self, IntervalRow, Mark};
use super::super::table::{Cell, Table, ids, numbers, words};
use super::super::words::{count, decimal, term};
use super::Section;
use crate::eval::report::LabelFigures;
use crate::eval::report::ReportError;

/// How many labels one plot holds: as many as fit a page of paper.
const PER_PLOT: usize = 40;

/// The section, if there are labels; the most frequent stand first.
pub(super) fn section(labels: &[LabelFigures]) -> Result<Option<Section>, ReportError> {
    if labels.is_empty() {
        return Ok(None);
    }
    let mut ordered: Vec<&LabelFigures> = labels.iter().collect();
    ordered.sort_by_key(|label| std::cmp::Reverse(label.support));
    let plots: Vec<Markup> = ordered.chunks(PER_PLOT).map(plot).collect::<Result<_, _>>()?;
    let body = html! {
        p.note {
            "Precision is the share of the rows given a label that have it, recall the share of the rows with it that "
            "were given it, F1 their harmonic mean."
        }
        @for plot in &plots { (plot) }
        (table(&ordered))
    };
    Ok(Some(Section { id: "labels", heading: term("Labels", "各标签"), body }))
}

fn plot(labels: &[&LabelFigures]) -> Result<Markup, ReportError> {
    let rows: Vec<IntervalRow> = labels
        .iter()
        .map(|label| IntervalRow {
            name: label.name.clone(),
            note: count(label.support),
            estimate: label.f1,
            doubtful: false,
        })
        .collect();
    let f1 = |label: &&&LabelFigures| label.f1.value;
    let best = labels.iter().max_by(|a, b| f1(a).total_cmp(&f1(b)));
    let worst = labels.iter().min_by(|a, b| f1(a).total_cmp(&f1(b)));
    let range = worst.zip(best).map_or_else(String::new, |(worst, best)| {
        let (low, high) = (decimal(worst.f1.value), decimal(best.f1.value));
        format!(", from {low} ({}) to {high} ({})", worst.name, best.name)
    });
    let says = format!("Bars: F1 of {} labels, the most frequent first{range}.", labels.len());
    let svg = plots::interval_rows(&rows, Mark::Bar, None, ["F1 (0 to 1)", "rows"], &says)?;
    Ok(plots::figure(term("F1 by label, most frequent first", "各标签 F1，按样本量排列"), &svg))
}

fn table(labels: &[&LabelFigures]) -> Markup {
    let columns = [
        words(term("label", "标签")),
        ids(term("id", "编号")),
        numbers(term("rows", "样本")),
        numbers(term("predicted", "预测")),
        numbers(term("precision", "精确率")),
        numbers(term("recall", "召回率")),
        numbers(term("F1", "F1 值")),
    ];
    let rows = labels.iter().map(|label| {
        let name = html! {
            bdi lang="zh-Hans" { (label.name) }
            @if let Some(name_en) = &label.name_en { " " bdi.en { (name_en) } }
        };
        [
            Cell::markup(name),
            Cell::text(&label.id),
            Cell::count(label.support),
            Cell::count(label.predicted),
            Cell::estimate(Some(label.precision)),
            Cell::estimate(Some(label.recall)),
            Cell::estimate(Some(label.f1)),
        ]
    });
    html! { (Table::new("labels-table", "Figures of each label", columns).rows(rows)) }
}
