//! Self-attention within each sequence of a packed batch.
//!
//! For each sequence and head: P = softmax(QKᵀ/√d), O = (M∘P)V with M the dropout mask. Backwards:
//! ∂V = (M∘P)ᵀ∂O, ∂P = M∘(∂O·Vᵀ), ∂S = P∘(∂P − Σⱼ ∂P∘P), ∂Q = ∂S·K/√d, ∂K = ∂Sᵀ·Q/√d.
//!
//! P is computed again on the way back rather than kept: it is the one thing that grows with the square of the
//! length, and computing it costs less than fetching it from memory
//! (Dao et al., "FlashAttention", 2022, section 3.1).

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use crate::encoder::kernels::math::{softmax, sum2};
use crate::encoder::kernels::product::{Matrix, multiply};
use crate::encoder::kernels::{Threads, wide};

use super::dropout::Dropout;
use super::rows::{Sequences, floats, host};

/// Attends with queries, keys and values side by side in the rows of `qkv`: `(tokens, 3 · hidden)` to `(tokens, hidden)`.
pub(crate) fn attention(qkv: &Tensor, sequences: &Sequences, heads: usize, mask: Dropout) -> Result<Tensor> {
    qkv.apply_op1(Attention { sequences: sequences.clone(), heads, mask })
}

struct Attention {
    sequences: Sequences,
    heads: usize,
    mask: Dropout,
}

/// One head of one sequence: where its parts lie in `qkv`.
#[derive(Clone, Copy)]
struct Head {
    /// First row of the sequence.
    start: usize,
    /// Tokens of the sequence.
    length: usize,
    /// Width of a hidden state.
    hidden: usize,
    /// Width of a head.
    width: usize,
    /// Which head.
    index: usize,
}

/// The parts of a row of `qkv`.
#[derive(Clone, Copy)]
enum Part {
    Query = 0,
    Key = 1,
    Value = 2,
}

impl Head {
    /// (length, width)
    fn part<'a>(&self, qkv: &'a [f32], part: Part) -> Matrix<'a> {
        let row = 3 * self.hidden;
        let from = self.start * row + part as usize * self.hidden + self.index * self.width;
        Matrix::new(&qkv[from..], (self.length, self.width), row)
    }

    /// This head's columns of the rows of hidden states: (length, width)
    fn columns<'a>(&self, hidden_states: &'a [f32]) -> Matrix<'a> {
        let from = self.start * self.hidden + self.index * self.width;
        Matrix::new(&hidden_states[from..], (self.length, self.width), self.hidden)
    }

    /// (length, length)
    fn square<'a>(&self, values: &'a [f32]) -> Matrix<'a> {
        Matrix::new(values, (self.length, self.length), self.length)
    }

    fn scale(&self) -> f32 {
        1.0 / (self.width as f32).sqrt()
    }

    /// left · rightᵀ, for parts of shape (length, width).
    fn similarities(&self, left: Matrix, right: Matrix) -> Vec<f32> {
        let mut scores = vec![0.0; self.length * self.length];
        multiply(left, right.transposed(), (&mut scores, self.length), Threads::One);
        scores
    }

    /// P, before dropout.
    fn probabilities(&self, qkv: &[f32]) -> Vec<f32> {
        let mut scores = self.similarities(self.part(qkv, Part::Query), self.part(qkv, Part::Key));
        softmax_rows(&mut scores, self.length, self.scale());
        scores
    }

    /// O: this head's columns of the rows of hidden states that belong to the sequence alone.
    fn forward(&self, mask: Dropout, qkv: &[f32], out: &mut [f32]) {
        let mut weights = self.probabilities(qkv);
        drop_out(&mut weights, mask);
        let out = (&mut out[self.index * self.width..], self.hidden);
        multiply(self.square(&weights), self.part(qkv, Part::Value), out, Threads::One);
    }

    /// ∂Q, ∂K, ∂V: this head's columns of the rows of three hidden states that belong to the sequence alone.
    fn backward(&self, mask: Dropout, qkv: &[f32], grad: &[f32], out: &mut [f32]) {
        let mut weights = self.probabilities(qkv);
        let mut scores = self.similarities(self.columns(grad), self.part(qkv, Part::Value));
        drop_out(&mut scores, mask);
        score_gradients(&weights, &mut scores, self.length, self.scale());
        drop_out(&mut weights, mask);
        let (weights, scores) = (self.square(&weights), self.square(&scores));
        let mut write = |part: Part, left: Matrix, right: Matrix| {
            let from = part as usize * self.hidden + self.index * self.width;
            multiply(left, right, (&mut out[from..], 3 * self.hidden), Threads::One);
        };
        write(Part::Value, weights.transposed(), self.columns(grad));
        write(Part::Query, scores, self.part(qkv, Part::Key));
        write(Part::Key, scores.transposed(), self.part(qkv, Part::Query));
    }
}

impl Attention {
    /// The heads of sequence `index`, each with its dropout mask.
    fn heads(
        &self,
        index: usize,
        start: usize,
        length: usize,
        hidden: usize,
    ) -> impl Iterator<Item = (Head, Dropout)> {
        let width = hidden / self.heads;
        (0..self.heads).map(move |head| {
            (Head { start, length, hidden, width, index: head }, self.mask.part(index * self.heads + head))
        })
    }
}

wide! {
    fn softmax_rows(scores: &mut [f32], length: usize, scale: f32) {
        for row in scores.chunks_exact_mut(length) {
            softmax::<FMA>(row, scale);
        }
    }
}

wide! {
    /// Multiplies with the mask.
    fn drop_out(values: &mut [f32], mask: Dropout) {
        if !mask.is_off() {
            for (value, position) in values.iter_mut().zip(0..) {
                *value *= mask.factor(position);
            }
        }
    }
}

wide! {
    /// Turns ∂P into ∂S/√d in place.
    fn score_gradients(probabilities: &[f32], scores: &mut [f32], length: usize, scale: f32) {
        for (p, ds) in probabilities.chunks_exact(length).zip(scores.chunks_exact_mut(length)) {
            let along = sum2(ds, p, |ds, p| ds * p);
            for (ds, p) in ds.iter_mut().zip(p) {
                *ds = p * (*ds - along) * scale;
            }
        }
    }
}

impl CustomOp1 for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(&self, qkv: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (tokens, row) = layout.shape().dims2()?;
        let hidden = row / 3;
        let qkv = floats(qkv, layout)?;
        let mut out = vec![0.0; tokens * hidden];
        let sequences: Vec<_> =
            self.sequences.ranges().zip(self.sequences.split_mut(&mut out, hidden)).collect();
        sequences.into_par_iter().enumerate().with_max_len(1).for_each(|(index, (range, out))| {
            for (head, mask) in self.heads(index, range.start, range.len(), hidden) {
                head.forward(mask, qkv, out);
            }
        });
        Ok((CpuStorage::F32(out), (tokens, hidden).into()))
    }

    fn bwd(&self, qkv: &Tensor, _out: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let (tokens, row) = qkv.dims2()?;
        let hidden = row / 3;
        let grad = grad.contiguous()?;
        let (qkv_storage, qkv_layout) = qkv.storage_and_layout();
        let (grad_storage, grad_layout) = grad.storage_and_layout();
        let (qkv_host, grad_host) = (host(&qkv_storage, qkv_layout)?, host(&grad_storage, grad_layout)?);
        let mut out = vec![0.0; tokens * row];
        let sequences: Vec<_> =
            self.sequences.ranges().zip(self.sequences.split_mut(&mut out, row)).collect();
        sequences.into_par_iter().enumerate().with_max_len(1).for_each(|(index, (range, out))| {
            for (head, mask) in self.heads(index, range.start, range.len(), hidden) {
                head.backward(mask, qkv_host, grad_host, out);
            }
        });
        Tensor::from_vec(out, (tokens, row), qkv.device()).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::super::dropout::DropoutSource;
    use super::super::oracle::{self, assert_same_gradients, random};
    use super::*;

    const HIDDEN: usize = 12;
    const HEADS: usize = 3;

    /// Attention by plain operations, one head of one sequence after the other.
    fn plain(qkv: &Tensor, sequences: &Sequences, mask: Dropout) -> Result<Tensor> {
        let width = HIDDEN / HEADS;
        let mut rows = Vec::new();
        for (index, range) in sequences.ranges().enumerate() {
            let qkv = qkv.narrow(0, range.start, range.len())?;
            let mut heads = Vec::new();
            for head in 0..HEADS {
                let part = |part: usize| qkv.narrow(1, part * HIDDEN + head * width, width)?.contiguous();
                let scores = (part(0)?.matmul(&part(1)?.t()?)? * (1.0 / (width as f64).sqrt()))?;
                let mask = mask.part(index * HEADS + head);
                let factors: Vec<f32> = (0..scores.elem_count()).map(|i| mask.factor(i as u32)).collect();
                let factors = Tensor::from_vec(factors, scores.shape(), &Device::Cpu)?;
                heads.push((oracle::softmax(&scores)? * factors)?.matmul(&part(2)?)?);
            }
            rows.push(Tensor::cat(&heads, 1)?);
        }
        Tensor::cat(&rows, 0)
    }

    #[test]
    fn agrees_with_plain_attention_and_its_gradients() {
        let sequences = Sequences::new([5, 1, 19]);
        let inputs = [(random(1, &[25, 3 * HIDDEN]) * 2.0).unwrap()];
        for mask in [Dropout::OFF, DropoutSource::new(5, 2).next(0.3)] {
            assert_same_gradients(
                &inputs,
                |t| attention(&t[0], &sequences, HEADS, mask),
                |t| plain(&t[0], &sequences, mask),
            );
        }
    }

    #[test]
    fn sequences_do_not_see_each_other() {
        let qkv = random(1, &[9, 3 * HIDDEN]);
        let together = attention(&qkv, &Sequences::new([4, 5]), HEADS, Dropout::OFF).unwrap();
        let alone = qkv.narrow(0, 4, 5).unwrap().force_contiguous().unwrap();
        let alone = attention(&alone, &Sequences::new([5]), HEADS, Dropout::OFF).unwrap();
        let together = together.narrow(0, 4, 5).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(together, alone.to_vec2::<f32>().unwrap());
    }
}
