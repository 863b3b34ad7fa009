//! The program `jiesu`: parse, run one command, turn an error into an exit code.

use std::io;
use std::process::ExitCode;

use clap::Parser;

use jiesu::cli::Cli;
use jiesu::command;
use jiesu::message::explain;
use mimalloc::MiMalloc;

/// candle allocates a buffer an operation; the system's allocator would map and unmap each of them.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    match command::run(Cli::parse()) {
        Ok(code) => code,
        // Who reads our output has seen enough, as `head` does.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            anstream::eprintln!("error: {}", explain(error.as_ref()));
            ExitCode::from(2)
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    causes.any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}
