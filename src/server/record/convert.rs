//! Between the protocol's corrections and decisions and the records.

use std::time::{Duration, UNIX_EPOCH};

use prost_types::Timestamp;

use crate::pb;
use crate::pb::ListCorrectionsRequest;
use crate::pipeline::Pipeline;
use crate::records::{
    Action, Correction, CorrectionFilter, CorrectionReason, CorrectionVersions, DecidedDispatch, Decision,
    MAX_PAGE, RecordedCorrection, SuggestedDispatch,
};
use crate::request::{Violation, masked_words};

/// Corrections on a page unless the caller says otherwise.
const DEFAULT_PAGE: u32 = 100;
/// Most characters of an unknown id that the answer repeats: somebody may have put other words into the field.
const MAX_SHOWN_ID: usize = 32;

/// Checks a correction, and names all that is at fault. Its words are not masked yet.
pub(super) fn correction(pipeline: &Pipeline, message: pb::Correction) -> Result<Correction, Vec<Violation>> {
    let decided = message.decided.unwrap_or_default();
    let suggested = message.suggested.unwrap_or_default();
    let mut violations = unknown_ids(pipeline, &decided);
    let reason = reason(message.reason);
    if reason.is_none() {
        let problem = "is not stated, or is none of `CorrectionReason`".to_owned();
        violations.push(Violation { field: "reason", problem });
    }
    let correction = Correction {
        request_id: message.request_id,
        suggested: SuggestedDispatch {
            category: suggested.category,
            lead: suggested.lead,
            supporting: suggested.supporting,
            territorial: some(suggested.territorial),
            rules: message.rules,
        },
        decided: DecidedDispatch {
            category: decided.category,
            lead: decided.lead,
            supporting: decided.supporting,
            territorial: some(decided.territorial),
        },
        decided_by: message.decided_by,
        reason: reason.unwrap_or(CorrectionReason::Other),
        note: some(message.note),
        title: some(message.title),
        text: some(message.text),
        versions: CorrectionVersions {
            model: some(message.model),
            model_revision: some(message.model_revision),
            taxonomy: some(message.taxonomy_version),
            directory: some(message.directory_version),
        },
    };
    violations.extend(
        correction
            .violations()
            .into_iter()
            .map(|violation| Violation { field: violation.field, problem: violation.problem }),
    );
    if violations.is_empty() { Ok(correction) } else { Err(violations) }
}

/// Ids that mean nothing in the city.
fn unknown_ids(pipeline: &Pipeline, decided: &pb::Assignment) -> Vec<Violation> {
    let (taxonomy, directory) = (pipeline.taxonomy(), pipeline.directory());
    let mut violations = Vec::new();
    let mut check = |field: &'static str, what: &str, id: &str, known: bool| {
        if !known && !id.is_empty() {
            let shown: String = id.chars().take(MAX_SHOWN_ID).collect();
            let problem = format!("`{shown}` is no {what}; see `GetTaxonomy` for those there are");
            violations.push(Violation { field, problem });
        }
    };
    let is_area = |id: &str| directory.areas.iter().any(|area| area.id == id);
    let acts = |id: &str| directory.department(id).is_some() || is_area(id);
    let pb::Assignment { category, lead, supporting, territorial } = decided;
    check("decided.category", "category", category, taxonomy.category(category).is_some());
    check("decided.lead", "department or area", lead, acts(lead));
    for id in supporting {
        check("decided.supporting", "department or area", id, acts(id));
    }
    check("decided.territorial", "area", territorial, is_area(territorial));
    violations
}

/// Masks the words of a correction.
pub(super) fn masked(correction: Correction) -> Correction {
    let masked = |words: Option<String>| words.map(|words| masked_words(&words));
    Correction {
        note: masked(correction.note),
        title: masked(correction.title),
        text: masked(correction.text),
        ..correction
    }
}

/// What a decision suggested, and by which versions.
pub(super) fn suggestion(decision: Decision) -> (SuggestedDispatch, CorrectionVersions) {
    let Decision { outcome, rules, versions, .. } = decision;
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
}

/// The filter, the id after which the page starts, and its size.
pub(super) fn page(request: &ListCorrectionsRequest) -> Result<(CorrectionFilter, i64, u32), Vec<Violation>> {
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
            receive_time: Some(timestamp(received_at)),
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
pub(super) fn timestamp(millis: i64) -> Timestamp {
    let since_1970 = Duration::from_millis(u64::try_from(millis).unwrap_or_default());
    (UNIX_EPOCH + since_1970).into()
}

fn millis(time: &Timestamp) -> i64 {
    time.seconds.saturating_mul(1000).saturating_add(i64::from(time.nanos) / 1_000_000)
}
