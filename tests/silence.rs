//! What citizens say leaves the service in the answers to those who asked, and nowhere else: not in the log at any level,
//! not in metrics or traces, not in errors, not on disk.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use candle_core::{Device, Tensor};
use common::{Served, tiny_config, write_bundle};
use jiesu::pb::dispatch_service_client::DispatchServiceClient;
use jiesu::pb::{BatchClassifyTextsRequest, ClassifyTextRequest};
use memchr::memmem;
use tonic::transport::Channel;
use tonic::{Request, Status};

/// Words that occur nowhere else, in traditional characters: normalised they are others.
const SECRET: &str = "櫻桃苜蓿獬豸饕餮";
const SIMPLIFIED: &str = "樱桃苜蓿獬豸饕餮";
const PHONE: &str = "13900139000";

/// The secret words as they might be written.
fn traces_of_secrets() -> Vec<String> {
    let mut traces = vec![PHONE.to_owned()];
    for words in [SECRET, SIMPLIFIED] {
        let chars: Vec<char> = words.chars().collect();
        for part in chars.windows(2) {
            let part: String = part.iter().collect();
            let bytes = |format: fn(u8) -> String, between: &str| {
                part.bytes().map(format).collect::<Vec<_>>().join(between)
            };
            traces.push(part.escape_unicode().to_string());
            let units: Vec<_> = part.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
            traces.push(units.concat());
            traces.push(bytes(|byte| format!("\\x{byte:02x}"), ""));
            traces.push(bytes(|byte| format!("{byte:02x}"), ""));
            traces.push(bytes(|byte| format!("\\{byte:o}"), ""));
            traces.push(bytes(|byte| byte.to_string(), ", "));
            traces.push(part);
        }
    }
    traces
}

fn assert_silent(what: &str, said: &[u8]) {
    let said = said.to_ascii_lowercase();
    for words in traces_of_secrets() {
        let found = memmem::find(&said, words.to_ascii_lowercase().as_bytes());
        if let Some(place) = found {
            let around = &said[place.saturating_sub(200)..(place + 200).min(said.len())];
            panic!("{what} holds `{words}`: {}", String::from_utf8_lossy(around));
        }
    }
}

fn request(text: String) -> ClassifyTextRequest {
    ClassifyTextRequest {
        title: format!("關於{SECRET}"),
        text,
        request_id: "r1".to_owned(),
        explain: true,
        ..ClassifyTextRequest::default()
    }
}

/// Asks in every way, well and badly; the errors.
async fn ask(channel: Channel) -> Vec<Status> {
    let mut client = DispatchServiceClient::new(channel);
    let good = || request(format!("{SECRET}的路燈不亮，打{PHONE}，燃气泄漏"));
    let mut errors = Vec::new();
    for _ in 0..2 {
        client.classify_text(good()).await.unwrap();
    }
    let long = request(SECRET.repeat(2000));
    errors.extend(client.classify_text(long.clone()).await.err());
    errors
        .extend(client.classify_text(ClassifyTextRequest { area: "哪儿".to_owned(), ..good() }).await.err());
    errors.extend(
        client.classify_text(ClassifyTextRequest { request_id: "x".repeat(500), ..good() }).await.err(),
    );
    let requests = vec![good(), long, request(String::new()), request(format!("{SECRET}🚰"))];
    client.batch_classify_texts(BatchClassifyTextsRequest { requests }).await.unwrap();
    let requests = vec![good(); 500];
    errors.extend(client.batch_classify_texts(BatchClassifyTextsRequest { requests }).await.err());
    let mut late = Request::new(request(format!("{SECRET}来不及")));
    late.set_timeout(Duration::from_nanos(1));
    errors.extend(client.classify_text(late).await.err());
    // One that nobody waits for.
    let gone = client.classify_text(request(format!("{SECRET}不等了")));
    let _ = tokio::time::timeout(Duration::from_micros(50), gone).await;
    let items = (0..10).map(|number| request(format!("{SECRET}第{number}次")));
    let mut answers = client.stream_classify_texts(tokio_stream::iter(items)).await.unwrap().into_inner();
    while answers.message().await.unwrap().is_some() {}
    errors
}

/// Sends the words where a protocol is expected.
fn ask_without_a_protocol(address: &str) {
    for words in [format!("GET /{SECRET} HTTP/1.1\r\nHost: {PHONE}\r\n\r\n"), SECRET.to_owned()] {
        let mut socket = TcpStream::connect(address).unwrap();
        // It may hang up before it is told everything; what it says to that is of no matter, if it says anything.
        let _ = socket.write_all(words.as_bytes()).and_then(|()| socket.shutdown(std::net::Shutdown::Write));
        let _ = socket.read_to_end(&mut Vec::new());
    }
}

/// Makes the answers of the model no numbers, so that every request meets what is done then.
fn spoil(bundle: &Path) {
    let file = bundle.join("model.safetensors");
    let mut weights = candle_core::safetensors::load(&file, &Device::Cpu).unwrap();
    let weight: &mut Tensor = weights.get_mut("classifier.weight").unwrap();
    *weight = (weight.ones_like().unwrap() * 3e38).unwrap();
    candle_core::safetensors::save(&weights, &file).unwrap();
}

async fn serve_and_listen(spoiled: bool) {
    let (model, shadow) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write_bundle(model.path(), &tiny_config());
    write_bundle(shadow.path(), &tiny_config());
    if spoiled {
        spoil(model.path());
    }
    let records = tempfile::tempdir().unwrap();
    let [records_path, shadow_path] = [records.path(), shadow.path()].map(|path| path.to_str().unwrap());
    let arguments =
        ["--metrics-listen", "127.0.0.1:0", "--records", records_path, "--shadow-model", shadow_path];
    #[cfg(feature = "otel")]
    let (endpoint, spans) = common::collector::collect();
    #[cfg(not(feature = "otel"))]
    let endpoint = String::new();
    let environment = [("RUST_LOG", "trace"), ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str())];
    let served = Served::start_with(model, &arguments, &environment);

    let errors = ask(served.endpoint().connect().await.unwrap()).await;
    assert!(errors.len() >= 4, "{errors:?}");
    for error in errors {
        assert_silent("an error", format!("{error:?}").as_bytes());
        assert_silent("the details of an error", error.details());
    }
    ask_without_a_protocol(served.address("serving"));
    assert_silent("the metrics", served.metrics().as_bytes());
    let log = served.terminate().join("\n");
    assert!(log.contains("\"method\":\"BatchClassifyTexts\""), "it is the log: {log}");
    assert_silent("the log", log.as_bytes());
    for file in std::fs::read_dir(records.path()).unwrap() {
        let file = file.unwrap().path();
        assert_silent(&file.display().to_string(), &std::fs::read(&file).unwrap());
    }
    #[cfg(feature = "otel")]
    {
        let spans: Vec<_> = spans.try_iter().collect();
        assert!(!spans.is_empty());
        assert_silent("a trace", format!("{spans:?}").as_bytes());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_keeps_to_itself_what_citizens_say() {
    serve_and_listen(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_whose_model_fails_does_so_too() {
    serve_and_listen(true).await;
}

#[test]
fn this_test_would_find_the_words() {
    let silent = std::panic::catch_unwind(|| assert_silent("a log", format!("text={SECRET:?}").as_bytes()));
    assert!(silent.is_err());
    for written in [
        "\\u{6afb}\\u{6843}",
        "\\u6afb\\u6843",
        "\\xe6\\xab\\xbb\\xe6\\xa1\\x83",
        "230, 171, 187, 230, 161, 131",
    ] {
        assert!(
            std::panic::catch_unwind(|| assert_silent("a log", written.as_bytes())).is_err(),
            "{written}"
        );
    }
}
