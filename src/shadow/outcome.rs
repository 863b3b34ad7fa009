//! What of an answer is compared.

use crate::assessment::{Assessment, DecisionAction};
use crate::dispatch::DepartmentRole;
use crate::pipeline::CitizenRequest;
use crate::records::TextDigest;
use crate::request::Field;

/// What an answer decides, by ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outcome {
    category: String,
    urgency: String,
    lead: String,
    action: &'static str,
}

impl Outcome {
    pub(super) fn of(answer: &Assessment) -> Self {
        let id = |label: &Option<crate::assessment::Label>| {
            label.as_ref().map(|label| label.id.clone()).unwrap_or_default()
        };
        let lead = answer.departments.iter().find(|unit| unit.role == DepartmentRole::Lead);
        Self {
            category: id(&answer.category),
            urgency: id(&answer.urgency),
            lead: lead.map(|unit| unit.id.clone()).unwrap_or_default(),
            action: match answer.decision.action {
                DecisionAction::Accept => "accept",
                DecisionAction::Review => "review",
            },
        }
    }

    /// What differs: its name, what was answered, and what would have been.
    pub(super) fn differences<'a>(&'a self, other: &'a Self) -> Vec<(&'static str, &'a str, &'a str)> {
        let both = [
            ("category", self.category.as_str(), other.category.as_str()),
            ("urgency", &self.urgency, &other.urgency),
            ("lead", &self.lead, &other.lead),
            ("decision", self.action, other.action),
        ];
        both.into_iter().filter(|(_, answered, shadow)| answered != shadow).collect()
    }
}

/// The digest of a request's words, as the log of decisions has it.
pub(super) fn digest(request: &CitizenRequest) -> TextDigest {
    TextDigest::of(request.text.original(Field::Title), request.text.original(Field::Text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_each_difference_with_both_answers() {
        let answered = Outcome {
            category: "transport".to_owned(),
            urgency: "normal".to_owned(),
            lead: "transport".to_owned(),
            action: "accept",
        };
        assert!(answered.differences(&answered.clone()).is_empty());
        let shadow = Outcome { lead: "housing".to_owned(), action: "review", ..answered.clone() };
        let expected = [("lead", "transport", "housing"), ("decision", "accept", "review")];
        assert_eq!(answered.differences(&shadow), expected);
    }
}
