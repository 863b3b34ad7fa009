//! Between the protocol's messages and the crate's own types.

use std::sync::Arc;

use crate::assessment::{
    AreaReference, Assessment, Decision, DecisionAction, Evidence, EvidenceTarget, FiredRule, HeadScores,
    Label, MAX_COUNT, RiskAlarm,
};
use crate::classifier::{HeadConfig, Problem, SequenceClassifier};
use crate::dispatch::{AreaLevel, AreaSource, DepartmentRole, DepartmentSuggestion, Leadership};
use crate::pb;
use crate::pipeline::{CitizenRequest, Pipeline};
use crate::request::{MAX_TEXT_CHARS, RequestError, Requester, Violation};
use crate::taxonomy::Term;
use crate::terms::Terms;

/// Most items of a batch call.
pub const MAX_BATCH_SIZE: usize = 128;
/// Longest id that a caller may give a request, in characters.
pub const MAX_REQUEST_ID_CHARS: usize = 128;
/// Longest request that can be answered: the longest text, four bytes a character, and more than all else may take.
pub(super) const MAX_REQUEST_BYTES: usize = 4 * MAX_TEXT_CHARS + 8 * 1024;
/// How many categories and departments are returned unless the caller says otherwise.
const DEFAULT_COUNT: usize = 3;

/// A checked request and what its caller wants of the answer.
#[derive(Debug)]
pub(super) struct Inquiry {
    pub(super) request: CitizenRequest,
    pub(super) wish: Wish,
}

/// How much of an answer a caller wants.
#[derive(Debug)]
pub(super) struct Wish {
    category_count: usize,
    department_count: usize,
}

impl Inquiry {
    /// Checks every field and names all that are at fault.
    pub(super) fn new(
        pipeline: &Arc<Pipeline>,
        message: &pb::ClassifyTextRequest,
    ) -> Result<Self, RequestError> {
        let request = pipeline.request(&message.title, &message.text, &message.area);
        let mut violations = Vec::new();
        let category_count = count("category_count", message.category_count, &mut violations);
        let department_count = count("department_count", message.department_count, &mut violations);
        violations.extend(check_id(&message.request_id).err());
        let requester = requester(message).map_err(|violation| violations.push(violation)).ok().flatten();
        match request {
            Ok(mut request) if violations.is_empty() => {
                request.requester = requester;
                (request.explain, request.mask, request.scores) =
                    (message.explain, message.mask, message.scores);
                Ok(Self { request, wish: Wish { category_count, department_count } })
            }
            Ok(_) => Err(RequestError { violations }),
            Err(mut error) => {
                error.violations.append(&mut violations);
                Err(error)
            }
        }
    }
}

impl Wish {
    /// The answer as the caller wants it.
    pub(super) fn grant(&self, assessment: Assessment) -> pb::Assessment {
        assessment.with_counts(self.category_count, self.department_count).into()
    }
}

fn requester(message: &pb::ClassifyTextRequest) -> Result<Option<Requester>, Violation> {
    match pb::RequesterType::try_from(message.requester_type) {
        Ok(pb::RequesterType::Unspecified) => Ok(None),
        Ok(pb::RequesterType::Individual) => Ok(Some(Requester::Individual)),
        Ok(pb::RequesterType::Enterprise) => Ok(Some(Requester::Enterprise)),
        Ok(pb::RequesterType::Organization) => Ok(Some(Requester::Organization)),
        Err(_) => {
            let problem = format!("{} is no type of requester", message.requester_type);
            Err(Violation { field: "requester_type", problem })
        }
    }
}

/// Refuses an id that is too long.
pub(super) fn check_id(request_id: &str) -> Result<(), Violation> {
    let chars = request_id.chars().count();
    if chars <= MAX_REQUEST_ID_CHARS {
        return Ok(());
    }
    let problem = format!("has {chars} characters; at most {MAX_REQUEST_ID_CHARS} are accepted");
    Err(Violation { field: "request_id", problem })
}

fn count(field: &'static str, value: Option<i32>, violations: &mut Vec<Violation>) -> usize {
    match value.map(usize::try_from) {
        None => DEFAULT_COUNT,
        Some(Ok(count)) if (1..=MAX_COUNT).contains(&count) => count,
        Some(_) => {
            violations.push(Violation { field, problem: format!("must be 1 to {MAX_COUNT}") });
            DEFAULT_COUNT
        }
    }
}

pub(super) fn item_error(error: &RequestError) -> pb::ItemError {
    pb::ItemError {
        code: tonic::Code::InvalidArgument.into(),
        message: error.to_string(),
        violations: error
            .violations
            .iter()
            .map(|Violation { field, problem }| pb::FieldViolation {
                field: (*field).to_owned(),
                description: problem.clone(),
            })
            .collect(),
    }
}

/// The error of an item that is not itself at fault.
pub(super) fn status_error(status: &tonic::Status) -> pb::ItemError {
    pb::ItemError { code: status.code().into(), message: status.message().to_owned(), violations: Vec::new() }
}

impl From<Assessment> for pb::Assessment {
    fn from(assessment: Assessment) -> Self {
        let labels = |labels: Vec<Label>| labels.into_iter().map(Into::into).collect();
        Self {
            category: assessment.category.map(Into::into),
            categories: labels(assessment.categories),
            kind: assessment.kind.map(Into::into),
            urgency: assessment.urgency.map(Into::into),
            risks: labels(assessment.risks),
            groups: labels(assessment.groups),
            decision: Some(assessment.decision.into()),
            departments: assessment.departments.into_iter().map(Into::into).collect(),
            evidence: assessment.evidence.into_iter().map(Into::into).collect(),
            model: assessment.model,
            model_revision: assessment.model_revision,
            taxonomy_version: assessment.taxonomy_version,
            directory_version: assessment.directory_version,
            area: assessment.area.map(Into::into),
            degradations: assessment
                .degradations
                .into_iter()
                .map(|missing| missing.name().to_owned())
                .collect(),
            area_candidates: assessment.area_candidates.into_iter().map(Into::into).collect(),
            leadership: leadership(assessment.leadership).into(),
            whistle: assessment.whistle,
            time_limit: assessment.time_limit.and_then(|limit| limit.try_into().ok()),
            rules: assessment.rules.into_iter().map(Into::into).collect(),
            risk_alarms: assessment.risk_alarms.into_iter().map(Into::into).collect(),
            risk_rules_version: assessment.risk_rules_version,
            masked_title: assessment.masked_title,
            masked_text: assessment.masked_text,
            warnings: assessment.warnings,
            heads: assessment.heads.into_iter().map(Into::into).collect(),
        }
    }
}

fn leadership(leadership: Leadership) -> pb::Leadership {
    match leadership {
        Leadership::Functional => pb::Leadership::Functional,
        Leadership::Territorial => pb::Leadership::Territorial,
        Leadership::Both => pb::Leadership::Both,
    }
}

impl From<HeadScores> for pb::HeadScores {
    fn from(HeadScores { head, probabilities, decided }: HeadScores) -> Self {
        Self { head, probabilities, decided: decided.into_iter().map(saturated).collect() }
    }
}

impl From<AreaReference> for pb::AreaReference {
    fn from(AreaReference { id, name, source }: AreaReference) -> Self {
        let source = match source {
            AreaSource::Hint => "hint",
            AreaSource::Text => "text",
        };
        Self { id, name, source: source.to_owned() }
    }
}

impl From<FiredRule> for pb::FiredRule {
    fn from(FiredRule { id, clause_id, clause }: FiredRule) -> Self {
        Self { id, clause_id, clause }
    }
}

impl From<RiskAlarm> for pb::RiskAlarm {
    fn from(alarm: RiskAlarm) -> Self {
        Self {
            risk: alarm.risk,
            rule: alarm.rule,
            field: alarm.field.name().to_owned(),
            start: saturated(alarm.start),
            end: saturated(alarm.end),
            text: alarm.text,
        }
    }
}

impl From<Label> for pb::Label {
    fn from(Label { id, name, name_en, probability }: Label) -> Self {
        Self { id, name, name_en, probability }
    }
}

impl From<Decision> for pb::Decision {
    fn from(decision: Decision) -> Self {
        let action = match decision.action {
            DecisionAction::Accept => pb::DecisionAction::Accept,
            DecisionAction::Review => pb::DecisionAction::Review,
        };
        let reasons = decision.reasons.into_iter();
        Self {
            action: action.into(),
            reasons: reasons
                .map(|reason| pb::DecisionReason { code: reason.code.to_owned(), message: reason.message })
                .collect(),
            confidence: decision.confidence,
            threshold: decision.threshold,
            certified_precision: decision.certified_precision,
        }
    }
}

impl From<DepartmentSuggestion> for pb::DepartmentSuggestion {
    fn from(suggestion: DepartmentSuggestion) -> Self {
        let role = match suggestion.role {
            DepartmentRole::Lead => pb::DepartmentRole::Lead,
            DepartmentRole::Supporting => pb::DepartmentRole::Supporting,
            DepartmentRole::Territorial => pb::DepartmentRole::Territorial,
        };
        Self {
            id: suggestion.id,
            name: suggestion.name,
            name_en: suggestion.name_en,
            role: role.into(),
            probability: suggestion.probability,
            reason: suggestion.reason,
            clause: suggestion.clause,
        }
    }
}

impl From<Evidence> for pb::EvidenceSpan {
    fn from(evidence: Evidence) -> Self {
        Self {
            field: evidence.field.name().to_owned(),
            start: saturated(evidence.start),
            end: saturated(evidence.end),
            text: evidence.text,
            weight: evidence.weight,
            target: match evidence.target {
                EvidenceTarget::Category => "category",
                EvidenceTarget::Lead => "lead",
            }
            .to_owned(),
        }
    }
}

pub(super) fn model(classifier: &SequenceClassifier, terms: Terms<'_>) -> pb::Model {
    let head = |head: &HeadConfig| {
        let calibration = classifier.calibration().head(&head.name);
        pb::Head {
            name: head.name.clone(),
            multi_label: head.problem == Problem::MultiLabelClassification,
            labels: head
                .labels
                .iter()
                .map(|label| terms.meaning(&head.name, label).map_or(label, |meaning| meaning.id).to_owned())
                .collect(),
            calibration_sample_count: calibration.map_or(0, |head| saturated(head.sample_size)),
            thresholds: calibration
                .into_iter()
                .flat_map(|head| &head.accept)
                .map(|certified| pb::CertifiedThreshold {
                    precision: certified.precision,
                    threshold: certified.threshold,
                    accepted_count: saturated(certified.accepted),
                    lower_bound: certified.lower_bound,
                })
                .collect(),
        }
    };
    pb::Model {
        name: classifier.name().to_owned(),
        revision: classifier.revision().to_owned(),
        heads: classifier.heads().iter().map(head).collect(),
        max_tokens: saturated(classifier.max_tokens()),
    }
}

fn saturated(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

pub(super) fn taxonomy(pipeline: &Pipeline) -> pb::GetTaxonomyResponse {
    let (taxonomy, directory) = (pipeline.taxonomy(), pipeline.directory());
    let terms = |terms: &[Term]| terms.iter().map(term).collect();
    pb::GetTaxonomyResponse {
        taxonomy_version: taxonomy.version.clone(),
        categories: taxonomy
            .categories
            .iter()
            .map(|category| pb::Category {
                id: category.id.clone(),
                name: category.name.clone(),
                name_en: category.name_en.clone(),
                scope: category.scope.clone(),
                scope_en: category.scope_en.clone(),
                examples: category.examples.clone(),
            })
            .collect(),
        kinds: terms(&taxonomy.kinds),
        urgencies: terms(&taxonomy.urgencies),
        risks: terms(&taxonomy.risks),
        groups: terms(&taxonomy.groups),
        directory_version: directory.version.clone(),
        city: directory.city.clone(),
        departments: directory
            .departments
            .iter()
            .map(|department| pb::Department {
                id: department.id.clone(),
                name: department.name.clone(),
                name_en: department.name_en.clone(),
                duties: department.duties.clone(),
                parent_id: department.parent.clone().unwrap_or_default(),
                contact: department.contact.clone().unwrap_or_default(),
            })
            .collect(),
        areas: directory
            .areas
            .iter()
            .map(|area| pb::Area {
                id: area.id.clone(),
                name: area.name.clone(),
                name_en: area.name_en.clone(),
                unit: area.unit.clone().unwrap_or_default(),
                parent_id: area.parent.clone().unwrap_or_default(),
                level: level(area.level).to_owned(),
                population: area.population.and_then(|count| i64::try_from(count).ok()).unwrap_or_default(),
            })
            .collect(),
        risk_rules_version: pipeline.city().risk_rules.version.clone(),
    }
}

fn level(level: AreaLevel) -> &'static str {
    match level {
        AreaLevel::City => "city",
        AreaLevel::District => "district",
        AreaLevel::Street => "street",
        AreaLevel::Community => "community",
    }
}

fn term(term: &Term) -> pb::Term {
    pb::Term {
        id: term.id.clone(),
        name: term.name.clone(),
        name_en: term.name_en.clone(),
        description: term.description.clone(),
        description_en: term.description_en.clone(),
    }
}
