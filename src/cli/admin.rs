//! Arguments of `jiesu admin`.

use clap::{Args, Subcommand};

use super::connect::ConnectArgs;
use crate::client::ServiceUri;

/// Arguments of `jiesu admin`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  jiesu admin models
  jiesu admin reload-model --expect 9f86d081884c
  JIESU_API_KEY=jiesu_… jiesu admin reload --endpoint https://jiesu.example:50051 --ca ca.pem

Where the service wants API keys, this needs one with the scope `admin`.")]
pub struct AdminArgs {
    /// What to do.
    #[command(subcommand)]
    pub task: AdminTask,

    /// Where the service listens.
    #[arg(long, global = true, value_name = "URI", default_value = "http://127.0.0.1:50051")]
    pub endpoint: ServiceUri,

    /// What is shown to the service.
    #[command(flatten)]
    pub connect: ConnectArgs,
}

/// What operators may ask of a running service.
#[derive(Debug, Subcommand)]
pub enum AdminTask {
    /// Lists the models that are loaded, and how each does.
    Models,
    /// Has taxonomy, directory and risk rules read again.
    Reload,
    /// Has the model loaded again, tried beside the one in use, and put in its place.
    ReloadModel {
        /// The revision that it must have.
        #[arg(long, value_name = "REVISION")]
        expect: Option<String>,
    },
}
