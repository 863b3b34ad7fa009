//! Figures that are a ratio of two sums over rows: the share of accepted rows that are wrong, the recall of lists.

use super::weights::Weights;

/// What each row adds to the sum above the line, and to the one below.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ratio {
    part: Vec<u32>,
    whole: Vec<u32>,
}

impl Ratio {
    /// The sums of what each row adds.
    ///
    /// ```
    /// use jiesu::eval::metrics::{Ratio, Weights};
    ///
    /// // Of the departments that help, 2 of 2 are found in the one row, 0 of 1 in the other.
    /// let recall = Ratio::new([(2, 2), (0, 1)]);
    /// assert_eq!(recall.figure(&Weights::ones(2)), 2.0 / 3.0);
    /// ```
    pub fn new(rows: impl IntoIterator<Item = (u32, u32)>) -> Self {
        let (part, whole) = rows.into_iter().unzip();
        Self { part, whole }
    }

    /// Of the rows that count the share of those that something holds for; none where a row does not count.
    pub fn share(rows: impl IntoIterator<Item = Option<bool>>) -> Self {
        let of_row = |holds: Option<bool>| holds.map_or((0, 0), |holds| (u32::from(holds), 1));
        Self::new(rows.into_iter().map(of_row))
    }

    /// How many rows have something below the line.
    pub fn rows(&self) -> usize {
        self.whole.iter().filter(|whole| **whole > 0).count()
    }

    /// The ratio of weighted rows; NaN if nothing is below the line.
    ///
    /// # Panics
    /// If the weights are not of these rows.
    pub fn figure(&self, weights: &Weights) -> f64 {
        assert_eq!(weights.as_slice().len(), self.part.len(), "one weight a row");
        let sum = |values: &[u32]| -> u64 {
            let rows = weights.as_slice().iter().zip(values);
            rows.map(|(copies, value)| u64::from(*copies) * u64::from(*value)).sum()
        };
        sum(&self.part) as f64 / sum(&self.whole) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_do_not_count_are_in_neither_sum() {
        let share = Ratio::share([Some(true), None, Some(false), Some(true)]);
        assert_eq!(share.rows(), 3);
        assert!((share.figure(&Weights::ones(4)) - 2.0 / 3.0).abs() < 1e-12);
        assert!((share.figure(&Weights::new(vec![0, 9, 1, 1])) - 0.5).abs() < 1e-12);
        assert!(Ratio::share([None]).figure(&Weights::ones(1)).is_nan());
    }
}
