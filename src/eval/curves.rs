//! The points of a report's curves: confidence against accuracy, risk against coverage.

use super::metrics::{self, Estimate, Selective, SingleLabel, Weights};
use super::report::{PrecisionMark, ReliabilityBin, RiskCoverage, RiskCoveragePoint};
use crate::classifier::clopper_pearson;

/// How many points of a risk–coverage curve are told.
const CURVE_POINTS: usize = 400;
/// Errors of either end of a bin's interval: together 5 %.
const ONE_END: f64 = 0.025;

/// Answers of about one confidence, with the exact interval of their accuracy (Clopper and Pearson 1934).
pub(super) fn reliability_bin(bin: &metrics::ReliabilityBin) -> ReliabilityBin {
    let metrics::ReliabilityBin { rows, mean_confidence, accuracy, .. } = *bin;
    #[expect(clippy::cast_sign_loss, reason = "a share of a count")]
    let right = (accuracy * rows as f64).round() as usize;
    let all = rows as usize;
    ReliabilityBin {
        confidence: mean_confidence,
        accuracy,
        low: clopper_pearson(right, all, ONE_END),
        high: 1.0 - clopper_pearson(all - right, all, ONE_END),
        count: rows,
    }
}

/// The risk–coverage curve, thinned out, and how far the model gets at some precisions.
pub(super) fn risk_coverage(
    problem: &SingleLabel,
    figures: &metrics::SelectiveFigures<Estimate>,
) -> RiskCoverage {
    let curve = Selective::new(problem).curve(&Weights::ones(problem.rows()));
    let mark = |(precision, estimate): (f64, Estimate)| {
        let coverage = estimate.value.filter(|coverage| *coverage > 0.0);
        let reaches = |coverage: f64| curve.iter().find(|point| point.coverage >= coverage);
        PrecisionMark {
            precision,
            coverage,
            threshold: coverage.and_then(reaches).map(|point| point.confidence),
        }
    };
    let marks = [
        (0.90, figures.coverage_at_precision_90),
        (0.95, figures.coverage_at_precision_95),
        (0.98, figures.coverage_at_precision_98),
    ];
    let step = curve.len().div_ceil(CURVE_POINTS).max(1);
    // From the end, so that full coverage is always there.
    let mut points: Vec<RiskCoveragePoint> = curve
        .iter()
        .rev()
        .step_by(step)
        .map(|point| RiskCoveragePoint { coverage: point.coverage, risk: point.risk })
        .collect();
    points.reverse();
    let aurc = figures.area_under_risk_coverage_curve.value.unwrap_or_default();
    RiskCoverage { points, aurc, marks: marks.into_iter().map(mark).collect() }
}
