//! Sets of labels that hold the gold label with a given probability (split conformal prediction).
//!
//! A label's score is 1 - its probability (Sadinle, Lei and Wasserman 2019, "LAC"). Half of the rows calibrate: the
//! threshold is their ⌈(n+1)·level⌉-th lowest score of a gold label, and a row's set has the labels with at most that
//! score. If there are too few rows for the level, it has every label. Coverage and mean set size are those of the other
//! half. Marginal thresholds are one for all labels; class-conditional ones are each label's own, from the rows that
//! have it (Mondrian; Vovk 2012).
//!
//! The figures are means over 20 seeded splits, which keep each label's rows even. Copies of a row are in the same half,
//! so that resampling lets nothing through from one to the other. Rows whose gold label the head does not have are left
//! out. Doubling all rows moves thresholds a little, for the rank has n+1.

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

mod label_order;

use self::label_order::LabelOrder;
use super::problem::SingleLabel;
use super::ranking::row_numbers;
use super::weights::Weights;

const SPLITS: usize = 20;

/// What the sets are: whether each label has a threshold of its own, and the level in per cent.
const SETTINGS: [(bool, u64); 4] = [(false, 90), (false, 95), (true, 90), (true, 95)];

/// A problem, split and sorted.
///
/// Resampling moves thresholds only a little. So the set sizes of the rows as they are serve all resamples, and only
/// the labels between the old and the new threshold are counted anew.
#[derive(Debug, Clone)]
pub struct Conformal<'a> {
    problem: &'a SingleLabel,
    /// The bit of each split in which a row is in the testing half.
    testing: Vec<u32>,
    /// Rows with a known label, by the probability of their gold label, lowest first.
    ascending: Vec<(f64, u32)>,
    /// The same for each gold label.
    of_label: Vec<Vec<(f64, u32)>>,
    /// Rows with a known label, in the order of each label's probability.
    orders: Vec<LabelOrder>,
    splits: Vec<Split>,
}

/// The testing half of a split, and the sets of its rows if no row is resampled.
#[derive(Debug, Clone)]
struct Split {
    rows: Vec<u32>,
    /// Of each row, in each setting.
    set_sizes: Vec<[u32; 4]>,
    thresholds: [Vec<f64>; 4],
    /// How many rows have each label in their set, the first ones in its order.
    cuts: [Vec<usize>; 4],
}

/// How many rows of each label are in the testing half of each split, and in both halves.
struct LabelRows {
    testing: Vec<[u64; SPLITS]>,
    all: Vec<u64>,
}

impl<'a> Conformal<'a> {
    /// Splits a problem's rows; the seed decides how.
    pub fn new(problem: &'a SingleLabel, seed: u64) -> Self {
        let mut of_label = vec![Vec::new(); problem.num_labels()];
        for row in row_numbers(problem.rows()) {
            if let Some(rows) = of_label.get_mut(problem.gold()[row as usize]) {
                rows.push((problem.gold_probability(row as usize), row));
            }
        }
        let testing = split(&of_label, problem.rows(), seed);
        for rows in &mut of_label {
            rows.sort_by(|a, b| a.0.total_cmp(&b.0));
        }
        let mut ascending = of_label.concat();
        ascending.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut known: Vec<u32> = ascending.iter().map(|(_, row)| *row).collect();
        known.sort_unstable();
        let orders = (0..problem.num_labels()).map(|label| LabelOrder::new(problem, label, known.clone()));
        let orders = orders.collect();
        let mut conformal = Self { problem, testing, ascending, of_label, orders, splits: Vec::new() };
        let weights = Weights::ones(problem.rows());
        let counts = conformal.label_rows(&weights);
        conformal.splits =
            (0..SPLITS).map(|split| conformal.sets_of(split, &known, &weights, &counts)).collect();
        conformal
    }

    /// How many splits there are.
    pub fn splits(&self) -> usize {
        SPLITS
    }

    /// The rows of a split's testing half, ascending; the other rows with a known label calibrate.
    pub fn testing_rows(&self, split: usize) -> &[u32] {
        &self.splits[split].rows
    }

    /// The figures of weighted rows; NaN without rows in a testing half.
    pub fn figures(&self, weights: &Weights) -> ConformalFigures<f64> {
        let counts = self.label_rows(weights);
        let (mut sums, mut splits) = ([PredictionSets { coverage: 0.0, mean_set_size: 0.0 }; 4], 0.0);
        for split in 0..SPLITS {
            let rows: u64 = counts.testing.iter().map(|of_label| of_label[split]).sum();
            if rows == 0 {
                continue;
            }
            splits += 1.0;
            let base = self.splits[split].set_sizes(weights);
            for (setting, sum) in sums.iter_mut().enumerate() {
                let thresholds = self.thresholds(split, setting, weights, &counts);
                let missed = self.missed(split, &thresholds, weights);
                let more = self.more_labels(split, setting, &thresholds, weights, rows);
                sum.coverage += (rows - missed) as f64 / rows as f64;
                sum.mean_set_size += (base[setting].cast_signed() + more) as f64 / rows as f64;
            }
        }
        let [marginal_90, marginal_95, class_conditional_90, class_conditional_95] =
            sums.map(|sum| sum.map(&mut |sum| sum / splits));
        ConformalFigures { marginal_90, marginal_95, class_conditional_90, class_conditional_95 }
    }

    fn label_rows(&self, weights: &Weights) -> LabelRows {
        let mut counts = LabelRows { testing: Vec::new(), all: Vec::new() };
        for rows in &self.of_label {
            let (mut testing, mut all) = ([0; SPLITS], 0);
            for (_, row) in rows {
                let copies = weights.of(*row);
                let bits = self.testing[*row as usize];
                all += copies;
                for (split, testing) in testing.iter_mut().enumerate() {
                    *testing += copies * u64::from(bits >> split & 1);
                }
            }
            counts.testing.push(testing);
            counts.all.push(all);
        }
        counts
    }

    /// The lowest probability that each label needs to be in a set.
    fn thresholds(&self, split: usize, setting: usize, weights: &Weights, counts: &LabelRows) -> Vec<f64> {
        let (class_conditional, percent) = SETTINGS[setting];
        let calibrating = counts.all.iter().zip(&counts.testing).map(|(all, testing)| all - testing[split]);
        if class_conditional {
            let of_label = self.of_label.iter().zip(calibrating);
            of_label.map(|(rows, count)| self.threshold(rows, split, count, percent, weights)).collect()
        } else {
            let threshold = self.threshold(&self.ascending, split, calibrating.sum(), percent, weights);
            vec![threshold; self.of_label.len()]
        }
    }

    /// The probability with the rank that the level asks for, among the `count` rows that calibrate.
    fn threshold(
        &self,
        ascending: &[(f64, u32)],
        split: usize,
        count: u64,
        percent: u64,
        weights: &Weights,
    ) -> f64 {
        let rank = ((count + 1) * percent).div_ceil(100);
        let mut so_far = 0;
        let reached = ascending.iter().find(|(_, row)| {
            so_far += weights.of(*row) * (1 - self.in_testing(*row, split));
            // The rank is from the highest probability down.
            so_far + rank > count
        });
        match reached {
            Some((probability, _)) if rank <= count => *probability,
            _ => f64::NEG_INFINITY,
        }
    }

    /// How many testing rows have a gold label that is not in their set.
    fn missed(&self, split: usize, thresholds: &[f64], weights: &Weights) -> u64 {
        let of_labels = self.of_label.iter().zip(thresholds).map(|(rows, threshold)| {
            let below = rows.iter().take_while(|(probability, _)| probability < threshold);
            below.map(|(_, row)| weights.of(*row) * self.in_testing(*row, split)).sum::<u64>()
        });
        of_labels.sum()
    }

    /// How many more labels the testing rows' sets have under these thresholds than under those of no resampling.
    fn more_labels(
        &self,
        split: usize,
        setting: usize,
        thresholds: &[f64],
        weights: &Weights,
        rows: u64,
    ) -> i64 {
        let Split { thresholds: old, cuts, .. } = &self.splits[split];
        let mut more = 0;
        for (label, threshold) in thresholds.iter().enumerate() {
            if threshold.total_cmp(&old[setting][label]).is_eq() {
                continue;
            }
            let order = &self.orders[label];
            let cut = order.cut(self.problem, *threshold);
            let copies = |row| weights.of(row) * self.in_testing(row, split);
            more += order.growth(cuts[setting][label], cut, rows, copies);
        }
        more
    }

    /// 1 in the testing half, 0 in the other; a factor, since a branch on the toss of a coin is slow.
    fn in_testing(&self, row: u32, split: usize) -> u64 {
        u64::from(self.testing[row as usize] >> split & 1)
    }

    fn sets_of(&self, split: usize, known: &[u32], weights: &Weights, counts: &LabelRows) -> Split {
        let thresholds: [Vec<f64>; 4] =
            std::array::from_fn(|setting| self.thresholds(split, setting, weights, counts));
        let rows: Vec<u32> = known.iter().copied().filter(|row| self.in_testing(*row, split) == 1).collect();
        let set_size = |row: u32, thresholds: &[f64]| {
            let probabilities = self.problem.probabilities(row as usize).iter();
            probabilities.zip(thresholds).filter(|(probability, threshold)| probability >= threshold).count()
                as u32
        };
        Split {
            set_sizes: rows
                .iter()
                .map(|row| thresholds.each_ref().map(|thresholds| set_size(*row, thresholds)))
                .collect(),
            cuts: thresholds.each_ref().map(|of_labels| {
                of_labels
                    .iter()
                    .enumerate()
                    .map(|(label, at)| self.orders[label].cut(self.problem, *at))
                    .collect()
            }),
            rows,
            thresholds,
        }
    }
}

impl Split {
    /// The summed sizes of the sets of no resampling.
    fn set_sizes(&self, weights: &Weights) -> [u64; 4] {
        let mut sums = [0; 4];
        for (row, sizes) in self.rows.iter().zip(&self.set_sizes) {
            let copies = weights.of(*row);
            for (sum, size) in sums.iter_mut().zip(sizes) {
                *sum += copies * u64::from(*size);
            }
        }
        sums
    }
}

/// Splits the rows of each label into halves; of an odd number either half may get the one more.
fn split(of_label: &[Vec<(f64, u32)>], rows: usize, seed: u64) -> Vec<u32> {
    let mut testing = vec![0; rows];
    for split in 0..SPLITS {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        // The streams from 0 up are those of bootstrap resamples.
        rng.set_stream(u64::MAX - split as u64);
        for rows in of_label {
            let mut rows: Vec<u32> = rows.iter().map(|(_, row)| *row).collect();
            rows.shuffle(&mut rng);
            let half = rows.len() / 2 + rows.len() % 2 * usize::from(rng.random::<bool>());
            for row in &rows[..half] {
                testing[*row as usize] |= 1 << split;
            }
        }
    }
    testing
}

/// Figures of prediction sets, each a number or an estimate.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConformalFigures<T> {
    /// One threshold for all labels, level 0.90.
    pub marginal_90: PredictionSets<T>,
    /// One threshold for all labels, level 0.95.
    pub marginal_95: PredictionSets<T>,
    /// A threshold for each label, level 0.90.
    pub class_conditional_90: PredictionSets<T>,
    /// A threshold for each label, level 0.95.
    pub class_conditional_95: PredictionSets<T>,
}

impl<T> ConformalFigures<T> {
    /// The same figures as something else, taken one after the other.
    pub fn map<U>(self, figure: &mut impl FnMut(T) -> U) -> ConformalFigures<U> {
        ConformalFigures {
            marginal_90: self.marginal_90.map(figure),
            marginal_95: self.marginal_95.map(figure),
            class_conditional_90: self.class_conditional_90.map(figure),
            class_conditional_95: self.class_conditional_95.map(figure),
        }
    }
}

/// Figures of the sets of one method and level.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PredictionSets<T> {
    /// Share of testing rows with their gold label in their set, 0..=1.
    pub coverage: T,
    /// Mean number of labels in a set, from 0 to the number of labels.
    pub mean_set_size: T,
}

impl<T> PredictionSets<T> {
    fn map<U>(self, figure: &mut impl FnMut(T) -> U) -> PredictionSets<U> {
        PredictionSets { coverage: figure(self.coverage), mean_set_size: figure(self.mean_set_size) }
    }
}

#[cfg(test)]
mod tests;
