//! Pooling and linear heads: the hidden states of one text to the logits of every head.

use super::config::{ModelConfig, Pooling};
use crate::encoder::kernels::math::{add_rows, sum2};
use crate::encoder::kernels::wide;
use crate::encoder::{WantedStates, Weights, WeightsError};

/// One linear layer on the pooled states: logits = W·pooled + b.
#[derive(Debug, Clone)]
pub struct ClassificationHead {
    /// (labels, hidden_size)
    weight: Vec<f32>,
    /// (labels)
    bias: Vec<f32>,
}

/// All heads of a model, and the pooler before them.
#[derive(Debug, Clone)]
pub struct HeadWeights {
    /// `pooler.dense` of `BertForSequenceClassification`; `None` means the mean over tokens.
    pooler: Option<ClassificationHead>,
    heads: Vec<ClassificationHead>,
    hidden_size: usize,
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
                weight: weights.values(&format!("{prefix}.weight"), &[rows, hidden_size])?,
                bias: weights.values(&format!("{prefix}.bias"), &[rows])?,
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
        Ok(Self { pooler, heads, hidden_size })
    }

    /// Which states the heads read.
    pub fn wanted_states(&self) -> WantedStates {
        if self.pooler.is_some() { WantedStates::First } else { WantedStates::All }
    }

    /// The logits of every head for one text; `states` is (tokens, hidden_size).
    pub fn logits(&self, states: &[f32]) -> Vec<Vec<f32>> {
        let pooled = match &self.pooler {
            Some(pooler) => {
                let dense = pooler.forward(&states[..self.hidden_size]);
                dense.into_iter().map(f32::tanh).collect()
            }
            None => mean_row(states, self.hidden_size),
        };
        self.heads.iter().map(|head| head.forward(&pooled)).collect()
    }

    /// What each token adds to a head's logit of `label` beyond the mean over its labels, for mean pooling.
    ///
    /// The logit is linear in the mean of the states, so the shares add up exactly:
    /// logit − mean(logits) = Σₜ (w_label − w̄)·hₜ / n + (b_label − b̄).
    pub fn contributions(&self, states: &[f32], head: usize, label: usize) -> Vec<f32> {
        let weight = &self.heads[head].weight;
        let mean = mean_row(weight, self.hidden_size);
        let row = &weight[label * self.hidden_size..][..self.hidden_size];
        let tokens = (states.len() / self.hidden_size) as f32;
        let direction: Vec<f32> = row.iter().zip(mean).map(|(w, mean)| (w - mean) / tokens).collect();
        products(states, &direction)
    }
}

impl ClassificationHead {
    /// (hidden_size) to (labels)
    fn forward(&self, pooled: &[f32]) -> Vec<f32> {
        let mut logits = products(&self.weight, pooled);
        logits.iter_mut().zip(&self.bias).for_each(|(logit, bias)| *logit += bias);
        logits
    }
}

wide! {
    /// The product of each row with one.
    fn products(rows: &[f32], row: &[f32]) -> Vec<f32> {
        rows.chunks_exact(row.len()).map(|other| sum2(other, row, |a, b| a * b)).collect()
    }
}

fn mean_row(rows: &[f32], width: usize) -> Vec<f32> {
    let mut mean = vec![0.0; width];
    add_rows(&mut mean, rows);
    let count = (rows.len() / width) as f32;
    for sum in &mut mean {
        *sum /= count;
    }
    mean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contributions_add_up_to_the_logit_above_the_mean() {
        let head = ClassificationHead { weight: vec![1.0, -2.0, 0.5, 0.25, -1.0, 3.0], bias: vec![0.0; 3] };
        let weights = HeadWeights { pooler: None, heads: vec![head], hidden_size: 2 };
        let states = [0.5, 1.0, 2.0, -1.0, 0.0, 4.0, 1.0, 1.0];
        let logits = &weights.logits(&states)[0];
        let above_mean = logits[2] - logits.iter().sum::<f32>() / 3.0;
        let contributions = weights.contributions(&states, 0, 2);
        assert!((contributions.iter().sum::<f32>() - above_mean).abs() < 1e-5);
    }
}
