//! What is gained by leaving doubtful rows to people.

use maud::{Markup, html};

use super::super::plots;
use super::super::words::{decimal, percent, term};
use super::Section;
use crate::eval::report::ReportError;
use crate::eval::report::{PrecisionMark, RiskCoverage};

/// The section, if there is a curve.
pub(super) fn section(curve: Option<&RiskCoverage>) -> Result<Option<Section>, ReportError> {
    let Some(curve) = curve.filter(|curve| !curve.points.is_empty()) else {
        return Ok(None);
    };
    let plot = plots::risk_coverage(curve)?;
    let body = html! {
        p.note {
            "If only the answers of most confidence are used and the other rows go to people, this share of the used "
            "answers is wrong. Area under the curve (AURC) " b { (decimal(curve.aurc)) } ", less is better. "
            "The curve starts at a coverage of 2 %: before, a few rows make it leap."
        }
        (plots::figure(term("Risk by coverage", "风险–覆盖率曲线"), &plot))
        @if !curve.marks.is_empty() { (marks(&curve.marks)) }
    };
    Ok(Some(Section { id: "selective", heading: term("Selective answering", "选择性作答"), body }))
}

fn marks(marks: &[PrecisionMark]) -> Markup {
    html! {
        table.small {
            caption.heard { "How much can be answered at each precision" }
            thead { tr {
                th.num scope="col" { "precision" span.zh lang="zh-Hans" { "精确率" } }
                th.num scope="col" { "coverage" span.zh lang="zh-Hans" { "覆盖率" } }
                th.num scope="col" { "confidence from" span.zh lang="zh-Hans" { "置信度阈值" } }
            } }
            tbody {
                @for mark in marks {
                    tr {
                        td.num { (percent(mark.precision)) }
                        td.num { (mark.coverage.map_or_else(|| "out of reach".to_owned(), decimal)) }
                        td.num { (mark.threshold.map_or_else(String::new, decimal)) }
                    }
                }
            }
        }
    }
}
