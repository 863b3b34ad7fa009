//! Self-attention within each sequence of a packed batch.
//!
//! For each sequence and head: P = softmax(QKᵀ/√d), O = (M∘P)V with M the dropout mask. Backwards:
//! ∂V = (M∘P)ᵀ∂O, ∂P = M∘(∂O·Vᵀ), ∂S = P∘(∂P − Σⱼ ∂P∘P), ∂Q = ∂S·K/√d, ∂K = ∂Sᵀ·Q/√d.
//!
//! P is computed again on the way back rather than kept: it is the one thing that grows with the square of the
//! length, and computing it costs less than fetching it from memory
//! (Dao et al., "FlashAttention", 2022, section 3.1).

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Storage, Tensor, bail};
use rayon::prelude::*;

use super::dropout::Dropout;
use super::math::{softmax, sum2};
use super::rows::{Sequences, wide};

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
    fn part(&self, part: Part) -> Layout {
        let row = 3 * self.hidden;
        let offset = self.start * row + part as usize * self.hidden + self.index * self.width;
        Layout::new((self.length, self.width).into(), vec![row, 1], offset)
    }

    /// This head's columns of the rows of hidden states that belong to the sequence alone: (length, width)
    fn columns(&self) -> Layout {
        Layout::new((self.length, self.width).into(), vec![self.hidden, 1], self.index * self.width)
    }

    /// (length, length)
    fn square(&self) -> Layout {
        Layout::contiguous((self.length, self.length))
    }

    fn scale(&self) -> f32 {
        1.0 / (self.width as f32).sqrt()
    }

    /// P, before dropout.
    fn probabilities(&self, qkv: &CpuStorage) -> Result<Vec<f32>> {
        let keys = self.part(Part::Key).transpose(0, 1)?;
        let mut scores = product(qkv, &self.part(Part::Query), qkv, &keys)?;
        wide(|| {
            for row in scores.chunks_exact_mut(self.length) {
                softmax(row, self.scale());
            }
        });
        Ok(scores)
    }

    /// Copies (length, width) into this head's columns of rows of `row` floats, `part` hidden states in.
    fn place(&self, from: &[f32], rows: &mut [f32], row: usize, part: usize) {
        let start = part * self.hidden + self.index * self.width;
        for (from, row) in from.chunks_exact(self.width).zip(rows.chunks_exact_mut(row)) {
            row[start..start + self.width].copy_from_slice(from);
        }
    }
}

/// The product of two matrices wherever they lie.
fn product(left: &CpuStorage, ll: &Layout, right: &CpuStorage, rl: &Layout) -> Result<Vec<f32>> {
    let ((rows, inner), (_, width)) = (ll.shape().dims2()?, rl.shape().dims2()?);
    let CpuStorage::F32(product) = left.matmul(right, (1, rows, width, inner), ll, rl)? else {
        bail!("training computes in f32")
    };
    Ok(product)
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

/// O of one sequence: rows of hidden states.
fn sequence_forward(
    heads: impl Iterator<Item = (Head, Dropout)>,
    qkv: &CpuStorage,
    out: &mut [f32],
) -> Result<()> {
    for (head, mask) in heads {
        let mut weights = head.probabilities(qkv)?;
        if !mask.is_off() {
            wide(|| {
                for (weight, position) in weights.iter_mut().zip(0..) {
                    *weight *= mask.factor(position);
                }
            });
        }
        let context = product(&CpuStorage::F32(weights), &head.square(), qkv, &head.part(Part::Value))?;
        head.place(&context, out, head.hidden, 0);
    }
    Ok(())
}

/// ∂Q, ∂K, ∂V of one sequence: rows of three hidden states.
fn sequence_backward(
    heads: impl Iterator<Item = (Head, Dropout)>,
    qkv: &CpuStorage,
    grad: &CpuStorage,
    out: &mut [f32],
) -> Result<()> {
    for (head, mask) in heads {
        let square = head.square();
        let values = head.part(Part::Value).transpose(0, 1)?;
        let probabilities = head.probabilities(qkv)?;
        let mut scores = product(grad, &head.columns(), qkv, &values)?;
        let weights = score_gradients(probabilities, &mut scores, head, mask);
        let (weights, scores) = (CpuStorage::F32(weights), CpuStorage::F32(scores));
        let row = 3 * head.hidden;
        let dv = product(&weights, &square.transpose(0, 1)?, grad, &head.columns())?;
        head.place(&dv, out, row, Part::Value as usize);
        let dq = product(&scores, &square, qkv, &head.part(Part::Key))?;
        head.place(&dq, out, row, Part::Query as usize);
        let dk = product(&scores, &square.transpose(0, 1)?, qkv, &head.part(Part::Query))?;
        head.place(&dk, out, row, Part::Key as usize);
    }
    Ok(())
}

/// Turns ∂O·Vᵀ into ∂S/√d in place, and P into M∘P.
fn score_gradients(mut probabilities: Vec<f32>, scores: &mut [f32], head: Head, mask: Dropout) -> Vec<f32> {
    let scale = head.scale();
    wide(|| {
        let rows = probabilities.chunks_exact_mut(head.length).zip(scores.chunks_exact_mut(head.length));
        for (row, (p, ds)) in rows.enumerate() {
            let first = (row * head.length) as u32;
            if !mask.is_off() {
                for (ds, position) in ds.iter_mut().zip(first..) {
                    *ds *= mask.factor(position);
                }
            }
            let along = sum2(ds, p, |ds, p| ds * p);
            for (ds, p) in ds.iter_mut().zip(p.iter()) {
                *ds = p * (*ds - along) * scale;
            }
            if !mask.is_off() {
                for (p, position) in p.iter_mut().zip(first..) {
                    *p *= mask.factor(position);
                }
            }
        }
    });
    probabilities
}

impl CustomOp1 for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(&self, qkv: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        if layout.contiguous_offsets().is_none_or(|(start, _)| start != 0) {
            bail!("attention needs contiguous input");
        }
        let (tokens, row) = layout.shape().dims2()?;
        let hidden = row / 3;
        let mut out = vec![0.0; tokens * hidden];
        let sequences: Vec<_> =
            self.sequences.ranges().zip(self.sequences.split_mut(&mut out, hidden)).collect();
        sequences.into_par_iter().enumerate().with_max_len(1).try_for_each(|(index, (range, out))| {
            sequence_forward(self.heads(index, range.start, range.len(), hidden), qkv, out)
        })?;
        Ok((CpuStorage::F32(out), (tokens, hidden).into()))
    }

    fn bwd(&self, qkv: &Tensor, _out: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let (tokens, row) = qkv.dims2()?;
        let hidden = row / 3;
        let grad = grad.contiguous()?;
        let (qkv_storage, _) = qkv.storage_and_layout();
        let Storage::Cpu(qkv_host) = &*qkv_storage else { bail!("training runs on the CPU") };
        let (grad_storage, grad_layout) = grad.storage_and_layout();
        let grad_host = super::rows::host(&grad_storage, grad_layout)?;
        let mut out = vec![0.0; tokens * row];
        let sequences: Vec<_> =
            self.sequences.ranges().zip(self.sequences.split_mut(&mut out, row)).collect();
        sequences.into_par_iter().enumerate().with_max_len(1).try_for_each(|(index, (range, out))| {
            let grad = CpuStorage::F32(grad_host[range.start * hidden..range.end * hidden].to_vec());
            sequence_backward(self.heads(index, range.start, range.len(), hidden), qkv_host, &grad, out)
        })?;
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
