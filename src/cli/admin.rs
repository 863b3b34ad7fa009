//! Arguments of `jiesu admin`.

use clap::{Args, Subcommand};

use super::connect::ServiceArgs;

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
}

/// What operators may ask of a running service.
#[derive(Debug, Subcommand)]
pub enum AdminTask {
    /// Lists the models that are loaded, and how each does.
    Models {
        /// Which service.
        #[command(flatten)]
        at: ServiceArgs,
    },
    /// Has taxonomy, directory and risk rules read again.
    Reload {
        /// Which service.
        #[command(flatten)]
        at: ServiceArgs,
    },
    /// Has the model loaded again, tried beside the one in use, and put in its place.
    ReloadModel {
        /// The revision that it must have.
        #[arg(long, value_name = "REVISION")]
        expect: Option<String>,

        /// Which service.
        #[command(flatten)]
        at: ServiceArgs,
    },
}

impl AdminTask {
    /// The service that it is asked of.
    pub fn at(&self) -> &ServiceArgs {
        match self {
            Self::Models { at } | Self::Reload { at } | Self::ReloadModel { at, .. } => at,
        }
    }
}
