//! Pictures as SVG that stands in the page: their text is text, in the page's own fonts.
//!
//! Axes and scales are drawn by plotters; the heat map and the strips, which have none, are written as they are.

use std::error::Error;

use maud::{Markup, PreEscaped, Render, html};
use plotters::coord::Shift;
use plotters::prelude::*;

use crate::eval::report::ReportError;

mod confusion;
mod interval_rows;
mod reliability;
mod risk_coverage;
mod strip;

pub(super) use confusion::confusion;
pub(super) use interval_rows::{IntervalRow, Mark, interval_rows};
pub(super) use reliability::reliability;
pub(super) use risk_coverage::risk_coverage;
pub(super) use strip::strip;

/// Where plotters draws.
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

const INK: RGBColor = RGBColor(0x33, 0x33, 0x33);
const GREY: RGBColor = RGBColor(0x99, 0x99, 0x99);
const BLUE: RGBColor = RGBColor(0x2f, 0x5d, 0x8a);
const PALE: RGBColor = RGBColor(0xb4, 0xc7, 0xd9);

/// The size of all text in plots, in CSS pixels.
const TEXT: f64 = 11.5;

impl<E: Error + Send + Sync> From<DrawingAreaErrorKind<E>> for ReportError {
    fn from(error: DrawingAreaErrorKind<E>) -> Self {
        Self::Plot(error.to_string())
    }
}

/// A picture under its title.
pub(super) fn figure(title: impl Render, svg: &Markup) -> Markup {
    html! { figure { figcaption { (title) } (svg) } }
}

/// Draws a picture of so many CSS pixels; `says` tells in a sentence what it shows, for those who do not see it.
fn drawn(
    (width, height): (u32, u32),
    says: &str,
    draw: impl FnOnce(&Area<'_>) -> Result<(), ReportError>,
) -> Result<Markup, ReportError> {
    let mut document = String::new();
    {
        let area = SVGBackend::with_string(&mut document, (width, height)).into_drawing_area();
        draw(&area)?;
        area.present()?;
    }
    // plotters writes a document with a root of its own, which could not carry the sentence.
    let inner = document.split_once('>').map_or("", |(_, rest)| rest).trim_end().trim_end_matches("</svg>");
    Ok(svg((f64::from(width), f64::from(height)), says, &PreEscaped(inner.to_owned())))
}

/// The root of a picture.
fn svg((width, height): (f64, f64), says: &str, inner: &Markup) -> Markup {
    html! {
        svg role="img" aria-label=(says) width=(width) height=(height) viewBox={ "0 0 " (width) " " (height) } {
            (inner)
        }
    }
}

/// The style of all text.
fn text_style(color: RGBColor) -> TextStyle<'static> {
    // plotters divides the size by this, to turn it into a height of capitals.
    ("sans-serif", TEXT * 1.24).into_font().color(&color)
}

/// How many columns of half a Chinese character a name is wide, about.
fn columns(name: &str) -> usize {
    name.chars().map(|character| if character.is_ascii() { 1 } else { 2 }).sum()
}

/// The name, cut to so many columns.
fn shortened(name: &str, most: usize) -> String {
    if columns(name) <= most {
        return name.to_owned();
    }
    let mut short = String::new();
    for character in name.chars() {
        if columns(&short) + columns(character.encode_utf8(&mut [0; 4])) + 1 > most {
            break;
        }
        short.push(character);
    }
    short + "…"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_by_their_width() {
        assert_eq!(shortened("道路保洁", 8), "道路保洁");
        assert_eq!(shortened("道路保洁", 7), "道路保…");
        assert_eq!(shortened("road cleaning", 6), "road …");
    }

    #[test]
    fn a_picture_has_one_root_that_says_what_it_shows() {
        let svg = drawn((40, 20), "A \"line\".", |area| Ok(area.fill(&WHITE)?)).unwrap().into_string();
        assert!(svg.starts_with(r#"<svg role="img" aria-label="A &quot;line&quot;.""#), "{svg}");
        assert_eq!((svg.matches("<svg").count(), svg.matches("</svg>").count()), (1, 1), "{svg}");
    }
}
