//! Which rows can be decided by machine alone: risk against coverage (Geifman and El-Yaniv 2017).
//!
//! Rows are accepted from the highest confidence down; a threshold stands at a confidence that occurs, so rows with one
//! confidence are accepted together. The confidence of a row is the probability of the label that was decided, and the
//! row is right if that is the gold label. Coverage is the share of rows accepted, risk the share of those that are
//! wrong. The area under the curve (AURC; Geifman, Uziel and El-Yaniv 2019) is the mean over rows of the risk at the
//! threshold that just accepts them.

use serde::Serialize;

use super::problem::SingleLabel;
use super::ranking::Ranking;
use super::weights::Weights;

/// A problem, sorted by the confidence of its decisions.
#[derive(Debug, Clone)]
pub struct Selective {
    ranking: Ranking,
    /// Of the rows in their order by confidence.
    confidence: Vec<f64>,
    right: Vec<bool>,
}

impl Selective {
    /// Sorts a problem by the confidence of its decisions.
    pub fn new(problem: &SingleLabel) -> Self {
        let decided = problem.decided();
        let confidence: Vec<f64> =
            decided.iter().enumerate().map(|(row, label)| problem.probabilities(row)[*label]).collect();
        let ranking = Ranking::descending(&confidence);
        let rows = ranking.rows.iter().map(|row| *row as usize);
        Self {
            confidence: rows.clone().map(|row| confidence[row]).collect(),
            right: rows.map(|row| decided[row] == problem.gold()[row]).collect(),
            ranking,
        }
    }

    /// The figures of weighted rows; NaN without rows.
    pub fn figures(&self, weights: &Weights) -> SelectiveFigures<f64> {
        let rows = weights.total() as f64;
        let mut area = 0.0;
        let mut covered = [0; 3];
        self.thresholds(weights, |threshold| {
            let Threshold { accepted, tied, right, .. } = threshold;
            area += tied as f64 * ((accepted - right) as f64 / accepted as f64);
            for (covered, percent) in covered.iter_mut().zip([90, 95, 98]) {
                // Whole numbers, so that 9 of 10 are 90 %.
                if right * 100 >= percent * accepted {
                    *covered = accepted;
                }
            }
        });
        let [at_90, at_95, at_98] = covered.map(|accepted| accepted as f64 / rows);
        SelectiveFigures {
            area_under_risk_coverage_curve: area / rows,
            coverage_at_precision_90: at_90,
            coverage_at_precision_95: at_95,
            coverage_at_precision_98: at_98,
        }
    }

    /// The curve from the highest confidence down, a point for each confidence that occurs.
    pub fn curve(&self, weights: &Weights) -> Vec<RiskCoverage> {
        let mut points = Vec::new();
        self.thresholds(weights, |Threshold { confidence, accepted, right, .. }| {
            let risk = (accepted - right) as f64 / accepted as f64;
            points.push(RiskCoverage {
                confidence,
                coverage: accepted as f64 / weights.total() as f64,
                risk,
            });
        });
        points
    }

    /// Visits each confidence that occurs, from the highest down.
    fn thresholds(&self, weights: &Weights, mut visit: impl FnMut(Threshold)) {
        let (mut accepted, mut right, mut before) = (0, 0, 0);
        for (place, (row, last_of_tie)) in self.ranking.iter().enumerate() {
            let copies = weights.of(row);
            accepted += copies;
            right += copies * u64::from(self.right[place]);
            if last_of_tie && accepted > before {
                visit(Threshold {
                    confidence: self.confidence[place],
                    tied: accepted - before,
                    accepted,
                    right,
                });
                before = accepted;
            }
        }
    }
}

/// A confidence from which on rows are accepted.
#[derive(Debug, Clone, Copy)]
struct Threshold {
    confidence: f64,
    /// Rows with this confidence.
    tied: u64,
    /// Rows with at least this confidence, and how many of them are right.
    accepted: u64,
    right: u64,
}

/// A point of the risk-coverage curve.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RiskCoverage {
    /// The lowest confidence that is accepted.
    pub confidence: f64,
    /// The share of rows that are accepted.
    pub coverage: f64,
    /// The share of accepted rows that are wrong.
    pub risk: f64,
}

/// Figures of acceptance, each a number or an estimate.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SelectiveFigures<T> {
    /// AURC, 0..=1; the less the better.
    pub area_under_risk_coverage_curve: T,
    /// The largest share of rows that can be accepted so that 90 % of them are right; 0 if no threshold does it.
    pub coverage_at_precision_90: T,
    /// The same for 95 %.
    pub coverage_at_precision_95: T,
    /// The same for 98 %.
    pub coverage_at_precision_98: T,
}

impl<T> SelectiveFigures<T> {
    /// The same figures as something else, taken one after the other.
    pub fn map<U>(self, figure: &mut impl FnMut(T) -> U) -> SelectiveFigures<U> {
        SelectiveFigures {
            area_under_risk_coverage_curve: figure(self.area_under_risk_coverage_curve),
            coverage_at_precision_90: figure(self.coverage_at_precision_90),
            coverage_at_precision_95: figure(self.coverage_at_precision_95),
            coverage_at_precision_98: figure(self.coverage_at_precision_98),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::problem::tests::single_label;
    use super::*;

    fn close(left: f64, right: f64) {
        assert!((left - right).abs() < 1e-12, "{left} is not {right}");
    }

    /// Two labels; the first is decided with the confidence, and is the gold label if the row is right.
    fn selective(rows: &[(f64, bool)]) -> Selective {
        let gold = rows.iter().map(|(_, right)| usize::from(!right)).collect();
        let probabilities = rows.iter().flat_map(|(confidence, _)| [*confidence, 1.0 - confidence]).collect();
        Selective::new(&SingleLabel::new(2, gold, probabilities, vec![0; rows.len()]).unwrap())
    }

    #[test]
    fn area_is_the_mean_of_selective_risks() {
        /*
        import numpy as np
        wrong = np.array([0, 1, 0, 0, 1])
        print(np.mean(np.cumsum(wrong) / np.arange(1, 6)))
        */
        let rows = [(0.9, true), (0.8, false), (0.7, true), (0.6, true), (0.5, false)];
        close(
            selective(&rows).figures(&Weights::ones(5)).area_under_risk_coverage_curve,
            0.296_666_666_666_666_7,
        );
    }

    #[test]
    fn rows_with_one_confidence_are_accepted_together() {
        let points = selective(&[(0.9, false), (0.9, true), (0.6, true)]).curve(&Weights::ones(3));
        assert_eq!(points.len(), 2);
        close(points[0].coverage, 2.0 / 3.0);
        close(points[0].risk, 0.5);
        close(points[1].risk, 1.0 / 3.0);
        close(points[1].confidence, 0.6);
    }

    #[test]
    fn coverage_may_grow_after_precision_was_missed() {
        // Nine of the first ten are right, though the first is not.
        let mut rows: Vec<(f64, bool)> =
            (0..12).map(|row| (0.99 - f64::from(row) / 100.0, row != 0)).collect();
        rows[11].1 = false;
        rows[10].1 = false;
        let found = selective(&rows).figures(&Weights::ones(12));
        close(found.coverage_at_precision_90, 10.0 / 12.0);
        close(found.coverage_at_precision_95, 0.0);
    }

    #[test]
    fn no_rows_have_no_risk() {
        let none = selective(&[]);
        let found = none.figures(&Weights::ones(0));
        assert!(found.area_under_risk_coverage_curve.is_nan());
        assert!(found.coverage_at_precision_90.is_nan());
        assert_eq!(none.curve(&Weights::ones(0)), []);
    }

    proptest! {
        #[test]
        fn risk_of_all_rows_is_the_share_of_wrong_ones(problem in single_label()) {
            let weights = Weights::ones(problem.rows());
            let wrong = weights.share(|row| problem.decided()[row] != problem.gold()[row]);
            if let Some(last) = Selective::new(&problem).curve(&weights).last() {
                prop_assert!((last.risk - wrong).abs() < 1e-12);
                prop_assert!((last.coverage - 1.0).abs() < 1e-12);
            }
        }
    }
}
