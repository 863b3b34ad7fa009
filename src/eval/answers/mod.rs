//! What is answered to each row, whoever answers: the model of this process, the whole pipeline, or a service.
//!
//! All three come out as one [`Answer`], so that the same figures can be taken of them, and are the same where the same
//! model answers.

use crate::classifier::{DecisionRule, Problem};
use crate::dispatch::{DepartmentRole, LOCAL};
use crate::request::{Field, RequestText};
use crate::terms::{CATEGORY_HEAD, DEPARTMENT_HEAD, RISKS_HEAD};

mod channel;
mod model;
mod pipeline;
mod service;

pub use channel::Channel;
pub use model::ModelAnswers;
pub use pipeline::PipelineAnswers;
pub use service::{Service, ServiceError};

use super::question::Question;
use crate::error::Error;

/// How many texts are handed to the classifier at a time.
const BATCH_TEXTS: usize = 64;
/// From this probability on a label of a list holds, where rules have a say.
const HOLDS: f32 = 0.5;

/// What was answered to one row.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Answer {
    /// Calibrated probabilities of the question's labels.
    pub probabilities: Vec<f32>,
    /// The labels that hold, by their places.
    pub decided: Vec<usize>,
    /// What the whole pipeline did with the row; none where the model alone was asked.
    pub dispatch: Option<Dispatch>,
    /// The words that the answer rests on, if that was asked for and can be told.
    pub evidence: Vec<EvidenceWords>,
}

/// What the whole pipeline did with a row.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dispatch {
    /// Whether a machine may dispatch it alone.
    pub accepted: bool,
    /// Ids of the departments that should help.
    pub supporting: Vec<String>,
}

/// Words of a request that an answer rests on.
#[derive(Debug, Clone, PartialEq)]
pub struct EvidenceWords {
    /// The field that they stand in.
    pub field: Field,
    /// First character.
    pub start: usize,
    /// Character after the last.
    pub end: usize,
    /// How much they added, above 0.
    pub weight: f32,
}

/// Why rows have no answer.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// The model of this process failed.
    #[error(transparent)]
    Model(#[from] Error),
    /// The service did not answer as it should.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// An answer without the head that was asked.
    #[error("the answer says nothing of head `{head}`")]
    NoScores {
        /// The head.
        head: String,
    },
}

/// Answers rows.
pub trait Answers {
    /// Answers texts in their order, as the question asks; `seen` is told of each number of texts that are done. With
    /// `explain` answers tell the words that they rest on.
    ///
    /// # Errors
    /// If there is no answer to one of them.
    fn answers(
        &self,
        question: &Question,
        texts: &[RequestText],
        explain: bool,
        seen: &mut dyn FnMut(usize),
    ) -> Result<Vec<Answer>, AnswerError>;
}

/// What the whole pipeline said of a row, whether here or at a service.
struct Said<'a> {
    /// Probabilities of the head's labels, and those that hold by its own rule.
    scores: Option<(&'a [f32], Vec<usize>)>,
    /// The units that should act.
    units: Vec<Unit<'a>>,
    risks: Vec<&'a str>,
    accepted: bool,
    evidence: Vec<EvidenceWords>,
}

/// A unit that should act.
struct Unit<'a> {
    id: &'a str,
    role: DepartmentRole,
    probability: f32,
}

impl Said<'_> {
    /// What was said, as an answer to the question.
    fn answer(self, question: &Question, channel: Channel) -> Result<Answer, AnswerError> {
        let by_rules =
            channel != Channel::Model && [DEPARTMENT_HEAD, RISKS_HEAD].contains(&question.head.as_str());
        let (probabilities, decided) = if by_rules {
            let probabilities = self.probabilities(question);
            let lead = self.lead(question).map(|lead| vec![lead]);
            let decided = lead.unwrap_or_else(|| rule(question.problem).decide(&probabilities));
            (probabilities, decided)
        } else {
            let none = || AnswerError::NoScores { head: question.head.clone() };
            let (probabilities, decided) = self.scores.ok_or_else(none)?;
            question.read(probabilities, decided)
        };
        let supporting = || {
            let helps = |unit: &&Unit<'_>| unit.role == DepartmentRole::Supporting;
            self.units.iter().filter(helps).map(|unit| unit.id.to_owned()).collect()
        };
        let dispatch =
            (channel == Channel::All).then(|| Dispatch { accepted: self.accepted, supporting: supporting() });
        Ok(Answer { probabilities, decided, dispatch, evidence: self.evidence })
    }

    /// The label of the unit that leads, whatever its probability: a rule or a policy may have named it. A unit that is no
    /// department is that of an area.
    fn lead(&self, question: &Question) -> Option<usize> {
        let lead = self.units.iter().find(|unit| unit.role == DepartmentRole::Lead);
        let lead = lead.filter(|_| question.head == DEPARTMENT_HEAD)?;
        question.labels.id(lead.id).or_else(|| question.labels.id(LOCAL))
    }

    /// What was said of departments or risks, as probabilities of a head's labels. A label of `risks` has 1 or 0. Where
    /// nobody is suggested to lead, the request is left to [`LOCAL`].
    fn probabilities(&self, question: &Question) -> Vec<f32> {
        let nobody = self.units.iter().all(|unit| unit.role != DepartmentRole::Lead);
        let probability = |label: &str| {
            if question.head == RISKS_HEAD {
                return if self.risks.contains(&label) { 1.0 } else { 0.0 };
            }
            if nobody && label == LOCAL {
                return 1.0;
            }
            // Where the area is known, its unit stands for the label, be it the lead or not.
            let is_of_area = |unit: &Unit<'_>| {
                unit.role == DepartmentRole::Territorial || question.labels.id(unit.id).is_none()
            };
            let stands_for = |unit: &&Unit<'_>| unit.id == label || label == LOCAL && is_of_area(unit);
            self.units.iter().find(stands_for).map_or(0.0, |unit| unit.probability)
        };
        question.labels.iter().map(probability).collect()
    }
}

/// Which labels hold where rules have had a say.
fn rule(problem: Problem) -> DecisionRule {
    match problem {
        Problem::SingleLabelClassification => DecisionRule::MostProbable,
        Problem::MultiLabelClassification => DecisionRule::Every { threshold: HOLDS },
    }
}

/// Whether the answers to a head can tell the words that they rest on.
fn is_explained(head: &str) -> bool {
    [CATEGORY_HEAD, DEPARTMENT_HEAD].contains(&head)
}
