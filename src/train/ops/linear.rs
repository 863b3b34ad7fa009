//! Linear layers with their bias, and with an activation where one follows.
//!
//! y = act(xWᵀ + b). Backwards, with ∂z = ∂y∘act′(z): ∂x = ∂z·W, ∂W = ∂zᵀ·x, ∂b = Σ ∂z over rows.

use std::sync::OnceLock;

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use crate::encoder::HiddenAct;

use super::math::{activate, activate_slope};
use super::rows::{floats, host, rows_a_task, sum_rows, wide};

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
        let product = x.matmul(weight, (1, rows, width, inner), xl, &wl.transpose(0, 1)?)?;
        let CpuStorage::F32(mut y) = product else { bail!("training computes in f32") };
        let bias = floats(bias, bl)?;
        match self.activation {
            None => y.par_chunks_mut(rows_a_task(width) * width).for_each(|y| wide(|| add_bias(y, bias))),
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
        let grad = self.before_activation(&grad.contiguous()?)?;
        let dx = grad.matmul(weight)?;
        let dw = grad.t()?.matmul(x)?;
        let db = column_sums(&grad)?;
        Ok((Some(dx), Some(dw), Some(db)))
    }
}

impl Linear {
    /// ∂z = ∂y∘act′(z).
    fn before_activation(&self, grad: &Tensor) -> Result<Tensor> {
        let Some(activation) = self.activation else { return Ok(grad.clone()) };
        let before = self.before.get().expect("a graph runs forwards before it runs backwards");
        let (storage, layout) = grad.storage_and_layout();
        let dy = host(&storage, layout)?;
        let mut dz = vec![0.0; dy.len()];
        let floats = rows_a_task(1);
        dz.par_chunks_mut(floats).zip(dy.par_chunks(floats)).zip(before.par_chunks(floats)).for_each(
            |((dz, dy), z)| {
                wide(|| {
                    for ((dz, dy), z) in dz.iter_mut().zip(dy).zip(z) {
                        *dz = dy * activate_slope(activation, *z);
                    }
                });
            },
        );
        Tensor::from_vec(dz, grad.shape(), grad.device())
    }
}

/// Adds the bias and activates in place; returns what was there between the two.
fn activate_rows(y: &mut [f32], bias: &[f32], activation: HiddenAct) -> Vec<f32> {
    let mut before = vec![0.0; y.len()];
    let floats = rows_a_task(bias.len()) * bias.len();
    y.par_chunks_mut(floats).zip(before.par_chunks_mut(floats)).for_each(|(y, before)| {
        wide(|| {
            add_bias(y, bias);
            before.copy_from_slice(y);
            for y in y {
                *y = activate(activation, *y);
            }
        });
    });
    before
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "only inlined code is compiled for wide vectors")]
fn add_bias(y: &mut [f32], bias: &[f32]) {
    for row in y.chunks_exact_mut(bias.len()) {
        for (y, bias) in row.iter_mut().zip(bias) {
            *y += bias;
        }
    }
}

fn column_sums(grad: &Tensor) -> Result<Tensor> {
    let (rows, width) = grad.dims2()?;
    let (storage, layout) = grad.storage_and_layout();
    let dz = host(&storage, layout)?;
    let sums = sum_rows(rows, width, |rows, sum| {
        wide(|| {
            for row in dz[rows.start * width..rows.end * width].chunks_exact(width) {
                for (sum, dz) in sum.iter_mut().zip(row) {
                    *sum += dz;
                }
            }
        });
    });
    Tensor::from_vec(sums, width, grad.device())
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
