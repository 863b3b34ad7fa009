//! Self-attention of one head within one text: O = softmax(QKᵀ)V, with 1/√d in the weights of Q already.
//!
//! A few queries at a time: their scores stay in the nearest cache from the first product to the last, and the softmax is
//! divided by its sum after the second product, where there are fewer numbers. The largest score of a row is taken off
//! before the exponential, so that nothing overflows.

#![expect(clippy::inline_always, reason = "only inlined code is compiled for wide vectors")]

use crate::encoder::kernels::math::exponentials;
use crate::encoder::kernels::panels::{PANEL, Panels, multiply_rows};
use crate::encoder::kernels::wide;

/// Most queries whose scores are computed together.
const MAX_ROWS: usize = 6;

/// Which head, of which shape.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    /// Width of a hidden state.
    pub(super) hidden_size: usize,
    /// Width of the head.
    pub(super) width: usize,
    pub(super) index: usize,
}

/// Room for what comes between; used again and again.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    keys: Panels,
    values: Panels,
    scores: Vec<f32>,
}

wide! {
    /// Attends for the first tokens of a text, as many as fit into `out`: (queries, width).
    ///
    /// `qkv` holds queries, keys and values of the text's tokens side by side: (tokens, 3 · hidden_size).
    pub(super) fn attend(qkv: &[f32], head: Head, scratch: &mut Scratch, out: &mut [f32]) {
        let Head { hidden_size, width, index } = head;
        let (stride, tokens) = (3 * hidden_size, qkv.len() / (3 * hidden_size));
        let part = |part: usize| &qkv[part * hidden_size + index * width..];
        scratch.keys.transpose(part(1), (tokens, width), stride);
        scratch.values.copy(part(2), (tokens, width), stride);
        scratch.scores.resize(MAX_ROWS * scratch.keys.padded_columns(), 0.0);
        let mut queries = Queries { rows: part(0), stride, tokens, width, scratch };
        let (mut first, mut rest) = (0, out);
        while !rest.is_empty() {
            let rows = match rest.len() / width {
                MAX_ROWS.. => queries.attend::<MAX_ROWS, PAIRS, FMA>(first, rest),
                4.. => queries.attend::<4, PAIRS, FMA>(first, rest),
                2.. => queries.attend::<2, PAIRS, FMA>(first, rest),
                _ => queries.attend::<1, PAIRS, FMA>(first, rest),
            };
            first += rows;
            rest = &mut rest[rows * width..];
        }
    }
}

struct Queries<'a> {
    rows: &'a [f32],
    stride: usize,
    tokens: usize,
    width: usize,
    scratch: &'a mut Scratch,
}

impl Queries<'_> {
    #[inline(always)]
    fn attend<const ROWS: usize, const PAIRS: bool, const FMA: bool>(
        &mut self,
        first: usize,
        out: &mut [f32],
    ) -> usize {
        let Scratch { keys, values, scores } = &mut *self.scratch;
        let row_length = keys.padded_columns();
        let queries = &self.rows[first * self.stride..];
        multiply_rows::<ROWS, PAIRS, FMA>((queries, self.stride), keys, |row, column, sums| {
            scores[row * row_length + column..][..PANEL].copy_from_slice(sums);
        });
        // Not `array::from_fn`: what it calls is not inlined, and so not compiled for wide vectors.
        let mut inverse = [0.0; ROWS];
        for (row, inverse) in inverse.iter_mut().enumerate() {
            let row = &mut scores[row * row_length..][..row_length];
            // Behind the last key, so that whole vectors are left; nothing after the exponential.
            row[self.tokens..].fill(f32::MIN);
            *inverse = 1.0 / exponentials::<FMA>(row, 1.0);
        }
        multiply_rows::<ROWS, PAIRS, FMA>((scores, row_length), values, |row, column, sums| {
            let columns = PANEL.min(self.width - column);
            let out = &mut out[row * self.width + column..][..columns];
            for (out, sum) in out.iter_mut().zip(sums) {
                *out = sum * inverse[row];
            }
        });
        ROWS
    }
}
