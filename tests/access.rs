//! A server behind the door, on a real socket: who gets in, what others are told, and what changes while calls go on.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::convert::Infallible;
use std::fmt::Write;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::uri::PathAndQuery;
use jiesu::access::{Access, AccessLayer, ApiKey, KeyId};
use tokio_stream::StreamExt;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::transport::Channel;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_health::ServingStatus;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_health::server::HealthReporter;
use tonic_prost::ProstCodec;
use tonic_types::StatusExt;
use tower_service::Service;

const CLASSIFY: &str = "scopes = [\"classify\"]";
const CHECK: &str = "/jiesu.v1.DispatchService/Check";
const WATCH: &str = "/jiesu.v1.DispatchService/Watch";
const SLEEP: &str = "/jiesu.v1.DispatchService/Sleep";

/// The health service in the place of one that needs a key. Its answers say who asked.
#[derive(Clone)]
struct Dispatch<S>(S);

impl<S> NamedService for Dispatch<S> {
    const NAME: &'static str = "jiesu.v1.DispatchService";
}

impl<S> Service<http::Request<Body>> for Dispatch<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        let path = request.uri().path().replace(Self::NAME, "grpc.health.v1.Health");
        *request.uri_mut() = path.parse().unwrap();
        let id = request.extensions().get::<KeyId>().map(ToString::to_string);
        assert!(!request.headers().contains_key(AUTHORIZATION), "the key went further than the door");
        if request.uri().path().ends_with("/Sleep") {
            return Box::pin(std::future::pending());
        }
        let answer = self.0.call(request);
        Box::pin(async move {
            let mut answer = answer.await?;
            answer.headers_mut().insert("x-key-id", id.unwrap_or_default().parse().unwrap());
            Ok(answer)
        })
    }
}

struct Deployment {
    /// Removed at the end.
    _folder: tempfile::TempDir,
    file: PathBuf,
    access: Option<Arc<Access>>,
    denials: Arc<Mutex<Vec<&'static str>>>,
    reporter: HealthReporter,
    channel: Channel,
}

impl Deployment {
    async fn start(keys: &[(&str, &ApiKey, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keys.toml");
        write_keys(&file, keys);
        let denials = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&denials);
        let access = Access::load(&file, move |denial, _| told.lock().unwrap().push(denial.name())).unwrap();
        let access = Some(Arc::new(access));
        let (reporter, channel) = serve(access.clone()).await;
        Self { _folder: folder, file, access, denials, reporter, channel }
    }

    fn reload(&self, keys: &[(&str, &ApiKey, &str)]) {
        write_keys(&self.file, keys);
        self.access.as_ref().unwrap().reload().unwrap();
    }

    fn denials(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.denials.lock().unwrap())
    }

    async fn check(&self, key: &ApiKey) -> Result<Response<HealthCheckResponse>, Status> {
        call(&self.channel, CHECK, Some(key.reveal())).await
    }

    /// Opens a stream that goes on until the server ends it, and waits for its first answer.
    async fn watch(&self, key: &ApiKey) -> Result<Streaming<HealthCheckResponse>, Status> {
        let mut client = tonic::client::Grpc::new(self.channel.clone());
        client.ready().await.unwrap();
        let path = PathAndQuery::from_static(WATCH);
        let codec = ProstCodec::<HealthCheckRequest, HealthCheckResponse>::default();
        let mut stream =
            client.server_streaming(request(Some(key.reveal())), path, codec).await?.into_inner();
        stream.message().await?.unwrap();
        Ok(stream)
    }

    /// How many calls get in one after the other, and what the next is told.
    async fn call_until_refused(&self, key: &ApiKey) -> (usize, Status) {
        for calls in 0..1000 {
            if let Err(error) = self.check(key).await {
                return (calls, error);
            }
        }
        panic!("every call gets in");
    }

    /// Waits until a call gets in, and fails if none does.
    async fn wait_for_room(&self, key: &ApiKey) {
        for _ in 0..500 {
            if self.check(key).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("there is no room for a call");
    }
}

fn write_keys(file: &PathBuf, keys: &[(&str, &ApiKey, &str)]) {
    let text = keys.iter().fold(String::new(), |mut text, (id, key, more)| {
        let digest = key.digest().to_hex();
        write!(text, "[[key]]\nid = \"{id}\"\nsha256 = \"{digest}\"\n{more}\n").unwrap();
        text
    });
    // Put in place at once, as who deploys it should.
    let fresh = tempfile::NamedTempFile::new_in(file.parent().unwrap()).unwrap();
    std::fs::write(&fresh, text).unwrap();
    fresh.persist(file).unwrap();
}

async fn serve(access: Option<Arc<Access>>) -> (HealthReporter, Channel) {
    let (reporter, health) = tonic_health::server::health_reporter();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(
        tonic::transport::Server::builder()
            .layer(AccessLayer::new(access))
            .add_service(health.clone())
            .add_service(Dispatch(health))
            .serve_with_incoming(TcpIncoming::from(listener)),
    );
    (reporter, Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap())
}

fn request(key: Option<&str>) -> Request<HealthCheckRequest> {
    let mut request = Request::new(HealthCheckRequest::default());
    if let Some(key) = key {
        request.metadata_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
    }
    request
}

async fn call(
    channel: &Channel,
    path: &'static str,
    key: Option<&str>,
) -> Result<Response<HealthCheckResponse>, Status> {
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.unwrap();
    let codec = ProstCodec::<HealthCheckRequest, HealthCheckResponse>::default();
    client.unary(request(key), PathAndQuery::from_static(path), codec).await
}

fn key() -> ApiKey {
    ApiKey::generate().unwrap()
}

#[tokio::test]
async fn who_has_no_key_or_an_unknown_one_is_unauthenticated() {
    let server = Deployment::start(&[("a", &key(), CLASSIFY)]).await;
    let error = call(&server.channel, CHECK, None).await.unwrap_err();
    assert_eq!(error.code(), Code::Unauthenticated);
    assert!(error.message().contains("authorization: Bearer"), "{error}");
    let unknown = key();
    let error = server.check(&unknown).await.unwrap_err();
    assert_eq!(error.code(), Code::Unauthenticated);
    assert!(!format!("{error:?}").contains(unknown.reveal()), "{error:?}");
    assert_eq!(server.denials(), ["no_key", "unknown_key"]);
}

#[tokio::test]
async fn an_expired_key_is_unauthenticated_and_told_why() {
    let old = key();
    let server = Deployment::start(&[("a", &old, "scopes = [\"classify\"]\nexpires = 2020-01-01")]).await;
    let error = server.check(&old).await.unwrap_err();
    assert_eq!((error.code(), error.message().contains("`a` has expired")), (Code::Unauthenticated, true));
    assert_eq!(server.denials(), ["expired_key"]);
}

#[tokio::test]
async fn a_key_is_good_for_its_scopes_alone() {
    let (intake, operator) = (key(), key());
    let keys = [("intake", &intake, CLASSIFY), ("operator", &operator, "scopes = [\"admin\"]")];
    let server = Deployment::start(&keys).await;
    let answer = server.check(&intake).await.unwrap();
    assert_eq!(answer.metadata().get("x-key-id").unwrap(), "intake");

    let error = server.check(&operator).await.unwrap_err();
    assert_eq!(error.code(), Code::PermissionDenied);
    assert_eq!(
        error.message(),
        "this call needs the scope `classify`, which the API key `operator` does not have"
    );
    let reload = "/jiesu.v1.AdminService/Reload";
    let error = call(&server.channel, reload, Some(intake.reveal())).await.unwrap_err();
    assert_eq!(error.code(), Code::PermissionDenied);
    let error = call(&server.channel, reload, Some(operator.reveal())).await.unwrap_err();
    assert_eq!(error.code(), Code::Unimplemented, "no such service here, but the door is passed");
    assert_eq!(server.denials(), ["wrong_scope", "wrong_scope"]);
}

#[tokio::test]
async fn health_is_open_and_without_keys_everything_is() {
    let health = "/grpc.health.v1.Health/Check";
    let server = Deployment::start(&[("a", &key(), CLASSIFY)]).await;
    call(&server.channel, health, None).await.unwrap();
    let (_reporter, open) = serve(None).await;
    call(&open, health, None).await.unwrap();
    call(&open, CHECK, None).await.unwrap();
}

#[tokio::test]
async fn who_calls_too_often_is_told_when_to_come_back() {
    let (fast, slow) = (key(), key());
    let limited = "scopes = [\"classify\"]\nrequests_per_second = 1\nburst = 2";
    let server = Deployment::start(&[("fast", &fast, limited), ("slow", &slow, limited)]).await;
    let (calls, error) = server.call_until_refused(&fast).await;
    assert!(calls >= 2, "{calls}");
    assert_eq!(error.code(), Code::ResourceExhausted);
    let wait = error.get_details_retry_info().unwrap().retry_delay.unwrap();
    assert!(wait > Duration::ZERO && wait <= Duration::from_secs(1), "{wait:?}");
    server.check(&slow).await.expect("each key has limits of its own");
    tokio::time::sleep(wait).await;
    server.check(&fast).await.unwrap();
    assert_eq!(server.denials(), ["too_fast"]);
}

#[tokio::test]
async fn a_stream_counts_as_in_flight_until_it_ends() {
    let key = key();
    let limited = "scopes = [\"classify\"]\nmax_concurrent = 2";
    let mut server = Deployment::start(&[("a", &key, limited)]).await;
    let mut first = server.watch(&key).await.unwrap();
    let second = server.watch(&key).await.unwrap();
    for _ in 0..3 {
        let error = server.check(&key).await.unwrap_err();
        assert_eq!(error.code(), Code::ResourceExhausted);
        assert!(error.get_details_retry_info().unwrap().retry_delay.is_some());
    }
    assert_eq!(server.denials(), ["too_many"; 3]);

    // Its caller goes away.
    drop(second);
    server.wait_for_room(&key).await;
    let _third = server.watch(&key).await.unwrap();
    server.check(&key).await.unwrap_err();
    // The server ends the streams.
    server.reporter.clear_service_status("").await;
    assert!(first.next().await.is_none());
    // What is asked of a service that is gone is not found, which is past the door.
    for _ in 0..20 {
        assert_eq!(server.check(&key).await.unwrap_err().code(), Code::NotFound);
    }
}

#[tokio::test]
async fn a_call_that_is_cancelled_before_its_answer_is_in_flight_no_more() {
    let key = key();
    let server = Deployment::start(&[("a", &key, "scopes = [\"classify\"]\nmax_concurrent = 1")]).await;
    let mut sleeping = Box::pin(call(&server.channel, SLEEP, Some(key.reveal())));
    let begun = async { while server.check(&key).await.is_ok() {} };
    tokio::select! {
        _ = &mut sleeping => panic!("it sleeps for ever"),
        () = begun => {}
    }
    drop(sleeping);
    server.wait_for_room(&key).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_replaced_while_calls_go_on() {
    let (old, new) = (key(), key());
    let server = Arc::new(Deployment::start(&[("intake-1", &old, CLASSIFY)]).await);
    let mut stream = server.watch(&old).await.unwrap();
    assert_eq!(server.check(&new).await.unwrap_err().code(), Code::Unauthenticated);

    server.reload(&[("intake-1", &old, CLASSIFY), ("intake-2", &new, CLASSIFY)]);
    server.check(&old).await.unwrap();
    let caller = tokio::spawn({
        let (server, new) = (Arc::clone(&server), new.clone());
        async move {
            for _ in 0..300 {
                server.check(&new).await.expect("the new key works all the time");
            }
        }
    });
    while !caller.is_finished() {
        server.reload(&[("intake-2", &new, CLASSIFY)]);
        assert_eq!(server.check(&old).await.unwrap_err().code(), Code::Unauthenticated);
        server.reload(&[("intake-1", &old, CLASSIFY), ("intake-2", &new, CLASSIFY)]);
        server.check(&old).await.unwrap();
    }
    caller.await.unwrap();

    server.reload(&[("intake-2", &new, CLASSIFY)]);
    server.reporter.set_service_status("", ServingStatus::NotServing).await;
    let told = stream.message().await.unwrap().expect("a stream outlives its key");
    assert_eq!(told.status, i32::from(tonic_health::pb::health_check_response::ServingStatus::NotServing));
}

#[tokio::test]
async fn limits_keep_their_state_over_a_reload() {
    let key = key();
    let limited = "scopes = [\"classify\"]\nrequests_per_second = 1\nburst = 50\nmax_concurrent = 1";
    let server = Deployment::start(&[("a", &key, limited)]).await;
    let stream = server.watch(&key).await.unwrap();
    server.reload(&[("a", &key, limited)]);
    server.check(&key).await.unwrap_err();
    assert_eq!(server.denials(), ["too_many"]);
    drop(stream);
    server.wait_for_room(&key).await;
    server.call_until_refused(&key).await;
    server.reload(&[("a", &key, limited)]);
    let (calls, _) = server.call_until_refused(&key).await;
    assert!(calls < 10, "{calls} calls, as if the burst were full again");
}

#[tokio::test]
async fn a_file_at_fault_changes_nothing_and_its_error_holds_no_secret() {
    let key = key();
    let server = Deployment::start(&[("a", &key, CLASSIFY)]).await;
    let (access, secret) = (server.access.as_ref().unwrap(), key.reveal());
    std::fs::write(&server.file, format!("[[key]]\nid = \"{secret}\"\nsha256 = \"{secret}\"\nscopes = []\n"))
        .unwrap();
    let error = access.reload().unwrap_err();
    assert_eq!(error.to_string().lines().count(), 3, "{error}");
    server.check(&key).await.unwrap();
    let told = format!("{error} {error:?} {access:?}");
    assert!(!told.contains(secret) && !told.contains(&key.digest().to_hex()), "{told}");
}
