//! `jiesu config`: the settings of a command line, and where each comes from.

use std::io::Write;
use std::process::ExitCode;

use clap::CommandFactory;

use crate::cli::Cli;
use crate::cli::config::{ConfigArgs, ConfigTask};
use crate::config::{self, ConfigError};

pub(super) fn run(args: &ConfigArgs) -> anyhow::Result<ExitCode> {
    let ConfigTask::Show(_) = args.task;
    // The line as it was typed: flags for all commands may stand anywhere in it.
    match config::show(&config::with_env(Cli::command()), std::env::args_os()) {
        Ok(settings) => {
            anstream::stdout().write_all(settings.as_bytes())?;
            Ok(ExitCode::SUCCESS)
        }
        // A wrong argument of the command that is asked about, or `--help`.
        Err(ConfigError::Arguments(error)) => error.exit(),
        Err(error) => Err(error.into()),
    }
}
