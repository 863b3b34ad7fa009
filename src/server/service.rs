//! The RPCs of `DispatchService`: check, queue, answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

use super::convert::{self, Inquiry, MAX_BATCH_SIZE};
use super::status;
use crate::batcher::Batcher;
use crate::pb::classify_text_result::Outcome;
use crate::pb::dispatch_service_server::DispatchService;
use crate::pb::{
    BatchClassifyTextsRequest, BatchClassifyTextsResponse, ClassifyTextRequest, ClassifyTextResponse,
    ClassifyTextResult, GetModelRequest, GetModelResponse, GetTaxonomyRequest, GetTaxonomyResponse,
};
use crate::pipeline::Pipeline;
use crate::request::{RequestError, Violation};

/// The service: a pipeline to check requests against, and the queue to its model.
#[derive(Debug)]
pub struct Service {
    pipeline: Arc<Pipeline>,
    batcher: Batcher,
}

impl Service {
    /// Makes the service.
    pub fn new(pipeline: Arc<Pipeline>, batcher: Batcher) -> Self {
        Self { pipeline, batcher }
    }

    /// Answers the well-formed ones among `requests`, in their order.
    async fn classify_items(
        &self,
        requests: &[ClassifyTextRequest],
        deadline: Option<Instant>,
    ) -> Result<Vec<Outcome>, Status> {
        let inquiries: Vec<Result<Inquiry, RequestError>> =
            requests.iter().map(|request| Inquiry::new(&self.pipeline, request)).collect();
        let valid: Vec<_> = inquiries.iter().flatten().map(|inquiry| inquiry.request.clone()).collect();
        let assessments = if valid.is_empty() {
            Vec::new()
        } else {
            self.batcher.submit(valid, deadline).await.map_err(|error| status::from_error(&error))?
        };
        let mut assessments = assessments.into_iter();
        inquiries
            .into_iter()
            .map(|inquiry| match inquiry {
                Ok(inquiry) => match assessments.next() {
                    Some(assessment) => Ok(Outcome::Assessment(inquiry.answer(assessment))),
                    None => Err(Status::internal("the model answered fewer requests than it was asked")),
                },
                Err(error) => {
                    let status = status::invalid_argument(&error);
                    Ok(Outcome::Error(convert::item_error(&status, &error.violations)))
                }
            })
            .collect()
    }
}

#[tonic::async_trait]
impl DispatchService for Service {
    async fn classify_text(
        &self,
        request: Request<ClassifyTextRequest>,
    ) -> Result<Response<ClassifyTextResponse>, Status> {
        let deadline = deadline(request.metadata());
        let request = request.into_inner();
        let inquiry =
            Inquiry::new(&self.pipeline, &request).map_err(|error| status::invalid_argument(&error))?;
        let assessments = self
            .batcher
            .submit(vec![inquiry.request.clone()], deadline)
            .await
            .map_err(|error| status::from_error(&error))?;
        let assessment = assessments.into_iter().next().map(|assessment| inquiry.answer(assessment));
        Ok(Response::new(ClassifyTextResponse { assessment, request_id: request.request_id }))
    }

    async fn batch_classify_texts(
        &self,
        request: Request<BatchClassifyTextsRequest>,
    ) -> Result<Response<BatchClassifyTextsResponse>, Status> {
        let deadline = deadline(request.metadata());
        let requests = request.into_inner().requests;
        if !(1..=MAX_BATCH_SIZE).contains(&requests.len()) {
            let problem = format!("has {} items; a batch has 1 to {MAX_BATCH_SIZE}", requests.len());
            let violations = vec![Violation { field: "requests", problem }];
            return Err(status::invalid_argument(&RequestError { violations }));
        }
        let outcomes = self.classify_items(&requests, deadline).await?;
        let results = requests
            .into_iter()
            .zip(outcomes)
            .map(|(request, outcome)| ClassifyTextResult {
                request_id: request.request_id,
                outcome: Some(outcome),
            })
            .collect();
        Ok(Response::new(BatchClassifyTextsResponse { results }))
    }

    async fn get_model(&self, _: Request<GetModelRequest>) -> Result<Response<GetModelResponse>, Status> {
        let model = convert::model(self.pipeline.classifier());
        Ok(Response::new(GetModelResponse { model: Some(model) }))
    }

    async fn get_taxonomy(
        &self,
        _: Request<GetTaxonomyRequest>,
    ) -> Result<Response<GetTaxonomyResponse>, Status> {
        Ok(Response::new(convert::taxonomy(&self.pipeline)))
    }
}

/// When the caller stops waiting, from the header `grpc-timeout`: up to eight digits and a unit.
///
/// A little earlier than the caller's own clock: tonic ends overdue calls itself, but as `CANCELLED`.
fn deadline(metadata: &MetadataMap) -> Option<Instant> {
    let timeout = metadata.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = timeout.split_at_checked(timeout.len().checked_sub(1)?)?;
    let value: u64 = digits.parse().ok()?;
    let timeout = match unit {
        "H" => Duration::from_secs(value.checked_mul(3600)?),
        "M" => Duration::from_secs(value.checked_mul(60)?),
        "S" => Duration::from_secs(value),
        "m" => Duration::from_millis(value),
        "u" => Duration::from_micros(value),
        "n" => Duration::from_nanos(value),
        _ => return None,
    };
    let margin = (timeout / 10).min(Duration::from_millis(10));
    Instant::now().checked_add(timeout.saturating_sub(margin))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeout(header: &str) -> Option<Duration> {
        let mut metadata = MetadataMap::new();
        metadata.insert("grpc-timeout", header.parse().unwrap());
        deadline(&metadata).map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    #[test]
    fn reads_the_callers_deadline() {
        for (header, seconds) in [("2S", 2), ("2000m", 2), ("1M", 60), ("1H", 3600)] {
            let left = timeout(header).unwrap();
            assert!(left <= Duration::from_secs(seconds) && left > Duration::from_secs(seconds - 1));
        }
        assert_eq!(timeout("soon"), None);
        assert_eq!(timeout("S"), None);
    }
}
