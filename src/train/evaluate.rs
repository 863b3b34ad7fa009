//! Figures of a model in training on rows that it was not trained on.

use candle_core::Result;
use serde::{Deserialize, Serialize};

use crate::classifier::{HeadConfig, Problem, top};
use crate::eval::scores::{self, LabelCounts};

use super::bert::Pass;
use super::example::{Example, pack};
use super::loss::Target;
use super::model::TrainableModel;

/// Tokens that go through the encoder at once.
const BATCH_TOKENS: usize = 4096;

/// Figures of one head.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeadFigures {
    /// The head's name.
    pub head: String,
    /// Rows with a label for it.
    pub rows: usize,
    /// Share of rows that are right; for lists of labels: wholly right.
    pub accuracy: f64,
    /// Mean F1 over labels that occur or are predicted.
    pub macro_f1: f64,
    /// F1 over all decisions, for lists of labels; equals accuracy otherwise.
    pub micro_f1: f64,
}

/// What a head said about each row, and what is right.
#[derive(Debug, Clone)]
pub(crate) struct HeadAnswers {
    pub(crate) logits: Vec<Vec<f32>>,
    pub(crate) targets: Vec<Target>,
}

/// The answers of the first heads of a model to examples whose targets are theirs.
pub(crate) fn answers(
    model: &TrainableModel,
    examples: &[Example],
    heads: usize,
) -> Result<Vec<HeadAnswers>> {
    let mut answers: Vec<_> = (0..heads).map(|head| HeadAnswers::none_yet(examples, head)).collect();
    let mut rest = examples;
    while !rest.is_empty() {
        let mut tokens = 0;
        let fitting = rest.iter().take_while(|example| {
            tokens += example.len();
            tokens <= BATCH_TOKENS
        });
        let (batch, later) = rest.split_at(fitting.count().max(1));
        rest = later;
        let pooled = model.pooled(&pack(&batch.iter().collect::<Vec<_>>()), Pass::Inference)?;
        for (head, answers) in answers.iter_mut().enumerate() {
            answers.logits.extend(model.logits(head, &pooled, Pass::Inference)?.to_vec2::<f32>()?);
        }
    }
    Ok(answers)
}

impl HeadAnswers {
    /// What is right, before anything is said.
    pub(crate) fn none_yet(examples: &[Example], head: usize) -> Self {
        let targets = examples.iter().map(|example| example.targets[head].clone()).collect();
        Self { logits: Vec::with_capacity(examples.len()), targets }
    }

    /// How good the answers are.
    pub(crate) fn figures(&self, head: &HeadConfig) -> HeadFigures {
        let known = self.logits.iter().zip(&self.targets);
        match head.problem {
            Problem::SingleLabelClassification => {
                let (gold, predicted): (Vec<usize>, Vec<usize>) = known
                    .filter_map(|(logits, target)| match target {
                        Target::One(label) => Some((*label, top(logits))),
                        Target::Missing | Target::Many(_) => None,
                    })
                    .unzip();
                let num_labels = gold.iter().map(|label| label + 1).max().unwrap_or(0).max(head.labels.len());
                let accuracy = scores::accuracy(&gold, &predicted);
                HeadFigures {
                    head: head.name.clone(),
                    rows: gold.len(),
                    accuracy,
                    macro_f1: scores::macro_f1(&gold, &predicted, num_labels),
                    micro_f1: accuracy,
                }
            }
            Problem::MultiLabelClassification => {
                let rows: Vec<(&[usize], Vec<usize>)> = known
                    .filter_map(|(logits, target)| match target {
                        Target::Many(labels) => Some((labels.as_slice(), holding(logits))),
                        Target::Missing | Target::One(_) => None,
                    })
                    .collect();
                multi_label_figures(head, &rows)
            }
        }
    }

    /// Logits and right labels of the rows that calibration can use: those of a label that the head has.
    pub(crate) fn calibration_sample(&self, head: &HeadConfig) -> (Vec<Vec<f32>>, Vec<usize>) {
        let rows = self.logits.iter().zip(&self.targets).filter_map(|(logits, target)| match target {
            Target::One(label) if *label < head.labels.len() => Some((logits.clone(), *label)),
            Target::One(_) | Target::Missing | Target::Many(_) => None,
        });
        rows.unzip()
    }

    /// Logits and labels of the rows of a multi-label head.
    pub(crate) fn multi_label_sample(&self) -> (Vec<Vec<f32>>, Vec<Vec<usize>>) {
        let rows = self.logits.iter().zip(&self.targets).filter_map(|(logits, target)| match target {
            Target::Many(labels) => Some((logits.clone(), labels.clone())),
            Target::One(_) | Target::Missing => None,
        });
        rows.unzip()
    }
}

fn multi_label_figures(head: &HeadConfig, rows: &[(&[usize], Vec<usize>)]) -> HeadFigures {
    let largest = rows.iter().flat_map(|(gold, _)| gold.iter()).max().map_or(0, |label| label + 1);
    let mut counts = vec![LabelCounts::default(); largest.max(head.labels.len())];
    for (gold, predicted) in rows {
        gold.iter().for_each(|label| counts[*label].support += 1);
        for label in predicted {
            counts[*label].predicted += 1;
            counts[*label].hits += usize::from(gold.contains(label));
        }
    }
    let right = rows.iter().filter(|(gold, predicted)| gold == predicted).count();
    HeadFigures {
        head: head.name.clone(),
        rows: rows.len(),
        accuracy: right as f64 / rows.len().max(1) as f64,
        macro_f1: scores::mean_f1(&counts),
        micro_f1: scores::micro_f1(&counts),
    }
}

/// The labels that hold: probability of one half and more.
fn holding(logits: &[f32]) -> Vec<usize> {
    (0..logits.len()).filter(|label| logits[*label] >= 0.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::label::LabelSet;

    fn head(problem: Problem) -> HeadConfig {
        HeadConfig { name: "h".into(), problem, labels: LabelSet::new(["a", "b"]).unwrap() }
    }

    #[test]
    fn rows_without_a_label_do_not_count_and_unknown_labels_are_mistakes() {
        let answers = HeadAnswers {
            logits: vec![vec![1.0, 0.0], vec![0.0, 1.0], vec![1.0, 0.0], vec![1.0, 0.0]],
            targets: vec![Target::One(0), Target::One(1), Target::One(2), Target::Missing],
        };
        let figures = answers.figures(&head(Problem::SingleLabelClassification));
        assert_eq!(figures.rows, 3);
        assert!((figures.accuracy - 2.0 / 3.0).abs() < 1e-12);
        assert!((figures.macro_f1 - (2.0 / 3.0 + 1.0 + 0.0) / 3.0).abs() < 1e-12);
        assert_eq!(answers.calibration_sample(&head(Problem::SingleLabelClassification)).1, [0, 1]);
    }

    #[test]
    fn lists_are_right_as_a_whole_or_by_decision() {
        let answers = HeadAnswers {
            logits: vec![vec![1.0, 1.0], vec![-1.0, -1.0], vec![1.0, -1.0]],
            targets: vec![Target::Many(vec![0, 1]), Target::Many(vec![]), Target::Many(vec![1])],
        };
        let figures = answers.figures(&head(Problem::MultiLabelClassification));
        assert!((figures.accuracy - 2.0 / 3.0).abs() < 1e-12);
        assert!((figures.micro_f1 - 2.0 * 2.0 / 6.0).abs() < 1e-12);
    }
}
