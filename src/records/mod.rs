//! What the service keeps on disk, in one folder: corrections (退单/改派) and the log of its decisions.
//!
//! Corrections are promises: one that was acknowledged survives a crash and a power cut, and is never changed. The log
//! of decisions is for audit: written in the background, bounded in age and size, and it gives way when the disk
//! cannot follow. Both are SQLite files in WAL mode, so they belong on a local disk.
//!
//! One process writes in a folder; any number may read, also while it writes. What categories, departments and rules
//! mean is left to the callers: here they are ids. So is masking: texts are kept as they are given.

mod audit;
mod clock;
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
mod retention;
mod table;

use std::path::Path;

pub use audit::{DecisionReader, DecisionTotals};
pub use clock::unix_millis;
pub use correction::{
    Correction, CorrectionReason, CorrectionVersions, DecidedDispatch, RecordedCorrection, SuggestedDispatch,
    Suggestion,
};
pub use corrections::{Corrections, Recorded};
pub use decision::{Action, Decision, DecisionVersions, Outcome, TextDigest};
pub use decisions::Decisions;
pub use error::{Conflict, RecordsError, Violation};
pub use export::{ExportSummary, RequestWords};
pub use history::{CorrectionFilter, CorrectionPage, CorrectionReader, MAX_PAGE};
pub use report::{CorrectionCounts, CorrectionReport};
pub use retention::{DecisionLimits, MIN_DECISION_BYTES};

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
    /// Opens the folder `dir` for writing, and makes it and its files where they do not exist, for this user only.
    ///
    /// A damaged log of decisions is moved aside, as `decisions.sqlite.damaged-<seconds since 1970>`, and a new one is
    /// begun.
    ///
    /// # Errors
    /// If another process writes there, the folder or a file cannot be used, the corrections are damaged, a file was
    /// made by a newer version, or the limits are too small.
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

    #[test]
    fn damage_of_the_decisions_does_not_stop_the_service_and_damage_of_corrections_does() {
        let dir = tempfile::tempdir().unwrap();
        let limits = DecisionLimits { max_age: Duration::from_secs(60), max_bytes: MIN_DECISION_BYTES };
        drop(Records::open(dir.path(), limits).unwrap());
        let damage =
            |name| std::fs::write(dir.path().join(name), "no database, though long enough. ".repeat(99));
        damage("decisions.sqlite").unwrap();
        let records = Records::open(dir.path(), limits).unwrap();
        assert_eq!(records.decisions().reader().find("r1").unwrap(), []);
        drop(records);
        damage("corrections.sqlite").unwrap();
        let error = Records::open(dir.path(), limits).unwrap_err();
        assert!(matches!(error, RecordsError::Damaged { .. }), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_may_read_the_files() {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("records");
        let limits = DecisionLimits { max_age: Duration::from_secs(60), max_bytes: MIN_DECISION_BYTES };
        let records = Records::open(&dir, limits).unwrap();
        assert_eq!(mode(&dir), 0o700);
        let files: Vec<_> = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(files.len(), 7, "a lock, and two databases with `-wal` and `-shm`: {files:?}");
        for file in files {
            assert_eq!(mode(&file), 0o600, "{}", file.display());
        }
        drop(records);

        // What somebody set is left as it is.
        for (path, set) in [(dir.clone(), 0o755), (dir.join("corrections.sqlite"), 0o640)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(set)).unwrap();
            Records::open(&dir, limits).unwrap();
            assert_eq!(mode(&path), set);
        }
    }
}
