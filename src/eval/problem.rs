//! Rows, their labels and their answers as a problem that figures can be taken of.

use super::answers::Answer;
use super::gold::Gold;
use super::metrics::{MultiLabel, ProblemError, SingleLabel};
use super::question::Question;
use crate::classifier::Problem;

/// How far the sum of a row's probabilities may be from 1.
const ROUNDING: f32 = 1e-3;

/// What figures are taken of.
#[derive(Debug, Clone)]
pub(super) enum EvaluatedProblem {
    /// Labels that exclude each other.
    Single(SingleLabel),
    /// Any number of labels a row.
    Multi(MultiLabel),
}

impl EvaluatedProblem {
    /// Joins labels and answers of the same rows.
    pub(super) fn new(question: &Question, gold: &Gold, answers: &[Answer]) -> Result<Self, ProblemError> {
        let num_labels = question.labels.len();
        let probabilities =
            answers.iter().flat_map(|answer| &answer.probabilities).map(|p| f64::from(*p)).collect();
        let decided = answers.iter().map(|answer| answer.decided.clone());
        match question.problem {
            Problem::SingleLabelClassification => {
                let decided = decided.filter_map(|decided| decided.first().copied()).collect();
                SingleLabel::new(num_labels, gold.rows.concat(), probabilities, decided).map(Self::Single)
            }
            Problem::MultiLabelClassification => {
                let (gold, decided) = (gold.rows.clone(), decided.collect());
                MultiLabel::new(num_labels, gold, probabilities, decided).map(Self::Multi)
            }
        }
    }

    /// Whether a row is wholly right.
    pub(super) fn is_right(&self, row: usize) -> bool {
        match self {
            Self::Single(problem) => problem.gold()[row] == problem.decided()[row],
            Self::Multi(problem) => problem.gold()[row] == problem.decided()[row],
        }
    }

    /// What rows are resampled within: the gold label, or how many there are, two and more being one.
    pub(super) fn strata(&self) -> Vec<usize> {
        match self {
            Self::Single(problem) => problem.gold().to_vec(),
            Self::Multi(problem) => problem.gold().iter().map(|labels| labels.len().min(2)).collect(),
        }
    }
}

/// Whether the probabilities of a row are a distribution, as those of a head are and those that rules give are not.
pub(super) fn is_distribution(probabilities: &[f32]) -> bool {
    (probabilities.iter().sum::<f32>() - 1.0).abs() < ROUNDING
}

/// Whether those of every answer are.
pub(super) fn are_distributions(answers: &[Answer]) -> bool {
    answers.iter().all(|answer| is_distribution(&answer.probabilities))
}
