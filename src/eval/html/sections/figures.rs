//! The figures that sum the evaluation up, a table a group.

use maud::{Markup, html};

use super::super::plots::strip;
use super::super::words::{Term, decimal, interval, percent, term};
use super::Section;
use crate::eval::report::{Better, Figure, FigureGroup, WhatWasEvaluated};

/// The section, if there are figures.
pub(super) fn section(figures: &[Figure], what: &WhatWasEvaluated) -> Option<Section> {
    let groups = FigureGroup::ALL.map(|group| {
        let of_group: Vec<&Figure> = figures.iter().filter(|figure| figure.group == group).collect();
        (group, of_group)
    });
    let body = html! {
        p.note {
            "Each figure with its " (percent(what.confidence_level)) " interval; the strip shows both from 0 to 1. "
            "↑ more is better, ↓ less is better. Resampling adds to calibration errors, and repeats rows in conformal sets: "
            "such a figure may lie at the edge of its interval, or beside it."
        }
        @for (group, figures) in groups.iter().filter(|(_, figures)| !figures.is_empty()) {
            (table(*group, figures))
        }
    };
    (!figures.is_empty()).then_some(Section { id: "figures", heading: term("Figures", "指标"), body })
}

fn table(group: FigureGroup, figures: &[&Figure]) -> Markup {
    html! {
        table.figures {
            caption { (heading(group)) }
            colgroup { col.name; col.value; col.interval; col.strip; col; }
            thead.heard { tr {
                th scope="col" { "figure" }
                th scope="col" { "value" }
                th scope="col" { "interval" }
                th scope="col" { "strip" }
                th scope="col" { "what it says" }
            } }
            tbody {
                @for figure in figures {
                    tr {
                        th scope="row" { (figure.name) " " span.zh lang="zh-Hans" { (figure.name_zh) } }
                        td.num { (decimal(figure.estimate.value)) (arrow(figure.better)) }
                        td.num { span.ci { (interval(figure.estimate)) } }
                        td.strip { (strip(figure.estimate)) }
                        td.prose { (figure.explanation) }
                    }
                }
            }
        }
    }
}

fn arrow(better: Better) -> Markup {
    let (arrow, says) = match better {
        Better::Higher => ("↑", "more is better"),
        Better::Lower => ("↓", "less is better"),
        Better::Neither => return html! {},
    };
    html! { span.arrow role="img" aria-label=(says) { (arrow) } }
}

fn heading(group: FigureGroup) -> Term {
    match group {
        FigureGroup::Classification => term("Classification", "分类"),
        FigureGroup::Ranking => term("Ranking", "排序"),
        FigureGroup::Calibration => term("Calibration", "校准"),
        FigureGroup::Selective => term("Selective answering", "选择性作答"),
        FigureGroup::Conformal => term("Conformal sets", "共形预测集"),
        FigureGroup::Departments => term("Departments", "承办单位"),
        FigureGroup::Risks => term("Risks", "风险"),
    }
}
