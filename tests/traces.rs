//! The traces of a service, as a collector gets them. Needs the feature `otel`.
#![cfg(feature = "otel")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::Served;
use common::collector::collect;
use jiesu::pb::ClassifyTextRequest;
use jiesu::pb::dispatch_service_client::DispatchServiceClient;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use tonic::{Code, Request};

const TRACE_ID: u128 = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;
const CALLER: u64 = 0x00f0_67aa_0ba9_02b7;

fn value(attributes: &[KeyValue], key: &str) -> Option<Value> {
    attributes.iter().find(|attribute| attribute.key == key)?.value.clone()?.value
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_a_span_of_its_callers_trace_and_is_sent_before_the_end() {
    let (endpoint, spans) = collect();
    let served = Served::start(&[], &[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)]);
    let service = format!("http://{}", served.address("serving"));
    let mut client = DispatchServiceClient::connect(service).await.unwrap();
    let mut request = Request::new(ClassifyTextRequest {
        text: "路灯不亮".to_owned(),
        ..ClassifyTextRequest::default()
    });
    let caller = format!("00-{TRACE_ID:032x}-{CALLER:016x}-01");
    request.metadata_mut().insert("traceparent", caller.parse().unwrap());
    client.classify_text(request).await.unwrap();
    assert_eq!(
        client.classify_text(ClassifyTextRequest::default()).await.unwrap_err().code(),
        Code::InvalidArgument
    );
    tokio::task::block_in_place(|| served.terminate());

    let sent: Vec<_> = spans.try_iter().collect();
    let name = value(&sent[0].resource.as_ref().unwrap().attributes, "service.name");
    assert_eq!(name, Some(Value::StringValue("jiesu".to_owned())));
    let spans = sent.iter().flat_map(|sent| &sent.scope_spans).flat_map(|scope| &scope.spans);
    let (ours, others): (Vec<&Span>, Vec<&Span>) =
        spans.partition(|span| span.trace_id == TRACE_ID.to_be_bytes());
    let [call] = ours.iter().filter(|span| span.name == "ClassifyText").collect::<Vec<_>>()[..] else {
        panic!("{sent:?}")
    };
    assert_eq!(call.parent_span_id, CALLER.to_be_bytes());
    assert_eq!(value(&call.attributes, "texts"), Some(Value::IntValue(1)));
    assert_eq!(value(&call.attributes, "rpc.grpc.status_code"), Some(Value::IntValue(0)));
    let mut steps: Vec<&str> = Vec::new();
    for step in ours.iter().filter(|span| span.parent_span_id == call.span_id) {
        steps.push(&step.name);
    }
    steps.sort_unstable();
    assert_eq!(steps, ["queue and model", "tokenize"]);
    // A call without a trace begins one.
    let other = others.iter().find(|span| span.name == "ClassifyText").unwrap();
    assert_eq!(value(&other.attributes, "rpc.grpc.status_code"), Some(Value::IntValue(3)));
    assert!(!format!("{sent:?}").contains("路灯"), "the citizens' words are in a trace");
}
