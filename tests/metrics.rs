//! The metrics of a service, as Prometheus reads them.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use common::{Served, Tiny, metrics_page};
use jiesu::assessment::Assessment;
use jiesu::batcher::BatcherConfig;
use jiesu::city::CityFiles;
use jiesu::encoder::Threads;
use jiesu::listen::Listener;
use jiesu::live::Live;
use jiesu::metrics;
use jiesu::pb::dispatch_service_client::DispatchServiceClient;
use jiesu::pb::{BatchClassifyTextsRequest, ClassifyTextRequest, GetModelRequest};
use jiesu::pipeline::{Assess, CitizenRequest};
use jiesu::server::{self, ServerConfig, Serving};
use tonic::{Code, Request};

/// Values by name and labels.
fn scrape(address: &str) -> HashMap<String, f64> {
    let page = metrics_page(address);
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}

fn text(text: &str) -> ClassifyTextRequest {
    ClassifyTextRequest { text: text.to_owned(), ..ClassifyTextRequest::default() }
}

fn batch(texts: &[&str]) -> BatchClassifyTextsRequest {
    BatchClassifyTextsRequest { requests: texts.iter().map(|words| text(words)).collect() }
}

#[tokio::test]
async fn calls_texts_batches_and_waits_are_counted() {
    let served = Served::start(&["--metrics-listen", "127.0.0.1:0", "--max-queued-texts", "4"], &[]);
    let endpoint = format!("http://{}", served.address("serving"));
    let mut client = DispatchServiceClient::connect(endpoint).await.unwrap();
    client.classify_text(text("路灯不亮")).await.unwrap();
    client.classify_text(text("路灯不亮")).await.unwrap();
    assert_eq!(client.classify_text(text("")).await.unwrap_err().code(), Code::InvalidArgument);
    client.batch_classify_texts(batch(&["小区物业", "", "公交"])).await.unwrap();
    let crowd = client.batch_classify_texts(batch(&["公交改线"; 5])).await;
    assert_eq!(crowd.unwrap_err().code(), Code::ResourceExhausted);
    let stream =
        client.stream_classify_texts(tokio_stream::iter(["路灯", "路灯坏了", "路灯太亮"].map(text))).await;
    let mut stream = stream.unwrap().into_inner();
    while stream.message().await.unwrap().is_some() {}
    client.get_model(GetModelRequest {}).await.unwrap();

    let metrics = scrape(served.address("metrics"));
    for (name, count) in [
        (r#"jiesu_calls_total{method="ClassifyText",code="Ok"}"#, 2.0),
        (r#"jiesu_calls_total{method="ClassifyText",code="InvalidArgument"}"#, 1.0),
        (r#"jiesu_calls_total{method="BatchClassifyTexts",code="Ok"}"#, 1.0),
        (r#"jiesu_calls_total{method="BatchClassifyTexts",code="ResourceExhausted"}"#, 1.0),
        (r#"jiesu_calls_total{method="StreamClassifyTexts",code="Ok"}"#, 1.0),
        (r#"jiesu_calls_total{method="GetModel",code="Ok"}"#, 1.0),
        (r#"jiesu_call_duration_seconds_count{method="ClassifyText"}"#, 3.0),
        (r#"jiesu_texts_total{outcome="answered"}"#, 7.0),
        (r#"jiesu_texts_total{outcome="invalid"}"#, 2.0),
        (r#"jiesu_texts_total{outcome="overloaded"}"#, 5.0),
        (r#"jiesu_texts_total{outcome="expired"}"#, 0.0),
        (r#"jiesu_texts_total{outcome="failed"}"#, 0.0),
        ("jiesu_tokenize_duration_seconds_count", 6.0),
        (r#"jiesu_queued_texts{lane="interactive"}"#, 0.0),
        (r#"jiesu_queued_texts{lane="bulk"}"#, 0.0),
        // The service asks its model a question of its own before it serves.
        (r#"jiesu_queue_wait_seconds_count{lane="interactive"}"#, 2.0),
        (r#"jiesu_queue_wait_seconds_count{lane="bulk"}"#, 5.0),
        ("jiesu_batch_texts_sum", 7.0),
        ("jiesu_cache_hits_total", 1.0),
        ("jiesu_cache_misses_total", 13.0),
        ("jiesu_panics_total", 0.0),
    ] {
        assert_eq!(metrics.get(name), Some(&count), "{name} of {metrics:#?}");
    }
    assert!(metrics["jiesu_batch_tokens_sum"] > metrics["jiesu_batch_texts_sum"]);
    assert!(metrics["jiesu_encode_duration_seconds_count"] >= 4.0);
    assert!(metrics.keys().any(|name| name.starts_with("jiesu_model_info{") && name.contains("int8")));
}

/// Answers as the service does, once for each permit.
struct Slow {
    live: Arc<Live>,
    permits: Mutex<mpsc::Receiver<()>>,
}

impl Assess for Slow {
    fn assess(&self, requests: &[CitizenRequest], threads: Threads) -> jiesu::error::Result<Vec<Assessment>> {
        // At the end of the test nobody gives permits any more.
        let _ = self.permits.lock().unwrap().recv();
        self.live.assess(requests, threads)
    }
}

/// Serves in this process, whose metrics this then are, with a model that needs a permit a batch.
async fn serve_slowly() -> (SocketAddr, mpsc::Sender<()>) {
    let live = Arc::new(Live::load(Tiny::new(CityFiles::default())).unwrap());
    let (permit, permits) = mpsc::channel();
    let model = Arc::new(Slow { live: Arc::clone(&live), permits: Mutex::new(permits) });
    let serving = Serving { live, model, shadow: None, access: None, records: None };
    let config = ServerConfig {
        batcher: BatcherConfig {
            max_queued_texts: NonZeroU32::new(64).unwrap(),
            max_batch_tokens: NonZeroUsize::new(1).unwrap(),
        },
        cache_bytes: 1 << 20,
        shutdown_grace: Duration::ZERO,
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(server::run(vec![Listener::Tcp(listener)], serving, config, std::future::pending()));
    (address, permit)
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_that_nobody_waits_for_any_more_are_expired_or_cancelled_and_skipped() {
    let metrics = metrics::listen("127.0.0.1:0".parse().unwrap()).await.unwrap().to_string();
    let (address, permit) = serve_slowly().await;
    let value = |name: &str| scrape(&metrics).get(name).copied().unwrap_or(0.0);
    let wait_for = async |name: &str, expected: f64| {
        let reached = async {
            while (value(name) - expected).abs() > 1e-9 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), reached).await.expect(name);
    };
    // One of the model's threads is with the first request, the service's own; the others get one each.
    wait_for("jiesu_batch_texts_count", 1.0).await;
    let mut client = DispatchServiceClient::connect(format!("http://{address}")).await.unwrap();
    let threads = Threads::All.count();
    for other in 1..threads {
        let mut client = client.clone();
        tokio::spawn(async move { client.classify_text(text(&format!("公交{other}路"))).await });
    }
    wait_for("jiesu_batch_texts_count", threads as f64).await;
    let mut overdue = Request::new(text("路灯不亮"));
    overdue.metadata_mut().insert("grpc-timeout", "500m".parse().unwrap());
    assert_eq!(client.classify_text(overdue).await.unwrap_err().code(), Code::DeadlineExceeded);
    wait_for(r#"jiesu_texts_total{outcome="expired"}"#, 1.0).await;
    let dropped = tokio::spawn(async move { client.classify_text(text("路灯不亮")).await });
    wait_for(r#"jiesu_queued_texts{lane="interactive"}"#, 2.0).await;
    dropped.abort();
    wait_for(r#"jiesu_texts_total{outcome="cancelled"}"#, 1.0).await;
    wait_for(r#"jiesu_calls_total{method="ClassifyText",code="Cancelled"}"#, 1.0).await;
    for _ in 0..threads {
        permit.send(()).unwrap();
    }
    wait_for(r#"jiesu_skipped_texts_total{reason="expired"}"#, 1.0).await;
    wait_for(r#"jiesu_skipped_texts_total{reason="cancelled"}"#, 1.0).await;
    assert!((value("jiesu_batch_texts_count") - threads as f64).abs() < 1e-9);
}

#[test]
fn a_metrics_port_that_is_taken_is_an_error_at_the_start() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut command = assert_cmd::Command::cargo_bin("jiesu").unwrap();
    let output = command.args(["serve", "--listen", "127.0.0.1:0", "--metrics-listen", &address]).output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains(&format!("error: cannot listen on `{address}` for metrics")), "{error}");
}
