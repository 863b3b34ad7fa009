//! Arguments of `jiesu batch`.

use std::path::PathBuf;

use clap::{Args, ValueEnum, builder::RangedU64ValueParser};

use super::model::ModelArgs;

/// Arguments of `jiesu batch`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  jiesu batch exports/ -o classified.parquet
  jiesu batch '2024-*.csv' 2025.xlsx -o classified.csv --keep 工单编号,区
  jiesu batch exports/ -o classified.parquet --resume

Every row comes out exactly once: in OUTPUT, or in OUTPUT.rejects.jsonl with file, line and reason. What was done stands
in OUTPUT.summary.json. A run that was stopped goes on with `--resume`, and writes the same bytes.

Exit status: 0 every row was answered, 1 some were rejected, 2 the run did not end, 130 it was interrupted.")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag that is typed")]
pub struct BatchArgs {
    /// Files (.csv, .tsv, .jsonl, .ndjson, .xlsx, .xlsm, .parquet), folders of such, or patterns.
    #[arg(value_name = "INPUT", required = true)]
    pub inputs: Vec<String>,

    /// The file to write.
    #[arg(long, short, value_name = "FILE")]
    pub output: PathBuf,

    /// Its format [default: by its name].
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub format: Option<Format>,

    /// Which columns hold what.
    #[command(flatten)]
    pub columns: ColumnArgs,

    /// Columns to carry through: `all`, or names with commas between.
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',', default_value = "all")]
    pub keep: Vec<String>,

    /// Take so many rows at most.
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,

    /// Say what would be read, and stop.
    #[arg(long)]
    pub dry_run: bool,

    /// Go on with a run that was stopped.
    #[arg(long)]
    pub resume: bool,

    /// Go on even if model, settings or files have changed: finished parts of files that have not stay as they are.
    #[arg(long, requires = "resume")]
    pub allow_changes: bool,

    /// Replace the output, and discard the parts of a run that was stopped.
    #[arg(long, conflicts_with = "resume")]
    pub overwrite: bool,

    /// How many rows are durable together; when a run is killed, the part in hand and the one before it may be lost.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = RangedU64ValueParser::<u64>::new().range(1..))]
    pub part_rows: u64,

    /// Have the rows answered by the executors of a scheduler: `df://HOST:PORT`.
    #[cfg(feature = "cluster")]
    #[arg(long, value_name = "URL")]
    pub cluster: Option<crate::batch::cluster::ClusterUrl>,

    /// Which model and which city's files to use.
    #[command(flatten)]
    pub model: ModelArgs,
}

/// Which columns hold what; those that are not named are found by usual names, such as 主要内容 or 诉求内容.
#[derive(Debug, Clone, Default, Args)]
pub struct ColumnArgs {
    /// Column of the citizens' words [default: one with a usual name].
    #[arg(long, value_name = "COLUMN")]
    pub text_column: Option<String>,

    /// Column of the titles [default: one with a usual name, if there is one].
    #[arg(long, value_name = "COLUMN")]
    pub title_column: Option<String>,

    /// Column of the areas, by id, name or alias in the directory [default: likewise].
    #[arg(long, value_name = "COLUMN")]
    pub area_column: Option<String>,

    /// Column of the ids [default: likewise]; a missing id becomes a digest of the words.
    #[arg(long, value_name = "COLUMN")]
    pub id_column: Option<String>,

    /// Column of labels that the rows have already, to compare with [default: likewise].
    #[arg(long, value_name = "COLUMN")]
    pub label_column: Option<String>,
}

/// A format of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Apache Parquet.
    Parquet,
    /// CSV as spreadsheets read it.
    Csv,
    /// JSON lines.
    Jsonl,
}
