//! A live service, asked through its public API as any other caller asks it.

use tokio::runtime::{Builder, Runtime};
use tonic::{Request, Status};

use super::{Answer, AnswerError, Answers, Channel, EvidenceWords, Said, Unit, is_explained};
use crate::assessment::MAX_COUNT;
use crate::client::{ConnectError, Connection, Connector, told};
use crate::dispatch::DepartmentRole;
use crate::eval::question::Question;
use crate::pb::dispatch_service_client::DispatchServiceClient;
use crate::pb::{
    self, ClassifyTextRequest, GetModelRequest, GetTaxonomyRequest, classify_text_result::Outcome,
};
use crate::request::{Field, RequestText};
use crate::terms::CATEGORY_HEAD;

/// What is missing where the model did not answer.
const WITHOUT_MODEL: [&str; 2] = ["model_missing", "model_failed"];

/// Why a service is of no use.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// It cannot be reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The system does not let us wait for answers.
    #[error("cannot wait for a service: {0}")]
    Runtime(#[source] std::io::Error),
    /// A call failed.
    #[error("`{uri}` failed: {problem}\nhint: is it still running? Its log says why")]
    Call {
        /// Where.
        uri: String,
        /// What it says, or what became of the connection.
        problem: String,
    },
    /// No model is loaded there.
    #[error("`{uri}` has no model at present: it answers by rules alone\nhint: its log says why")]
    NoModel {
        /// Where.
        uri: String,
    },
    /// The answer to a row is an error.
    #[error("`{uri}` refused text {row} of those it was asked for: {problem}")]
    Refused {
        /// Where.
        uri: String,
        /// The place of the text, counted from 0.
        row: usize,
        /// What it says.
        problem: String,
    },
    /// The service does not tell scores: it is of an older version.
    #[error("`{uri}` does not tell the scores of its heads\nhint: it is older than this program; replace it")]
    Old {
        /// Where.
        uri: String,
    },
    /// The model was missing for a row, or something was replaced in between.
    #[error("`{uri}` did not answer all rows alike: {problem}\nhint: evaluate again")]
    Changed {
        /// Where.
        uri: String,
        /// What happened.
        problem: String,
    },
}

/// A service that can be reached, asked for all it says ([`Channel::All`]) or for what its model says.
#[derive(Debug)]
pub struct Service {
    uri: String,
    channel: Channel,
    runtime: Runtime,
    client: DispatchServiceClient<Connection>,
    /// The model that answers there.
    pub model: pb::Model,
    /// The labels that its answers refer to.
    pub taxonomy: pb::GetTaxonomyResponse,
}

impl Service {
    /// Connects to a service, and asks who answers there.
    ///
    /// # Errors
    /// If it cannot be reached, or has no model.
    pub fn connect(connector: &Connector, channel: Channel) -> Result<Self, ServiceError> {
        let uri = connector.uri();
        let call = |status: Status| ServiceError::Call { uri: uri.to_string(), problem: told(&status) };
        let runtime = Builder::new_current_thread().enable_all().build().map_err(ServiceError::Runtime)?;
        runtime
            .block_on(async {
                let connection = connector.connect().await?;
                // An answer lists all departments of a city; none is too long for an evaluation.
                let mut client = DispatchServiceClient::new(connection).max_decoding_message_size(usize::MAX);
                let model = client.get_model(GetModelRequest {}).await.map_err(call)?.into_inner().model;
                let model = model.ok_or_else(|| ServiceError::NoModel { uri: uri.to_string() })?;
                let taxonomy = client.get_taxonomy(GetTaxonomyRequest {}).await.map_err(call)?.into_inner();
                Ok((client, model, taxonomy))
            })
            .map(|(client, model, taxonomy)| Self {
                uri: uri.to_string(),
                channel,
                runtime,
                client,
                model,
                taxonomy,
            })
    }
}

impl Service {
    fn request(text: &RequestText, explain: bool) -> ClassifyTextRequest {
        ClassifyTextRequest {
            title: text.original(Field::Title).to_owned(),
            text: text.original(Field::Text).to_owned(),
            category_count: i32::try_from(MAX_COUNT).ok(),
            department_count: i32::try_from(MAX_COUNT).ok(),
            explain,
            scores: true,
            ..ClassifyTextRequest::default()
        }
    }

    /// What is made of the result for a row.
    fn answer(
        &self,
        question: &Question,
        row: usize,
        result: pb::ClassifyTextResult,
    ) -> Result<Answer, AnswerError> {
        let uri = || self.uri.clone();
        let assessment = match result.outcome {
            Some(Outcome::Assessment(assessment)) => assessment,
            Some(Outcome::Error(pb::ItemError { message: problem, .. })) => {
                return Err(ServiceError::Refused { uri: uri(), row, problem }.into());
            }
            None => {
                let problem = "it answered nothing".to_owned();
                return Err(ServiceError::Refused { uri: uri(), row, problem }.into());
            }
        };
        if let Some(missing) =
            assessment.degradations.iter().find(|missing| WITHOUT_MODEL.contains(&missing.as_str()))
        {
            return Err(ServiceError::Changed { uri: uri(), problem: missing.clone() }.into());
        }
        let theirs = &self.taxonomy;
        let versions = [
            ("model", &assessment.model_revision, &self.model.revision),
            ("taxonomy", &assessment.taxonomy_version, &theirs.taxonomy_version),
            ("directory", &assessment.directory_version, &theirs.directory_version),
            ("risk rules", &assessment.risk_rules_version, &theirs.risk_rules_version),
        ];
        if let Some((what, now, before)) = versions.into_iter().find(|(_, now, before)| now != before) {
            let problem = format!("{what} {now} after {before}");
            return Err(ServiceError::Changed { uri: uri(), problem }.into());
        }
        if assessment.heads.is_empty() {
            return Err(ServiceError::Old { uri: uri() }.into());
        }
        said(&assessment, question).answer(question, self.channel)
    }
}

impl Answers for Service {
    fn answers(
        &self,
        question: &Question,
        texts: &[RequestText],
        explain: bool,
        seen: &mut dyn FnMut(usize),
    ) -> Result<Vec<Answer>, AnswerError> {
        let Self { uri, runtime, client, .. } = self;
        let call = |status: Status| ServiceError::Call { uri: uri.clone(), problem: told(&status) };
        let requests: Vec<_> = texts.iter().map(|text| Self::request(text, explain)).collect();
        let mut answers = Vec::with_capacity(texts.len());
        runtime.block_on(async {
            let requests = Request::new(tokio_stream::iter(requests));
            let mut client = client.clone();
            let mut results = client.stream_classify_texts(requests).await.map_err(call)?.into_inner();
            while let Some(result) = results.message().await.map_err(call)? {
                answers.push(self.answer(question, answers.len(), result)?);
                seen(1);
            }
            if answers.len() == texts.len() {
                return Ok(answers);
            }
            let problem = format!("it answered {} of {} rows", answers.len(), texts.len());
            Err(ServiceError::Changed { uri: uri.clone(), problem }.into())
        })
    }
}

fn said<'a>(answer: &'a pb::Assessment, question: &Question) -> Said<'a> {
    let scores = answer.heads.iter().find(|scores| scores.head == question.head);
    let decided = |scores: &pb::HeadScores| {
        scores.decided.iter().filter_map(|place| usize::try_from(*place).ok()).collect()
    };
    let target = if question.head == CATEGORY_HEAD { "category" } else { "lead" };
    let evidence =
        answer.evidence.iter().filter(|span| is_explained(&question.head) && span.target == target);
    let action = answer.decision.as_ref().map(pb::Decision::action);
    Said {
        scores: scores.map(|scores| (scores.probabilities.as_slice(), decided(scores))),
        units: answer.departments.iter().filter_map(unit).collect(),
        risks: answer.risks.iter().map(|risk| risk.id.as_str()).collect(),
        accepted: action == Some(pb::DecisionAction::Accept),
        evidence: evidence.filter_map(words).collect(),
    }
}

/// A unit; none for a role that this program does not know.
fn unit(unit: &pb::DepartmentSuggestion) -> Option<Unit<'_>> {
    let role = match unit.role() {
        pb::DepartmentRole::Lead => DepartmentRole::Lead,
        pb::DepartmentRole::Supporting => DepartmentRole::Supporting,
        pb::DepartmentRole::Territorial => DepartmentRole::Territorial,
        pb::DepartmentRole::Unspecified => return None,
    };
    Some(Unit { id: &unit.id, role, probability: unit.probability })
}

fn words(span: &pb::EvidenceSpan) -> Option<EvidenceWords> {
    let field = [Field::Title, Field::Text].into_iter().find(|field| field.name() == span.field)?;
    let (start, end) = (usize::try_from(span.start).ok()?, usize::try_from(span.end).ok()?);
    Some(EvidenceWords { field, start, end, weight: span.weight })
}
