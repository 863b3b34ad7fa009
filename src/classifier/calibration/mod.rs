//! What was measured about a model's certainty, and how it is used: `scaling` makes probabilities, `fit` does the measuring.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::config::{HeadConfig, Problem};
use super::prediction::DecisionRule;

mod fit;
mod scaling;

pub(crate) use fit::clopper_pearson;
pub(crate) use scaling::Scaling;

/// Probability from which a label of a multi-label head holds where nothing was measured.
const EVEN_ODDS: f32 = 0.5;

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
    /// What the log-odds of the most probable label are multiplied by, in (0, 1]; heads of one label only.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub top_slope: f32,
    /// Number of examples behind the figures.
    pub sample_size: usize,
    /// Least confidences at which answers may act alone, by rising precision; empty where the sample allows none.
    #[serde(default)]
    pub accept: Vec<CertifiedThreshold>,
    /// Least probability at which a label holds (multi-label heads), or at which the labels after the first, together, are
    /// preferred to it (heads that raise an alarm); 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision_threshold: Option<f32>,
    /// Expected calibration error of the top label in 15 bins of equal width, each fifth of the sample read as the
    /// others ask for; 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_calibration_error: Option<f64>,
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
    /// Clopper–Pearson lower bound of the precision at 95 % confidence.
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
    /// A threshold that is no probability.
    #[error("calibration.json gives head `{head}` the threshold {threshold}; it must be from 0 to 1")]
    Threshold {
        /// The head's name.
        head: String,
        /// What stands there.
        threshold: f32,
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
    /// A slope that would turn the labels' order round.
    #[error("calibration.json gives head `{head}` the top slope {slope}; it must be above 0 and at most 1")]
    TopSlope {
        /// The head's name.
        head: String,
        /// What stands there.
        slope: f32,
    },
}

impl Calibration {
    /// Reads the text of a `calibration.json` and checks it against a model's heads.
    ///
    /// # Errors
    /// If it is malformed, names an unknown head, or a temperature, a slope or a threshold is out of its range.
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
            if !(head.top_slope > 0.0 && head.top_slope <= 1.0) {
                return Err(CalibrationError::TopSlope { head: name.clone(), slope: head.top_slope });
            }
            // One below 0 would accept whatever the model says.
            let accepting = head.accept.iter().map(|certified| certified.threshold);
            let mut thresholds = head.decision_threshold.into_iter().chain(accepting);
            if let Some(threshold) = thresholds.find(|threshold| !(0.0..=1.0).contains(threshold)) {
                return Err(CalibrationError::Threshold { head: name.clone(), threshold });
            }
        }
        Ok(calibration)
    }

    /// What was measured for a head.
    pub fn head(&self, name: &str) -> Option<&HeadCalibration> {
        self.heads.get(name)
    }
}

fn one() -> f32 {
    1.0
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    clippy::float_cmp,
    reason = "serde hands in a reference to a plain 1"
)]
fn is_one(value: &f32) -> bool {
    *value == 1.0
}

impl Problem {
    /// How a head decides with a threshold that was measured, or without one.
    pub(crate) fn decision_rule(self, threshold: Option<f32>) -> DecisionRule {
        match (self, threshold) {
            (Self::SingleLabelClassification, None) => DecisionRule::MostProbable,
            (Self::SingleLabelClassification, Some(threshold)) => DecisionRule::Alert { threshold },
            (Self::MultiLabelClassification, threshold) => {
                DecisionRule::Every { threshold: threshold.unwrap_or(EVEN_ODDS) }
            }
        }
    }
}

impl HeadCalibration {
    /// How the head's logits become probabilities.
    pub(crate) fn scaling(&self) -> Scaling {
        Scaling { temperature: self.temperature, top_slope: self.top_slope }
    }

    /// The certified threshold for a precision, if the sample allowed one.
    pub fn accept_at(&self, precision: f64) -> Option<&CertifiedThreshold> {
        self.accept.iter().find(|certified| (certified.precision - precision).abs() < 1e-9)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_a_file_that_does_not_fit_the_heads() {
        let labels = crate::label::LabelSet::new(["a", "b"]).unwrap();
        let problem = Problem::SingleLabelClassification;
        let heads = [HeadConfig { name: "category".into(), problem, labels }];
        let refuse = |text: &str| Calibration::from_json(text, &heads).unwrap_err().to_string();
        assert!(refuse("{}").contains("missing field"));
        assert!(refuse(r#"{"heads": {"x": {"temperature": 1, "sample_size": 1}}}"#).contains("head `x`"));
        let category = |field: &str| format!(r#"{{"heads": {{"category": {{"sample_size": 1, {field}}}}}}}"#);
        assert!(refuse(&category(r#""temperature": 0"#)).contains("the temperature 0"));
        assert!(refuse(&category(r#""temperature": 1, "top_slope": 1.5"#)).contains("the top slope 1.5"));
        assert!(refuse(&category(r#""temperature": 1, "decision_threshold": 2"#)).contains("threshold 2"));
        let accept = |threshold: &str| {
            category(&format!(
                r#""temperature": 1, "accept": [{{"precision": 0.9, "threshold": {threshold}, "accepted": 1, "correct": 1, "lower_bound": 0.9}}]"#
            ))
        };
        assert!(refuse(&accept("-0.5")).contains("threshold -0.5"));
        assert!(refuse(&accept("1.5")).contains("threshold 1.5"));
    }

    #[test]
    fn numbers_that_are_none_and_values_that_are_nested_without_end_are_refused() {
        for value in ["NaN", "1e999", "Infinity", &"[".repeat(100_000)] {
            let text =
                format!(r#"{{"heads": {{"category": {{"sample_size": 1, "temperature": {value}}}}}}}"#);
            assert!(matches!(Calibration::from_json(&text, &[]), Err(CalibrationError::Json(_))));
        }
    }
}
