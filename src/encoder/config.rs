//! The shape of a BERT encoder, as `config.json` of the Hugging Face layout states it.

use serde::{Deserialize, Serialize};

/// The fields of a BERT `config.json` that the encoder needs; names and defaults are Hugging Face's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BertConfig {
    /// Rows of the word embedding table.
    pub vocab_size: usize,
    /// Width of every hidden state.
    pub hidden_size: usize,
    /// Number of transformer layers.
    pub num_hidden_layers: usize,
    /// Attention heads a layer; divides `hidden_size`.
    pub num_attention_heads: usize,
    /// Width of the feed-forward layer.
    pub intermediate_size: usize,
    /// Activation of the feed-forward layer.
    #[serde(default)]
    pub hidden_act: HiddenAct,
    /// Longest sequence, special tokens included.
    #[serde(default = "default_positions")]
    pub max_position_embeddings: usize,
    /// Number of token types (title and text are told apart by them).
    #[serde(default = "default_token_types")]
    pub type_vocab_size: usize,
    /// Added to the variance in layer normalisation.
    #[serde(default = "default_eps")]
    pub layer_norm_eps: f64,
    /// Dropout on embeddings and sub-layer outputs, in training only.
    #[serde(default = "default_dropout")]
    pub hidden_dropout_prob: f64,
    /// Dropout on attention probabilities, in training only.
    #[serde(default = "default_dropout")]
    pub attention_probs_dropout_prob: f64,
    /// Standard deviation of newly initialised weights.
    #[serde(default = "default_initializer_range")]
    pub initializer_range: f64,
    /// Id of `[PAD]`.
    #[serde(default)]
    pub pad_token_id: usize,
}

/// Activation functions that occur in published BERT checkpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HiddenAct {
    /// The exact GELU, x·Φ(x), by the error function.
    #[default]
    #[serde(alias = "gelu_python")]
    Gelu,
    /// GELU by its tanh approximation.
    #[serde(alias = "gelu_pytorch_tanh", alias = "gelu_fast")]
    GeluNew,
    /// max(x, 0).
    Relu,
}

fn default_positions() -> usize {
    512
}
fn default_token_types() -> usize {
    2
}
fn default_eps() -> f64 {
    1e-12
}
fn default_dropout() -> f64 {
    0.1
}
fn default_initializer_range() -> f64 {
    0.02
}

/// Why a `config.json` describes no encoder that can be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BertConfigError {
    /// A size is zero.
    #[error("`{field}` is 0 in config.json")]
    Zero {
        /// The field's name.
        field: &'static str,
    },
    /// The heads do not divide the hidden states.
    #[error("`hidden_size` {hidden_size} is not divisible by `num_attention_heads` {num_attention_heads}")]
    HeadsDoNotDivide {
        /// Width of every hidden state.
        hidden_size: usize,
        /// Attention heads a layer.
        num_attention_heads: usize,
    },
}

impl BertConfig {
    /// A shape; everything else is what Hugging Face's `BertConfig` defaults to.
    pub fn new(
        vocab_size: usize,
        num_hidden_layers: usize,
        hidden_size: usize,
        num_attention_heads: usize,
        intermediate_size: usize,
    ) -> Self {
        Self {
            vocab_size,
            hidden_size,
            num_hidden_layers,
            num_attention_heads,
            intermediate_size,
            hidden_act: HiddenAct::default(),
            max_position_embeddings: default_positions(),
            type_vocab_size: default_token_types(),
            layer_norm_eps: default_eps(),
            hidden_dropout_prob: default_dropout(),
            attention_probs_dropout_prob: default_dropout(),
            initializer_range: default_initializer_range(),
            pad_token_id: 0,
        }
    }

    /// Checks the sizes against each other.
    ///
    /// # Errors
    /// If a size is zero, or the heads do not divide the hidden size.
    pub fn check(&self) -> Result<(), BertConfigError> {
        let sizes = [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("num_attention_heads", self.num_attention_heads),
            ("intermediate_size", self.intermediate_size),
            ("max_position_embeddings", self.max_position_embeddings),
            ("type_vocab_size", self.type_vocab_size),
        ];
        if let Some((field, _)) = sizes.into_iter().find(|(_, size)| *size == 0) {
            return Err(BertConfigError::Zero { field });
        }
        if !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            return Err(BertConfigError::HeadsDoNotDivide {
                hidden_size: self.hidden_size,
                num_attention_heads: self.num_attention_heads,
            });
        }
        Ok(())
    }
}
