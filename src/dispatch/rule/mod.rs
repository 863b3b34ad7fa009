//! Rules of a directory: when one holds for a request, and what it says then.
//!
//! A rule names conditions over the words and over what is known about the request; all that it names must hold. Words
//! are compared as the request's words are read: in simplified Chinese, full width and case made plain.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

mod conflict;
mod words;

pub(super) use conflict::{never_holds, prevails};
pub(super) use words::{MAX_PATTERN_BYTES, RuleWords};

/// Which part of what is known about a request a condition is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aspect {
    /// The most probable category.
    Category,
    /// How the request is meant.
    Kind,
    /// How pressing it is.
    Urgency,
    /// A risk that the model or a risk rule sees.
    Risk,
    /// A vulnerable group that it speaks of.
    Group,
    /// Who asks; see [`Requester`](crate::request::Requester).
    Requester,
}

impl Aspect {
    /// The aspect's name in a directory and in explanations.
    pub fn name(self) -> &'static str {
        match self {
            Self::Category => "category",
            Self::Kind => "kind",
            Self::Urgency => "urgency",
            Self::Risk => "risk",
            Self::Group => "group",
            Self::Requester => "requester",
        }
    }
}

/// One rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// The stable identifier, such as `gas_leak`.
    pub id: String,
    /// The line of the directory that it begins in, counted from 1.
    pub line: usize,
    /// What must hold.
    pub when: Conditions,
    /// What it says then.
    pub then: Action,
}

/// What must hold for a rule; conditions that are empty hold always.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions {
    /// At least one of these words occurs, or one of the patterns.
    pub any: Vec<String>,
    /// At least one word of each group occurs.
    pub all: Vec<Vec<String>>,
    /// None of these words occurs.
    pub none: Vec<String>,
    /// At least one of these regular expressions matches, or one of the words in `any` occurs.
    pub patterns: Vec<String>,
    /// Whether only the title is searched for words and patterns.
    pub title_only: bool,
    /// For each aspect named, one of these labels holds.
    pub labels: BTreeMap<Aspect, Vec<String>>,
    /// The request is about this area or one inside it.
    pub area: Option<String>,
}

/// What a rule says about a request for which it holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Action {
    /// The id of the department that leads (主办).
    pub lead: Option<String>,
    /// The ids of departments that support it (协办).
    pub supporting: Vec<String>,
    /// Whether the unit of the area acts too (属地).
    pub territorial: bool,
    /// Whether the departments must act together (吹哨).
    pub whistle: bool,
    /// Where several rules bind, the one with the highest priority chooses the lead; of equals, the first.
    pub priority: i32,
    /// How often the lead was right where the rule held, as the city has measured it: more than 0, less than 1. The rule
    /// is then weighed against what the model has learned. A rule without it binds.
    pub precision: Option<f32>,
    /// Time limits that differ from the directory's own.
    pub time_limits: TimeLimits,
    /// The clause of the city's catalogue (派单目录) behind the rule.
    pub clause: Option<Clause>,
}

/// How long a department has, in hours, by the ids of urgencies.
pub type TimeLimits = BTreeMap<String, u32>;

/// A clause of a city's catalogue (派单目录).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clause {
    /// Its number or id in the catalogue.
    pub id: String,
    /// What it says.
    pub text: String,
}

impl Rule {
    /// Whether its lead leads whatever the model has learned.
    pub fn binds(&self) -> bool {
        self.then.lead.is_some() && self.then.precision.is_none()
    }
}

/// What is known about one request.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The title, normalised; may be empty.
    pub title: &'a str,
    /// The words, normalised.
    pub text: &'a str,
    /// What holds for the request.
    pub labels: &'a [(Aspect, &'a str)],
    /// Ids of the area that the request is about and of those around it; empty if it is not known.
    pub areas: &'a [&'a str],
}

impl<'a> Facts<'a> {
    /// The label of this aspect that holds and is among those wanted.
    fn label_among(&self, aspect: Aspect, wanted: &[String]) -> Option<&'a str> {
        let holding = self.labels.iter().filter(|(known, _)| *known == aspect).map(|(_, label)| *label);
        holding.into_iter().find(|label| wanted.iter().any(|wanted| wanted == label))
    }
}

impl Conditions {
    /// Whether the conditions other than those of words hold.
    fn labels_hold(&self, facts: &Facts<'_>) -> bool {
        self.labels.iter().all(|(aspect, wanted)| facts.label_among(*aspect, wanted).is_some())
            && self.area.as_deref().is_none_or(|area| facts.areas.contains(&area))
    }
}
