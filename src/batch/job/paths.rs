//! The files and folders of a job.

use std::io;
use std::path::{Path, PathBuf};

use super::{BatchError, Existing};
use crate::batch::manifest::Manifest;

/// The files that a job writes.
#[derive(Debug, Clone)]
pub struct Paths {
    pub(super) output: PathBuf,
    /// Rows that were rejected.
    pub rejects: PathBuf,
    /// What the job was and did.
    pub(super) summary: PathBuf,
    /// Finished parts.
    pub(super) parts: PathBuf,
    /// Copies of what came from an object store; a folder in that of the parts.
    pub copies: PathBuf,
}

impl Paths {
    /// The files of a job that writes to `output`.
    pub fn of(output: &Path) -> Self {
        let beside = |ending: &str| {
            let mut path = output.as_os_str().to_owned();
            path.push(ending);
            PathBuf::from(path)
        };
        let parts = beside(".parts");
        Self {
            rejects: beside(".rejects.jsonl"),
            summary: beside(".summary.json"),
            copies: parts.join("inputs"),
            parts,
            output: output.to_owned(),
        }
    }

    /// Refuses to touch what is there, unless that is wanted.
    ///
    /// # Errors
    /// If there is an output, or a run that did not end.
    pub fn check(&self, existing: Existing) -> Result<(), BatchError> {
        if existing == Existing::Refuse && self.output.exists() {
            return Err(BatchError::Exists { output: self.output.clone() });
        }
        if existing == Existing::Refuse && Manifest::is_in(&self.parts) {
            return Err(BatchError::Unfinished { folder: self.parts.clone() });
        }
        Ok(())
    }

    /// Whether a file is one that the job writes.
    pub fn writes(&self, file: &Path) -> bool {
        [&self.output, &self.rejects, &self.summary].into_iter().any(|own| same(own, file))
    }

    /// Whether a file is one of them, or lies in the folder of the parts.
    pub fn is_own(&self, file: &Path) -> bool {
        self.writes(file) || file.ancestors().any(|folder| same(folder, &self.parts))
    }

    /// Removes what only a run that is not finished needs.
    pub(super) fn remove_work(&self) -> Result<(), BatchError> {
        gone(&self.parts, std::fs::remove_dir_all(&self.parts))
    }

    /// Removes the rejects of an earlier run.
    pub(super) fn remove_rejects(&self) -> Result<(), BatchError> {
        gone(&self.rejects, std::fs::remove_file(&self.rejects))
    }
}

/// What was never there is as good as removed.
fn gone(path: &Path, removed: io::Result<()>) -> Result<(), BatchError> {
    match removed {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(BatchError::Io { path: path.to_owned(), source })
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn same(a: &Path, b: &Path) -> bool {
    a == b || matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}
