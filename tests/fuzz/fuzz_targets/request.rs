//! Messages of any bytes are sent to a whole server. What is no message is refused; what is one is answered, or refused
//! for what is wrong with it: no message is the server's own failure. What an answer quotes stands where it says.

#![no_main]

use std::fmt::Debug;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use jiesu::batcher::BatcherConfig;
use jiesu::city::City;
use jiesu::classifier::SequenceClassifier;
use jiesu::listen::Listener;
use jiesu::live::{Live, Source};
use jiesu::pb;
use jiesu::records::{DecisionLimits, MIN_DECISION_BYTES, Records};
use jiesu::registry::ModelFiles;
use jiesu::server::{self, ServerConfig, Serving};
use libfuzzer_sys::fuzz_target;
use prost::Message;
use prost::bytes::{Buf as _, BufMut as _};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::codegen::tokio_stream;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

static SERVER: LazyLock<Server> = LazyLock::new(Server::start);

fuzz_target!(|data: &[u8]| {
    let (method, data) = jiesu_fuzz::choice(data, 6);
    match method {
        0 => {
            let called = call::<pb::ClassifyTextRequest, pb::ClassifyTextResponse>(
                "/jiesu.v1.DispatchService/ClassifyText",
                data,
            );
            if let Some((request, answer)) = called {
                assert_eq!(request.request_id, answer.request_id);
                check(&request, &answer.assessment.expect("an answer has an assessment"));
            }
        }
        1 => {
            let called = call::<pb::BatchClassifyTextsRequest, pb::BatchClassifyTextsResponse>(
                "/jiesu.v1.DispatchService/BatchClassifyTexts",
                data,
            );
            if let Some((request, answer)) = called {
                check_results(&request.requests, &answer.results);
            }
        }
        2 => stream(data),
        3 => {
            call::<pb::RecordCorrectionRequest, pb::RecordCorrectionResponse>(
                "/jiesu.v1.RecordService/RecordCorrection",
                data,
            );
        }
        4 => {
            call::<pb::ListCorrectionsRequest, pb::ListCorrectionsResponse>(
                "/jiesu.v1.RecordService/ListCorrections",
                data,
            );
        }
        _ => {
            call::<pb::ListDecisionsRequest, pb::ListDecisionsResponse>(
                "/jiesu.v1.RecordService/ListDecisions",
                data,
            );
        }
    }
});

/// Calls a method with bytes; gives the two messages if it is answered.
fn call<Q, A>(method: &'static str, data: &[u8]) -> Option<(Q, A)>
where
    Q: Message + Default + PartialEq + Debug,
    A: Message + Default,
{
    let mut client = SERVER.client.clone();
    let request = Request::new(data.to_vec());
    let answer = SERVER.runtime.block_on(async move {
        client.ready().await.expect("the server is there");
        client.unary(request, PathAndQuery::from_static(method), Raw).await
    });
    let Ok(message) = Q::decode(data) else {
        assert!(answer.is_err(), "an answer to what is no message");
        return None;
    };
    assert_eq!(Q::decode(message.encode_to_vec().as_slice()).as_ref(), Ok(&message));
    match answer {
        Ok(answer) => {
            Some((message, A::decode(answer.into_inner().as_slice()).expect("an answer is a message")))
        }
        Err(status) => {
            check_refusal(&status);
            None
        }
    }
}

/// Sends messages, each behind a byte that says how long it is, in one stream.
fn stream(data: &[u8]) {
    let (mut messages, mut rest) = (Vec::new(), data);
    while let Some((&length, behind)) = rest.split_first() {
        let (message, others) = behind.split_at(behind.len().min(length.into()));
        messages.push(message.to_vec());
        rest = others;
    }
    let decoded: Result<Vec<_>, _> =
        messages.iter().map(|message| pb::ClassifyTextRequest::decode(message.as_slice())).collect();
    let mut client = SERVER.client.clone();
    let method = PathAndQuery::from_static("/jiesu.v1.DispatchService/StreamClassifyTexts");
    let results = SERVER.runtime.block_on(async move {
        client.ready().await.expect("the server is there");
        let stream = client.streaming(Request::new(tokio_stream::iter(messages)), method, Raw).await?;
        let (mut stream, mut results) = (stream.into_inner(), Vec::new());
        while let Some(result) = stream.message().await? {
            results.push(pb::ClassifyTextResult::decode(result.as_slice()).expect("a result is a message"));
        }
        Ok::<_, Status>(results)
    });
    match (decoded, results) {
        (Ok(requests), Ok(results)) => check_results(&requests, &results),
        (Ok(_), Err(status)) => panic!("a stream of messages ends with {status}"),
        (Err(_), results) => assert!(results.is_err(), "a stream goes on behind what is no message"),
    }
}

fn check_results(requests: &[pb::ClassifyTextRequest], results: &[pb::ClassifyTextResult]) {
    use pb::classify_text_result::Outcome;
    assert_eq!(requests.len(), results.len());
    for (request, result) in requests.iter().zip(results) {
        assert_eq!(request.request_id, result.request_id);
        match result.outcome.as_ref().expect("every request has an outcome") {
            Outcome::Assessment(assessment) => check(request, assessment),
            Outcome::Error(error) => {
                assert_eq!(Code::from_i32(error.code), Code::InvalidArgument, "{}", error.message);
                assert!(!error.violations.is_empty());
            }
        }
    }
}

fn check(request: &pb::ClassifyTextRequest, answer: &pb::Assessment) {
    let quoted = |field: &str, start: i32, end: i32, quote: &str| {
        let (written, masked) = match field {
            "title" => (&request.title, &answer.masked_title),
            _ => (&request.text, &answer.masked_text),
        };
        let words = if request.mask { masked } else { written };
        let (start, end) = (start as usize, end as usize);
        assert!(start < end && end <= words.chars().count(), "{start}..{end}");
        assert!(words.chars().skip(start).take(end - start).eq(quote.chars()), "{quote} at {start}..{end}");
    };
    for span in &answer.evidence {
        quoted(&span.field, span.start, span.end, &span.text);
    }
    for alarm in &answer.risk_alarms {
        quoted(&alarm.field, alarm.start, alarm.end, &alarm.text);
    }
    assert!(answer.decision.is_some() && answer.category.is_some() && !answer.categories.is_empty());
    assert!(answer.categories.iter().all(|label| (0.0..=1.0).contains(&label.probability)));
    assert!(answer.degradations.is_empty(), "{:?}", answer.degradations);
}

/// A refusal names what is wrong with the message, or who else was before it.
fn check_refusal(status: &Status) {
    let is_known =
        matches!(status.code(), Code::InvalidArgument | Code::AlreadyExists | Code::FailedPrecondition);
    assert!(is_known && !status.message().is_empty(), "{status}");
}

/// A server with the tiny model, records in memory, and somebody who calls it.
struct Server {
    runtime: Runtime,
    client: Grpc<Channel>,
    _records: TempDir,
}

impl Server {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("there are threads");
        let folder = jiesu_fuzz::folder();
        let limits = DecisionLimits { max_age: Duration::from_secs(3600), max_bytes: MIN_DECISION_BYTES };
        let records = Arc::new(Records::open(folder.path(), limits).expect("records can be kept"));
        let live = Arc::new(Live::load(Tiny).expect("the built-in city is whole"));
        let serving = Serving {
            model: Arc::clone(&live) as _,
            live,
            shadow: None,
            access: None,
            records: Some(records),
        };
        let config = ServerConfig {
            batcher: BatcherConfig {
                max_queued_texts: NonZeroU32::new(1024).expect("it is more than 0"),
                max_batch_tokens: NonZeroUsize::new(256).expect("it is more than 0"),
            },
            cache_bytes: 1 << 20,
            shutdown_grace: Duration::ZERO,
        };
        let client = runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
            let address = listener.local_addr().expect("it has an address");
            tokio::spawn(server::run(vec![Listener::Tcp(listener)], serving, config, std::future::pending()));
            let channel = Channel::from_shared(format!("http://{address}")).expect("it is an address");
            Grpc::new(channel.connect().await.expect("the server is there"))
        });
        Self { runtime, client, _records: folder }
    }
}

/// The tiny model and the built-in city.
struct Tiny;

impl Source for Tiny {
    fn load_model(&self) -> jiesu::error::Result<SequenceClassifier> {
        Ok(SequenceClassifier::load(&ModelFiles::embedded("tiny", &jiesu_fuzz::MODEL))?)
    }

    fn load_city(&self) -> jiesu::error::Result<City> {
        Ok(City::built_in())
    }

    fn has_model(&self) -> bool {
        true
    }

    fn model_name(&self) -> String {
        "tiny".to_owned()
    }
}

/// Messages as the bytes that they are.
#[derive(Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, message: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut message = vec![0; buffer.remaining()];
        buffer.copy_to_slice(&mut message);
        Ok(Some(message))
    }
}
