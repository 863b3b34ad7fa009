//! Rows in the order of one label's probability, to count again those above a threshold that moves a little.

use super::super::problem::SingleLabel;

/// How many rows there are to a landmark.
const STRIDE: usize = 16;

/// Rows by the probability of a label, highest first.
#[derive(Debug, Clone)]
pub(super) struct LabelOrder {
    label: usize,
    rows: Vec<u32>,
    /// The probability at each `STRIDE`-th place, so that a search stays in the cache.
    landmarks: Vec<f64>,
}

impl LabelOrder {
    pub(super) fn new(problem: &SingleLabel, label: usize, mut rows: Vec<u32>) -> Self {
        let probability = |row: &u32| problem.probabilities(*row as usize)[label];
        rows.sort_by(|a, b| probability(b).total_cmp(&probability(a)));
        let landmarks = rows.iter().step_by(STRIDE).map(probability).collect();
        Self { label, rows, landmarks }
    }

    /// How many rows give the label at least this probability; they are the first ones.
    pub(super) fn cut(&self, problem: &SingleLabel, threshold: f64) -> usize {
        let landmark = self.landmarks.partition_point(|probability| *probability >= threshold);
        let (from, to) = (landmark.saturating_sub(1) * STRIDE, (landmark * STRIDE).min(self.rows.len()));
        let reaches = |row: &u32| problem.probabilities(*row as usize)[self.label] >= threshold;
        from + self.rows[from..to].partition_point(reaches)
    }

    /// By how much the copies of the rows before a cut grow if the cut moves. `total` is the copies of all rows.
    pub(super) fn growth(&self, from: usize, to: usize, total: u64, copies: impl Fn(u32) -> u64) -> i64 {
        let end = self.rows.len();
        let sum = |from: usize, to: usize| -> i64 {
            self.rows[from..to].iter().map(|row| copies(*row)).sum::<u64>().cast_signed()
        };
        // From whichever end is nearer.
        let before =
            |cut: usize| if cut * 2 <= end { sum(0, cut) } else { total.cast_signed() - sum(cut, end) };
        let to_the_ends = from.min(end - from) + to.min(end - to);
        match from.abs_diff(to) {
            between if between > to_the_ends => before(to) - before(from),
            _ if from < to => sum(from, to),
            _ => -sum(to, from),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hundred rows, of which the n-th gives the label n percent, and ties.
    fn order() -> (SingleLabel, LabelOrder) {
        let probabilities = (0..100).map(|row| f64::from(row / 2) / 50.0).collect();
        let problem = SingleLabel::new(1, vec![0; 100], probabilities, vec![0; 100]).unwrap();
        let order = LabelOrder::new(&problem, 0, (0..100).collect());
        (problem, order)
    }

    #[test]
    fn cut_is_the_number_of_rows_that_reach_a_threshold() {
        let (problem, order) = order();
        for threshold in (-1..=102).map(|percent| f64::from(percent) / 100.0).chain([f64::NEG_INFINITY]) {
            let reach = (0..100).filter(|row| problem.probabilities(*row)[0] >= threshold).count();
            assert_eq!(order.cut(&problem, threshold), reach, "{threshold}");
        }
        let none = LabelOrder::new(&problem, 0, Vec::new());
        assert_eq!(none.cut(&problem, 0.5), 0);
    }

    #[test]
    fn growth_does_not_depend_on_where_it_is_counted_from() {
        let (_, order) = order();
        let copies = |row: u32| u64::from(row % 3);
        let before = |cut: usize| order.rows[..cut].iter().map(|row| copies(*row)).sum::<u64>().cast_signed();
        let total = before(100).unsigned_abs();
        for (from, to) in [(0, 100), (100, 0), (3, 98), (98, 3), (40, 45), (45, 40), (7, 7)] {
            assert_eq!(order.growth(from, to, total, copies), before(to) - before(from), "{from} to {to}");
        }
    }
}
