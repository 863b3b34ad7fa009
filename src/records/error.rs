//! What can go wrong with records on disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::ErrorCode;

use super::correction::Correction;
use crate::message::quoted;

/// Why records cannot be written or read.
///
/// It can be cloned, since corrections are written in groups and all of a group fail together.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RecordsError {
    /// The folder cannot be made or used.
    #[error("cannot keep records in `{}`: {source}\nhint: name a folder on a local disk that the service may write in", dir.display())]
    Folder {
        /// The folder.
        dir: PathBuf,
        /// What the system says.
        source: Arc<std::io::Error>,
    },
    /// Another process writes in the folder.
    #[error("another process writes the records in `{}`\nhint: stop it first, or give each server a folder of its own", dir.display())]
    Locked {
        /// The folder.
        dir: PathBuf,
    },
    /// There is no file to read.
    #[error("there is no `{}`\nhint: is this the folder that `--records` named?", file.display())]
    Missing {
        /// The file.
        file: PathBuf,
    },
    /// The file was made by a newer version of the program, or by another program.
    #[error(
        "`{}` has schema version {found}, and this program knows {known}\nhint: use the version of the program that wrote it, or another folder",
        file.display()
    )]
    Schema {
        /// The file.
        file: PathBuf,
        /// The version in the file.
        found: i64,
        /// The newest version that is known here.
        known: i64,
    },
    /// The file is no longer what was written.
    #[error(
        "`{}` is damaged: {problem}\nhint: move it away, with `-wal` and `-shm` beside it, and start again with a backup or an empty file; `sqlite3 FILE .recover` may save what is left",
        file.display()
    )]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What was found.
        problem: String,
    },
    /// There is no room left.
    #[error("no room on the disk for `{}`; nothing was recorded\nhint: make room and send it again", file.display())]
    DiskFull {
        /// The file.
        file: PathBuf,
    },
    /// SQLite failed otherwise.
    #[error("cannot use `{}`: {source}", file.display())]
    Sqlite {
        /// The file.
        file: PathBuf,
        /// What SQLite says.
        source: Arc<rusqlite::Error>,
    },
    /// A row cannot be handed on.
    #[error("cannot write the exported rows: {source}")]
    Export {
        /// What the system says.
        source: Arc<std::io::Error>,
    },
    /// What the caller gave cannot be taken; all violations at once.
    #[error("{}", violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Invalid {
        /// At least one violation.
        violations: Vec<Violation>,
    },
    /// The request has a correction already, and it says something else.
    #[error(transparent)]
    Conflict(Box<Conflict>),
    /// More corrections wait for the disk than may wait.
    #[error("{waiting} corrections wait for the disk already\nhint: send it again in a moment")]
    Busy {
        /// How many may wait.
        waiting: usize,
    },
    /// The store is closed, or closed before this was written.
    #[error("the store of corrections is closed\nhint: send it again when the service is back")]
    Stopped,
}

impl RecordsError {
    /// Says what an error of SQLite means for `file`.
    pub(super) fn sqlite(file: &Path, source: rusqlite::Error) -> Self {
        let file = file.to_owned();
        match source.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::DiskFull { file },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Damaged { file, problem: source.to_string() }
            }
            Some(_) | None => Self::Sqlite { file, source: Arc::new(source) },
        }
    }

    /// The error for one field.
    pub(super) fn invalid(field: &'static str, problem: impl Into<String>) -> Self {
        Self::Invalid { violations: vec![Violation { field, problem: problem.into() }] }
    }
}

/// One thing wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct Violation {
    /// The field, such as `decided.lead`.
    pub field: &'static str,
    /// What is wrong, as a sentence for the caller.
    pub problem: String,
}

/// A second correction of a request that differs from the first.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "request `{}` already has correction {id}: `{}` led by `{}`, for reason `{}`; this one differs in {}\nhint: a recorded correction is never changed; repeat one only with the same content",
    recorded.request_id, recorded.decided.category, recorded.decided.lead, recorded.reason.id(),
    quoted(differs)
)]
pub struct Conflict {
    /// The id of the first.
    pub id: i64,
    /// When the first was recorded, in milliseconds since 1970.
    pub recorded_at: i64,
    /// The first.
    pub recorded: Correction,
    /// The fields that differ.
    pub differs: Vec<&'static str>,
}
