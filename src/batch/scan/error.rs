//! Why a part cannot be read.

use std::path::PathBuf;

use datafusion::arrow::error::ArrowError;
use datafusion::parquet::errors::ParquetError;

use crate::rows::ReadError;

/// Why a part cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ScanError {
    /// A file cannot be read any more.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A Parquet file cannot be read any more.
    #[error("cannot read `{file}` as Parquet: {source}")]
    Parquet {
        /// The file.
        file: PathBuf,
        /// What the reader says.
        source: ParquetError,
    },
    /// The rows are not what the job was made of.
    #[error(
        "`{file}` has changed while it was read: it has fewer rows now\nhint: let nothing write to it, and start again"
    )]
    Changed {
        /// The file.
        file: String,
    },
    /// Rows do not fit their columns.
    #[error(transparent)]
    Arrow(#[from] ArrowError),
}
