//! A job on several machines: one scheduler, any number of executors, one client, by Apache Ballista.
//!
//! The unit of work is a part, and each part is one job of the scheduler with one task. So a part's rows can be fetched
//! and written as soon as it is whole, a part that fails touches no other, and whatever a dead executor takes with it is
//! given out again part by part. Executors read the input themselves: its files must be where the client has them.
//!
//! Ballista keeps the queue, notices executors that no longer answer, and carries the results; it has no notion of who
//! may connect. None of the ports asks for a password or speaks TLS, and a plan may read any file that an executor can:
//! keep them on a network of your own.

mod client;
mod codec;
mod executor;
mod fetch;
mod front;
mod refusal;
mod scheduler;

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

pub use client::{ClusterError, run};
pub use executor::{Executor, ExecutorOptions};
pub use scheduler::Scheduler;

/// The largest gRPC message, in bytes: one row's text is far below, and a batch is cut into messages of 2 MiB.
const MAX_MESSAGE: usize = 64 << 20;

/// Where the scheduler is: `df://HOST:PORT`, or `HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterUrl {
    host: String,
    port: u16,
}

impl ClusterUrl {
    /// The scheduler that listens at an address.
    pub fn at(address: SocketAddr) -> Self {
        Self { host: address.ip().to_string(), port: address.port() }
    }

    /// Whether it is on this machine, and known to be so.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|host| host.is_loopback())
    }

    fn http(&self) -> String {
        if self.host.contains(':') {
            format!("http://[{}]:{}", self.host, self.port)
        } else {
            format!("http://{}:{}", self.host, self.port)
        }
    }
}

impl std::fmt::Display for ClusterUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.http().replacen("http://", "df://", 1))
    }
}

impl FromStr for ClusterUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let address = text.strip_prefix("df://").unwrap_or(text).trim_end_matches('/');
        let wrong = || format!("`{text}` is no scheduler: give df://HOST:PORT");
        let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = port.parse().map_err(|_| wrong())?;
        if host.is_empty() || host.contains('/') {
            Err(wrong())
        } else {
            Ok(Self { host: host.to_owned(), port })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheduler_is_named_with_or_without_the_scheme() {
        let named: ClusterUrl = "df://a.example:50050".parse().unwrap();
        assert_eq!(named, "a.example:50050".parse().unwrap());
        assert_eq!(named.to_string(), "df://a.example:50050");
        assert_eq!("[::1]:7".parse::<ClusterUrl>().unwrap().http(), "http://[::1]:7");
    }

    #[test]
    fn a_name_without_a_port_is_refused() {
        for wrong in ["a.example", "df://:1", "http://a:1", "df://a:port"] {
            wrong.parse::<ClusterUrl>().unwrap_err();
        }
    }
}
