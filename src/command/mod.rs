//! What each command does: typed-in arguments become checked settings, then work, then output.

use std::process::ExitCode;

use crate::cli::{Cli, Command};

mod bench;
mod card;
mod classify;
mod corrections;
mod directory;
mod evaluate;
mod load;
mod quantize;
mod report;
mod serve;
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
        Command::Bench(args) => bench::run(&args),
        Command::Classify(args) => classify::run(&args),
        Command::Corrections(args) => corrections::run(&args),
        Command::Directory(args) => directory::run(&args),
        Command::Evaluate(args) => evaluate::run(&args),
        Command::Quantize(args) => quantize::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Train(args) => train::run(&args),
    }
}
