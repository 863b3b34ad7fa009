//! What the service keeps on disk, in one folder: corrections (退单/改派) and the log of its decisions.
//!
//! Corrections are promises: one that was acknowledged survives a crash and a power cut, and is never changed. The log
//! of decisions is for audit: written in the background, bounded in age and size, and it gives way when the disk
//! cannot follow. Both are SQLite files in WAL mode, so they belong on a local disk.
//!
//! One process writes in a folder; any number may read, also while it writes. What categories, departments and rules
//! mean is left to the callers: here they are ids. So is masking: texts are kept as they are given.

mod audit;
mod correction;
mod corrections;
mod database;
mod decision;
mod decisions;
mod error;
mod export;
mod folder;
mod history;
mod report;
mod table;

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

pub use audit::{DecisionReader, DecisionTotals};
pub use correction::{
    Correction, CorrectionReason, CorrectionVersions, DecidedDispatch, RecordedCorrection, SuggestedDispatch,
};
pub use corrections::{Corrections, Recorded};
pub use decision::{Action, Decision, DecisionVersions, Outcome, TextDigest};
pub use decisions::{DecisionLimits, Decisions, MIN_DECISION_BYTES};
pub use error::{Conflict, RecordsError, Violation};
pub use export::{ExportSummary, RequestWords};
pub use history::{CorrectionFilter, CorrectionPage, CorrectionReader, MAX_PAGE};
pub use report::{CorrectionCounts, CorrectionReport};

use folder::Folder;

/// The folder of records, open for writing.
///
/// Dropping it waits until all that was handed over is written.
#[derive(Debug)]
pub struct Records {
    corrections: Corrections,
    decisions: Decisions,
    // The last field, so that the folder is free only when both writers are done.
    _folder: Folder,
}

impl Records {
    /// Opens the folder `dir` for writing, and makes it and its files where they do not exist.
    ///
    /// # Errors
    /// If another process writes there, the folder or a file cannot be used, a file is damaged or was made by a newer
    /// version, or the limits are too small.
    pub fn open(dir: &Path, limits: DecisionLimits) -> Result<Self, RecordsError> {
        limits.check()?;
        let folder = Folder::lock(dir)?;
        let corrections = Corrections::open(dir)?;
        let decisions = Decisions::open(dir, limits)?;
        // After the files were made: a power cut must not take their names away.
        folder.sync()?;
        Ok(Self { corrections, decisions, _folder: folder })
    }

    /// The store of corrections.
    pub fn corrections(&self) -> &Corrections {
        &self.corrections
    }

    /// The log of decisions.
    pub fn decisions(&self) -> &Decisions {
        &self.decisions
    }
}

/// Now, in milliseconds since 1970.
fn unix_millis() -> i64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_second_writer_is_refused_until_the_first_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let limits = DecisionLimits { max_age: Duration::from_secs(60), max_bytes: MIN_DECISION_BYTES };
        let first = Records::open(dir.path(), limits).unwrap();
        let error = Records::open(dir.path(), limits).unwrap_err();
        assert!(matches!(error, RecordsError::Locked { .. }), "{error}");
        assert!(error.to_string().contains("hint: "), "{error}");
        drop(first);
        Records::open(dir.path(), limits).unwrap();
    }
}
