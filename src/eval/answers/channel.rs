//! Who answers: the model alone, rules alone, or both together as the service does.

use crate::classifier::Problem;
use crate::terms::{DEPARTMENT_HEAD, RISKS_HEAD};

/// Who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// The model's head alone.
    Model,
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
            Self::Model => "model",
            Self::Rules => "rules",
            Self::Directory => "directory",
            Self::All => "all",
        }
    }

    /// Whether the channel says anything of this head.
    pub fn speaks_of(self, head: &str, problem: Problem) -> bool {
        match (self, head) {
            (Self::Model | Self::All, _) => true,
            (Self::Rules, RISKS_HEAD) => problem == Problem::MultiLabelClassification,
            (Self::Rules | Self::Directory, DEPARTMENT_HEAD) => problem == Problem::SingleLabelClassification,
            (Self::Rules | Self::Directory, _) => false,
        }
    }
}
