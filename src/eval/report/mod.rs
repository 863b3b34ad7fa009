//! What a report says: the schema of `report.json`.
//!
//! The version goes up when a field changes its meaning or goes away; a field may be added without that. All numbers are
//! finite: a figure that cannot be told is left out. [`ReportData::check`] holds these rules.

use serde::{Deserialize, Serialize};

mod check;
#[cfg(test)]
pub(in crate::eval) mod sample;
mod told;

pub use check::ReportError;

/// The version of the schema that this program writes and reads.
pub const SCHEMA_VERSION: u32 = 1;

/// One evaluation. Every list may be empty and every optional field absent: the page then leaves the section out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReportData {
    /// The version of this schema, [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// What was evaluated, on what and by what.
    pub what: WhatWasEvaluated,
    /// The figures that sum the evaluation up, in the order to show within each group.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub figures: Vec<Figure>,
    /// The bounds that the figures had to keep, if there were any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<GateResult>,
    /// Figures of each label.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<LabelFigures>,
    /// Labels of the rows that the head does not have, the most frequent first. Their rows count as wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown_labels: Vec<UnknownLabel>,
    /// Which labels were taken for which; absent where a row may have several labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confusion_matrix: Option<ConfusionMatrix>,
    /// How often answers of some confidence are right, by rising confidence; bins without rows are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reliability: Vec<ReliabilityBin>,
    /// How risk grows with the share of rows that are answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk_coverage: Option<RiskCoverage>,
    /// Parts of the rows, the worst first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slices: Vec<Slice>,
    /// Wrong answers worth reading, the most instructive first; 50 at most are meant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<WorkedError>,
    /// Rows whose given label is doubtful, the most doubtful first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub label_noise: Vec<LabelNoise>,
    /// Texts that occur more than once with different labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub duplicates: Vec<Duplicate>,
}

/// What was evaluated, on what and by what: enough to do it again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WhatWasEvaluated {
    /// The head that was evaluated.
    pub head: String,
    /// The label system that the answers were read in, if it is not the head's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_system: Option<String>,
    /// Who answered, if not the model alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// The service that answered, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The files with the rows, in the order they were read.
    pub files: Vec<String>,
    /// How many rows were evaluated.
    pub rows: u64,
    /// How many more rows were left out since they have no label.
    pub rows_without_label: u64,
    /// The model.
    pub model: String,
    /// Which state of the model.
    pub model_revision: String,
    /// The numbers that the model computed with, `f32` or `int8`; a service does not tell them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<String>,
    /// Which state of the taxonomy.
    pub taxonomy_version: String,
    /// Which state of the directory of departments, if it mattered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory_version: Option<String>,
    /// The version of the program that evaluated.
    pub program_version: String,
    /// The seed of the resampling.
    pub seed: u64,
    /// How many bootstrap resamples the intervals rest on.
    pub resamples: u64,
    /// The level of every interval, in (0, 1): 0.95 for 95 %.
    pub confidence_level: f64,
    /// When the report was made, RFC 3339.
    pub created: String,
}

/// A figure and its interval. An interval has both ends or none, and need not hold the value (a bootstrap is skewed).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The figure, from all rows.
    pub value: f64,
    /// The lower end of the interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low: Option<f64>,
    /// The upper end of the interval, at least `low`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
}

impl Estimate {
    /// Both ends, if there is an interval.
    pub fn interval(self) -> Option<(f64, f64)> {
        self.low.zip(self.high)
    }
}

/// One of the figures that sum the evaluation up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// What machines call it: `macro_f1`.
    pub id: String,
    /// The figures that it stands among.
    pub group: FigureGroup,
    /// Its English name.
    pub name: String,
    /// Its Chinese name.
    pub name_zh: String,
    /// Value and interval.
    #[serde(flatten)]
    pub estimate: Estimate,
    /// How many rows it was counted on; all rows if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// Whether more of it is better.
    pub better: Better,
    /// What it says, in a sentence or two.
    pub explanation: String,
}

/// What a figure is about. The page shows the groups in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FigureGroup {
    /// Whether the answers are right.
    Classification,
    /// Whether the right label stands high among the answers.
    Ranking,
    /// Whether confidences mean what they say.
    Calibration,
    /// What is gained by leaving doubtful rows to people.
    Selective,
    /// Sets of labels that hold the right one with a promised probability.
    Conformal,
    /// Whether the suggested departments are the right ones.
    Departments,
    /// Whether rows that matter are flagged.
    Risks,
}

impl FigureGroup {
    /// Every group, in the order to show.
    pub const ALL: [Self; 7] = [
        Self::Classification,
        Self::Ranking,
        Self::Calibration,
        Self::Selective,
        Self::Conformal,
        Self::Departments,
        Self::Risks,
    ];
}

/// Which way a figure gets better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// More is better, as with accuracy.
    Higher,
    /// Less is better, as with a calibration error.
    Lower,
    /// It is a part of others, and says by itself nothing of the model.
    Neither,
}

/// A bound, and whether the figure kept it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GateResult {
    /// The `id` of the figure.
    pub figure: String,
    /// The label that the figure is of, if it is of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The slice that the bound is for, as `column = value`; all rows if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slice: Option<String>,
    /// What the figure must reach: `at least 0.82`, `at most 0.05`.
    pub bound: String,
    /// The number that was held against it: `low`, `value` or `high`.
    pub of: String,
    /// That number; absent if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged: Option<f64>,
    /// What came of it.
    pub outcome: GateOutcome,
    /// Why it cannot be judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What came of a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateOutcome {
    /// There is no such figure, or the bound does not fit it.
    CannotJudge,
    /// The figure does not keep the bound.
    Missed,
    /// There are fewer rows than the bound asks for.
    TooFewRows,
    /// The figure keeps the bound.
    Met,
}

/// Figures of one label.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelFigures {
    /// The label as the model has it.
    pub id: String,
    /// Its name, most often Chinese.
    pub name: String,
    /// Its English name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_en: Option<String>,
    /// Rows that have the label.
    pub support: u64,
    /// Rows that were given the label.
    pub predicted: u64,
    /// Share of the rows given the label that have it.
    pub precision: Estimate,
    /// Share of the rows with the label that were given it.
    pub recall: Estimate,
    /// Harmonic mean of precision and recall.
    pub f1: Estimate,
    /// How well its probability ranks rows; where labels do not exclude each other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub average_precision: Option<Estimate>,
}

/// A label of the rows that the head does not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnknownLabel {
    /// The label as it stands in the file.
    pub label: String,
    /// How many rows have it.
    pub rows: u64,
}

/// How many rows of each label were given which label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfusionMatrix {
    /// The labels' names, in the order of rows and columns.
    pub labels: Vec<String>,
    /// `counts[gold][predicted]`: a square as wide as there are labels.
    pub counts: Vec<Vec<u64>>,
}

/// Answers of about one confidence.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityBin {
    /// Their mean confidence, 0 to 1.
    pub confidence: f64,
    /// The share of them that is right.
    pub accuracy: f64,
    /// The lower end of the interval of `accuracy`.
    pub low: f64,
    /// The upper end of the interval of `accuracy`.
    pub high: f64,
    /// How many they are, at least one.
    pub count: u64,
}

/// Risk against coverage when the rows of least confidence are left to people (Geifman and El-Yaniv, 2017).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RiskCoverage {
    /// The curve, by rising coverage.
    pub points: Vec<RiskCoveragePoint>,
    /// The area under the curve: mean risk over all coverages, 0 to 1, less is better.
    pub aurc: f64,
    /// How far the model gets at precisions that an office may ask for, by rising precision.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub marks: Vec<PrecisionMark>,
}

/// A point of the curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RiskCoveragePoint {
    /// Share of the rows that are answered, those of most confidence, 0 to 1.
    pub coverage: f64,
    /// Share of wrong answers among them, 0 to 1.
    pub risk: f64,
}

/// How much can be answered if so many answers must be right.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PrecisionMark {
    /// The precision that is asked for: 0.90, 0.95, 0.98.
    pub precision: f64,
    /// The largest coverage that keeps it; absent if none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage: Option<f64>,
    /// The confidence to ask of an answer for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
}

/// Rows that share a value of a column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    /// The column.
    pub column: String,
    /// The value that the rows share.
    pub value: String,
    /// How many rows.
    pub rows: u64,
    /// Share of right answers.
    pub accuracy: Estimate,
    /// Mean F1 over the labels that occur.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub macro_f1: Option<Estimate>,
    /// Whether the rows are too few to conclude from.
    pub small: bool,
}

/// A wrong answer worth reading.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkedError {
    /// The row's id.
    pub id: String,
    /// The title of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The text of the request.
    pub text: String,
    /// The words that the answer rests on, in the order of the text, without overlap.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spans: Vec<Span>,
    /// The name of the right label.
    pub gold: String,
    /// The name of the label that was given.
    pub predicted: String,
    /// The probability of the label that was given, 0 to 1.
    pub probability: f64,
    /// The probability of the right label, 0 to 1.
    pub gold_probability: f64,
    /// Why it is worth reading.
    pub reason: String,
}

/// Words of a text, and how much an answer rests on them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Span {
    /// The first character, counted from 0 in Unicode scalar values.
    pub start: usize,
    /// One past the last character.
    pub end: usize,
    /// How much the answer rests on them: 1 for the words that speak most for it, below 0 if they speak against it.
    pub weight: f64,
}

/// A row whose label is doubtful.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelNoise {
    /// The row's id.
    pub id: String,
    /// The text of the request.
    pub text: String,
    /// The name of the label that the row has.
    pub given: String,
    /// The name of the label that it may have to have.
    pub suggested: String,
    /// How doubtful the given label is, 0 to 1.
    pub score: f64,
}

/// A text that occurs with different labels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Duplicate {
    /// The text.
    pub text: String,
    /// Its labels, two at least.
    pub labels: Vec<DuplicateLabel>,
}

/// A label of a text that has several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DuplicateLabel {
    /// The name of the label.
    pub label: String,
    /// How many rows have it.
    pub rows: u64,
    /// The ids of the first 20 of them.
    pub ids: Vec<String>,
}
