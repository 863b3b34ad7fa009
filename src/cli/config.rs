//! Arguments of `jiesu config`.

use std::ffi::OsString;

use clap::{Args, Subcommand};

/// Arguments of `jiesu config`.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// What to do with settings.
    #[command(subcommand)]
    pub task: ConfigTask,
}

/// What to do with settings.
#[derive(Debug, Subcommand)]
pub enum ConfigTask {
    /// Shows the settings of a command and where each comes from, as a file of settings; secrets are masked.
    Show(ShowArgs),
}

/// Arguments of `jiesu config show`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  jiesu config show serve
  jiesu config show serve --listen 0.0.0.0:50051
  jiesu config show directory test --config city.toml

What is typed is stronger than the environment, the environment than the file, and the file than defaults. In the file,
`[serve]` is stronger than `[shared]`. A flag without a value is turned off by `--json=false`.")]
pub struct ShowArgs {
    /// The command, with its arguments if you like; every command unless given.
    #[arg(value_name = "COMMAND", trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<OsString>,
}
