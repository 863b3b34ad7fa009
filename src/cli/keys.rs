//! Arguments of `jiesu keys`.

use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::access::Scope;

/// Arguments of `jiesu keys`.
#[derive(Debug, Args)]
pub struct KeysArgs {
    /// What to do with the keys.
    #[command(subcommand)]
    pub task: KeysTask,
}

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub enum KeysTask {
    /// Makes a key, shows it once, and adds its digest to a file.
    Add(AddArgs),
    /// Checks a file of keys, and lists whom it lets in.
    List {
        /// File of the keys.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

/// Arguments of `jiesu keys add`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  jiesu keys add keys.toml --id intake-1 --scope classify
  jiesu keys add keys.toml --id operators --scope admin --scope classify --expires 2027-01-01

The file holds digests only: who reads it cannot call. To replace a key, add one with another id, give it to its holder,
and delete the old `[[key]]` from the file when it is not used any more; a running service notices both.")]
pub struct AddArgs {
    /// File of the keys; it is made if there is none.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// Name of the key in the file, the log and messages: letters `a-z`, digits, `-`, `_` and `.`.
    #[arg(long, value_name = "ID")]
    pub id: String,

    /// What its holder may do; may be given several times.
    #[arg(long = "scope", value_enum, value_name = "SCOPE", required = true)]
    pub scopes: Vec<ScopeName>,

    /// Calls a second, over time [default: no limit].
    #[arg(long, value_name = "CALLS")]
    pub requests_per_second: Option<NonZeroU32>,

    /// Calls at once after a rest [default: those of a second].
    #[arg(long, value_name = "CALLS", requires = "requests_per_second")]
    pub burst: Option<NonZeroU32>,

    /// Calls in flight [default: no limit].
    #[arg(long, value_name = "CALLS")]
    pub max_concurrent: Option<NonZeroU32>,

    /// First day, in UTC, on which the key is refused, such as 2027-01-01 [default: never].
    #[arg(long, value_name = "DATE")]
    pub expires: Option<String>,

    /// Whose it is, for who keeps the file.
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
}

/// What a key lets its holder do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ScopeName {
    /// Ask what requests are about and who must act.
    Classify,
    /// Record corrections, and read the records.
    Correct,
    /// Operate the service.
    Admin,
}

impl From<ScopeName> for Scope {
    fn from(name: ScopeName) -> Self {
        match name {
            ScopeName::Classify => Self::Classify,
            ScopeName::Correct => Self::Correct,
            ScopeName::Admin => Self::Admin,
        }
    }
}
