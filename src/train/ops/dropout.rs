//! Dropout whose masks are never stored: whether an element is dropped is a hash of its position.
//!
//! The same key gives the same mask, forwards, backwards and after a resumed run, on any number of threads.

use std::cell::Cell;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use crate::encoder::kernels::wide;

use super::rows::{floats, host, parallel_chunks};

/// One dropout mask: which elements go, and by how much the others grow.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dropout {
    key: u32,
    /// Hashes below this are dropped.
    threshold: u32,
    scale: f32,
}

impl Dropout {
    /// Drops nothing.
    pub(crate) const OFF: Self = Self { key: 0, threshold: 0, scale: 1.0 };

    /// Whether it drops anything.
    pub(super) fn is_off(self) -> bool {
        self.threshold == 0
    }

    /// What the element at `position` is multiplied by: 0 or 1 / (1 − p).
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "only inlined code is compiled for wide vectors")]
    pub(super) fn factor(self, position: u32) -> f32 {
        if mix(position ^ self.key) >= self.threshold { self.scale } else { 0.0 }
    }

    /// A mask of its own for a part of the elements, so that positions within the part suffice.
    pub(super) fn part(self, part: usize) -> Self {
        Self { key: mix(self.key ^ (part as u32).wrapping_mul(0x9e37_79b9)), ..self }
    }
}

/// Gives each place of a network that drops, at each step, a mask of its own.
#[derive(Debug)]
pub(crate) struct DropoutSource {
    key: u32,
    place: Cell<u32>,
}

impl DropoutSource {
    /// The masks of one training step.
    pub(crate) fn new(seed: u64, step: usize) -> Self {
        let seed = mix(seed as u32) ^ mix((seed >> 32) as u32 ^ 0x85eb_ca6b);
        Self { key: mix(seed ^ mix((step as u32).wrapping_add(0x9e37_79b9))), place: Cell::new(0) }
    }

    /// The mask of the next place; `probability` is the share that is dropped.
    #[expect(clippy::cast_sign_loss, reason = "a probability is not negative")]
    pub(crate) fn next(&self, probability: f64) -> Dropout {
        let place = self.place.get();
        self.place.set(place + 1);
        let threshold = (probability * f64::from(u32::MAX)) as u32;
        let scale = (1.0 / (1.0 - probability)) as f32;
        Dropout { key: mix(self.key ^ place.wrapping_mul(0x85eb_ca6b)), threshold, scale }
    }
}

/// A hash of 32 bits with little bias (Wellons, "Prospecting for Hash Functions", 2018).
#[inline(always)]
#[expect(clippy::inline_always, reason = "only inlined code is compiled for wide vectors")]
fn mix(x: u32) -> u32 {
    let x = (x ^ (x >> 16)).wrapping_mul(0x7feb_352d);
    let x = (x ^ (x >> 15)).wrapping_mul(0x846c_a68b);
    x ^ (x >> 16)
}

/// x with a share of its elements dropped.
pub(crate) fn dropout(x: &Tensor, mask: Dropout) -> Result<Tensor> {
    if mask.is_off() { Ok(x.clone()) } else { x.contiguous()?.apply_op1(DropoutOp(mask)) }
}

wide! {
    /// y = mask∘x
    pub(super) fn masked(y: &mut [f32], x: &[f32], mask: Dropout) {
        for ((y, x), position) in y.iter_mut().zip(x).zip(0..) {
            *y = x * mask.factor(position);
        }
    }
}

struct DropoutOp(Dropout);

impl DropoutOp {
    fn apply(&self, x: &[f32]) -> Vec<f32> {
        let mut y = vec![0.0; x.len()];
        let chunk = parallel_chunks();
        y.par_chunks_mut(chunk).zip(x.par_chunks(chunk)).enumerate().for_each(|(part, (y, x))| {
            masked(y, x, self.0.part(part));
        });
        y
    }
}

impl CustomOp1 for DropoutOp {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok((CpuStorage::F32(self.apply(floats(storage, layout)?)), layout.shape().clone()))
    }

    fn bwd(&self, _x: &Tensor, _y: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        let (storage, layout) = grad.storage_and_layout();
        Tensor::from_vec(self.apply(host(&storage, layout)?), grad.shape(), grad.device()).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    #[test]
    fn drops_the_share_asked_for_and_keeps_the_mean() {
        let x = Tensor::ones((300, 400), candle_core::DType::F32, &Device::Cpu).unwrap();
        for p in [0.1, 0.5] {
            let y = dropout(&x, DropoutSource::new(7, 3).next(p)).unwrap().flatten_all().unwrap();
            let y = y.to_vec1::<f32>().unwrap();
            let dropped = y.iter().filter(|y| **y == 0.0).count() as f64 / y.len() as f64;
            assert!((dropped - p).abs() < 0.005, "{dropped} of {p}");
            let neighbours = y.windows(2).filter(|pair| pair == &[0.0, 0.0]).count() as f64 / y.len() as f64;
            assert!((neighbours - p * p).abs() < 0.005, "neighbours are dropped independently");
        }
    }

    #[test]
    fn gradients_pass_where_values_passed() {
        let x = Var::ones((8, 8), candle_core::DType::F32, &Device::Cpu).unwrap();
        let y = dropout(x.as_tensor(), DropoutSource::new(1, 1).next(0.3)).unwrap();
        let grads = y.sum_all().unwrap().backward().unwrap();
        let grad = grads.get(x.as_tensor()).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(grad, y.to_vec2::<f32>().unwrap());
    }

    #[test]
    fn steps_and_places_have_masks_of_their_own() {
        let mask = |source: &DropoutSource| {
            let mask = source.next(0.5);
            (0..64).map(|i| mask.factor(i) > 0.0).collect::<Vec<_>>()
        };
        let first = DropoutSource::new(1, 0);
        let (a, b) = (mask(&first), mask(&first));
        assert_ne!(a, b);
        assert_ne!(a, mask(&DropoutSource::new(1, 1)));
        assert_eq!(a, mask(&DropoutSource::new(1, 0)));
    }
}
