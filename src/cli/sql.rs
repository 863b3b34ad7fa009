//! Arguments of `jiesu sql`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::model::ModelArgs;

/// Arguments of `jiesu sql`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  jiesu sql \"SELECT category_name, count(*) FROM 'classified.parquet' GROUP BY 1 ORDER BY 2 DESC\"
  jiesu sql \"SELECT 区, category_name, count(*) AS n FROM classify_file('2025.csv') GROUP BY 1, 2 ORDER BY n DESC\"
  jiesu sql \"SELECT classify('路灯坏了一个月没人修')['lead_name']\"

Tables: 'FILE.parquet' in quotes; read_file('FILE') reads what `jiesu batch` reads; classify_file('FILE') classifies it on
the way, each time it is asked. Both take a folder or a pattern too, and the column of the words as a second argument.")]
pub struct SqlArgs {
    /// The question, in the dialect of Apache DataFusion.
    #[arg(value_name = "QUERY")]
    pub query: String,

    /// How the result is printed.
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t, conflicts_with = "output")]
    pub format: SqlFormat,

    /// Write the result to a file: .parquet, .csv, .jsonl or .ndjson.
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Which model and which city's files to use.
    #[command(flatten)]
    pub model: ModelArgs,
}

/// How a result is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum SqlFormat {
    /// A table for people.
    #[default]
    Table,
    /// CSV with a header.
    Csv,
    /// JSON lines.
    Json,
}
