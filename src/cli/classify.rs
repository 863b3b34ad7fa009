//! Arguments of `jiesu classify`.

use clap::{Args, builder::RangedU64ValueParser};

use super::model::ModelArgs;

/// Arguments of `jiesu classify`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  jiesu classify \"小区物业乱收停车费，业委会也不管\"
  jiesu classify --area 朝阳区 --json < requests.txt

Exit status: 0 all texts were answered, 1 some were refused, 2 nothing could be done.")]
pub struct ClassifyArgs {
    /// Texts; without any, each line of standard input is one.
    #[arg(value_name = "TEXT")]
    pub texts: Vec<String>,

    /// Title of the request.
    #[arg(long, default_value = "")]
    pub title: String,

    /// Where it is about: id, name or alias of an area of the directory.
    #[arg(long, default_value = "")]
    pub area: String,

    /// How many categories and functional departments to show.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = RangedU64ValueParser::<usize>::new().range(1..=20))]
    pub top_k: usize,

    /// Add the words with personal data masked, as `masked_title` and `masked_text`.
    #[arg(long, requires = "json")]
    pub mask: bool,

    /// Print one JSON object a line.
    #[arg(long)]
    pub json: bool,

    /// Which model and which city's files to use.
    #[command(flatten)]
    pub model: ModelArgs,
}
