//! The pipeline of this process, as the service runs it: model, rules and directory, or some of them.

use std::sync::Arc;

use super::{Answer, AnswerError, Answers, BATCH_TEXTS, Channel, EvidenceWords, Said, Unit, is_explained};
use crate::assessment::{Assessment, Degradation, Evidence, EvidenceTarget};
use crate::dispatch::{DispatchInput, suggest};
use crate::encoder::Threads;
use crate::error::Result;
use crate::eval::question::Question;
use crate::pipeline::{Assess, CitizenRequest, Pipeline};
use crate::request::{Field, RequestText};
use crate::terms::CATEGORY_HEAD;

/// Functional departments that count: more than are ever ranked.
const DEPARTMENTS: usize = 20;

/// Asks a pipeline.
#[derive(Debug)]
pub struct PipelineAnswers {
    pipeline: Arc<Pipeline>,
    channel: Channel,
}

impl PipelineAnswers {
    /// Asks a pipeline, or the part of it that `channel` is.
    pub fn new(pipeline: Arc<Pipeline>, channel: Channel) -> Self {
        Self { pipeline, channel }
    }

    fn assess(&self, texts: &[RequestText], explain: bool) -> Result<Vec<Assessment>> {
        let request = |text: &RequestText| {
            let mut request =
                self.pipeline.request(text.original(Field::Title), text.original(Field::Text), "")?;
            (request.explain, request.scores) = (explain, true);
            Ok(request)
        };
        let requests: Vec<CitizenRequest> = texts.iter().map(request).collect::<Result<_>>()?;
        let mut answers = match self.channel {
            Channel::Rules => self.pipeline.by_rules(&requests, Degradation::ModelMissing),
            Channel::Model | Channel::Directory | Channel::All => {
                self.pipeline.assess(&requests, Threads::All)?
            }
        };
        if self.channel == Channel::Directory {
            for (request, answer) in requests.iter().zip(&mut answers) {
                forget_learned_departments(&self.pipeline, request, answer);
            }
        }
        Ok(answers)
    }
}

impl Answers for PipelineAnswers {
    fn answers(
        &self,
        question: &Question,
        texts: &[RequestText],
        explain: bool,
        seen: &mut dyn FnMut(usize),
    ) -> std::result::Result<Vec<Answer>, AnswerError> {
        let mut answers = Vec::with_capacity(texts.len());
        for texts in texts.chunks(BATCH_TEXTS) {
            for assessment in self.assess(texts, explain)? {
                answers.push(said(&assessment, question).answer(question, self.channel)?);
            }
            seen(texts.len());
        }
        Ok(answers)
    }
}

fn said<'a>(answer: &'a Assessment, question: &Question) -> Said<'a> {
    let scores = answer.heads.iter().find(|scores| scores.head == question.head);
    let target = if question.head == CATEGORY_HEAD { EvidenceTarget::Category } else { EvidenceTarget::Lead };
    let evidence =
        answer.evidence.iter().filter(|span| is_explained(&question.head) && span.target == target);
    Said {
        scores: scores.map(|scores| (scores.probabilities.as_slice(), scores.decided.clone())),
        units: answer
            .departments
            .iter()
            .map(|unit| Unit { id: &unit.id, role: unit.role, probability: unit.probability })
            .collect(),
        risks: answer.risks.iter().map(|risk| risk.id.as_str()).collect(),
        accepted: answer.decision.action == crate::assessment::DecisionAction::Accept,
        evidence: evidence
            .map(|Evidence { field, start, end, weight, .. }| EvidenceWords {
                field: *field,
                start: *start,
                end: *end,
                weight: *weight,
            })
            .collect(),
    }
}

fn forget_learned_departments(pipeline: &Pipeline, request: &CitizenRequest, answer: &mut Assessment) {
    let rules: Vec<_> = pipeline.why(request, answer).into_iter().map(|(rule, _)| rule).collect();
    let categories: Vec<_> =
        answer.categories.iter().map(|label| (label.id.as_str(), label.probability)).collect();
    let input = DispatchInput {
        categories: &categories,
        rules: &rules,
        top_k: DEPARTMENTS,
        ..DispatchInput::default()
    };
    answer.departments = suggest(pipeline.directory(), &input).departments;
}
