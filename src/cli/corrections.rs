//! Arguments of `jiesu corrections`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Arguments of `jiesu corrections`.
#[derive(Debug, Args)]
pub struct CorrectionsArgs {
    /// What to do with the corrections.
    #[command(subcommand)]
    pub task: CorrectionsTask,
}

/// What to do with corrections.
#[derive(Debug, Subcommand)]
pub enum CorrectionsTask {
    /// Writes them as rows for `jiesu train`: the citizens' words, masked, and what was decided.
    Export(ExportArgs),
    /// Shows which rules and categories are corrected most, and to whom.
    Report(ReportArgs),
}

/// Arguments of `jiesu corrections export`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  jiesu corrections export --records /var/lib/jiesu --output corrections.jsonl
  jiesu corrections export --records /var/lib/jiesu --texts history.csv --output corrections.jsonl
  jiesu train corrections.jsonl --base models/base --label-column category --head department=department --output models/mine")]
pub struct ExportArgs {
    /// Folder that the service keeps its records in; it may be running.
    #[arg(long, value_name = "DIR", env = "JIESU_RECORDS")]
    pub records: PathBuf,

    /// Rows with the words of requests that came without: CSV, JSON lines or a workbook with the columns `id`, `text` and,
    /// if there is one, `title`. Personal data is masked.
    #[arg(long, value_name = "FILE")]
    pub texts: Option<PathBuf>,

    /// File for the rows, as JSON lines; standard output unless given.
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Arguments of `jiesu corrections report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Folder that the service keeps its records in; it may be running.
    #[arg(long, value_name = "DIR", env = "JIESU_RECORDS")]
    pub records: PathBuf,

    /// Only the last so many days.
    #[arg(long, value_name = "DAYS")]
    pub days: Option<u32>,

    /// Print the report as JSON.
    #[arg(long)]
    pub json: bool,
}
