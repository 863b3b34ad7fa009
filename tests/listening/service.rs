//! A health service on a listener, clients of it, and an authority that makes certificates for both.

#![allow(dead_code, clippy::unwrap_used, reason = "each test program uses a part")]

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use hyper_util::rt::TokioIo;
use jiesu::listen::{CertificateFiles, Limits, ListenAddress, Listener, Peer};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use time::{Duration, OffsetDateTime};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

/// Signs certificates.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: Certificate,
}

/// A certificate with its key, both in PEM.
pub(crate) struct Issued {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "test authority");
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    pub(crate) fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// A certificate for a name, valid for some days.
    pub(crate) fn issue(&self, name: &str) -> Issued {
        self.issue_until(name, OffsetDateTime::now_utc() + Duration::days(90) + Duration::hours(1))
    }

    pub(crate) fn issue_until(&self, name: &str, not_after: OffsetDateTime) -> Issued {
        self.issue_between(name, OffsetDateTime::now_utc() - Duration::days(100), not_after)
    }

    pub(crate) fn issue_between(&self, name: &str, from: OffsetDateTime, to: OffsetDateTime) -> Issued {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        (params.not_before, params.not_after) = (from, to);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Issued { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// A client that trusts this authority.
    pub(crate) fn client(&self, own: Option<&Issued>) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.unwrap().with_root_certificates(roots);
        let mut config = match own {
            Some(Issued { certificate, key }) => config
                .with_client_auth_cert(
                    vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
                    PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
                )
                .unwrap(),
            None => config.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Arc::new(config)
    }
}

/// Writes a server's files into a folder.
pub(crate) fn write_files(folder: &Path, server: &Issued, client_ca: Option<&Authority>) -> CertificateFiles {
    let files = CertificateFiles {
        chain: folder.join("server.pem"),
        key: folder.join("server.key"),
        client_ca: client_ca.map(|_| folder.join("clients.pem")),
    };
    std::fs::write(&files.chain, &server.certificate).unwrap();
    std::fs::write(&files.key, &server.key).unwrap();
    if let (Some(path), Some(authority)) = (&files.client_ca, client_ca) {
        std::fs::write(path, authority.pem()).unwrap();
    }
    files
}

/// A health service that notes who asks it.
pub(crate) struct Served {
    pub(crate) address: Option<SocketAddr>,
    pub(crate) peers: Arc<Mutex<Vec<Peer>>>,
    end: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Served {
    pub(crate) fn start(listener: Listener, limits: Limits) -> Self {
        let (_, health) = tonic_health::server::health_reporter();
        let peers = Arc::new(Mutex::new(Vec::new()));
        let note = Arc::clone(&peers);
        let health = InterceptedService::new(health, move |request: tonic::Request<()>| {
            note.lock().unwrap().push(request.extensions().get::<Peer>().unwrap().clone());
            Ok(request)
        });
        let (end, ended) = oneshot::channel();
        let address = match listener.address().unwrap() {
            ListenAddress::Tcp(address) => Some(address),
            ListenAddress::Unix(_) => None,
        };
        let server = tonic::transport::Server::builder().add_service(health).serve_with_incoming_shutdown(
            listener.incoming(limits),
            async {
                let _ = ended.await;
            },
        );
        Self { address, peers, end, task: tokio::spawn(async { server.await.unwrap() }) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address.unwrap()
    }

    pub(crate) async fn end(self) {
        self.end.send(()).unwrap();
        self.task.await.unwrap();
    }
}

/// Connects with TLS, without a word of HTTP/2.
pub(crate) async fn handshake(
    address: SocketAddr,
    config: Arc<ClientConfig>,
) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(config).connect(ServerName::try_from("localhost").unwrap(), stream).await
}

/// A channel with one connection.
pub(crate) async fn channel(
    address: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
) -> Result<Channel, tonic::transport::Error> {
    let endpoint = Endpoint::from_static("http://localhost");
    let Some(config) = tls else {
        let connect = move |_| async move { TcpStream::connect(address).await.map(TokioIo::new) };
        return endpoint.connect_with_connector(tower::service_fn(connect)).await;
    };
    let connect = move |_| {
        let config = Arc::clone(&config);
        async move { handshake(address, config).await.map(TokioIo::new) }
    };
    endpoint.connect_with_connector(tower::service_fn(connect)).await
}

/// Asks for the health once.
pub(crate) async fn ask(channel: Channel) -> Result<(), String> {
    let asked = HealthClient::new(channel).check(HealthCheckRequest::default()).await;
    asked.map(|_| ()).map_err(|status| format!("{status:?}"))
}

/// Connects and asks for the health once.
pub(crate) async fn connect_and_ask(
    address: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
) -> Result<(), String> {
    ask(channel(address, tls).await.map_err(|error| format!("{error:?}"))?).await
}
