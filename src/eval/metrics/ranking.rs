//! Rows in the order of a score, with the places where the score changes.

/// Rows sorted once by a score.
#[derive(Debug, Clone)]
pub(super) struct Ranking {
    /// Rows in order; of rows with one score the earlier first.
    pub(super) rows: Vec<u32>,
    /// Whether the row at a place is the last with its score.
    pub(super) last_of_tie: Vec<bool>,
}

impl Ranking {
    /// Lowest score first.
    pub(super) fn ascending(scores: &[f64]) -> Self {
        let mut rows = row_numbers(scores.len());
        rows.sort_by(|a, b| scores[*a as usize].total_cmp(&scores[*b as usize]));
        Self::of_sorted(rows, scores)
    }

    /// Highest score first.
    pub(super) fn descending(scores: &[f64]) -> Self {
        let mut rows = row_numbers(scores.len());
        rows.sort_by(|a, b| scores[*b as usize].total_cmp(&scores[*a as usize]));
        Self::of_sorted(rows, scores)
    }

    fn of_sorted(rows: Vec<u32>, scores: &[f64]) -> Self {
        let same = |pair: &[u32]| scores[pair[0] as usize].total_cmp(&scores[pair[1] as usize]).is_eq();
        let mut last_of_tie: Vec<bool> = rows.windows(2).map(|pair| !same(pair)).collect();
        last_of_tie.resize(rows.len(), true);
        Self { rows, last_of_tie }
    }

    /// Rows in order, each with whether it is the last with its score.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, bool)> + '_ {
        self.rows.iter().copied().zip(self.last_of_tie.iter().copied())
    }
}

/// All row numbers in order.
///
/// # Panics
/// If there are 2^32 rows or more.
pub(super) fn row_numbers(rows: usize) -> Vec<u32> {
    (0..u32::try_from(rows).expect("fewer than 2^32 rows")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_keep_the_order_of_rows() {
        let scores = [0.5, 0.9, 0.5, 0.1];
        assert_eq!(Ranking::ascending(&scores).rows, [3, 0, 2, 1]);
        let descending = Ranking::descending(&scores);
        assert_eq!(descending.rows, [1, 0, 2, 3]);
        assert_eq!(descending.last_of_tie, [true, false, true, true]);
    }

    #[test]
    fn no_rows_are_a_ranking() {
        assert_eq!(Ranking::ascending(&[]).iter().count(), 0);
    }
}
