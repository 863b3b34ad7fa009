//! How what the encoder says and what the n-grams say join in a head's logits: z = a·x + b·y + c.
//!
//! x are the encoder's logits, y what the n-grams add to them, a and b weights and c a bias a label; all make the dev rows
//! most likely. In training x has seen its rows and y has not, so that x is the surer of the two there; a and b put that
//! right.
//!
//! The biases also make up for training rows that were chosen, rare labels above all, where the dev rows are as requests
//! come in; they are vector scaling (Guo et al., "On Calibration of Modern Neural Networks", 2017) with a penalty on their
//! squares. The loss is convex in (a, b, c); Adam finds the minimum.

use rayon::prelude::*;

use crate::classifier::{HeadConfig, Problem, Scaling};

use super::evaluate::{HeadAnswers, PartAnswers};
use super::loss::Target;
use super::ngrams::holds;

/// Cost of a squared bias, beside a mean loss a row.
const PENALTY: f32 = 0.01;
/// Steps of Adam, whose rate falls to nothing.
const STEPS: usize = 200;
const RATE: f32 = 0.1;
/// Into how many parts the dev rows are cut, so that each is read with what the others gave.
const FOLDS: usize = 5;

/// How one head's two parts join.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Blend {
    /// a
    pub(super) encoder: f32,
    /// b
    pub(super) ngrams: f32,
    /// c
    pub(super) bias: Vec<f32>,
}

/// One row: the encoder's logits, what n-grams add, what is right.
type Row<'a> = (&'a [f32], &'a [f32], &'a Target);

impl Blend {
    /// What the dev rows say is best; without any, the sum that was trained.
    pub(super) fn fit(head: &HeadConfig, answers: &PartAnswers) -> Self {
        Self::of_rows(head, &rows(answers).collect::<Vec<_>>())
    }

    fn of_rows(head: &HeadConfig, rows: &[Row]) -> Self {
        let labels = head.labels.len();
        let known: Vec<&Row> = rows.iter().filter(|(_, _, target)| is_known(target, labels)).collect();
        let mut parameters = vec![0.0; 2 + labels];
        (parameters[0], parameters[1]) = (1.0, 1.0);
        let (mut first, mut second) = (vec![0.0_f32; parameters.len()], vec![0.0_f32; parameters.len()]);
        for step in 0..if known.is_empty() { 0 } else { STEPS } {
            let gradient = gradient(head.problem, &known, &parameters);
            let rate = RATE * (1.0 - step as f32 / STEPS as f32);
            let (decay1, decay2) =
                (1.0 - 0.9_f32.powf(step as f32 + 1.0), 1.0 - 0.98_f32.powf(step as f32 + 1.0));
            for (((w, g), m), v) in parameters.iter_mut().zip(gradient).zip(&mut first).zip(&mut second) {
                *m = 0.9 * *m + 0.1 * g;
                *v = 0.98 * *v + 0.02 * g * g;
                *w -= rate * (*m / decay1) / ((*v / decay2).sqrt() + 1e-8);
            }
            parameters[0] = parameters[0].max(0.0);
            parameters[1] = parameters[1].max(0.0);
        }
        let bias = parameters.split_off(2);
        Self { encoder: parameters[0], ngrams: parameters[1], bias }
    }

    pub(super) fn join(&self, logits: &[f32], scores: &[f32]) -> Vec<f32> {
        let parts = logits.iter().zip(scores).zip(&self.bias);
        parts.map(|((x, y), bias)| self.encoder * x + self.ngrams * y + bias).collect()
    }
}

/// What the two parts say together, each part of the rows joined as the others ask for.
pub(super) fn cross_fitted(head: &HeadConfig, answers: &PartAnswers) -> HeadAnswers {
    let fits: Vec<Blend> = (0..FOLDS)
        .into_par_iter()
        .map(|fold| {
            let others = rows(answers).enumerate().filter(|(row, _)| row % FOLDS != fold);
            Blend::of_rows(head, &others.map(|(_, row)| row).collect::<Vec<_>>())
        })
        .collect();
    let joined = rows(answers).enumerate().map(|(row, (x, y, _))| fits[row % FOLDS].join(x, y));
    HeadAnswers { logits: joined.collect(), targets: answers.targets.clone() }
}

fn rows(answers: &PartAnswers) -> impl Iterator<Item = Row<'_>> {
    let pairs = answers.encoder.iter().zip(&answers.ngrams).zip(&answers.targets);
    pairs.map(|((x, y), target)| (x.as_slice(), y.as_slice(), target))
}

fn is_known(target: &Target, labels: usize) -> bool {
    match target {
        Target::Missing => false,
        Target::One(label) => *label < labels,
        Target::Many(_) => true,
    }
}

/// The slope of the mean loss and the penalty in a, b, and the biases.
fn gradient(problem: Problem, rows: &[&Row], parameters: &[f32]) -> Vec<f32> {
    let (a, b, bias) = (parameters[0], parameters[1], &parameters[2..]);
    let mut gradient = vec![0.0; parameters.len()];
    for (logits, scores, target) in rows {
        let joined: Vec<f32> =
            logits.iter().zip(*scores).zip(bias).map(|((x, y), c)| a * x + b * y + c).collect();
        for (label, probability) in Scaling::NONE.probabilities(problem, &joined).into_iter().enumerate() {
            let error = (probability - f32::from(u8::from(holds(target, label)))) / rows.len() as f32;
            gradient[0] += error * logits[label];
            gradient[1] += error * scores[label];
            gradient[2 + label] += error;
        }
    }
    for (slope, bias) in gradient[2..].iter_mut().zip(bias) {
        *slope += 2.0 * PENALTY * bias;
    }
    gradient
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::label::LabelSet;

    fn head() -> HeadConfig {
        let labels = LabelSet::new(["a", "b"]).unwrap();
        HeadConfig { name: "h".into(), problem: Problem::SingleLabelClassification, labels }
    }

    /// Answers for rows whose label alternates; the parts err where they are said to.
    fn answers(encoder: impl Fn(usize) -> bool, ngrams: impl Fn(usize) -> bool) -> PartAnswers {
        let say = |row: usize, errs: bool| {
            if (row + usize::from(errs)).is_multiple_of(2) { vec![1.0, 0.0] } else { vec![0.0, 1.0] }
        };
        PartAnswers {
            encoder: (0..200).map(|row| say(row, encoder(row))).collect(),
            ngrams: (0..200).map(|row| say(row, ngrams(row))).collect(),
            targets: (0..200).map(|row| Target::One(row % 2)).collect(),
        }
    }

    #[test]
    fn the_part_that_errs_less_counts_for_more() {
        let (often, seldom) = (|row: usize| row % 4 == 1, |row: usize| row % 10 < 1);
        let blend = Blend::fit(&head(), &answers(often, seldom));
        assert!(blend.ngrams > blend.encoder);
        let blend = Blend::fit(&head(), &answers(seldom, often));
        assert!(blend.ngrams < blend.encoder);
    }

    #[test]
    fn biases_follow_what_the_dev_rows_are_like() {
        // Nine rows of ten are of the first label, and neither part knows.
        let silent = PartAnswers {
            encoder: vec![vec![0.0, 0.0]; 100],
            ngrams: vec![vec![0.0, 0.0]; 100],
            targets: (0..100).map(|row| Target::One(usize::from(row % 10 == 0))).collect(),
        };
        let bias = Blend::fit(&head(), &silent).bias;
        assert!(bias[0] > 0.3 && bias[1] < -0.3, "{bias:?}");
        let read = cross_fitted(&head(), &silent);
        assert!(read.logits.iter().all(|logits| logits[0] > logits[1]));
    }

    #[test]
    fn without_dev_rows_the_parts_add_up() {
        let none = PartAnswers { encoder: Vec::new(), ngrams: Vec::new(), targets: Vec::new() };
        assert_eq!(Blend::fit(&head(), &none), Blend { encoder: 1.0, ngrams: 1.0, bias: vec![0.0, 0.0] });
    }
}
