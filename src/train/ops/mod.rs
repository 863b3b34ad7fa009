//! Differentiable operations of a BERT, fused so that training is bound by its matrix products.
//!
//! candle's own `softmax_last_dim` and `layer_norm` have no backward pass and end the gradient without a word; its
//! plain tensor operations do have one, but each is a pass over memory with buffers of its own, forwards and twice
//! backwards. Each operation here is one node of candle's graph with a backward pass written by hand:
//!
//! | operation | computes |
//! |---|---|
//! | [`embed`] | word + position + token type embedding |
//! | [`layer_norm`], [`add_norm`] | LN(x) and LN(residual + dropout(x)) |
//! | [`linear`], [`linear_activated`] | xWᵀ + b and act(xWᵀ + b) |
//! | [`attention`] | softmax(QKᵀ/√d)V a head, with dropout, within each sequence of a packed batch |
//! | [`mean_pool`] | the mean over each sequence |
//!
//! Sequences are packed: a batch is `(tokens, width)` and [`Sequences`] says which rows are whose. No row is
//! padding, so nothing needs a mask. Sums over rows are taken in chunks of a fixed size, in order: results do not
//! depend on how many threads there are or who was first.
//!
//! The tests hold each backward pass to candle's plain operations.

mod attention;
mod dropout;
mod embed;
mod linear;
mod norm;
mod pool;
mod rows;

pub(crate) use attention::attention;
pub(crate) use dropout::{Dropout, DropoutSource, dropout};
pub(crate) use embed::{TokenRows, embed};
pub(crate) use linear::{linear, linear_activated};
pub(crate) use norm::{add_norm, layer_norm};
pub(crate) use pool::mean_pool;
pub(crate) use rows::{Sequences, host, parallel_chunks};

#[cfg(test)]
pub(crate) mod oracle;
