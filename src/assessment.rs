//! The answer to one request, as every command gives it. Serialised, it has the names and the shape of the protocol's
//! message `Assessment`.

use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::dispatch::{Area, AreaSource, DepartmentRole, DepartmentSuggestion, Leadership, Rule};
use crate::request::Field;
use crate::taxonomy::Term;

/// Most categories or departments that a caller may ask for.
pub const MAX_COUNT: usize = 20;

/// What was found out about one request.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Assessment {
    /// The most probable category; none where no model has read the request.
    pub category: Option<Label>,
    /// All categories, most probable first.
    pub categories: Vec<Label>,
    /// How the request is meant, if the model has that head.
    pub kind: Option<Label>,
    /// How pressing it is, if the model has that head.
    pub urgency: Option<Label>,
    /// The risks that it shows: those that the model sees and those that a risk rule raised an alarm for. One that only a
    /// rule sees has the model's probability, or 0 without a model.
    pub risks: Vec<Label>,
    /// The vulnerable groups that it speaks of.
    pub groups: Vec<Label>,
    /// Whether a machine may dispatch it alone.
    pub decision: Decision,
    /// Who should act: lead, supporting, territorial.
    pub departments: Vec<DepartmentSuggestion>,
    /// The words that carried the category and the lead; empty unless asked for.
    pub evidence: Vec<Evidence>,
    /// Name of the model.
    pub model: String,
    /// Commit or digest of the model.
    pub model_revision: String,
    /// Version of the taxonomy.
    pub taxonomy_version: String,
    /// Version of the directory.
    pub directory_version: String,
    /// Where it is about, if that is known; where several places are named, the smallest that holds them.
    pub area: Option<AreaReference>,
    /// What was missing when the answer was made; empty in a full answer.
    pub degradations: Vec<Degradation>,
    /// The areas that may be meant, where that is not clear.
    pub area_candidates: Vec<AreaReference>,
    /// Which of functional department and territorial unit leads.
    pub leadership: Leadership,
    /// Whether several departments must act together (吹哨).
    pub whistle: bool,
    /// How long the lead has, if the directory says so.
    #[serde(serialize_with = "as_seconds")]
    pub time_limit: Option<Duration>,
    /// The rules of the directory that hold, in the order in which they count.
    pub rules: Vec<FiredRule>,
    /// The words that risk rules raised an alarm at.
    pub risk_alarms: Vec<RiskAlarm>,
    /// Version of the risk rules.
    pub risk_rules_version: String,
    /// The title with personal data masked, if that was asked for.
    pub masked_title: String,
    /// The words with personal data masked, character for character, if that was asked for.
    pub masked_text: String,
    /// What the city should know, for people.
    pub warnings: Vec<String>,
    /// What each head says of all its labels; empty unless asked for.
    pub heads: Vec<HeadScores>,
}

/// What a head of the model says of all its labels, before rules and the directory have a say.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HeadScores {
    /// The head's name.
    pub head: String,
    /// Calibrated probabilities in the order of the head's labels.
    pub probabilities: Vec<f32>,
    /// The labels that hold, as places among them.
    pub decided: Vec<usize>,
}

/// What was missing when an answer was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Degradation {
    /// No model could be loaded: rules alone answered.
    ModelMissing,
    /// The model failed: rules alone answered.
    ModelFailed,
    /// The model answered from memory, but its files are gone: a restart would find none.
    ModelFilesMissing,
}

impl Degradation {
    /// Its name in the protocol.
    pub fn name(self) -> &'static str {
        match self {
            Self::ModelMissing => "model_missing",
            Self::ModelFailed => "model_failed",
            Self::ModelFilesMissing => "model_files_missing",
        }
    }
}

/// A rule of the directory that holds for the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FiredRule {
    /// Stable id.
    pub id: String,
    /// Id of the clause of the city's catalogue (派单目录) behind it; empty where there is none.
    pub clause_id: String,
    /// What the clause says.
    pub clause: String,
}

impl From<&Rule> for FiredRule {
    fn from(rule: &Rule) -> Self {
        let (clause_id, clause) = rule
            .then
            .clause
            .as_ref()
            .map(|clause| (clause.id.clone(), clause.text.clone()))
            .unwrap_or_default();
        Self { id: rule.id.clone(), clause_id, clause }
    }
}

/// Words that a risk rule raised an alarm at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RiskAlarm {
    /// The risk's id.
    pub risk: String,
    /// The rule's id.
    pub rule: String,
    /// The field that the words stand in.
    pub field: Field,
    /// First character.
    pub start: usize,
    /// Character after the last.
    pub end: usize,
    /// The words.
    pub text: String,
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

impl Label {
    /// A term of the taxonomy with its probability.
    pub fn new(term: &Term, probability: f32) -> Self {
        Self { id: term.id.clone(), name: term.name.clone(), name_en: term.name_en.clone(), probability }
    }
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
    /// How much they added to the score of what they carried.
    pub weight: f32,
    /// What they carried.
    pub target: EvidenceTarget,
}

/// What a span of evidence carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EvidenceTarget {
    /// The most probable category.
    Category,
    /// The department that the model finds likeliest to lead.
    Lead,
}

/// An area by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AreaReference {
    /// Stable id.
    pub id: String,
    /// Chinese name.
    pub name: String,
    /// How it was found.
    pub source: AreaSource,
}

impl AreaReference {
    /// An area and how it was found.
    pub fn new(area: &Area, source: AreaSource) -> Self {
        Self { id: area.id.clone(), name: area.name.clone(), source }
    }
}

/// As the protocol's JSON form has it: `86400s`.
#[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
fn as_seconds<S: Serializer>(span: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    span.map(|span| format!("{}s", span.as_secs())).serialize(serializer)
}

impl Assessment {
    /// Keeps the `categories` most probable categories and the `departments` first functional departments; the
    /// territorial unit always stays.
    #[must_use]
    pub fn with_counts(mut self, categories: usize, departments: usize) -> Self {
        self.categories.truncate(categories);
        // A territorial unit that leads is none of them.
        let departments = departments + usize::from(self.leadership == Leadership::Territorial);
        let mut functional = 0;
        self.departments.retain(|department| {
            functional += usize::from(department.role != DepartmentRole::Territorial);
            department.role == DepartmentRole::Territorial || functional <= departments
        });
        self
    }
}
