//! How a model's certainty is measured on rows that it was not trained on.
//!
//! The expected calibration error: Guo et al., "On Calibration of Modern Neural Networks" (2017).
//!
//! Certified precision: the lower end of the one-sided interval of Clopper and Pearson (1934) for the share of right
//! answers among the accepted. Thresholds are looked at from the strictest on, and the first that fails ends the search:
//! in such a fixed sequence each may be tested at the full error (Angelopoulos et al., "Learn then Test", 2021).
//!
//! Where a miss costs more than a false alarm, the threshold of a decision is the one with the best F₂, which counts
//! recall twice as much as precision (van Rijsbergen, "Information Retrieval", 1979).

use statrs::distribution::{Beta, ContinuousCDF};

use super::super::config::Problem;
use super::super::prediction::{alarm, sigmoid, softmax, top};
use super::{CertifiedThreshold, HeadCalibration, Scaling};

/// Confidence level of certified precisions.
const CONFIDENCE_LEVEL: f64 = 0.95;
/// Into how many parts the thresholds that are looked at cut the sample, by confidence.
const PARTS: usize = 20;
/// The strictest threshold that is looked at accepts so many of the parts; less would say little about a precision.
const FIRST_LOOK: usize = 5;
/// How many bins the expected calibration error has.
const BINS: usize = 15;
/// Into how many parts a sample is cut to measure on one what was fitted on the others.
const FOLDS: usize = 5;
/// The precisions that are certified where the sample allows it.
const TARGET_PRECISIONS: [f64; 3] = [0.90, 0.95, 0.98];
/// The least and the highest temperature that are looked at.
const TEMPERATURES: (f32, f32) = (0.01, 100.0);
/// The least and the highest slope that are looked at.
const TOP_SLOPES: (f32, f32) = (0.05, 1.0);

impl HeadCalibration {
    /// Measures a single-label head on examples that it was not trained on: `logits[i]` with right label `gold[i]`. With
    /// `alert`, its first label is the quiet one and the others must not be missed.
    ///
    /// Returns `None` if there is no example.
    pub fn fit(logits: &[Vec<f32>], gold: &[usize], alert: bool) -> Option<Self> {
        if gold.is_empty() || logits.len() != gold.len() {
            return None;
        }
        let rows: Vec<(&[f32], usize)> = logits.iter().map(Vec::as_slice).zip(gold.iter().copied()).collect();
        let scaling = fit_scaling(&rows);
        let answers = top_answers(&rows, scaling);
        let alarms = || {
            let alarm = |logits| alarm(&scaling.probabilities(Problem::SingleLabelClassification, logits));
            rows.iter().map(|(logits, gold)| (alarm(logits), *gold > 0)).collect()
        };
        Some(Self {
            temperature: scaling.temperature,
            top_slope: scaling.top_slope,
            sample_size: gold.len(),
            accept: TARGET_PRECISIONS.iter().filter_map(|&precision| certify(&answers, precision)).collect(),
            decision_threshold: alert.then(|| best_threshold(alarms())).flatten(),
            expected_calibration_error: (rows.len() >= FOLDS).then(|| cross_fitted_error(&rows)),
        })
    }

    /// Measures a multi-label head on examples that it was not trained on: for each the logits and the labels that hold.
    ///
    /// Returns `None` if there is no example.
    pub fn fit_multi_label(logits: &[Vec<f32>], gold: &[Vec<usize>]) -> Option<Self> {
        if gold.is_empty() || logits.len() != gold.len() {
            return None;
        }
        let decisions = |temperature: f32| -> Vec<(f32, bool)> {
            let row = |(logits, gold): (&Vec<f32>, &Vec<usize>)| {
                let decision =
                    |(label, logit): (usize, &f32)| (sigmoid(logit / temperature), gold.contains(&label));
                logits.iter().enumerate().map(decision).collect::<Vec<_>>()
            };
            logits.iter().zip(gold).flat_map(row).collect()
        };
        let temperature = least_loss(TEMPERATURES, |temperature| {
            decisions(temperature).into_iter().map(loss_of_answer).sum()
        });
        Some(Self {
            temperature,
            top_slope: 1.0,
            sample_size: gold.len(),
            accept: Vec::new(),
            decision_threshold: best_threshold(decisions(temperature)),
            expected_calibration_error: None,
        })
    }
}

/// The top label's confidence in each row, and whether it is right.
fn top_answers(rows: &[(&[f32], usize)], scaling: Scaling) -> Vec<(f32, bool)> {
    let answer = |(logits, gold): &(&[f32], usize)| {
        let probabilities = scaling.probabilities(Problem::SingleLabelClassification, logits);
        let label = top(&probabilities);
        (probabilities[label], label == *gold)
    };
    rows.iter().map(answer).collect()
}

/// The temperature that makes the right labels most likely, then the slope that makes it most likely that the top labels
/// are right where they are.
fn fit_scaling(rows: &[(&[f32], usize)]) -> Scaling {
    let temperature = least_loss(TEMPERATURES, |temperature| {
        let likelihood = |(logits, gold): &(&[f32], usize)| softmax(logits, temperature)[*gold];
        rows.iter().map(|row| loss_of(likelihood(row))).sum()
    });
    let top_slope = least_loss(TOP_SLOPES, |top_slope| {
        top_answers(rows, Scaling { temperature, top_slope }).into_iter().map(loss_of_answer).sum()
    });
    Scaling { temperature, top_slope }
}

/// The loss of a probability for what then was so, or was not.
fn loss_of_answer((probability, is_so): (f32, bool)) -> f64 {
    loss_of(if is_so { probability } else { 1.0 - probability })
}

fn loss_of(likelihood: f32) -> f64 {
    -f64::from(likelihood.max(1e-30)).ln()
}

/// The number within the bounds that has the least loss, by golden-section search on its logarithm.
fn least_loss((least, most): (f32, f32), loss: impl Fn(f32) -> f64) -> f32 {
    let ratio = (5f32.sqrt() - 1.0) / 2.0;
    let (mut low, mut high) = (least.ln(), most.ln());
    for _ in 0..40 {
        let (left, right) = (high - ratio * (high - low), low + ratio * (high - low));
        if loss(left.exp()) < loss(right.exp()) {
            high = right;
        } else {
            low = left;
        }
    }
    f32::midpoint(low, high).exp().min(most)
}

/// The expected calibration error where no row has a say in how it is read.
fn cross_fitted_error(rows: &[(&[f32], usize)]) -> f64 {
    let mut answers = Vec::with_capacity(rows.len());
    for fold in 0..FOLDS {
        let part = |held_out: bool| -> Vec<(&[f32], usize)> {
            let rows = rows.iter().enumerate().filter(|(row, _)| (row % FOLDS == fold) == held_out);
            rows.map(|(_, row)| *row).collect()
        };
        answers.extend(top_answers(&part(true), fit_scaling(&part(false))));
    }
    expected_calibration_error(&answers)
}

/// Σ over bins of |bin|/n · |share of right answers − mean confidence|.
fn expected_calibration_error(answers: &[(f32, bool)]) -> f64 {
    let mut gaps = [0.0; BINS];
    for (confidence, right) in answers {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a probability times a small number"
        )]
        let bin = ((confidence * BINS as f32) as usize).min(BINS - 1);
        gaps[bin] += f64::from(u8::from(*right)) - f64::from(*confidence);
    }
    gaps.iter().map(|gap| gap.abs()).sum::<f64>() / answers.len().max(1) as f64
}

/// The lowest threshold whose accepted answers are right with at least `precision`, certified.
fn certify(answers: &[(f32, bool)], precision: f64) -> Option<CertifiedThreshold> {
    let mut answers = answers.to_vec();
    answers.sort_by(|a, b| b.0.total_cmp(&a.0));
    let look = |part: usize| {
        let threshold = answers.get((answers.len() * part / PARTS).checked_sub(1)?)?.0;
        let accepted = answers.partition_point(|(confidence, _)| *confidence >= threshold);
        let correct = answers[..accepted].iter().filter(|(_, right)| *right).count();
        let lower_bound = clopper_pearson(correct, accepted, 1.0 - CONFIDENCE_LEVEL);
        (lower_bound >= precision).then_some(CertifiedThreshold {
            precision,
            threshold,
            accepted,
            correct,
            lower_bound,
        })
    };
    // A look that accepts too few to certify anything must not end the search before it has begun.
    let enough =
        |part: &usize| precision.powf((answers.len() * part / PARTS) as f64) <= 1.0 - CONFIDENCE_LEVEL;
    (FIRST_LOOK..=PARTS).skip_while(|part| !enough(part)).map_while(look).last()
}

/// The threshold with the best F₂ of the decisions, each a probability and whether it should be yes; the highest of
/// several. None if nothing should be.
fn best_threshold(mut decisions: Vec<(f32, bool)>) -> Option<f32> {
    decisions.sort_by(|a, b| b.0.total_cmp(&a.0));
    let wanted = decisions.iter().filter(|(_, wanted)| *wanted).count();
    let (mut hits, mut best) = (0, (0.0, None));
    for (index, (probability, is_wanted)) in decisions.iter().enumerate() {
        hits += usize::from(*is_wanted);
        let score = 5.0 * hits as f64 / (4 * wanted + index + 1) as f64;
        // Equal probabilities are decided alike.
        let is_last = decisions.get(index + 1).is_none_or(|next| next.0 < *probability);
        if is_last && score > best.0 {
            best = (score, Some(*probability));
        }
    }
    best.1
}

/// Lower end of the one-sided Clopper–Pearson interval that errs with probability `error`.
pub(crate) fn clopper_pearson(correct: usize, accepted: usize, error: f64) -> f64 {
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
        // 0.95^58 > 0.05 > 0.95^59
        assert_eq!(certify(&vec![(0.99, true); 58], 0.95), None);
        assert!(certify(&vec![(0.99, true); 59], 0.95).is_some());
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
    fn a_failed_look_ends_the_search() {
        // The surest quarter is right in 85 of 100; all together would pass, if they were asked.
        let mut answers: Vec<(f32, bool)> = (0..1000).map(|row| (0.9, row % 20 > 2)).collect();
        answers.extend(vec![(0.5, true); 3000]);
        assert_eq!(certify(&answers, 0.95), None);
    }

    #[test]
    fn calibration_error_is_the_gap_between_confidence_and_accuracy() {
        // Bin of 0.95: 0.5 right, gap 0.45; bin of 0.6: 1 right, gap 0.4; each half of the sample.
        let answers = [(0.95, true), (0.95, false), (0.6, true), (0.6, true)];
        assert!((expected_calibration_error(&answers) - 0.425).abs() < 1e-6);
    }

    #[test]
    fn what_must_not_be_missed_is_raised_early() {
        // F2 at 0.9: 5·1/(4·2+1) = 0.56; at 0.4: 5·2/(8+4) = 0.83; at 0.1: 5·2/(8+6) = 0.71
        let decisions =
            vec![(0.9, true), (0.5, false), (0.5, false), (0.4, true), (0.1, false), (0.1, false)];
        assert_eq!(best_threshold(decisions), Some(0.4));
        assert_eq!(best_threshold(vec![(0.9, false)]), None);
    }

    #[test]
    fn temperature_cools_an_overconfident_model() {
        // Right three times of four, but sure as at 1 : e⁴.
        let logits = vec![vec![4.0, 0.0]; 400];
        let gold: Vec<usize> = (0..400).map(|index| usize::from(index % 4 == 0)).collect();
        let calibration = HeadCalibration::fit(&logits, &gold, false).unwrap();
        // softmax(4/T) = 3/4 at T = 4/ln 3
        assert!((calibration.temperature - 4.0 / 3f32.ln()).abs() < 0.01, "{calibration:?}");
        assert!(calibration.top_slope > 0.99, "with two labels there is nothing left to do: {calibration:?}");
    }

    #[test]
    fn the_slope_cools_top_labels_whose_rivals_are_ranked_well() {
        // Wrong in two rows of five, always in favour of the runner-up among many: the temperature that fits the rivals
        // leaves the top label too sure of itself.
        let logits: Vec<Vec<f32>> = (0..400)
            .map(|_| std::iter::once(6.0).chain(std::iter::once(5.0)).chain([0.0; 18]).collect())
            .collect();
        let gold: Vec<usize> = (0..400).map(|row| usize::from(row % 5 < 2)).collect();
        let rows: Vec<(&[f32], usize)> = logits.iter().map(Vec::as_slice).zip(gold).collect();
        let gap = |scaling| {
            let answers = top_answers(&rows, scaling);
            (answers[0].0 - 0.6).abs()
        };
        let fitted = fit_scaling(&rows);
        assert!(gap(fitted) < 0.01 && gap(Scaling { top_slope: 1.0, ..fitted }) > gap(fitted), "{fitted:?}");
    }
}
