//! How this program reaches a running service: over TCP, TLS or a Unix socket, with a key if it has one.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity, Uri};
use tonic::{Code, Request, Status};

use crate::message::explain;

/// A connection whose calls carry the key.
pub type Connection = InterceptedService<Channel, Bearer>;

/// How long nothing may be heard of a service.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where a service listens: `http://…`, `https://…`, or `unix:` and the path of a socket.
#[derive(Debug, Clone)]
pub struct ServiceUri {
    text: String,
    endpoint: Endpoint,
}

/// Why a service cannot be reached as the caller says.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// It is no address.
    #[error("write `http://host:port`, `https://host:port`, or `unix:/path` for a socket")]
    InvalidUri,
    /// A file with certificates or a key cannot be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Certificates are of no use without TLS.
    #[error("`{uri}` speaks no TLS, so there is nothing for certificates to do\nhint: write `https://`")]
    NoTls {
        /// Where.
        uri: String,
    },
    /// A key would travel in the clear.
    #[error(
        "the API key would travel to `{uri}` in the clear, for all on the way to read\nhint: write `https://`, or ask on the \
         same machine (`127.0.0.1` or a Unix socket)"
    )]
    KeyInTheClear {
        /// Where.
        uri: String,
    },
    /// The key cannot be sent.
    #[error("the API key holds characters that no key has; it looks like `jiesu_…`")]
    InvalidKey,
    /// The certificates are none.
    #[error(
        "the certificates cannot be used: {problem}\nhint: they are PEM files; `--ca` has those of the authority"
    )]
    Certificates {
        /// What is wrong.
        problem: String,
    },
    /// A file should hold certificates and does not.
    #[error("`{}` holds no certificate (PEM)", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// Nobody answers.
    #[error("cannot reach `{uri}`: {problem}\nhint: {hint}", hint = hint(uri, problem))]
    Unreachable {
        /// Where.
        uri: String,
        /// What is wrong.
        problem: String,
    },
    /// The service does not let this caller in.
    #[error(
        "`{uri}` lets nobody in like this: {problem}\nhint: put a key that is good for it into JIESU_API_KEY"
    )]
    Refused {
        /// Where.
        uri: String,
        /// What it says.
        problem: String,
    },
}

/// What to look at when a service cannot be reached.
fn hint(uri: &str, problem: &str) -> &'static str {
    let says = |words: &[&str]| words.iter().any(|word| problem.contains(word));
    match uri.starts_with("https:") {
        true if says(&["CertificateRequired", "certificate required"]) => {
            "it wants a certificate of yours: `--client-cert` and `--client-key`"
        }
        true if says(&["invalid peer certificate"]) => {
            "`--ca FILE` names the authority of its certificate, which must be for the name in the address"
        }
        true if says(&["InvalidContentType", "corrupt message", "eof", "reset"]) => {
            "is `jiesu serve` running there, and does it speak TLS? If not, write `http://`"
        }
        false if says(&["h2 protocol error", "roken pipe", "reset", "closed"]) => {
            "is `jiesu serve` running there, and does it speak TLS? If so, write `https://`"
        }
        _ => "is `jiesu serve` running there?",
    }
}

/// What a failed call says: the service's words, or what became of the connection.
pub fn told(status: &Status) -> String {
    let code = format!("{}: {}", status.code(), status.message());
    std::error::Error::source(status).map_or(code, explain)
}

/// What a caller shows a service.
#[derive(Clone, Default)]
pub struct Credentials {
    /// The authorities that the service's certificate may be from (PEM); the system's if there is none.
    pub ca: Option<PathBuf>,
    /// The caller's certificate and its private key (PEM), for mutual TLS.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The API key.
    pub api_key: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ca, identity, api_key } = self;
        let api_key = api_key.as_ref().map(|_| "(hidden)");
        f.debug_struct("Credentials")
            .field("ca", ca)
            .field("identity", identity)
            .field("api_key", &api_key)
            .finish()
    }
}

/// Adds the key to each call.
#[derive(Clone)]
pub struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bearer(hidden)")
    }
}

/// Makes connections to a service.
#[derive(Debug, Clone)]
pub struct Connector {
    uri: ServiceUri,
    endpoint: Endpoint,
    bearer: Bearer,
}

impl Connector {
    /// Reads what the credentials name.
    ///
    /// # Errors
    /// If a file cannot be read or holds no certificates, or the key would be shown to others.
    pub fn new(uri: &ServiceUri, credentials: &Credentials) -> Result<Self, ConnectError> {
        let Credentials { ca, identity, api_key } = credentials;
        let mut endpoint = uri
            .endpoint
            .clone()
            .connect_timeout(PATIENCE)
            .http2_keep_alive_interval(PATIENCE)
            .keep_alive_timeout(PATIENCE);
        if uri.is_tls() {
            endpoint = endpoint
                .tls_config(tls(ca.as_deref(), identity.as_ref())?)
                .map_err(|error| ConnectError::Certificates { problem: explain(&error) })?;
        } else if ca.is_some() || identity.is_some() {
            return Err(ConnectError::NoTls { uri: uri.to_string() });
        } else if api_key.is_some() && !uri.is_local() {
            return Err(ConnectError::KeyInTheClear { uri: uri.to_string() });
        }
        let bearer = api_key.as_ref().map(|key| bearer(key)).transpose()?;
        Ok(Self { uri: uri.clone(), endpoint, bearer: Bearer(bearer) })
    }

    /// Where the service listens.
    pub fn uri(&self) -> &ServiceUri {
        &self.uri
    }

    /// That a call failed for want of a better key, if it did.
    pub fn refusal(&self, status: &Status) -> Option<ConnectError> {
        let refused = matches!(status.code(), Code::Unauthenticated | Code::PermissionDenied);
        refused.then(|| ConnectError::Refused {
            uri: self.uri.to_string(),
            problem: status.message().to_owned(),
        })
    }

    /// Connects.
    ///
    /// # Errors
    /// If nobody answers, or not as the certificates would have it.
    pub async fn connect(&self) -> Result<Connection, ConnectError> {
        let channel = self.endpoint.connect().await.map_err(|error| ConnectError::Unreachable {
            uri: self.uri.to_string(),
            problem: explain(&error),
        })?;
        Ok(InterceptedService::new(channel, self.bearer.clone()))
    }
}

impl ServiceUri {
    fn is_tls(&self) -> bool {
        self.uri().scheme_str() == Some("https")
    }

    /// Whether what is said stays on this machine.
    fn is_local(&self) -> bool {
        let host = self.uri().host().unwrap_or_default();
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
        self.text.starts_with("unix:")
            || host == "localhost"
            || address.is_ok_and(|address| address.to_canonical().is_loopback())
    }

    fn uri(&self) -> &Uri {
        self.endpoint.uri()
    }
}

impl FromStr for ServiceUri {
    type Err = ConnectError;

    fn from_str(text: &str) -> Result<Self, ConnectError> {
        let endpoint = Endpoint::from_shared(text.to_owned()).map_err(|_| ConnectError::InvalidUri)?;
        let uri = Self { text: text.to_owned(), endpoint };
        let scheme = uri.uri().scheme_str().unwrap_or_default();
        let is_known = text.starts_with("unix:") || ["http", "https"].contains(&scheme);
        if is_known { Ok(uri) } else { Err(ConnectError::InvalidUri) }
    }
}

impl fmt::Display for ServiceUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn tls(ca: Option<&Path>, identity: Option<&(PathBuf, PathBuf)>) -> Result<ClientTlsConfig, ConnectError> {
    let mut config = match ca {
        Some(ca) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read_certificates(ca)?)),
        None => ClientTlsConfig::new().with_native_roots(),
    };
    if let Some((certificate, key)) = identity {
        config = config.identity(Identity::from_pem(read_certificates(certificate)?, read(key)?));
    }
    Ok(config)
}

fn read(path: &Path) -> Result<Vec<u8>, ConnectError> {
    std::fs::read(path).map_err(|source| ConnectError::Read { path: path.to_owned(), source })
}

fn read_certificates(path: &Path) -> Result<Vec<u8>, ConnectError> {
    let pem = read(path)?;
    let has_one = CertificateDer::pem_slice_iter(&pem).next().is_some_and(|certificate| certificate.is_ok());
    if has_one { Ok(pem) } else { Err(ConnectError::NoCertificate { path: path.to_owned() }) }
}

fn bearer(key: &str) -> Result<MetadataValue<Ascii>, ConnectError> {
    let mut value: MetadataValue<Ascii> =
        format!("Bearer {}", key.trim()).parse().map_err(|_| ConnectError::InvalidKey)?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> ServiceUri {
        text.parse().unwrap()
    }

    #[test]
    fn reads_every_kind_of_address_and_shows_it_as_it_was_typed() {
        for text in ["http://127.0.0.1:50051", "https://jiesu.example:443", "unix:/run/jiesu.sock"] {
            assert_eq!(uri(text).to_string(), text);
        }
        for text in ["", "127.0.0.1:50051", "localhost", "ftp://a/", "http://", "诉求"] {
            assert!(text.parse::<ServiceUri>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_key_leaves_this_machine_only_behind_tls() {
        let key = Credentials { api_key: Some("jiesu_x".to_owned()), ..Credentials::default() };
        for local in ["http://127.0.0.1:1", "http://[::1]:1", "http://localhost:1", "unix:/run/jiesu.sock"] {
            assert!(Connector::new(&uri(local), &key).is_ok(), "{local}");
        }
        assert!(Connector::new(&uri("https://jiesu.example"), &key).is_ok());
        let error = Connector::new(&uri("http://jiesu.example"), &key).unwrap_err();
        assert!(matches!(error, ConnectError::KeyInTheClear { .. }), "{error}");
        assert!(!format!("{key:?}").contains("jiesu_x"));
        assert!(!format!("{:?}", Connector::new(&uri("http://[::1]:1"), &key)).contains("jiesu_x"));
    }

    #[test]
    fn certificates_without_tls_are_a_mistake() {
        let ca = Credentials { ca: Some("ca.pem".into()), ..Credentials::default() };
        let error = Connector::new(&uri("http://127.0.0.1:1"), &ca).unwrap_err();
        assert!(matches!(error, ConnectError::NoTls { .. }), "{error}");
        let error = Connector::new(&uri("https://127.0.0.1:1"), &ca).unwrap_err().to_string();
        assert!(error.starts_with("cannot read `ca.pem`"), "{error}");
    }
}
