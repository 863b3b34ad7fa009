//! The bounds that the figures had to keep.

use maud::{Markup, html};

use super::super::table::{Cell, Table, numbers, words};
use super::super::words::term;
use super::Section;
use crate::eval::report::{Figure, GateOutcome, GateResult};

/// The section, if there were bounds; what was not kept stands first.
pub(super) fn section(gates: &[GateResult], figures: &[Figure]) -> Option<Section> {
    let mut ordered: Vec<&GateResult> = gates.iter().collect();
    ordered.sort_by_key(|gate| gate.outcome);
    let name = |id: &str| {
        let figure = figures.iter().find(|figure| figure.id == id);
        figure.map_or_else(|| id.to_owned(), |figure| format!("{} {}", figure.name, figure.name_zh))
    };
    let columns = [
        words(term("outcome", "结果")),
        words(term("figure", "指标")),
        words(term("of", "范围")),
        words(term("bound", "门槛")),
        words(term("judged by", "依据")),
        numbers(term("number", "数值")),
        words(term("note", "备注")),
    ];
    let rows = ordered.into_iter().map(|gate| {
        let of: Vec<&str> = gate.label.iter().chain(&gate.slice).map(String::as_str).collect();
        [
            Cell::markup(outcome(gate.outcome)),
            Cell::text(&name(&gate.figure)),
            Cell::text(&if of.is_empty() { "all".to_owned() } else { of.join(", ") }),
            Cell::text(&gate.bound),
            Cell::text(&gate.of),
            gate.judged.map_or_else(|| Cell::text(""), Cell::number),
            Cell::text(gate.reason.as_deref().unwrap_or_default()),
        ]
    });
    let body = html! {
        p.verdict { (verdict(gates)) }
        (Table::new("gates-table", "Bounds and the figures that had to keep them", columns).rows(rows))
    };
    (!gates.is_empty())
        .then_some(Section { id: "gates", heading: term("Quality gates", "质量门槛"), body })
}

fn verdict(gates: &[GateResult]) -> Markup {
    let count = |outcome| gates.iter().filter(|gate| gate.outcome == outcome).count();
    let (missed, unjudged) = (count(GateOutcome::Missed), count(GateOutcome::CannotJudge));
    html! {
        @if missed > 0 { b.missed { (missed) " of " (gates.len()) " bounds were missed. " } }
        @if unjudged > 0 { b.missed { (unjudged) " of " (gates.len()) " bounds cannot be judged. " } }
        @if missed + unjudged == 0 { (count(GateOutcome::Met)) " of " (gates.len()) " bounds were met; none was missed." }
    }
}

fn outcome(outcome: GateOutcome) -> Markup {
    html! {
        @match outcome {
            GateOutcome::Met => "met",
            GateOutcome::TooFewRows => "too few rows",
            GateOutcome::Missed => b.missed { "missed" },
            GateOutcome::CannotJudge => b.missed { "cannot be judged" },
        }
    }
}
