//! Arguments of `jiesu train`.

use std::path::PathBuf;

use clap::{Args, ValueEnum, builder::RangedU64ValueParser};

/// Arguments of `jiesu train`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  jiesu train --base models/base --dev dev.jsonl --label-column category --output models/mine train.jsonl
  jiesu train --base models/base --dev dev.csv --head-name topic --label-column 问题分类 --output models/city train.csv
  jiesu train --base models/base --label-column category --head kind=kind --head risks=risks --output models/mine train.jsonl

The output is a model bundle for `--model`, in Hugging Face's layout. A run that was stopped goes on with `--resume` and
the same arguments, to the same result.")]
pub struct TrainArgs {
    /// Rows to train on: CSV or TSV with a header, a workbook, or JSON lines (.csv, .tsv, .xlsx, .jsonl).
    #[arg(value_name = "TRAIN", required = true)]
    pub train: Vec<PathBuf>,

    /// Folder for the model bundle.
    #[arg(long, value_name = "DIR")]
    pub output: PathBuf,

    /// Goes on with the run in the output folder.
    #[arg(long)]
    pub resume: bool,

    /// Data and labels.
    #[command(flatten)]
    pub data: DataArgs,

    /// Where the weights start.
    #[command(flatten)]
    pub start: StartArgs,

    /// How to train.
    #[command(flatten)]
    pub course: CourseArgs,
}

/// Data and labels.
#[derive(Debug, Args)]
#[command(next_help_heading = "Data")]
pub struct DataArgs {
    /// Rows to measure on. Training rows with their ids or words are left out.
    #[arg(long, value_name = "FILE")]
    pub dev: Option<PathBuf>,

    /// Share of the training rows to measure on where there is no `--dev`; 0 for none.
    #[arg(long, value_name = "SHARE", default_value_t = 0.1, value_parser = share)]
    pub dev_share: f64,

    /// File whose ids must not be trained on; may be given several times.
    #[arg(long, value_name = "FILE")]
    pub exclude_ids: Vec<PathBuf>,

    /// Column of the text.
    #[arg(long, value_name = "COLUMN", default_value = "text")]
    pub text_column: String,

    /// Column of the title; rows need not have one.
    #[arg(long, value_name = "COLUMN", default_value = "title")]
    pub title_column: String,

    /// Column of the id.
    #[arg(long, value_name = "COLUMN", default_value = "id")]
    pub id_column: String,

    /// Column of the label of the primary head; `COLUMN[]` is a list of labels separated by `;`, and
    /// `COLUMN+FURTHER` also reads a column of further labels that would do: they get a fifth of the probability.
    #[arg(long, value_name = "COLUMN")]
    pub label_column: String,

    /// Name of the primary head.
    #[arg(long, value_name = "NAME", default_value = "category")]
    pub head_name: String,

    /// One more head; a column of JSON lists, or `NAME=COLUMN[]`, makes a head whose labels may hold together.
    #[arg(long = "head", value_name = "NAME=COLUMN")]
    pub heads: Vec<String>,

    /// Rows with labels of their own that only help the encoder; `*0.5` takes half of them an epoch. Rows that are in the
    /// main files too cost no time of their own.
    #[arg(long, value_name = "FILE:COLUMN[*WEIGHT]")]
    pub auxiliary: Vec<String>,

    /// Rows labelled in another system of the taxonomy; they teach the primary head through its crosswalk.
    #[arg(long, value_name = "FILE:COLUMN:SYSTEM[*WEIGHT]")]
    pub crosswalk: Vec<String>,

    /// Taxonomy file (TOML) in place of the built-in one; it gives the order of labels and the crosswalks.
    #[arg(long, value_name = "FILE", env = "JIESU_TAXONOMY")]
    pub taxonomy: Option<PathBuf>,
}

/// Where the weights start.
#[derive(Debug, Args)]
#[command(next_help_heading = "Start")]
#[group(skip)]
pub struct StartArgs {
    /// Folder of a Hugging Face BERT, with or without a classifier.
    #[arg(long, value_name = "DIR", required_unless_present = "vocab", conflicts_with = "vocab")]
    pub base: Option<PathBuf>,

    /// Vocabulary for an encoder with new weights, one piece a line.
    #[arg(long, value_name = "FILE")]
    pub vocab: Option<PathBuf>,

    /// Vectors of the vocabulary's pieces (.npy); they set the hidden size.
    #[arg(long, value_name = "FILE", requires = "vocab")]
    pub vectors: Option<PathBuf>,

    /// Layers of a new encoder.
    #[arg(long, value_name = "N", default_value_t = 4, requires = "vocab")]
    pub hidden_layers: usize,

    /// Width of the hidden states of a new encoder.
    #[arg(long, value_name = "N", default_value_t = 256, requires = "vocab")]
    pub hidden_size: usize,

    /// Attention heads of a new encoder.
    #[arg(long, value_name = "N", default_value_t = 4, requires = "vocab")]
    pub attention_heads: usize,

    /// Width of the feed-forward layer of a new encoder; four times the hidden size by default.
    #[arg(long, value_name = "N", requires = "vocab")]
    pub intermediate_size: Option<usize>,
}

/// How to train.
#[derive(Debug, Args)]
#[command(next_help_heading = "Training")]
pub struct CourseArgs {
    /// How hidden states become one vector a text; bundles with `cls-pooler` work in other tools, too.
    #[arg(long, value_enum, default_value_t = PoolingArg::Mean)]
    pub pooling: PoolingArg,

    /// Longest sequence in tokens; the middle of longer texts is left out.
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = RangedU64ValueParser::<usize>::new().range(8..=4096))]
    pub max_tokens: usize,

    /// Texts a step.
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    pub batch_size: usize,

    /// Most passes over the training rows; by default 4, of a large set 3.
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    pub epochs: Option<usize>,

    /// Epochs without a smaller dev loss of the primary head before training ends.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    pub patience: usize,

    /// Highest learning rate of the encoder.
    #[arg(long, value_name = "RATE", default_value_t = 4e-4, value_parser = amount)]
    pub learning_rate: f64,

    /// Highest learning rate of the heads.
    #[arg(long, value_name = "RATE", default_value_t = 1e-3, value_parser = amount)]
    pub head_learning_rate: f64,

    /// Weight decay.
    #[arg(long, value_name = "DECAY", default_value_t = 0.01, value_parser = amount)]
    pub weight_decay: f64,

    /// Share of all steps over which the learning rate rises.
    #[arg(long, value_name = "SHARE", default_value_t = 0.1, value_parser = share)]
    pub warmup_share: f64,

    /// Dropout; by default the base model's.
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub dropout: Option<f64>,

    /// Label smoothing of single-label heads.
    #[arg(long, value_name = "SHARE", default_value_t = 0.05, value_parser = share)]
    pub label_smoothing: f64,

    /// Lets a label count by the square root of how rare it is.
    #[arg(long)]
    pub class_weights: bool,

    /// Weight of the losses of all heads but the primary one.
    #[arg(long, value_name = "WEIGHT", default_value_t = 0.5, value_parser = amount)]
    pub other_heads_weight: f64,

    /// Seed of everything that is random.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,

    /// Minutes between checkpoints; one more is written after each epoch.
    #[arg(long, value_name = "MINUTES", default_value_t = 10.0, value_parser = amount)]
    pub checkpoint_minutes: f64,

    /// Stops with a checkpoint after so many steps, to be resumed later.
    #[arg(long, value_name = "STEPS")]
    pub pause_after_steps: Option<usize>,

    /// Most n-grams that a linear model beside the encoder remembers; 0 for none.
    #[arg(long, value_name = "N", default_value_t = 65_536)]
    pub ngrams: usize,

    /// Stores the weights as float16.
    #[arg(long)]
    pub half: bool,
}

/// How hidden states become one vector a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PoolingArg {
    /// The mean over all tokens.
    Mean,
    /// `[CLS]` through BERT's pooler.
    ClsPooler,
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..1.0).contains(&share) => Ok(share),
        Ok(_) | Err(_) => Err("not a number from 0 to below 1".to_owned()),
    }
}

fn amount(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(amount) if amount.is_finite() && amount >= 0.0 => Ok(amount),
        Ok(_) | Err(_) => Err("not a number from 0 on".to_owned()),
    }
}
