//! The program `jiesu`: parse, run one command, turn an error into an exit code.

use std::process::ExitCode;

use clap::Parser;

use jiesu::cli::Cli;
use jiesu::command;

fn main() -> ExitCode {
    match command::run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            anstream::eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}
