//! Figures of a model in training on rows that it was not trained on.

use candle_core::Result;
use serde::{Deserialize, Serialize};

use crate::classifier::{HeadCalibration, HeadConfig, Problem, Scaling, top};
use crate::eval::metrics::{LabelCounts, macro_f1, micro_f1};

use super::bert::Pass;
use super::example::{Example, pack};
use super::loss::Target;
use super::model::TrainableModel;
use super::ngrams::holds;
use super::stacking::scores_of;

/// Tokens that go through the encoder at once.
const BATCH_TOKENS: usize = 4096;
/// Keeps the logarithm of a likelihood finite.
const SMALLEST_LIKELIHOOD: f32 = 1e-30;

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

/// What the parts of a head said about each row, and what is right.
#[derive(Debug, Clone)]
pub(crate) struct PartAnswers {
    /// Logits of the encoder.
    pub(crate) encoder: Vec<Vec<f32>>,
    /// What the n-grams add to them; zeros without any.
    pub(crate) ngrams: Vec<Vec<f32>>,
    pub(crate) targets: Vec<Target>,
}

/// The answers of the first heads of a model, which are `heads`, to examples whose targets are theirs.
pub(crate) fn answers(
    model: &TrainableModel,
    examples: &[Example],
    heads: &[HeadConfig],
) -> Result<Vec<PartAnswers>> {
    let targets = |head: usize| examples.iter().map(|example| example.targets[head].clone()).collect();
    let none_yet = |head| PartAnswers { encoder: Vec::new(), ngrams: Vec::new(), targets: targets(head) };
    let mut answers: Vec<_> = (0..heads.len()).map(none_yet).collect();
    let mut rest = examples;
    while !rest.is_empty() {
        let mut tokens = 0;
        let fitting = rest.iter().take_while(|example| {
            tokens += example.len();
            tokens <= BATCH_TOKENS
        });
        let (batch, later) = rest.split_at(fitting.count().max(1));
        rest = later;
        let batch: Vec<&Example> = batch.iter().collect();
        let (pooled, scores) = (model.pooled(&pack(&batch), Pass::Inference)?, scores_of(&batch)?);
        for (head, (answers, config)) in answers.iter_mut().zip(heads).enumerate() {
            let logits = model.logits(head, (&pooled, None), Pass::Inference)?;
            answers.encoder.extend(logits.to_vec2::<f32>()?);
            answers.ngrams.extend(match model.stacked(head, scores.as_ref(), Pass::Inference)? {
                Some(stacked) => stacked.to_vec2()?,
                None => vec![vec![0.0; config.labels.len()]; batch.len()],
            });
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
                let counts = LabelCounts::of_rows(gold.iter().copied().zip(predicted), num_labels);
                // With one label and one decision a row, micro F1 is accuracy.
                let accuracy = micro_f1(&counts);
                HeadFigures {
                    head: head.name.clone(),
                    rows: gold.len(),
                    accuracy,
                    macro_f1: macro_f1(&counts),
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

    /// How sure of itself the head may be; with `alert`, labels after its first must not be missed. None without rows.
    pub(crate) fn calibration(&self, head: &HeadConfig, alert: bool) -> Option<HeadCalibration> {
        match head.problem {
            Problem::SingleLabelClassification => {
                let (logits, gold) = self.calibration_sample(head);
                HeadCalibration::fit(&logits, &gold, alert)
            }
            Problem::MultiLabelClassification => {
                let (logits, gold) = self.multi_label_sample();
                HeadCalibration::fit_multi_label(&logits, &gold)
            }
        }
    }

    /// Mean −log probability of what is right. None without rows.
    pub(crate) fn log_loss(&self, head: &HeadConfig) -> Option<f64> {
        let loss = |(logits, target): (&Vec<f32>, &Target)| {
            let probabilities = Scaling::NONE.probabilities(head.problem, logits);
            let likelihoods: Vec<f32> = match target {
                Target::One(label) => probabilities.get(*label).copied().into_iter().collect(),
                Target::Many(_) => (probabilities.iter().enumerate())
                    .map(|(label, p)| if holds(target, label) { *p } else { 1.0 - p })
                    .collect(),
                Target::Missing => Vec::new(),
            };
            let sum: f64 = likelihoods.iter().map(|p| -f64::from(p.max(SMALLEST_LIKELIHOOD)).ln()).sum();
            (!likelihoods.is_empty()).then(|| sum / likelihoods.len() as f64)
        };
        let losses: Vec<f64> = self.logits.iter().zip(&self.targets).filter_map(loss).collect();
        (!losses.is_empty()).then(|| losses.iter().sum::<f64>() / losses.len() as f64)
    }

    /// Logits and right labels of the rows that calibration can use: those of a label that the head has.
    fn calibration_sample(&self, head: &HeadConfig) -> (Vec<Vec<f32>>, Vec<usize>) {
        let rows = self.logits.iter().zip(&self.targets).filter_map(|(logits, target)| match target {
            Target::One(label) if *label < head.labels.len() => Some((logits.clone(), *label)),
            Target::One(_) | Target::Missing | Target::Many(_) => None,
        });
        rows.unzip()
    }

    /// Logits and labels of the rows of a multi-label head.
    fn multi_label_sample(&self) -> (Vec<Vec<f32>>, Vec<Vec<usize>>) {
        let rows = self.logits.iter().zip(&self.targets).filter_map(|(logits, target)| match target {
            Target::Many(labels) => Some((logits.clone(), labels.clone())),
            Target::One(_) | Target::Missing => None,
        });
        rows.unzip()
    }
}

/// Figures of each head; none without dev rows.
pub(crate) fn figures(heads: &[HeadConfig], answers: &[HeadAnswers]) -> Vec<HeadFigures> {
    let measured = |answers: &HeadAnswers| !answers.targets.is_empty();
    if !answers.iter().all(measured) {
        return Vec::new();
    }
    heads.iter().zip(answers).map(|(head, answers)| answers.figures(head)).collect()
}

fn multi_label_figures(head: &HeadConfig, rows: &[(&[usize], Vec<usize>)]) -> HeadFigures {
    let largest = rows.iter().flat_map(|(gold, _)| gold.iter()).max().map_or(0, |label| label + 1);
    let mut counts = vec![LabelCounts::default(); largest.max(head.labels.len())];
    for (gold, predicted) in rows {
        gold.iter().for_each(|label| counts[*label].support += 1);
        for label in predicted {
            counts[*label].predicted += 1;
            counts[*label].hits += u64::from(gold.contains(label));
        }
    }
    let right = rows.iter().filter(|(gold, predicted)| gold == predicted).count();
    HeadFigures {
        head: head.name.clone(),
        rows: rows.len(),
        accuracy: right as f64 / rows.len().max(1) as f64,
        macro_f1: macro_f1(&counts),
        micro_f1: micro_f1(&counts),
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
    fn the_loss_is_the_mean_over_rows_that_have_a_label() {
        // softmax(ln 3, 0) = (3/4, 1/4)
        let answers = HeadAnswers {
            logits: vec![vec![3f32.ln(), 0.0]; 3],
            targets: vec![Target::One(0), Target::One(1), Target::Missing],
        };
        let loss = answers.log_loss(&head(Problem::SingleLabelClassification)).unwrap();
        assert!((loss - f64::midpoint(-0.75f64.ln(), -0.25f64.ln())).abs() < 1e-6, "{loss}");
        let none = HeadAnswers { logits: Vec::new(), targets: Vec::new() };
        assert_eq!(none.log_loss(&head(Problem::MultiLabelClassification)), None);
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
