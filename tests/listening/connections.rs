//! Who gets a connection, and who has to wait or go.
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hyper_util::rt::TokioIo;
use jiesu::listen::{Certificates, Limits, Listener, Origin};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tonic::transport::Endpoint;

use crate::service::{Authority, Served, ask, channel, connect_and_ask, handshake, write_files};

const LONG: Duration = Duration::from_secs(20);

async fn plain(limits: Limits) -> Served {
    Served::start(Listener::tcp("127.0.0.1:0", None).await.unwrap(), limits)
}

/// Whether the other side has closed.
async fn is_closed(stream: &mut TcpStream, within: Duration) -> bool {
    matches!(timeout(within, stream.read(&mut [0; 64])).await, Ok(Ok(0) | Err(_)))
}

#[tokio::test]
async fn a_plain_client_is_answered_and_its_address_known() {
    let served = plain(Limits::default()).await;
    connect_and_ask(served.address(), None).await.unwrap();
    let peers = served.peers.lock().unwrap().clone();
    assert!(matches!(peers[0].origin, Origin::Tcp(address) if address.ip().is_loopback()), "{peers:?}");
}

#[tokio::test]
async fn a_client_of_tls_is_refused_at_once_where_there_is_none() {
    let served = plain(Limits::default()).await;
    let handshake = handshake(served.address(), Authority::new().client(None));
    timeout(Duration::from_secs(5), handshake).await.unwrap().unwrap_err();
    connect_and_ask(served.address(), None).await.unwrap();
}

#[tokio::test]
async fn who_says_nothing_or_half_a_greeting_is_closed_in_time() {
    let limits = Limits { greeting_timeout: Duration::from_millis(300), ..Limits::default() };
    let served = plain(limits).await;
    for part in [&b""[..], b"PRI * HTTP/2.0\r\n"] {
        let mut stream = TcpStream::connect(served.address()).await.unwrap();
        stream.write_all(part).await.unwrap();
        assert!(!is_closed(&mut stream, Duration::from_millis(100)).await, "too early");
        assert!(is_closed(&mut stream, LONG).await);
    }
    connect_and_ask(served.address(), None).await.unwrap();
}

#[tokio::test]
async fn slow_handshakes_do_not_keep_others_out() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let files = write_files(folder.path(), &authority.issue("localhost"), None);
    let certificates = Arc::new(Certificates::load(files).unwrap());
    let limits = Limits { max_greetings: 4, greeting_timeout: Duration::from_secs(60), ..Limits::default() };
    let listener = Listener::tcp("127.0.0.1:0", Some(certificates)).await.unwrap();
    let served = Served::start(listener, limits);
    let mut slow = Vec::new();
    for _ in 0..3 {
        slow.push(TcpStream::connect(served.address()).await.unwrap());
    }
    let begun = Instant::now();
    connect_and_ask(served.address(), Some(authority.client(None))).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(1), "there is room");
    for _ in 0..5 {
        slow.push(TcpStream::connect(served.address()).await.unwrap());
    }
    let begun = Instant::now();
    connect_and_ask(served.address(), Some(authority.client(None))).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(8), "the slow ones have a second each");
    assert!(is_closed(&mut slow[0], Duration::from_millis(10)).await);
    assert!(!is_closed(&mut slow[7], Duration::from_millis(10)).await, "nobody waits for its place");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_are_all_answered_though_few_may_greet_at_a_time() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let files = write_files(folder.path(), &authority.issue("localhost"), None);
    let certificates = Arc::new(Certificates::load(files).unwrap());
    let listener = Listener::tcp("127.0.0.1:0", Some(certificates)).await.unwrap();
    let served = Served::start(listener, Limits { max_greetings: 2, ..Limits::default() });
    let config = authority.client(None);
    let clients: Vec<_> = (0..100)
        .map(|_| tokio::spawn(connect_and_ask(served.address(), Some(Arc::clone(&config)))))
        .collect();
    for client in clients {
        client.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn the_excess_waits_until_a_connection_ends() {
    let served = plain(Limits { max_connections: 2, ..Limits::default() }).await;
    let first = channel(served.address(), None).await.unwrap();
    let second = channel(served.address(), None).await.unwrap();
    ask(first.clone()).await.unwrap();
    ask(second.clone()).await.unwrap();
    let third = tokio::spawn(connect_and_ask(served.address(), None));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!third.is_finished());
    ask(second).await.unwrap();
    drop(first);
    timeout(LONG, third).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn the_end_closes_the_port_and_those_that_have_not_greeted() {
    let served = plain(Limits::default()).await;
    let address = served.address();
    let mut silent = TcpStream::connect(address).await.unwrap();
    connect_and_ask(address, None).await.unwrap();
    timeout(LONG, served.end()).await.unwrap();
    assert!(is_closed(&mut silent, LONG).await);
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_unix_socket_is_served_and_goes_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("service.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let served = Served::start(Listener::unix(&path, Some(0o600)).await.unwrap(), Limits::default());
    assert!(Listener::unix(&path, None).await.is_err(), "it is in use");
    let place = path.clone();
    let connect = move |_| {
        let place = place.clone();
        async move { UnixStream::connect(place).await.map(TokioIo::new) }
    };
    let endpoint = Endpoint::from_static("http://localhost");
    let channel = endpoint.connect_with_connector(tower::service_fn(connect)).await.unwrap();
    ask(channel).await.unwrap();
    let Origin::Unix { uid: Some(_), pid } = served.peers.lock().unwrap()[0].origin else { panic!() };
    assert_eq!(pid, Some(std::process::id().cast_signed()));
    timeout(LONG, served.end()).await.unwrap();
    assert!(!path.exists());
}

/// A log in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Write::write(&mut *self.0.lock().unwrap(), bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_log_is_short_and_quotes_nobody() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter("info")
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _log = tracing::subscriber::set_default(subscriber);
    let served = plain(Limits::default()).await;
    for _ in 0..40 {
        let mut stream = TcpStream::connect(served.address()).await.unwrap();
        stream.write_all(b"GET /secret HTTP/1.1\r\n\r\n").await.unwrap();
        assert!(is_closed(&mut stream, LONG).await);
    }
    // Whether a port is open is checked like this.
    drop(TcpStream::connect(served.address()).await.unwrap());
    connect_and_ask(served.address(), None).await.unwrap();
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!((3..=12).contains(&log.lines().count()), "{log}");
    assert!(log.contains("problem=does not speak HTTP/2"), "{log}");
    assert!(!log.contains("secret") && !log.contains("GET"), "{log}");
}
