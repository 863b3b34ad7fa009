//! Linear layers with their bias, and with an activation where one follows.
//!
//! y = act(xWᵀ + b). Backwards, with ∂z = ∂y∘act′(z): ∂x = ∂z·W, ∂W = ∂zᵀ·x, ∂b = Σ ∂z over rows.

use std::borrow::Cow;
use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use crate::encoder::HiddenAct;
use crate::encoder::kernels::math::{activate, activation_slopes, add_rows};
use crate::encoder::kernels::product::{Matrix, multiply};
use crate::encoder::kernels::{Threads, wide};

use super::rows::{floats, host, rows_a_task, sum_rows};

/// xWᵀ + b, for `weight` of shape (out, in).
pub(crate) fn linear(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    x.apply_op3(weight, bias, Linear { activation: None, before: OnceLock::new() })
}

/// act(xWᵀ + b).
pub(crate) fn linear_activated(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    activation: HiddenAct,
) -> Result<Tensor> {
    x.apply_op3(weight, bias, Linear { activation: Some(activation), before: OnceLock::new() })
}

struct Linear {
    activation: Option<HiddenAct>,
    /// xWᵀ + b of the forward pass, where an activation follows.
    before: OnceLock<Vec<f32>>,
}

impl CustomOp3 for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        weight: &CpuStorage,
        wl: &Layout,
        bias: &CpuStorage,
        bl: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (rows, inner) = xl.shape().dims2()?;
        let (width, _) = wl.shape().dims2()?;
        let x = Matrix::new(floats(x, xl)?, (rows, inner), inner);
        let weight = Matrix::new(floats(weight, wl)?, (width, inner), inner);
        let bias = floats(bias, bl)?;
        let mut y = vec![0.0; rows * width];
        multiply(x, weight.transposed(), (&mut y, width), Threads::All);
        match self.activation {
            None => y.par_chunks_mut(rows_a_task(width) * width).for_each(|y| add_bias(y, bias)),
            Some(activation) => {
                let before = activate_rows(&mut y, bias, activation);
                let _ = self.before.set(before);
            }
        }
        Ok((CpuStorage::F32(y), (rows, width).into()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _bias: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let (grad_storage, grad_layout) = grad.storage_and_layout();
        let (x_storage, x_layout) = x.storage_and_layout();
        let (weight_storage, weight_layout) = weight.storage_and_layout();
        let ((rows, inner), (width, _)) = (x.dims2()?, weight.dims2()?);
        let dz = self.before_activation(host(&grad_storage, grad_layout)?);
        let x = Matrix::new(host(&x_storage, x_layout)?, (rows, inner), inner);
        let weight = Matrix::new(host(&weight_storage, weight_layout)?, (width, inner), inner);
        let (mut dx, mut dw) = (vec![0.0; rows * inner], vec![0.0; width * inner]);
        let out = Matrix::new(&dz, (rows, width), width);
        multiply(out, weight, (&mut dx, inner), Threads::All);
        multiply(out.transposed(), x, (&mut dw, inner), Threads::All);
        let db = sum_rows(rows, width, |rows, sum| add_rows(sum, &dz[rows.start * width..rows.end * width]));
        let tensor = |values, shape: &[usize]| Tensor::from_vec(values, shape, grad.device()).map(Some);
        Ok((tensor(dx, &[rows, inner])?, tensor(dw, &[width, inner])?, tensor(db, &[width])?))
    }
}

impl Linear {
    /// ∂z = ∂y∘act′(z).
    fn before_activation<'a>(&self, dy: &'a [f32]) -> Cow<'a, [f32]> {
        let Some(activation) = self.activation else { return dy.into() };
        let before = self.before.get().expect("a graph runs forwards before it runs backwards");
        let mut dz = vec![0.0; dy.len()];
        let floats = rows_a_task(1);
        let tasks = dz.par_chunks_mut(floats).zip(dy.par_chunks(floats)).zip(before.par_chunks(floats));
        tasks.for_each(|((dz, dy), z)| multiply_slopes(dz, dy, z, activation));
        dz.into()
    }
}

/// Adds the bias and activates in place; returns what was there between the two.
fn activate_rows(y: &mut [f32], bias: &[f32], activation: HiddenAct) -> Vec<f32> {
    let mut before = vec![0.0; y.len()];
    let floats = rows_a_task(bias.len()) * bias.len();
    let tasks = y.par_chunks_mut(floats).zip(before.par_chunks_mut(floats));
    tasks.for_each(|(y, before)| add_bias_and_activate(y, before, bias, activation));
    before
}

wide! {
    fn add_bias(y: &mut [f32], bias: &[f32]) {
        for row in y.chunks_exact_mut(bias.len()) {
            for (y, bias) in row.iter_mut().zip(bias) {
                *y += bias;
            }
        }
    }
}

wide! {
    fn add_bias_and_activate(y: &mut [f32], before: &mut [f32], bias: &[f32], activation: HiddenAct) {
        let rows = y.chunks_exact_mut(bias.len()).zip(before.chunks_exact_mut(bias.len()));
        for (y, before) in rows {
            for ((y, before), bias) in y.iter().zip(before.iter_mut()).zip(bias) {
                *before = y + bias;
            }
            activate::<FMA>(activation, before, y);
        }
    }
}

wide! {
    /// dz = dy∘act′(z)
    fn multiply_slopes(dz: &mut [f32], dy: &[f32], z: &[f32], activation: HiddenAct) {
        activation_slopes::<FMA>(activation, z, dz);
        for (dz, dy) in dz.iter_mut().zip(dy) {
            *dz *= dy;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::oracle::{assert_same_gradients, random};
    use super::*;

    #[test]
    fn agrees_with_plain_products_and_their_gradients() {
        let inputs = [random(1, &[301, 12]), random(2, &[20, 12]), random(3, &[20])];
        assert_same_gradients(
            &inputs,
            |t| linear(&t[0], &t[1], &t[2]),
            |t| t[0].matmul(&t[1].t()?)?.broadcast_add(&t[2]),
        );
    }

    #[test]
    fn agrees_with_a_plain_activation_after_it() {
        let inputs = [random(1, &[301, 12]), random(2, &[20, 12]), random(3, &[20])];
        for (kind, plain) in [
            (HiddenAct::Gelu, Tensor::gelu_erf as fn(&Tensor) -> Result<Tensor>),
            (HiddenAct::GeluNew, Tensor::gelu),
            (HiddenAct::Relu, Tensor::relu),
        ] {
            assert_same_gradients(
                &inputs,
                |t| linear_activated(&t[0], &t[1], &t[2], kind),
                |t| plain(&t[0].matmul(&t[1].t()?)?.broadcast_add(&t[2])?),
            );
        }
    }
}
