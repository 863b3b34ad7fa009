//! The RPCs of `RecordService`: corrections, and the decisions that they correct.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use prost_types::Timestamp;
use tokio::sync::oneshot;
use tonic::{Code, Request, Response, Status};

use super::call::Call;
use super::convert::{MAX_REQUEST_ID_CHARS, check_id};
use super::status;
use crate::live::Live;
use crate::pb;
use crate::pb::record_service_server::RecordService;
use crate::pb::{
    ListCorrectionsRequest, ListCorrectionsResponse, ListDecisionsRequest, ListDecisionsResponse,
    RecordCorrectionRequest, RecordCorrectionResponse,
};
use crate::privacy;
use crate::records::{
    Action, Correction, CorrectionFilter, CorrectionReason, CorrectionVersions, DecidedDispatch, Decision,
    MAX_PAGE, RecordedCorrection, Records, RecordsError, SuggestedDispatch,
};
use crate::request::{RequestError, Violation};

/// Corrections on a page unless the caller says otherwise.
const DEFAULT_PAGE: u32 = 100;

/// The service for what became of suggestions.
#[derive(Debug, Clone)]
pub(super) struct RecordKeeper {
    pub(super) live: Arc<Live>,
    pub(super) records: Option<Arc<Records>>,
}

impl RecordKeeper {
    fn records(&self) -> Result<Arc<Records>, Status> {
        let missing = "this service keeps no records; start it with `--records DIR`";
        self.records.clone().ok_or_else(|| Status::failed_precondition(missing))
    }

    async fn record(&self, message: pb::Correction) -> Result<RecordCorrectionResponse, Status> {
        let records = self.records()?;
        let correction = self.correction(message).await?;
        let (done, recorded) = oneshot::channel();
        records.corrections().record(correction, move |result| {
            // A caller that has gone needs no answer.
            let _ = done.send(result);
        });
        let recorded = recorded.await.map_err(|_| status::from_records(&RecordsError::Stopped))?;
        let recorded = recorded.map_err(|error| status::from_records(&error))?;
        let record_time = Some(timestamp(recorded.recorded_at));
        Ok(RecordCorrectionResponse { record_time, known: recorded.already_recorded })
    }

    /// Checks a correction and masks its words.
    async fn correction(&self, mut message: pb::Correction) -> Result<Correction, Status> {
        let reason = self
            .check(&message)
            .map_err(|violations| status::invalid_argument(&RequestError { violations }))?;
        let rules = std::mem::take(&mut message.rules);
        let suggested = message.suggested.take().map(|suggested| SuggestedDispatch {
            category: suggested.category,
            lead: suggested.lead,
            supporting: suggested.supporting,
            territorial: some(suggested.territorial),
            rules,
        });
        let versions = CorrectionVersions {
            model: some(message.model),
            model_revision: some(message.model_revision),
            taxonomy: some(message.taxonomy_version),
            directory: some(message.directory_version),
        };
        let (suggested, versions) = match suggested {
            Some(suggested) => (suggested, versions),
            None => self.suggested(&message.request_id).await?.unwrap_or_default(),
        };
        let decided = message.decided.unwrap_or_default();
        let masked = |words: String| some(words).map(|words| privacy::masked(&words));
        Ok(Correction {
            request_id: message.request_id,
            suggested,
            decided: DecidedDispatch {
                category: decided.category,
                lead: decided.lead,
                supporting: decided.supporting,
                territorial: some(decided.territorial),
            },
            decided_by: message.decided_by,
            reason,
            note: masked(message.note),
            title: masked(message.title),
            text: masked(message.text),
            versions,
        })
    }

    /// Checks what the store does not: whether ids mean something.
    fn check(&self, message: &pb::Correction) -> Result<CorrectionReason, Vec<Violation>> {
        let (pipeline, _) = self.live.pipeline();
        let (taxonomy, directory) = (pipeline.taxonomy(), pipeline.directory());
        let mut violations = Vec::new();
        let mut unknown = |field: &'static str, what: &str, id: &str| {
            let problem = format!("`{id}` is no {what}; see `GetTaxonomy` for those there are");
            violations.push(Violation { field, problem });
        };
        let decided = message.decided.clone().unwrap_or_default();
        if !decided.category.is_empty() && taxonomy.category(&decided.category).is_none() {
            unknown("decided.category", "category", &decided.category);
        }
        let is_area = |id: &str| directory.areas.iter().any(|area| area.id == id);
        let acts = |id: &str| directory.department(id).is_some() || is_area(id);
        if !decided.lead.is_empty() && !acts(&decided.lead) {
            unknown("decided.lead", "department or area", &decided.lead);
        }
        for id in decided.supporting.iter().filter(|id| !acts(id)) {
            unknown("decided.supporting", "department or area", id);
        }
        if !decided.territorial.is_empty() && !acts(&decided.territorial) {
            unknown("decided.territorial", "area", &decided.territorial);
        }
        let reason = reason(message.reason);
        if reason.is_none() {
            let problem = "is not stated, or is none of `CorrectionReason`".to_owned();
            violations.push(Violation { field: "reason", problem });
        }
        match reason {
            Some(reason) if violations.is_empty() => Ok(reason),
            _ => Err(violations),
        }
    }

    /// What was suggested, by the log of decisions.
    async fn suggested(
        &self,
        request_id: &str,
    ) -> Result<Option<(SuggestedDispatch, CorrectionVersions)>, Status> {
        let latest = self.decisions(request_id.to_owned()).await?.into_iter().next();
        Ok(latest.map(|Decision { outcome, rules, versions, .. }| {
            let suggested = SuggestedDispatch {
                category: outcome.category,
                lead: outcome.lead,
                supporting: outcome.supporting,
                territorial: outcome.territorial,
                rules,
            };
            let versions = CorrectionVersions {
                model: some(versions.model),
                model_revision: versions.model_revision,
                taxonomy: some(versions.taxonomy),
                directory: some(versions.directory),
            };
            (suggested, versions)
        }))
    }

    async fn decisions(&self, request_id: String) -> Result<Vec<Decision>, Status> {
        let reader = self.records()?.decisions().reader();
        read(move || reader.find(&request_id)).await
    }

    async fn list(&self, request: ListCorrectionsRequest) -> Result<ListCorrectionsResponse, Status> {
        let reader = self.records()?.corrections().reader();
        let (filter, after, limit) =
            page(&request).map_err(|violations| status::invalid_argument(&RequestError { violations }))?;
        let page = read(move || reader.list(&filter, after, limit)).await?;
        Ok(ListCorrectionsResponse {
            corrections: page.corrections.into_iter().map(Into::into).collect(),
            next_page_token: page.next_after.map(|after| after.to_string()).unwrap_or_default(),
        })
    }
}

/// Reads from disk on a thread that may wait.
async fn read<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, RecordsError> + Send + 'static,
) -> Result<T, Status> {
    let read = tokio::task::spawn_blocking(read).await;
    read.map_err(|_| Status::internal("the records could not be read"))?
        .map_err(|error| status::from_records(&error))
}

/// The filter, the id after which the page starts, and its size.
fn page(request: &ListCorrectionsRequest) -> Result<(CorrectionFilter, i64, u32), Vec<Violation>> {
    let mut violations = Vec::new();
    let limit = match request.page_size.map(u32::try_from) {
        None => DEFAULT_PAGE,
        Some(Ok(limit)) if (1..=MAX_PAGE).contains(&limit) => limit,
        Some(_) => {
            violations.push(Violation { field: "page_size", problem: format!("must be 1 to {MAX_PAGE}") });
            DEFAULT_PAGE
        }
    };
    let after = if request.page_token.is_empty() { Ok(0) } else { request.page_token.parse() };
    if after.is_err() {
        let problem = "is none of this service; pass the `next_page_token` of the page before".to_owned();
        violations.push(Violation { field: "page_token", problem });
    }
    let named = request.reason != i32::from(pb::CorrectionReason::Unspecified);
    if named && reason(request.reason).is_none() {
        violations.push(Violation { field: "reason", problem: "is none of `CorrectionReason`".to_owned() });
    }
    match after {
        Ok(after) if violations.is_empty() => {
            let filter = CorrectionFilter {
                since: request.since.as_ref().map(millis),
                until: request.until.as_ref().map(millis),
                reason: reason(request.reason),
                category: some(request.category.clone()),
                lead: some(request.lead.clone()),
            };
            Ok((filter, after, limit))
        }
        _ => Err(violations),
    }
}

#[tonic::async_trait]
impl RecordService for RecordKeeper {
    async fn record_correction(
        &self,
        request: Request<RecordCorrectionRequest>,
    ) -> Result<Response<RecordCorrectionResponse>, Status> {
        let call = Call::begin("RecordCorrection", &request);
        let recorded = self.record(request.into_inner().correction.unwrap_or_default()).await;
        call.end(code(&recorded));
        recorded.map(Response::new)
    }

    async fn list_corrections(
        &self,
        request: Request<ListCorrectionsRequest>,
    ) -> Result<Response<ListCorrectionsResponse>, Status> {
        let call = Call::begin("ListCorrections", &request);
        let listed = self.list(request.into_inner()).await;
        call.end(code(&listed));
        listed.map(Response::new)
    }

    async fn list_decisions(
        &self,
        request: Request<ListDecisionsRequest>,
    ) -> Result<Response<ListDecisionsResponse>, Status> {
        let call = Call::begin("ListDecisions", &request);
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

fn code<A>(answer: &Result<A, Status>) -> Code {
    answer.as_ref().err().map_or(Code::Ok, Status::code)
}

fn reason(number: i32) -> Option<CorrectionReason> {
    match pb::CorrectionReason::try_from(number).ok()? {
        pb::CorrectionReason::Unspecified => None,
        pb::CorrectionReason::AreaMismatch => Some(CorrectionReason::AreaMismatch),
        pb::CorrectionReason::DutyMismatch => Some(CorrectionReason::DutyMismatch),
        pb::CorrectionReason::MissingInformation => Some(CorrectionReason::MissingInformation),
        pb::CorrectionReason::Duplicate => Some(CorrectionReason::Duplicate),
        pb::CorrectionReason::Other => Some(CorrectionReason::Other),
    }
}

impl From<CorrectionReason> for pb::CorrectionReason {
    fn from(reason: CorrectionReason) -> Self {
        match reason {
            CorrectionReason::AreaMismatch => Self::AreaMismatch,
            CorrectionReason::DutyMismatch => Self::DutyMismatch,
            CorrectionReason::MissingInformation => Self::MissingInformation,
            CorrectionReason::Duplicate => Self::Duplicate,
            CorrectionReason::Other => Self::Other,
        }
    }
}

impl From<RecordedCorrection> for pb::Correction {
    fn from(RecordedCorrection { recorded_at, correction, .. }: RecordedCorrection) -> Self {
        let Correction { request_id, suggested, decided, decided_by, reason, note, title, text, versions } =
            correction;
        Self {
            request_id,
            suggested: Some(pb::Assignment {
                category: suggested.category,
                lead: suggested.lead,
                supporting: suggested.supporting,
                territorial: suggested.territorial.unwrap_or_default(),
            }),
            decided: Some(pb::Assignment {
                category: decided.category,
                lead: decided.lead,
                supporting: decided.supporting,
                territorial: decided.territorial.unwrap_or_default(),
            }),
            decided_by,
            reason: pb::CorrectionReason::from(reason).into(),
            note: note.unwrap_or_default(),
            text: text.unwrap_or_default(),
            title: title.unwrap_or_default(),
            rules: suggested.rules,
            record_time: Some(timestamp(recorded_at)),
            model: versions.model.unwrap_or_default(),
            model_revision: versions.model_revision.unwrap_or_default(),
            taxonomy_version: versions.taxonomy.unwrap_or_default(),
            directory_version: versions.directory.unwrap_or_default(),
        }
    }
}

impl From<Decision> for pb::DecisionRecord {
    fn from(decision: Decision) -> Self {
        let Decision { request_id, received_at, digest, versions, outcome, .. } = decision;
        let action = match outcome.action {
            Action::Accept => pb::DecisionAction::Accept,
            Action::Review => pb::DecisionAction::Review,
        };
        Self {
            request_id,
            answer_time: Some(timestamp(received_at)),
            text_sha256: digest.to_string(),
            model: versions.model,
            model_revision: versions.model_revision.unwrap_or_default(),
            taxonomy_version: versions.taxonomy,
            directory_version: versions.directory,
            risk_rules_version: versions.risk_rules.unwrap_or_default(),
            suggested: Some(pb::Assignment {
                category: outcome.category,
                lead: outcome.lead,
                supporting: outcome.supporting,
                territorial: outcome.territorial.unwrap_or_default(),
            }),
            action: action.into(),
            reasons: decision.reasons,
            rules: decision.rules,
            risk_alarms: decision.risk_alarms,
            degradations: decision.degradations,
        }
    }
}

fn some(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// `millis` since 1970.
fn timestamp(millis: i64) -> Timestamp {
    let since_1970 = Duration::from_millis(u64::try_from(millis).unwrap_or_default());
    (UNIX_EPOCH + since_1970).into()
}

fn millis(time: &Timestamp) -> i64 {
    time.seconds.saturating_mul(1000).saturating_add(i64::from(time.nanos) / 1_000_000)
}
