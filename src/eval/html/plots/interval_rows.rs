//! Figures with their intervals, one a row: bars for labels, points for slices.

use maud::Markup;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{Area, BLUE, GREY, INK, PALE, columns, drawn, shortened, text_style};
use crate::eval::report::Estimate;
use crate::eval::report::ReportError;

/// Height of a row and of what stands above and below them, in CSS pixels.
const ROW: u32 = 19;
const ABOVE: u32 = 20;
const BELOW: u32 = 44;
/// Width of half a Chinese character.
const COLUMN: u32 = 6;

/// A figure of one label or slice.
#[derive(Debug)]
pub(in super::super) struct IntervalRow {
    /// What it is a figure of.
    pub(in super::super) name: String,
    /// What stands at the end of the row.
    pub(in super::super) note: String,
    /// The figure, 0 to 1.
    pub(in super::super) estimate: Estimate,
    /// Whether it rests on too little: drawn hollow.
    pub(in super::super) doubtful: bool,
}

/// How a figure is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Mark {
    /// A bar from 0, with a whisker, as wide as the page.
    Bar,
    /// A point, with a whisker, two plots beside each other.
    Point,
}

impl Mark {
    fn width(self) -> u32 {
        match self {
            Self::Bar => 860,
            Self::Point => 420,
        }
    }

    /// The room for a name, in columns of half a Chinese character: the same in all plots beside each other, so that
    /// their scales are the same.
    fn name_columns(self, rows: &[IntervalRow]) -> usize {
        match self {
            Self::Bar => rows.iter().map(|row| columns(&row.name)).max().unwrap_or(0).clamp(6, 26),
            Self::Point => 18,
        }
    }
}

/// Draws the rows from the top, with a dashed line at `reference`; `headings` are those of the axis and of the notes.
pub(in super::super) fn interval_rows(
    rows: &[IntervalRow],
    mark: Mark,
    reference: Option<f64>,
    [axis, notes]: [&str; 2],
    says: &str,
) -> Result<Markup, ReportError> {
    let name_columns = mark.name_columns(rows);
    let names = COLUMN * name_columns as u32 + 12;
    let height = ABOVE + ROW * rows.len() as u32 + BELOW;
    let width = mark.width();
    let notes_end = width.cast_signed() - 6;
    drawn((width, height), says, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin_top(ABOVE)
            .margin_right(62)
            .y_label_area_size(names)
            .x_label_area_size(BELOW)
            .build_cartesian_2d(0.0..1.0, rows.len() as f64..0.0)?;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .y_labels(0)
            .x_labels(6)
            .x_label_formatter(&|share| format!("{share:.1}"))
            .x_desc(axis)
            .bold_line_style(GREY.mix(0.25))
            .light_line_style(TRANSPARENT)
            .axis_style(GREY.mix(0.6))
            .label_style(text_style(INK))
            .draw()?;
        if let Some(reference) = reference {
            let line = [(reference, 0.0), (reference, rows.len() as f64)];
            chart.draw_series(DashedLineSeries::new(line, 4, 3, GREY.stroke_width(1)))?;
        }
        for (index, row) in rows.iter().enumerate() {
            let y = index as f64 + 0.5;
            let value = row.estimate.value.clamp(0.0, 1.0);
            if mark == Mark::Bar {
                chart.draw_series([Rectangle::new([(0.0, y - 0.32), (value, y + 0.32)], PALE.filled())])?;
            }
            if let Some((low, high)) = row.estimate.interval() {
                let whisker = vec![(low.clamp(0.0, 1.0), y), (high.clamp(0.0, 1.0), y)];
                chart.draw_series([PathElement::new(whisker, BLUE.stroke_width(1))])?;
            }
            if row.doubtful {
                chart.draw_series([Circle::new((value, y), 3, WHITE.filled())])?;
                chart.draw_series([Circle::new((value, y), 3, BLUE.stroke_width(1))])?;
            } else {
                chart.draw_series([Circle::new((value, y), 3, BLUE.filled())])?;
            }
            let (left, middle) = chart.plotting_area().map_coordinate(&(0.0, y));
            write(area, &shortened(&row.name, name_columns), HPos::Right, (left - 8, middle), INK)?;
            write(area, &row.note, HPos::Right, (notes_end, middle), INK)?;
        }
        write(area, notes, HPos::Right, (notes_end, ABOVE.cast_signed() / 2), GREY)
    })
}

fn write(
    area: &Area<'_>,
    text: &str,
    side: HPos,
    place: (i32, i32),
    color: RGBColor,
) -> Result<(), ReportError> {
    let style = text_style(color).pos(Pos::new(side, VPos::Center));
    Ok(area.draw(&Text::new(text.to_owned(), place, style))?)
}
