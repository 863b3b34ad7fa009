//! One error for everything above the model: what went wrong, and what kind of outcome that is.

use std::path::PathBuf;

use crate::classifier::ModelError;
use crate::fault::FileError;
use crate::registry::RegistryError;
use crate::request::RequestError;

/// The crate's result.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong between a request and its answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request is at fault; every field is named.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The model cannot be loaded or run.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A model's files cannot be found or read.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A taxonomy or directory does not hold together, or cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The model's labels are not those of the taxonomy or the directory.
    #[error(
        "head `{head}` of model `{model}` has labels that {where_missing} does not know: {labels}\nhint: {hint}"
    )]
    UnknownLabels {
        /// The model's name.
        model: String,
        /// The head's name.
        head: String,
        /// `the taxonomy` or `the directory`.
        where_missing: &'static str,
        /// The labels, joined.
        labels: String,
        /// What to do.
        hint: &'static str,
    },
    /// The model cannot say what a request is about.
    #[error(
        "model `{model}` has no single-label head `category`; its heads: {heads}\nhint: name it so when you train: `jiesu train --head-name category`"
    )]
    NoCategoryHead {
        /// The model's name.
        model: String,
        /// The heads it has, joined.
        heads: String,
    },
    /// The queue is full.
    #[error("the queue of {limit} requests is full")]
    Overloaded {
        /// How many requests may wait.
        limit: usize,
    },
    /// The service is loading or shutting down.
    #[error("the service is shutting down")]
    Unavailable,
    /// The caller's deadline ran out.
    #[error("the deadline ran out before the model came to the request")]
    DeadlineExceeded,
    /// The model panicked; the panic is in the log.
    #[error("the model failed on this request")]
    Panicked,
    /// A file or socket failed.
    #[error("`{path}`: {source}")]
    Io {
        /// The file, folder or address.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

/// The kinds of outcome that a caller can tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The caller must change the request.
    InvalidInput,
    /// The caller should come back later.
    Overloaded,
    /// Another server, or this one later, may answer.
    Unavailable,
    /// The caller's time was too short.
    DeadlineExceeded,
    /// The fault is ours, or the deployment's.
    Internal,
}

impl Error {
    /// The kind of outcome.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Request(_) => ErrorKind::InvalidInput,
            Self::Overloaded { .. } => ErrorKind::Overloaded,
            Self::Unavailable => ErrorKind::Unavailable,
            Self::DeadlineExceeded => ErrorKind::DeadlineExceeded,
            Self::Model(_)
            | Self::Registry(_)
            | Self::File(_)
            | Self::UnknownLabels { .. }
            | Self::NoCategoryHead { .. }
            | Self::Panicked
            | Self::Io { .. } => ErrorKind::Internal,
        }
    }
}
