//! The risk–coverage curve (Geifman and El-Yaniv, 2017), with the coverages that keep a precision.

use maud::Markup;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::super::words::{decimal, percent};
use super::{BLUE, GREY, INK, drawn, text_style};
use crate::eval::report::ReportError;
use crate::eval::report::{PrecisionMark, RiskCoverage, RiskCoveragePoint};

const SIZE: (u32, u32) = (560, 360);
/// The most points that the curve is drawn with: about one a pixel.
const MOST_POINTS: usize = 400;
/// Below this coverage the risk of a few rows leaps about, up to 1 if the surest row is wrong: the curve starts here.
const FIRST_COVERAGE: f64 = 0.02;

/// Draws the curve, which has at least one point.
pub(in super::super) fn risk_coverage(curve: &RiskCoverage) -> Result<Markup, ReportError> {
    let points = thinned(&curve.points);
    let on_curve = |coverage: &f64| *coverage >= FIRST_COVERAGE;
    let reached: Vec<(f64, &PrecisionMark)> =
        curve.marks.iter().filter_map(|mark| Some((mark.coverage.filter(on_curve)?, mark))).collect();
    let risks = points.iter().map(|point| point.risk);
    let most = risks.chain(reached.iter().map(|(_, mark)| 1.0 - mark.precision)).fold(0.02, f64::max);
    drawn(SIZE, &says(curve), |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(12)
            .margin_right(16)
            .y_label_area_size(62)
            .x_label_area_size(44)
            .build_cartesian_2d(0.0..1.0, 0.0..(most * 1.15).min(1.0))?;
        chart
            .configure_mesh()
            .x_labels(6)
            .y_labels(6)
            .x_label_formatter(&|share| format!("{share:.1}"))
            .y_label_formatter(&|share| format!("{share:.2}"))
            .x_desc("coverage (share of rows answered)")
            .y_desc("risk (share wrong)")
            .bold_line_style(GREY.mix(0.25))
            .light_line_style(TRANSPARENT)
            .axis_style(GREY.mix(0.6))
            .label_style(text_style(INK))
            .draw()?;
        let line = points.iter().map(|point| (point.coverage, point.risk));
        chart.draw_series(LineSeries::new(line, BLUE.stroke_width(2)))?;
        for (coverage, mark) in reached {
            let place = (coverage, 1.0 - mark.precision);
            let down = vec![place, (coverage, 0.0)];
            chart.draw_series(DashedLineSeries::new(down, 3, 3, GREY.stroke_width(1)))?;
            chart.draw_series([Circle::new(place, 4, BLUE.filled())])?;
            // The curve rises: it leaves room above to the left, or on the far left below to the right.
            let (anchor, by) = if coverage < 0.35 {
                (Pos::new(HPos::Left, VPos::Top), (8, 4))
            } else {
                (Pos::new(HPos::Right, VPos::Bottom), (-7, -5))
            };
            let told = format!("{} right at {coverage:.2}", percent(mark.precision));
            let label = EmptyElement::at(place) + Text::new(told, by, text_style(INK).pos(anchor));
            chart.draw_series([label])?;
        }
        Ok(())
    })
}

/// At most [`MOST_POINTS`] of the points from [`FIRST_COVERAGE`] on, evenly, the last among them.
fn thinned(points: &[RiskCoveragePoint]) -> Vec<RiskCoveragePoint> {
    let first = points.iter().position(|point| point.coverage >= FIRST_COVERAGE);
    let points = &points[first.unwrap_or(0)..];
    let step = points.len().div_ceil(MOST_POINTS).max(1);
    let mut thinned: Vec<_> = points.iter().rev().step_by(step).copied().collect();
    thinned.reverse();
    thinned
}

fn says(curve: &RiskCoverage) -> String {
    let end = curve.points.last().map_or_else(String::new, |last| {
        format!(", up to a risk of {} at coverage {}", decimal(last.risk), decimal(last.coverage))
    });
    format!("Risk against coverage{end}; the area under the curve is {}.", decimal(curve.aurc))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_curves_are_thinned_and_keep_their_end() {
        let point = |index: usize| RiskCoveragePoint { coverage: index as f64 / 10_000.0, risk: 0.1 };
        let points: Vec<_> = (1..=10_000).map(point).collect();
        let thinned = thinned(&points);
        assert!(thinned.len() <= MOST_POINTS);
        assert_eq!(thinned.last(), points.last());
        assert!(thinned.is_sorted_by(|a, b| a.coverage < b.coverage));
    }
}
