//! Bootstrap intervals: how far a figure may be from that of other rows like these.
//!
//! Rows are drawn with replacement within strata, as many as there are (Efron and Tibshirani 1993). A stratum of a few rows
//! would hardly vary, and that of one row not at all, so that a figure of it would look certain: strata of fewer than 10
//! rows are drawn from together. The interval is the
//! percentile interval of 95 %, between the quantiles 0.025 and 0.975 of the figure over the resamples (interpolated
//! linearly, as `numpy.quantile` does).

use std::collections::BTreeMap;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::Serialize;

use super::weights::Weights;

/// A smaller stratum is none of its own.
const MIN_STRATUM_ROWS: usize = 10;

/// Resamples of rows: the same for the same strata and seed, on any number of threads.
#[derive(Debug, Clone)]
pub struct Resamples {
    rows: usize,
    strata: Vec<Vec<u32>>,
    count: usize,
    seed: u64,
}

impl Resamples {
    /// Resamples of rows of which each is in a stratum, such as its gold label; one stratum for all if they are alike.
    ///
    /// # Panics
    /// If there are 2^32 rows or more.
    pub fn new(strata: &[usize], resamples: usize, seed: u64) -> Self {
        let mut rows: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
        for (row, stratum) in super::ranking::row_numbers(strata.len()).into_iter().zip(strata) {
            rows.entry(*stratum).or_default().push(row);
        }
        let (mut strata, small): (Vec<_>, Vec<_>) =
            rows.into_values().partition(|rows| rows.len() >= MIN_STRATUM_ROWS);
        strata.push(small.concat());
        let rows = strata.iter().map(Vec::len).sum();
        Self { rows, strata, count: resamples, seed }
    }

    /// The number of rows that are resampled.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// A resample, by its number from 0.
    pub fn weights(&self, resample: usize) -> Weights {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(resample as u64);
        let mut weights = vec![0; self.rows];
        for stratum in &self.strata {
            // 32 bits are drawn on every machine, so that results are the same on all.
            let rows = stratum.len() as u32;
            for _ in 0..rows {
                weights[stratum[rng.random_range(0..rows) as usize] as usize] += 1;
            }
        }
        Weights::new(weights)
    }

    /// The figures of each resample, in parallel; any number of figures, but always as many.
    pub fn figures(&self, figures: impl Fn(&Weights) -> Vec<f64> + Sync) -> Vec<Vec<f64>> {
        (0..self.count).into_par_iter().map(|resample| figures(&self.weights(resample))).collect()
    }

    /// The figures of the rows as they are, each with its interval.
    pub fn estimates(&self, figures: impl Fn(&Weights) -> Vec<f64> + Sync) -> Vec<Estimate> {
        let values = figures(&Weights::ones(self.rows));
        let resampled = self.figures(figures);
        let estimate = |(figure, value): (usize, f64)| {
            Estimate::new(value, interval(resampled.iter().map(|figures| figures[figure])))
        };
        values.into_iter().enumerate().map(estimate).collect()
    }
}

/// A figure and its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// The figure of the rows as they are; `None` if they leave it undefined.
    pub value: Option<f64>,
    /// The lower end of the interval; `None` if the figure is undefined in most resamples.
    pub low: Option<f64>,
    /// The upper end of the interval.
    pub high: Option<f64>,
}

impl Estimate {
    fn new(value: f64, interval: Option<Interval>) -> Self {
        Self {
            value: Some(value).filter(|value| !value.is_nan()),
            low: interval.map(|interval| interval.low),
            high: interval.map(|interval| interval.high),
        }
    }
}

/// Where a figure lies in 95 % of the resamples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// The quantile 0.025.
    pub low: f64,
    /// The quantile 0.975.
    pub high: f64,
}

/// The 95 % percentile interval of a figure's values; `None` if at least half of them are NaN, for the figure is then
/// undefined in most resamples. Otherwise NaN values are left out.
pub fn interval(values: impl IntoIterator<Item = f64>) -> Option<Interval> {
    let (undefined, mut values): (Vec<f64>, Vec<f64>) = values.into_iter().partition(|value| value.is_nan());
    if undefined.len() >= values.len() {
        return None;
    }
    values.sort_by(f64::total_cmp);
    Some(Interval { low: quantile(&values, 0.025), high: quantile(&values, 0.975) })
}

/// A quantile of sorted values, at least one.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = (sorted.len() - 1) as f64 * share;
    #[expect(clippy::cast_sign_loss, reason = "a place in a list")]
    let below = place as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (sorted[above] - sorted[below]) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strata_keep_their_size_and_small_ones_are_one() {
        let strata: Vec<usize> = (0..25).map(|row| if row < 12 { 3 } else { row }).collect();
        let resamples = Resamples::new(&strata, 50, 7);
        let mut rare = std::collections::BTreeSet::new();
        for resample in 0..50 {
            let weights = resamples.weights(resample);
            assert_eq!(weights.total(), 25);
            assert_eq!(weights.as_slice()[..12].iter().sum::<u32>(), 12);
            rare.insert(weights.as_slice()[24]);
        }
        assert!(rare.contains(&0) && rare.contains(&2), "a row that is alone in its stratum varies too");
        assert_ne!(resamples.weights(0), resamples.weights(1));
    }

    #[test]
    fn resamples_do_not_depend_on_threads() {
        let resamples = Resamples::new(&[0; 100], 64, 1);
        let first = |weights: &Weights| vec![f64::from(weights.as_slice()[0])];
        let in_pool = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| resamples.figures(first))
        };
        assert_eq!(in_pool(1), in_pool(4));
        let other_seed = Resamples::new(&[0; 100], 64, 2);
        assert_ne!(resamples.figures(first), other_seed.figures(first));
    }

    #[test]
    fn interval_is_that_of_numpy() {
        // numpy 2.4.6: np.quantile([3.0, 1.0, 2.0, 7.0, 5.0], [0.025, 0.975])
        let found = interval([3.0, 1.0, f64::NAN, 2.0, 7.0, 5.0]).unwrap();
        assert!((found.low - 1.1).abs() < 1e-12, "{found:?}");
        assert!((found.high - 6.8).abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn figure_that_is_undefined_in_most_resamples_has_no_interval() {
        assert_eq!(interval([1.0, f64::NAN]), None);
        assert_eq!(interval([]), None);
        assert_eq!(interval([1.0]), Some(Interval { low: 1.0, high: 1.0 }));
    }

    #[test]
    fn interval_of_a_mean_is_that_of_theory() {
        // 400 rows of which half are 1: the standard error of the mean is 0.025, the interval ±1.96 of it.
        let values: Vec<f64> = (0..400).map(|row| f64::from(row % 2)).collect();
        let resamples = Resamples::new(&[0; 400], 4000, 3);
        let estimates = resamples.estimates(|weights| vec![weights.mean(&values), f64::NAN]);
        assert_eq!(estimates[0].value, Some(0.5));
        assert!((estimates[0].low.unwrap() - 0.451).abs() < 0.004, "{estimates:?}");
        assert!((estimates[0].high.unwrap() - 0.549).abs() < 0.004, "{estimates:?}");
        assert_eq!(estimates[1], Estimate { value: None, low: None, high: None });
    }
}
