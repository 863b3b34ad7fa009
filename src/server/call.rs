//! A call from its first moment to its last, and what became of its texts: the log, the metrics, the trace.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use tonic::{Code, Request, Status};
use tracing::Span;

use super::trace;
use crate::access::KeyId;
use crate::listen::{Identity, Peer};
use crate::metrics::{self, Outcome};
use crate::pb::dispatch_service_server::SERVICE_NAME;

/// One line a call in the log, when it has ended: what, how much, how long, how; never the words. A call that is dropped
/// before it has ended was cancelled.
#[derive(Debug)]
pub(super) struct Call {
    method: &'static str,
    begin: Instant,
    texts: AtomicUsize,
    code: OnceLock<Code>,
    span: Span,
    /// The name of the caller's key.
    key: Option<KeyId>,
    /// Whom the caller's certificate names.
    certificate: Option<Arc<Identity>>,
}

impl Call {
    /// A call of the service that classifies.
    pub(super) fn begin<T>(method: &'static str, request: &Request<T>) -> Self {
        Self::of(SERVICE_NAME, method, request)
    }

    /// A call of any service.
    pub(super) fn of<T>(service: &'static str, method: &'static str, request: &Request<T>) -> Self {
        tracing::debug!(method, "received");
        let span = trace::call(service, method, request.metadata());
        let (key, peer) = (request.extensions().get().cloned(), request.extensions().get::<Peer>());
        let certificate = peer.and_then(|peer| peer.identity.clone());
        Self {
            method,
            begin: Instant::now(),
            texts: AtomicUsize::new(0),
            code: OnceLock::new(),
            span,
            key,
            certificate,
        }
    }

    /// The span of the call, for who works on it.
    pub(super) fn span(&self) -> Span {
        self.span.clone()
    }

    pub(super) fn add_texts(&self, texts: usize) {
        self.texts.fetch_add(texts, Ordering::Relaxed);
    }

    /// Says how the call ends; the first word counts.
    pub(super) fn end(&self, code: Code) {
        self.code.get_or_init(|| code);
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let (method, texts, duration) = (self.method, *self.texts.get_mut(), self.begin.elapsed());
        let code = self.code.get().copied().unwrap_or(Code::Cancelled);
        let key = self.key.as_ref().map(KeyId::as_str);
        let certificate = self.certificate.as_ref().map(ToString::to_string);
        tracing::info!(
            method,
            texts,
            milliseconds = duration.as_millis() as u64,
            ?code,
            key,
            certificate,
            "call"
        );
        metrics::call(method, format!("{code:?}"), duration);
        trace::end(&self.span, texts, code);
    }
}

/// The code that a call ends with.
pub(super) fn code<A>(answer: &Result<A, Status>) -> Code {
    answer.as_ref().err().map_or(Code::Ok, Status::code)
}

/// Texts that wait for an answer. Those that are dropped without one were cancelled.
#[derive(Debug)]
pub(super) struct Waiting {
    texts: usize,
}

impl Waiting {
    pub(super) fn new(texts: usize) -> Self {
        Self { texts }
    }

    /// Counts texts as answered or invalid, one by one, or all as what failed their call.
    pub(super) fn end<A, E>(mut self, answers: &Result<Vec<Result<A, E>>, Status>) {
        let texts = std::mem::take(&mut self.texts);
        match answers {
            Ok(answers) => {
                let answered = answers.iter().filter(|answer| answer.is_ok()).count();
                metrics::texts(Outcome::Answered, answered);
                metrics::texts(Outcome::Invalid, texts - answered);
            }
            Err(status) => metrics::texts(outcome(status.code()), texts),
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        metrics::texts(Outcome::Cancelled, self.texts);
    }
}

fn outcome(code: Code) -> Outcome {
    let known = [
        (Code::InvalidArgument, Outcome::Invalid),
        (Code::ResourceExhausted, Outcome::Overloaded),
        (Code::DeadlineExceeded, Outcome::Expired),
        (Code::Cancelled, Outcome::Cancelled),
    ];
    known.into_iter().find(|(known, _)| *known == code).map_or(Outcome::Failed, |(_, outcome)| outcome)
}
