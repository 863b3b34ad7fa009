//! The program `jiesu`: read the settings, run one command, turn an error into an exit code.

use std::io;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use jiesu::cli::Cli;
use jiesu::command;
use jiesu::config::{self, ConfigError};
use jiesu::message::explain;
use mimalloc::MiMalloc;

/// candle allocates a buffer an operation; the system's allocator would map and unmap each of them.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let result = settings().map_err(anyhow::Error::from).and_then(command::run);
    match result {
        Ok(code) => code,
        // Who reads our output has seen enough, as `head` does.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            anstream::eprintln!("error: {}", explain(error.as_ref()));
            ExitCode::from(2)
        }
    }
}

/// What was typed, with what the environment and a file add. Ends the process if clap has something to say.
fn settings() -> Result<Cli, ConfigError> {
    let mut command = config::with_env(Cli::command());
    let settings = config::parse(&command, std::env::args_os())
        .and_then(|matches| Ok(Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?));
    match settings {
        Err(ConfigError::Arguments(error)) => error.exit(),
        settings => settings,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    causes.any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}
