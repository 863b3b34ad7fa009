//! What a finished job wrote, and whether it is still there.

use serde::{Deserialize, Serialize};

use super::Paths;
use crate::batch::manifest::JobRecord;
use crate::batch::output::Written;
use crate::batch::tally::Tally;

/// What a finished job wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// What the job was.
    pub(super) job: JobRecord,
    /// The output.
    pub output: Written,
    /// The rejects, if there are any.
    pub rejects: Option<Written>,
    /// What the rows turned into.
    pub tally: Tally,
}

impl Outcome {
    /// What the summary says.
    pub(super) fn read(paths: &Paths) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(&paths.summary).ok()?).ok()
    }

    /// What the job wrote, if it was finished and its files are still what it wrote.
    pub(super) fn of(paths: &Paths, job: &JobRecord) -> Option<Self> {
        let outcome = Self::read(paths)?;
        let whole = outcome.output.is_at(&paths.output)
            && outcome.rejects.as_ref().is_none_or(|rejects| rejects.is_at(&paths.rejects));
        (outcome.job == *job && whole).then_some(outcome)
    }
}
