//! How often each row counts.

/// Copies of each row: all ones for the rows as they are, draws of a bootstrap for a resample of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weights {
    of_rows: Vec<u32>,
    total: u64,
}

impl Weights {
    /// Every row once.
    pub fn ones(rows: usize) -> Self {
        Self { of_rows: vec![1; rows], total: rows as u64 }
    }

    /// Row i as often as the i-th number says.
    pub fn new(of_rows: Vec<u32>) -> Self {
        let total = of_rows.iter().map(|copies| u64::from(*copies)).sum();
        Self { of_rows, total }
    }

    /// How often each row counts.
    pub fn as_slice(&self) -> &[u32] {
        &self.of_rows
    }

    /// The number of rows, copies counted.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The mean of a value of each row; NaN without rows.
    ///
    /// # Panics
    /// If there is not one value a row.
    pub fn mean(&self, values: &[f64]) -> f64 {
        assert_eq!(values.len(), self.of_rows.len(), "one value a row");
        let sum: f64 =
            self.of_rows.iter().zip(values).map(|(copies, value)| f64::from(*copies) * value).sum();
        sum / self.total as f64
    }

    /// The share of copies of the rows that a predicate holds for; NaN without rows.
    pub(super) fn share(&self, holds: impl Fn(usize) -> bool) -> f64 {
        let copies: u64 = self
            .of_rows
            .iter()
            .enumerate()
            .map(|(row, copies)| u64::from(*copies) * u64::from(holds(row)))
            .sum();
        copies as f64 / self.total as f64
    }

    /// How often a row counts.
    pub(super) fn of(&self, row: u32) -> u64 {
        u64::from(self.of_rows[row as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_counts_copies() {
        let weights = Weights::new(vec![2, 0, 1]);
        assert_eq!(weights.total(), 3);
        assert!((weights.mean(&[1.0, 100.0, 4.0]) - 2.0).abs() < 1e-12);
        assert!((weights.share(|row| row == 0) - 2.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn no_rows_have_no_mean() {
        assert!(Weights::ones(0).mean(&[]).is_nan());
        assert!(Weights::new(vec![0, 0]).mean(&[1.0, 2.0]).is_nan());
    }
}
