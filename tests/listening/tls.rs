//! TLS and mutual TLS on real sockets.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use jiesu::listen::{Certificates, Limits, Listener};
use rustls::ProtocolVersion;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tempfile::TempDir;
use time::OffsetDateTime;
use tokio::io::AsyncReadExt;

use crate::service::{Authority, Issued, Served, ask, channel, connect_and_ask, handshake, write_files};

/// A server on a free port, its authority, and what it reads.
struct Secured {
    authority: Authority,
    folder: TempDir,
    certificates: Arc<Certificates>,
    served: Served,
}

impl Secured {
    async fn start(mutual: bool) -> Self {
        let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
        let files = write_files(folder.path(), &authority.issue("localhost"), mutual.then_some(&authority));
        let certificates = Arc::new(Certificates::load(files).unwrap());
        let served = Served::start(listener(&certificates).await, Limits::default());
        Self { authority, folder, certificates, served }
    }
}

async fn listener(certificates: &Arc<Certificates>) -> Listener {
    Listener::tcp("127.0.0.1:0", Some(Arc::clone(certificates))).await.unwrap()
}

#[tokio::test]
async fn a_client_that_trusts_the_authority_is_answered() {
    let Secured { authority, folder: _folder, served, .. } = Secured::start(false).await;
    connect_and_ask(served.address(), Some(authority.client(None))).await.unwrap();
    assert_eq!(served.peers.lock().unwrap()[0].identity, None);
    let stream = handshake(served.address(), authority.client(None)).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    assert_eq!(stream.get_ref().1.protocol_version(), Some(ProtocolVersion::TLSv1_3));
}

#[tokio::test]
async fn a_client_of_tls_1_2_is_answered() {
    let Secured { authority, folder: _folder, served, .. } = Secured::start(false).await;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    connect_and_ask(served.address(), Some(Arc::new(config))).await.unwrap();
}

#[tokio::test]
async fn a_client_that_does_not_trust_the_authority_goes() {
    let Secured { folder: _folder, served, .. } = Secured::start(false).await;
    let error = connect_and_ask(served.address(), Some(Authority::new().client(None))).await.unwrap_err();
    assert!(error.contains("InvalidCertificate"), "{error}");
}

#[tokio::test]
async fn a_client_with_a_certificate_is_answered_and_known() {
    let Secured { authority, folder: _folder, served, .. } = Secured::start(true).await;
    let own = authority.issue("street.example");
    connect_and_ask(served.address(), Some(authority.client(Some(&own)))).await.unwrap();
    let peer = served.peers.lock().unwrap()[0].clone();
    assert!(peer.to_string().starts_with("127.0.0.1:"), "{peer}");
    assert!(peer.to_string().ends_with(" (street.example)"), "{peer}");
    assert_eq!(peer.identity.unwrap().alternative_names, ["street.example"]);
}

#[tokio::test]
async fn a_client_without_a_certificate_of_the_authority_is_refused() {
    let Secured { authority, folder: _folder, served, .. } = Secured::start(true).await;
    let stranger = Authority::new().issue("street.example");
    let expired =
        authority.issue_until("street.example", OffsetDateTime::now_utc() - time::Duration::days(1));
    // What the client hears of it is a matter of chance: the connection may be gone before it has read the alert.
    for own in [None, Some(&stranger), Some(&expired)] {
        connect_and_ask(served.address(), Some(authority.client(own))).await.unwrap_err();
    }
    assert!(served.peers.lock().unwrap().is_empty());
    let own = authority.issue("street.example");
    connect_and_ask(served.address(), Some(authority.client(Some(&own)))).await.unwrap();
}

#[tokio::test]
async fn a_client_refuses_a_certificate_that_has_expired_since() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let soon = OffsetDateTime::now_utc() + time::Duration::seconds(2);
    let files = write_files(folder.path(), &authority.issue_until("localhost", soon), None);
    let certificates = Arc::new(Certificates::load(files).unwrap());
    let served = Served::start(listener(&certificates).await, Limits::default());
    let config = authority.client(None);
    let before = channel(served.address(), Some(Arc::clone(&config))).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let error = connect_and_ask(served.address(), Some(config)).await.unwrap_err();
    assert!(error.contains("Expired"), "{error}");
    ask(before).await.unwrap();
    assert!(certificates.days_left() < 0);
}

#[tokio::test]
async fn a_client_without_tls_is_refused_at_once() {
    let Secured { authority, folder: _folder, served, .. } = Secured::start(false).await;
    let asked = tokio::time::timeout(Duration::from_secs(5), connect_and_ask(served.address(), None));
    asked.await.unwrap().unwrap_err();
    connect_and_ask(served.address(), Some(authority.client(None))).await.unwrap();
}

#[tokio::test]
async fn a_handshake_without_http2_is_ended_in_time() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let files = write_files(folder.path(), &authority.issue("localhost"), None);
    let certificates = Arc::new(Certificates::load(files).unwrap());
    let limits = Limits { greeting_timeout: Duration::from_millis(300), ..Limits::default() };
    let served = Served::start(listener(&certificates).await, limits);
    let mut stream = handshake(served.address(), authority.client(None)).await.unwrap();
    let read = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut [0; 64])).await.unwrap();
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_change_under_load_without_a_failed_call() {
    let Secured { authority, folder, certificates, served } = Secured::start(false).await;
    let (address, config) = (served.address(), authority.client(None));
    let (over, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..6)
        .map(|number| {
            let (over, calls, config) = (Arc::clone(&over), Arc::clone(&calls), Arc::clone(&config));
            tokio::spawn(async move {
                let kept = channel(address, Some(Arc::clone(&config))).await.unwrap();
                while !over.load(Ordering::Relaxed) {
                    // Half of them stay, half of them come anew each time.
                    let asked = if number % 2 == 0 {
                        ask(kept.clone()).await
                    } else {
                        connect_and_ask(address, Some(Arc::clone(&config))).await
                    };
                    asked.unwrap();
                    calls.fetch_add(1, Ordering::Relaxed);
                }
                ask(kept).await.unwrap();
            })
        })
        .collect();
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let renewed = authority.issue("localhost");
        write_files(folder.path(), &renewed, None);
        certificates.reload().unwrap();
        let stream = handshake(address, Arc::clone(&config)).await.unwrap();
        let Issued { certificate, .. } = renewed;
        let shown = stream.get_ref().1.peer_certificates().unwrap()[0].clone();
        assert_eq!(shown, CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap());
    }
    over.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    let calls = calls.load(Ordering::Relaxed);
    println!("{calls} calls");
    assert!(calls > 50, "{calls}");
}
