//! What is noted of each answer: its entry in the log of decisions, and whether it burdens the grass roots.

use std::sync::Arc;

use super::convert::MAX_REQUEST_BYTES;
use crate::dispatch::{Directory, GrassrootsShare, LOCAL};
use crate::live::Live;
use crate::metrics;
use crate::pb::{Assessment, ClassifyTextRequest, DecisionAction, DepartmentRole};
use crate::records::{Action, Decision, DecisionVersions, Outcome, Records, TextDigest, unix_millis};

/// Notes answers; clones share what was noted.
#[derive(Debug, Clone)]
pub(super) struct Journal {
    live: Arc<Live>,
    records: Option<Arc<Records>>,
    grassroots: Arc<GrassrootsShare>,
}

/// What is known of a request before it is answered.
#[derive(Debug)]
pub(super) struct Entry {
    request_id: String,
    received_at: i64,
    digest: TextDigest,
}

impl Journal {
    pub(super) fn new(live: Arc<Live>, records: Option<Arc<Records>>) -> Self {
        Self { live, records, grassroots: Arc::default() }
    }

    /// Begins the entries of some requests; there are none where nobody keeps records.
    pub(super) fn begin(&self, requests: &[ClassifyTextRequest]) -> Vec<Option<Entry>> {
        let entry = |request: &ClassifyTextRequest| {
            // What is longer is refused.
            let fits = request.text.len() + request.title.len() <= MAX_REQUEST_BYTES;
            self.records.as_ref().filter(|_| fits)?;
            Some(Entry {
                request_id: request.request_id.clone(),
                received_at: unix_millis(),
                digest: TextDigest::of(&request.title, &request.text),
            })
        };
        requests.iter().map(entry).collect()
    }

    /// Notes the answer to a request, and adds to it what the city should know.
    pub(super) fn end(&self, entry: Option<Entry>, answer: &mut Assessment) {
        let (pipeline, _) = self.live.pipeline();
        answer.warnings.extend(self.warn_of_grassroots(pipeline.directory(), answer));
        if let (Some(records), Some(entry)) = (&self.records, entry) {
            records.decisions().offer(decision(entry, answer));
            metrics::decisions_dropped(records.decisions().dropped());
        }
    }

    fn warn_of_grassroots(&self, directory: &Directory, answer: &Assessment) -> Option<String> {
        let cap = directory.grassroots?;
        let lead = unit(answer, DepartmentRole::Lead).unwrap_or_default();
        let of_area = |id: &str| directory.areas.iter().any(|area| area.id == id && area.is_grassroots());
        let share = self.grassroots.add(lead == LOCAL || of_area(&lead), cap)?;
        metrics::grassroots_share(share);
        if share <= cap.max_share {
            return None;
        }
        let (percent, window, max) = (100.0 * share, cap.window, 100.0 * cap.max_share);
        Some(format!(
            "{percent:.0} % of the last {window} requests are led by streets, townships or communities; the cap is {max:.0} %"
        ))
    }
}

fn decision(entry: Entry, answer: &Assessment) -> Decision {
    let some = |text: &String| (!text.is_empty()).then(|| text.clone());
    let decided = answer.decision.as_ref();
    let units = |role| answer.departments.iter().filter(move |unit| unit.role == i32::from(role));
    Decision {
        request_id: entry.request_id,
        received_at: entry.received_at,
        digest: entry.digest,
        versions: DecisionVersions {
            model: answer.model.clone(),
            model_revision: some(&answer.model_revision),
            taxonomy: answer.taxonomy_version.clone(),
            directory: answer.directory_version.clone(),
            risk_rules: some(&answer.risk_rules_version),
        },
        outcome: Outcome {
            category: answer.category.as_ref().map(|category| category.id.clone()).unwrap_or_default(),
            lead: unit(answer, DepartmentRole::Lead).unwrap_or_default(),
            supporting: units(DepartmentRole::Supporting).map(|unit| unit.id.clone()).collect(),
            territorial: unit(answer, DepartmentRole::Territorial),
            action: match decided.map(crate::pb::Decision::action) {
                Some(DecisionAction::Accept) => Action::Accept,
                Some(DecisionAction::Review | DecisionAction::Unspecified) | None => Action::Review,
            },
        },
        reasons: decided
            .into_iter()
            .flat_map(|decided| &decided.reasons)
            .map(|reason| reason.code.clone())
            .collect(),
        rules: answer.rules.iter().map(|rule| rule.id.clone()).collect(),
        risk_alarms: answer
            .risk_alarms
            .iter()
            .map(|alarm| format!("{}:{}", alarm.risk, alarm.rule))
            .collect(),
        degradations: answer.degradations.clone(),
    }
}

/// The id of the first unit with that role.
fn unit(answer: &Assessment, role: DepartmentRole) -> Option<String> {
    answer.departments.iter().find(|unit| unit.role == i32::from(role)).map(|unit| unit.id.clone())
}
