//! What tests hold the fused operations to: candle's plain operations and finite differences.

use candle_core::{D, Device, Result, Tensor, Var};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Numbers from −1 to 1 that differ by seed.
pub(crate) fn random(seed: u64, shape: &[usize]) -> Tensor {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| rng.random_range(-1.0..1.0)).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// Layer normalisation by plain operations; `norm` holds γ and β.
pub(crate) fn layer_norm(x: &Tensor, norm: &Tensor, eps: f64) -> Result<Tensor> {
    let x = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let deviation = (x.sqr()?.mean_keepdim(D::Minus1)? + eps)?.sqrt()?;
    x.broadcast_div(&deviation)?.broadcast_mul(&norm.get(0)?)?.broadcast_add(&norm.get(1)?)
}

/// Softmax over the last dimension by plain operations.
pub(crate) fn softmax(x: &Tensor) -> Result<Tensor> {
    let x = x.broadcast_sub(&x.max_keepdim(D::Minus1)?.detach())?.exp()?;
    x.broadcast_div(&x.sum_keepdim(D::Minus1)?)
}

/// Checks that two functions have the same values and the same gradients by every input, and that the gradient is
/// the slope of the function by finite differences.
pub(crate) fn assert_same_gradients(
    inputs: &[Tensor],
    fused: impl Fn(&[Tensor]) -> Result<Tensor>,
    plain: impl Fn(&[Tensor]) -> Result<Tensor>,
) {
    let run = |function: &dyn Fn(&[Tensor]) -> Result<Tensor>| {
        let vars: Vec<Var> = inputs.iter().map(|input| Var::from_tensor(input).unwrap()).collect();
        let tensors: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
        let y = function(&tensors).unwrap();
        // Uneven weights, so that no gradient cancels out.
        let grads = (&y * random(99, y.dims())).unwrap().sum_all().unwrap().backward().unwrap();
        let grads: Vec<Tensor> = tensors.iter().map(|t| grads.get(t).expect("a gradient").clone()).collect();
        (y, grads)
    };
    let (fused_y, fused_grads) = run(&fused);
    let (plain_y, plain_grads) = run(&plain);
    assert!(distance(&fused_y, &plain_y) < 1e-5, "values differ by {}", distance(&fused_y, &plain_y));
    for (position, (a, b)) in fused_grads.iter().zip(&plain_grads).enumerate() {
        assert!(distance(a, b) < 1e-4, "gradients of input {position} differ by {}", distance(a, b));
    }
    for (position, grad) in fused_grads.iter().enumerate() {
        let direction = random(7 + position as u64, inputs[position].dims());
        let slope = finite_difference(inputs, position, &direction, &fused);
        let expected = sum_of_products(grad, &direction);
        assert!(
            (slope - expected).abs() < 2e-2 * expected.abs().max(1.0),
            "slope {slope}, gradient {expected}"
        );
    }
}

fn finite_difference(
    inputs: &[Tensor],
    position: usize,
    direction: &Tensor,
    function: &impl Fn(&[Tensor]) -> Result<Tensor>,
) -> f64 {
    let step = 1e-3;
    let at = |step: f64| {
        let mut moved = inputs.to_vec();
        moved[position] = (&moved[position] + (direction * step).unwrap()).unwrap();
        let y = function(&moved).unwrap();
        sum_of_products(&y, &random(99, y.dims()))
    };
    (at(step) - at(-step)) / (2.0 * step)
}

fn sum_of_products(a: &Tensor, b: &Tensor) -> f64 {
    let products = (a * b).unwrap().to_dtype(candle_core::DType::F64).unwrap();
    products.sum_all().unwrap().to_scalar().unwrap()
}

fn distance(a: &Tensor, b: &Tensor) -> f32 {
    assert_eq!(a.dims(), b.dims());
    (a - b).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar().unwrap()
}
