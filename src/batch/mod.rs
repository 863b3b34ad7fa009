//! Years of records, all at once: files in, the same rows with their classification out, and nothing lost on the way.
//!
//! ```text
//! files ─▶ input     what they are, which of their columns hold what
//!       ─▶ scan      rows as record batches, cut into parts
//!       ─▶ classify  the pipeline as a function of Apache DataFusion
//!       ─▶ separate  rows with an answer, rows that are rejected
//!       ─▶ output    durable part files, joined at the end
//!          manifest  which parts are finished, and of what
//! ```
//!
//! Each row of the input comes out exactly once: in the output, or among the rejects with the reason. What a part holds
//! depends on the input and the settings alone, so that a run that was killed and resumed writes the bytes that one in a
//! single go writes. [`local`] runs a job in this process; [`sql`] asks questions of the same tables.

mod classify;
#[cfg(feature = "cluster")]
pub mod cluster;
mod input;
mod job;
mod json_field;
pub mod local;
mod manifest;
mod output;
mod scan;
mod separate;
pub mod sql;
mod stamp;
mod tally;

pub use classify::{Classify, FUNCTION};
pub use input::{Content, InputError, InputFile, InputTable, Inputs, NamedColumns, Roles, find};
pub use job::{BatchError, BatchJob, Existing, FinishedPart, OpenJob, Opened, Outcome, PartInWork, Paths};
pub use manifest::ManifestError;
pub use output::{OutputError, OutputFormat, SingleFile, Written};
pub use scan::Scan;
pub use stamp::Stamp;
pub use tally::Tally;
