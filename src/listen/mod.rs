//! Where connections come from: TCP, TCP with TLS or mutual TLS, or a Unix socket; all as one stream of one type, for
//! tonic's `serve_with_incoming_shutdown`.
//!
//! A connection is handed out once it has greeted: its TLS handshake is done, and it has sent the preface of HTTP/2.
//! Until then it cannot hold up others, and has little time. What is said after that, keep-alive included, is left to
//! tonic.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, ToSocketAddrs};

mod address;
mod certificates;
mod connection;
mod exposure;
mod greeting;
mod incoming;
mod peer;
mod pem;
mod throttle;
mod unix;

pub use address::ListenAddress;
pub use certificates::{CertificateFiles, Certificates};
pub use connection::Connection;
pub use exposure::{ALLOW_INSECURE_LISTEN, Protection, RefusedListen, Unprotected, check_listen};
pub use incoming::Incoming;
pub use peer::{Identity, Origin, Peer};
pub use pem::{CertificateError, Problem};
pub(crate) use throttle::Throttle;
pub use unix::{SocketError, UnixSocket};

/// How many connections there may be, and how long they may take to greet.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections altogether, at least 1. The excess waits in the system's backlog.
    pub max_connections: usize,
    /// Connections that have not greeted yet, at least 1; they count as connections too. While there are so many, each has
    /// only a second.
    pub max_greetings: usize,
    /// How long the TLS handshake and the preface of HTTP/2 may take together.
    pub greeting_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_connections: 4096, max_greetings: 512, greeting_timeout: Duration::from_secs(10) }
    }
}

/// A bound socket that clients can connect to.
#[derive(Debug)]
pub enum Listener {
    /// Without encryption.
    Tcp(TcpListener),
    /// With TLS; clients must have a certificate too if there is a file of authorities for them.
    Tls(TcpListener, Arc<Certificates>),
    /// A socket in the file system, for clients on the same machine.
    Unix(UnixSocket),
}

impl Listener {
    /// Listens on a TCP address, with TLS if there are certificates.
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub async fn tcp(
        address: impl ToSocketAddrs,
        certificates: Option<Arc<Certificates>>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        Ok(match certificates {
            Some(certificates) => Self::Tls(listener, certificates),
            None => Self::Tcp(listener),
        })
    }

    /// Listens on a socket in the file system: see [`UnixSocket::bind`].
    ///
    /// # Errors
    /// If another process listens there, or the system does not let us.
    pub async fn unix(path: &Path, mode: Option<u32>) -> Result<Self, SocketError> {
        UnixSocket::bind(path, mode).await.map(Self::Unix)
    }

    /// Where it listens, with the port that the system chose if it was asked to.
    ///
    /// # Errors
    /// If the system does not tell.
    pub fn address(&self) -> io::Result<ListenAddress> {
        match self {
            Self::Tcp(listener) | Self::Tls(listener, _) => listener.local_addr().map(ListenAddress::Tcp),
            Self::Unix(socket) => Ok(ListenAddress::Unix(socket.path().to_owned())),
        }
    }

    /// The connections, as they come. Dropping the stream closes the socket, not the connections.
    pub fn incoming(self, limits: Limits) -> Incoming {
        Incoming::new(self, limits)
    }
}
