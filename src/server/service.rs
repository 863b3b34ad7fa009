//! The RPCs of `DispatchService`: check, queue, answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use tonic::{Code, Request, Response, Status, Streaming};

use super::convert::{self, Inquiry, MAX_BATCH_SIZE};
use super::{deadline, status};
use crate::batcher::{Batcher, Lane, Place};
use crate::pb::classify_text_result::Outcome;
use crate::pb::dispatch_service_server::DispatchService;
use crate::pb::{
    Assessment, BatchClassifyTextsRequest, BatchClassifyTextsResponse, ClassifyTextRequest,
    ClassifyTextResponse, ClassifyTextResult, GetModelRequest, GetModelResponse, GetTaxonomyRequest,
    GetTaxonomyResponse,
};
use crate::pipeline::Pipeline;
use crate::request::{RequestError, Violation};

/// Most requests of a stream that are worked on at a time.
const MAX_STREAMED: usize = 64;

/// The service: a pipeline to check requests against, and the queue to its model.
#[derive(Debug, Clone)]
pub struct Service {
    pipeline: Arc<Pipeline>,
    batcher: Batcher,
}

/// What became of one request of a call.
type Answer = Result<Assessment, RequestError>;

impl Service {
    /// Makes the service.
    pub fn new(pipeline: Arc<Pipeline>, batcher: Batcher) -> Self {
        Self { pipeline, batcher }
    }

    /// Answers the well-formed ones among `requests`, in their order.
    async fn answer(
        &self,
        requests: Vec<ClassifyTextRequest>,
        lane: Lane,
        deadline: Option<Instant>,
    ) -> Result<Vec<Answer>, Status> {
        let place = self.batcher.reserve(lane, requests.len()).map_err(|error| status::from_error(&error))?;
        self.answer_in(place, requests, deadline).await
    }

    /// Answers the well-formed ones among `requests`, for which there is room, in their order.
    async fn answer_in(
        &self,
        place: Place,
        requests: Vec<ClassifyTextRequest>,
        deadline: Option<Instant>,
    ) -> Result<Vec<Answer>, Status> {
        let pipeline = Arc::clone(&self.pipeline);
        // Normalising a full batch of long texts takes too long for a thread that others wait for.
        let checked = tokio::task::spawn_blocking(move || {
            requests.iter().map(|request| Inquiry::new(&pipeline, request)).collect::<Vec<_>>()
        });
        let inquiries = checked.await.map_err(|_| Status::internal("a request could not be checked"))?;
        let mut valid = Vec::with_capacity(inquiries.len());
        let wishes: Vec<_> = inquiries
            .into_iter()
            .map(|inquiry| {
                let Inquiry { request, wish } = inquiry?;
                valid.push(request);
                Ok(wish)
            })
            .collect();
        let assessments = if valid.is_empty() {
            Vec::new()
        } else {
            let answers = self.batcher.submit(place, valid, deadline).await;
            answers.map_err(|error| status::from_error(&error))?
        };
        let mut assessments = assessments.into_iter();
        wishes
            .into_iter()
            .map(|wish| match wish {
                Err(error) => Ok(Err(error)),
                Ok(wish) => {
                    let assessment = assessments.next();
                    let fewer = || Status::internal("the model answered fewer requests than it was asked");
                    Ok(Ok(wish.grant(assessment.ok_or_else(fewer)?)))
                }
            })
            .collect()
    }

    /// The result of one request of a stream.
    async fn streamed(&self, request: ClassifyTextRequest, deadline: Option<Instant>) -> ClassifyTextResult {
        let request_id = request.request_id.clone();
        let answer = async {
            let place = self.batcher.wait_for_place(Lane::Bulk).await;
            let place = place.map_err(|error| status::from_error(&error))?;
            let mut answers = self.answer_in(place, vec![request], deadline).await?;
            answers.pop().ok_or_else(|| Status::internal("the model did not answer"))
        };
        let outcome = match answer.await {
            Ok(answer) => outcome(answer),
            Err(status) => Outcome::Error(convert::status_error(&status)),
        };
        ClassifyTextResult { request_id, outcome: Some(outcome) }
    }
}

fn outcome(answer: Answer) -> Outcome {
    match answer {
        Ok(assessment) => Outcome::Assessment(assessment),
        Err(error) => Outcome::Error(convert::item_error(&error)),
    }
}

/// Counts the requests of a stream, and says so when it has ended.
struct Streamed {
    begin: Instant,
    texts: AtomicUsize,
}

impl Drop for Streamed {
    fn drop(&mut self) {
        log("StreamClassifyTexts", self.texts.load(Ordering::Relaxed), self.begin, None);
    }
}

#[tonic::async_trait]
impl DispatchService for Service {
    async fn classify_text(
        &self,
        request: Request<ClassifyTextRequest>,
    ) -> Result<Response<ClassifyTextResponse>, Status> {
        let (begin, deadline) = (Instant::now(), deadline::of(&request));
        let request = request.into_inner();
        tracing::debug!(method = "ClassifyText", texts = 1, "received");
        let request_id = request.request_id.clone();
        let answer = self.answer(vec![request], Lane::Interactive, deadline).await;
        let answer = answer.and_then(|mut answers| match answers.pop() {
            Some(Ok(assessment)) => Ok(assessment),
            Some(Err(error)) => Err(status::invalid_argument(&error)),
            None => Err(Status::internal("the model did not answer")),
        });
        log("ClassifyText", 1, begin, answer.as_ref().err());
        Ok(Response::new(ClassifyTextResponse { assessment: Some(answer?), request_id }))
    }

    async fn batch_classify_texts(
        &self,
        request: Request<BatchClassifyTextsRequest>,
    ) -> Result<Response<BatchClassifyTextsResponse>, Status> {
        let (begin, deadline) = (Instant::now(), deadline::of(&request));
        let requests = request.into_inner().requests;
        let texts = requests.len();
        tracing::debug!(method = "BatchClassifyTexts", texts, "received");
        let answers = if (1..=MAX_BATCH_SIZE).contains(&texts) {
            let ids: Vec<String> = requests.iter().map(|request| request.request_id.clone()).collect();
            self.answer(requests, Lane::Bulk, deadline).await.map(|answers| ids.into_iter().zip(answers))
        } else {
            let problem = format!("has {texts} items; a batch has 1 to {MAX_BATCH_SIZE}");
            let violations = vec![Violation { field: "requests", problem }];
            Err(status::invalid_argument(&RequestError { violations }))
        };
        log("BatchClassifyTexts", texts, begin, answers.as_ref().err());
        let results = answers?
            .map(|(request_id, answer)| ClassifyTextResult { request_id, outcome: Some(outcome(answer)) });
        Ok(Response::new(BatchClassifyTextsResponse { results: results.collect() }))
    }

    type StreamClassifyTextsStream = BoxStream<'static, Result<ClassifyTextResult, Status>>;

    async fn stream_classify_texts(
        &self,
        request: Request<Streaming<ClassifyTextRequest>>,
    ) -> Result<Response<Self::StreamClassifyTextsStream>, Status> {
        let deadline = deadline::of(&request);
        let streamed = Streamed { begin: Instant::now(), texts: AtomicUsize::new(0) };
        tracing::debug!(method = "StreamClassifyTexts", "received");
        let service = self.clone();
        // Nobody works on a stream but who takes its answers: a slow reader is a slow writer.
        let results = request.into_inner().map(move |message| {
            streamed.texts.fetch_add(1, Ordering::Relaxed);
            let service = service.clone();
            async move { Ok(service.streamed(message?, deadline).await) }
        });
        Ok(Response::new(results.buffered(MAX_STREAMED).boxed()))
    }

    async fn get_model(&self, _: Request<GetModelRequest>) -> Result<Response<GetModelResponse>, Status> {
        Ok(Response::new(GetModelResponse { model: Some(convert::model(&self.pipeline)) }))
    }

    async fn get_taxonomy(
        &self,
        _: Request<GetTaxonomyRequest>,
    ) -> Result<Response<GetTaxonomyResponse>, Status> {
        Ok(Response::new(convert::taxonomy(&self.pipeline)))
    }
}

/// One line a call: what, how much, how long, how it ended; never the words.
fn log(method: &'static str, texts: usize, begin: Instant, failure: Option<&Status>) {
    let code = failure.map_or(Code::Ok, Status::code);
    tracing::info!(method, texts, milliseconds = begin.elapsed().as_millis() as u64, ?code, "call");
}
