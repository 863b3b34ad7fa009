//! Arguments of `jiesu quantize`.

use std::path::PathBuf;

use clap::Args;

use crate::registry::ModelSource;

/// Arguments of `jiesu quantize`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  jiesu quantize --model models/mine --output models/mine-int8
  jiesu serve --model models/mine-int8

The output answers as the model does with `--quantize int8`, to the last bit. Only jiesu can use it,
and it cannot be trained any further: keep the original.")]
pub struct QuantizeArgs {
    /// Model: `built-in`, a folder, or `hf://owner/name@revision` on a Hugging Face hub.
    #[arg(long, value_name = "SOURCE")]
    pub model: ModelSource,

    /// Folder for the model bundle; new or empty.
    #[arg(long, value_name = "DIR")]
    pub output: PathBuf,
}
