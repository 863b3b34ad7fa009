//! The RPCs of `RecordService`: corrections, and the decisions that they correct.

use std::sync::Arc;

use tokio::sync::{Semaphore, oneshot};
use tonic::{Request, Response, Status};

use super::aside::aside;
use super::call::{Call, code};
use super::convert::{MAX_REQUEST_ID_CHARS, check_id};
use super::status;
use crate::live::Live;
use crate::pb;
use crate::pb::record_service_server::{RecordService, SERVICE_NAME};
use crate::pb::{
    ListCorrectionsRequest, ListCorrectionsResponse, ListDecisionsRequest, ListDecisionsResponse,
    RecordCorrectionRequest, RecordCorrectionResponse,
};
use crate::records::{Decision, Records, RecordsError, Suggestion};
use crate::request::{RequestError, Violation};

mod convert;

/// Calls that may wait for the disk at a time, beside the writer.
const MAX_READERS: usize = 4;

/// The service for what became of suggestions.
#[derive(Debug, Clone)]
pub(super) struct RecordKeeper {
    live: Arc<Live>,
    records: Option<Arc<Records>>,
    readers: Arc<Semaphore>,
}

impl RecordKeeper {
    pub(super) fn new(live: Arc<Live>, records: Option<Arc<Records>>) -> Self {
        Self { live, records, readers: Arc::new(Semaphore::new(MAX_READERS)) }
    }

    fn records(&self) -> Result<Arc<Records>, Status> {
        let missing = "this service keeps no records; start it with `--records DIR`";
        self.records.clone().ok_or_else(|| Status::failed_precondition(missing))
    }

    /// Works on the records on a thread that may wait.
    async fn with_records<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Records) -> T + Send + 'static,
    ) -> Result<T, Status> {
        let records = self.records()?;
        let _turn = self.readers.acquire().await;
        aside("records", move || work(&records)).await
    }

    async fn record(&self, message: pb::Correction) -> Result<RecordCorrectionResponse, Status> {
        let records = self.records()?;
        let suggestion = if message.suggested.is_some() { Suggestion::Stated } else { Suggestion::FilledIn };
        let mut correction = convert::correction(&self.live.pipeline().0, message).map_err(invalid)?;
        let correction = self.with_records(move |records| {
            if suggestion == Suggestion::FilledIn {
                // Without the log the caller's own words stand.
                let found = records.decisions().reader().find(&correction.request_id);
                if let Ok(Some(decision)) = found.map(|decisions| decisions.into_iter().next()) {
                    (correction.suggested, correction.versions) = convert::suggestion(decision);
                }
            }
            convert::masked(correction)
        });
        let correction = correction.await?;
        let (done, recorded) = oneshot::channel();
        records.corrections().record(correction, suggestion, move |result| {
            // A caller that has gone needs no answer.
            let _ = done.send(result);
        });
        let recorded = recorded.await.map_err(|_| status::from_records(&RecordsError::Stopped))?;
        let recorded = recorded.map_err(|error| status::from_records(&error))?;
        let record_time = Some(convert::timestamp(recorded.recorded_at));
        Ok(RecordCorrectionResponse { record_time, known: recorded.already_recorded })
    }

    async fn list(&self, request: ListCorrectionsRequest) -> Result<ListCorrectionsResponse, Status> {
        let (filter, after, limit) = convert::page(&request).map_err(invalid)?;
        let page =
            self.with_records(move |records| records.corrections().reader().list(&filter, after, limit));
        let page = page.await?.map_err(|error| status::from_records(&error))?;
        Ok(ListCorrectionsResponse {
            corrections: page.corrections.into_iter().map(Into::into).collect(),
            next_page_token: page.next_after.map(|after| after.to_string()).unwrap_or_default(),
        })
    }

    async fn decisions(&self, request_id: String) -> Result<Vec<Decision>, Status> {
        let found = self.with_records(move |records| records.decisions().reader().find(&request_id)).await?;
        found.map_err(|error| status::from_records(&error))
    }
}

fn invalid(violations: Vec<Violation>) -> Status {
    status::invalid_argument(&RequestError { violations })
}

#[tonic::async_trait]
impl RecordService for RecordKeeper {
    async fn record_correction(
        &self,
        request: Request<RecordCorrectionRequest>,
    ) -> Result<Response<RecordCorrectionResponse>, Status> {
        let call = Call::of(SERVICE_NAME, "RecordCorrection", &request);
        let recorded = self.record(request.into_inner().correction.unwrap_or_default()).await;
        call.end(code(&recorded));
        recorded.map(Response::new)
    }

    async fn list_corrections(
        &self,
        request: Request<ListCorrectionsRequest>,
    ) -> Result<Response<ListCorrectionsResponse>, Status> {
        let call = Call::of(SERVICE_NAME, "ListCorrections", &request);
        let listed = self.list(request.into_inner()).await;
        call.end(code(&listed));
        listed.map(Response::new)
    }

    async fn list_decisions(
        &self,
        request: Request<ListDecisionsRequest>,
    ) -> Result<Response<ListDecisionsResponse>, Status> {
        let call = Call::of(SERVICE_NAME, "ListDecisions", &request);
        let request_id = request.into_inner().request_id;
        let listed = match check_id(&request_id) {
            Ok(()) if !request_id.is_empty() => self.decisions(request_id).await,
            problem => {
                let empty = format!(
                    "is empty; pass the id that the request was classified with, 1 to {MAX_REQUEST_ID_CHARS} characters"
                );
                let violation = problem.err().unwrap_or(Violation { field: "request_id", problem: empty });
                Err(status::invalid_argument(&RequestError { violations: vec![violation] }))
            }
        };
        call.end(code(&listed));
        let decisions = listed?.into_iter().map(Into::into).collect();
        Ok(Response::new(ListDecisionsResponse { decisions }))
    }
}
