//! The RPCs of `DispatchService`: check, queue, answer.

use std::future::ready;
use std::sync::Arc;
use std::time::Instant;

use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use tonic::{Code, Request, Response, Status, Streaming};
use tracing::Instrument as _;

use super::call::{Call, Waiting};
use super::convert::{self, Inquiry, MAX_BATCH_SIZE};
use super::{deadline, status, trace};
use crate::batcher::{Batcher, Lane, Place};
use crate::metrics::{self, Outcome as TextOutcome};
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
        let waiting = Waiting::new(requests.len());
        let answers = match self.batcher.reserve(lane, requests.len()) {
            Ok(place) => self.answer_in(place, requests, deadline).await,
            Err(error) => Err(status::from_error(&error)),
        };
        waiting.end(&answers);
        answers
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
        let step = trace::step("tokenize");
        let checked = tokio::task::spawn_blocking(move || {
            let (begin, _step) = (Instant::now(), step.entered());
            let inquiries: Vec<_> = requests.iter().map(|request| Inquiry::new(&pipeline, request)).collect();
            metrics::tokenized(begin.elapsed());
            inquiries
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
            let answers =
                self.batcher.submit(place, valid, deadline).instrument(trace::step("queue and model"));
            let answers = answers.await;
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
        let waiting = Waiting::new(1);
        let answers = match self.batcher.wait_for_place(Lane::Bulk).await {
            Ok(place) => self.answer_in(place, vec![request], deadline).await,
            Err(error) => Err(status::from_error(&error)),
        };
        waiting.end(&answers);
        let answer = answers.and_then(|mut answers| answers.pop().ok_or_else(no_answer));
        let outcome = match answer {
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

fn no_answer() -> Status {
    Status::internal("the model did not answer")
}

#[tonic::async_trait]
impl DispatchService for Service {
    async fn classify_text(
        &self,
        request: Request<ClassifyTextRequest>,
    ) -> Result<Response<ClassifyTextResponse>, Status> {
        let (call, deadline) = (Call::begin("ClassifyText", &request), deadline::of(&request));
        let request = request.into_inner();
        call.add_texts(1);
        let request_id = request.request_id.clone();
        let answer = self.answer(vec![request], Lane::Interactive, deadline).instrument(call.span()).await;
        let answer = answer.and_then(|mut answers| match answers.pop() {
            Some(Ok(assessment)) => Ok(assessment),
            Some(Err(error)) => Err(status::invalid_argument(&error)),
            None => Err(no_answer()),
        });
        call.end(code(&answer));
        Ok(Response::new(ClassifyTextResponse { assessment: Some(answer?), request_id }))
    }

    async fn batch_classify_texts(
        &self,
        request: Request<BatchClassifyTextsRequest>,
    ) -> Result<Response<BatchClassifyTextsResponse>, Status> {
        let (call, deadline) = (Call::begin("BatchClassifyTexts", &request), deadline::of(&request));
        let requests = request.into_inner().requests;
        let texts = requests.len();
        call.add_texts(texts);
        let answers = if (1..=MAX_BATCH_SIZE).contains(&texts) {
            let ids: Vec<String> = requests.iter().map(|request| request.request_id.clone()).collect();
            let answers = self.answer(requests, Lane::Bulk, deadline).instrument(call.span()).await;
            answers.map(|answers| ids.into_iter().zip(answers))
        } else {
            metrics::texts(TextOutcome::Invalid, texts);
            let problem = format!("has {texts} items; a batch has 1 to {MAX_BATCH_SIZE}");
            let violations = vec![Violation { field: "requests", problem }];
            Err(status::invalid_argument(&RequestError { violations }))
        };
        call.end(code(&answers));
        let results = answers?
            .map(|(request_id, answer)| ClassifyTextResult { request_id, outcome: Some(outcome(answer)) });
        Ok(Response::new(BatchClassifyTextsResponse { results: results.collect() }))
    }

    type StreamClassifyTextsStream = BoxStream<'static, Result<ClassifyTextResult, Status>>;

    async fn stream_classify_texts(
        &self,
        request: Request<Streaming<ClassifyTextRequest>>,
    ) -> Result<Response<Self::StreamClassifyTextsStream>, Status> {
        let (call, deadline) = (Call::begin("StreamClassifyTexts", &request), deadline::of(&request));
        let call = Arc::new(call);
        let (service, running) = (self.clone(), Arc::clone(&call));
        // Nobody works on a stream but who takes its answers: a slow reader is a slow writer.
        let results = request.into_inner().map(move |message| {
            match &message {
                Ok(_) => running.add_texts(1),
                Err(status) => running.end(status.code()),
            }
            let service = service.clone();
            async move { Ok(service.streamed(message?, deadline).await) }
        });
        let results = results.buffered(MAX_STREAMED).map(Some);
        let end = stream::once(async move {
            call.end(Code::Ok);
            None
        });
        Ok(Response::new(results.chain(end).filter_map(ready).boxed()))
    }

    async fn get_model(
        &self,
        request: Request<GetModelRequest>,
    ) -> Result<Response<GetModelResponse>, Status> {
        Call::begin("GetModel", &request).end(Code::Ok);
        Ok(Response::new(GetModelResponse { model: Some(convert::model(&self.pipeline)) }))
    }

    async fn get_taxonomy(
        &self,
        request: Request<GetTaxonomyRequest>,
    ) -> Result<Response<GetTaxonomyResponse>, Status> {
        Call::begin("GetTaxonomy", &request).end(Code::Ok);
        Ok(Response::new(convert::taxonomy(&self.pipeline)))
    }
}

fn code<A>(answer: &Result<A, Status>) -> Code {
    answer.as_ref().err().map_or(Code::Ok, Status::code)
}
