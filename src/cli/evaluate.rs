//! Arguments of `jiesu evaluate`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::model::ModelArgs;
use crate::eval::Channel;

/// Arguments of `jiesu evaluate`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  jiesu evaluate requests.jsonl --head category --label-column category
  jiesu evaluate history.csv --text-column 诉求内容 --title-column 标题 --head department --label-column 主办单位 --json
  jiesu evaluate requests.jsonl --head department --label-column lead --by all
  jiesu evaluate petitions.jsonl --label-system petition7 --label-column label

Rows without a label are left out and counted. Labels may be ids or names of the taxonomy and the directory.")]
pub struct EvaluateArgs {
    /// Rows with known labels: JSON lines (.jsonl, .ndjson) or CSV with a header (.csv), in UTF-8.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// Column of the labels; for heads such as `risks` each holds a JSON list of labels.
    #[arg(long, value_name = "COLUMN")]
    pub label_column: String,

    /// Column of the citizens' words.
    #[arg(long, value_name = "COLUMN", default_value = "text")]
    pub text_column: String,

    /// Column of the titles [default: `title`, if there is one].
    #[arg(long, value_name = "COLUMN")]
    pub title_column: Option<String>,

    /// Head to evaluate: category, kind, urgency, department, or another that the model has; needed if it has several.
    #[arg(long, value_name = "NAME")]
    pub head: Option<String>,

    /// Read the categories as labels of this label system, such as `petition7`.
    #[arg(long, value_name = "ID")]
    pub label_system: Option<String>,

    /// Who answers: the model's head alone, or, for the heads `department` and `risks`, rules too.
    #[arg(long, value_enum, value_name = "CHANNEL", default_value_t, conflicts_with = "label_system")]
    pub by: By,

    /// Print the report as JSON.
    #[arg(long)]
    pub json: bool,

    /// Which model and which city's files to use.
    #[command(flatten)]
    pub model: ModelArgs,
}

/// Who answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum By {
    /// The model's head alone.
    #[default]
    Model,
    /// Rules without a model, as when it is missing.
    Rules,
    /// The directory's rules and assignments by the model's category, without its department head.
    Directory,
    /// Model and rules together, as the service answers.
    All,
}

impl By {
    /// The channel; none for the model alone.
    pub fn channel(self) -> Option<Channel> {
        match self {
            Self::Model => None,
            Self::Rules => Some(Channel::Rules),
            Self::Directory => Some(Channel::Directory),
            Self::All => Some(Channel::All),
        }
    }
}
