//! From rows and their answers to a report.

use super::answers::{Answer, Channel, EvidenceWords};
use super::doubtful::{duplicates, label_noise, masked};
use super::errors::{WrongAnswer, worth_reading};
use super::figures::{Bootstrap, Measured, Measuring};
use super::gold::Gold;
use super::metrics::ProblemError;
use super::predictions::{Header, InvalidRow, Labels, Prediction, Predictions, input_digest};
use super::problem::{EvaluatedProblem, are_distributions};
use super::question::Question;
use super::report::{ReportData, SCHEMA_VERSION, Span, WhatWasEvaluated, WorkedError};
use super::rows::LabelledRows;
use super::slices::slices;
use crate::classifier::Problem;
use crate::request::{Field, RequestText};
use crate::taxonomy::Taxonomy;

/// Rows with their labels and what was answered to them.
#[derive(Debug)]
pub struct Evaluation<'a> {
    question: &'a Question,
    rows: &'a LabelledRows,
    gold: &'a Gold,
    answers: &'a [Answer],
    problem: EvaluatedProblem,
    /// Ids of the question's labels, then those that it does not have.
    labels: Vec<String>,
    wrong: Vec<WrongAnswer>,
}

impl<'a> Evaluation<'a> {
    /// Joins them.
    ///
    /// # Errors
    /// If the answers are not of these rows, or have another shape than the question.
    pub fn new(
        question: &'a Question,
        rows: &'a LabelledRows,
        gold: &'a Gold,
        answers: &'a [Answer],
    ) -> Result<Self, ProblemError> {
        let problem = EvaluatedProblem::new(question, gold, answers)?;
        let unknown = gold.unknown.iter().map(|unknown| unknown.label.as_str());
        let labels = question.labels.iter().chain(unknown).map(str::to_owned).collect();
        let mut evaluation = Self { question, rows, gold, answers, problem, labels, wrong: Vec::new() };
        let names = |labels: &[usize]| evaluation.names(labels);
        evaluation.wrong = worth_reading(&evaluation.problem, question, answers, &names);
        Ok(evaluation)
    }

    /// The rows of the wrong answers that the report tells: their evidence is wanted.
    pub fn rows_of_errors(&self) -> Vec<usize> {
        self.wrong.iter().map(|wrong| wrong.row).collect()
    }

    /// What is to be reported. `evidence` is of [`rows_of_errors`](Self::rows_of_errors), in their order; without it none
    /// is marked. `columns` are what rows are sliced by.
    pub fn report(
        &self,
        what: WhatWasEvaluated,
        (taxonomy, columns): (&Taxonomy, &[String]),
        evidence: &[Answer],
        bootstrap: Bootstrap,
    ) -> ReportData {
        let measuring = Measuring {
            question: self.question,
            labels: &self.labels,
            answers: self.answers,
            supporting: self.rows.supporting(),
            taxonomy,
            bootstrap,
        };
        let Measured { figures, labels, confusion_matrix, reliability, risk_coverage } =
            measuring.measure(&self.problem);
        let of_column = |(place, column): (usize, &String)| {
            slices(&self.problem, column, self.rows.slice_values(place), bootstrap)
        };
        ReportData {
            schema_version: SCHEMA_VERSION,
            what,
            figures,
            gates: Vec::new(),
            labels,
            unknown_labels: self.gold.most_frequent_unknown(),
            confusion_matrix,
            reliability,
            risk_coverage,
            slices: columns.iter().enumerate().flat_map(of_column).collect(),
            errors: self.worked_errors(evidence),
            label_noise: match &self.problem {
                EvaluatedProblem::Single(problem) if are_distributions(self.answers) => {
                    label_noise(problem, self.rows, |label| self.names(&[label]))
                }
                EvaluatedProblem::Single(_) | EvaluatedProblem::Multi(_) => Vec::new(),
            },
            duplicates: duplicates(self.rows, self.gold, |labels| self.names(labels)),
        }
    }

    /// What was answered to each row, without its words, to be compared with another model's answers.
    ///
    /// # Errors
    /// If a row is not as the file has it.
    pub fn predictions(&self, what: &WhatWasEvaluated) -> Result<Predictions, InvalidRow> {
        let header = Header {
            model: what.model.clone(),
            model_revision: what.model_revision.clone(),
            taxonomy_version: what.taxonomy_version.clone(),
            directory_version: what.directory_version.clone().unwrap_or_default(),
            channel: what.channel.clone().unwrap_or_else(|| Channel::Model.name().to_owned()),
            head: what.head.clone(),
            labels: self.question.labels.iter().map(str::to_owned).collect(),
        };
        let row = |(row, answer): (usize, &Answer)| {
            let text = &self.rows.texts()[row];
            Prediction {
                id: self.rows.ids()[row].clone(),
                digest: input_digest(text.original(Field::Title), text.original(Field::Text)),
                gold: self.ids(&self.gold.rows[row]),
                probabilities: answer.probabilities.clone(),
                decided: self.ids(&answer.decided),
            }
        };
        Predictions::new(header, self.answers.iter().enumerate().map(row).collect())
    }

    fn ids(&self, labels: &[usize]) -> Labels {
        let ids = labels.iter().map(|label| self.labels[*label].clone());
        match self.question.problem {
            Problem::SingleLabelClassification => Labels::One(ids.collect()),
            Problem::MultiLabelClassification => Labels::Many(ids.collect()),
        }
    }

    /// Names of labels for people.
    fn names(&self, labels: &[usize]) -> String {
        if labels.is_empty() {
            return "–".to_owned();
        }
        let name = |label: &usize| {
            self.question.name(*label).map_or(&self.labels[*label], |name| &name.name).as_str()
        };
        labels.iter().map(name).collect::<Vec<_>>().join("、")
    }

    fn worked_errors(&self, evidence: &[Answer]) -> Vec<WorkedError> {
        let worked = |(place, wrong): (usize, &WrongAnswer)| {
            let (row, text) = (wrong.row, &self.rows.texts()[wrong.row]);
            let title = text.masked(Field::Title);
            WorkedError {
                id: self.rows.ids()[row].clone(),
                title: (!title.trim().is_empty()).then_some(title),
                text: masked(text),
                spans: evidence.get(place).map_or_else(Vec::new, |answer| spans(&answer.evidence, text)),
                gold: self.names(&self.gold.rows[row]),
                predicted: self.names(&self.answers[row].decided),
                probability: wrong.probability,
                gold_probability: wrong.gold_probability,
                reason: wrong.reason.clone(),
            }
        };
        self.wrong.iter().enumerate().map(worked).collect()
    }
}

/// The words in the text that an answer rests on, in their order; 1 for those that count most.
fn spans(evidence: &[EvidenceWords], text: &RequestText) -> Vec<Span> {
    let chars = text.original(Field::Text).chars().count();
    let strongest = evidence.iter().map(|words| words.weight).fold(0.0, f32::max);
    let mut words: Vec<&EvidenceWords> = evidence.iter().filter(|words| words.field == Field::Text).collect();
    words.sort_by_key(|words| words.start);
    let mut spans: Vec<Span> = Vec::new();
    for EvidenceWords { start, end, weight, .. } in words {
        // A service may be of another mind about what a character is.
        let is_within = start < end && *end <= chars && strongest > 0.0;
        if is_within && spans.last().is_none_or(|before| before.end <= *start) {
            spans.push(Span { start: *start, end: *end, weight: f64::from(weight / strongest) });
        }
    }
    spans
}
