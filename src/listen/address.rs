//! Where to listen, as it is typed and shown.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// What the path of a socket starts with, as in gRPC's own names.
const UNIX: &str = "unix:";

/// An address of the network, or a socket in the file system.
///
/// As text: `127.0.0.1:50051`, `[::]:50051`, or `unix:/run/jiesu/jiesu.sock`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ListenAddress {
    /// An address and a port.
    Tcp(SocketAddr),
    /// The path of a socket.
    Unix(PathBuf),
}

/// What is typed is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "write an address and a port such as `127.0.0.1:50051`, or `unix:` and a path such as `unix:/run/jiesu.sock`"
)]
pub struct NoAddress;

impl FromStr for ListenAddress {
    type Err = NoAddress;

    fn from_str(text: &str) -> Result<Self, NoAddress> {
        let Some(path) = text.strip_prefix(UNIX) else {
            return text.parse().map(Self::Tcp).map_err(|_| NoAddress);
        };
        // `unix:///run/x` is the same as `unix:/run/x`.
        let path = path.strip_prefix("//").unwrap_or(path);
        if path.is_empty() || path.ends_with('/') {
            return Err(NoAddress);
        }
        Ok(Self::Unix(path.into()))
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_read_back() {
        for text in ["127.0.0.1:0", "[::1]:50051", "unix:/run/jiesu/jiesu.sock", "unix:here.sock"] {
            assert_eq!(text.parse::<ListenAddress>().unwrap().to_string(), text);
        }
        let both = ["unix:///run/a.sock", "unix:/run/a.sock"].map(str::parse::<ListenAddress>);
        assert_eq!(both[0], both[1]);
    }

    #[test]
    fn refuses_what_is_no_address() {
        for text in ["", "localhost", "127.0.0.1", "50051", "unix:", "unix:/run/", "http://127.0.0.1:1"] {
            assert_eq!(text.parse::<ListenAddress>(), Err(NoAddress), "{text}");
        }
    }
}
