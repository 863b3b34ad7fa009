//! The mean over the tokens of each sequence.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

use crate::encoder::kernels::wide;

use super::rows::{Sequences, floats, host};

/// One row a sequence: the mean of its rows.
pub(crate) fn mean_pool(x: &Tensor, sequences: &Sequences) -> Result<Tensor> {
    x.apply_op1(MeanPool { sequences: sequences.clone() })
}

struct MeanPool {
    sequences: Sequences,
}

impl CustomOp1 for MeanPool {
    fn name(&self) -> &'static str {
        "mean_pool"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (_, width) = layout.shape().dims2()?;
        let x = floats(x, layout)?;
        let mut means = vec![0.0; self.sequences.len() * width];
        for (mean, range) in means.chunks_exact_mut(width).zip(self.sequences.ranges()) {
            add_mean(mean, &x[range.start * width..range.end * width]);
        }
        Ok((CpuStorage::F32(means), (self.sequences.len(), width).into()))
    }

    fn bwd(&self, x: &Tensor, _means: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let (_, width) = x.dims2()?;
        let grad = grad.contiguous()?;
        let (storage, layout) = grad.storage_and_layout();
        let grad = host(&storage, layout)?;
        let mut dx = vec![0.0; x.elem_count()];
        for (grad, range) in grad.chunks_exact(width).zip(self.sequences.ranges()) {
            spread(&mut dx[range.start * width..range.end * width], grad);
        }
        Tensor::from_vec(dx, x.shape(), x.device()).map(Some)
    }
}

wide! {
    /// Adds the mean of rows to `mean`.
    fn add_mean(mean: &mut [f32], rows: &[f32]) {
        let share = mean.len() as f32 / rows.len() as f32;
        for row in rows.chunks_exact(mean.len()) {
            for (mean, x) in mean.iter_mut().zip(row) {
                *mean += x * share;
            }
        }
    }
}

wide! {
    /// Gives each row its share of `grad`.
    fn spread(rows: &mut [f32], grad: &[f32]) {
        let share = grad.len() as f32 / rows.len() as f32;
        for row in rows.chunks_exact_mut(grad.len()) {
            for (x, grad) in row.iter_mut().zip(grad) {
                *x = grad * share;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::oracle::{assert_same_gradients, random};
    use super::*;

    #[test]
    fn agrees_with_plain_means_and_their_gradients() {
        let sequences = Sequences::new([3, 1, 5]);
        assert_same_gradients(
            &[random(1, &[9, 6])],
            |t| mean_pool(&t[0], &sequences),
            |t| {
                let means: Result<Vec<_>> = sequences
                    .ranges()
                    .map(|range| t[0].narrow(0, range.start, range.len())?.mean(0))
                    .collect();
                Tensor::stack(&means?, 0)
            },
        );
    }
}
