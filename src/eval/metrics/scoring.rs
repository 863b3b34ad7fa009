//! Proper scores of all probabilities of a row (Gneiting and Raftery 2007): the lower the better, and lowest on average
//! for the true probabilities.
//!
//! A row whose gold label the head does not have counts as if that label had been given the probability 0.

use serde::Serialize;

use super::problem::SingleLabel;
use super::weights::Weights;

/// A problem with the scores of its rows.
#[derive(Debug, Clone)]
pub struct Scoring {
    brier: Vec<f64>,
    log_loss: Vec<f64>,
}

impl Scoring {
    /// Scores the rows of a problem.
    pub fn new(problem: &SingleLabel) -> Self {
        let rows = 0..problem.rows();
        Self {
            brier: rows.clone().map(|row| brier(problem, row)).collect(),
            log_loss: rows.map(|row| log_loss(problem.gold_probability(row))).collect(),
        }
    }

    /// The figures of weighted rows; NaN without rows.
    ///
    /// # Panics
    /// If the weights are not of the problem's rows.
    pub fn figures(&self, weights: &Weights) -> ScoringFigures<f64> {
        ScoringFigures { brier_score: weights.mean(&self.brier), log_loss: weights.mean(&self.log_loss) }
    }
}

fn brier(problem: &SingleLabel, row: usize) -> f64 {
    let gold = problem.gold()[row];
    let miss =
        |(label, probability): (usize, &f64)| (probability - f64::from(u8::from(label == gold))).powi(2);
    let of_labels: f64 = problem.probabilities(row).iter().enumerate().map(miss).sum();
    of_labels + f64::from(u8::from(!problem.is_known(row)))
}

fn log_loss(gold_probability: f64) -> f64 {
    -gold_probability.clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln()
}

/// Proper scores, each a number or an estimate.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScoringFigures<T> {
    /// Mean of the squared differences between probabilities and truth, summed over labels (Brier 1950), 0..=2; that is
    /// `brier_score_loss(scale_by_half=False)` of scikit-learn.
    pub brier_score: T,
    /// Mean negative logarithm of the gold label's probability in nats, clipped by 2^-52 from 0 and 1 as `log_loss` of
    /// scikit-learn does.
    pub log_loss: T,
}

impl<T> ScoringFigures<T> {
    /// The same figures as something else, taken one after the other.
    pub fn map<U>(self, figure: &mut impl FnMut(T) -> U) -> ScoringFigures<U> {
        ScoringFigures { brier_score: figure(self.brier_score), log_loss: figure(self.log_loss) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(gold: &[usize], probabilities: &[[f64; 3]]) -> ScoringFigures<f64> {
        let decided = vec![0; gold.len()];
        let problem = SingleLabel::new(3, gold.to_vec(), probabilities.concat(), decided).unwrap();
        Scoring::new(&problem).figures(&Weights::ones(gold.len()))
    }

    fn close(left: f64, right: f64) {
        assert!((left - right).abs() < 1e-12, "{left} is not {right}");
    }

    #[test]
    fn figures_are_those_of_scikit_learn() {
        /* scikit-learn 1.9.1:
        from sklearn.metrics import brier_score_loss, log_loss
        p = [[.7, .2, .1], [.1, .3, .6], [0, 1, 0], [.25, .25, .5]]
        print(brier_score_loss([0, 1, 2, 2], p, scale_by_half=False), log_loss([0, 1, 2, 2], p))
        */
        let probabilities = [[0.7, 0.2, 0.1], [0.1, 0.3, 0.6], [0.0, 1.0, 0.0], [0.25, 0.25, 0.5]];
        let found = figures(&[0, 1, 2, 2], &probabilities);
        close(found.brier_score, 0.843_75);
        close(found.log_loss, 9.574_362_079_485_443);
    }

    #[test]
    fn label_that_the_head_does_not_have_had_no_probability() {
        let found = figures(&[3], &[[1.0, 0.0, 0.0]]);
        close(found.brier_score, 2.0);
        close(found.log_loss, -f64::EPSILON.ln());
    }

    #[test]
    fn certainty_that_is_right_costs_next_to_nothing() {
        let found = figures(&[0], &[[1.0, 0.0, 0.0]]);
        close(found.brier_score, 0.0);
        close(found.log_loss, 0.0);
    }

    #[test]
    fn no_rows_have_no_score() {
        assert!(figures(&[], &[]).log_loss.is_nan());
    }
}
