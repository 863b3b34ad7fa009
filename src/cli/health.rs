//! Arguments of `jiesu health`.

use clap::Args;

use super::connect::ServiceArgs;

/// Arguments of `jiesu health`.
#[derive(Debug, Args)]
#[command(after_help = "Exit status: 0 it serves; 1 it does not, or cannot be reached.

For container engines and clusters that ask by running a program. No API key is needed.")]
pub struct HealthArgs {
    /// Whose health: the whole service's unless given, or `model`.
    #[arg(long, value_name = "NAME", default_value = "")]
    pub service: String,

    /// How long to wait for the answer, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    pub timeout: u64,

    /// Which service.
    #[command(flatten)]
    pub at: ServiceArgs,
}
