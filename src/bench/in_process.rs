//! The model in this process: words to calibrated probabilities, normalisation and tokenisation included.

use std::num::NonZeroUsize;
use std::time::Instant;

use rayon::prelude::*;
use serde::Serialize;

use super::{LatencyFigures, latencies};
use crate::classifier::{Classification, ModelError, SequenceClassifier};
use crate::request::RequestText;

/// Most texts that are classified one at a time.
const MAX_SINGLES: usize = 500;

/// What a model reaches.
#[derive(Debug, Clone, Serialize)]
pub struct ModelFigures {
    /// Texts a round.
    pub texts: usize,
    /// Texts a second, all given at once: the median round.
    pub texts_per_s: f64,
    /// The same of each round.
    pub rounds: Vec<f64>,
    /// Latency of a text given alone, in milliseconds.
    pub single_ms: LatencyFigures,
}

/// Classifies all texts `rounds` times, then some one at a time.
///
/// # Errors
/// If the model fails.
pub fn measure_model(
    model: &SequenceClassifier,
    texts: &[String],
    rounds: NonZeroUsize,
) -> Result<ModelFigures, ModelError> {
    // What the first round finds cold is none of the figures.
    classify(model, texts)?;
    let mut speeds = Vec::new();
    for _ in 0..rounds.get() {
        let begin = Instant::now();
        classify(model, texts)?;
        speeds.push(texts.len() as f64 / begin.elapsed().as_secs_f64());
    }
    let mut singles = latencies();
    for text in texts.chunks(1).take(MAX_SINGLES) {
        let begin = Instant::now();
        classify(model, text)?;
        singles.saturating_record(begin.elapsed().as_micros() as u64);
    }
    Ok(ModelFigures {
        texts: texts.len(),
        texts_per_s: median(&speeds),
        rounds: speeds,
        single_ms: LatencyFigures::from(&singles),
    })
}

/// From the words as they come; all have been checked.
fn classify(model: &SequenceClassifier, texts: &[String]) -> Result<Vec<Classification>, ModelError> {
    let texts: Vec<_> = texts.par_iter().filter_map(|text| RequestText::new("", text).ok()).collect();
    model.classify(&texts)
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    } else {
        sorted[middle]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((median(&[4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-9);
    }
}
