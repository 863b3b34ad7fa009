//! What this program shows a running service: arguments that several commands share.

use std::path::PathBuf;

use clap::Args;

use crate::client::{ConnectError, Connector, Credentials, ServiceUri};

/// A service, and what is shown to it.
#[derive(Debug, Clone, Args)]
pub struct ServiceArgs {
    /// Where the service listens.
    #[arg(long, value_name = "URI", default_value = "http://127.0.0.1:50051")]
    pub endpoint: ServiceUri,

    /// What is shown to it.
    #[command(flatten)]
    pub connect: ConnectArgs,
}

impl ServiceArgs {
    /// What connects to the service.
    ///
    /// # Errors
    /// As [`ConnectArgs::connector`].
    pub fn connector(&self) -> Result<Connector, ConnectError> {
        self.connect.connector(&self.endpoint)
    }
}

/// What is shown to a service.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Connection")]
pub struct ConnectArgs {
    /// Authorities (PEM) that the service's certificate may be from [default: those of the system].
    #[arg(long, value_name = "FILE", env = "JIESU_CA")]
    pub ca: Option<PathBuf>,

    /// Certificate (PEM) that this caller shows, where the service wants one.
    #[arg(long, value_name = "FILE", requires = "client_key", env = "JIESU_CLIENT_CERT")]
    pub client_cert: Option<PathBuf>,

    /// Private key (PEM) of that certificate.
    #[arg(long, value_name = "FILE", requires = "client_cert", env = "JIESU_CLIENT_KEY")]
    pub client_key: Option<PathBuf>,

    /// API key, where the service wants one. Others on this machine can see command lines: use the variable.
    #[arg(long, value_name = "KEY", env = "JIESU_API_KEY", hide_env_values = true)]
    pub api_key: Option<String>,
}

impl ConnectArgs {
    /// What connects to a service with these.
    ///
    /// # Errors
    /// If a file cannot be read or holds no certificates, or the key would be shown to others.
    pub fn connector(&self, uri: &ServiceUri) -> Result<Connector, ConnectError> {
        let credentials = Credentials {
            ca: self.ca.clone(),
            identity: self.client_cert.clone().zip(self.client_key.clone()),
            api_key: self.api_key.clone(),
        };
        Connector::new(uri, &credentials)
    }
}
