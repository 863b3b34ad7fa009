//! What is evaluated: gold labels, probabilities and decisions of the same rows.
//!
//! Whoever makes a problem decides on the labels; the figures do not know thresholds. Gold labels are numbered as the
//! head's labels are; a gold label that the head does not have has a number from `num_labels` up.

/// Why numbers are no problem.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ProblemError {
    /// Gold labels and decisions of different rows.
    #[error("{gold} rows have gold labels, but {decided} have decisions")]
    Rows {
        /// Rows with gold labels.
        gold: usize,
        /// Rows with decisions.
        decided: usize,
    },
    /// Not a probability for each row and label.
    #[error("{rows} rows of {num_labels} labels need {} probabilities, not {probabilities}", rows * num_labels)]
    Shape {
        /// The number of rows.
        rows: usize,
        /// The number of the head's labels.
        num_labels: usize,
        /// How many probabilities there are.
        probabilities: usize,
    },
    /// A probability that is NaN, negative or above 1.
    #[error("row {row} gives label {label} the probability {value}, which is not in 0..=1")]
    Probability {
        /// The row, from 0.
        row: usize,
        /// The label.
        label: usize,
        /// What stands there.
        value: f64,
    },
    /// A decision for a label that the head does not have.
    #[error("row {row} was given label {label}, but the head has {num_labels} labels, from 0")]
    Decided {
        /// The row, from 0.
        row: usize,
        /// The label.
        label: usize,
        /// The number of the head's labels.
        num_labels: usize,
    },
}

/// Rows that have one label each.
#[derive(Debug, Clone, PartialEq)]
pub struct SingleLabel {
    num_labels: usize,
    gold: Vec<usize>,
    probabilities: Vec<f64>,
    decided: Vec<usize>,
}

impl SingleLabel {
    /// Takes a gold label and a decision a row, and the probabilities of `num_labels` labels, row after row.
    ///
    /// # Errors
    /// If the three are not of the same rows, a probability is not in 0..=1, or a decision is no label of the head.
    pub fn new(
        num_labels: usize,
        gold: Vec<usize>,
        probabilities: Vec<f64>,
        decided: Vec<usize>,
    ) -> Result<Self, ProblemError> {
        check(num_labels, gold.len(), &probabilities, decided.len())?;
        check_decided(num_labels, decided.iter().copied().enumerate())?;
        Ok(Self { num_labels, gold, probabilities, decided })
    }

    /// The number of labels that the head has.
    pub fn num_labels(&self) -> usize {
        self.num_labels
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.gold.len()
    }

    /// The gold label of each row; from `num_labels` up it is none of the head's.
    pub fn gold(&self) -> &[usize] {
        &self.gold
    }

    /// The label that each row was given.
    pub fn decided(&self) -> &[usize] {
        &self.decided
    }

    /// The probabilities of the labels in a row.
    pub fn probabilities(&self, row: usize) -> &[f64] {
        &self.probabilities[row * self.num_labels..][..self.num_labels]
    }

    /// The problem of some of the rows, in the order given.
    ///
    /// # Panics
    /// If there is no such row.
    #[must_use]
    pub fn subset(&self, rows: &[usize]) -> Self {
        Self {
            num_labels: self.num_labels,
            gold: rows.iter().map(|row| self.gold[*row]).collect(),
            probabilities: rows.iter().flat_map(|row| self.probabilities(*row)).copied().collect(),
            decided: rows.iter().map(|row| self.decided[*row]).collect(),
        }
    }

    /// Whether the gold label of a row is one of the head's.
    pub fn is_known(&self, row: usize) -> bool {
        self.gold[row] < self.num_labels
    }

    /// The probability of a row's gold label, 0 if the head does not have it.
    pub fn gold_probability(&self, row: usize) -> f64 {
        self.probabilities(row).get(self.gold[row]).copied().unwrap_or(0.0)
    }

    /// The most probable label of a row, the first of several, with its probability.
    pub fn top_label(&self, row: usize) -> (usize, f64) {
        let labels = self.probabilities(row).iter().copied().enumerate();
        labels.reduce(|top, next| if next.1 > top.1 { next } else { top }).unwrap_or((0, 0.0))
    }
}

/// Rows that have any number of labels each.
#[derive(Debug, Clone, PartialEq)]
pub struct MultiLabel {
    num_labels: usize,
    gold: Vec<Vec<usize>>,
    probabilities: Vec<f64>,
    decided: Vec<Vec<usize>>,
}

impl MultiLabel {
    /// Takes the gold labels and the decisions of each row, in any order, and the probabilities of `num_labels` labels,
    /// row after row. A label that stands twice in a list counts once.
    ///
    /// # Errors
    /// If the three are not of the same rows, a probability is not in 0..=1, or a decision is no label of the head.
    pub fn new(
        num_labels: usize,
        mut gold: Vec<Vec<usize>>,
        probabilities: Vec<f64>,
        mut decided: Vec<Vec<usize>>,
    ) -> Result<Self, ProblemError> {
        check(num_labels, gold.len(), &probabilities, decided.len())?;
        let given = decided
            .iter()
            .enumerate()
            .flat_map(|(row, labels)| labels.iter().map(move |label| (row, *label)));
        check_decided(num_labels, given)?;
        for labels in gold.iter_mut().chain(&mut decided) {
            labels.sort_unstable();
            labels.dedup();
        }
        Ok(Self { num_labels, gold, probabilities, decided })
    }

    /// The number of labels that the head has.
    pub fn num_labels(&self) -> usize {
        self.num_labels
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.gold.len()
    }

    /// The gold labels of each row, ascending; from `num_labels` up they are none of the head's.
    pub fn gold(&self) -> &[Vec<usize>] {
        &self.gold
    }

    /// The labels that each row was given, ascending.
    pub fn decided(&self) -> &[Vec<usize>] {
        &self.decided
    }

    /// The problem of some of the rows, in the order given.
    ///
    /// # Panics
    /// If there is no such row.
    #[must_use]
    pub fn subset(&self, rows: &[usize]) -> Self {
        let probabilities = |row: &usize| &self.probabilities[row * self.num_labels..][..self.num_labels];
        Self {
            num_labels: self.num_labels,
            gold: rows.iter().map(|row| self.gold[*row].clone()).collect(),
            probabilities: rows.iter().flat_map(probabilities).copied().collect(),
            decided: rows.iter().map(|row| self.decided[*row].clone()).collect(),
        }
    }

    /// The probability of a label in each row.
    pub fn label_probabilities(&self, label: usize) -> Vec<f64> {
        self.probabilities.iter().skip(label).step_by(self.num_labels.max(1)).copied().collect()
    }
}

fn check(num_labels: usize, gold: usize, probabilities: &[f64], decided: usize) -> Result<(), ProblemError> {
    if gold != decided {
        return Err(ProblemError::Rows { gold, decided });
    }
    if probabilities.len() != gold * num_labels {
        return Err(ProblemError::Shape { rows: gold, num_labels, probabilities: probabilities.len() });
    }
    match probabilities.iter().position(|probability| !(0.0..=1.0).contains(probability)) {
        None => Ok(()),
        Some(place) => Err(ProblemError::Probability {
            row: place / num_labels,
            label: place % num_labels,
            value: probabilities[place],
        }),
    }
}

fn check_decided(
    num_labels: usize,
    mut given: impl Iterator<Item = (usize, usize)>,
) -> Result<(), ProblemError> {
    match given.find(|(_, label)| *label >= num_labels) {
        None => Ok(()),
        Some((row, label)) => Err(ProblemError::Decided { row, label, num_labels }),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Problems of up to 40 rows and 5 labels, with ties, unknown gold labels and decisions that are not the top label.
    pub(crate) fn single_label() -> impl Strategy<Value = SingleLabel> {
        (1_usize..6).prop_flat_map(|num_labels| {
            let row = (
                0..num_labels + 2,
                prop::collection::vec((0_u8..12).prop_map(f64::from), num_labels),
                0..num_labels,
            );
            prop::collection::vec(row, 0..40).prop_map(move |rows| {
                let gold = rows.iter().map(|row| row.0).collect();
                let decided = rows.iter().map(|row| row.2).collect();
                let odds = rows.iter().flat_map(|row| {
                    let sum: f64 = row.1.iter().sum::<f64>().max(1.0);
                    row.1.iter().map(move |odds| odds / sum)
                });
                SingleLabel::new(num_labels, gold, odds.collect(), decided).unwrap()
            })
        })
    }

    #[test]
    fn refuses_rows_that_do_not_match() {
        let error = SingleLabel::new(2, vec![0, 1], vec![0.5; 4], vec![0]).unwrap_err();
        assert_eq!(error.to_string(), "2 rows have gold labels, but 1 have decisions");
        let error = SingleLabel::new(2, vec![0, 1], vec![0.5; 3], vec![0, 1]).unwrap_err();
        assert_eq!(error.to_string(), "2 rows of 2 labels need 4 probabilities, not 3");
    }

    #[test]
    fn refuses_what_is_no_probability() {
        for value in [f64::NAN, -0.1, 1.1, f64::INFINITY] {
            let error = SingleLabel::new(2, vec![0, 1], vec![0.5, 0.5, 0.5, value], vec![0, 1]).unwrap_err();
            let told = format!("row 1 gives label 1 the probability {value}, which is not in 0..=1");
            assert_eq!(error.to_string(), told);
        }
    }

    #[test]
    fn refuses_decisions_for_unknown_labels() {
        let error = MultiLabel::new(2, vec![vec![5]], vec![0.5; 2], vec![vec![0, 2]]).unwrap_err();
        assert_eq!(error, ProblemError::Decided { row: 0, label: 2, num_labels: 2 });
    }

    #[test]
    fn first_of_equally_probable_labels_is_the_top_label() {
        let problem = SingleLabel::new(3, vec![7], vec![0.2, 0.4, 0.4], vec![2]).unwrap();
        assert_eq!(problem.top_label(0), (1, 0.4));
        assert!(!problem.is_known(0));
        assert_eq!(problem.gold_probability(0).to_bits(), 0.0_f64.to_bits());
    }

    #[test]
    fn labels_that_stand_twice_count_once() {
        let problem = MultiLabel::new(2, vec![vec![1, 0, 1]], vec![0.5; 2], vec![vec![1, 1]]).unwrap();
        assert_eq!(problem.gold(), [vec![0, 1]]);
        assert_eq!(problem.decided(), [vec![1]]);
    }
}
