//! Whether model B is better than model A on the same rows, and what citizens would notice of it.
//!
//! [`compare`] takes what both answered. Every figure comes with the interval of its difference by a paired bootstrap, as
//! `metrics` has it: both models see the same resamples, within the gold labels (for a head whose labels do not exclude
//! each other, within the numbers of gold labels: none, one, more). McNemar's test does not resample, and people are told
//! where it disagrees.
//!
//! `problems` turns answers into problems; `text` is what people read, `cells` how its numbers are written. Reading files
//! is left to `predictions`.

mod cells;
mod problems;
mod text;

use std::cmp::Reverse;
use std::collections::HashMap;

use serde::Serialize;

use crate::eval::metrics::{Difference, LabelFigures, McNemar, Resamples, Weights, differences, mcnemar};
use crate::eval::predictions::changes::{Change, LabelChanges};
use crate::eval::predictions::{Header, Labels, PairError, Predictions, changes, pair};

use problems::Problems;

/// How many rows of each kind of change are named.
const EXAMPLES: usize = 20;

/// How two models differ on the same rows. Differences are B less A.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The model to be replaced, say.
    pub a: System,
    /// The model to take its place.
    pub b: System,
    /// The head whose answers were compared.
    pub head: String,
    /// The number of rows.
    pub rows: usize,
    /// The seed of the resamples.
    pub seed: u64,
    /// How often rows were resampled.
    pub resamples: usize,
    /// The figures; the first, accuracy or exact match, decides which model is better.
    pub figures: Vec<ComparedFigure>,
    /// Whether as many rows are right, A first. A row with several labels is right if all of them are.
    pub mcnemar: McNemar,
    /// The labels that occur, those with the most lost rows first, then those with the most gained ones.
    pub labels: Vec<ComparedLabel>,
    /// How many rows A has wrong and B right.
    pub gained_rows: usize,
    /// How many rows A has right and B wrong.
    pub lost_rows: usize,
    /// How many rows both have wrong, each in its own way.
    pub changed_rows: usize,
    /// Rows that A has wrong and B right: the 20 that B was surest of, as in the next two.
    pub gained: Vec<Example>,
    /// Rows that A has right and B wrong.
    pub lost: Vec<Example>,
    /// Rows that both have wrong, each in its own way.
    pub changed: Vec<Example>,
}

/// Which model, and what it knew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct System {
    /// The model.
    pub model: String,
    /// Which state of the model.
    pub model_revision: String,
    /// Which state of the taxonomy.
    pub taxonomy_version: String,
    /// Which state of the directory.
    pub directory_version: String,
    /// Who answered: the model alone, rules, or both.
    pub channel: String,
}

/// A figure of both models.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ComparedFigure {
    /// What programs call it: its name in `metrics`.
    pub id: &'static str,
    /// What people call it.
    pub name: &'static str,
    /// Whether more is better.
    pub higher_is_better: bool,
    /// The figure of A; `None` if the rows leave it undefined.
    pub a: Option<f64>,
    /// The figure of B.
    pub b: Option<f64>,
    /// B less A.
    pub difference: Difference,
}

/// A label in the answers of both models.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ComparedLabel {
    /// The label.
    pub label: String,
    /// Rows that have it.
    pub support: u64,
    /// F1 of A, 0..=1.
    pub f1_a: f64,
    /// F1 of B, 0..=1.
    pub f1_b: f64,
    /// B less A.
    pub difference: Difference,
    /// Of the rows that have it, how many A has wrong and B right.
    pub gained: usize,
    /// Of the rows that have it, how many A has right and B wrong.
    pub lost: usize,
    /// Of the rows that have it, how many both have wrong, each in its own way.
    pub changed: usize,
}

/// A row that the models decided differently.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Example {
    /// What the row is called where it comes from.
    pub id: String,
    /// What is right.
    pub gold: Labels,
    /// What A decided.
    pub a: Labels,
    /// What B decided.
    pub b: Labels,
    /// How sure B was of what it decided, 0..=1.
    pub confidence: f32,
}

/// Compares the answers of two models to the same rows, in the order of A's. The same seed gives the same result.
///
/// ```
/// use jiesu::eval::comparison::compare;
/// use jiesu::eval::predictions::{Header, Labels, Prediction, Predictions, input_digest};
///
/// let answers = |revision: &str, decided: &str, probabilities: [f32; 2]| {
///     let header = Header {
///         model: "default".into(),
///         model_revision: revision.into(),
///         taxonomy_version: "3".into(),
///         directory_version: "7".into(),
///         channel: "model".into(),
///         head: "category".into(),
///         labels: vec!["housing".into(), "transport".into()],
///     };
///     let row = |id: u32| Prediction {
///         id: id.to_string(),
///         digest: input_digest("", &format!("楼上漏水 {id}")),
///         gold: Labels::One("housing".into()),
///         probabilities: probabilities.into(),
///         decided: Labels::One(decided.into()),
///     };
///     Predictions::new(header, (0..30).map(row).collect())
/// };
/// let (a, b) = (answers("1", "transport", [0.4, 0.6])?, answers("2", "housing", [0.7, 0.3])?);
/// let comparison = compare(&a, &b, 1000, 42)?;
/// assert_eq!(comparison.figures[0].difference.value, Some(1.0));
/// assert!(comparison.to_string().starts_with("B is better: accuracy +1.000"));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If the two are not of the same head, labels, rows and gold labels.
pub fn compare(
    a: &Predictions,
    b: &Predictions,
    resamples: usize,
    seed: u64,
) -> Result<Comparison, PairError> {
    let pairs = pair(a, b)?;
    let problems = Problems::new(a, b, &pairs);
    let draws = Resamples::new(&problems.strata, resamples, seed);
    let differences = differences(&draws, |weights| problems.differences(weights));
    let decisions = pairs.decisions(a, b);
    let right_a: Vec<bool> = decisions.iter().map(|decision| decision.a == decision.gold).collect();
    let right_b: Vec<bool> = decisions.iter().map(|decision| decision.b == decision.gold).collect();
    let changes = changes(&decisions, EXAMPLES);
    let examples = |change: &Change| {
        let example = |row: &usize| Example {
            id: a.rows()[pairs.rows[*row].0].id.clone(),
            gold: decisions[*row].gold.clone(),
            a: decisions[*row].a.clone(),
            b: decisions[*row].b.clone(),
            confidence: decisions[*row].confidence,
        };
        change.examples.iter().map(example).collect()
    };
    let (figures, labels) = figures(&problems, &differences, &changes.labels);
    Ok(Comparison {
        a: System::new(a.header()),
        b: System::new(b.header()),
        head: a.header().head.clone(),
        rows: decisions.len(),
        seed,
        resamples,
        figures,
        mcnemar: mcnemar(&right_a, &right_b),
        labels,
        gained_rows: changes.gained.rows,
        lost_rows: changes.lost.rows,
        changed_rows: changes.changed.rows,
        gained: examples(&changes.gained),
        lost: examples(&changes.lost),
        changed: examples(&changes.changed),
    })
}

/// Brings the figures of the two models, the differences of both kinds and the changes of labels together.
fn figures(
    problems: &Problems,
    differences: &[Difference],
    changes: &[LabelChanges],
) -> (Vec<ComparedFigure>, Vec<ComparedLabel>) {
    let ones = Weights::ones(problems.strata.len());
    let (figures_a, labels_a) = problems.a.figures(&ones);
    let (figures_b, labels_b) = problems.b.figures(&ones);
    let (of_figures, of_labels) = differences.split_at(figures_a.len());
    let defined = |value: f64| Some(value).filter(|value| !value.is_nan());
    let figures = figures_a.into_iter().zip(figures_b).zip(of_figures).map(|((a, b), difference)| {
        let (a_value, b_value) = (defined(a.value), defined(b.value));
        let (id, name, higher_is_better) = (a.id, a.name, a.higher_is_better);
        ComparedFigure { id, name, higher_is_better, a: a_value, b: b_value, difference: *difference }
    });

    let changes: HashMap<&str, &LabelChanges> =
        changes.iter().map(|changes| (changes.label.as_str(), changes)).collect();
    let occurs = |label: &LabelFigures<f64>| label.counts.support + label.counts.predicted > 0;
    let mut labels: Vec<ComparedLabel> = labels_a
        .iter()
        .zip(&labels_b)
        .zip(of_labels)
        .filter(|((a, b), _)| occurs(a) || occurs(b))
        .map(|((a, b), difference)| {
            let label = &problems.labels[a.label];
            let rows = changes.get(label.as_str());
            ComparedLabel {
                label: label.clone(),
                support: a.counts.support,
                f1_a: a.f1,
                f1_b: b.f1,
                difference: *difference,
                gained: rows.map_or(0, |rows| rows.gained),
                lost: rows.map_or(0, |rows| rows.lost),
                changed: rows.map_or(0, |rows| rows.changed),
            }
        })
        .collect();
    labels.sort_by_key(|label| Reverse((label.lost, label.gained, label.changed)));
    (figures.collect(), labels)
}

impl System {
    fn new(header: &Header) -> Self {
        Self {
            model: header.model.clone(),
            model_revision: header.model_revision.clone(),
            taxonomy_version: header.taxonomy_version.clone(),
            directory_version: header.directory_version.clone(),
            channel: header.channel.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
