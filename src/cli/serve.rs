//! Arguments of `jiesu serve`.

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::model::ModelArgs;
use super::protect::ProtectArgs;
use crate::listen::ListenAddress;
use crate::registry::ModelSource;

/// Arguments of `jiesu serve`.
#[derive(Debug, Args)]
#[command(
    after_help = "SIGTERM and SIGINT end the service after the calls in flight. SIGHUP reads the model,
taxonomy, directory, risk rules, certificates and keys again; what does not hold together stays as it was, and the log
says why.
Without its model the service answers by rules, says so in each answer, and takes the model up when it can be loaded.
Logs go to standard error and never hold the citizens' words; `RUST_LOG` sets their level (default: info)."
)]
pub struct ServeArgs {
    /// Where to listen: an address and a port, or `unix:` and the path of a socket; several with `,` between. Port 0 lets
    /// the system choose one, which the log then names. An address that other machines can reach needs TLS and API keys.
    #[arg(
        long,
        value_name = "ADDRESS",
        value_delimiter = ',',
        default_value = "127.0.0.1:50051",
        env = "JIESU_LISTEN"
    )]
    pub listen: Vec<ListenAddress>,

    /// Address that Prometheus reads metrics from, at `/metrics`; none unless given. Port 0 as for `--listen`.
    #[arg(long, value_name = "ADDRESS", env = "JIESU_METRICS_LISTEN")]
    pub metrics_listen: Option<SocketAddr>,

    /// How many texts may wait in each lane, interactive (ClassifyText) and bulk (the others); calls that bring more are
    /// refused with RESOURCE_EXHAUSTED, as are those whose deadline is too near for what waits already.
    #[arg(long, value_name = "N", default_value = "1024", env = "JIESU_MAX_QUEUED_TEXTS")]
    pub max_queued_texts: NonZeroU32,

    /// Most tokens of a batch, and twice those of a batch of bulk texts alone; each thread reads one at a time. Large
    /// batches are a little faster a text, but whoever comes next waits for the batch before.
    #[arg(long, value_name = "N", default_value = "1024", env = "JIESU_MAX_BATCH_TOKENS")]
    pub max_batch_tokens: NonZeroUsize,

    /// Memory for answers that are kept for when the same is asked again, in MiB; 0 keeps none. They quote some of the
    /// citizens' words.
    #[arg(long, value_name = "MIB", default_value_t = 64, env = "JIESU_CACHE_MIB")]
    pub cache_mib: u32,

    /// Folder for corrections and the log of decisions, on a local disk; none are kept unless given.
    #[arg(long, value_name = "DIR", env = "JIESU_RECORDS")]
    pub records: Option<PathBuf>,

    /// How long the log of decisions keeps an answer, in days.
    #[arg(
        long,
        value_name = "DAYS",
        default_value = "180",
        requires = "records",
        env = "JIESU_DECISION_DAYS"
    )]
    pub decision_days: NonZeroU32,

    /// How large the log of decisions may grow, in MiB; the oldest answers give way.
    #[arg(
        long,
        value_name = "MIB",
        default_value = "1024",
        requires = "records",
        env = "JIESU_DECISION_MIB"
    )]
    pub decision_mib: NonZeroU32,

    /// How long calls in flight may take once shutdown has begun, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, env = "JIESU_SHUTDOWN_GRACE")]
    pub shutdown_grace: u64,

    /// Form of the log lines.
    #[arg(long, value_enum, default_value_t = LogFormat::Text, env = "JIESU_LOG_FORMAT")]
    pub log_format: LogFormat,

    /// A second model that answers too, unheard: what it would have answered otherwise is counted and logged. It takes the
    /// time of one more thread.
    #[arg(long, value_name = "SOURCE", env = "JIESU_SHADOW_MODEL")]
    pub shadow_model: Option<ModelSource>,

    /// Which model and which city's files to use.
    #[command(flatten)]
    pub model: ModelArgs,

    /// What stands between callers and the service.
    #[command(flatten)]
    pub protect: ProtectArgs,
}

/// Form of the log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}
