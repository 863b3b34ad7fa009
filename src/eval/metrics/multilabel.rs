//! Figures of rows that have any number of labels.
//!
//! The conventions of `counts` hold for precision, recall and F1; further:
//!
//! - macro F1 is the mean over the labels that occur in the gold labels or among the decisions. (Scikit-learn counts a
//!   column of zeros too, as 0.)
//! - exact match is the share of rows whose decisions are just their gold labels; none for none matches.
//! - average precision is the sum over thresholds of (recall - recall before)·precision, with a threshold at each
//!   probability that occurs, as `average_precision_score` has it; NaN if no row has the label. Their mean is over the
//!   head's labels that some row has.

use serde::Serialize;

use super::bootstrap::{Estimate, Resamples};
use super::classification::LabelFigures;
use super::counts::{LabelCounts, macro_f1, micro_f1};
use super::problem::MultiLabel;
use super::ranking::Ranking;
use super::weights::Weights;

/// A problem, with its rows sorted by the probability of each label.
#[derive(Debug, Clone)]
pub struct PreparedMultiLabel {
    /// The head's labels by their numbers, then the gold labels that it does not have.
    labels: Vec<usize>,
    occurrences: Vec<Occurrence>,
    exact: Vec<bool>,
    /// Of each of the head's labels.
    ranked: Vec<RankedLabel>,
}

/// A label of a row, by gold or by decision.
#[derive(Debug, Clone, Copy)]
struct Occurrence {
    row: u32,
    /// The place in `labels`.
    label: u32,
    gold: bool,
    decided: bool,
}

#[derive(Debug, Clone)]
struct RankedLabel {
    ranking: Ranking,
    /// Whether the rows have the label, in their order.
    gold: Vec<bool>,
}

impl PreparedMultiLabel {
    /// Sorts the rows of a problem.
    pub fn new(problem: &MultiLabel) -> Self {
        let known = problem.num_labels();
        let mut unknown: Vec<usize> =
            problem.gold().iter().flatten().copied().filter(|label| *label >= known).collect();
        unknown.sort_unstable();
        unknown.dedup();
        let labels: Vec<usize> = (0..known).chain(unknown).collect();
        let both = problem.gold().iter().zip(problem.decided());
        Self {
            occurrences: both
                .clone()
                .enumerate()
                .flat_map(|(row, lists)| occurrences(row, lists, &labels))
                .collect(),
            exact: both.map(|(gold, decided)| gold == decided).collect(),
            ranked: (0..known).map(|label| RankedLabel::new(problem, label)).collect(),
            labels,
        }
    }

    /// The counts of each label: the head's by their numbers, then the gold labels that it does not have.
    pub fn counts(&self, weights: &Weights) -> Vec<LabelCounts> {
        let mut counts = vec![LabelCounts::default(); self.labels.len()];
        for Occurrence { row, label, gold, decided } in &self.occurrences {
            let copies = weights.of(*row);
            let label = &mut counts[*label as usize];
            label.support += copies * u64::from(*gold);
            label.predicted += copies * u64::from(*decided);
            label.hits += copies * u64::from(*gold && *decided);
        }
        counts
    }

    /// The share of weighted rows that match exactly, and macro F1.
    ///
    /// # Panics
    /// If the weights are not of the problem's rows.
    pub fn exact_match_and_macro_f1(&self, weights: &Weights) -> [f64; 2] {
        assert_eq!(weights.as_slice().len(), self.exact.len(), "one weight a row");
        [weights.share(|row| self.exact[row]), macro_f1(&self.counts(weights))]
    }

    /// The figures of weighted rows.
    ///
    /// # Panics
    /// If the weights are not of the problem's rows.
    pub fn figures(&self, weights: &Weights) -> MultiLabelFigures<f64> {
        assert_eq!(weights.as_slice().len(), self.exact.len(), "one weight a row");
        let counts = self.counts(weights);
        let average_precision: Vec<f64> =
            self.ranked.iter().map(|label| label.average_precision(weights)).collect();
        let defined: Vec<f64> = average_precision.iter().copied().filter(|value| !value.is_nan()).collect();
        let scores = |(place, counts): (usize, &LabelCounts)| MultiLabelScores {
            decisions: LabelFigures::new(self.labels[place], *counts),
            average_precision: average_precision.get(place).copied().unwrap_or(f64::NAN),
        };
        MultiLabelFigures {
            exact_match: weights.share(|row| self.exact[row]),
            micro_f1: micro_f1(&counts),
            macro_f1: macro_f1(&counts),
            mean_average_precision: defined.iter().sum::<f64>() / defined.len() as f64,
            labels: counts.iter().enumerate().map(scores).collect(),
        }
    }
}

fn occurrences(row: usize, lists: (&Vec<usize>, &Vec<usize>), labels: &[usize]) -> Vec<Occurrence> {
    let (gold, decided) = lists;
    let only_decided = decided.iter().filter(|label| gold.binary_search(label).is_err());
    gold.iter()
        .chain(only_decided)
        .map(|label| Occurrence {
            row: row as u32,
            label: labels.binary_search(label).expect("every label that occurs is in the list") as u32,
            gold: gold.binary_search(label).is_ok(),
            decided: decided.binary_search(label).is_ok(),
        })
        .collect()
}

impl RankedLabel {
    fn new(problem: &MultiLabel, label: usize) -> Self {
        let ranking = Ranking::descending(&problem.label_probabilities(label));
        let has_label = |row: &u32| problem.gold()[*row as usize].binary_search(&label).is_ok();
        Self { gold: ranking.rows.iter().map(has_label).collect(), ranking }
    }

    fn average_precision(&self, weights: &Weights) -> f64 {
        let (mut retrieved, mut hits, mut hits_before, mut area) = (0, 0, 0, 0.0);
        for ((row, last_of_tie), gold) in self.ranking.iter().zip(&self.gold) {
            let copies = weights.of(row);
            retrieved += copies;
            hits += copies * u64::from(*gold);
            if last_of_tie && hits > hits_before {
                area += (hits - hits_before) as f64 * (hits as f64 / retrieved as f64);
                hits_before = hits;
            }
        }
        area / hits as f64
    }
}

/// Figures of lists of labels, each a number or an estimate.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MultiLabelFigures<T> {
    /// Share of rows whose decisions are just their gold labels, 0..=1.
    pub exact_match: T,
    /// F1 of the pooled counts of all labels, 0..=1.
    pub micro_f1: T,
    /// Mean F1 over the labels that occur, 0..=1.
    pub macro_f1: T,
    /// Mean of the average precisions of the labels that some row has, 0..=1.
    pub mean_average_precision: T,
    /// Each label: the head's by their numbers, then the gold labels that it does not have.
    pub labels: Vec<MultiLabelScores<T>>,
}

impl<T> MultiLabelFigures<T> {
    /// The same figures as something else, taken one after the other.
    pub fn map<U>(self, figure: &mut impl FnMut(T) -> U) -> MultiLabelFigures<U> {
        MultiLabelFigures {
            exact_match: figure(self.exact_match),
            micro_f1: figure(self.micro_f1),
            macro_f1: figure(self.macro_f1),
            mean_average_precision: figure(self.mean_average_precision),
            labels: self.labels.into_iter().map(|label| label.map(figure)).collect(),
        }
    }
}

/// Figures of one label.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MultiLabelScores<T> {
    /// How it was decided.
    #[serde(flatten)]
    pub decisions: LabelFigures<T>,
    /// How its probability ranks rows, 0..=1.
    pub average_precision: T,
}

impl<T> MultiLabelScores<T> {
    fn map<U>(self, figure: &mut impl FnMut(T) -> U) -> MultiLabelScores<U> {
        MultiLabelScores {
            decisions: self.decisions.map(figure),
            average_precision: figure(self.average_precision),
        }
    }
}

/// Computes every figure of a problem with its interval; rows are resampled within strata.
///
/// # Panics
/// If there is not one stratum a row.
pub fn evaluate_multi_label(
    problem: &MultiLabel,
    strata: &[usize],
    resamples: usize,
    seed: u64,
) -> MultiLabelFigures<Estimate> {
    assert_eq!(strata.len(), problem.rows(), "one stratum a row");
    let prepared = PreparedMultiLabel::new(problem);
    let flat = |weights: &Weights| {
        let mut values = Vec::new();
        prepared.figures(weights).map(&mut |value| values.push(value));
        values
    };
    let mut estimates = Resamples::new(strata, resamples, seed).estimates(flat).into_iter();
    prepared
        .figures(&Weights::ones(problem.rows()))
        .map(&mut |_| estimates.next().expect("an estimate a figure"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(left: f64, right: f64) {
        assert!((left - right).abs() < 1e-12, "{left} is not {right}");
    }

    const AVERAGE_PRECISION: [f64; 2] = [0.833_333_333_333_333_3, 0.805_555_555_555_555_5];

    /// Three labels; the third is never gold, and the fourth gold label is not the head's.
    fn problem(with_unknown: bool) -> MultiLabel {
        let mut gold = vec![vec![0, 1], vec![1], vec![], vec![0], vec![1]];
        if with_unknown {
            gold[2].push(3);
        }
        let probabilities =
            [[0.9, 0.8, 0.1], [0.6, 0.7, 0.2], [0.4, 0.7, 0.3], [0.6, 0.2, 0.4], [0.2, 0.3, 0.6]];
        let decided = vec![vec![0, 1], vec![0, 1], vec![1], vec![0], vec![2]];
        MultiLabel::new(3, gold, probabilities.concat(), decided).unwrap()
    }

    #[test]
    fn figures_are_those_of_scikit_learn() {
        /* scikit-learn 1.9.1:
        import numpy as np
        from sklearn.metrics import *
        gold = np.array([[1, 1, 0], [0, 1, 0], [0, 0, 0], [1, 0, 0], [0, 1, 0]])
        decided = np.array([[1, 1, 0], [1, 1, 0], [0, 1, 0], [1, 0, 0], [0, 0, 1]])
        p = np.array([[.9, .8, .1], [.6, .7, .2], [.4, .7, .3], [.6, .2, .4], [.2, .3, .6]])
        print(accuracy_score(gold, decided), [f1_score(gold, decided, average=a) for a in ("micro", "macro")])
        print(average_precision_score(gold[:, :2], p[:, :2], average=None))
        */
        let found = PreparedMultiLabel::new(&problem(false)).figures(&Weights::ones(5));
        close(found.exact_match, 0.4);
        close(found.micro_f1, 2.0 * 4.0 / 12.0);
        close(found.macro_f1, (0.8 + 2.0 / 3.0) / 3.0);
        close(found.labels[0].average_precision, AVERAGE_PRECISION[0]);
        close(found.labels[1].average_precision, AVERAGE_PRECISION[1]);
        assert!(found.labels[2].average_precision.is_nan());
        close(found.mean_average_precision, AVERAGE_PRECISION.iter().sum::<f64>() / 2.0);
    }

    #[test]
    fn label_that_the_head_does_not_have_is_missed() {
        let found = PreparedMultiLabel::new(&problem(true)).figures(&Weights::ones(5));
        assert_eq!(found.labels[3].decisions.label, 3);
        assert_eq!(found.labels[3].decisions.counts, LabelCounts { hits: 0, support: 1, predicted: 0 });
        close(found.macro_f1, (0.8 + 2.0 / 3.0) / 4.0);
        close(found.mean_average_precision, AVERAGE_PRECISION.iter().sum::<f64>() / 2.0);
    }

    #[test]
    fn copies_count_as_rows() {
        let twice = Weights::new(vec![2; 5]);
        let prepared = PreparedMultiLabel::new(&problem(true));
        let (once, twice) = (prepared.figures(&Weights::ones(5)), prepared.figures(&twice));
        close(once.mean_average_precision, twice.mean_average_precision);
        close(once.macro_f1, twice.macro_f1);
        assert_eq!(twice.labels[0].decisions.counts.predicted, 6);
    }

    #[test]
    fn no_rows_leave_figures_undefined() {
        let none = MultiLabel::new(2, vec![], vec![], vec![]).unwrap();
        let found = evaluate_multi_label(&none, &[], 10, 1);
        assert_eq!(found.exact_match.value, None);
        assert_eq!(found.micro_f1.value, Some(0.0));
        assert_eq!(found.mean_average_precision.high, None);
    }

    #[test]
    fn evaluation_has_an_interval_for_each_figure() {
        let found = evaluate_multi_label(&problem(true), &[0, 0, 1, 0, 0], 200, 1);
        let exact = found.exact_match;
        assert!(exact.low < exact.value && exact.value < exact.high, "{exact:?}");
        assert_eq!(found.labels[2].average_precision.low, None);
    }
}
