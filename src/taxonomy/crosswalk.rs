//! Somebody else's labels, tied to the categories by a crosswalk.
//!
//! The crosswalk is a table T of categories × labels; T[c, label] is the share of category c that the other system
//! files under that label, so that each row sums to one. A distribution over categories is read in the other system as
//!
//! p(label) = Σ_c p(c) · T[c, label].
//!
//! Systems cut the world differently: a crosswalk serves statistics and weak supervision, never a single verdict.

use std::collections::HashMap;

use crate::label::LabelSet;

/// Labels of another system (标签体系), and how the categories spread over them.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelSystem {
    /// The stable identifier, such as `petition7`.
    pub id: String,
    /// The Chinese name.
    pub name: String,
    /// The labels, in the order of each row.
    pub labels: LabelSet,
    crosswalk: HashMap<String, Vec<f32>>,
}

impl LabelSystem {
    /// Joins labels and a crosswalk whose rows the loader has checked; each row comes out summing to one exactly.
    pub(super) fn new(
        id: String,
        name: String,
        labels: LabelSet,
        rows: impl IntoIterator<Item = (String, Vec<f64>)>,
    ) -> Self {
        let crosswalk = rows
            .into_iter()
            .map(|(category, row)| {
                let sum: f64 = row.iter().sum();
                (category, row.into_iter().map(|share| (share / sum) as f32).collect())
            })
            .collect();
        Self { id, name, labels, crosswalk }
    }

    /// The shares of a category over [`labels`](Self::labels), or `None` if the taxonomy has no such category.
    pub fn row(&self, category: &str) -> Option<&[f32]> {
        self.crosswalk.get(category).map(Vec::as_slice)
    }

    /// Reads probabilities of categories as probabilities of [`labels`](Self::labels): p(label) = Σ_c p(c) · T[c, label].
    ///
    /// The result sums to what the known categories sum to: pass all of them, not only the best. Categories that the
    /// taxonomy does not have are left out.
    ///
    /// ```
    /// let taxonomy = jiesu::taxonomy::Taxonomy::built_in();
    /// let system = taxonomy.label_system("petition7").unwrap();
    /// let probabilities = system.read(&[("education", 0.75), ("health", 0.25)]);
    /// assert!(probabilities[system.labels.id("教育文体").unwrap()] > 0.7);
    /// ```
    pub fn read(&self, categories: &[(&str, f32)]) -> Vec<f32> {
        let mut probabilities = vec![0.0; self.labels.len()];
        for &(category, probability) in categories {
            for (sum, share) in probabilities.iter_mut().zip(self.row(category).unwrap_or_default()) {
                *sum += probability * share;
            }
        }
        probabilities
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::taxonomy::Taxonomy;
    use proptest::prelude::*;

    fn system() -> LabelSystem {
        let labels = LabelSet::new(["a", "b"]).unwrap();
        let rows = [("x".to_owned(), vec![0.25, 0.75]), ("y".to_owned(), vec![1.0, 0.0])];
        LabelSystem::new("s".into(), "系".into(), labels, rows)
    }

    #[test]
    fn reading_weighs_the_rows() {
        assert_eq!(system().read(&[("x", 0.5), ("y", 0.5)]), [0.625, 0.375]);
        assert_eq!(system().read(&[("nobody", 1.0)]), [0.0, 0.0]);
        assert_eq!(system().row("x"), Some(&[0.25, 0.75][..]));
        assert_eq!(system().row("nobody"), None);
    }

    #[test]
    fn every_built_in_row_sums_to_one_and_rules_nothing_out() {
        let taxonomy = Taxonomy::built_in();
        let system = taxonomy.label_system("petition7").unwrap();
        assert_eq!(system.labels.len(), 7);
        for category in &taxonomy.categories {
            let row = system.row(&category.id).unwrap();
            assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6, "{}", category.id);
            assert!(
                row.iter().all(|&share| share > 0.0),
                "the logarithm of `{}` must be finite",
                category.id
            );
        }
    }

    proptest! {
        #[test]
        fn a_distribution_is_read_as_a_distribution(weights in prop::collection::vec(0.01_f32..1.0, 20)) {
            let taxonomy = Taxonomy::built_in();
            let total: f32 = weights.iter().sum();
            let categories: Vec<_> = taxonomy.categories.iter().zip(&weights)
                .map(|(category, weight)| (category.id.as_str(), weight / total)).collect();
            let read = taxonomy.label_system("petition7").unwrap().read(&categories);
            prop_assert!((read.iter().sum::<f32>() - 1.0).abs() < 1e-5);
            prop_assert!(read.iter().all(|probability| (0.0..=1.0).contains(probability)));
        }
    }
}
