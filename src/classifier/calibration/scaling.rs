//! From logits to calibrated probabilities.

use super::super::config::Problem;
use super::super::prediction::{sigmoid, softmax, top};

/// How a head's logits become probabilities.
///
/// The temperature T divides all logits (Guo et al., "On Calibration of Modern Neural Networks", 2017). It makes the
/// probabilities of all labels fit together, which does not make that of the most probable one right, though it is the
/// one that decisions hang on (Gupta, Ramdas, "Top-label calibration and multiclass-to-binary reductions", 2022). So its
/// log-odds are multiplied by a slope s, ln(p′/(1 − p′)) = s·ln(p/(1 − p)), and the others share what is left as before.
/// With s ≤ 1 the order of the labels stays.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scaling {
    /// T
    pub(crate) temperature: f32,
    /// s
    pub(crate) top_slope: f32,
}

impl Scaling {
    /// Probabilities as the logits say.
    pub(crate) const NONE: Self = Self { temperature: 1.0, top_slope: 1.0 };

    /// Calibrated probabilities of a head's logits.
    pub(crate) fn probabilities(self, problem: Problem, logits: &[f32]) -> Vec<f32> {
        match problem {
            Problem::SingleLabelClassification => {
                let mut probabilities = softmax(logits, self.temperature);
                if self.top_slope < 1.0 {
                    self.temper_top(&mut probabilities);
                }
                probabilities
            }
            Problem::MultiLabelClassification => {
                logits.iter().map(|logit| sigmoid(logit / self.temperature)).collect()
            }
        }
    }

    fn temper_top(self, probabilities: &mut [f32]) {
        let top = top(probabilities);
        let others = |(label, p): (usize, &f32)| if label == top { 0.0 } else { *p };
        let rest: f32 = probabilities.iter().enumerate().map(others).sum();
        if rest <= 0.0 {
            return;
        }
        let log_odds = self.top_slope * (probabilities[top] / rest).ln();
        let scale = sigmoid(-log_odds) / rest;
        for p in &mut *probabilities {
            *p *= scale;
        }
        probabilities[top] = sigmoid(log_odds);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_slope_up_to_one_keeps_the_order_and_the_sum(
            logits in prop::collection::vec(-30f32..30.0, 2..40),
            temperature in 0.1f32..10.0,
            top_slope in 0.05f32..=1.0,
        ) {
            let scaling = Scaling { temperature, top_slope };
            let probabilities = scaling.probabilities(Problem::SingleLabelClassification, &logits);
            prop_assert!((probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-4);
            prop_assert_eq!(top(&probabilities), top(&softmax(&logits, temperature)));
            for (a, b) in (0..logits.len()).flat_map(|a| (0..logits.len()).map(move |b| (a, b))) {
                prop_assert!(logits[a] < logits[b] || probabilities[a] >= probabilities[b]);
            }
        }
    }

    #[test]
    fn the_log_odds_of_the_top_label_are_scaled() {
        // Odds of 9 : 1 become 3 : 1.
        let logits = [0.9f32.ln(), 0.06f32.ln(), 0.04f32.ln()];
        let scaling = Scaling { temperature: 1.0, top_slope: 0.5 };
        let got = scaling.probabilities(Problem::SingleLabelClassification, &logits);
        for (got, wanted) in got.iter().zip([0.75, 0.15, 0.1]) {
            assert!((got - wanted).abs() < 1e-6, "{got}");
        }
    }

    #[test]
    fn certainty_stays_certainty() {
        let scaling = Scaling { temperature: 1.0, top_slope: 0.5 };
        assert_eq!(scaling.probabilities(Problem::SingleLabelClassification, &[500.0, 0.0]), [1.0, 0.0]);
    }
}
