//! Self-attention of one head within one text: O = softmax(QKᵀ)V, with 1/√d in the weights of Q already.
//!
//! A few queries at a time: their scores stay in the nearest cache from the first product to the last, and the softmax is
//! divided by its sum after the second product, where there are fewer numbers. The largest score of a row is taken off
//! before the exponential, so that nothing overflows.

#![expect(clippy::inline_always, reason = "only inlined code is compiled for wide vectors")]

use multiversion::target::target_cfg_f;

use crate::encoder::kernels::math::exponentials;
use crate::encoder::kernels::panels::{PANEL, Panels, has_fma, tile};
use crate::encoder::kernels::wide;

/// Queries whose scores are computed together.
const ROWS: usize = 6;

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
        const FMA: bool = has_fma(target_cfg_f!(target_feature = "fma"));
        let Head { hidden_size, width, index } = head;
        let (stride, tokens) = (3 * hidden_size, qkv.len() / (3 * hidden_size));
        let part = |part: usize| &qkv[part * hidden_size + index * width..];
        scratch.keys.transpose(part(1), (tokens, width), stride);
        scratch.values.copy(part(2), (tokens, width), stride);
        scratch.scores.resize(ROWS * scratch.keys.padded_columns(), 0.0);
        let mut queries = Queries { rows: part(0), stride, tokens, width, scratch };
        let count = out.len() / width;
        for (block, out) in out.chunks_mut(ROWS * width).enumerate() {
            let first = block * ROWS;
            match count - first {
                ROWS.. => queries.attend::<ROWS, FMA>(first, out),
                5 => queries.attend::<5, FMA>(first, out),
                4 => queries.attend::<4, FMA>(first, out),
                3 => queries.attend::<3, FMA>(first, out),
                2 => queries.attend::<2, FMA>(first, out),
                _ => queries.attend::<1, FMA>(first, out),
            }
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
    fn attend<const ROWS: usize, const FMA: bool>(&mut self, first: usize, out: &mut [f32]) {
        let Scratch { keys, values, scores } = &mut *self.scratch;
        let row_length = keys.padded_columns();
        let queries = &self.rows[first * self.stride..];
        for (column, panel) in keys.iter() {
            let sums = tile::<ROWS, FMA>(queries, self.stride, panel, [0.0; PANEL]);
            for (row, sums) in sums.iter().enumerate() {
                scores[row * row_length + column..][..PANEL].copy_from_slice(sums);
            }
        }
        let inverse: [f32; ROWS] = std::array::from_fn(|row| {
            1.0 / exponentials(&mut scores[row * row_length..][..self.tokens], 1.0)
        });
        for (column, panel) in values.iter() {
            let sums = tile::<ROWS, FMA>(scores, row_length, panel, [0.0; PANEL]);
            let columns = PANEL.min(self.width - column);
            for ((row, sums), inverse) in sums.iter().enumerate().zip(inverse) {
                let out = &mut out[row * self.width + column..][..columns];
                for (out, sum) in out.iter_mut().zip(sums) {
                    *out = sum * inverse;
                }
            }
        }
    }
}
