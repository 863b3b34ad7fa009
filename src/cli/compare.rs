//! Arguments of `jiesu compare`.

use std::path::PathBuf;

use clap::Args;

use super::ask::{AskArgs, BootstrapArgs};
use super::model::ModelArgs;

/// Arguments of `jiesu compare`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  jiesu compare report-2024/ report-2025/
  jiesu compare built-in models/new --input rows.jsonl --head category --label-column category
  jiesu compare old.toml new.toml --input rows.jsonl --head department --by all --label-column lead

A and B are each one of: a folder that `jiesu evaluate --report` wrote, or the `predictions.jsonl` in it; a model, as
`--model` names it; a directory of departments (.toml), with `--model` for both. Models and directories need `--input`.
Differences are B less A, with 95 % intervals by a paired bootstrap, and McNemar's test.

Exit status: 0 compared, 2 could not be.")]
pub struct CompareArgs {
    /// What is there now.
    #[arg(value_name = "A")]
    pub a: String,

    /// What may take its place.
    #[arg(value_name = "B")]
    pub b: String,

    /// Rows with known labels, as `jiesu evaluate` reads them; may be given several times.
    #[arg(long = "input", value_name = "FILE", requires = "label_column")]
    pub inputs: Vec<PathBuf>,

    /// Column of the labels.
    #[arg(long, value_name = "COLUMN")]
    pub label_column: Option<String>,

    /// What is asked, and which columns hold what.
    #[command(flatten)]
    pub ask: AskArgs,

    /// How intervals come about.
    #[command(flatten)]
    pub bootstrap: BootstrapArgs,

    /// Print the comparison as JSON, with more examples.
    #[arg(long)]
    pub json: bool,

    /// Which model and which city's files to use.
    #[command(flatten)]
    pub model: ModelArgs,
}
