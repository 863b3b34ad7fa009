//! BERT for inference: token ids to hidden states.
//!
//! [`Encoder`] is the seam: whatever computes the hidden states stands behind it, and nothing else in the crate knows
//! how. [`FusedEncoder`] serves; [`PlainEncoder`] is candle-transformers' BERT as it stands, which others are measured
//! against.

use std::fmt::Debug;

use crate::tokenizer::EncodedText;

mod config;
mod fused;
pub(crate) mod kernels;
mod plain;
mod weights;

pub use config::{BertConfig, BertConfigError, HiddenAct};
pub use fused::{FusedEncoder, Precision};
pub use kernels::Threads;
pub use plain::PlainEncoder;
pub use weights::{Weights, WeightsError};

/// Computes the hidden states of texts.
pub trait Encoder: Debug + Send + Sync {
    /// Encodes a batch of texts, none longer than the encoder's positions.
    ///
    /// # Errors
    /// If a token has no embedding, or the tensor library fails.
    fn encode(
        &self,
        texts: &[&EncodedText],
        wanted: WantedStates,
        threads: Threads,
    ) -> candle_core::Result<HiddenStates>;
}

/// Which of the last layer's states somebody has a use for; an encoder may leave out the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WantedStates {
    /// Those of every token.
    All,
    /// That of each text's first token, `[CLS]`.
    First,
}

/// The last layer's states of a batch, packed: those of the first text, then those of the second, without padding.
#[derive(Debug, Clone)]
pub struct HiddenStates {
    /// (rows, hidden_size)
    values: Vec<f32>,
    hidden_size: usize,
    /// Rows of each text.
    lengths: Vec<usize>,
}

impl HiddenStates {
    /// States of `lengths.len()` texts in one matrix of `lengths.iter().sum()` rows.
    ///
    /// # Panics
    /// If there are more or fewer values.
    pub fn new(values: Vec<f32>, hidden_size: usize, lengths: Vec<usize>) -> Self {
        assert_eq!(values.len(), lengths.iter().sum::<usize>() * hidden_size, "every row belongs to a text");
        Self { values, hidden_size, lengths }
    }

    /// The states of each text, (rows, hidden_size), in the order of the batch.
    pub fn texts(&self) -> impl Iterator<Item = &[f32]> {
        let mut rest = self.values.as_slice();
        self.lengths.iter().map(move |length| {
            let (text, others) = rest.split_at(length * self.hidden_size);
            rest = others;
            text
        })
    }
}
