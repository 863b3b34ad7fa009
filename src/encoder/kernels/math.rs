//! Functions of one float that compilers can turn into vector code: no branches, no calls.
//!
//! `FMA` says whether the processor that a function is compiled for multiplies and adds in one instruction; see [`wide`].

#![expect(clippy::inline_always, reason = "only inlined code is compiled for wide vectors")]

use super::super::HiddenAct;
use super::wide;

/// a·b + c.
#[inline(always)]
fn fma<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// eˣ to about 1e-7 of its value; 0 far below and finite far above (Cephes' `expf`).
#[inline(always)]
pub(crate) fn exp<const FMA: bool>(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0; // 1.5 · 2²³: adding it leaves the nearest integer in the low bits
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let x = x.clamp(-87.0, 88.0);
    let shifted = fma::<FMA>(x, std::f32::consts::LOG2_E, ROUND);
    let whole = shifted - ROUND;
    let r = fma::<FMA>(whole, -LN_2_LOW, fma::<FMA>(whole, -LN_2_HIGH, x));
    let p = 1.987_569_1e-4;
    let p = fma::<FMA>(p, r, 1.398_199_9e-3);
    let p = fma::<FMA>(p, r, 8.333_452e-3);
    let p = fma::<FMA>(p, r, 4.166_579_6e-2);
    let p = fma::<FMA>(p, r, 1.666_666_5e-1);
    let p = fma::<FMA>(p, r, 0.5);
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000));
    fma::<FMA>(p * r, r, r + 1.0) * power
}

/// The error function to about 3e-7 (Eigen's rational approximation).
#[inline(always)]
fn erf<const FMA: bool>(x: f32) -> f32 {
    let x = x.clamp(-4.0, 4.0);
    let s = x * x;
    let p = -2.726_142_3e-10;
    let p = fma::<FMA>(p, s, 2.770_681_5e-8);
    let p = fma::<FMA>(p, s, -2.101_024e-6);
    let p = fma::<FMA>(p, s, -5.692_506e-5);
    let p = fma::<FMA>(p, s, -7.349_906_3e-4);
    let p = fma::<FMA>(p, s, -2.954_600_1e-3);
    let p = fma::<FMA>(p, s, -1.609_603_3e-2);
    let q = -1.456_607_2e-5;
    let q = fma::<FMA>(q, s, -2.133_740_6e-4);
    let q = fma::<FMA>(q, s, -1.682_827e-3);
    let q = fma::<FMA>(q, s, -7.373_329_3e-3);
    let q = fma::<FMA>(q, s, -1.426_474_1e-2);
    x * p / q
}

#[inline(always)]
fn tanh<const FMA: bool>(x: f32) -> f32 {
    1.0 - 2.0 / (exp::<FMA>(2.0 * x) + 1.0)
}

const SQRT_2_OVER_PI: f32 = 0.797_884_6;
const CUBIC: f32 = 0.044_715;

/// y = act(x).
#[inline(always)]
pub(crate) fn activate<const FMA: bool>(kind: HiddenAct, x: &[f32], y: &mut [f32]) {
    match kind {
        HiddenAct::Gelu => map(x, y, |x| 0.5 * x * (1.0 + erf::<FMA>(x * std::f32::consts::FRAC_1_SQRT_2))),
        HiddenAct::GeluNew => {
            map(x, y, |x| 0.5 * x * (1.0 + tanh::<FMA>(SQRT_2_OVER_PI * (x + CUBIC * x * x * x))));
        }
        HiddenAct::Relu => map(x, y, |x| x.max(0.0)),
    }
}

/// slope = act′(x); for the exact GELU Φ(x) + x·φ(x).
#[inline(always)]
pub(crate) fn activation_slopes<const FMA: bool>(kind: HiddenAct, x: &[f32], slope: &mut [f32]) {
    const DENSITY_AT_0: f32 = 0.398_942_3; // 1/√(2π)
    match kind {
        HiddenAct::Gelu => map(x, slope, |x| {
            let below = 0.5 * (1.0 + erf::<FMA>(x * std::f32::consts::FRAC_1_SQRT_2));
            below + x * DENSITY_AT_0 * exp::<FMA>(-0.5 * x * x)
        }),
        HiddenAct::GeluNew => map(x, slope, |x| {
            let t = tanh::<FMA>(SQRT_2_OVER_PI * (x + CUBIC * x * x * x));
            0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * SQRT_2_OVER_PI * (1.0 + 3.0 * CUBIC * x * x)
        }),
        HiddenAct::Relu => map(x, slope, |x| f32::from(x > 0.0)),
    }
}

/// y = f(x), one loop for each f, so that the compiler can widen it.
#[inline(always)]
fn map(x: &[f32], y: &mut [f32], f: impl Fn(f32) -> f32) {
    for (y, x) in y.iter_mut().zip(x) {
        *y = f(*x);
    }
}

/// Independent running sums, so that a sum needs not wait for the one before.
const LANES: usize = 16;

/// Σ f(a, b).
#[inline(always)]
pub(crate) fn sum2(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0.0; LANES];
    let (a, b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = a.remainder().iter().zip(b.remainder()).map(|(&a, &b)| f(a, b)).sum();
    for (a, b) in a.zip(b) {
        for lane in 0..LANES {
            lanes[lane] += f(a[lane], b[lane]);
        }
    }
    reduced(lanes, |a, b| a + b) + rest
}

/// What is left when each half is joined with the other again and again.
#[inline(always)]
fn reduced(mut lanes: [f32; LANES], join: impl Fn(f32, f32) -> f32) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] = join(lanes[lane], lanes[lane + half]);
        }
        half /= 2;
    }
    lanes[0]
}

/// Σ f(x).
#[inline(always)]
pub(crate) fn sum(xs: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    sum2(xs, xs, |x, _| f(x))
}

/// Replaces a row by softmax(scale · row).
#[inline(always)]
pub(crate) fn softmax<const FMA: bool>(row: &mut [f32], scale: f32) {
    let inverse = 1.0 / exponentials::<FMA>(row, scale);
    for x in row {
        *x *= inverse;
    }
}

/// Replaces a row by exp(scale · (row − its largest)) and returns the sum.
#[inline(always)]
pub(crate) fn exponentials<const FMA: bool>(row: &mut [f32], scale: f32) -> f32 {
    let (chunks, rest) = row.as_chunks_mut::<LANES>();
    let mut largest = [f32::NEG_INFINITY; LANES];
    for chunk in &*chunks {
        for (largest, x) in largest.iter_mut().zip(chunk) {
            *largest = if *x > *largest { *x } else { *largest };
        }
    }
    let largest = rest.iter().copied().fold(reduced(largest, f32::max), f32::max);
    let mut sums = [0.0; LANES];
    for chunk in chunks {
        for (x, sum) in chunk.iter_mut().zip(&mut sums) {
            *x = exp::<FMA>((*x - largest) * scale);
            *sum += *x;
        }
    }
    let mut sum = reduced(sums, |a, b| a + b);
    for x in rest {
        *x = exp::<FMA>((*x - largest) * scale);
        sum += *x;
    }
    sum
}

/// Replaces a row by x̂ = (x − μ) / √(σ² + ε) and returns 1/√(σ² + ε).
#[inline(always)]
pub(crate) fn normalize(row: &mut [f32], eps: f32) -> f32 {
    let n = row.len() as f32;
    let mean = sum(row, |x| x) / n;
    let variance = sum(row, |x| (x - mean) * (x - mean)) / n;
    let inverse = 1.0 / (variance + eps).sqrt();
    for x in row {
        *x = (*x - mean) * inverse;
    }
    inverse
}

wide! {
    /// Adds rows to `sum`.
    pub(crate) fn add_rows(sum: &mut [f32], rows: &[f32]) {
        for row in rows.chunks_exact(sum.len()) {
            for (sum, x) in sum.iter_mut().zip(row) {
                *sum += x;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::*;

    fn grid() -> Vec<f32> {
        (-9_000..=9_000).map(|i| i as f32 * 1e-3).collect()
    }

    #[test]
    fn exp_and_erf_are_as_good_as_f32_allows() {
        let exact =
            Tensor::new(grid().iter().map(|&x| f64::from(x)).collect::<Vec<_>>(), &Device::Cpu).unwrap();
        let exact = exact.erf().unwrap().to_vec1::<f64>().unwrap();
        for (x, erf_x) in grid().into_iter().zip(exact) {
            let exp_x = f64::from(x).exp();
            for (erf, exp) in [(erf::<false>(x), exp::<false>(x)), (erf::<true>(x), exp::<true>(x))] {
                assert!((f64::from(erf) - erf_x).abs() < 4e-7, "erf({x})");
                assert!((f64::from(exp) - exp_x).abs() < 3e-7 * exp_x, "exp({x})");
            }
        }
        assert!(exp::<false>(-1e30) < 1e-37 && exp::<false>(1e30).is_finite());
    }

    #[test]
    fn slopes_are_those_of_the_activations() {
        let h = 0.01;
        let grid: Vec<f32> = grid().into_iter().step_by(97).filter(|x| x.abs() > h).collect();
        for kind in [HiddenAct::Gelu, HiddenAct::GeluNew, HiddenAct::Relu] {
            let at = |offset: f32| {
                let x: Vec<f32> = grid.iter().map(|x| x + offset).collect();
                let mut y = vec![0.0; x.len()];
                activate::<false>(kind, &x, &mut y);
                y
            };
            let mut slopes = vec![0.0; grid.len()];
            activation_slopes::<false>(kind, &grid, &mut slopes);
            for ((slope, above), below) in slopes.into_iter().zip(at(h)).zip(at(-h)) {
                assert!(((above - below) / (2.0 * h) - slope).abs() < 1e-3, "{kind:?}");
            }
        }
    }

    #[test]
    fn softmax_survives_large_scores_and_sums_to_one() {
        let mut row: Vec<f32> = (0..37).map(|i| (i as f32 - 18.0) * 1e3).collect();
        softmax::<false>(&mut row, 1.0);
        assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert!(row[36] > 0.999 && row.iter().all(|p| p.is_finite()));
    }
}
