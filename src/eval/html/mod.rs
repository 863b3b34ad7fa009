//! The report that an evaluator publishes: one HTML file that needs nothing else, for the screen and for paper.
//!
//! [`ReportData`](super::report::ReportData) is all that the page says, and what `report.json` holds; [`render`] turns it
//! into the page. Figures are counted elsewhere: this module only shows them. Texts of citizens and names of labels are
//! never trusted, so all of them pass through maud, which escapes; the page's policy (CSP) lets nothing run but its own
//! script.
//!
//! ```
//! # fn main() -> Result<(), jiesu::eval::report::ReportError> {
//! use jiesu::eval::html::render;
//! use jiesu::eval::report::ReportData;
//!
//! let json = r#"{
//!     "schema_version": 1,
//!     "what": {
//!         "head": "category", "files": ["rows.csv"], "rows": 200, "rows_without_label": 0,
//!         "model": "default", "model_revision": "1", "precision": "f32", "taxonomy_version": "1",
//!         "directory_version": "1", "program_version": "0.1.0", "seed": 7, "resamples": 1000,
//!         "confidence_level": 0.95, "created": "2026-01-31T09:30:00+08:00"
//!     }
//! }"#;
//! let page = render(&ReportData::from_json(json)?)?;
//! assert!(page.starts_with("<!DOCTYPE html>"));
//! # Ok(())
//! # }
//! ```

mod page;
mod plots;
mod sections;
mod table;
mod words;

pub use page::render;
