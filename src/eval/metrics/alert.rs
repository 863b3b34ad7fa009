//! Whether rows that matter stand out, where people can look at a few of all rows only.

use super::weights::Weights;

/// Per cent of the rows that a person can look at when alarms are raised.
const FLAGGED_PERCENT: u64 = 15;

/// Rows by falling alarm, with whether they matter.
#[derive(Debug, Clone)]
pub struct Alerts {
    rows: Vec<(u32, bool)>,
}

impl Alerts {
    /// Sorts rows, each an alarm and whether it matters.
    ///
    /// # Panics
    /// If there are 2^32 rows or more.
    pub fn new(alarms: &[(f64, bool)]) -> Self {
        let mut rows = super::ranking::row_numbers(alarms.len());
        // Of rows with one alarm those that do not matter come first, so that ties flatter nobody.
        rows.sort_by(|a, b| {
            let ((a, a_matters), (b, b_matters)) = (alarms[*a as usize], alarms[*b as usize]);
            b.total_cmp(&a).then(a_matters.cmp(&b_matters))
        });
        Self { rows: rows.into_iter().map(|row| (row, alarms[row as usize].1)).collect() }
    }

    /// How many rows matter.
    pub fn rows_that_matter(&self) -> usize {
        self.rows.iter().filter(|(_, matters)| *matters).count()
    }

    /// How many of the rows that matter are among the 15 % with the highest alarm; NaN if none matters, or if 15 % are no
    /// row.
    ///
    /// ```
    /// use jiesu::eval::metrics::{Alerts, Weights};
    ///
    /// let mut alarms = vec![(0.2, false); 18];
    /// alarms.extend([(0.9, true), (0.1, true)]);
    /// assert_eq!(Alerts::new(&alarms).recall(&Weights::ones(20)), 0.5);
    /// ```
    pub fn recall(&self, weights: &Weights) -> f64 {
        let mut left = weights.total() * FLAGGED_PERCENT / 100;
        if left == 0 {
            return f64::NAN;
        }
        let (mut found, mut all) = (0, 0);
        for (row, matters) in &self.rows {
            let copies = weights.of(*row);
            let flagged = copies.min(left);
            left -= flagged;
            if *matters {
                found += flagged;
                all += copies;
            }
        }
        found as f64 / all as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_flatter_nobody() {
        let mut alarms = vec![(0.5, false); 19];
        alarms.push((0.5, true));
        assert!(Alerts::new(&alarms).recall(&Weights::ones(20)).abs() < 1e-12);
    }

    #[test]
    fn weights_are_copies_of_rows() {
        let alerts = Alerts::new(&[(0.9, true), (0.8, false), (0.1, true)]);
        // Three of twenty are looked at: the first row's copies.
        assert!((alerts.recall(&Weights::new(vec![2, 16, 2])) - 0.5).abs() < 1e-12);
        assert!((alerts.recall(&Weights::new(vec![4, 12, 4])) - 3.0 / 8.0).abs() < 1e-12);
        assert!(Alerts::new(&[(0.9, false)]).recall(&Weights::ones(1)).is_nan());
    }
}
