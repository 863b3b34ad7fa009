//! The service on a real socket: every RPC, every refusal, health, reflection, shutdown.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use common::Tiny;
use jiesu::assessment::Assessment;
use jiesu::batcher::BatcherConfig;
use jiesu::city::{City, CityFiles};
use jiesu::encoder::Threads;
use jiesu::listen::Listener;
use jiesu::live::Live;
use jiesu::pb::classify_text_result::Outcome;
use jiesu::pb::dispatch_service_client::DispatchServiceClient;
use jiesu::pb::{
    BatchClassifyTextsRequest, ClassifyTextRequest, DecisionAction, DepartmentRole, GetModelRequest,
    GetTaxonomyRequest, Leadership, RequesterType,
};
use jiesu::pipeline::{Assess, CitizenRequest};
use jiesu::server::{self, ServerConfig, Serving};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::Channel;
use tonic::{Code, Request, Response};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServiceResponse};
use tonic_types::StatusExt;

/// How long a shutdown may take: far more than what a test waits for.
const GRACE: Duration = Duration::from_secs(20);

struct Server {
    address: SocketAddr,
    shutdown: oneshot::Sender<()>,
    ended: JoinHandle<anyhow::Result<()>>,
}

async fn start_with(model: impl FnOnce(Arc<Live>) -> Arc<dyn Assess>, queued: u32) -> Server {
    start_in(CityFiles::default(), model, queued).await
}

async fn start_in(city: CityFiles, model: impl FnOnce(Arc<Live>) -> Arc<dyn Assess>, queued: u32) -> Server {
    let live = Arc::new(Live::load(Tiny::new(city)).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (shutdown, signal) = oneshot::channel();
    let config = ServerConfig {
        batcher: BatcherConfig {
            max_queued_texts: NonZeroU32::new(queued).unwrap(),
            max_batch_tokens: NonZeroUsize::new(512).unwrap(),
        },
        cache_bytes: 1 << 20,
        shutdown_grace: GRACE,
    };
    let serving =
        Serving { model: model(Arc::clone(&live)), live, shadow: None, access: None, records: None };
    let ended = tokio::spawn(server::run(vec![Listener::Tcp(listener)], serving, config, async {
        // Dropping the sender is a shutdown too.
        let _ = signal.await;
    }));
    Server { address, shutdown, ended }
}

async fn start() -> Server {
    start_with(|live| live, 64).await
}

impl Server {
    async fn channel(&self) -> Channel {
        Channel::from_shared(format!("http://{}", self.address)).unwrap().connect().await.unwrap()
    }

    async fn client(&self) -> DispatchServiceClient<Channel> {
        DispatchServiceClient::new(self.channel().await)
    }

    async fn health(&self) -> ServingStatus {
        let request = HealthCheckRequest { service: String::new() };
        HealthClient::new(self.channel().await).check(request).await.unwrap().into_inner().status()
    }
}

fn text(text: &str) -> ClassifyTextRequest {
    ClassifyTextRequest { text: text.to_owned(), ..ClassifyTextRequest::default() }
}

/// Answers as the service does, but says when a call has come, and waits for a permit.
struct Gated {
    live: Arc<Live>,
    entered: mpsc::Sender<()>,
    permits: Mutex<mpsc::Receiver<()>>,
}

/// The other side of [`Gated`].
struct Gate {
    entered: mpsc::Receiver<()>,
    permit: mpsc::Sender<()>,
}

impl Gate {
    /// Waits until a call is with the model.
    fn wait_for_a_call(&self) {
        tokio::task::block_in_place(|| self.entered.recv_timeout(GRACE)).unwrap();
    }

    fn let_one_through(&self) {
        self.permit.send(()).unwrap();
    }
}

impl Assess for Gated {
    fn assess(&self, requests: &[CitizenRequest], threads: Threads) -> jiesu::error::Result<Vec<Assessment>> {
        // At the end of a test nobody listens any more.
        let _ = self.entered.send(());
        let _ = self.permits.lock().unwrap().recv();
        self.live.assess(requests, threads)
    }
}

async fn start_gated(queued: u32) -> (Server, Gate) {
    let (permit, permits) = mpsc::channel();
    let (entered, entries) = mpsc::channel();
    let gated = |live| Arc::new(Gated { live, entered, permits: Mutex::new(permits) }) as _;
    let server = start_with(gated, queued).await;
    let gate = Gate { entered: entries, permit };
    (server, gate)
}

/// A gated server that has answered its warm-up.
async fn serve_gated(queued: u32) -> (Server, Gate) {
    let (server, gate) = start_gated(queued).await;
    gate.wait_for_a_call();
    gate.let_one_through();
    wait_until_serving(&server).await;
    (server, gate)
}

async fn wait_until_serving(server: &Server) {
    while server.health().await != ServingStatus::Serving {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn classify_text_answers_every_part() {
    let server = start().await;
    let request = ClassifyTextRequest {
        title: "物业".to_owned(),
        area: "朝阳区".to_owned(),
        category_count: Some(5),
        department_count: Some(1),
        request_id: "42".to_owned(),
        requester_type: RequesterType::Individual.into(),
        explain: true,
        mask: true,
        ..text("小區物業亂收費，請打13800138000")
    };
    let response = server.client().await.classify_text(request).await.unwrap().into_inner();
    assert_eq!(response.request_id, "42");
    let assessment = response.assessment.unwrap();
    assert_eq!(assessment.categories.len(), 5);
    assert_eq!(assessment.category.as_ref(), assessment.categories.first());
    assert!(assessment.kind.is_some());
    assert!(assessment.urgency.is_none(), "the tiny model has no such head");
    assert_eq!(assessment.area.unwrap().id, "beijing.chaoyang");
    let decision = assessment.decision.unwrap();
    assert_eq!(decision.action(), DecisionAction::Review);
    assert_eq!(decision.reasons[0].code, "uncertified");
    let roles: Vec<_> = assessment.departments.iter().map(jiesu::pb::DepartmentSuggestion::role).collect();
    assert_eq!(roles.iter().filter(|role| **role == DepartmentRole::Territorial).count(), 1);
    for span in &assessment.evidence {
        let words =
            if span.field == "title" { "物业" } else { "小區物業亂收費，請打13800138000" };
        let [start, end] = [span.start, span.end].map(|at| usize::try_from(at).unwrap());
        let quoted: String = words.chars().skip(start).take(end - start).collect();
        assert_eq!(quoted.replace("13800138000", "***********"), span.text);
    }
    let targets: BTreeSet<&str> = assessment.evidence.iter().map(|span| span.target.as_str()).collect();
    assert_eq!(targets, BTreeSet::from(["category", "lead"]));
    assert_eq!(assessment.masked_text, "小區物業亂收費，請打***********");
    assert_eq!(assessment.masked_title, "物业");
    assert!(!assessment.model_revision.is_empty());
    assert_eq!(assessment.taxonomy_version, City::built_in().taxonomy.version);
    assert_eq!(assessment.risk_rules_version, City::built_in().risk_rules.version);
}

#[tokio::test]
async fn a_policy_lets_the_street_lead_until_the_city_is_warned_of_too_much() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("directory.toml");
    let built_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/dispatch/directory.toml");
    let built_in = fs::read_to_string(built_in).unwrap();
    let policy = "[[policies]]\nid = \"streets\"\narea = \"beijing.dongcheng\"\nlead = \"territorial\"\n\n\
                  [grassroots]\nmax_share = 0.5\nwindow = 4\n\n";
    fs::write(&directory, built_in.replacen("[time_limit_hours]", &format!("{policy}[time_limit_hours]"), 1))
        .unwrap();
    let city = CityFiles { directory: Some(directory), ..CityFiles::default() };
    let server = start_in(city, |live| live, 64).await;
    let mut client = server.client().await;
    let mut warned = Vec::new();
    for (number, place) in ["海淀区", "景山街道", "景山街道", "景山街道"].into_iter().enumerate()
    {
        let request = text(&format!("{place}{number}号路灯不亮"));
        let answer = client.classify_text(request).await.unwrap().into_inner().assessment.unwrap();
        let lead = &answer.departments[0];
        let by_street = (lead.id.as_str(), answer.leadership());
        assert_eq!(
            by_street == ("beijing.dongcheng.jingshan", Leadership::Territorial),
            number > 0,
            "{lead:?}"
        );
        warned.push(!answer.warnings.is_empty());
    }
    assert_eq!(warned, [false, false, false, true]);
}

#[tokio::test]
async fn what_nobody_asked_for_is_not_returned() {
    let server = start().await;
    let response = server.client().await.classify_text(text("路灯不亮，请打13800138000")).await.unwrap();
    let assessment = response.into_inner().assessment.unwrap();
    assert!(assessment.evidence.is_empty() && assessment.masked_text.is_empty());
}

#[tokio::test]
async fn every_field_at_fault_is_named() {
    let server = start().await;
    let request = ClassifyTextRequest {
        title: "长".repeat(501),
        area: "亚特兰蒂斯".repeat(3000),
        category_count: Some(0),
        department_count: Some(21),
        request_id: "9".repeat(129),
        requester_type: 9,
        ..text("")
    };
    let status = server.client().await.classify_text(request).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let violations = status.get_details_bad_request().unwrap().field_violations;
    let fields: Vec<_> = violations.iter().map(|violation| violation.field.as_str()).collect();
    let all = ["title", "text", "area", "category_count", "department_count", "request_id", "requester_type"];
    assert_eq!(fields, all);
}

#[tokio::test]
async fn an_empty_text_a_long_text_and_an_unknown_area_are_invalid() {
    let server = start().await;
    let mut client = server.client().await;
    let faulty = [
        ("text", text(" \u{200b}\n")),
        ("text", text(&"长".repeat(10_001))),
        ("area", ClassifyTextRequest { area: "亚特兰蒂斯".to_owned(), ..text("路灯不亮") }),
    ];
    for (field, request) in faulty {
        let status = client.classify_text(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        let violations = status.get_details_bad_request().unwrap().field_violations;
        assert_eq!(violations.len(), 1);
        assert_eq!(violations[0].field, field);
    }
}

#[tokio::test]
async fn a_faulty_item_does_not_fail_its_batch() {
    let server = start().await;
    let requests = vec![
        ClassifyTextRequest { request_id: "a".to_owned(), ..text("路灯不亮") },
        ClassifyTextRequest { request_id: "b".to_owned(), ..text("") },
        ClassifyTextRequest { request_id: "c".to_owned(), ..text("公交") },
    ];
    let response = server.client().await.batch_classify_texts(BatchClassifyTextsRequest { requests }).await;
    let results = response.unwrap().into_inner().results;
    let ids: Vec<_> = results.iter().map(|result| result.request_id.as_str()).collect();
    assert_eq!(ids, ["a", "b", "c"]);
    assert!(matches!(results[0].outcome, Some(Outcome::Assessment(_))));
    assert!(matches!(results[2].outcome, Some(Outcome::Assessment(_))));
    let Some(Outcome::Error(error)) = &results[1].outcome else { panic!("{results:?}") };
    assert_eq!(error.code, i32::from(Code::InvalidArgument));
    assert_eq!(error.violations[0].field, "text");
}

#[tokio::test]
async fn a_stream_answers_each_request_in_its_turn_and_survives_faulty_ones() {
    let server = start().await;
    let requests = (0..300).map(|number| {
        let words = if number % 10 == 3 { "" } else { "路灯不亮" };
        ClassifyTextRequest { request_id: number.to_string(), ..text(words) }
    });
    let stream = server.client().await.stream_classify_texts(tokio_stream::iter(requests)).await;
    let mut stream = stream.unwrap().into_inner();
    for number in 0..300 {
        let result = stream.message().await.unwrap().unwrap();
        assert_eq!(result.request_id, number.to_string());
        match result.outcome.unwrap() {
            Outcome::Assessment(_) => assert_ne!(number % 10, 3),
            Outcome::Error(error) => {
                assert_eq!((number % 10, error.code), (3, i32::from(Code::InvalidArgument)));
            }
        }
    }
    assert!(stream.message().await.unwrap().is_none());
}

/// Answers as the service does and counts texts.
struct Counted {
    live: Arc<Live>,
    texts: Arc<AtomicUsize>,
}

impl Assess for Counted {
    fn assess(&self, requests: &[CitizenRequest], threads: Threads) -> jiesu::error::Result<Vec<Assessment>> {
        self.texts.fetch_add(requests.len(), Ordering::SeqCst);
        self.live.assess(requests, threads)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_stops_its_own_stream_and_nobody_else() {
    const SENT: usize = 3000;
    let texts = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&texts);
    let server = start_with(|live| Arc::new(Counted { live, texts: counted }), 256).await;
    // A client that takes in 64 KiB of answers before it reads them, not the megabytes that tonic's would.
    let endpoint = Channel::from_shared(format!("http://{}", server.address)).unwrap();
    let channel = endpoint.initial_stream_window_size(65_535).connect().await.unwrap();
    let mut client = DispatchServiceClient::new(channel);
    let requests = tokio_stream::iter((0..SENT).map(|number| text(&format!("小区物业乱收费{number}元"))));
    let mut stream = client.stream_classify_texts(requests).await.unwrap().into_inner();
    // Nobody reads: the work comes to a halt once all buffers are full.
    let mut before = usize::MAX;
    while texts.load(Ordering::SeqCst) != before {
        before = texts.load(Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert!(before < SENT / 2, "{before} texts were classified for nobody");
    assert!(server.client().await.classify_text(text("路灯不亮")).await.is_ok());
    let mut answered = 0;
    while stream.message().await.unwrap().is_some() {
        answered += 1;
    }
    assert_eq!(answered, SENT);
}

#[tokio::test]
async fn a_batch_of_none_or_too_many_is_invalid() {
    let server = start().await;
    for count in [0, server::MAX_BATCH_SIZE + 1] {
        let requests = vec![text("路灯不亮"); count];
        let response =
            server.client().await.batch_classify_texts(BatchClassifyTextsRequest { requests }).await;
        assert_eq!(response.unwrap_err().code(), Code::InvalidArgument);
    }
}

#[tokio::test]
async fn the_model_and_the_taxonomy_describe_themselves() {
    let server = start().await;
    let mut client = server.client().await;
    let model = client.get_model(GetModelRequest {}).await.unwrap().into_inner().model.unwrap();
    let heads: Vec<_> = model.heads.iter().map(|head| (head.name.as_str(), head.labels.len())).collect();
    assert_eq!(heads, [("category", 20), ("kind", 7), ("department", 3)]);
    let taxonomy = client.get_taxonomy(GetTaxonomyRequest {}).await.unwrap().into_inner();
    assert_eq!(taxonomy.categories.len(), 20);
    assert_eq!(taxonomy.departments.len(), 44);
    assert!(taxonomy.areas.iter().any(|area| area.name == "朝阳区"));
}

#[tokio::test]
async fn reflection_lists_the_services() {
    let server = start().await;
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut client = ServerReflectionClient::new(server.channel().await);
    let mut responses =
        client.server_reflection_info(tokio_stream::once(request)).await.unwrap().into_inner();
    let response = responses.message().await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(list) = response else { panic!("{response:?}") };
    for service in ["jiesu.v1.DispatchService", "grpc.health.v1.Health"] {
        assert!(list.service.contains(&ServiceResponse { name: service.to_owned() }), "{list:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn health_is_serving_only_once_the_model_has_answered() {
    let (server, gate) = start_gated(8).await;
    gate.wait_for_a_call();
    assert_eq!(server.health().await, ServingStatus::NotServing);
    gate.let_one_through();
    wait_until_serving(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_is_resource_exhausted_and_says_when_to_come_back() {
    let (server, gate) = serve_gated(2).await;
    let mut client = server.client().await;
    let requests = vec![text("路灯不亮"); 2];
    let call = tokio::spawn({
        let mut client = client.clone();
        async move { client.batch_classify_texts(BatchClassifyTextsRequest { requests }).await }
    });
    gate.wait_for_a_call();
    let more = BatchClassifyTextsRequest { requests: vec![text("路灯不亮")] };
    let status = client.batch_classify_texts(more).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.get_details_retry_info().unwrap().retry_delay.is_some());
    gate.let_one_through();
    assert_eq!(call.await.unwrap().unwrap().into_inner().results.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_been_asked_before_is_answered_without_the_model() {
    let (server, gate) = serve_gated(1).await;
    let mut client = server.client().await;
    gate.let_one_through();
    let mut ask = async |id: &str, words: &str| {
        let request = ClassifyTextRequest { request_id: id.to_owned(), ..text(words) };
        client.classify_text(request).await.map(Response::into_inner)
    };
    let first = ask("a", "路灯不亮").await.unwrap();
    // Nothing gets through to the model any more.
    let second = ask("b", "路灯不亮").await.unwrap();
    assert_eq!((second.request_id.as_str(), second.assessment), ("b", first.assessment));
    assert_eq!(ask(&"b".repeat(129), "路灯不亮").await.unwrap_err().code(), Code::InvalidArgument);
    // Of a batch, only what is new takes room.
    let requests = vec![text("路灯不亮"), text("公交"), text("路灯不亮")];
    gate.let_one_through();
    let results = server.client().await.batch_classify_texts(BatchClassifyTextsRequest { requests }).await;
    let results = results.unwrap().into_inner().results;
    assert!(results.iter().all(|result| matches!(result.outcome, Some(Outcome::Assessment(_)))));
    assert_eq!(results[0], results[2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overdue_call_is_deadline_exceeded() {
    let (server, gate) = serve_gated(8).await;
    let mut request = Request::new(text("路灯不亮"));
    request.metadata_mut().insert("grpc-timeout", "1000m".parse().unwrap());
    let status = server.client().await.classify_text(request).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    gate.let_one_through();
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_finishes_the_call_in_flight_and_then_ends() {
    let (server, gate) = serve_gated(8).await;
    let mut client = server.client().await;
    let call = tokio::spawn(async move { client.classify_text(text("路灯不亮")).await });
    gate.wait_for_a_call();
    server.shutdown.send(()).unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!server.ended.is_finished(), "a call is in flight");
    gate.let_one_through();
    assert!(call.await.unwrap().unwrap().into_inner().assessment.is_some());
    server.ended.await.unwrap().unwrap();
}

#[tokio::test]
async fn who_watches_the_health_is_told_of_the_shutdown_and_does_not_hold_it_up() {
    let server = start().await;
    wait_until_serving(&server).await;
    let request = HealthCheckRequest { service: String::new() };
    let mut watch = HealthClient::new(server.channel().await).watch(request).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    server.shutdown.send(()).unwrap();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    let ended = tokio::time::timeout(GRACE / 2, server.ended).await;
    ended.expect("the watch holds up the shutdown").unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_never_answers_does_not_hold_up_the_shutdown_for_ever() {
    let (gated, gate) = start_gated(8).await;
    gate.wait_for_a_call();
    gated.shutdown.send(()).unwrap();
    gated.ended.await.unwrap().unwrap();
}
