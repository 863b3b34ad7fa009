//! What a layer does with each token alone: everything but attention.
//!
//! All of it runs for a block of tokens before the next block begins, so that what lies between two products never leaves
//! the cache.

use crate::encoder::kernels::int8::{QuantizedLinear, QuantizedRows};
use crate::encoder::kernels::math::normalize;
use crate::encoder::kernels::panels::PackedLinear;
use crate::encoder::kernels::rounded::RoundedMatrix;
use crate::encoder::kernels::wide;
use crate::encoder::{BertConfig, HiddenAct, Weights, WeightsError};

use super::Precision;

/// y = act(xWᵀ + b), in the precision asked for.
#[derive(Debug)]
pub(super) enum Linear {
    Float(PackedLinear),
    Int8(QuantizedLinear),
}

impl Linear {
    /// Takes W, of shape (outputs, inputs), and b of each part times its factor, and puts them one below the other.
    fn load(
        weights: &Weights,
        parts: &[(String, f32)],
        (outputs, inputs): (usize, usize),
        precision: Precision,
    ) -> Result<Self, WeightsError> {
        let mut bias = Vec::new();
        for (name, factor) in parts {
            bias.extend(weights.values(&format!("{name}.bias"), &[outputs])?.iter().map(|b| b * factor));
        }
        let named = || parts.iter().map(|(name, factor)| (format!("{name}.weight"), *factor));
        Ok(match precision {
            Precision::F32 => {
                let mut stacked = Vec::new();
                for (name, factor) in named() {
                    stacked.extend(weights.values(&name, &[outputs, inputs])?.iter().map(|w| w * factor));
                }
                Self::Float(PackedLinear::new(&stacked, &bias))
            }
            Precision::Int8 => {
                let mut stacked = RoundedMatrix::default();
                for (name, factor) in named() {
                    stacked.append(&weights.rounded_matrix(&name, (outputs, inputs))?, factor);
                }
                Self::Int8(QuantizedLinear::new(&stacked, &bias))
            }
        })
    }

    /// Replaces `y`. `inputs` is the width of a row of `x`.
    fn forward(
        &self,
        x: &[f32],
        inputs: usize,
        activation: Option<HiddenAct>,
        (y, rounded): (&mut Vec<f32>, &mut QuantizedRows),
    ) {
        y.resize(x.len() / inputs * self.outputs(), 0.0);
        self.forward_into(x, inputs, activation, (y, rounded));
    }

    fn forward_into(
        &self,
        x: &[f32],
        inputs: usize,
        activation: Option<HiddenAct>,
        (y, rounded): (&mut [f32], &mut QuantizedRows),
    ) {
        match self {
            Self::Float(linear) => linear.forward(x, activation, y),
            Self::Int8(linear) => {
                rounded.quantize(x, inputs);
                linear.forward(rounded, activation, y);
            }
        }
    }

    fn outputs(&self) -> usize {
        match self {
            Self::Float(linear) => linear.columns(),
            Self::Int8(linear) => linear.columns(),
        }
    }
}

/// γ, β and ε of a layer normalisation.
#[derive(Debug)]
pub(super) struct Norm {
    gamma: Vec<f32>,
    beta: Vec<f32>,
    eps: f32,
}

impl Norm {
    pub(super) fn load(weights: &Weights, prefix: &str, config: &BertConfig) -> Result<Self, WeightsError> {
        let values = |name: &str| weights.values(&format!("{prefix}.{name}"), &[config.hidden_size]);
        Ok(Self { gamma: values("weight")?, beta: values("bias")?, eps: config.layer_norm_eps as f32 })
    }

    /// x ← LN(x)
    pub(super) fn apply(&self, x: &mut [f32]) {
        norm_rows(x, &[], self);
    }

    /// x ← LN(x + addition)
    fn add_and_apply(&self, x: &mut [f32], addition: &[f32]) {
        norm_rows(x, addition, self);
    }
}

wide! {
    fn norm_rows(x: &mut [f32], addition: &[f32], norm: &Norm) {
        for (x, addition) in x.iter_mut().zip(addition) {
            *x += addition;
        }
        for row in x.chunks_exact_mut(norm.gamma.len()) {
            normalize(row, norm.eps);
            for ((x, gamma), beta) in row.iter_mut().zip(&norm.gamma).zip(&norm.beta) {
                *x = *x * gamma + beta;
            }
        }
    }
}

/// Queries, keys and values in one product; the queries are divided by √d.
#[derive(Debug)]
pub(super) struct QueryKeyValue(Linear);

impl QueryKeyValue {
    fn load(
        weights: &Weights,
        prefix: &str,
        config: &BertConfig,
        precision: Precision,
    ) -> Result<Self, WeightsError> {
        let hidden_size = config.hidden_size;
        let scale = 1.0 / ((hidden_size / config.num_attention_heads) as f32).sqrt();
        let parts = [("query", scale), ("key", 1.0), ("value", 1.0)]
            .map(|(part, factor)| (format!("{prefix}.attention.self.{part}"), factor));
        Ok(Self(Linear::load(weights, &parts, (hidden_size, hidden_size), precision)?))
    }

    /// (rows, hidden_size) to (rows, 3 · hidden_size)
    pub(super) fn forward(&self, states: &[f32], qkv: &mut [f32], scratch: &mut Scratch) {
        let hidden_size = self.0.outputs() / 3;
        self.0.forward_into(states, hidden_size, None, (qkv, &mut scratch.rounded));
    }
}

/// One layer but for the attention itself.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) query_key_value: QueryKeyValue,
    attention_output: Linear,
    attention_norm: Norm,
    intermediate: Linear,
    activation: HiddenAct,
    output: Linear,
    norm: Norm,
}

/// Room for what comes between; used again and again.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub(super) context: Vec<f32>,
    wide: Vec<f32>,
    sum: Vec<f32>,
    rounded: QuantizedRows,
}

impl Layer {
    pub(super) fn load(
        weights: &Weights,
        index: usize,
        config: &BertConfig,
        precision: Precision,
    ) -> Result<Self, WeightsError> {
        let prefix = format!("encoder.layer.{index}");
        let linear = |name: &str, outputs: usize, inputs: usize| {
            Linear::load(weights, &[(format!("{prefix}.{name}"), 1.0)], (outputs, inputs), precision)
        };
        let norm = |name: &str| Norm::load(weights, &format!("{prefix}.{name}"), config);
        let (hidden_size, intermediate_size) = (config.hidden_size, config.intermediate_size);
        Ok(Self {
            query_key_value: QueryKeyValue::load(weights, &prefix, config, precision)?,
            attention_output: linear("attention.output.dense", hidden_size, hidden_size)?,
            attention_norm: norm("attention.output.LayerNorm")?,
            intermediate: linear("intermediate.dense", intermediate_size, hidden_size)?,
            activation: config.hidden_act,
            output: linear("output.dense", hidden_size, intermediate_size)?,
            norm: norm("output.LayerNorm")?,
        })
    }

    /// Takes states from before the attention to the end of the layer; what the heads saw is in the scratch.
    pub(super) fn finish(&self, states: &mut [f32], scratch: &mut Scratch) {
        let Scratch { context, wide, sum, rounded } = scratch;
        let (hidden_size, intermediate_size) = (self.output.outputs(), self.intermediate.outputs());
        self.attention_output.forward(context, hidden_size, None, (sum, rounded));
        self.attention_norm.add_and_apply(states, sum);
        self.intermediate.forward(states, hidden_size, Some(self.activation), (wide, rounded));
        self.output.forward(wide, intermediate_size, None, (sum, rounded));
        self.norm.add_and_apply(states, sum);
    }
}
