//! Arguments of `jiesu evaluate`.

use std::path::PathBuf;

use clap::Args;

use super::ask::{AskArgs, BootstrapArgs};
use super::connect::ConnectArgs;
use super::model::ModelArgs;
use crate::client::ServiceUri;

/// Arguments of `jiesu evaluate`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  jiesu evaluate requests.jsonl --head category --label-column category
  jiesu evaluate 2024.csv 2025.xlsx --text-column 诉求内容 --head department --label-column 主办单位 --by all
  jiesu evaluate requests.jsonl --head category --label-column category --slice 区 --slice 时间:month --report report/
  jiesu evaluate requests.jsonl --head category --label-column category --gate gate.toml
  jiesu evaluate requests.jsonl --head category --label-column category --endpoint http://127.0.0.1:50051
  jiesu evaluate petitions.jsonl --label-system petition7 --label-column label

Rows without a label are left out and counted. Labels may be ids or names of the taxonomy and the directory. Every figure
has a 95 % interval, by a bootstrap of the rows within each label.

Exit status: 0 measured, and the bounds of the gate are met, save those with fewer rows than their
`min_rows`; 1 a bound is missed; 2 nothing could be measured, or a bound not judged.")]
pub struct EvaluateArgs {
    /// Rows with known labels: .csv, .tsv, .jsonl, .ndjson, .xlsx (one sheet), and .parquet in a build with `batch`.
    #[arg(value_name = "INPUT", required = true)]
    pub inputs: Vec<PathBuf>,

    /// Column of the labels; for heads such as `risks` each holds a JSON list of labels.
    #[arg(long, value_name = "COLUMN")]
    pub label_column: String,

    /// Column of the departments that should help, a JSON list or with `;` between; needs `--by all`.
    #[arg(long, value_name = "COLUMN")]
    pub supporting_column: Option<String>,

    /// What is asked, and which columns hold what.
    #[command(flatten)]
    pub ask: AskArgs,

    /// Look at the rows with each value of this column by themselves; `COLUMN:month` takes the month of a date, `length`
    /// the length of the text. May be given several times.
    #[arg(long = "slice", value_name = "COLUMN")]
    pub slices: Vec<String>,

    /// Ask a running service, such as `http://127.0.0.1:50051`, in place of a model of this process; `--model`,
    /// `--quantize` and `--risk-rules` are then not used. To the service each row is a request like any other.
    #[arg(long, value_name = "URI")]
    pub endpoint: Option<ServiceUri>,

    /// Write `report.html`, `report.json` and `predictions.jsonl` into this folder. Personal data in texts is masked.
    #[arg(long, value_name = "FOLDER")]
    pub report: Option<PathBuf>,

    /// Hold the figures against the bounds in this file (TOML).
    #[arg(long, value_name = "FILE")]
    pub gate: Option<PathBuf>,

    /// How intervals come about.
    #[command(flatten)]
    pub bootstrap: BootstrapArgs,

    /// Print the report as JSON, as `report.json` has it.
    #[arg(long)]
    pub json: bool,

    /// Which model and which city's files to use.
    #[command(flatten)]
    pub model: ModelArgs,

    /// What is shown to the service.
    #[command(flatten)]
    pub connect: ConnectArgs,
}
