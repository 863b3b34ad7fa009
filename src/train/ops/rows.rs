//! Rows of floats: where they lie, and how work on them is shared out.

use std::ops::Range;
use std::sync::Arc;

use candle_core::{CpuStorage, Layout, Result, Storage, bail};
use rayon::prelude::*;

use crate::encoder::kernels::math::add_rows;

/// Floats that one task works on: enough to pay for the hand-over, few enough to stay in cache.
const CHUNK: usize = 1 << 14;

/// Rows whose sum one task takes; part of the result, since floats do not add up in any order.
const SUM_ROWS: usize = 256;

/// The sequences of a packed batch: sequence `i` is rows `offsets[i]..offsets[i + 1]`.
#[derive(Debug, Clone)]
pub(crate) struct Sequences {
    offsets: Arc<[usize]>,
}

impl Sequences {
    /// Lays sequences of these lengths one after the other.
    pub(crate) fn new(lengths: impl IntoIterator<Item = usize>) -> Self {
        let ends = lengths.into_iter().scan(0, |end, length| {
            *end += length;
            Some(*end)
        });
        Self { offsets: std::iter::once(0).chain(ends).collect() }
    }

    /// The number of sequences.
    pub(crate) fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// The rows of each sequence.
    pub(crate) fn ranges(&self) -> impl ExactSizeIterator<Item = Range<usize>> {
        self.offsets.windows(2).map(|ends| ends[0]..ends[1])
    }

    /// Cuts a buffer of `width` floats a row into one slice a sequence.
    pub(super) fn split_mut<'a>(&self, mut rows: &'a mut [f32], width: usize) -> Vec<&'a mut [f32]> {
        self.ranges()
            .map(|range| {
                let (sequence, rest) = std::mem::take(&mut rows).split_at_mut(range.len() * width);
                rows = rest;
                sequence
            })
            .collect()
    }
}

/// The floats of a contiguous tensor on the host.
pub(crate) fn host<'a>(storage: &'a Storage, layout: &Layout) -> Result<&'a [f32]> {
    let Storage::Cpu(storage) = storage else { bail!("training runs on the CPU") };
    floats(storage, layout)
}

/// The floats of a contiguous storage.
pub(super) fn floats<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let CpuStorage::F32(values) = storage else { bail!("training computes in f32") };
    let Some((start, end)) = layout.contiguous_offsets() else {
        bail!("a fused operation needs contiguous input")
    };
    Ok(&values[start..end])
}

/// How many rows of `width` floats one task takes.
pub(super) fn rows_a_task(width: usize) -> usize {
    (CHUNK / width.max(1)).max(1)
}

/// Floats one task takes of a buffer without rows.
pub(crate) fn parallel_chunks() -> usize {
    CHUNK
}

/// Sums over rows: `add(rows, sum)` adds a range of rows to a zeroed buffer of `width` floats.
pub(super) fn sum_rows(rows: usize, width: usize, add: impl Fn(Range<usize>, &mut [f32]) + Sync) -> Vec<f32> {
    let parts: Vec<Vec<f32>> = (0..rows.div_ceil(SUM_ROWS))
        .into_par_iter()
        .map(|part| {
            let mut sum = vec![0.0; width];
            add(part * SUM_ROWS..((part + 1) * SUM_ROWS).min(rows), &mut sum);
            sum
        })
        .collect();
    let mut total = vec![0.0; width];
    for part in parts {
        add_rows(&mut total, &part);
    }
    total
}
