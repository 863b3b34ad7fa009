//! Who answers: the model alone, rules alone, or both together as the service does.
//!
//! Rules speak of departments and risks only. What they say is brought into the form of a head's probabilities, so that
//! the same figures can be taken of it.

use std::sync::Arc;

use crate::assessment::{Assessment, Degradation};
use crate::classifier::HeadConfig;
use crate::dispatch::{DepartmentRole, DepartmentSuggestion, DispatchInput, LOCAL, suggest};
use crate::encoder::Threads;
use crate::error::Result;
use crate::pipeline::{Assess, CitizenRequest, Pipeline};
use crate::request::{Field, RequestText};
use crate::terms::{DEPARTMENT_HEAD, RISKS_HEAD};

/// Functional departments that count: more than are ever ranked.
const DEPARTMENTS: usize = 20;

/// A channel other than the model alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// Rules without a model, as when it is missing.
    Rules,
    /// The directory's rules and assignments, by the category that the model sees, without what it has learned of
    /// departments.
    Directory,
    /// Everything together, as the service answers.
    All,
}

impl Channel {
    /// The channel's name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rules => "rules",
            Self::Directory => "directory",
            Self::All => "all",
        }
    }

    /// Whether the channel says anything of this head.
    pub fn speaks_of(self, head: &str) -> bool {
        match self {
            Self::Rules | Self::All => [DEPARTMENT_HEAD, RISKS_HEAD].contains(&head),
            Self::Directory => head == DEPARTMENT_HEAD,
        }
    }

    /// What the channel says of each text, as probabilities of a head's labels. A label of `risks` has 1 or 0. Where nobody
    /// is suggested to lead, the request is left to [`LOCAL`].
    ///
    /// # Errors
    /// If the model fails.
    pub fn probabilities(
        self,
        pipeline: &Arc<Pipeline>,
        head: &HeadConfig,
        texts: &[RequestText],
    ) -> Result<Vec<Vec<f32>>> {
        let request = |text: &RequestText| {
            Ok(pipeline.request(text.original(Field::Title), text.original(Field::Text), "")?)
        };
        let requests: Vec<CitizenRequest> = texts.iter().map(request).collect::<Result<_>>()?;
        let mut answers = match self {
            Self::Rules => pipeline.by_rules(&requests, Degradation::ModelMissing),
            Self::Directory | Self::All => pipeline.assess(&requests, Threads::All)?,
        };
        if self == Self::Directory {
            for (request, answer) in requests.iter().zip(&mut answers) {
                forget_learned_departments(pipeline, request, answer);
            }
        }
        Ok(answers.iter().map(|answer| probabilities(pipeline, head, answer)).collect())
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

fn probabilities(pipeline: &Pipeline, head: &HeadConfig, answer: &Assessment) -> Vec<f32> {
    let nobody = answer.departments.iter().all(|unit| unit.role != DepartmentRole::Lead);
    let probability = |label: &str| {
        let Some(meaning) = pipeline.terms().meaning(&head.name, label) else { return 0.0 };
        if head.name == RISKS_HEAD {
            return if answer.risks.iter().any(|risk| risk.id == meaning.id) { 1.0 } else { 0.0 };
        }
        if nobody && meaning.id == LOCAL {
            return 1.0;
        }
        // Where the area is known, its unit stands for the label.
        let stands_for = |unit: &&DepartmentSuggestion| {
            unit.id == meaning.id || meaning.id == LOCAL && unit.role == DepartmentRole::Territorial
        };
        let unit = answer.departments.iter().find(stands_for);
        unit.map_or(0.0, |unit| unit.probability)
    };
    head.labels.iter().map(probability).collect()
}
