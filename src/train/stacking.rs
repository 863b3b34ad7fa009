//! How the scores of the n-grams enter the heads' logits: z = W·h + b + S·s.
//!
//! h is the text's vector, s the scores that the linear model gives the labels of all heads. S starts as "what the
//! n-grams say of a head's own labels" and is learned with the encoder, which so learns what n-grams cannot say, and how
//! far to believe them. In training, the scores of a row come from a linear model that never saw it, as those of a new
//! text will: Wolpert, "Stacked Generalization" (1992). Since S·s is linear in the n-grams, S is multiplied into their
//! weights in the end, and costs nothing when the model is used.

use candle_core::{Device, Result, Tensor, Var};

use crate::classifier::HeadConfig;

use super::bert::{Parameter, Pass};
use super::example::Example;
use super::ngrams::ScoreMix;

/// A margin of one is worth about so much of a logit; S is learned in units of it, at the heads' rate.
const UNIT: f32 = 4.0;

/// S of one head, in units.
#[derive(Debug)]
pub(super) struct Stacking(Var);

impl Stacking {
    /// For each head the S that believes what the n-grams say of its own labels.
    pub(super) fn of_heads(heads: &[HeadConfig]) -> Result<Vec<Self>> {
        let scores: usize = heads.iter().map(|head| head.labels.len()).sum();
        let mut first = 0;
        let start = |head: &HeadConfig| {
            let labels = head.labels.len();
            let mut weights = vec![0.0_f32; labels * scores];
            (0..labels).for_each(|label| weights[label * scores + first + label] = 1.0);
            first += labels;
            Var::from_vec(weights, (labels, scores), &Device::Cpu).map(Self)
        };
        heads.iter().map(start).collect()
    }

    /// What the n-grams add: (texts, labels)
    pub(super) fn forward(&self, scores: &Tensor, pass: Pass) -> Result<Tensor> {
        scores.matmul(&pass.weight(&self.0).t()?)?.affine(f64::from(UNIT), 0.0)
    }

    /// Lets the n-grams count `weight` times as much.
    pub(super) fn scale(&self, weight: f32) -> Result<()> {
        self.0.set(&self.0.as_detached_tensor().affine(f64::from(weight), 0.0)?)
    }

    pub(super) fn parameter(&self, head: &str) -> Parameter<'_> {
        (format!("stacking.{head}.weight"), &self.0)
    }

    /// S, to be multiplied into the weights of the n-grams.
    pub(super) fn mix(&self) -> Result<ScoreMix> {
        let rows = self.0.as_detached_tensor().affine(f64::from(UNIT), 0.0)?;
        rows.to_vec2()
    }
}

/// The scores of the n-grams for a batch: (texts, scores). None if the texts have none.
pub(super) fn scores_of(examples: &[&Example]) -> Result<Option<Tensor>> {
    let width = examples.first().map_or(0, |example| example.scores.len());
    if width == 0 {
        return Ok(None);
    }
    let scores: Vec<f32> = examples.iter().flat_map(|example| example.scores.iter().copied()).collect();
    Tensor::from_vec(scores, (examples.len(), width), &Device::Cpu).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classifier::Problem;
    use crate::label::LabelSet;

    fn head(labels: &[&str]) -> HeadConfig {
        let labels = LabelSet::new(labels.iter().copied()).unwrap();
        HeadConfig { name: "h".into(), problem: Problem::SingleLabelClassification, labels }
    }

    #[test]
    fn a_head_starts_with_the_scores_of_its_own_labels() {
        let stackings = Stacking::of_heads(&[head(&["a", "b"]), head(&["x", "y", "z"])]).unwrap();
        let scores = Tensor::new(&[[1.0_f32, 2.0, 3.0, 4.0, 5.0]], &Device::Cpu).unwrap();
        let added = |stacking: &Stacking| {
            stacking.forward(&scores, Pass::Inference).unwrap().to_vec2::<f32>().unwrap().concat()
        };
        assert_eq!(added(&stackings[0]), [UNIT, 2.0 * UNIT]);
        assert_eq!(added(&stackings[1]), [3.0 * UNIT, 4.0 * UNIT, 5.0 * UNIT]);
        stackings[0].scale(0.5).unwrap();
        assert_eq!(added(&stackings[0]), [0.5 * UNIT, UNIT]);
        assert_eq!(stackings[0].mix().unwrap()[1], [0.0, 0.5 * UNIT, 0.0, 0.0, 0.0]);
    }
}
