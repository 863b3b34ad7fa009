//! How good a classifier is: figures on rows whose labels are known, with intervals, and what to read beside them.
//!
//! ```text
//! rows ─▶ gold ┐
//!              ├─▶ evaluation ─▶ report ─▶ html, gate, plain text
//! answers ─────┘        └─▶ predictions ─▶ comparison
//! ```
//!
//! [`rows`] reads the rows, [`answers`] asks the model, the pipeline or a service, [`metrics`] counts; what comes out is a
//! [`report`] (also `report.json`), which [`html`] makes a page of and [`gate`] holds against bounds. [`predictions`] keep
//! what was answered, so that [`comparison`] can tell whether another model is better.

pub mod answers;
mod catalogue;
pub mod comparison;
mod curves;
mod doubtful;
mod errors;
mod evaluation;
mod figures;
pub mod gate;
pub mod gold;
pub mod html;
pub mod metrics;
pub mod predictions;
mod problem;
pub mod question;
pub mod report;
mod roll_up;
pub mod rows;
mod slices;
mod text;

pub use evaluation::Evaluation;
pub use figures::Bootstrap;
