//! The sections of the page, each in a file of its own. A section that has nothing to say is left out.

use maud::{Markup, Render, html};

use super::words::Term;
use crate::eval::report::ReportData;
use crate::eval::report::ReportError;

mod confusion;
mod duplicates;
mod errors;
mod figures;
mod gates;
mod labels;
mod noise;
mod reliability;
mod selective;
mod slices;

/// A section of the page.
#[derive(Debug)]
pub(super) struct Section {
    /// What links name it by.
    pub(super) id: &'static str,
    /// Its heading.
    pub(super) heading: Term,
    /// What stands under the heading.
    body: Markup,
}

impl Render for Section {
    fn render(&self) -> Markup {
        html! {
            section id=(self.id) {
                h2 { (self.heading) }
                (self.body)
            }
        }
    }
}

/// All sections that have something to say, in the order of the page.
pub(super) fn all(data: &ReportData) -> Result<Vec<Section>, ReportError> {
    let sections = [
        figures::section(&data.figures, &data.what),
        gates::section(&data.gates, &data.figures),
        labels::section(&data.labels)?,
        confusion::section(data.confusion_matrix.as_ref()),
        reliability::section(&data.reliability)?,
        selective::section(data.risk_coverage.as_ref())?,
        slices::section(&data.slices, &data.figures)?,
        errors::section(&data.errors),
        noise::section(&data.label_noise),
        duplicates::section(&data.duplicates),
    ];
    Ok(sections.into_iter().flatten().collect())
}
