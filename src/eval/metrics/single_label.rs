//! Every figure of a single-label problem in one call, with intervals.

use serde::Serialize;

use super::bootstrap::{Estimate, Resamples};
use super::calibration::{Calibration, CalibrationFigures, ReliabilityBin};
use super::classification::{Classification, ClassificationFigures};
use super::conformal::{Conformal, ConformalFigures};
use super::problem::SingleLabel;
use super::scoring::{Scoring, ScoringFigures};
use super::selective::{Selective, SelectiveFigures};
use super::weights::Weights;

/// A problem, prepared for every figure.
#[derive(Debug, Clone)]
pub struct PreparedSingleLabel<'a> {
    classification: Classification,
    scoring: Scoring,
    calibration: Calibration,
    selective: Selective,
    conformal: Conformal<'a>,
}

impl<'a> PreparedSingleLabel<'a> {
    /// Sorts and splits a problem; the seed decides on the splits of conformal prediction.
    pub fn new(problem: &'a SingleLabel, seed: u64) -> Self {
        Self {
            classification: Classification::new(problem),
            scoring: Scoring::new(problem),
            calibration: Calibration::new(problem),
            selective: Selective::new(problem),
            conformal: Conformal::new(problem, seed),
        }
    }

    /// The figures of weighted rows.
    ///
    /// # Panics
    /// If the weights are not of the problem's rows.
    pub fn figures(&self, weights: &Weights) -> SingleLabelFigures<f64> {
        SingleLabelFigures {
            classification: self.classification.figures(weights),
            scoring: self.scoring.figures(weights),
            calibration: self.calibration.figures(weights),
            selective: self.selective.figures(weights),
            conformal: self.conformal.figures(weights),
        }
    }
}

/// Every figure, each a number, an estimate or a difference.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SingleLabelFigures<T> {
    /// Of decisions.
    #[serde(flatten)]
    pub classification: ClassificationFigures<T>,
    /// Of all probabilities.
    #[serde(flatten)]
    pub scoring: ScoringFigures<T>,
    /// Of the top label's confidence.
    pub calibration: CalibrationFigures<T>,
    /// Of acceptance by confidence.
    pub selective: SelectiveFigures<T>,
    /// Of prediction sets.
    pub conformal: ConformalFigures<T>,
}

impl<T> SingleLabelFigures<T> {
    /// The same figures as something else, taken one after the other.
    pub fn map<U>(self, figure: &mut impl FnMut(T) -> U) -> SingleLabelFigures<U> {
        SingleLabelFigures {
            classification: self.classification.map(figure),
            scoring: self.scoring.map(figure),
            calibration: self.calibration.map(figure),
            selective: self.selective.map(figure),
            conformal: self.conformal.map(figure),
        }
    }
}

impl SingleLabelFigures<f64> {
    fn into_values(self) -> Vec<f64> {
        let mut values = Vec::new();
        self.map(&mut |value| values.push(value));
        values
    }
}

/// Every figure of a problem with its interval.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SingleLabelEvaluation {
    /// The figures.
    #[serde(flatten)]
    pub figures: SingleLabelFigures<Estimate>,
    /// Confidence and accuracy in bins of equal width.
    pub equal_width_bins: Vec<ReliabilityBin>,
}

/// Computes every figure of a problem with its interval; rows are resampled within strata.
///
/// # Panics
/// If there is not one stratum a row.
pub fn evaluate_single_label(
    problem: &SingleLabel,
    strata: &[usize],
    resamples: usize,
    seed: u64,
) -> SingleLabelEvaluation {
    assert_eq!(strata.len(), problem.rows(), "one stratum a row");
    let prepared = PreparedSingleLabel::new(problem, seed);
    let resamples = Resamples::new(strata, resamples, seed);
    let mut estimates = resamples.estimates(|weights| prepared.figures(weights).into_values()).into_iter();
    let weights = Weights::ones(problem.rows());
    SingleLabelEvaluation {
        figures: prepared.figures(&weights).map(&mut |_| estimates.next().expect("an estimate a figure")),
        equal_width_bins: prepared.calibration.equal_width_bins(&weights),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::problem::tests::single_label;
    use super::*;

    fn problem() -> SingleLabel {
        let gold: Vec<usize> = (0..60).map(|row| row % 3 + usize::from(row == 59)).collect();
        let decided: Vec<usize> = (0..60).map(|row| if row % 7 == 0 { 0 } else { row % 3 }).collect();
        let probabilities = decided.iter().enumerate().flat_map(|(row, decided)| {
            let top = 0.5 + row as f64 / 150.0;
            (0..3).map(move |label| if label == *decided { top } else { (1.0 - top) / 2.0 })
        });
        SingleLabel::new(3, gold, probabilities.collect(), decided.clone()).unwrap()
    }

    #[test]
    fn evaluation_has_an_interval_for_each_figure() {
        let problem = problem();
        let found = evaluate_single_label(&problem, problem.gold(), 100, 1);
        found.figures.map(&mut |estimate| {
            let Estimate { value, low, high } = estimate;
            assert!(value.is_some() && low <= high && low.is_some(), "{estimate:?}");
        });
    }

    #[test]
    fn evaluation_is_the_same_for_the_same_seed() {
        let problem = problem();
        let evaluate = |seed| evaluate_single_label(&problem, problem.gold(), 50, seed);
        assert_eq!(evaluate(1), evaluate(1));
        assert_ne!(evaluate(1), evaluate(2));
    }

    #[test]
    fn no_rows_are_evaluated() {
        let none = SingleLabel::new(3, vec![], vec![], vec![]).unwrap();
        let found = evaluate_single_label(&none, &[], 10, 1);
        assert_eq!(found.figures.classification.accuracy, Estimate { value: None, low: None, high: None });
        assert_eq!(found.figures.classification.macro_f1.value, Some(0.0));
        assert_eq!(found.equal_width_bins, []);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn doubling_all_rows_changes_nothing(problem in single_label()) {
            let prepared = PreparedSingleLabel::new(&problem, 1);
            let mut once = prepared.figures(&Weights::ones(problem.rows()));
            let twice = prepared.figures(&Weights::new(vec![2; problem.rows()]));
            // The rank of conformal prediction has one row more than there are.
            once.conformal = twice.conformal.clone();
            for (once, twice) in once.into_values().into_iter().zip(twice.into_values()) {
                prop_assert!((once - twice).abs() < 1e-12 || (once.is_nan() && twice.is_nan()), "{once}, {twice}");
            }
        }

        #[test]
        fn weights_are_copies_of_rows(
            (problem, weights) in single_label().prop_flat_map(|problem| {
                let weights = prop::collection::vec(0_u32..4, problem.rows());
                (Just(problem), weights)
            })
        ) {
            let copies = || weights.iter().enumerate().flat_map(|(row, n)| std::iter::repeat_n(row, *n as usize));
            let copied = SingleLabel::new(
                problem.num_labels(),
                copies().map(|row| problem.gold()[row]).collect(),
                copies().flat_map(|row| problem.probabilities(row).to_vec()).collect(),
                copies().map(|row| problem.decided()[row]).collect(),
            ).unwrap();
            let weighted = PreparedSingleLabel::new(&problem, 1).figures(&Weights::new(weights.clone()));
            let mut copied = PreparedSingleLabel::new(&copied, 1).figures(&Weights::ones(copied.rows()));
            // Copies are split by themselves, and unknown labels without copies are not listed.
            copied.conformal = weighted.conformal.clone();
            let (mut left, mut right) = (weighted, copied);
            left.classification.labels.clear();
            right.classification.labels.clear();
            for (left, right) in left.into_values().into_iter().zip(right.into_values()) {
                prop_assert!((left - right).abs() < 1e-12 || (left.is_nan() && right.is_nan()), "{left}, {right}");
            }
        }
    }
}
