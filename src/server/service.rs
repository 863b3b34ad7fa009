//! The RPCs of `DispatchService`: check, look up, queue, answer.

use std::future::ready;
use std::sync::Arc;
use std::time::Instant;

use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use tonic::{Code, Request, Response, Status, Streaming};
use tracing::Instrument as _;

use super::cache::AnswerCache;
use super::call::{Call, Waiting, code};
use super::convert::{self, Inquiry, MAX_BATCH_SIZE};
use super::journal::Journal;
use super::{deadline, status, trace};
use crate::batcher::{Batcher, Lane, Place};
use crate::error::Result as PlaceResult;
use crate::live::Live;
use crate::metrics::{self, Outcome as TextOutcome};
use crate::pb::classify_text_result::Outcome;
use crate::pb::dispatch_service_server::DispatchService;
use crate::pb::{
    Assessment, BatchClassifyTextsRequest, BatchClassifyTextsResponse, ClassifyTextRequest,
    ClassifyTextResponse, ClassifyTextResult, GetModelRequest, GetModelResponse, GetTaxonomyRequest,
    GetTaxonomyResponse,
};
use crate::pipeline::Pipeline;
use crate::records::Records;
use crate::request::{RequestError, Violation};

/// Most requests of a stream that are worked on at a time.
const MAX_STREAMED: usize = 64;

/// The service: what answers now, to check requests against, and the queue to its model.
#[derive(Debug, Clone)]
pub struct Service {
    live: Arc<Live>,
    batcher: Batcher,
    cache: Option<AnswerCache>,
    journal: Journal,
}

/// What became of one request of a call.
type Answer = Result<Assessment, RequestError>;

impl Service {
    /// Makes the service; `cache_bytes` is how much it may keep of what it has answered.
    pub fn new(live: Arc<Live>, batcher: Batcher, cache_bytes: u64, records: Option<Arc<Records>>) -> Self {
        let cache = (cache_bytes > 0).then(|| AnswerCache::new(cache_bytes));
        let journal = Journal::new(Arc::clone(&live), records);
        Self { live, batcher, cache, journal }
    }

    /// Answers the well-formed ones among `requests`, in their order: those that have been answered before at once, the
    /// others in the place found for so many.
    async fn answer<P: Future<Output = PlaceResult<Place>>>(
        &self,
        requests: Vec<ClassifyTextRequest>,
        deadline: Option<Instant>,
        find_place: impl FnOnce(usize) -> P,
    ) -> Result<Vec<Answer>, Status> {
        let waiting = Waiting::new(requests.len());
        let entries = self.journal.begin(&requests);
        let mut answers = self.look_up_or_ask(requests, deadline, find_place).await;
        if let Ok(answers) = &mut answers {
            let answered = entries
                .into_iter()
                .zip(answers)
                .filter_map(|(entry, answer)| Some((entry, answer.as_mut().ok()?)));
            answered.for_each(|(entry, answer)| self.journal.end(entry, answer));
        }
        waiting.end(&answers);
        answers
    }

    async fn look_up_or_ask<P: Future<Output = PlaceResult<Place>>>(
        &self,
        mut requests: Vec<ClassifyTextRequest>,
        deadline: Option<Instant>,
        find_place: impl FnOnce(usize) -> P,
    ) -> Result<Vec<Answer>, Status> {
        let (pipeline, generation) = self.live.pipeline();
        let look_up = |request: &ClassifyTextRequest| {
            let key = self.cache.as_ref().and_then(|_| AnswerCache::key(request, generation));
            (key, self.cache.as_ref().and_then(|cache| cache.get(&key?, request)))
        };
        let (keys, known): (Vec<_>, Vec<_>) = requests.iter().map(look_up).unzip();
        let mut unknown = known.iter().map(Option::is_none);
        requests.retain(|_| unknown.next().unwrap_or(true));
        let fresh = if requests.is_empty() {
            Vec::new()
        } else {
            let place = find_place(requests.len()).await.map_err(|error| status::from_error(&error))?;
            self.ask(pipeline, place, requests, deadline).await?
        };
        let mut fresh = fresh.into_iter();
        let answers = keys.into_iter().zip(known).map(|(key, known)| {
            if let Some(known) = known {
                return Ok(Ok(known));
            }
            let answer = fresh.next().ok_or_else(fewer)?;
            if let (Ok(answer), Some(key), Some(cache)) = (&answer, key, &self.cache) {
                cache.put(key, answer);
            }
            Ok(answer)
        });
        answers.collect()
    }

    /// Asks the model for answers to the well-formed ones among `requests`, for which there is room, in their order.
    async fn ask(
        &self,
        pipeline: Arc<Pipeline>,
        place: Place,
        requests: Vec<ClassifyTextRequest>,
        deadline: Option<Instant>,
    ) -> Result<Vec<Answer>, Status> {
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
                    Ok(Ok(wish.grant(assessment.ok_or_else(fewer)?)))
                }
            })
            .collect()
    }

    /// The result of one request of a stream.
    async fn streamed(&self, request: ClassifyTextRequest, deadline: Option<Instant>) -> ClassifyTextResult {
        let request_id = request.request_id.clone();
        let place = |_| self.batcher.wait_for_place(Lane::Bulk);
        let answers = self.answer(vec![request], deadline, place).await;
        let outcome = match answers.and_then(|mut answers| answers.pop().ok_or_else(fewer)) {
            Ok(answer) => outcome(answer),
            Err(status) => Outcome::Error(convert::status_error(&status)),
        };
        ClassifyTextResult { request_id, outcome: Some(outcome) }
    }
}

fn fewer() -> Status {
    Status::internal("the model answered fewer requests than it was asked")
}

fn outcome(answer: Answer) -> Outcome {
    match answer {
        Ok(assessment) => Outcome::Assessment(assessment),
        Err(error) => Outcome::Error(convert::item_error(&error)),
    }
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
        let place = async |texts| self.batcher.reserve(Lane::Interactive, texts, deadline);
        let answer = self.answer(vec![request], deadline, place).instrument(call.span()).await;
        let answer = answer.and_then(|mut answers| match answers.pop() {
            Some(Ok(assessment)) => Ok(assessment),
            Some(Err(error)) => Err(status::invalid_argument(&error)),
            None => Err(fewer()),
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
            let place = async |texts| self.batcher.reserve(Lane::Bulk, texts, deadline);
            let answers = self.answer(requests, deadline, place).instrument(call.span()).await;
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
        let (pipeline, _) = self.live.pipeline();
        let model = pipeline.model().map(|model| convert::model(model, pipeline.terms()));
        Ok(Response::new(GetModelResponse { model }))
    }

    async fn get_taxonomy(
        &self,
        request: Request<GetTaxonomyRequest>,
    ) -> Result<Response<GetTaxonomyResponse>, Status> {
        Call::begin("GetTaxonomy", &request).end(Code::Ok);
        Ok(Response::new(convert::taxonomy(&self.live.pipeline().0)))
    }
}
