//! Which model, taxonomy and directory to use: arguments that several commands share.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::encoder::Precision;
use crate::registry::ModelSource;

/// Which model, taxonomy and directory to use.
#[derive(Debug, Clone, Args)]
pub struct ModelArgs {
    /// Model: `built-in`, a folder, or `hf://owner/name@revision` on a Hugging Face hub.
    #[arg(long, value_name = "SOURCE", default_value_t, env = "JIESU_MODEL")]
    pub model: ModelSource,

    /// Numbers that the encoder computes in: 8-bit integers are about twice as fast as floats.
    #[arg(long, value_enum, value_name = "NUMBERS", default_value_t, env = "JIESU_QUANTIZE")]
    pub quantize: Quantize,

    /// Taxonomy file (TOML) in place of the built-in one.
    #[arg(long, value_name = "FILE", env = "JIESU_TAXONOMY")]
    pub taxonomy: Option<PathBuf>,

    /// Directory file (TOML) of departments and areas in place of the built-in one.
    #[arg(long, value_name = "FILE", env = "JIESU_DIRECTORY")]
    pub directory: Option<PathBuf>,
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
