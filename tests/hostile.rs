//! Clients that break off, never read, or speak no protocol harm nobody but themselves.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use common::Served;
use futures_util::StreamExt as _;
use jiesu::pb::dispatch_service_client::DispatchServiceClient;
use jiesu::pb::{ClassifyTextRequest, ClassifyTextResult};
use prost::bytes::{Buf as _, BufMut as _};
use rand::{Rng as _, RngCore as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tokio::runtime::Runtime;
use tokio_stream::wrappers::ReceiverStream;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::Endpoint;
use tonic::{Code, Request, Status, Streaming};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// How long an honest call or a refusal may take on a slow machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// What HTTP/2 starts with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// `jiesu serve` with a tiny model, and clients that mean no harm.
struct Server(Served);

impl Server {
    fn start() -> Self {
        Self(Served::start(&["--shutdown-grace", "20"], &[]))
    }

    /// A connection that speaks no protocol yet.
    fn socket(&self) -> TcpStream {
        let socket = TcpStream::connect(self.0.address("serving")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }

    fn endpoint(&self) -> Endpoint {
        // Few answers are taken in before anybody reads them.
        self.0.endpoint().initial_stream_window_size(65_535)
    }

    /// An honest client has its answer, and health is good.
    async fn assert_serving(&self) {
        let honest = async {
            let channel = self.endpoint().connect().await.unwrap();
            let health = HealthClient::new(channel.clone()).check(HealthCheckRequest::default()).await;
            assert_eq!(health.unwrap().into_inner().status(), ServingStatus::Serving);
            let answer = DispatchServiceClient::new(channel).classify_text(text("小区物业乱收费")).await;
            assert!(answer.unwrap().into_inner().assessment.is_some());
        };
        tokio::time::timeout(PATIENCE, honest).await.expect("an honest client waits too long");
    }

    /// Nothing panicked, and nothing that was left behind holds up the end.
    fn end(self) {
        let log = self.0.terminate();
        assert!(log.iter().any(|line| line.contains("\"shut down\"")), "{log:?}");
        assert!(!log.iter().any(|line| line.contains("panic")), "{log:?}");
    }
}

fn text(text: &str) -> ClassifyTextRequest {
    ClassifyTextRequest { text: text.to_owned(), ..ClassifyTextRequest::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_opened_and_dropped_leave_nothing_behind() {
    let server = Server::start();
    for number in 0..200 {
        // Some say nothing, some begin to speak HTTP/2.
        server.socket().write_all(&PREFACE[..number % (PREFACE.len() + 1)]).unwrap();
    }
    server.assert_serving().await;
    server.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_instead_of_a_protocol_ends_its_own_connection() {
    let server = Server::start();
    let mut random = ChaCha8Rng::seed_from_u64(1);
    for number in 0..50 {
        let mut garbage = vec![0; random.random_range(1024..4096)];
        random.fill_bytes(&mut garbage);
        // What comes after a preface and a frame of settings is read as frames.
        let settings: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
        let hostile = match number % 3 {
            0 => garbage,
            1 => [PREFACE, &garbage].concat(),
            _ => [PREFACE, settings, &garbage].concat(),
        };
        let mut socket = server.socket();
        // The server may hang up before it is told everything.
        let _ = socket.write_all(&hostile).and_then(|()| socket.shutdown(Shutdown::Write));
        if let Err(error) = socket.read_to_end(&mut Vec::new()) {
            assert!(
                !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
                "it never hangs up"
            );
        }
    }
    server.assert_serving().await;
    server.end();
}

/// Messages as bytes, whatever they are.
#[derive(Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = ();
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, message: Vec<u8>, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(&message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = ();
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<()>, Status> {
        from.advance(from.remaining());
        Ok(Some(()))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_are_no_protobuf_fail_their_own_call() {
    let server = Server::start();
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut client = Grpc::new(server.endpoint().connect().await.unwrap());
    for number in 0..50 {
        let mut message = vec![0; random.random_range(1..1024)];
        random.fill_bytes(&mut message);
        let method = ["ClassifyText", "BatchClassifyTexts"][number % 2];
        let path = format!("/jiesu.v1.DispatchService/{method}").parse().unwrap();
        client.ready().await.unwrap();
        let status = client.unary(Request::new(message), path, Raw).await.unwrap_err();
        // A few are protobuf by chance, but no request.
        assert!(matches!(status.code(), Code::Internal | Code::InvalidArgument), "{status:?}");
    }
    server.assert_serving().await;
    drop(client);
    server.end();
}

/// A request of one text, as protobuf: the field `text`, whatever its bytes are.
fn encoded(text: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    prost::encoding::encode_key(1, prost::encoding::WireType::LengthDelimited, &mut message);
    prost::encoding::encode_varint(text.len() as u64, &mut message);
    message.extend_from_slice(text);
    message
}

async fn classify_raw(server: &Server, request: Request<Vec<u8>>) -> Result<(), Status> {
    let mut client = Grpc::new(server.endpoint().connect().await.unwrap());
    client.ready().await.unwrap();
    let path = "/jiesu.v1.DispatchService/ClassifyText".parse().unwrap();
    client.unary(request, path, Raw).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_that_are_no_texts_fail_their_own_call() {
    let server = Server::start();
    classify_raw(&server, Request::new(encoded("小区停水".as_bytes()))).await.unwrap();
    let megabyte = "🚰".repeat(250_000);
    for (text, code) in [
        (&b"\xe5\xb0\x8f\xff\xfe"[..], Code::Internal),
        (megabyte.as_bytes(), Code::InvalidArgument),
        ("\u{200b}\u{feff} ".as_bytes(), Code::InvalidArgument),
        (&[0; 9000], Code::InvalidArgument),
        (&vec![b'x'; 17 << 20], Code::OutOfRange),
    ] {
        let begin = std::time::Instant::now();
        let status = classify_raw(&server, Request::new(encoded(text))).await.unwrap_err();
        assert_eq!(status.code(), code, "{status:?}");
        assert!(begin.elapsed() < PATIENCE);
    }
    server.assert_serving().await;
    server.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_unpacked_that_comes_compressed() {
    let server = Server::start();
    for encoding in ["gzip", "deflate", "zstd", "bomb"] {
        let mut request = Request::new(encoded("小区停水".as_bytes()));
        request.metadata_mut().insert("grpc-encoding", encoding.parse().unwrap());
        assert_eq!(
            classify_raw(&server, request).await.unwrap_err().code(),
            Code::Unimplemented,
            "{encoding}"
        );
    }
    server.assert_serving().await;
    server.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_never_sends_a_message_holds_a_call_and_nothing_else() {
    let server = Server::start();
    let runtime = Runtime::new().unwrap();
    let endpoint = server.endpoint();
    for _ in 0..100 {
        let endpoint = endpoint.clone();
        runtime.spawn(async move {
            let mut client = Grpc::new(endpoint.connect().await.unwrap());
            client.ready().await.unwrap();
            let never = Request::new(futures_util::stream::pending::<Vec<u8>>());
            let path = "/jiesu.v1.DispatchService/ClassifyText".parse().unwrap();
            client.client_streaming(never, path, Raw).await.map(drop)
        });
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    server.assert_serving().await;
    runtime.shutdown_background();
    server.assert_serving().await;
    server.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_has_no_more_than_200_calls_at_a_time() {
    let server = Server::start();
    let channel = server.endpoint().connect().await.unwrap();
    let mut client = DispatchServiceClient::new(channel.clone());
    let mut open = Vec::new();
    for _ in 0..200 {
        let (asks_nothing, requests) = tokio::sync::mpsc::channel::<ClassifyTextRequest>(1);
        let answers = client.stream_classify_texts(ReceiverStream::new(requests)).await.unwrap();
        open.push((asks_nothing, answers));
    }
    let mut next =
        tokio::spawn(async move { HealthClient::new(channel).check(HealthCheckRequest::default()).await });
    tokio::time::timeout(Duration::from_millis(500), &mut next).await.expect_err("it is one too many");
    server.assert_serving().await;
    open.pop();
    tokio::time::timeout(PATIENCE, next).await.expect("there is room again").unwrap().unwrap();
    drop((open, client));
    server.end();
}

/// A client that asks as long as it lives, and has read so many answers. It lives in a runtime of its own: when that is
/// gone so is its connection, as if somebody had killed it.
async fn endless_stream(server: &Server, answers: usize) -> (Runtime, Streaming<ClassifyTextResult>) {
    let client = Runtime::new().unwrap();
    let endpoint = server.endpoint();
    let stream = client.spawn(async move {
        let mut client = DispatchServiceClient::new(endpoint.connect().await.unwrap());
        let requests = tokio_stream::iter(std::iter::repeat_with(|| text("小区物业乱收费")));
        let mut stream = client.stream_classify_texts(requests).await.unwrap().into_inner();
        for _ in 0..answers {
            stream.message().await.unwrap().unwrap();
        }
        stream
    });
    let stream = stream.await.unwrap();
    (client, stream)
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_break_off_in_the_middle_of_a_stream_are_forgotten() {
    let server = Server::start();
    for answers in 0..30 {
        let (client, _stream) = endless_stream(&server, answers).await;
        client.shutdown_background();
    }
    server.assert_serving().await;
    server.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_never_read_their_answers_hold_up_nobody() {
    let server = Server::start();
    let mut clients = Vec::new();
    for _ in 0..5 {
        clients.push(endless_stream(&server, 0).await);
    }
    for _ in 0..10 {
        server.assert_serving().await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for (client, _stream) in clients {
        client.shutdown_background();
    }
    server.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_far_more_small_messages_than_can_be_answered_yet_keeps_the_connection() {
    const SENT: usize = 8000;
    let server = Server::start();
    let mut client = DispatchServiceClient::new(server.endpoint().connect().await.unwrap());
    // A pause between two messages makes each a frame of its own.
    let requests = tokio_stream::iter(0..SENT).then(async |_| {
        tokio::task::yield_now().await;
        text("路灯不亮")
    });
    let mut stream = client.stream_classify_texts(requests).await.unwrap().into_inner();
    // Nobody reads, so that the messages pile up.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut answered = 0;
    while stream.message().await.unwrap().is_some() {
        answered += 1;
    }
    assert_eq!(answered, SENT);
    drop(client);
    server.end();
}
