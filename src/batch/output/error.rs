//! What may go wrong with a file that is written, and what to do then.

use std::io;
use std::path::{Path, PathBuf};

use datafusion::arrow::error::ArrowError;
use datafusion::parquet::errors::ParquetError;

/// Why a file is not written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// No room is left.
    #[error("cannot write `{file}`: {source}\nhint: free space on that disk, then run again with `--resume`")]
    Full {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The system refuses for another reason.
    #[error("cannot write `{file}`: {source}")]
    Write {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A part cannot be read.
    #[error("cannot read the part `{file}`: {source}")]
    Read {
        /// The part.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A part is not what was once written.
    #[error("the part `{file}` is damaged: {problem}\nhint: remove it, then run again with `--resume`")]
    Part {
        /// The part.
        file: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The rows do not fit the file's schema, or the format has no form for them.
    #[error("cannot put the rows into `{file}`: {source}")]
    Rows {
        /// The file.
        file: PathBuf,
        /// What Arrow says.
        source: ArrowError,
    },
    /// The Parquet writer refuses.
    #[error("cannot write `{file}`: {source}")]
    Parquet {
        /// The file.
        file: PathBuf,
        /// What it says.
        source: ParquetError,
    },
    /// Rows are missing, as an earlier error said.
    #[error("`{file}` is not whole, since rows could not be written before")]
    Incomplete {
        /// The file.
        file: PathBuf,
    },
}

impl OutputError {
    pub(super) fn write(file: &Path, source: io::Error) -> Self {
        let file = file.to_owned();
        if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            Self::Full { file, source }
        } else {
            Self::Write { file, source }
        }
    }

    pub(super) fn cut_off(part: &Path) -> Self {
        Self::Part { file: part.to_owned(), problem: "its last row is cut off".to_owned() }
    }

    pub(super) fn csv(file: &Path, source: csv::Error) -> Self {
        // Not by way of `io::Error::from`, which hides that a disk is full.
        let told = source.to_string();
        let csv::ErrorKind::Io(source) = source.into_kind() else {
            return Self::write(file, io::Error::other(told));
        };
        Self::write(file, source)
    }

    pub(super) fn rows(file: &Path, source: ArrowError) -> Self {
        Self::Rows { file: file.to_owned(), source }
    }

    pub(super) fn parquet(file: &Path, source: ParquetError) -> Self {
        let owned = file.to_owned();
        let ParquetError::External(cause) = source else {
            return Self::Parquet { file: owned, source };
        };
        match cause.downcast() {
            Ok(cause) => Self::write(file, *cause),
            Err(cause) => Self::Parquet { file: owned, source: ParquetError::External(cause) },
        }
    }
}
