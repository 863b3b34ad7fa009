//! Logits to probabilities, and probabilities to the labels that hold.

/// Which labels a head's probabilities stand for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum DecisionRule {
    /// The most probable label, the first of several.
    MostProbable,
    /// The first label, which is the quiet one, unless the others together reach the threshold; then the most probable of
    /// them.
    Alert {
        /// Least probability of all labels but the first, 0 to 1.
        threshold: f32,
    },
    /// Every label whose probability reaches the threshold.
    Every {
        /// Least probability of a label, 0 to 1.
        threshold: f32,
    },
}

impl DecisionRule {
    /// The labels that hold, in the order of the head.
    ///
    /// ```
    /// use jiesu::classifier::DecisionRule;
    ///
    /// assert_eq!(DecisionRule::MostProbable.decide(&[0.7, 0.1, 0.2]), [0]);
    /// assert_eq!(DecisionRule::Alert { threshold: 0.25 }.decide(&[0.7, 0.1, 0.2]), [2]);
    /// assert_eq!(DecisionRule::Every { threshold: 0.2 }.decide(&[0.7, 0.1, 0.2]), [0, 2]);
    /// ```
    pub fn decide(self, probabilities: &[f32]) -> Vec<usize> {
        match self {
            Self::MostProbable => vec![top(probabilities)],
            Self::Alert { threshold } if alarm(probabilities) >= threshold => {
                vec![1 + top(&probabilities[1..])]
            }
            Self::Alert { .. } => vec![0],
            Self::Every { threshold } => {
                (0..probabilities.len()).filter(|label| probabilities[*label] >= threshold).collect()
            }
        }
    }
}

/// The probability of all labels but the first, which is the quiet one.
pub fn alarm(probabilities: &[f32]) -> f32 {
    probabilities.iter().skip(1).sum()
}

/// The softmax of `logits / temperature`; the largest logit is subtracted first, so that nothing overflows.
///
/// ```
/// let probabilities = jiesu::classifier::softmax(&[1e4, -1e4, 1e4], 1.0);
/// assert_eq!(probabilities, [0.5, 0.0, 0.5]);
/// ```
pub fn softmax(logits: &[f32], temperature: f32) -> Vec<f32> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exponentials: Vec<f32> = logits.iter().map(|logit| ((logit - largest) / temperature).exp()).collect();
    let sum: f32 = exponentials.iter().sum();
    exponentials.into_iter().map(|exponential| exponential / sum).collect()
}

/// 1 / (1 + e⁻ˣ).
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// The values with their ids, largest first; equal values keep the order of their ids.
pub fn ranked(values: &[f32]) -> impl Iterator<Item = (usize, f32)> {
    let mut ranked: Vec<(usize, f32)> = values.iter().copied().enumerate().collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
    ranked.into_iter()
}

/// The id of the largest value, the first of several; 0 if there is none.
pub fn top(values: &[f32]) -> usize {
    let start = (0, f32::NEG_INFINITY);
    values.iter().copied().enumerate().fold(start, |best, next| if next.1 > best.1 { next } else { best }).0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn probabilities_sum_to_one_and_temperature_keeps_their_order(
            logits in prop::collection::vec(-1e4f32..1e4, 1..40),
            temperature in 0.05f32..20.0,
        ) {
            let probabilities = softmax(&logits, temperature);
            prop_assert!((probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-4);
            for (a, b) in (0..logits.len()).flat_map(|a| (0..logits.len()).map(move |b| (a, b))) {
                prop_assert!(logits[a] < logits[b] || probabilities[a] >= probabilities[b]);
            }
        }

        #[test]
        fn a_sigmoid_stays_between_zero_and_one(x in any::<f32>().prop_filter("a number", |x| x.is_finite())) {
            prop_assert!((0.0..=1.0).contains(&sigmoid(x)));
        }
    }

    #[test]
    fn equal_values_keep_the_order_of_their_ids() {
        assert_eq!(ranked(&[0.1, 0.4, 0.1, 0.4]).map(|(id, _)| id).collect::<Vec<_>>(), [1, 3, 0, 2]);
        assert_eq!(top(&[0.1, 0.4, 0.1, 0.4]), 1);
    }
}
