//! The values of labels.

/// What became of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It has an answer.
    Answered,
    /// It was refused: the text, its area or a number of its request is at fault.
    Invalid,
    /// It was refused for load.
    Overloaded,
    /// Its caller's deadline passed.
    Expired,
    /// Its caller went before there was an answer.
    Cancelled,
    /// The service failed.
    Failed,
}

impl Outcome {
    pub(super) const ALL: [Self; 6] =
        [Self::Answered, Self::Invalid, Self::Overloaded, Self::Expired, Self::Cancelled, Self::Failed];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Invalid => "invalid",
            Self::Overloaded => "overloaded",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        }
    }
}

/// What became of a text that a shadow model was to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compared {
    /// It answered as the model in use did.
    Same,
    /// It answered otherwise.
    Different,
    /// It had no time.
    Dropped,
    /// It failed.
    Failed,
}

impl Compared {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Same, Self::Different, Self::Dropped, Self::Failed];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Different => "different",
            Self::Dropped => "dropped",
            Self::Failed => "failed",
        }
    }
}

/// Why a queued text never reached the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// Its deadline passed.
    Expired,
    /// Its caller went.
    Cancelled,
}

impl Skip {
    pub(super) const ALL: [Self; 2] = [Self::Expired, Self::Cancelled];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Why a call can be refused at the door.
pub(super) const DENIALS: [&str; 6] =
    ["no_key", "unknown_key", "expired_key", "wrong_scope", "too_fast", "too_many"];
/// What can be read again.
pub(super) const RELOADS: [&str; 4] = ["pipeline", "shadow", "keys", "certificates"];
/// What a shadow model can answer otherwise.
pub(super) const DIFFERENCES: [&str; 4] = ["category", "urgency", "lead", "decision"];
/// How a model can do.
pub(super) const MODEL_STATES: [&str; 4] = ["works", "files_missing", "failed", "missing"];
