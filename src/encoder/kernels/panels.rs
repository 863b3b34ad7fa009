//! Products with a matrix that is laid out in panels: y = act(xW + b).
//!
//! A panel is 16 columns of W, row after row, so that the inner loop reads it front to back. For a few rows of x at a time
//! the sums of a panel stay in registers: Goto, van de Geijn, "Anatomy of High-Performance Matrix Multiplication" (2008),
//! without the packing of x, whose rows are read in order anyway.

#![expect(clippy::inline_always, reason = "only inlined code is compiled for wide vectors")]

use multiversion::target::target_cfg_f;

use super::super::HiddenAct;
use super::math::activate;
use super::wide;

/// Columns of a panel.
pub(crate) const PANEL: usize = 16;

/// One row of a panel.
pub(crate) type PanelRow = [f32; PANEL];

/// Something that begins where a line of the cache does, so that no vector is loaded from two.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(align(64))]
pub(crate) struct Aligned<T>(pub(crate) T);

/// Rows of `inner` floats that begin every `stride` floats.
#[derive(Debug, Clone, Copy)]
struct Rows<'a> {
    values: &'a [f32],
    count: usize,
    stride: usize,
}

impl<'a> Rows<'a> {
    /// Rows without gaps.
    fn of(values: &'a [f32], width: usize) -> Self {
        Self { values, count: values.len() / width, stride: width }
    }

    #[inline(always)]
    fn from(self, row: usize) -> &'a [f32] {
        &self.values[row * self.stride..]
    }
}

/// A matrix of `inner` rows in panels; columns beyond the last are zeros.
#[derive(Debug, Clone, Default)]
pub(crate) struct Panels {
    rows: Vec<Aligned<PanelRow>>,
    inner: usize,
    columns: usize,
}

impl Panels {
    /// Wᵀ, for W of shape (columns, inner) whose rows begin every `stride` floats.
    pub(crate) fn transpose(&mut self, w: &[f32], (columns, inner): (usize, usize), stride: usize) {
        self.clear(inner, columns);
        for (column, row) in w.chunks(stride).take(columns).enumerate() {
            let panel = &mut self.rows[column / PANEL * inner..][..inner];
            for (slot, value) in panel.iter_mut().zip(row) {
                slot.0[column % PANEL] = *value;
            }
        }
    }

    /// W, of shape (inner, columns), whose rows begin every `stride` floats.
    pub(crate) fn copy(&mut self, w: &[f32], (inner, columns): (usize, usize), stride: usize) {
        self.clear(inner, columns);
        for (k, row) in w.chunks(stride).take(inner).enumerate() {
            for (panel, values) in row[..columns].chunks(PANEL).enumerate() {
                self.rows[panel * inner + k].0[..values.len()].copy_from_slice(values);
            }
        }
    }

    fn clear(&mut self, inner: usize, columns: usize) {
        (self.inner, self.columns) = (inner, columns);
        self.rows.clear();
        self.rows.resize(inner * columns.div_ceil(PANEL), Aligned([0.0; PANEL]));
    }

    /// Each panel with its first column.
    #[inline(always)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &[Aligned<PanelRow>])> {
        self.rows.chunks_exact(self.inner.max(1)).enumerate().map(|(panel, rows)| (panel * PANEL, rows))
    }

    /// Floats that hold a row of the product, whole panels.
    pub(crate) fn padded_columns(&self) -> usize {
        self.columns.next_multiple_of(PANEL)
    }
}

/// A linear layer whose weights are used again and again.
#[derive(Debug, Clone)]
pub(crate) struct PackedLinear {
    weights: Panels,
    bias: Vec<PanelRow>,
}

impl PackedLinear {
    /// Takes W of shape (columns, inner) and b.
    pub(crate) fn new(w: &[f32], bias: &[f32]) -> Self {
        let inner = w.len() / bias.len();
        let mut weights = Panels::default();
        weights.transpose(w, (bias.len(), inner), inner);
        Self { weights, bias: padded(bias) }
    }

    /// Floats of a row of the result.
    pub(crate) fn columns(&self) -> usize {
        self.weights.columns
    }

    /// y = act(xWᵀ + b), rows without gaps.
    pub(crate) fn forward(&self, x: &[f32], activation: Option<HiddenAct>, y: &mut [f32]) {
        multiply(Rows::of(x, self.weights.inner), &self.weights, &self.bias, activation, y);
    }
}

/// Cuts a row into panels; what lies beyond it is zeros.
pub(super) fn padded(row: &[f32]) -> Vec<PanelRow> {
    let pad = |values: &[f32]| std::array::from_fn(|i| values.get(i).copied().unwrap_or(0.0));
    row.chunks(PANEL).map(pad).collect()
}

wide! {
    fn multiply(x: Rows, w: &Panels, bias: &[PanelRow], activation: Option<HiddenAct>, y: &mut [f32]) {
        const FMA: bool = has_fma(target_cfg_f!(target_feature = "fma"));
        // Twelve vectors of sums hide the latency of two multipliers; of the widest vectors a row of a panel is one.
        const WIDEST: bool = target_cfg_f!(target_feature = "avx512f");
        for ((column, panel), bias) in w.iter().zip(bias) {
            let to = Columns { first: column, width: PANEL.min(w.columns - column), stride: w.columns, activation };
            let mut row = 0;
            while row < x.count {
                row += match x.count - row {
                    12.. if WIDEST => to.write::<12, FMA>(x, row, panel, bias, y),
                    6.. => to.write::<6, FMA>(x, row, panel, bias, y),
                    4.. => to.write::<4, FMA>(x, row, panel, bias, y),
                    2.. => to.write::<2, FMA>(x, row, panel, bias, y),
                    _ => to.write::<1, FMA>(x, row, panel, bias, y),
                };
            }
        }
    }
}

/// Whether products and sums are one instruction; without it, `mul_add` is a slow call.
pub(crate) const fn has_fma(x86: bool) -> bool {
    x86 || cfg!(target_arch = "aarch64")
}

/// The columns of the result that a panel gives.
#[derive(Clone, Copy)]
struct Columns {
    first: usize,
    width: usize,
    stride: usize,
    activation: Option<HiddenAct>,
}

impl Columns {
    #[inline(always)]
    fn write<const ROWS: usize, const FMA: bool>(
        self,
        x: Rows,
        row: usize,
        panel: &[Aligned<PanelRow>],
        bias: &PanelRow,
        y: &mut [f32],
    ) -> usize {
        let sums = tile::<ROWS, FMA>(x.from(row), x.stride, panel, *bias);
        for (i, sums) in sums.iter().enumerate() {
            write(sums, self.activation, &mut y[(row + i) * self.stride + self.first..][..self.width]);
        }
        ROWS
    }
}

/// y = act(sums), as far as y goes.
#[inline(always)]
pub(super) fn write(sums: &PanelRow, activation: Option<HiddenAct>, y: &mut [f32]) {
    // All panels but the last are whole; a length that is known is worth a path of its own.
    match (<&mut PanelRow>::try_from(&mut *y), activation) {
        (Ok(y), None) => *y = *sums,
        (Ok(y), Some(activation)) => activate(activation, sums, y),
        (Err(_), None) => y.copy_from_slice(&sums[..y.len()]),
        (Err(_), Some(activation)) => activate(activation, &sums[..y.len()], y),
    }
}

/// The product of the first rows of x and a panel, added to `start`.
#[inline(always)]
pub(crate) fn tile<const ROWS: usize, const FMA: bool>(
    x: &[f32],
    stride: usize,
    panel: &[Aligned<PanelRow>],
    start: PanelRow,
) -> [PanelRow; ROWS] {
    let rows: [&[f32]; ROWS] = std::array::from_fn(|row| &x[row * stride..][..panel.len()]);
    let mut sums = [start; ROWS];
    for (k, w) in panel.iter().enumerate() {
        for (row, sums) in rows.iter().zip(&mut sums) {
            let x = row[k];
            for (sum, w) in sums.iter_mut().zip(&w.0) {
                *sum = if FMA { x.mul_add(*w, *sum) } else { x * w + *sum };
            }
        }
    }
    sums
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn numbers(count: usize, seed: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * 7919 + seed * 104_729) % 1_000) as f32 / 500.0 - 1.0).collect()
    }

    /// xWᵀ + b in double precision.
    pub(in super::super) fn expected(x: &[f32], w: &[f32], bias: &[f32]) -> Vec<f32> {
        let inner = w.len() / bias.len();
        let mut y = Vec::new();
        for x in x.chunks(inner) {
            for (w, bias) in w.chunks(inner).zip(bias) {
                let product: f64 = x.iter().zip(w).map(|(x, w)| f64::from(*x) * f64::from(*w)).sum();
                y.push((product + f64::from(*bias)) as f32);
            }
        }
        y
    }

    #[test]
    fn products_are_those_of_plain_sums_whatever_the_shape() {
        for (rows, inner, columns) in [(1, 1, 1), (5, 26, 16), (13, 40, 17), (31, 312, 50), (64, 7, 15)] {
            let (x, w, bias) = (numbers(rows * inner, 1), numbers(columns * inner, 2), numbers(columns, 3));
            let mut y = vec![f32::NAN; rows * columns];
            PackedLinear::new(&w, &bias).forward(&x, None, &mut y);
            for (y, expected) in y.iter().zip(expected(&x, &w, &bias)) {
                assert!((y - expected).abs() < 1e-4, "{rows}x{inner}x{columns}: {y} is not {expected}");
            }
        }
    }

    #[test]
    fn an_activation_follows_where_there_is_one() {
        let (x, w, bias) = (numbers(40, 1), numbers(80, 2), numbers(10, 3));
        let mut y = vec![0.0; 50];
        PackedLinear::new(&w, &bias).forward(&x, Some(HiddenAct::Relu), &mut y);
        for (y, expected) in y.iter().zip(expected(&x, &w, &bias)) {
            assert!((y - expected.max(0.0)).abs() < 1e-5);
        }
    }

    #[test]
    fn a_copy_and_a_transpose_of_the_transposed_are_the_same() {
        let w = numbers(3 * 20, 1);
        let transposed: Vec<f32> = (0..60).map(|i| w[i % 3 * 20 + i / 3]).collect();
        let (mut copy, mut transpose) = (Panels::default(), Panels::default());
        copy.copy(&w, (3, 20), 20);
        transpose.transpose(&transposed, (20, 3), 3);
        assert_eq!(copy.rows, transpose.rows);
        assert_eq!(copy.padded_columns(), 32);
    }
}
