//! Which model, taxonomy and directory to use: arguments that several commands share.

use std::path::PathBuf;

use clap::Args;

use crate::registry::ModelSource;

/// Which model, taxonomy and directory to use.
#[derive(Debug, Clone, Args)]
pub struct ModelArgs {
    /// Model: a folder, or `hf://owner/name@revision` on a Hugging Face hub [default: the built-in model].
    #[arg(long, value_name = "SOURCE", env = "JIESU_MODEL")]
    pub model: Option<ModelSource>,

    /// Taxonomy file (TOML) in place of the built-in one.
    #[arg(long, value_name = "FILE", env = "JIESU_TAXONOMY")]
    pub taxonomy: Option<PathBuf>,

    /// Directory file (TOML) of departments and areas in place of the built-in one.
    #[arg(long, value_name = "FILE", env = "JIESU_DIRECTORY")]
    pub directory: Option<PathBuf>,
}
