//! What answers are made with: every row names it, and a job holds to one.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::city::CityFiles;
use crate::pipeline::Pipeline;
use crate::rows::{self, ReadError};

/// Digits of a file's digest that tell two versions of it apart.
const DIGEST_DIGITS: usize = 12;

/// The model, the taxonomy, the directory and the risk rules, each by its version.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Stamp {
    /// Name and revision, as `default@573c1a457c44`.
    pub model: String,
    /// Numbers that the encoder computes in.
    pub precision: String,
    /// Version of the taxonomy; of one from a file, with the file's digest, since people forget to raise versions.
    pub taxonomy: String,
    /// Version of the directory, likewise.
    pub directory: String,
    /// Version of the risk rules, likewise.
    pub risk_rules: String,
}

impl Stamp {
    /// What a pipeline answers with, whose city was loaded from `files`.
    ///
    /// # Errors
    /// If a file can no longer be read.
    pub fn new(pipeline: &Pipeline, files: &CityFiles) -> Result<Self, ReadError> {
        let model = pipeline.model();
        Ok(Self {
            model: model.map(|model| format!("{}@{}", model.name(), model.revision())).unwrap_or_default(),
            precision: model.map(|model| model.precision().name().to_owned()).unwrap_or_default(),
            taxonomy: versioned(&pipeline.taxonomy().version, files.taxonomy.as_deref())?,
            directory: versioned(&pipeline.directory().version, files.directory.as_deref())?,
            risk_rules: versioned(&pipeline.city().risk_rules.version, files.risk_rules.as_deref())?,
        })
    }
}

fn versioned(version: &str, file: Option<&Path>) -> Result<String, ReadError> {
    let Some(file) = file else { return Ok(version.to_owned()) };
    let digest = rows::digest(file)?;
    Ok(format!("{version} ({})", &digest[..DIGEST_DIGITS]))
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { model, precision, taxonomy, directory, risk_rules } = self;
        write!(
            f,
            "{model} in {precision}, taxonomy {taxonomy}, directory {directory}, risk rules {risk_rules}"
        )
    }
}
