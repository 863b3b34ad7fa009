//! What stands between callers and the service: arguments of `jiesu serve`.

use std::path::PathBuf;

use clap::Args;

/// What stands between callers and the service.
#[derive(Debug, Args)]
#[command(next_help_heading = "Protection")]
pub struct ProtectArgs {
    /// Certificate of the service and those that lead to its authority (PEM); all network addresses then speak TLS. Read
    /// again when the file changes, as are the next two.
    #[arg(long, value_name = "FILE", requires = "tls_key", env = "JIESU_TLS_CERT")]
    pub tls_cert: Option<PathBuf>,

    /// Private key of that certificate (PEM), without a password.
    #[arg(long, value_name = "FILE", requires = "tls_cert", env = "JIESU_TLS_KEY")]
    pub tls_key: Option<PathBuf>,

    /// Authorities (PEM) that callers' certificates must be from (mutual TLS); without it callers need none.
    #[arg(long, value_name = "FILE", requires = "tls_cert", env = "JIESU_TLS_CLIENT_CA")]
    pub tls_client_ca: Option<PathBuf>,

    /// File of the API keys that callers must have (TOML), as `jiesu keys add` writes it. Read again when it changes.
    #[arg(long, value_name = "FILE", env = "JIESU_KEYS")]
    pub keys: Option<PathBuf>,

    /// Listen where other machines can reach the service although it has no TLS, or neither API keys nor mutual TLS: whoever
    /// can reach it may then call it, or read what citizens say. For services behind a proxy or mesh that sees to both.
    #[arg(long, env = "JIESU_ALLOW_INSECURE_LISTEN")]
    pub allow_insecure_listen: bool,
}
