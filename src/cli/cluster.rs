//! Arguments of `jiesu cluster`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::model::ModelArgs;
use crate::batch::cluster::ClusterUrl;

/// Arguments of `jiesu cluster`.
#[derive(Debug, Args)]
pub struct ClusterArgs {
    /// Which part this machine plays.
    #[command(subcommand)]
    pub command: ClusterCommand,
}

/// The parts that a machine can play.
#[derive(Debug, Subcommand)]
pub enum ClusterCommand {
    /// Keeps the queue of parts, and gives them to executors that ask. One is needed.
    Scheduler(SchedulerArgs),
    /// Answers parts. The input must be where the client has it, and the model the same.
    Executor(ExecutorArgs),
}

/// Arguments of `jiesu cluster scheduler`.
#[derive(Debug, Args)]
#[command(
    after_help = "No port of a cluster asks for a password or speaks TLS, and whoever reaches one can have executors read files:
keep it on a network of its own."
)]
pub struct SchedulerArgs {
    /// Address that clients and executors connect to.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:50050")]
    pub listen: SocketAddr,
}

/// Arguments of `jiesu cluster executor`.
#[derive(Debug, Args)]
#[command(after_help = "One part is in hand at a time, and all threads (`--threads`) work on it.
No port of a cluster asks for a password or speaks TLS, and whoever reaches one can have executors read files:
keep it on a network of its own.")]
pub struct ExecutorArgs {
    /// The scheduler.
    #[arg(long, value_name = "URL")]
    pub scheduler: ClusterUrl,

    /// Address that clients fetch results from; the scheduler tells them the one that it sees.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,

    /// Folder for results that wait to be fetched [default: the system's for temporary files].
    #[arg(long, value_name = "FOLDER")]
    pub work_dir: Option<PathBuf>,

    /// Which model and which city's files to use.
    #[command(flatten)]
    pub model: ModelArgs,
}
