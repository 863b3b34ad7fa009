//! What a run is told: data, heads, the start, and how to train.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::classifier::Pooling;
use crate::encoder::BertConfig;

use super::objective::{ClassWeights, Crosswalk};
use super::optimizer::OptimizerSettings;

/// Which columns hold what.
#[derive(Debug, Clone)]
pub struct TextColumns {
    /// The words.
    pub text: String,
    /// The title; rows need not have one.
    pub title: String,
    /// The id by which rows of several files are known to be the same.
    pub id: String,
}

impl Default for TextColumns {
    fn default() -> Self {
        Self { text: "text".into(), title: "title".into(), id: "id".into() }
    }
}

/// A head and the column that teaches it.
#[derive(Debug, Clone, PartialEq)]
pub struct HeadColumn {
    /// The head's name.
    pub head: String,
    /// The column of the label or the list of labels.
    pub column: String,
    /// Whether a text in the column is a list separated by `;`, as in CSV files.
    pub list: bool,
    /// A column of further labels that would do, for a head of one label; they get a share of its probability.
    pub also: Option<String>,
}

impl HeadColumn {
    /// A head that a column teaches.
    pub fn new(head: impl Into<String>, column: impl Into<String>) -> Self {
        Self { head: head.into(), column: column.into(), list: false, also: None }
    }

    /// The columns that it needs.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.column).chain(&self.also)
    }
}

/// Everything that a run is told.
#[derive(Debug, Clone)]
pub struct TrainSettings {
    /// Files of the main set.
    pub train: Vec<PathBuf>,
    /// Rows to measure on; they are never trained on, and neither are rows with their ids or words.
    pub dev: Option<PathBuf>,
    /// Share of the main set that is held out where there is no dev file.
    pub dev_share: f64,
    /// Files whose ids are not trained on either.
    pub exclude_ids: Vec<PathBuf>,
    /// Which columns hold text, title and id.
    pub columns: TextColumns,
    /// The heads; the first is the primary one.
    pub heads: Vec<HeadColumn>,
    /// Weight of the losses of all heads but the first.
    pub other_heads_weight: f64,
    /// Sets with labels of their own that only help the encoder.
    pub auxiliary: Vec<AuxiliaryData>,
    /// Sets labelled in another system that teach the primary head.
    pub crosswalks: Vec<CrosswalkData>,
    /// Known orders of labels; a head whose labels one of them knows follows it.
    pub label_orders: Vec<Vec<String>>,
    /// Where the weights start.
    pub start: Start,
    /// How hidden states become one vector a text.
    pub pooling: Pooling,
    /// Longest sequence, special tokens included.
    pub max_tokens: usize,
    /// Texts a step.
    pub batch_size: usize,
    /// Most epochs; without a number 3 or 4, by the size of the data.
    pub epochs: Option<usize>,
    /// Epochs without a smaller dev loss of the primary head before the run ends.
    pub patience: usize,
    /// AdamW and the course of the learning rate.
    pub optimizer: OptimizerSettings,
    /// Dropout, if not that of the base model.
    pub dropout: Option<f64>,
    /// Share of a single label's probability that is spread over all labels.
    pub label_smoothing: f32,
    /// Single-label heads whose first label is the quiet one; the others must not be missed.
    pub alert_heads: Vec<String>,
    /// Whether rare labels count for more.
    pub class_weights: ClassWeights,
    /// Seed of everything that is random.
    pub seed: u64,
    /// Where the bundle goes.
    pub output: PathBuf,
    /// Whether to go on from the checkpoint in the output folder.
    pub resume: bool,
    /// Minutes between checkpoints; one more is written after each epoch.
    pub checkpoint_minutes: f64,
    /// Steps after which to stop with a checkpoint, to be resumed later.
    pub pause_after_steps: Option<usize>,
    /// Most n-grams of the linear model beside the encoder; 0 for none.
    pub ngrams: usize,
    /// Whether to store weights as float16.
    pub half: bool,
}

/// A set that only helps the encoder.
#[derive(Debug, Clone, PartialEq)]
pub struct AuxiliaryData {
    /// The file.
    pub path: PathBuf,
    /// Its label column.
    pub column: String,
    /// How often an epoch sees each row.
    pub weight: f64,
}

/// A set labelled in another system.
#[derive(Debug, Clone, PartialEq)]
pub struct CrosswalkData {
    /// The file.
    pub path: PathBuf,
    /// Its label column.
    pub column: String,
    /// The system.
    pub crosswalk: Crosswalk,
    /// How often an epoch sees each row.
    pub weight: f64,
}

/// Where the weights start.
#[derive(Debug, Clone, PartialEq)]
pub enum Start {
    /// A Hugging Face folder with an encoder; heads are taken over where their labels are the same.
    Base(PathBuf),
    /// Random weights.
    Fresh {
        /// The vocabulary, one piece a line.
        vocabulary: PathBuf,
        /// Vectors of the pieces, in NumPy's format; they set the width of the hidden states.
        vectors: Option<PathBuf>,
        /// The shape; `vocab_size` and, with vectors, `hidden_size` are found out.
        shape: BertConfig,
    },
}

/// Tokens that a run reads where nobody says how often: about ten minutes of a small encoder on two cores.
const DEFAULT_TOKENS: usize = 4_000_000;

/// How many epochs of so many tokens a run has by default; beside the n-grams the encoder has learnt what it can in four,
/// and the rate must have fallen by then.
pub(super) fn default_epochs(tokens: usize) -> usize {
    (DEFAULT_TOKENS / tokens.max(1)).clamp(3, 4)
}

impl TrainSettings {
    /// Settings that work for a small encoder; the caller names data, heads and start.
    pub fn new(train: Vec<PathBuf>, heads: Vec<HeadColumn>, start: Start, output: PathBuf) -> Self {
        Self {
            train,
            dev: None,
            dev_share: 0.1,
            exclude_ids: Vec::new(),
            columns: TextColumns::default(),
            heads,
            other_heads_weight: 0.5,
            auxiliary: Vec::new(),
            crosswalks: Vec::new(),
            label_orders: Vec::new(),
            start,
            pooling: Pooling::Mean,
            max_tokens: 256,
            batch_size: 32,
            epochs: None,
            patience: 3,
            optimizer: OptimizerSettings::default(),
            dropout: None,
            label_smoothing: 0.05,
            alert_heads: Vec::new(),
            class_weights: ClassWeights::Equal,
            seed: 1,
            output,
            resume: false,
            checkpoint_minutes: 10.0,
            pause_after_steps: None,
            ngrams: 65_536,
            half: false,
        }
    }

    /// What the result depends on, data files by name and SHA-256: two runs with the same give the same bundle.
    pub(crate) fn provenance(&self, digests: &[(String, String)]) -> Value {
        let start = match &self.start {
            Start::Base(path) => json!({ "base": path }),
            Start::Fresh { vocabulary, vectors, shape } => {
                json!({ "vocabulary": vocabulary, "vectors": vectors, "shape": shape })
            }
        };
        let columns = &self.columns;
        json!({
            "data": digests.iter().map(|(name, digest)| json!({ "file": name, "sha256": digest })).collect::<Vec<_>>(),
            "train": self.train,
            "dev": self.dev,
            "dev_share": if self.dev.is_some() { 0.0 } else { self.dev_share },
            "exclude_ids": self.exclude_ids,
            "columns": json!({ "text": columns.text, "title": columns.title, "id": columns.id }),
            "heads": self.heads.iter().map(|head| json!({ "name": head.head, "column": head.column, "list": head.list, "also": head.also })).collect::<Vec<_>>(),
            "other_heads_weight": self.other_heads_weight,
            "auxiliary": self.auxiliary.iter()
                .map(|set| json!({ "file": set.path, "column": set.column, "weight": set.weight })).collect::<Vec<_>>(),
            "crosswalks": self.crosswalks.iter()
                .map(|set| json!({ "file": set.path, "column": set.column, "weight": set.weight })).collect::<Vec<_>>(),
            "start": start,
            "pooling": self.pooling,
            "max_tokens": self.max_tokens,
            "batch_size": self.batch_size,
            "epochs": self.epochs,
            "patience": self.patience,
            "optimizer": self.optimizer,
            "dropout": self.dropout,
            "label_smoothing": self.label_smoothing,
            "class_weights": self.class_weights,
            "ngrams": self.ngrams,
            "seed": self.seed,
        })
    }
}
