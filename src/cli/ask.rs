//! What is asked of rows with known labels: arguments that `jiesu evaluate` and `jiesu compare` share.

use clap::{Args, ValueEnum, builder::RangedU64ValueParser};

use crate::eval::Bootstrap;
use crate::eval::answers::Channel;
use crate::eval::rows::Columns;

/// What is asked, and which columns hold what.
#[derive(Debug, Clone, Args)]
pub struct AskArgs {
    /// Column of the citizens' words.
    #[arg(long, value_name = "COLUMN", default_value = "text")]
    pub text_column: String,

    /// Column of the titles [default: `title`, if there is one].
    #[arg(long, value_name = "COLUMN")]
    pub title_column: Option<String>,

    /// Column of the ids [default: `id`, if there is one]; without an id a row is known by its place.
    #[arg(long, value_name = "COLUMN")]
    pub id_column: Option<String>,

    /// Head to evaluate: category, kind, urgency, department, or another that the model has; needed if it has several.
    #[arg(long, value_name = "NAME")]
    pub head: Option<String>,

    /// Read the categories as labels of this label system, such as `petition7`.
    #[arg(long, value_name = "ID")]
    pub label_system: Option<String>,

    /// Who answers: the model's head alone, rules, or the whole pipeline as the service answers.
    #[arg(long, value_enum, value_name = "CHANNEL", default_value_t)]
    pub by: By,
}

impl AskArgs {
    /// The columns, the labels in this one.
    pub fn columns(&self, label: &str) -> Columns {
        Columns {
            text: self.text_column.clone(),
            title: self.title_column.clone(),
            id: self.id_column.clone(),
            label: label.to_owned(),
            supporting: None,
            slices: Vec::new(),
        }
    }
}

/// How intervals come about.
#[derive(Debug, Clone, Copy, Args)]
pub struct BootstrapArgs {
    /// How many resamples intervals rest on.
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = RangedU64ValueParser::<u64>::new().range(100..=100_000))]
    pub resamples: u64,

    /// What the resamples are drawn by: the same seed gives the same intervals.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
}

impl From<BootstrapArgs> for Bootstrap {
    fn from(BootstrapArgs { resamples, seed }: BootstrapArgs) -> Self {
        Self { resamples: resamples as usize, seed }
    }
}

/// Who answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum By {
    /// The model's head alone.
    #[default]
    Model,
    /// Rules without a model, as when it is missing; for departments and risks.
    Rules,
    /// The directory's rules and assignments by the model's category, without its department head; for departments.
    Directory,
    /// Model and rules together, as the service answers; what a machine may dispatch alone is measured too.
    All,
}

impl From<By> for Channel {
    fn from(by: By) -> Self {
        match by {
            By::Model => Self::Model,
            By::Rules => Self::Rules,
            By::Directory => Self::Directory,
            By::All => Self::All,
        }
    }
}
