//! How many rows of a label were right, how many have it and how many were given it: the diagonal and the margins of the
//! confusion matrix, which precision, recall, F1 and Matthews' coefficient need of it.
//!
//! The conventions are scikit-learn's:
//!
//! - precision = hits / predicted, recall = hits / support, F1 = 2·hits / (support + predicted); each is 0 where its
//!   denominator is 0.
//! - macro F1 is the mean over the labels that occur in the gold labels or among the decisions, as
//!   `f1_score(average="macro")` has it without `labels=`. Every gold label that the head does not have is a label.
//! - micro F1 pools the counts of all labels; with one label and one decision a row it equals accuracy.
//! - weighted F1 is the mean over labels, weighted by support.
//! - Matthews' correlation coefficient is Gorodkin's (2004) for many labels, in -1..=1; 0 if there is one label only.

use serde::Serialize;

/// Counts of one label: the three numbers that its precision, recall and F1 are made of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct LabelCounts {
    /// Rows that have the label and were given it.
    pub hits: u64,
    /// Rows that have the label.
    pub support: u64,
    /// Rows that were given the label.
    pub predicted: u64,
}

impl LabelCounts {
    /// Counts every label of rows that have one gold label and one decision, each below `num_labels`.
    ///
    /// # Panics
    /// If a label is not.
    pub fn of_rows(rows: impl IntoIterator<Item = (usize, usize)>, num_labels: usize) -> Vec<Self> {
        let mut counts = vec![Self::default(); num_labels];
        for (gold, decided) in rows {
            counts[gold].support += 1;
            counts[decided].predicted += 1;
            counts[gold].hits += u64::from(gold == decided);
        }
        counts
    }

    /// Share of the rows given the label that have it.
    pub fn precision(self) -> f64 {
        share(self.hits, self.predicted)
    }

    /// Share of the rows with the label that were given it.
    pub fn recall(self) -> f64 {
        share(self.hits, self.support)
    }

    /// Harmonic mean of precision and recall.
    pub fn f1(self) -> f64 {
        share(2 * self.hits, self.support + self.predicted)
    }

    fn occurs(self) -> bool {
        self.support + self.predicted > 0
    }
}

/// Mean F1 over the labels that occur; 0 if none does.
pub fn macro_f1(counts: &[LabelCounts]) -> f64 {
    let occurring: Vec<f64> = counts.iter().filter(|label| label.occurs()).map(|label| label.f1()).collect();
    ratio(occurring.iter().sum(), occurring.len() as f64)
}

/// F1 of the pooled counts of all labels.
pub fn micro_f1(counts: &[LabelCounts]) -> f64 {
    pooled(counts).f1()
}

/// Mean F1 over labels, each with the weight of its support; 0 without support.
pub(super) fn weighted_f1(counts: &[LabelCounts]) -> f64 {
    let weighted = counts.iter().map(|label| label.support as f64 * label.f1()).sum();
    ratio(weighted, pooled(counts).support as f64)
}

/// Gorodkin's generalization of Matthews' correlation coefficient; 0 if all rows have, or were given, one label.
pub(super) fn matthews_correlation(counts: &[LabelCounts]) -> f64 {
    // Whole numbers, since the differences cancel; the covariances are these divided by the square of the rows.
    let sum = |product: fn(&LabelCounts) -> (u64, u64)| -> i128 {
        counts.iter().map(product).map(|(left, right)| i128::from(left) * i128::from(right)).sum()
    };
    let LabelCounts { hits, support, .. } = pooled(counts);
    let (hits, rows) = (i128::from(hits), i128::from(support));
    let covariance = hits * rows - sum(|label| (label.support, label.predicted));
    let gold = rows * rows - sum(|label| (label.support, label.support));
    let predicted = rows * rows - sum(|label| (label.predicted, label.predicted));
    ratio(covariance as f64, (gold as f64).sqrt() * (predicted as f64).sqrt())
}

/// The counts of all labels together.
pub(super) fn pooled(counts: &[LabelCounts]) -> LabelCounts {
    counts.iter().fold(LabelCounts::default(), |sum, label| LabelCounts {
        hits: sum.hits + label.hits,
        support: sum.support + label.support,
        predicted: sum.predicted + label.predicted,
    })
}

fn share(part: u64, whole: u64) -> f64 {
    ratio(part as f64, whole as f64)
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole == 0.0 { 0.0 } else { part / whole }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(left: f64, right: f64) {
        assert!((left - right).abs() < 1e-12, "{left} is not {right}");
    }

    #[test]
    fn label_that_occurs_nowhere_does_not_count() {
        let right = LabelCounts { hits: 3, support: 3, predicted: 3 };
        close(macro_f1(&[right, LabelCounts::default()]), 1.0);
        close(macro_f1(&[LabelCounts::default()]), 0.0);
    }

    #[test]
    fn matthews_coefficient_is_exact_for_many_rows() {
        // A billion rows, all right, and all wrong: the products do not fit 53 bits.
        let half = 500_000_001;
        let right = LabelCounts { hits: half, support: half, predicted: half };
        close(matthews_correlation(&[right, right]), 1.0);
        let wrong = LabelCounts { hits: 0, ..right };
        close(matthews_correlation(&[wrong, wrong]), -1.0);
    }
}
