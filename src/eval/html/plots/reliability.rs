//! The reliability diagram (Niculescu-Mizil and Caruana, 2005): accuracy by confidence, and how many answers there are.

use maud::Markup;
use plotters::prelude::*;

use super::super::words::{count, decimal};
use super::{Area, BLUE, GREY, INK, PALE, drawn, text_style};
use crate::eval::report::ReliabilityBin;
use crate::eval::report::ReportError;

const SIZE: (u32, u32) = (480, 560);
/// Where the diagram ends and the counts begin.
const SPLIT: u32 = 410;
const LEFT: u32 = 62;

/// Draws the bins, of which there is at least one.
pub(in super::super) fn reliability(bins: &[ReliabilityBin]) -> Result<Markup, ReportError> {
    drawn(SIZE, &says(bins), |area| {
        let (upper, lower) = area.split_vertically(SPLIT);
        diagram(&upper, bins)?;
        histogram(&lower, bins)
    })
}

fn diagram(area: &Area<'_>, bins: &[ReliabilityBin]) -> Result<(), ReportError> {
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .margin_right(16)
        .y_label_area_size(LEFT)
        .x_label_area_size(18)
        .build_cartesian_2d(0.0..1.0, 0.0..1.0)?;
    chart
        .configure_mesh()
        .x_labels(6)
        .y_labels(6)
        .x_label_formatter(&|share| format!("{share:.1}"))
        .y_label_formatter(&|share| format!("{share:.1}"))
        .y_desc("accuracy (share right)")
        .bold_line_style(GREY.mix(0.25))
        .light_line_style(TRANSPARENT)
        .axis_style(GREY.mix(0.6))
        .label_style(text_style(INK))
        .draw()?;
    chart.draw_series(DashedLineSeries::new([(0.0, 0.0), (1.0, 1.0)], 4, 3, GREY.stroke_width(1)))?;
    let points = bins.iter().map(|bin| (bin.confidence, bin.accuracy));
    chart.draw_series(LineSeries::new(points.clone(), BLUE.mix(0.5).stroke_width(1)))?;
    chart.draw_series(bins.iter().map(|bin| {
        PathElement::new(vec![(bin.confidence, bin.low), (bin.confidence, bin.high)], BLUE.stroke_width(1))
    }))?;
    chart.draw_series(points.map(|point| Circle::new(point, 3, BLUE.filled())))?;
    Ok(())
}

fn histogram(area: &Area<'_>, bins: &[ReliabilityBin]) -> Result<(), ReportError> {
    let most = bins.iter().map(|bin| bin.count).max().unwrap_or(1) as f64;
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .margin_right(16)
        .y_label_area_size(LEFT)
        .x_label_area_size(44)
        .build_cartesian_2d(0.0..1.0, 0.0..most * 1.05)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(6)
        .y_labels(3)
        .x_label_formatter(&|share| format!("{share:.1}"))
        .y_label_formatter(&|answers| format!("{answers:.0}"))
        .x_desc("confidence (probability of the answer)")
        .y_desc("answers")
        .bold_line_style(GREY.mix(0.25))
        .light_line_style(TRANSPARENT)
        .axis_style(GREY.mix(0.6))
        .label_style(text_style(INK))
        .draw()?;
    chart.draw_series(bins.iter().map(|bin| {
        // A bin tells its mean confidence, not its edges: the bar is as thin as that.
        let (left, right) = (bin.confidence - 0.008, bin.confidence + 0.008);
        Rectangle::new([(left.max(0.0), 0.0), (right.min(1.0), bin.count as f64)], PALE.filled())
    }))?;
    Ok(())
}

fn says(bins: &[ReliabilityBin]) -> String {
    let gap = |bin: &&ReliabilityBin| (bin.accuracy - bin.confidence).abs();
    let farthest = bins.iter().max_by(|a, b| gap(a).total_cmp(&gap(b)));
    let farthest = farthest.map_or_else(String::new, |bin| {
        let (confidence, accuracy) = (decimal(bin.confidence), decimal(bin.accuracy));
        format!("; farthest from the diagonal is accuracy {accuracy} at confidence {confidence}")
    });
    let answers: u64 = bins.iter().map(|bin| bin.count).sum();
    format!("Accuracy against confidence for {} bins of {} answers{farthest}.", bins.len(), count(answers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_the_bin_that_is_farthest_off() {
        let bin =
            |confidence, accuracy| ReliabilityBin { confidence, accuracy, low: 0.0, high: 1.0, count: 10 };
        assert_eq!(
            says(&[bin(0.5, 0.52), bin(0.9, 0.7)]),
            "Accuracy against confidence for 2 bins of 20 answers; farthest from the diagonal is accuracy 0.700 at \
             confidence 0.900."
        );
    }
}
