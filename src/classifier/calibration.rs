//! What was measured about a model's certainty, and how it is measured.
//!
//! Temperature scaling: Guo et al., "On Calibration of Modern Neural Networks" (2017). Certified precision: the lower
//! end of the one-sided interval of Clopper and Pearson (1934) for the share of right answers among the accepted. Ten
//! thresholds are looked at, chosen by confidence alone, so each is tested at a tenth of the error (Bonferroni).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use statrs::distribution::{Beta, ContinuousCDF};

use super::config::HeadConfig;
use super::prediction::{ranked, softmax};

/// Confidence level of certified precisions.
const CONFIDENCE_LEVEL: f64 = 0.95;
/// How many thresholds are looked at for one precision: each tenth of the sample, by confidence.
const LOOKS: usize = 10;
/// The precisions that are certified where the sample allows it.
const TARGET_PRECISIONS: [f64; 3] = [0.90, 0.95, 0.98];

/// The content of `calibration.json`: what was measured for each head.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// By head name; heads that are missing here are uncalibrated.
    pub heads: BTreeMap<String, HeadCalibration>,
}

/// What was measured for one head.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadCalibration {
    /// Logits are divided by it; greater than 0.
    pub temperature: f32,
    /// Number of examples behind the figures.
    pub sample_size: usize,
    /// Least confidences at which answers may act alone, by rising precision; empty where the sample allows none.
    #[serde(default)]
    pub accept: Vec<CertifiedThreshold>,
}

/// A confidence from which answers are right with a certified precision.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertifiedThreshold {
    /// The precision that was asked for, 0 to 1.
    pub precision: f64,
    /// Least calibrated top probability that is accepted, 0 to 1.
    pub threshold: f32,
    /// Examples of the sample at or above the threshold.
    pub accepted: usize,
    /// Right answers among them.
    pub correct: usize,
    /// Clopper–Pearson lower bound of the precision at 95 % confidence, all looks together.
    pub lower_bound: f64,
}

/// Why a `calibration.json` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CalibrationError {
    /// Not JSON, or a field is missing, unknown, or of the wrong type.
    #[error("calibration.json cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// A head that the model does not have.
    #[error("calibration.json names head `{head}`, which the model does not have")]
    UnknownHead {
        /// The head's name.
        head: String,
    },
    /// A temperature that cannot divide.
    #[error(
        "calibration.json gives head `{head}` the temperature {temperature}; it must be a number above 0"
    )]
    Temperature {
        /// The head's name.
        head: String,
        /// What stands there.
        temperature: f32,
    },
}

impl Calibration {
    /// Reads the text of a `calibration.json` and checks it against a model's heads.
    ///
    /// # Errors
    /// If it is malformed, names an unknown head, or a temperature is not a positive number.
    pub fn from_json(text: &str, heads: &[HeadConfig]) -> Result<Self, CalibrationError> {
        let calibration: Self = serde_json::from_str(text)?;
        for (name, head) in &calibration.heads {
            if !heads.iter().any(|known| known.name == *name) {
                return Err(CalibrationError::UnknownHead { head: name.clone() });
            }
            if !(head.temperature.is_finite() && head.temperature > 0.0) {
                let temperature = head.temperature;
                return Err(CalibrationError::Temperature { head: name.clone(), temperature });
            }
        }
        Ok(calibration)
    }

    /// What was measured for a head.
    pub fn head(&self, name: &str) -> Option<&HeadCalibration> {
        self.heads.get(name)
    }
}

impl HeadCalibration {
    /// Measures a single-label head on examples that it was not trained on: `logits[i]` with right label `gold[i]`.
    ///
    /// Returns `None` if there is no example.
    pub fn fit(logits: &[Vec<f32>], gold: &[usize]) -> Option<Self> {
        if gold.is_empty() || logits.len() != gold.len() {
            return None;
        }
        let temperature = fit_temperature(logits, gold);
        let answers: Vec<(f32, bool)> = logits
            .iter()
            .zip(gold)
            .filter_map(|(logits, &gold)| {
                let (label, confidence) = ranked(&softmax(logits, temperature)).next()?;
                Some((confidence, label == gold))
            })
            .collect();
        let accept = TARGET_PRECISIONS.iter().filter_map(|&precision| certify(&answers, precision)).collect();
        Some(Self { temperature, sample_size: gold.len(), accept })
    }

    /// The certified threshold for a precision, if the sample allowed one.
    pub fn accept_at(&self, precision: f64) -> Option<&CertifiedThreshold> {
        self.accept.iter().find(|certified| (certified.precision - precision).abs() < 1e-9)
    }
}

/// The temperature in [0.1, 10] with the least negative log-likelihood, by golden-section search on its logarithm.
fn fit_temperature(logits: &[Vec<f32>], gold: &[usize]) -> f32 {
    let loss = |log_temperature: f32| -> f64 {
        logits
            .iter()
            .zip(gold)
            .map(|(logits, &gold)| -f64::from(softmax(logits, log_temperature.exp())[gold].max(1e-30)).ln())
            .sum()
    };
    let ratio = (5f32.sqrt() - 1.0) / 2.0;
    let (mut low, mut high) = (0.1f32.ln(), 10f32.ln());
    for _ in 0..40 {
        let (left, right) = (high - ratio * (high - low), low + ratio * (high - low));
        if loss(left) < loss(right) {
            high = right;
        } else {
            low = left;
        }
    }
    f32::midpoint(low, high).exp()
}

/// The lowest of [`LOOKS`] thresholds whose accepted answers are right with at least `precision`, certified.
fn certify(answers: &[(f32, bool)], precision: f64) -> Option<CertifiedThreshold> {
    let mut answers = answers.to_vec();
    answers.sort_by(|a, b| b.0.total_cmp(&a.0));
    (1..=LOOKS).rev().find_map(|look| {
        let threshold = answers.get((answers.len() * look / LOOKS).checked_sub(1)?)?.0;
        let accepted: Vec<bool> = answers
            .iter()
            .take_while(|(confidence, _)| *confidence >= threshold)
            .map(|(_, right)| *right)
            .collect();
        let correct = accepted.iter().filter(|right| **right).count();
        let lower_bound = clopper_pearson_lower(correct, accepted.len());
        (lower_bound >= precision).then_some(CertifiedThreshold {
            precision,
            threshold,
            accepted: accepted.len(),
            correct,
            lower_bound,
        })
    })
}

/// Lower end of the one-sided Clopper–Pearson interval at [`CONFIDENCE_LEVEL`], shared by [`LOOKS`] looks.
fn clopper_pearson_lower(correct: usize, accepted: usize) -> f64 {
    clopper_pearson(correct, accepted, (1.0 - CONFIDENCE_LEVEL) / LOOKS as f64)
}

/// Lower end of the one-sided Clopper–Pearson interval that errs with probability `error`.
fn clopper_pearson(correct: usize, accepted: usize, error: f64) -> f64 {
    if correct == 0 {
        return 0.0;
    }
    // Both parameters are at least 1, which is all that the distribution asks for.
    Beta::new(correct as f64, (accepted - correct + 1) as f64).map_or(0.0, |beta| beta.inverse_cdf(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    // With k = n the bound is error^(1/n); with k = 1, n = 2 it is 1 − √(1 − error).
    #[test]
    fn the_lower_bound_is_clopper_and_pearsons() {
        assert!((clopper_pearson(59, 59, 0.05) - 0.05f64.powf(1.0 / 59.0)).abs() < 1e-6);
        assert!(clopper_pearson(59, 59, 0.05) > 0.95 && clopper_pearson(58, 58, 0.05) < 0.95);
        assert!((clopper_pearson(1, 2, 0.05) - (1.0 - 0.95f64.sqrt())).abs() < 1e-6);
        assert!(clopper_pearson(0, 10, 0.05).abs() < f64::EPSILON);
    }

    #[test]
    fn too_small_a_sample_certifies_nothing() {
        // Ten looks: 0.95^103 > 0.005 > 0.95^104.
        assert_eq!(certify(&vec![(0.99, true); 103], 0.95), None);
        assert!(certify(&vec![(0.99, true); 104], 0.95).is_some());
        assert_eq!(certify(&[], 0.95), None);
    }

    #[test]
    fn the_threshold_is_as_low_as_the_errors_allow() {
        let mut answers = vec![(0.9f32, true); 200];
        answers.extend(vec![(0.5f32, false); 50]);
        let certified = certify(&answers, 0.95).unwrap();
        assert!((certified.threshold - 0.9).abs() < f32::EPSILON);
        assert_eq!((certified.accepted, certified.correct), (200, 200));
    }

    #[test]
    fn temperature_cools_an_overconfident_model() {
        // Right three times of four, but sure as at 1 : e⁴.
        let logits = vec![vec![4.0, 0.0]; 400];
        let gold: Vec<usize> = (0..400).map(|index| usize::from(index % 4 == 0)).collect();
        let temperature = HeadCalibration::fit(&logits, &gold).unwrap().temperature;
        // softmax(4/T) = 3/4 at T = 4/ln 3
        assert!((temperature - 4.0 / 3f32.ln()).abs() < 0.01, "{temperature}");
    }

    #[test]
    fn refuses_a_file_that_does_not_fit_the_heads() {
        let refuse = |text: &str| Calibration::from_json(text, &[]).unwrap_err().to_string();
        assert!(refuse("{}").contains("missing field"));
        assert!(refuse(r#"{"heads": {"x": {"temperature": 1, "sample_size": 1}}}"#).contains("head `x`"));
    }
}
