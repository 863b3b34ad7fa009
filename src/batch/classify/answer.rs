//! The answer to a row, and its columns.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BooleanArray, Float32Array, StringArray, StructArray, UInt32Array};
use datafusion::arrow::datatypes::{DataType, Field, Fields};

use super::Answered;
use crate::assessment::{Assessment, DecisionAction, Label};
use crate::dispatch::{DepartmentRole, DepartmentSuggestion};

/// What stands between several ids in a cell.
const SEPARATOR: &str = "; ";
/// The note of a row whose area the directory does not know.
pub(in crate::batch) const UNKNOWN_AREA: &str = "area_unknown";

/// What is kept of an assessment: a row's cells.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::batch) struct Answer {
    pub(in crate::batch) category: Option<Label>,
    kind: Option<Label>,
    urgency: Option<Label>,
    risks: Option<String>,
    groups: Option<String>,
    area: Option<String>,
    lead: Option<DepartmentSuggestion>,
    supporting: Option<String>,
    territorial: Option<String>,
    whistle: bool,
    time_limit_hours: Option<u32>,
    rules: Option<String>,
    accepted: bool,
    decision_reasons: Option<String>,
    notes: Option<String>,
    model: String,
    taxonomy_version: String,
    directory_version: String,
    risk_rules_version: String,
}

impl From<Assessment> for Answer {
    fn from(from: Assessment) -> Self {
        let in_role = |role| from.departments.iter().filter(move |unit| unit.role == role);
        let ids = |role| joined(in_role(role).map(|unit| unit.id.as_str()));
        Self {
            risks: joined(from.risks.iter().map(|label| label.id.as_str())),
            groups: joined(from.groups.iter().map(|label| label.id.as_str())),
            area: from.area.as_ref().map(|area| area.id.clone()),
            lead: in_role(DepartmentRole::Lead).next().cloned(),
            supporting: ids(DepartmentRole::Supporting),
            territorial: ids(DepartmentRole::Territorial),
            whistle: from.whistle,
            time_limit_hours: from.time_limit.map(|limit| (limit.as_secs() / 3600) as u32),
            rules: joined(from.rules.iter().map(|rule| rule.id.as_str())),
            accepted: from.decision.action == DecisionAction::Accept,
            decision_reasons: joined(from.decision.reasons.iter().map(|reason| reason.code)),
            notes: joined(from.degradations.iter().map(|missing| missing.name())),
            model: format!("{}@{}", from.model, from.model_revision),
            taxonomy_version: from.taxonomy_version,
            directory_version: from.directory_version,
            risk_rules_version: from.risk_rules_version,
            category: from.category,
            kind: from.kind,
            urgency: from.urgency,
        }
    }
}

impl Answer {
    /// The answer where the directory does not know the row's area.
    pub(super) fn with_unknown_area(mut self) -> Self {
        self.notes = joined([Some(UNKNOWN_AREA), self.notes.as_deref()].into_iter().flatten());
        self
    }

    /// About what it takes in memory.
    pub(super) fn bytes(&self) -> u32 {
        let texts = COLUMNS.iter().map(|(_, values)| match values {
            Values::Text(of) => of(self).map_or(0, str::len),
            Values::Share(_) | Values::Whole(_) | Values::Flag(_) => 0,
        });
        (size_of::<Self>() + texts.sum::<usize>() + 256) as u32
    }
}

fn joined<'a>(ids: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let ids: Vec<_> = ids.into_iter().collect();
    (!ids.is_empty()).then(|| ids.join(SEPARATOR))
}

/// How a column is read from an answer.
enum Values {
    Text(fn(&Answer) -> Option<&str>),
    /// A probability, 0 to 1, to four decimals.
    Share(fn(&Answer) -> Option<f32>),
    Whole(fn(&Answer) -> Option<u32>),
    Flag(fn(&Answer) -> Option<bool>),
}

fn id(label: Option<&Label>) -> Option<&str> {
    label.map(|label| label.id.as_str())
}

fn probability(label: Option<&Label>) -> Option<f32> {
    label.map(|label| label.probability)
}

/// The columns of an answer, in the order of the output. The last says why a row has none.
const COLUMNS: [(&str, Values); 26] = [
    ("category", Values::Text(|a| id(a.category.as_ref()))),
    ("category_name", Values::Text(|a| a.category.as_ref().map(|label| label.name.as_str()))),
    ("category_probability", Values::Share(|a| probability(a.category.as_ref()))),
    ("kind", Values::Text(|a| id(a.kind.as_ref()))),
    ("kind_probability", Values::Share(|a| probability(a.kind.as_ref()))),
    ("urgency", Values::Text(|a| id(a.urgency.as_ref()))),
    ("risks", Values::Text(|a| a.risks.as_deref())),
    ("groups", Values::Text(|a| a.groups.as_deref())),
    ("area", Values::Text(|a| a.area.as_deref())),
    ("lead", Values::Text(|a| a.lead.as_ref().map(|unit| unit.id.as_str()))),
    ("lead_name", Values::Text(|a| a.lead.as_ref().map(|unit| unit.name.as_str()))),
    ("lead_probability", Values::Share(|a| a.lead.as_ref().map(|unit| unit.probability))),
    ("lead_reason", Values::Text(|a| a.lead.as_ref().map(|unit| unit.reason.as_str()))),
    ("supporting", Values::Text(|a| a.supporting.as_deref())),
    ("territorial", Values::Text(|a| a.territorial.as_deref())),
    ("whistle", Values::Flag(|a| Some(a.whistle))),
    ("time_limit_hours", Values::Whole(|a| a.time_limit_hours)),
    ("rules", Values::Text(|a| a.rules.as_deref())),
    ("decision", Values::Text(|a| Some(if a.accepted { "accept" } else { "review" }))),
    ("decision_reasons", Values::Text(|a| a.decision_reasons.as_deref())),
    ("notes", Values::Text(|a| a.notes.as_deref())),
    ("model", Values::Text(|a| Some(&a.model))),
    ("taxonomy_version", Values::Text(|a| Some(&a.taxonomy_version))),
    ("directory_version", Values::Text(|a| Some(&a.directory_version))),
    ("risk_rules_version", Values::Text(|a| Some(&a.risk_rules_version))),
    (PROBLEM, Values::Text(|_| None)),
];

/// The column that says why a row has no answer.
pub(in crate::batch) const PROBLEM: &str = "problem";

/// The fields of the struct that the function gives.
pub(in crate::batch) fn fields() -> Fields {
    let data_type = |values: &Values| match values {
        Values::Text(_) => DataType::Utf8,
        Values::Share(_) => DataType::Float32,
        Values::Whole(_) => DataType::UInt32,
        Values::Flag(_) => DataType::Boolean,
    };
    COLUMNS.iter().map(|(name, values)| Field::new(*name, data_type(values), true)).collect()
}

/// Whether the answer has a column of this name.
pub(in crate::batch) fn is_column(name: &str) -> bool {
    COLUMNS.iter().any(|(column, _)| *column == name)
}

/// Answers as an array of structs. A row without an answer is null in every column but `problem`.
pub(super) fn to_struct(answers: &[Answered]) -> StructArray {
    let column = |(name, values): &(&str, Values)| -> ArrayRef {
        let given = || answers.iter().map(|answer| answer.as_ref().as_ref().ok());
        if *name == PROBLEM {
            let problems = answers.iter().map(|answer| answer.as_ref().as_ref().err());
            return Arc::new(problems.collect::<StringArray>());
        }
        match values {
            Values::Text(of) => Arc::new(given().map(|answer| of(answer?)).collect::<StringArray>()),
            Values::Share(of) => {
                Arc::new(given().map(|answer| of(answer?).map(rounded)).collect::<Float32Array>())
            }
            Values::Whole(of) => Arc::new(given().map(|answer| of(answer?)).collect::<UInt32Array>()),
            Values::Flag(of) => Arc::new(given().map(|answer| of(answer?)).collect::<BooleanArray>()),
        }
    };
    StructArray::new(fields(), COLUMNS.iter().map(column).collect(), None)
}

fn rounded(share: f32) -> f32 {
    (share * 1e4).round() / 1e4
}
