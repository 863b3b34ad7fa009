//! What each command does: typed-in arguments become checked settings, then work, then output.

use std::process::ExitCode;

use crate::cli::{Cli, Command};

mod admin;
mod ask;
#[cfg(feature = "batch")]
mod batch;
mod bench;
mod card;
mod classify;
#[cfg(feature = "cluster")]
mod cluster;
mod compare;
mod config;
mod corrections;
mod directory;
mod evaluate;
mod health;
mod keys;
mod load;
mod quantize;
mod report;
mod serve;
#[cfg(feature = "batch")]
mod sql;
#[cfg(feature = "batch")]
mod summary;
mod train;

/// Runs the command that was typed.
///
/// # Errors
/// If the command could not be carried out; `main` shows the chain of causes and exits with 2.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    if let Some(threads) = cli.threads {
        // The one pool that all arithmetic runs on.
        rayon::ThreadPoolBuilder::new().num_threads(threads.get()).build_global()?;
    }
    match cli.command {
        Command::Admin(args) => admin::run(&args),
        #[cfg(feature = "batch")]
        Command::Batch(args) => batch::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Classify(args) => classify::run(&args),
        #[cfg(feature = "cluster")]
        Command::Cluster(args) => cluster::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Config(args) => config::run(&args),
        Command::Corrections(args) => corrections::run(&args),
        Command::Directory(args) => directory::run(&args),
        Command::Evaluate(args) => evaluate::run(&args),
        Command::Health(args) => health::run(&args),
        Command::Keys(args) => keys::run(&args),
        Command::Quantize(args) => quantize::run(&args),
        Command::Serve(args) => serve::run(&args),
        #[cfg(feature = "batch")]
        Command::Sql(args) => sql::run(&args),
        Command::Train(args) => train::run(&args),
    }
}
