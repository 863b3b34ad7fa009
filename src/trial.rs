//! A city's own table of examples, tried against what answers: which requests go where they should, and how often each
//! rule of the directory is right.
//!
//! A row has a `text` and may have a `title` and an `area`; what it expects stands in `lead`, `territorial`, `rule` and
//! `action`, and what is empty is not checked. The figures by rule are what a directory wants to know for the
//! `then.precision` of its rules.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use crate::assessment::{Assessment, DecisionAction};
use crate::dispatch::{DepartmentRole, Directory};
use crate::encoder::Threads;
use crate::error::Error;
use crate::pipeline::{Assess, CitizenRequest, Pipeline};
use crate::table::{Row, Table, TableError};

/// The columns that say what is expected.
const EXPECTED: [&str; 4] = ["lead", "territorial", "rule", "action"];
/// How many requests are answered at a time.
const BATCH: usize = 64;

/// How the examples went.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Trial {
    /// How many examples there are.
    pub rows: usize,
    /// Those that did not go as expected, in the order of the file.
    pub failures: Vec<Failure>,
    /// How often each rule that held for a row with a `lead` was right, by its id.
    pub rules: BTreeMap<String, RuleRecord>,
}

/// An example that did not go as expected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The number of the row, counted from 1.
    pub row: usize,
    /// The column that is not met.
    pub column: &'static str,
    /// What it says.
    pub expected: String,
    /// What the answer says instead.
    pub got: String,
}

/// How often a rule held, and its lead was the one expected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct RuleRecord {
    /// How often it held.
    pub held: usize,
    /// How often its lead was right.
    pub right: usize,
}

/// Why there is no trial.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// The table cannot be used.
    #[error(transparent)]
    Table(#[from] TableError),
    /// No row expects anything.
    #[error(
        "`{file}` expects nothing\nhint: give it one of the columns `lead`, `territorial`, `rule`, `action`"
    )]
    ExpectsNothing {
        /// The file.
        file: String,
    },
    /// The model failed.
    #[error(transparent)]
    Model(#[from] Error),
}

/// One row.
struct Example {
    request: CitizenRequest,
    expected: [Option<String>; 4],
}

/// Tries the examples in the file at `path`.
///
/// # Errors
/// If the file cannot be read, a row is at fault or names what the directory does not know, or no row expects anything;
/// all faulty rows at once.
pub fn run(pipeline: &Arc<Pipeline>, path: &Path) -> Result<Trial, TrialError> {
    let table = Table::read(path)?;
    table.require_columns(["text"])?;
    let examples = table.map_rows(|row| read(pipeline, row))?;
    if examples.iter().all(|example| example.expected.iter().all(Option::is_none)) {
        return Err(TrialError::ExpectsNothing { file: path.display().to_string() });
    }
    let mut trial = Trial { rows: examples.len(), failures: Vec::new(), rules: BTreeMap::new() };
    for (batch, examples) in examples.chunks(BATCH).enumerate() {
        let requests: Vec<_> = examples.iter().map(|example| example.request.clone()).collect();
        let answers = pipeline.assess(&requests, Threads::All)?;
        for ((row, example), answer) in (batch * BATCH + 1..).zip(examples).zip(&answers) {
            trial.failures.extend(failures(row, example, answer));
            trial.count_rules(pipeline.directory(), example, answer);
        }
    }
    Ok(trial)
}

fn read(pipeline: &Arc<Pipeline>, row: &Row) -> Result<Example, String> {
    let (title, text) = row.title_and_text("title", "text")?;
    let area = row.value("area")?.unwrap_or_default();
    let request = pipeline.request(title, text, &area).map_err(|error| error.to_string())?;
    let directory = pipeline.directory();
    let mut expected = [const { None }; 4];
    for (column, expected) in EXPECTED.into_iter().zip(&mut expected) {
        let Some(value) = row.value(column)?.filter(|value| !value.trim().is_empty()) else { continue };
        *expected = Some(match column {
            "rule" if directory.rules.iter().all(|rule| rule.id != value) => {
                return Err(format!("rule: `{value}` is no rule of the directory"));
            }
            "action" if !matches!(value.as_str(), "accept" | "review") => {
                return Err(format!("action: `{value}` is neither `accept` nor `review`"));
            }
            "lead" | "territorial" => unit(directory, &value)
                .ok_or_else(|| format!("{column}: `{value}` is no department or area of the directory"))?,
            _ => value,
        });
    }
    Ok(Example { request, expected })
}

/// The id of the department or the area that bears this name.
fn unit(directory: &Directory, name: &str) -> Option<String> {
    let department = directory.department_by_label(name).map(|department| department.id.clone());
    department.or_else(|| match directory.areas_called(name).as_slice() {
        [area] => Some(area.id.clone()),
        _ => None,
    })
}

fn failures(row: usize, example: &Example, answer: &Assessment) -> Vec<Failure> {
    let with_role =
        |role| answer.departments.iter().find(|unit| unit.role == role).map(|unit| unit.id.clone());
    let rules = || answer.rules.iter().map(|rule| rule.id.as_str()).collect::<Vec<_>>();
    let expected = EXPECTED.into_iter().zip(&example.expected);
    let failure = |(column, expected): (&'static str, &Option<String>)| {
        let expected = expected.clone()?;
        let got = match column {
            "lead" => with_role(DepartmentRole::Lead).unwrap_or_default(),
            "territorial" => with_role(DepartmentRole::Territorial).unwrap_or_default(),
            "action" => match answer.decision.action {
                DecisionAction::Accept => "accept".to_owned(),
                DecisionAction::Review => "review".to_owned(),
            },
            _ if rules().contains(&expected.as_str()) => expected.clone(),
            _ => rules().join(", "),
        };
        (got != expected).then_some(Failure { row, column, expected, got })
    };
    expected.filter_map(failure).collect()
}

impl Trial {
    fn count_rules(&mut self, directory: &Directory, example: &Example, answer: &Assessment) {
        let [Some(lead), ..] = &example.expected else { return };
        for fired in &answer.rules {
            let rule = directory.rules.iter().find(|rule| rule.id == fired.id);
            let Some(named) = rule.and_then(|rule| rule.then.lead.as_ref()) else { continue };
            let record = self.rules.entry(fired.id.clone()).or_default();
            record.held += 1;
            record.right += usize::from(named == lead);
        }
    }
}
