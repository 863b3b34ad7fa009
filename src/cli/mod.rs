//! What can be typed: one file of arguments a command. What it means is for [`command`](crate::command).

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

pub mod admin;
pub mod ask;
#[cfg(feature = "batch")]
pub mod batch;
pub mod bench;
pub mod classify;
#[cfg(feature = "cluster")]
pub mod cluster;
pub mod compare;
pub mod config;
pub mod connect;
pub mod corrections;
pub mod directory;
pub mod evaluate;
pub mod health;
pub mod keys;
pub mod model;
pub mod protect;
pub mod quantize;
pub mod serve;
#[cfg(feature = "batch")]
pub mod sql;
pub mod train;

/// Reads citizens' requests (12345, 接诉即办), says what they are about, and suggests who must act.
#[derive(Debug, Parser)]
#[command(
    version,
    max_term_width = 100,
    after_help = "Every flag can also be set by an environment variable, `jiesu batch --output` by JIESU_BATCH_OUTPUT
unless its help names another, and in a file `jiesu.toml`: `jiesu config show` tells where."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,

    /// File of settings [default: `jiesu.toml`, else `/etc/jiesu/jiesu.toml`, if there is one].
    #[arg(long, global = true, value_name = "FILE", env = "JIESU_CONFIG")]
    pub config: Option<PathBuf>,

    /// Threads that compute [default: the processors that this process may use].
    #[arg(long, global = true, value_name = "N", env = "JIESU_THREADS")]
    pub threads: Option<NonZeroUsize>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Asks a running service for what operators need: its models, a reload.
    Admin(Box<admin::AdminArgs>),
    /// Classifies years of records: files in, files out, nothing lost.
    #[cfg(feature = "batch")]
    Batch(Box<batch::BatchArgs>),
    /// Measures how fast the model or a running service is.
    Bench(Box<bench::BenchArgs>),
    /// Classifies texts from the command line or from standard input.
    Classify(classify::ClassifyArgs),
    /// Lends this machine to jobs of `jiesu batch --cluster`.
    #[cfg(feature = "cluster")]
    Cluster(cluster::ClusterArgs),
    /// Tells whether one model, directory or file of predictions is better than another.
    Compare(Box<compare::CompareArgs>),
    /// Shows settings: what was typed, the environment, the file `jiesu.toml`, defaults.
    Config(config::ConfigArgs),
    /// Exports what people decided otherwise, and reports which rules and categories it concerns.
    Corrections(corrections::CorrectionsArgs),
    /// Checks a city's directory, explains what it does, tries it.
    Directory(directory::DirectoryArgs),
    /// Measures a model on rows whose labels are known.
    Evaluate(Box<evaluate::EvaluateArgs>),
    /// Tells whether a service serves, as an exit status.
    Health(Box<health::HealthArgs>),
    /// Makes and lists the API keys that a service lets in.
    Keys(keys::KeysArgs),
    /// Writes a model with its weights rounded to 8-bit integers.
    Quantize(quantize::QuantizeArgs),
    /// Serves the gRPC API `jiesu.v1`.
    Serve(Box<serve::ServeArgs>),
    /// Asks questions in SQL of files of records.
    #[cfg(feature = "batch")]
    Sql(sql::SqlArgs),
    /// Fine-tunes an encoder and its heads on labelled requests.
    Train(Box<train::TrainArgs>),
}
