//! Which model, taxonomy and directory to use: arguments that several commands share.

use std::path::PathBuf;

use clap::Args;

use crate::registry::ModelSource;

/// Which model, taxonomy and directory to use.
#[derive(Debug, Clone, Args)]
pub struct ModelArgs {
    /// Model: `built-in`, a folder, or `hf://owner/name@revision` on a Hugging Face hub.
    #[arg(long, value_name = "SOURCE", default_value_t, env = "JIESU_MODEL")]
    pub model: ModelSource,

    /// Taxonomy file (TOML) in place of the built-in one.
    #[arg(long, value_name = "FILE", env = "JIESU_TAXONOMY")]
    pub taxonomy: Option<PathBuf>,

    /// Directory file (TOML) of departments and areas in place of the built-in one.
    #[arg(long, value_name = "FILE", env = "JIESU_DIRECTORY")]
    pub directory: Option<PathBuf>,
}
