//! What a city owns: the taxonomy, the directory and the risk rules that its answers refer to, loaded together.

use std::path::PathBuf;
use std::sync::Arc;

use crate::dispatch::Directory;
use crate::error::{Error, Result};
use crate::risk::RiskRules;
use crate::taxonomy::Taxonomy;

/// The data of a city, which belong together: a directory speaks of the categories of its taxonomy.
#[derive(Debug, Clone)]
pub struct City {
    /// What labels mean.
    pub taxonomy: Arc<Taxonomy>,
    /// Who acts.
    pub directory: Arc<Directory>,
    /// Which words mean danger.
    pub risk_rules: Arc<RiskRules>,
}

/// Where a city's files are; what is not named is built in.
#[derive(Debug, Clone, Default)]
pub struct CityFiles {
    /// The taxonomy.
    pub taxonomy: Option<PathBuf>,
    /// The directory.
    pub directory: Option<PathBuf>,
    /// The risk rules.
    pub risk_rules: Option<PathBuf>,
}

impl City {
    /// What ships with the program.
    pub fn built_in() -> Self {
        Self {
            taxonomy: Taxonomy::built_in(),
            directory: Directory::built_in(),
            risk_rules: RiskRules::built_in(),
        }
    }

    /// Reads a city's files.
    ///
    /// # Errors
    /// If a file cannot be read or does not hold together, by itself or with the taxonomy.
    pub fn load(files: &CityFiles) -> Result<Self> {
        let taxonomy = files.load_taxonomy()?;
        let directory = files.load_directory(&taxonomy)?;
        let known = |id: &str| taxonomy.risks.iter().any(|risk| risk.id == id);
        let risk_rules = match &files.risk_rules {
            Some(file) => Arc::new(RiskRules::load(file, known)?),
            None => RiskRules::built_in_for(known),
        };
        Ok(Self { taxonomy, directory, risk_rules })
    }
}

impl CityFiles {
    /// Reads the taxonomy alone.
    ///
    /// # Errors
    /// If the file cannot be read or does not hold together.
    pub fn load_taxonomy(&self) -> Result<Arc<Taxonomy>> {
        Ok(match &self.taxonomy {
            Some(file) => Arc::new(Taxonomy::load(file)?),
            None => Taxonomy::built_in(),
        })
    }

    /// Reads the directory alone, for the categories of a taxonomy.
    ///
    /// # Errors
    /// If the file cannot be read or does not hold together, or the built-in one does not fit the taxonomy.
    pub fn load_directory(&self, taxonomy: &Taxonomy) -> Result<Arc<Directory>> {
        Ok(match &self.directory {
            Some(file) => Arc::new(Directory::load(file, taxonomy)?),
            None => Arc::new(Directory::built_in_for(taxonomy).map_err(Error::BuiltInDirectory)?),
        })
    }
}
