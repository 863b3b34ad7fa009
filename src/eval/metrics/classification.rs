//! Figures of decisions for labels that exclude each other.
//!
//! The conventions of `counts` hold; every gold label that the head does not have is a label of its own.
//! Top-k accuracy takes of equally probable labels the one with the lower number first (scikit-learn: the higher), and a
//! label with the probability 0 is among none.

use serde::Serialize;

use super::counts::{LabelCounts, macro_f1, matthews_correlation, micro_f1, pooled, weighted_f1};
use super::problem::SingleLabel;
use super::weights::Weights;

/// A problem, ready for its decisions to be counted.
#[derive(Debug, Clone)]
pub struct Classification {
    /// The head's labels by their numbers, then the gold labels that it does not have.
    labels: Vec<usize>,
    /// Places in `labels`.
    gold: Vec<u32>,
    decided: Vec<u32>,
    /// How many labels stand before the gold label when they are ranked by probability.
    gold_rank: Vec<u32>,
}

impl Classification {
    /// Ranks the gold labels of a problem.
    pub fn new(problem: &SingleLabel) -> Self {
        let known = problem.num_labels();
        let mut unknown: Vec<usize> =
            problem.gold().iter().copied().filter(|label| *label >= known).collect();
        unknown.sort_unstable();
        unknown.dedup();
        let place = |label: usize| match unknown.binary_search(&label) {
            Ok(place) => known + place,
            Err(_) => label,
        };
        Self {
            gold: problem.gold().iter().map(|label| place(*label) as u32).collect(),
            decided: problem.decided().iter().map(|label| *label as u32).collect(),
            gold_rank: (0..problem.rows()).map(|row| gold_rank(problem, row)).collect(),
            labels: (0..known).chain(unknown.iter().copied()).collect(),
        }
    }

    /// The counts of each label: the head's by their numbers, then the gold labels that it does not have.
    ///
    /// # Panics
    /// If the weights are not of the problem's rows.
    pub fn counts(&self, weights: &Weights) -> Vec<LabelCounts> {
        assert_eq!(weights.as_slice().len(), self.gold.len(), "one weight a row");
        let mut counts = vec![LabelCounts::default(); self.labels.len()];
        for ((&gold, &decided), &copies) in self.gold.iter().zip(&self.decided).zip(weights.as_slice()) {
            let copies = u64::from(copies);
            counts[gold as usize].support += copies;
            counts[decided as usize].predicted += copies;
            counts[gold as usize].hits += copies * u64::from(gold == decided);
        }
        counts
    }

    /// Share of rows whose gold label is among the `k` most probable ones; NaN without rows.
    pub fn top_k_accuracy(&self, k: u32, weights: &Weights) -> f64 {
        weights.share(|row| self.gold_rank[row] < k)
    }

    /// Accuracy and macro F1 of weighted rows.
    ///
    /// # Panics
    /// If the weights are not of the problem's rows.
    pub fn accuracy_and_macro_f1(&self, weights: &Weights) -> [f64; 2] {
        let counts = self.counts(weights);
        [pooled(&counts).hits as f64 / weights.total() as f64, macro_f1(&counts)]
    }

    /// The figures of weighted rows.
    ///
    /// # Panics
    /// If the weights are not of the problem's rows.
    pub fn figures(&self, weights: &Weights) -> ClassificationFigures<f64> {
        let counts = self.counts(weights);
        ClassificationFigures {
            accuracy: pooled(&counts).hits as f64 / weights.total() as f64,
            macro_f1: macro_f1(&counts),
            micro_f1: micro_f1(&counts),
            weighted_f1: weighted_f1(&counts),
            matthews_correlation: matthews_correlation(&counts),
            top_3_accuracy: self.top_k_accuracy(3, weights),
            top_5_accuracy: self.top_k_accuracy(5, weights),
            labels: self
                .labels
                .iter()
                .zip(counts)
                .map(|(label, counts)| LabelFigures::new(*label, counts))
                .collect(),
        }
    }
}

fn gold_rank(problem: &SingleLabel, row: usize) -> u32 {
    let probabilities = problem.probabilities(row);
    let gold = problem.gold()[row];
    // What is impossible is no answer, though rules leave most labels so.
    let Some(of_gold) = probabilities.get(gold).filter(|probability| **probability > 0.0) else {
        return u32::MAX;
    };
    let before = |(label, probability): (usize, &f64)| {
        probability > of_gold || (label < gold && probability.total_cmp(of_gold).is_eq())
    };
    probabilities.iter().enumerate().filter(|label| before(*label)).count() as u32
}

/// Figures of decisions, each a number or an estimate.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassificationFigures<T> {
    /// Share of rows that are right, 0..=1.
    pub accuracy: T,
    /// Mean F1 over the labels that occur, 0..=1.
    pub macro_f1: T,
    /// F1 of the pooled counts, 0..=1.
    pub micro_f1: T,
    /// Mean F1 over labels, weighted by support, 0..=1.
    pub weighted_f1: T,
    /// Matthews' correlation coefficient, -1..=1.
    pub matthews_correlation: T,
    /// Share of rows whose gold label is among the three most probable ones, 0..=1.
    pub top_3_accuracy: T,
    /// Share of rows whose gold label is among the five most probable ones, 0..=1.
    pub top_5_accuracy: T,
    /// Each label: the head's by their numbers, then the gold labels that it does not have.
    pub labels: Vec<LabelFigures<T>>,
}

impl<T> ClassificationFigures<T> {
    /// The same figures as something else, taken one after the other.
    pub fn map<U>(self, figure: &mut impl FnMut(T) -> U) -> ClassificationFigures<U> {
        ClassificationFigures {
            accuracy: figure(self.accuracy),
            macro_f1: figure(self.macro_f1),
            micro_f1: figure(self.micro_f1),
            weighted_f1: figure(self.weighted_f1),
            matthews_correlation: figure(self.matthews_correlation),
            top_3_accuracy: figure(self.top_3_accuracy),
            top_5_accuracy: figure(self.top_5_accuracy),
            labels: self.labels.into_iter().map(|label| label.map(figure)).collect(),
        }
    }
}

/// Figures of one label.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LabelFigures<T> {
    /// The label.
    pub label: usize,
    /// Its counts in the rows that the figures are of.
    #[serde(flatten)]
    pub counts: LabelCounts,
    /// Share of the rows given the label that have it, 0..=1.
    pub precision: T,
    /// Share of the rows with the label that were given it, 0..=1.
    pub recall: T,
    /// Harmonic mean of precision and recall, 0..=1.
    pub f1: T,
}

impl LabelFigures<f64> {
    pub(super) fn new(label: usize, counts: LabelCounts) -> Self {
        Self { label, counts, precision: counts.precision(), recall: counts.recall(), f1: counts.f1() }
    }
}

impl<T> LabelFigures<T> {
    pub(super) fn map<U>(self, figure: &mut impl FnMut(T) -> U) -> LabelFigures<U> {
        LabelFigures {
            label: self.label,
            counts: self.counts,
            precision: figure(self.precision),
            recall: figure(self.recall),
            f1: figure(self.f1),
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

    fn figures(num_labels: usize, gold: &[usize], decided: &[usize]) -> ClassificationFigures<f64> {
        let probabilities = vec![0.5; num_labels * gold.len()];
        let problem = SingleLabel::new(num_labels, gold.to_vec(), probabilities, decided.to_vec()).unwrap();
        Classification::new(&problem).figures(&Weights::ones(gold.len()))
    }

    #[test]
    fn figures_are_those_of_scikit_learn() {
        /* scikit-learn 1.9.1:
        from sklearn.metrics import *
        gold = [0, 0, 0, 0, 1, 1, 1, 2, 2, 9, 9, 0]
        decided = [0, 0, 1, 3, 1, 1, 0, 2, 1, 0, 3, 0]
        print(accuracy_score(gold, decided), matthews_corrcoef(gold, decided))
        print([f1_score(gold, decided, average=a, zero_division=0) for a in ("macro", "micro", "weighted")])
        print(precision_recall_fscore_support(gold, decided, labels=[0, 1, 2, 3, 4, 9], zero_division=0))
        */
        // Label 3 is decided and never gold, label 9 gold and not the head's, label 4 neither.
        let found = figures(5, &[0, 0, 0, 0, 1, 1, 1, 2, 2, 9, 9, 0], &[0, 0, 1, 3, 1, 1, 0, 2, 1, 0, 3, 0]);
        close(found.accuracy, 0.5);
        close(found.matthews_correlation, 0.330_066_019_806_602_33);
        close(found.macro_f1, 0.367_619_047_619_047_57);
        close(found.micro_f1, 0.5);
        close(found.weighted_f1, 0.503_968_253_968_254);
        let precision = [0.6, 0.5, 1.0, 0.0, 0.0, 0.0];
        let recall = [0.6, 2.0 / 3.0, 0.5, 0.0, 0.0, 0.0];
        let f1 = [0.6, 4.0 / 7.0, 2.0 / 3.0, 0.0, 0.0, 0.0];
        for (place, label) in found.labels.iter().enumerate() {
            close(label.precision, precision[place]);
            close(label.recall, recall[place]);
            close(label.f1, f1[place]);
        }
        assert_eq!(found.labels.iter().map(|label| label.label).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 9]);
        assert_eq!(
            found.labels.iter().map(|label| label.counts.support).collect::<Vec<_>>(),
            [5, 3, 2, 0, 0, 2]
        );
    }

    #[test]
    fn edge_cases_are_those_of_scikit_learn() {
        // f1_score([1, 1], [1, 1], average="macro"), matthews_corrcoef([1, 1], [1, 1]), and so with [0, 0], [1, 1]
        let right = figures(3, &[1, 1], &[1, 1]);
        close(right.macro_f1, 1.0);
        close(right.matthews_correlation, 0.0);
        let wrong = figures(3, &[0, 0], &[1, 1]);
        close(wrong.macro_f1, 0.0);
        close(wrong.weighted_f1, 0.0);
        close(wrong.matthews_correlation, 0.0);
    }

    #[test]
    fn without_rows_accuracy_is_undefined_and_f1_is_0() {
        let none = figures(3, &[], &[]);
        assert!(none.accuracy.is_nan());
        assert!(none.top_3_accuracy.is_nan());
        close(none.macro_f1, 0.0);
        close(none.weighted_f1, 0.0);
        close(none.matthews_correlation, 0.0);
    }

    #[test]
    fn top_k_accuracy_takes_lower_labels_first() {
        // scikit-learn 1.9.1, on rows without ties that matter:
        // probabilities = [[.5,.2,.2,.1], [.1,.2,.3,.4], [.4,.3,.2,.1], [.1,.4,.3,.2], [.25,.35,.15,.25]]
        // print([top_k_accuracy_score([0, 1, 3, 1, 2], probabilities, k=k, labels=range(4)) for k in (1, 2, 3)])
        let probabilities = [
            [0.5, 0.2, 0.2, 0.1],
            [0.1, 0.2, 0.3, 0.4],
            [0.4, 0.3, 0.2, 0.1],
            [0.1, 0.4, 0.3, 0.2],
            [0.25, 0.35, 0.15, 0.25],
        ];
        let problem = SingleLabel::new(4, vec![0, 1, 3, 1, 2], probabilities.concat(), vec![0; 5]).unwrap();
        let prepared = Classification::new(&problem);
        for (k, accuracy) in [(1, 0.4), (2, 0.4), (3, 0.6)] {
            close(prepared.top_k_accuracy(k, &Weights::ones(5)), accuracy);
        }
        let tied = SingleLabel::new(2, vec![0, 1, 2], vec![0.5; 6], vec![0; 3]).unwrap();
        close(Classification::new(&tied).top_k_accuracy(1, &Weights::ones(3)), 1.0 / 3.0);
        close(Classification::new(&tied).top_k_accuracy(5, &Weights::ones(3)), 2.0 / 3.0);
    }

    proptest! {
        #[test]
        fn micro_f1_of_single_labels_is_accuracy(problem in single_label()) {
            let found = Classification::new(&problem).figures(&Weights::ones(problem.rows()));
            prop_assert!(problem.rows() == 0 || (found.micro_f1 - found.accuracy).abs() < 1e-12);
        }

        #[test]
        fn top_1_accuracy_is_that_of_the_top_label(problem in single_label()) {
            let weights = Weights::ones(problem.rows());
            let is_top = |row| problem.top_label(row) == (problem.gold()[row], problem.gold_probability(row));
            // What is impossible is no answer.
            let right = weights.share(|row| is_top(row) && problem.gold_probability(row) > 0.0);
            let found = Classification::new(&problem).top_k_accuracy(1, &weights);
            prop_assert!(problem.rows() == 0 || (found - right).abs() < 1e-12);
        }
    }
}
