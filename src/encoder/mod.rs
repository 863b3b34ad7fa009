//! BERT for inference: token ids to hidden states.
//!
//! [`Encoder`] is the seam: whatever computes the hidden states stands behind it, and nothing else in the crate knows
//! how. [`PlainEncoder`] is candle-transformers' BERT as it stands.

use std::fmt::Debug;

use candle_core::Tensor;

use crate::tokenizer::EncodedText;

mod config;
mod plain;
mod weights;

pub use config::{BertConfig, BertConfigError, HiddenAct};
pub use plain::PlainEncoder;
pub use weights::{Weights, WeightsError};

/// Computes the hidden states of texts.
pub trait Encoder: Debug + Send + Sync {
    /// Encodes a batch of texts, none longer than the encoder's positions.
    ///
    /// # Errors
    /// If the tensor library fails.
    fn encode(&self, texts: &[&EncodedText]) -> candle_core::Result<HiddenStates>;
}

/// The last layer's states of a batch, packed: all tokens of the first text, then those of the second, without padding.
#[derive(Debug, Clone)]
pub struct HiddenStates {
    /// (total_tokens, hidden_size)
    packed: Tensor,
    /// Number of tokens of each text.
    lengths: Vec<usize>,
}

impl HiddenStates {
    /// States of `lengths.len()` texts in one matrix of `lengths.iter().sum()` rows.
    pub fn new(packed: Tensor, lengths: Vec<usize>) -> Self {
        Self { packed, lengths }
    }

    /// The states of each text, (tokens, hidden_size), in the order of the batch.
    ///
    /// # Errors
    /// If the matrix has fewer rows than the lengths say.
    pub fn texts(&self) -> impl Iterator<Item = candle_core::Result<Tensor>> {
        let mut start = 0;
        self.lengths.iter().map(move |&length| {
            let text = self.packed.narrow(0, start, length);
            start += length;
            text
        })
    }
}
