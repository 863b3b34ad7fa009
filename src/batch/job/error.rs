//! Why a job is not done.

use std::io;
use std::path::PathBuf;

use datafusion::arrow::error::ArrowError;
use datafusion::common::DataFusionError;

use crate::batch::manifest::ManifestError;
use crate::batch::output::OutputError;
use crate::message::quoted;
use crate::rows::ReadError;

/// Why a job is not done.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// The output is there already.
    #[error("`{output}` is there already\nhint: name another file, or replace it with `--overwrite`")]
    Exists {
        /// The file.
        output: PathBuf,
    },
    /// An earlier run of the same name is not finished.
    #[error(
        "`{folder}` holds the finished parts of a run that did not end\nhint: `--resume` goes on with it, `--overwrite` starts again"
    )]
    Unfinished {
        /// The folder.
        folder: PathBuf,
    },
    /// The run to go on with was another.
    #[error("`{folder}` belongs to a run that was not this one:\n{}\nhint: `--allow-changes` keeps finished parts of files that have not changed, each row stamped with what answered it; `--overwrite` starts again", differences.join("\n"))]
    Changed {
        /// The folder.
        folder: PathBuf,
        /// What differs.
        differences: Vec<String>,
    },
    /// A column to carry through is not there.
    #[error(
        "no file has the column `{column}` that `--keep` names\nhint: the columns are {}",
        quoted(columns)
    )]
    NoColumn {
        /// The column.
        column: String,
        /// Those that there are.
        columns: Vec<String>,
    },
    /// The manifest cannot be kept.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A file cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// A part could not be answered.
    #[error(transparent)]
    Engine(#[from] DataFusionError),
    /// Columns are not what they should be.
    #[error(transparent)]
    Arrow(#[from] ArrowError),
    /// A folder or a file cannot be written or removed.
    #[error("cannot write `{path}`: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Somebody wrote to a file while it was read.
    #[error(
        "`{file}` has changed while it was read\nhint: let nobody write to it, and start again with `--overwrite`"
    )]
    InputChanged {
        /// The file.
        file: String,
    },
    /// A file can no longer be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Rows are missing or came twice: a fault of this program.
    #[error(
        "{read} rows were read, but {written} came out\nhint: the finished parts are kept; please report this"
    )]
    Unreconciled {
        /// Rows of the input.
        read: u64,
        /// Rows of output and rejects.
        written: u64,
    },
}
