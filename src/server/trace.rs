//! Spans of a call and its steps; with the feature `otel`, as part of the caller's trace.

use tonic::Code;
use tonic::metadata::MetadataMap;
use tracing::Span;
use tracing::field::Empty;

/// The span of a call. Its attributes are those of OpenTelemetry for gRPC servers; they hold no words of citizens.
pub(super) fn call(service: &'static str, method: &'static str, metadata: &MetadataMap) -> Span {
    let span = tracing::debug_span!(
        "call",
        otel.name = method,
        otel.kind = "server",
        otel.status_code = Empty,
        rpc.system = "grpc",
        rpc.service = service,
        rpc.method = method,
        rpc.grpc.status_code = Empty,
        texts = Empty,
    );
    join(&span, metadata);
    span
}

/// Says what the call was about and how it ended.
pub(super) fn end(call: &Span, texts: usize, code: Code) {
    // OpenTelemetry has signed numbers only.
    call.record("texts", texts.cast_signed()).record("rpc.grpc.status_code", i32::from(code));
    if matches!(code, Code::DeadlineExceeded | Code::Internal | Code::Unavailable) {
        call.record("otel.status_code", "ERROR");
    }
}

/// The span of a step of the call that this task works on; none if that call has no span, as a stream's texts.
pub(super) fn step(name: &'static str) -> Span {
    if Span::current().is_none() { Span::none() } else { tracing::debug_span!("step", otel.name = name) }
}

/// Takes the caller's trace from the header `traceparent`.
#[cfg(feature = "otel")]
fn join(span: &Span, metadata: &MetadataMap) {
    use opentelemetry::propagation::TextMapPropagator;
    use opentelemetry_sdk::propagation::TraceContextPropagator;
    use tracing_opentelemetry::OpenTelemetrySpanExt;

    let caller = TraceContextPropagator::new().extract(&Headers(metadata));
    // It is refused where nobody collects traces.
    let _ = span.set_parent(caller);
}

#[cfg(not(feature = "otel"))]
fn join(_: &Span, _: &MetadataMap) {}

#[cfg(feature = "otel")]
struct Headers<'a>(&'a MetadataMap);

#[cfg(feature = "otel")]
impl opentelemetry::propagation::Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.as_ref().keys().map(AsRef::as_ref).collect()
    }
}
