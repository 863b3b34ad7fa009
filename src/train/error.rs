//! Why a run cannot start or go on.

use std::path::PathBuf;

use crate::encoder::{BertConfigError, WeightsError};
use crate::registry::RegistryError;
use crate::table::TableError;
use crate::tokenizer::TokenizerError;

use super::checkpoint::CheckpointError;
use super::dataset::DatasetError;
use super::init::InitError;

/// Why a run cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The data cannot be used.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// A file of rows cannot be read.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The first weights cannot be had.
    #[error(transparent)]
    Init(#[from] InitError),
    /// The base model's files cannot be read.
    #[error(transparent)]
    Files(#[from] RegistryError),
    /// The base model's weights cannot be read.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The tokenizer cannot be used.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// The encoder's shape does not hold together.
    #[error(transparent)]
    Shape(#[from] BertConfigError),
    /// A checkpoint cannot be written or gone on from.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The tensor library failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// The base model's configuration is not that of a BERT.
    #[error("`{path}` is not a BERT configuration: {source}")]
    BaseConfig {
        /// The file.
        path: PathBuf,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// A file cannot be read or written.
    #[error("`{path}`: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Something is in the way.
    #[error("`{path}` is not empty\nhint: name a new folder, or pass `--resume` to go on with the run in it")]
    OutputNotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// There is nothing to go on from.
    #[error("`{path}` holds no checkpoint\nhint: start without `--resume`; a finished run has none either")]
    NothingToResume {
        /// The folder.
        path: PathBuf,
    },
    /// Longer sequences than the encoder has positions.
    #[error("`--max-tokens` is {asked}, but the encoder has {positions} positions")]
    MaxTokens {
        /// What was asked for.
        asked: usize,
        /// What the encoder has.
        positions: usize,
    },
    /// Vectors of another vocabulary.
    #[error("there are {vectors} vectors for {pieces} lines of the vocabulary")]
    VectorCount {
        /// Rows of the vectors.
        vectors: usize,
        /// Lines of the vocabulary.
        pieces: usize,
    },
    /// A label that the label system does not have.
    #[error("`{path}` has the label `{label}`, which the label system does not have")]
    SystemLabel {
        /// The file.
        path: PathBuf,
        /// The label.
        label: String,
    },
    /// The crosswalk is about other categories.
    #[error(
        "the label system of `{path}` says nothing about {categories}\nhint: a crosswalk needs a primary head of the taxonomy's categories"
    )]
    SystemCategories {
        /// The file of rows.
        path: PathBuf,
        /// The labels of the primary head that it does not know.
        categories: String,
    },
    /// The loss or its gradient is not a number.
    #[error("the loss is not finite at step {step}\nhint: lower `--learning-rate`")]
    NotFinite {
        /// Steps that went well.
        step: usize,
    },
    /// The weights cannot be put into a file's form.
    #[error("the weights cannot be written: {0}")]
    Serialize(safetensors::SafeTensorError),
    /// The calibration cannot be written.
    #[error("the calibration cannot be written: {0}")]
    Calibration(serde_json::Error),
}
