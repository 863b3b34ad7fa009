//! Arguments of `jiesu bench`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;

use super::connect::ConnectArgs;
use super::model::ModelArgs;
use crate::client::ServiceUri;

/// Arguments of `jiesu bench`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  jiesu bench --in-process --file requests.jsonl --threads 2
  jiesu bench --endpoint http://127.0.0.1:50051 --file requests.jsonl --concurrency 64 --duration 30
  jiesu bench --endpoint http://127.0.0.1:50051 --file requests.jsonl --rate 200 --duration 60 --json

With `--rate`, calls are sent when they are due, whether or not earlier ones have been answered, and latency counts from
when a call was due: a service that stalls cannot hide it by being asked less. Texts are sent in turn, again and again:
to measure the model and not the memory of what has been asked before, start the service with `--cache-mib 0`.")]
pub struct BenchArgs {
    /// Texts to classify: CSV or TSV with a header, a workbook, or JSON lines (.csv, .tsv, .xlsx, .jsonl).
    #[arg(long, value_name = "FILE")]
    pub file: PathBuf,

    /// Column of the citizens' words.
    #[arg(long, value_name = "COLUMN", default_value = "text")]
    pub text_column: String,

    /// Measure the model in this process, from words to probabilities.
    #[arg(long, required_unless_present = "endpoint", conflicts_with = "endpoint")]
    pub in_process: bool,

    /// How often all texts are classified; the median counts.
    #[arg(long, value_name = "N", default_value = "5", requires = "in_process")]
    pub rounds: NonZeroUsize,

    /// Measure a running service.
    #[arg(long, value_name = "URI")]
    pub endpoint: Option<ServiceUri>,

    /// Calls in flight: each is sent when the one before it is answered.
    #[arg(long, value_name = "N", default_value = "16", requires = "endpoint")]
    pub concurrency: NonZeroUsize,

    /// Calls a second, sent when they are due.
    #[arg(long, value_name = "CALLS", requires = "endpoint", conflicts_with = "concurrency")]
    pub rate: Option<f64>,

    /// Texts a call; more than one makes `BatchClassifyTexts` of it.
    #[arg(long, value_name = "N", default_value = "1", requires = "endpoint")]
    pub batch_size: NonZeroUsize,

    /// How long to send calls, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0, requires = "endpoint")]
    pub duration: f64,

    /// Deadline of a call, in milliseconds.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 2000, requires = "endpoint")]
    pub timeout: u64,

    /// Print the figures as JSON.
    #[arg(long)]
    pub json: bool,

    /// Which model to use in process.
    #[command(flatten)]
    pub model: ModelArgs,

    /// What is shown to the service.
    #[command(flatten)]
    pub connect: ConnectArgs,
}
