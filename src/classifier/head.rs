//! Pooling and linear heads: the hidden states of one text to the logits of every head.

use candle_core::{D, Tensor};

use super::config::{ModelConfig, Pooling};
use crate::encoder::{Weights, WeightsError};

/// One linear layer on the pooled states: logits = W·pooled + b.
#[derive(Debug, Clone)]
pub struct ClassificationHead {
    /// (labels, hidden_size)
    weight: Tensor,
    /// (labels)
    bias: Tensor,
}

/// All heads of a model, and the pooler before them.
#[derive(Debug, Clone)]
pub struct HeadWeights {
    /// `pooler.dense` of `BertForSequenceClassification`; `None` means the mean over tokens.
    pooler: Option<ClassificationHead>,
    heads: Vec<ClassificationHead>,
}

/// Prefix of a head's weights in a bundle: `classifier` for the first head, `heads.<name>` for the others.
pub(crate) fn weight_prefix(position: usize, name: &str) -> String {
    if position == 0 { "classifier".to_owned() } else { format!("heads.{name}") }
}

impl HeadWeights {
    /// Takes the heads' weights, and the pooler's where the model has one.
    ///
    /// # Errors
    /// If a weight is missing or of another shape than the labels ask for.
    pub fn load(config: &ModelConfig, weights: &Weights) -> Result<Self, WeightsError> {
        let hidden_size = config.bert.hidden_size;
        let linear = |prefix: &str, rows: usize| -> Result<ClassificationHead, WeightsError> {
            Ok(ClassificationHead {
                weight: weights.get(&format!("{prefix}.weight"), &[rows, hidden_size])?,
                bias: weights.get(&format!("{prefix}.bias"), &[rows])?,
            })
        };
        let pooler = match config.pooling {
            Pooling::ClsPooler => Some(linear("pooler.dense", hidden_size)?),
            Pooling::Mean => None,
        };
        let heads = config
            .heads
            .iter()
            .enumerate()
            .map(|(position, head)| linear(&weight_prefix(position, &head.name), head.labels.len()))
            .collect::<Result<_, _>>()?;
        Ok(Self { pooler, heads })
    }

    /// The logits of every head for one text; `states` is (tokens, hidden_size).
    ///
    /// # Errors
    /// If the tensor library fails.
    pub fn logits(&self, states: &Tensor) -> candle_core::Result<Vec<Vec<f32>>> {
        let pooled = match &self.pooler {
            Some(pooler) => pooler.forward(&states.narrow(0, 0, 1)?)?.tanh()?,
            None => states.mean_keepdim(0)?,
        };
        self.heads.iter().map(|head| head.forward(&pooled)?.squeeze(0)?.to_vec1()).collect()
    }

    /// What each token adds to the first head's logit of `label` beyond the mean over its labels, for mean pooling.
    ///
    /// The logit is linear in the mean of the states, so the shares add up exactly:
    /// logit − mean(logits) = Σₜ (w_label − w̄)·hₜ / n + (b_label − b̄).
    ///
    /// # Errors
    /// If the tensor library fails.
    pub fn contributions(&self, states: &Tensor, label: usize) -> candle_core::Result<Vec<f32>> {
        let weight = &self.heads[0].weight;
        let direction = (weight.get(label)? - weight.mean(0)?)?.unsqueeze(D::Minus1)?;
        let tokens = states.dim(0)? as f64;
        (states.matmul(&direction)? / tokens)?.squeeze(1)?.to_vec1()
    }
}

impl ClassificationHead {
    /// (rows, hidden_size) → (rows, labels)
    fn forward(&self, pooled: &Tensor) -> candle_core::Result<Tensor> {
        pooled.matmul(&self.weight.t()?)?.broadcast_add(&self.bias)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn contributions_add_up_to_the_logit_above_the_mean() {
        let weight = Tensor::new(&[[1f32, -2.0], [0.5, 0.25], [-1.0, 3.0]], &Device::Cpu).unwrap();
        let bias = Tensor::zeros(3, candle_core::DType::F32, &Device::Cpu).unwrap();
        let weights = HeadWeights { pooler: None, heads: vec![ClassificationHead { weight, bias }] };
        let states =
            Tensor::new(&[[0.5f32, 1.0], [2.0, -1.0], [0.0, 4.0], [1.0, 1.0]], &Device::Cpu).unwrap();
        let logits = &weights.logits(&states).unwrap()[0];
        let above_mean = logits[2] - logits.iter().sum::<f32>() / 3.0;
        let contributions = weights.contributions(&states, 2).unwrap();
        assert!((contributions.iter().sum::<f32>() - above_mean).abs() < 1e-5);
    }
}
