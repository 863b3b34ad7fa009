//! What each training set teaches, and the loss of a batch of it.

use candle_core::{Result, Tensor};

use crate::classifier::{HeadConfig, Problem};
use crate::label::LabelSet;

use super::batches::Batch;
use super::bert::Pass;
use super::example::{Example, pack};
use super::loss::{self, Target};
use super::model::TrainableModel;
use super::stacking::scores_of;

/// Most that a rare positive counts for in a multi-label head.
const MAX_POSITIVE_WEIGHT: f32 = 5.0;

/// Another label system and how categories spread over its labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Crosswalk {
    /// Its labels.
    pub labels: LabelSet,
    /// For each category the shares of the labels, in their order.
    pub rows: Vec<(String, Vec<f32>)>,
}

impl Crosswalk {
    /// T turned round: for each label the shares by category, categories in the order of a head. Gives back the labels
    /// of the head that it does not know.
    pub(crate) fn by_label(&self, categories: &LabelSet) -> std::result::Result<Vec<Vec<f32>>, Vec<String>> {
        let row = |category: &str| self.rows.iter().find(|(name, _)| name == category).map(|(_, row)| row);
        let unknown: Vec<String> =
            categories.iter().filter(|category| row(category).is_none()).map(str::to_owned).collect();
        if !unknown.is_empty() {
            return Err(unknown);
        }
        Ok((0..self.labels.len())
            .map(|label| {
                categories.iter().filter_map(|category| row(category).map(|row| row[label])).collect()
            })
            .collect())
    }
}

/// How the labels of single-label heads are weighted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClassWeights {
    /// Every row counts the same.
    Equal,
    /// A label counts by the square root of how rare it is.
    SquareRoot,
}

/// What one target of an example teaches one head.
#[derive(Debug)]
enum Lesson {
    One { smoothing: f32, weights: Vec<f32> },
    Many { positive_weights: Vec<f32> },
    Crosswalk { shares: Vec<Vec<f32>> },
}

/// Which head the targets at one position teach.
#[derive(Debug)]
pub(crate) struct Objective {
    head: usize,
    weight: f64,
    lesson: Lesson,
}

/// Examples that teach the same heads.
#[derive(Debug)]
pub(crate) struct TrainingSet {
    /// In the order of the examples' targets.
    pub(crate) objectives: Vec<Objective>,
    pub(crate) examples: Vec<Example>,
    /// How often an epoch sees each example.
    pub(crate) weight: f64,
}

impl Objective {
    /// Teaches a head its own labels; weights come from how often `examples` have them at `position`.
    pub(crate) fn labels(
        head: (usize, &HeadConfig),
        weight: f64,
        (smoothing, class_weights): (f32, ClassWeights),
        (examples, position): (&[Example], usize),
    ) -> Self {
        let (head, config) = head;
        let targets = || examples.iter().map(|example| &example.targets[position]);
        let mut counts = vec![0_usize; config.labels.len()];
        for target in targets() {
            match target {
                Target::Missing => {}
                Target::One(label) => counts[*label] += 1,
                Target::Many(labels) => labels.iter().for_each(|label| counts[*label] += 1),
            }
        }
        let known = targets().filter(|target| **target != Target::Missing).count();
        let lesson = match config.problem {
            Problem::SingleLabelClassification => {
                Lesson::One { smoothing, weights: label_weights(&counts, known, class_weights) }
            }
            Problem::MultiLabelClassification => {
                let weight = |count: usize| {
                    ((known - count) as f32 / count.max(1) as f32).clamp(1.0, MAX_POSITIVE_WEIGHT)
                };
                Lesson::Many { positive_weights: counts.into_iter().map(weight).collect() }
            }
        };
        Self { head, weight, lesson }
    }

    /// Teaches a head labels of another system.
    pub(crate) fn crosswalk(head: usize, shares: Vec<Vec<f32>>) -> Self {
        Self { head, weight: 1.0, lesson: Lesson::Crosswalk { shares } }
    }
}

/// Weights whose mean over the rows is 1.
fn label_weights(counts: &[usize], rows: usize, class_weights: ClassWeights) -> Vec<f32> {
    match class_weights {
        ClassWeights::Equal => vec![1.0; counts.len()],
        ClassWeights::SquareRoot => {
            let raw: Vec<f32> =
                counts.iter().map(|count| 1.0 / (count.max(&1).to_owned() as f32).sqrt()).collect();
            let sum: f32 = raw.iter().zip(counts).map(|(weight, count)| weight * *count as f32).sum();
            raw.into_iter().map(|weight| weight * rows as f32 / sum).collect()
        }
    }
}

impl TrainingSet {
    /// The loss of a batch; `None` if no head learns from it.
    pub(crate) fn loss(&self, model: &TrainableModel, batch: &Batch, pass: Pass) -> Result<Option<Tensor>> {
        let examples: Vec<&Example> = batch.examples.iter().map(|&example| &self.examples[example]).collect();
        let (pooled, scores) = (model.pooled(&pack(&examples), pass)?, scores_of(&examples)?);
        let mut total: Option<Tensor> = None;
        for (position, objective) in self.objectives.iter().enumerate() {
            let targets: Vec<&Target> = examples.iter().map(|example| &example.targets[position]).collect();
            let logits = model.logits(objective.head, (&pooled, scores.as_ref()), pass)?;
            let loss = match &objective.lesson {
                Lesson::One { smoothing, weights } => {
                    let also: Vec<&[usize]> =
                        examples.iter().map(|example| example.also[position].as_slice()).collect();
                    loss::cross_entropy(&logits, &targets, &also, *smoothing, weights)?
                }
                Lesson::Many { positive_weights } => {
                    loss::binary_cross_entropy(&logits, &targets, positive_weights)?
                }
                Lesson::Crosswalk { shares } => loss::crosswalk(&logits, &targets, shares)?,
            };
            if let Some(loss) = loss {
                let loss = (loss * objective.weight)?;
                total = Some(match total {
                    None => loss,
                    Some(total) => (total + loss)?,
                });
            }
        }
        Ok(total)
    }

    /// About how many tokens an epoch sees.
    pub(crate) fn epoch_tokens(&self) -> usize {
        let tokens: usize = self.examples.iter().map(Example::len).sum();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a weight is not negative"
        )]
        let weighted = (tokens as f64 * self.weight) as usize;
        weighted
    }

    /// The number of tokens of a batch.
    pub(crate) fn tokens(&self, batch: &Batch) -> usize {
        batch.examples.iter().map(|&example| self.examples[example].len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn square_root_weights_favour_rare_labels_and_average_to_one() {
        let weights = label_weights(&[100, 25, 0], 125, ClassWeights::SquareRoot);
        assert!((weights[1] / weights[0] - 2.0).abs() < 1e-6);
        assert!(((weights[0] * 100.0 + weights[1] * 25.0) / 125.0 - 1.0).abs() < 1e-6);
        assert!(weights[2].is_finite());
    }

    #[test]
    fn a_crosswalk_is_read_by_label_in_the_order_of_the_head() {
        let crosswalk = Crosswalk {
            labels: LabelSet::new(["x", "y"]).unwrap(),
            rows: vec![("a".into(), vec![0.25, 0.75]), ("b".into(), vec![1.0, 0.0])],
        };
        let head = LabelSet::new(["b", "a"]).unwrap();
        assert_eq!(crosswalk.by_label(&head).unwrap(), [[1.0, 0.25], [0.0, 0.75]]);
        assert_eq!(crosswalk.by_label(&LabelSet::new(["b", "c"]).unwrap()).unwrap_err(), ["c"]);
    }
}
