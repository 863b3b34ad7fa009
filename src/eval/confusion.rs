//! Which labels are taken for which others.

use serde::Serialize;

/// How often rows with one label were given another: `counts[gold][predicted]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConfusionMatrix {
    labels: Vec<String>,
    counts: Vec<Vec<usize>>,
}

/// One wrong answer, and how often it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confusion<'a> {
    /// What the rows are labelled.
    pub gold: &'a str,
    /// What they were taken for.
    pub predicted: &'a str,
    /// How many they are.
    pub rows: usize,
}

impl ConfusionMatrix {
    /// Counts the pairs of `gold` and `predicted`, which hold one id of `labels` a row.
    ///
    /// # Panics
    /// If the two differ in length, or an id is not below the number of labels.
    pub fn new(labels: Vec<String>, gold: &[usize], predicted: &[usize]) -> Self {
        assert_eq!(gold.len(), predicted.len(), "one prediction a row");
        let mut counts = vec![vec![0; labels.len()]; labels.len()];
        for (&gold, &predicted) in gold.iter().zip(predicted) {
            counts[gold][predicted] += 1;
        }
        Self { labels, counts }
    }

    /// The labels of both axes.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// How many rows labelled `gold` were given `predicted`: `counts()[gold][predicted]`.
    pub fn counts(&self) -> &[Vec<usize>] {
        &self.counts
    }

    /// The `most` most frequent wrong answers, the most frequent first.
    pub fn confusions(&self, most: usize) -> Vec<Confusion<'_>> {
        let mut confusions: Vec<_> = self
            .counts
            .iter()
            .enumerate()
            .flat_map(|(gold, row)| {
                row.iter().enumerate().map(move |(predicted, &rows)| (gold, predicted, rows))
            })
            .filter(|&(gold, predicted, rows)| gold != predicted && rows > 0)
            .map(|(gold, predicted, rows)| Confusion {
                gold: &self.labels[gold],
                predicted: &self.labels[predicted],
                rows,
            })
            .collect();
        confusions.sort_by_key(|confusion| std::cmp::Reverse(confusion.rows));
        confusions.truncate(most);
        confusions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix() -> ConfusionMatrix {
        let labels = ["a", "b", "c", "d"].map(str::to_owned).to_vec();
        ConfusionMatrix::new(labels, &[0, 0, 1, 1, 1, 3, 3], &[0, 2, 1, 2, 2, 1, 3])
    }

    #[test]
    fn rows_are_gold_and_columns_predictions() {
        /* Equivalent python code:
        from sklearn.metrics import confusion_matrix
        print(confusion_matrix([0, 0, 1, 1, 1, 3, 3], [0, 2, 1, 2, 2, 1, 3], labels=range(4)).tolist())
        */
        assert_eq!(matrix().counts(), [[1, 0, 1, 0], [0, 1, 2, 0], [0, 0, 0, 0], [0, 1, 0, 1]]);
        let json = serde_json::to_value(matrix()).unwrap();
        assert_eq!(json["labels"][2], "c");
        assert_eq!(json["counts"][1][2], 2);
    }

    #[test]
    fn the_most_frequent_confusion_comes_first() {
        let matrix = matrix();
        let confusions = matrix.confusions(2);
        assert_eq!(confusions[0], Confusion { gold: "b", predicted: "c", rows: 2 });
        assert_eq!(confusions[1], Confusion { gold: "a", predicted: "c", rows: 1 });
        assert_eq!(confusions.len(), 2);
    }
}
