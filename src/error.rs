//! One error for everything above the model: what went wrong, and what kind of outcome that is.

use std::sync::Arc;
use std::time::Duration;

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
    /// A taxonomy of other categories than the built-in directory's.
    #[error(
        "the built-in directory does not fit this taxonomy\nhint: pass one that does: `--directory FILE`\n{0}"
    )]
    BuiltInDirectory(#[source] FileError),
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
        "model `{model}` has no head `category`; its heads: {heads}\nhint: name it so when you train: `jiesu train --head-name category`"
    )]
    NoCategoryHead {
        /// The model's name.
        model: String,
        /// The heads it has, joined.
        heads: String,
    },
    /// The model's categories do not exclude each other.
    #[error(
        "head `category` of model `{model}` is multi-label; a request has one category here\nhint: fine-tune the model for single-label classification, or use `jiesu evaluate` only"
    )]
    ManyCategories {
        /// The model's name.
        model: String,
    },
    /// A head has two labels for one thing.
    #[error("head `{head}` of model `{model}` has two labels for one thing: `{}` and `{}`", labels[0], labels[1])]
    TwinLabels {
        /// The model's name.
        model: String,
        /// The head's name.
        head: String,
        /// The two.
        labels: [String; 2],
    },
    /// Another model than the one that was asked for.
    #[error("the model has revision `{found}`, and `{expected}` was expected; the model in use stays")]
    UnexpectedRevision {
        /// The revision that was asked for.
        expected: String,
        /// That of the model that was found.
        found: String,
    },
    /// The queue is full.
    #[error("the queue is full: at most {limit} texts may wait")]
    Overloaded {
        /// How many texts may wait.
        limit: usize,
    },
    /// The texts before it will take half of what the caller's deadline leaves.
    #[error("too many texts came before: the model will come to this call in about {:.1} s, and the deadline is near", wait.as_secs_f64())]
    TooManyBefore {
        /// How long they will take.
        wait: Duration,
    },
    /// The model's threads are gone.
    #[error("the service cannot reach its model")]
    Unavailable,
    /// The caller's deadline ran out.
    #[error("the deadline ran out before the answer was ready")]
    DeadlineExceeded,
    /// The model failed on a batch, and with it every text of the batch.
    #[error(transparent)]
    Batch(Arc<Self>),
    /// The model panicked; the panic is in the log.
    #[error("the model failed on this request")]
    Panicked,
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
            Self::Overloaded { .. } | Self::TooManyBefore { .. } => ErrorKind::Overloaded,
            Self::Unavailable => ErrorKind::Unavailable,
            Self::Batch(error) => error.kind(),
            Self::DeadlineExceeded => ErrorKind::DeadlineExceeded,
            Self::Model(_)
            | Self::Registry(_)
            | Self::File(_)
            | Self::BuiltInDirectory(_)
            | Self::UnknownLabels { .. }
            | Self::NoCategoryHead { .. }
            | Self::ManyCategories { .. }
            | Self::TwinLabels { .. }
            | Self::UnexpectedRevision { .. }
            | Self::Panicked => ErrorKind::Internal,
        }
    }
}
