//! Layer normalisation, alone or after a dropped-out residual sum.
//!
//! For a row h of width n: x̂ = (h − μ) / √(σ² + ε), y = γ∘x̂ + β. Backwards, with g = ∂y∘γ:
//! ∂h = (g − mean(g) − x̂·mean(g∘x̂)) / √(σ² + ε), ∂γ = Σ ∂y∘x̂, ∂β = Σ ∂y over rows.
//! Ba, Kiros, Hinton, "Layer Normalization" (2016).
//!
//! γ and β travel as the two rows of one `(2, n)` tensor, since candle's operations take three inputs at most.

use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use crate::encoder::kernels::math::{normalize, sum, sum2};
use crate::encoder::kernels::wide;

use super::dropout::{Dropout, masked};
use super::rows::{floats, host, rows_a_task, sum_rows};

/// LN(x); `norm` holds γ and β.
pub(crate) fn layer_norm(x: &Tensor, norm: &Tensor, eps: f64) -> Result<Tensor> {
    x.apply_op2(norm, LayerNorm(Normalization::new(eps, Dropout::OFF)))
}

/// LN(residual + dropout(x)); `norm` holds γ and β.
pub(crate) fn add_norm(
    x: &Tensor,
    residual: &Tensor,
    norm: &Tensor,
    eps: f64,
    mask: Dropout,
) -> Result<Tensor> {
    x.apply_op3(residual, norm, AddNorm(Normalization::new(eps, mask)))
}

/// What both operations share.
struct Normalization {
    eps: f32,
    mask: Dropout,
    /// x̂ and 1/√(σ² + ε) of the forward pass.
    saved: OnceLock<(Vec<f32>, Vec<f32>)>,
}

/// Gradients of x, the residual and the norm.
struct NormGradients {
    x: Tensor,
    residual: Tensor,
    norm: Tensor,
}

impl Normalization {
    fn new(eps: f64, mask: Dropout) -> Self {
        Self { eps: eps as f32, mask, saved: OnceLock::new() }
    }

    fn forward(&self, x: &[f32], residual: Option<&[f32]>, norm: &[f32]) -> Vec<f32> {
        let width = norm.len() / 2;
        let (gamma, beta) = norm.split_at(width);
        let mut y = vec![0.0; x.len()];
        let mut normal = vec![0.0; x.len()];
        let mut inverse = vec![0.0; x.len() / width];
        let rows = rows_a_task(width);
        y.par_chunks_mut(rows * width)
            .zip(normal.par_chunks_mut(rows * width))
            .zip(inverse.par_chunks_mut(rows))
            .zip(x.par_chunks(rows * width))
            .enumerate()
            .for_each(|(task, (((y, normal), inverse), x))| {
                let mask = self.mask.part(task);
                let start = task * rows * width;
                let residual = residual.map(|residual| &residual[start..start + x.len()]);
                add(normal, x, residual, mask);
                normalize_rows(y, normal, inverse, gamma, beta, self.eps);
            });
        // A graph is run forwards once; were it run twice, the values would be the same.
        let _ = self.saved.set((normal, inverse));
        y
    }

    fn backward(&self, norm: &Tensor, grad: &Tensor) -> Result<NormGradients> {
        let (normal, inverse) = self.saved.get().expect("a graph runs forwards before it runs backwards");
        let grad = grad.contiguous()?;
        let (grad_storage, grad_layout) = grad.storage_and_layout();
        let dy = host(&grad_storage, grad_layout)?;
        let (norm_storage, norm_layout) = norm.storage_and_layout();
        let gamma = host(&norm_storage, norm_layout)?;
        let width = gamma.len() / 2;
        let gamma = &gamma[..width];
        let tensor = |values: Vec<f32>| Tensor::from_vec(values, grad.shape(), grad.device());
        let residual = residual_gradient(dy, normal, inverse, gamma);
        let x = if self.mask.is_off() { None } else { Some(self.dropped(&residual, width)) };
        let residual = tensor(residual)?;
        let x = x.map_or_else(|| Ok(residual.clone()), tensor)?;
        let norm = Tensor::from_vec(norm_gradient(dy, normal, width), (2, width), grad.device())?;
        Ok(NormGradients { x, residual, norm })
    }

    fn dropped(&self, gradient: &[f32], width: usize) -> Vec<f32> {
        let mut dropped = vec![0.0; gradient.len()];
        let floats = rows_a_task(width) * width;
        let tasks = dropped.par_chunks_mut(floats).zip(gradient.par_chunks(floats)).enumerate();
        tasks.for_each(|(task, (dropped, gradient))| masked(dropped, gradient, self.mask.part(task)));
        dropped
    }
}

wide! {
    /// sum = residual + dropout(x).
    fn add(sum: &mut [f32], x: &[f32], residual: Option<&[f32]>, mask: Dropout) {
        match residual {
            None => sum.copy_from_slice(x),
            Some(residual) if mask.is_off() => {
                for ((sum, x), residual) in sum.iter_mut().zip(x).zip(residual) {
                    *sum = residual + x;
                }
            }
            Some(residual) => {
                for (((sum, x), residual), position) in sum.iter_mut().zip(x).zip(residual).zip(0..) {
                    *sum = residual + x * mask.factor(position);
                }
            }
        }
    }
}

wide! {
    /// Replaces rows by x̂, notes 1/√(σ² + ε) of each, and y = γ∘x̂ + β.
    fn normalize_rows(y: &mut [f32], rows: &mut [f32], inverse: &mut [f32], gamma: &[f32], beta: &[f32], eps: f32) {
        let width = gamma.len();
        let rows = y.chunks_exact_mut(width).zip(rows.chunks_exact_mut(width)).zip(inverse);
        for ((y, normal), inverse) in rows {
            *inverse = normalize(normal, eps);
            for (((y, normal), gamma), beta) in y.iter_mut().zip(normal).zip(gamma).zip(beta) {
                *y = *normal * gamma + beta;
            }
        }
    }
}

fn residual_gradient(dy: &[f32], normal: &[f32], inverse: &[f32], gamma: &[f32]) -> Vec<f32> {
    let width = gamma.len();
    let mut dh = vec![0.0; dy.len()];
    let rows = rows_a_task(width);
    dh.par_chunks_mut(rows * width)
        .zip(dy.par_chunks(rows * width))
        .zip(normal.par_chunks(rows * width))
        .zip(inverse.par_chunks(rows))
        .for_each(|(((dh, dy), normal), inverse)| residual_gradient_rows(dh, dy, normal, inverse, gamma));
    dh
}

wide! {
    fn residual_gradient_rows(dh: &mut [f32], dy: &[f32], normal: &[f32], inverse: &[f32], gamma: &[f32]) {
        let width = gamma.len();
        let rows = dh.chunks_exact_mut(width).zip(dy.chunks_exact(width));
        for (((dh, dy), normal), inverse) in rows.zip(normal.chunks_exact(width)).zip(inverse) {
            for ((g, dy), gamma) in dh.iter_mut().zip(dy).zip(gamma) {
                *g = dy * gamma;
            }
            let mean = sum(dh, |g| g) / width as f32;
            let along = sum2(dh, normal, |g, normal| g * normal) / width as f32;
            for (g, normal) in dh.iter_mut().zip(normal) {
                *g = (*g - mean - normal * along) * inverse;
            }
        }
    }
}

wide! {
    fn add_norm_gradient(gamma: &mut [f32], beta: &mut [f32], dy: &[f32], normal: &[f32]) {
        let width = gamma.len();
        for (dy, normal) in dy.chunks_exact(width).zip(normal.chunks_exact(width)) {
            for (((gamma, beta), dy), normal) in gamma.iter_mut().zip(beta.iter_mut()).zip(dy).zip(normal) {
                *gamma += dy * normal;
                *beta += dy;
            }
        }
    }
}

/// ∂γ, then ∂β.
fn norm_gradient(dy: &[f32], normal: &[f32], width: usize) -> Vec<f32> {
    sum_rows(dy.len() / width, 2 * width, |rows, sums| {
        let range = rows.start * width..rows.end * width;
        let (gamma, beta) = sums.split_at_mut(width);
        add_norm_gradient(gamma, beta, &dy[range.clone()], &normal[range]);
    })
}

struct LayerNorm(Normalization);

impl CustomOp2 for LayerNorm {
    fn name(&self) -> &'static str {
        "layer_norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        norm: &CpuStorage,
        nl: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let y = self.0.forward(floats(x, xl)?, None, floats(norm, nl)?);
        Ok((CpuStorage::F32(y), xl.shape().clone()))
    }

    fn bwd(
        &self,
        _: &Tensor,
        norm: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let gradients = self.0.backward(norm, grad)?;
        Ok((Some(gradients.residual), Some(gradients.norm)))
    }
}

struct AddNorm(Normalization);

impl CustomOp3 for AddNorm {
    fn name(&self) -> &'static str {
        "add_norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        residual: &CpuStorage,
        rl: &Layout,
        norm: &CpuStorage,
        nl: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let y = self.0.forward(floats(x, xl)?, Some(floats(residual, rl)?), floats(norm, nl)?);
        Ok((CpuStorage::F32(y), xl.shape().clone()))
    }

    fn bwd(
        &self,
        _: &Tensor,
        _: &Tensor,
        norm: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let gradients = self.0.backward(norm, grad)?;
        Ok((Some(gradients.x), Some(gradients.residual), Some(gradients.norm)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::dropout::DropoutSource;
    use super::super::oracle::{self, assert_same_gradients, random};
    use super::*;

    #[test]
    fn agrees_with_plain_layer_norm_and_its_gradients() {
        let inputs = [random(1, &[70, 24]), random(2, &[2, 24])];
        assert_same_gradients(
            &inputs,
            |t| layer_norm(&t[0], &t[1], 1e-5),
            |t| oracle::layer_norm(&t[0], &t[1], 1e-5),
        );
    }

    #[test]
    fn agrees_with_a_plain_residual_sum() {
        let inputs = [random(1, &[300, 40]), random(2, &[300, 40]), random(3, &[2, 40])];
        assert_same_gradients(
            &inputs,
            |t| add_norm(&t[0], &t[1], &t[2], 1e-5, Dropout::OFF),
            |t| oracle::layer_norm(&(&t[0] + &t[1])?, &t[2], 1e-5),
        );
    }

    #[test]
    fn agrees_with_a_plain_sum_under_dropout() {
        // Wider than a task's share, so that several tasks take part.
        let (rows, width) = (900, 40);
        let mask = DropoutSource::new(3, 1).next(0.2);
        let factors: Vec<f32> = (0..rows * width)
            .map(|i| {
                let task = rows_a_task(width) * width;
                mask.part(i / task).factor((i % task) as u32)
            })
            .collect();
        let factors = Tensor::from_vec(factors, (rows, width), &candle_core::Device::Cpu).unwrap();
        let inputs = [random(1, &[rows, width]), random(2, &[rows, width]), random(3, &[2, width])];
        assert_same_gradients(
            &inputs,
            |t| add_norm(&t[0], &t[1], &t[2], 1e-5, mask),
            |t| oracle::layer_norm(&((&t[0] * &factors)? + &t[1])?, &t[2], 1e-5),
        );
    }
}
