//! Figures for predictions whose labels exclude each other.
//!
//! The conventions are scikit-learn's, so that figures can be compared with a paper's:
//!
//! - precision = hits / predicted, recall = hits / support, F1 = 2·hits / (support + predicted); each is 0 where its
//!   denominator is 0.
//! - macro-F1 is the mean over the labels that occur in the gold labels or among the predictions, as
//!   `f1_score(average="macro")` has it without `labels=`.
//! - micro-F1 pools the counts of all labels. When every row has exactly one label and one prediction it equals accuracy.
//! - weighted F1 is the mean over labels, weighted by support.

/// Counts of one label: the three numbers that its precision, recall and F1 are made of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LabelCounts {
    /// Rows that have the label and were given it.
    pub hits: usize,
    /// Rows that have the label.
    pub support: usize,
    /// Rows that were given the label.
    pub predicted: usize,
}

impl LabelCounts {
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

/// Counts every label of `gold` and `predicted`, which hold one label id a row.
///
/// # Panics
/// If the two differ in length, or an id is not below `num_labels`.
pub fn count_labels(gold: &[usize], predicted: &[usize], num_labels: usize) -> Vec<LabelCounts> {
    assert_eq!(gold.len(), predicted.len(), "one prediction a row");
    let mut counts = vec![LabelCounts::default(); num_labels];
    for (&gold, &predicted) in gold.iter().zip(predicted) {
        counts[gold].support += 1;
        counts[predicted].predicted += 1;
        counts[gold].hits += usize::from(gold == predicted);
    }
    counts
}

/// Share of rows whose prediction is right; 0 without rows.
///
/// ```
/// assert_eq!(jiesu::eval::scores::accuracy(&[0, 1, 1, 2], &[0, 1, 2, 2]), 0.75);
/// ```
///
/// # Panics
/// If the two differ in length.
pub fn accuracy(gold: &[usize], predicted: &[usize]) -> f64 {
    assert_eq!(gold.len(), predicted.len(), "one prediction a row");
    let hits = gold.iter().zip(predicted).filter(|(gold, predicted)| gold == predicted).count();
    share(hits, gold.len())
}

/// Mean F1 over the labels that occur in `gold` or `predicted`; 0 without rows.
///
/// ```
/// // The fourth label occurs nowhere and does not count.
/// let macro_f1 = jiesu::eval::scores::macro_f1(&[0, 1, 1, 2], &[0, 1, 2, 2], 4);
/// assert!((macro_f1 - (1.0 + 2.0 / 3.0 + 2.0 / 3.0) / 3.0).abs() < 1e-12);
/// ```
///
/// # Panics
/// If the two differ in length, or an id is not below `num_labels`.
pub fn macro_f1(gold: &[usize], predicted: &[usize], num_labels: usize) -> f64 {
    mean_f1(&count_labels(gold, predicted, num_labels))
}

/// Mean F1 over the labels that occur.
pub fn mean_f1(counts: &[LabelCounts]) -> f64 {
    let occurring: Vec<f64> = counts.iter().filter(|label| label.occurs()).map(|label| label.f1()).collect();
    ratio(occurring.iter().sum(), occurring.len() as f64)
}

/// F1 of the pooled counts of all labels.
pub fn micro_f1(counts: &[LabelCounts]) -> f64 {
    let pooled = counts.iter().fold(LabelCounts::default(), |sum, label| LabelCounts {
        hits: sum.hits + label.hits,
        support: sum.support + label.support,
        predicted: sum.predicted + label.predicted,
    });
    pooled.f1()
}

/// Mean F1 over labels, each with the weight of its support.
pub fn weighted_f1(counts: &[LabelCounts]) -> f64 {
    let support: usize = counts.iter().map(|label| label.support).sum();
    let weighted = counts.iter().map(|label| label.support as f64 * label.f1()).sum();
    ratio(weighted, support as f64)
}

/// Share of rows whose gold label is among the first `k` of their ranked labels; 0 without rows.
///
/// # Panics
/// If the two differ in length.
pub fn top_k_accuracy<R: AsRef<[usize]>>(gold: &[usize], ranked: &[R], k: usize) -> f64 {
    assert_eq!(gold.len(), ranked.len(), "one ranking a row");
    let hits =
        gold.iter().zip(ranked).filter(|(gold, ranked)| ranked.as_ref().iter().take(k).any(|id| id == *gold));
    share(hits.count(), gold.len())
}

/// Share of the rows that a person can look at when alarms are raised.
const FLAGGED: f64 = 0.15;

/// How many of the rows that matter are among the 15 % with the highest alarm; 0 if none matters. Each row is an alarm
/// and whether it matters.
///
/// ```
/// let mut alarms = vec![(0.2, false); 18];
/// alarms.extend([(0.9, true), (0.1, true)]);
/// assert_eq!(jiesu::eval::scores::alert_recall(alarms), 0.5);
/// ```
pub fn alert_recall(mut alarms: Vec<(f32, bool)>) -> f64 {
    // Of rows with one alarm those that do not matter come first, so that ties flatter nobody.
    alarms.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a count")]
    let flagged = (alarms.len() as f64 * FLAGGED) as usize;
    let matter = |alarms: &[(f32, bool)]| alarms.iter().filter(|(_, matters)| *matters).count();
    share(matter(&alarms[..flagged]), matter(&alarms))
}

fn share(part: usize, whole: usize) -> f64 {
    ratio(part as f64, whole as f64)
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole == 0.0 { 0.0 } else { part / whole }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /* Every number below is from scikit-learn 1.9.1:
    from sklearn.metrics import *
    gold = [0, 0, 0, 0, 1, 1, 1, 2, 2, 4, 4, 0]
    predicted = [0, 0, 1, 3, 1, 1, 0, 2, 1, 0, 3, 0]
    print(accuracy_score(gold, predicted))
    print([f1_score(gold, predicted, average=a, zero_division=0) for a in ("macro", "micro", "weighted")])
    print(precision_recall_fscore_support(gold, predicted, labels=range(6), zero_division=0))
    */
    // Label 3 is predicted and never gold, label 4 gold and never predicted, label 5 neither.
    const GOLD: [usize; 12] = [0, 0, 0, 0, 1, 1, 1, 2, 2, 4, 4, 0];
    const PREDICTED: [usize; 12] = [0, 0, 1, 3, 1, 1, 0, 2, 1, 0, 3, 0];

    fn close(left: f64, right: f64) {
        assert!((left - right).abs() < 1e-12, "{left} is not {right}");
    }

    #[test]
    fn figures_are_those_of_scikit_learn() {
        let counts = count_labels(&GOLD, &PREDICTED, 6);
        close(accuracy(&GOLD, &PREDICTED), 0.5);
        close(macro_f1(&GOLD, &PREDICTED, 6), 0.367_619_047_619_047_57);
        close(micro_f1(&counts), 0.5);
        close(weighted_f1(&counts), 0.503_968_253_968_254);
        let precision = [0.6, 0.5, 1.0, 0.0, 0.0, 0.0];
        let recall = [0.6, 2.0 / 3.0, 0.5, 0.0, 0.0, 0.0];
        let f1 = [0.6, 4.0 / 7.0, 2.0 / 3.0, 0.0, 0.0, 0.0];
        for (label, counts) in counts.iter().enumerate() {
            close(counts.precision(), precision[label]);
            close(counts.recall(), recall[label]);
            close(counts.f1(), f1[label]);
        }
        assert_eq!(counts.iter().map(|label| label.support).collect::<Vec<_>>(), [5, 3, 2, 0, 2, 0]);
    }

    #[test]
    fn edge_cases_are_numbers() {
        /*
        print(f1_score([1, 1], [1, 1], average="macro"))
        print(f1_score([0, 0], [1, 1], average="macro", zero_division=0))
        print(f1_score([0, 0], [1, 1], average="weighted", zero_division=0))
        */
        close(macro_f1(&[1, 1], &[1, 1], 3), 1.0);
        close(macro_f1(&[0, 0], &[1, 1], 3), 0.0);
        close(weighted_f1(&count_labels(&[0, 0], &[1, 1], 3)), 0.0);
        // scikit-learn answers NaN or refuses; a caller who needs the difference asks for the number of rows.
        close(accuracy(&[], &[]), 0.0);
        close(macro_f1(&[], &[], 3), 0.0);
        close(top_k_accuracy::<Vec<usize>>(&[], &[], 3), 0.0);
    }

    #[test]
    fn top_k_accuracy_is_that_of_scikit_learn() {
        /*
        probabilities = [[.5,.2,.2,.1], [.1,.2,.3,.4], [.4,.3,.2,.1], [.1,.4,.3,.2], [.25,.35,.15,.3]]
        print([top_k_accuracy_score([0, 1, 3, 1, 2], probabilities, k=k, labels=range(4)) for k in (1, 2, 3)])
        */
        let ranked = [[0, 1, 2, 3], [3, 2, 1, 0], [0, 1, 2, 3], [1, 2, 3, 0], [1, 3, 0, 2]];
        let gold = [0, 1, 3, 1, 2];
        close(top_k_accuracy(&gold, &ranked, 1), 0.4);
        close(top_k_accuracy(&gold, &ranked, 2), 0.4);
        close(top_k_accuracy(&gold, &ranked, 3), 0.6);
    }

    proptest! {
        #[test]
        fn macro_f1_ignores_label_order(
            pairs in prop::collection::vec((0_usize..6, 0_usize..6), 0..60),
            order in Just((0_usize..6).collect::<Vec<_>>()).prop_shuffle(),
        ) {
            let (gold, predicted): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
            let renamed = |ids: &[usize]| ids.iter().map(|id| order[*id]).collect::<Vec<_>>();
            let before = macro_f1(&gold, &predicted, 6);
            let after = macro_f1(&renamed(&gold), &renamed(&predicted), 6);
            prop_assert!((before - after).abs() < 1e-12);
        }

        #[test]
        fn micro_f1_of_single_labels_is_accuracy(pairs in prop::collection::vec((0_usize..6, 0_usize..6), 0..60)) {
            let (gold, predicted): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
            let micro = micro_f1(&count_labels(&gold, &predicted, 6));
            prop_assert!((micro - accuracy(&gold, &predicted)).abs() < 1e-12);
        }
    }
}
