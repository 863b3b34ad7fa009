//! Whether confidences mean what they say.

use maud::html;

use super::super::plots;
use super::super::words::term;
use super::Section;
use crate::eval::report::ReliabilityBin;
use crate::eval::report::ReportError;

/// The section, if there are bins.
pub(super) fn section(bins: &[ReliabilityBin]) -> Result<Option<Section>, ReportError> {
    if bins.is_empty() {
        return Ok(None);
    }
    let plot = plots::reliability(bins)?;
    let body = html! {
        p.note {
            "Of the answers with a confidence of 0.8, 80 % should be right: the points of a calibrated model lie on the "
            "diagonal, below it the model is too sure. Whiskers are intervals; the bars below count the answers."
        }
        (plots::figure(term("Reliability", "可靠性图"), &plot))
    };
    Ok(Some(Section { id: "reliability", heading: term("Calibration", "校准"), body }))
}
