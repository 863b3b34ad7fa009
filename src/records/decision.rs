//! A decision of the service, as an auditor wants to see it: all that led to it but the citizen's words.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// The SHA-256 of a request's title, a line break and its text, which tells whether a decision was on these words
/// without keeping them.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TextDigest(pub(super) [u8; 32]);

impl TextDigest {
    /// The digest of a title and a text, as the caller sent them.
    pub fn of(title: &str, text: &str) -> Self {
        let digest = Sha256::new_with_prefix(title).chain_update("\n").chain_update(text);
        Self(digest.finalize().into())
    }
}

impl fmt::Display for TextDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for TextDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TextDigest({self})")
    }
}

impl Serialize for TextDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Whether a suggestion may be followed without a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It may.
    Accept,
    /// An operator should look.
    Review,
}

impl Action {
    /// The action's id, which stays the same.
    pub fn id(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Review => "review",
        }
    }

    /// The action with this id.
    pub fn from_id(id: &str) -> Option<Self> {
        [Self::Accept, Self::Review].into_iter().find(|action| action.id() == id)
    }
}

/// What a decision was made with.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DecisionVersions {
    /// The model.
    pub model: String,
    /// Its revision, where it has one.
    pub model_revision: Option<String>,
    /// The version of the taxonomy.
    pub taxonomy: String,
    /// The version of the directory.
    pub directory: String,
    /// The version of the risk rules, where there are some.
    pub risk_rules: Option<String>,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// The category.
    pub category: String,
    /// The lead department (主办).
    pub lead: String,
    /// The supporting departments (协办).
    pub supporting: Vec<String>,
    /// The territorial unit (属地), where one was suggested.
    pub territorial: Option<String>,
    /// What to do with it.
    pub action: Action,
}

/// One decision of the service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// The request. The same one may be asked about several times.
    pub request_id: String,
    /// When it came in, in milliseconds since 1970.
    pub received_at: i64,
    /// The digest of its words; the words themselves have no place here.
    pub digest: TextDigest,
    /// What the decision was made with.
    pub versions: DecisionVersions,
    /// What was decided.
    pub outcome: Outcome,
    /// Why, as codes: words might quote the text.
    pub reasons: Vec<String>,
    /// The dispatch rules that fired.
    pub rules: Vec<String>,
    /// The risks that were alarmed.
    pub risk_alarms: Vec<String>,
    /// What the service had to do without.
    pub degradations: Vec<String>,
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A decision on a burst pipe.
    pub(in crate::records) fn burst_pipe(request_id: &str, received_at: i64) -> Decision {
        let words = |words: &str| words.to_owned();
        Decision {
            request_id: words(request_id),
            received_at,
            digest: TextDigest([7; 32]),
            versions: DecisionVersions {
                model: words("tiny"),
                model_revision: Some(words("r2")),
                taxonomy: words("3"),
                directory: words("5"),
                risk_rules: None,
            },
            outcome: Outcome {
                category: words("water"),
                lead: words("water_bureau"),
                supporting: vec![words("emergency")],
                territorial: Some(words("east_street")),
                action: Action::Review,
            },
            reasons: vec![words("low_confidence")],
            rules: vec![words("water_first"), words("area")],
            risk_alarms: vec![words("safety")],
            degradations: vec![],
        }
    }

    #[test]
    fn digests_are_shown_as_hexadecimal_digits() {
        let mut bytes = [0xa5; 32];
        bytes[..3].copy_from_slice(&[0x00, 0xff, 0x10]);
        assert_eq!(TextDigest(bytes).to_string(), "00ff10".to_owned() + &"a5".repeat(29));
    }

    #[test]
    fn actions_are_found_by_their_ids() {
        for action in [Action::Accept, Action::Review] {
            assert_eq!(Action::from_id(action.id()), Some(action));
        }
        assert_eq!(Action::from_id("shrug"), None);
    }
}
