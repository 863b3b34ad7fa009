//! The answer to one request, as every command gives it. Serialised, it has the names and the shape of the protocol's
//! message `Assessment`.

use serde::Serialize;

use crate::dispatch::{DepartmentRole, DepartmentSuggestion};
use crate::request::Field;

/// What was found out about one request.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Assessment {
    /// The most probable category.
    pub category: Label,
    /// All categories, most probable first.
    pub categories: Vec<Label>,
    /// How the request is meant, if the model has that head.
    pub kind: Option<Label>,
    /// How pressing it is, if the model has that head.
    pub urgency: Option<Label>,
    /// The risks that it shows.
    pub risks: Vec<Label>,
    /// The vulnerable groups that it speaks of.
    pub groups: Vec<Label>,
    /// Whether a machine may dispatch it alone.
    pub decision: Decision,
    /// Who should act: lead, supporting, territorial.
    pub departments: Vec<DepartmentSuggestion>,
    /// The words that carried the category.
    pub evidence: Vec<Evidence>,
    /// Name of the model.
    pub model: String,
    /// Commit or digest of the model.
    pub model_revision: String,
    /// Version of the taxonomy.
    pub taxonomy_version: String,
    /// Version of the directory.
    pub directory_version: String,
    /// The area that the caller named.
    pub area: Option<AreaReference>,
    /// What was missing when the answer was made; empty in a full answer.
    pub degradations: Vec<String>,
}

/// A label with its calibrated probability.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Label {
    /// Stable id.
    pub id: String,
    /// Chinese name.
    pub name: String,
    /// English name.
    pub name_en: String,
    /// Calibrated probability, 0 to 1.
    pub probability: f32,
}

/// Whether a machine may act alone, and why.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Decision {
    /// The decision.
    pub action: DecisionAction,
    /// Why; at least one.
    pub reasons: Vec<DecisionReason>,
    /// Calibrated probability of the top category.
    pub confidence: f32,
    /// Least confidence that would have been accepted, if the model is certified.
    pub threshold: Option<f32>,
    /// Precision that the threshold is certified for, if the model is certified.
    pub certified_precision: Option<f64>,
}

/// Whether a machine may act alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DecisionAction {
    /// A machine may dispatch the request alone (自动派单).
    Accept,
    /// A person should look at it (人工复核).
    Review,
}

/// One reason of a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DecisionReason {
    /// Stable code.
    pub code: &'static str,
    /// The reason for people.
    pub message: String,
}

/// A span of the citizen's own words.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evidence {
    /// The field that the span lies in.
    pub field: Field,
    /// First character.
    pub start: usize,
    /// Character after the last.
    pub end: usize,
    /// The words.
    pub text: String,
    /// How much they added to the top category's score.
    pub weight: f32,
}

/// An area by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AreaReference {
    /// Stable id.
    pub id: String,
    /// Chinese name.
    pub name: String,
}

impl Assessment {
    /// Keeps the `categories` most probable categories and the `departments` first functional departments; the
    /// territorial unit always stays.
    #[must_use]
    pub fn with_counts(mut self, categories: usize, departments: usize) -> Self {
        self.categories.truncate(categories);
        let mut functional = 0;
        self.departments.retain(|department| {
            functional += usize::from(department.role != DepartmentRole::Territorial);
            department.role == DepartmentRole::Territorial || functional <= departments
        });
        self
    }
}
