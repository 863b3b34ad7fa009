//! Which model and which city's files to use: arguments that several commands share.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::city::CityFiles;
use crate::encoder::Precision;
use crate::registry::ModelSource;

/// Which model and which city's files to use.
#[derive(Debug, Clone, Args)]
pub struct ModelArgs {
    /// Model: `built-in`, a folder, or `hf://owner/name@revision` on a Hugging Face hub.
    #[arg(long, value_name = "SOURCE", default_value_t, env = "JIESU_MODEL")]
    pub model: ModelSource,

    /// Numbers that the encoder computes in: 8-bit integers are about twice as fast as floats.
    #[arg(long, value_enum, value_name = "NUMBERS", default_value_t, env = "JIESU_QUANTIZE")]
    pub quantize: Quantize,

    /// The city's files.
    #[command(flatten)]
    pub city: CityArgs,
}

/// Which files of a city to use.
#[derive(Debug, Clone, Args)]
pub struct CityArgs {
    /// Taxonomy file (TOML) in place of the built-in one.
    #[arg(long, value_name = "FILE", env = "JIESU_TAXONOMY")]
    pub taxonomy: Option<PathBuf>,

    /// Directory file (TOML) of departments, areas and rules in place of the built-in one.
    #[arg(long, value_name = "FILE", env = "JIESU_DIRECTORY")]
    pub directory: Option<PathBuf>,

    /// Risk rules file (TOML) in place of the built-in one; with `extends = "built_in"` it adds to it.
    #[arg(long, value_name = "FILE", env = "JIESU_RISK_RULES")]
    pub risk_rules: Option<PathBuf>,
}

impl CityArgs {
    /// Where the files are.
    pub fn files(&self) -> CityFiles {
        let Self { taxonomy, directory, risk_rules } = self.clone();
        CityFiles { taxonomy, directory, risk_rules }
    }
}

/// Numbers that the encoder computes in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Quantize {
    /// 32-bit floats.
    None,
    /// 8-bit integers.
    #[default]
    Int8,
}

impl From<Quantize> for Precision {
    fn from(quantize: Quantize) -> Self {
        match quantize {
            Quantize::None => Self::F32,
            Quantize::Int8 => Self::Int8,
        }
    }
}
