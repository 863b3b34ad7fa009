//! Whether confidence is what it says: of the rows with confidence 0.8, are 80 % right?
//!
//! The confidence of a row is the probability of its top label, and the row is right if that is the gold label, whatever
//! was decided. Rows are put in 15 bins by confidence, in two ways:
//!
//! - equal width: bin m holds the confidences in ((m-1)/15, m/15], as in Guo et al. (2017).
//! - equal mass: bin m holds the rows with m-1 <= 15·(share of rows with a lower confidence) < m, so that the bins have
//!   the edges of `numpy.quantile(method="inverted_cdf")`, rows with one confidence stay together, and the order of rows
//!   does not matter (Nguyen and O'Connor 2015).
//!
//! Resampling adds to the gaps of bins with few rows, so an interval of a calibration error may lie above its value.
//!
//! The Brier score of the top label, the mean of (confidence - right)², is split into reliability - resolution +
//! uncertainty (Murphy 1973) with the bins of equal width. That holds if all rows of a bin have one confidence; the
//! variance and covariance within bins, which are otherwise missing (Stephenson, Coelho and Jolliffe 2008), are told as
//! `within_bins`, so that reliability - resolution + uncertainty + within_bins is the score.

use serde::Serialize;

use super::problem::SingleLabel;
use super::ranking::Ranking;
use super::weights::Weights;

/// The number of bins, as in Guo et al. (2017).
const BINS: usize = 15;

/// A problem, sorted by confidence.
#[derive(Debug, Clone)]
pub struct Calibration {
    ranking: Ranking,
    /// Of the rows in their order by confidence.
    confidence: Vec<f64>,
    right: Vec<bool>,
    /// Bins of equal width.
    bin: Vec<u8>,
}

impl Calibration {
    /// Sorts a problem by confidence.
    pub fn new(problem: &SingleLabel) -> Self {
        let confidence: Vec<f64> = (0..problem.rows()).map(|row| problem.top_label(row).1).collect();
        let ranking = Ranking::ascending(&confidence);
        let rows = ranking.rows.iter().map(|row| *row as usize);
        let sorted: Vec<f64> = rows.clone().map(|row| confidence[row]).collect();
        Self {
            right: rows.map(|row| problem.top_label(row).0 == problem.gold()[row]).collect(),
            bin: sorted.iter().map(|confidence| equal_width_bin(*confidence)).collect(),
            confidence: sorted,
            ranking,
        }
    }

    /// The figures of weighted rows; NaN without rows.
    pub fn figures(&self, weights: &Weights) -> CalibrationFigures<f64> {
        let bins = self.equal_width(weights);
        let Decomposition { reliability, resolution, uncertainty, within_bins } = decompose(&bins);
        CalibrationFigures {
            expected_calibration_error: calibration_error(&bins),
            adaptive_calibration_error: calibration_error(&self.equal_mass(weights)),
            top_label_brier_score: brier_score(&bins),
            reliability,
            resolution,
            uncertainty,
            within_bins,
        }
    }

    /// The bins of equal width that have rows: the points of a reliability diagram.
    pub fn equal_width_bins(&self, weights: &Weights) -> Vec<ReliabilityBin> {
        self.equal_width(weights).iter().filter_map(Bin::told).collect()
    }

    /// The bins of equal mass that have rows.
    pub fn equal_mass_bins(&self, weights: &Weights) -> Vec<ReliabilityBin> {
        self.equal_mass(weights).iter().filter_map(Bin::told).collect()
    }

    fn equal_width(&self, weights: &Weights) -> [Bin; BINS] {
        let mut bins = [Bin::default(); BINS];
        for (place, row) in self.ranking.rows.iter().enumerate() {
            let bin = usize::from(self.bin[place]);
            bins[bin].add(weights.of(*row), self.confidence[place], self.right[place]);
        }
        bins
    }

    fn equal_mass(&self, weights: &Weights) -> [Bin; BINS] {
        let mut bins = [Bin::default(); BINS];
        let (mut below, mut so_far, mut bin) = (0, 0, 0);
        for (place, (row, last_of_tie)) in self.ranking.iter().enumerate() {
            let copies = weights.of(row);
            // Rows that do not count must not move the bin past the last.
            while copies > 0 && below * BINS as u64 >= (bin + 1) as u64 * weights.total() {
                bin += 1;
            }
            bins[bin].add(copies, self.confidence[place], self.right[place]);
            so_far += copies;
            if last_of_tie {
                below = so_far;
            }
        }
        bins
    }
}

fn equal_width_bin(confidence: f64) -> u8 {
    let bins = 1..BINS as u8;
    bins.filter(|bin| confidence > f64::from(*bin) / BINS as f64).count() as u8
}

/// Sums over the rows of a bin.
#[derive(Debug, Clone, Copy, Default)]
struct Bin {
    rows: u64,
    right: u64,
    confidence: f64,
    squares: f64,
    confidence_of_right: f64,
    lowest: Option<f64>,
    highest: f64,
}

impl Bin {
    fn add(&mut self, copies: u64, confidence: f64, right: bool) {
        if copies == 0 {
            return;
        }
        let sum = copies as f64 * confidence;
        self.rows += copies;
        self.right += copies * u64::from(right);
        self.confidence += sum;
        self.squares += sum * confidence;
        self.confidence_of_right += if right { sum } else { 0.0 };
        // Rows come with rising confidence.
        self.lowest = self.lowest.or(Some(confidence));
        self.highest = confidence;
    }

    fn told(&self) -> Option<ReliabilityBin> {
        let rows = self.rows as f64;
        self.lowest.map(|lowest_confidence| ReliabilityBin {
            lowest_confidence,
            highest_confidence: self.highest,
            rows: self.rows,
            mean_confidence: self.confidence / rows,
            accuracy: self.right as f64 / rows,
        })
    }
}

fn calibration_error(bins: &[Bin]) -> f64 {
    let gaps: f64 = bins.iter().map(|bin| (bin.confidence - bin.right as f64).abs()).sum();
    gaps / count(bins)
}

fn brier_score(bins: &[Bin]) -> f64 {
    let sum: f64 =
        bins.iter().map(|bin| bin.squares - 2.0 * bin.confidence_of_right + bin.right as f64).sum();
    sum / count(bins)
}

fn count(bins: &[Bin]) -> f64 {
    bins.iter().map(|bin| bin.rows).sum::<u64>() as f64
}

struct Decomposition {
    reliability: f64,
    resolution: f64,
    uncertainty: f64,
    within_bins: f64,
}

fn decompose(bins: &[Bin]) -> Decomposition {
    let rows = count(bins);
    let base_rate = bins.iter().map(|bin| bin.right).sum::<u64>() as f64 / rows;
    let mean = |of_bin: &dyn Fn(f64, &Bin) -> f64| {
        let filled = bins.iter().filter(|bin| bin.rows > 0);
        filled.map(|bin| of_bin(bin.rows as f64, bin)).sum::<f64>() / rows
    };
    Decomposition {
        reliability: mean(&|rows, bin| (bin.confidence - bin.right as f64).powi(2) / rows),
        resolution: mean(&|rows, bin| rows * (bin.right as f64 / rows - base_rate).powi(2)),
        uncertainty: base_rate * (1.0 - base_rate),
        within_bins: mean(&|rows, bin| {
            let variance = bin.squares - bin.confidence.powi(2) / rows;
            let covariance = bin.confidence_of_right - bin.confidence * bin.right as f64 / rows;
            variance - 2.0 * covariance
        }),
    }
}

/// A point of a reliability diagram.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReliabilityBin {
    /// The lowest confidence of its rows.
    pub lowest_confidence: f64,
    /// The highest confidence of its rows.
    pub highest_confidence: f64,
    /// How many rows it has, at least one.
    pub rows: u64,
    /// The mean confidence of its rows.
    pub mean_confidence: f64,
    /// The share of its rows that are right.
    pub accuracy: f64,
}

/// Figures of confidence, each a number or an estimate.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CalibrationFigures<T> {
    /// Mean gap between confidence and accuracy over bins of equal width, weighted by their rows (ECE), 0..=1.
    pub expected_calibration_error: T,
    /// The same over bins of equal mass (adaptive ECE), 0..=1.
    pub adaptive_calibration_error: T,
    /// Brier score of the top label, 0..=1.
    pub top_label_brier_score: T,
    /// Mean squared gap between confidence and accuracy over the bins; the less the better.
    pub reliability: T,
    /// Variance of accuracy between the bins; the more the better.
    pub resolution: T,
    /// Variance of being right, which no confidence changes.
    pub uncertainty: T,
    /// Variance of confidence less twice its covariance with being right, both within the bins.
    pub within_bins: T,
}

impl<T> CalibrationFigures<T> {
    /// The same figures as something else, taken one after the other.
    pub fn map<U>(self, figure: &mut impl FnMut(T) -> U) -> CalibrationFigures<U> {
        CalibrationFigures {
            expected_calibration_error: figure(self.expected_calibration_error),
            adaptive_calibration_error: figure(self.adaptive_calibration_error),
            top_label_brier_score: figure(self.top_label_brier_score),
            reliability: figure(self.reliability),
            resolution: figure(self.resolution),
            uncertainty: figure(self.uncertainty),
            within_bins: figure(self.within_bins),
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

    /// Two labels; the first has the confidence, and is the gold label if the row is right.
    fn calibration(rows: &[(f64, bool)]) -> Calibration {
        let gold = rows.iter().map(|(_, right)| usize::from(!right)).collect();
        let probabilities = rows.iter().flat_map(|(confidence, _)| [*confidence, 1.0 - confidence]).collect();
        Calibration::new(&SingleLabel::new(2, gold, probabilities, vec![0; rows.len()]).unwrap())
    }

    const ROWS: [(f64, bool); 6] =
        [(0.95, true), (0.94, false), (0.7, true), (0.68, true), (0.55, false), (1.0, true)];

    #[test]
    fn expected_calibration_error_is_that_of_torchmetrics() {
        /* torchmetrics 1.9.0:
        import torch
        from torchmetrics.functional.classification import binary_calibration_error
        confidence = torch.tensor([.95, .94, .7, .68, .55, .999], dtype=torch.float64)
        right = torch.tensor([1, 0, 1, 1, 0, 1])
        print(float(binary_calibration_error(confidence, right, n_bins=15, norm="l1")))
        */
        let mut rows = ROWS;
        rows[5].0 = 0.999;
        let found = calibration(&rows).figures(&Weights::ones(6));
        close(found.expected_calibration_error, 0.343_166_666_666_666_7);
    }

    #[test]
    fn upper_edge_belongs_to_a_bin() {
        let bins: Vec<u8> = [0.0, 1.0 / 15.0, 0.067, 0.2, 0.6, 0.600_001, 1.0].map(equal_width_bin).to_vec();
        assert_eq!(bins, [0, 0, 1, 2, 8, 9, 14]);
    }

    #[test]
    fn bins_of_equal_mass_keep_ties_together() {
        let mut rows: Vec<(f64, bool)> =
            (0..30).map(|row| (0.6 + f64::from(row) / 100.0, row % 2 == 0)).collect();
        let sizes = |rows: &[(f64, bool)]| -> Vec<u64> {
            let bins = calibration(rows).equal_mass_bins(&Weights::ones(rows.len()));
            bins.iter().map(|bin| bin.rows).collect()
        };
        assert_eq!(sizes(&rows), [2; 15]);
        for row in &mut rows[3..9] {
            row.0 = 0.63;
        }
        // The six tied rows start in the second bin, and so all are in it.
        assert_eq!(sizes(&rows), [[2, 7, 1].as_slice(), &[2; 10]].concat());
    }

    #[test]
    fn diagram_shows_confidence_and_accuracy() {
        let bins = calibration(&ROWS).equal_width_bins(&Weights::ones(6));
        assert_eq!(bins.iter().map(|bin| bin.rows).collect::<Vec<_>>(), [1, 2, 3]);
        close(bins[1].mean_confidence, 0.69);
        close(bins[1].accuracy, 1.0);
        close(bins[2].accuracy, 2.0 / 3.0);
        close(bins[2].lowest_confidence, 0.94);
        close(bins[2].highest_confidence, 1.0);
    }

    #[test]
    fn no_rows_are_not_calibrated() {
        let none = calibration(&[]);
        let found = none.figures(&Weights::ones(0));
        assert!(found.expected_calibration_error.is_nan());
        assert!(found.within_bins.is_nan());
        assert_eq!(none.equal_mass_bins(&Weights::ones(0)), []);
    }

    proptest! {
        #[test]
        fn parts_of_the_brier_score_add_up(problem in single_label()) {
            let weights = Weights::ones(problem.rows());
            let found = Calibration::new(&problem).figures(&weights);
            let sum = found.reliability - found.resolution + found.uncertainty + found.within_bins;
            let score = |row| {
                let (label, confidence) = problem.top_label(row);
                (confidence - f64::from(u8::from(label == problem.gold()[row]))).powi(2)
            };
            let score = weights.mean(&(0..problem.rows()).map(score).collect::<Vec<_>>());
            prop_assert!(problem.rows() == 0 || (sum - score).abs() < 1e-12, "{sum} is not {score}");
            prop_assert!(problem.rows() == 0 || (found.top_label_brier_score - score).abs() < 1e-12);
        }

        #[test]
        fn calibration_errors_are_shares(problem in single_label()) {
            let found = Calibration::new(&problem).figures(&Weights::ones(problem.rows()));
            for error in [found.expected_calibration_error, found.adaptive_calibration_error] {
                prop_assert!(problem.rows() == 0 || (-1e-12..=1.0 + 1e-12).contains(&error));
            }
        }
    }
}
