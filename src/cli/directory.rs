//! Arguments of `jiesu directory`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::model::ModelArgs;

/// Arguments of `jiesu directory`.
#[derive(Debug, Args)]
pub struct DirectoryArgs {
    /// What to do with the directory.
    #[command(subcommand)]
    pub task: DirectoryTask,
}

/// What to do with a directory.
#[derive(Debug, Subcommand)]
pub enum DirectoryTask {
    /// Checks that a directory holds together, and names every fault with its line.
    Check(CheckArgs),
    /// Shows where a request goes and why: area, risk alarms, rules with the words they hold for, departments.
    Explain(Box<ExplainArgs>),
    /// Tries a table of examples, and measures how often each rule is right.
    Test(Box<TestArgs>),
}

/// Arguments of `jiesu directory check`.
#[derive(Debug, Args)]
#[command(after_help = "Exit status: 0 no fault, 1 there are faults, 2 the file could not be read.")]
pub struct CheckArgs {
    /// Directory file (TOML); the built-in one unless given.
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,

    /// Taxonomy file (TOML) that its categories belong to, in place of the built-in one.
    #[arg(long, value_name = "FILE", env = "JIESU_TAXONOMY")]
    pub taxonomy: Option<PathBuf>,
}

/// Arguments of `jiesu directory explain`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  jiesu directory explain --area 海淀区 \"楼道里有很浓的煤气味\"")]
pub struct ExplainArgs {
    /// The citizen's words.
    #[arg(value_name = "TEXT")]
    pub text: String,

    /// Title of the request.
    #[arg(long, default_value = "")]
    pub title: String,

    /// Where it is about: id, name or alias of an area of the directory.
    #[arg(long, default_value = "")]
    pub area: String,

    /// Which model and which city's files to use.
    #[command(flatten)]
    pub model: ModelArgs,
}

/// Arguments of `jiesu directory test`.
#[derive(Debug, Args)]
#[command(
    after_help = "Columns of FILE: `text`, and if you like `title` and `area`; what is expected stands in `lead` and `territorial` (ids,
names or aliases), `rule` (an id) and `action` (accept or review). What is empty is not checked.

Exit status: 0 all went as expected, 1 some did not, 2 nothing could be done."
)]
pub struct TestArgs {
    /// Examples: CSV or TSV with a header, a workbook, or JSON lines (.csv, .tsv, .xlsx, .jsonl).
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// Print the outcome as JSON.
    #[arg(long)]
    pub json: bool,

    /// Which model and which city's files to use.
    #[command(flatten)]
    pub model: ModelArgs,
}
