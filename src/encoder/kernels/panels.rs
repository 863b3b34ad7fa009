//! Products with a matrix that is laid out in panels: y = act(xW + b).
//!
//! A panel is 16 columns of W, row after row, so that the inner loop reads it front to back. For a few rows of x at a time
//! the sums of one panel or two stay in registers: Goto, van de Geijn, "Anatomy of High-Performance Matrix Multiplication" (2008),
//! without the packing of x, whose rows are read in order anyway.

#![expect(clippy::inline_always, reason = "only inlined code is compiled for wide vectors")]

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

    /// Panels side by side, from the one with that number.
    #[inline(always)]
    fn neighbours<const PANELS: usize>(&self, first: usize) -> [&[Aligned<PanelRow>]; PANELS] {
        let mut panels: [&[_]; PANELS] = [&[]; PANELS];
        for (panel, index) in panels.iter_mut().zip(first..) {
            *panel = &self.rows[index * self.inner..][..self.inner];
        }
        panels
    }

    /// How many panels there are.
    #[inline(always)]
    fn count(&self) -> usize {
        self.columns.div_ceil(PANEL)
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
        let product = Product { x, w, bias, activation };
        let mut panel = 0;
        while panel < w.count() {
            panel += match w.count() - panel {
                2.. if PAIRS => product.write_columns::<2, FMA>(panel, y),
                _ => product.write_columns::<1, FMA>(panel, y),
            };
        }
    }
}

/// Which product, and what follows it.
#[derive(Clone, Copy)]
struct Product<'a> {
    x: Rows<'a>,
    w: &'a Panels,
    bias: &'a [PanelRow],
    activation: Option<HiddenAct>,
}

impl Product<'_> {
    /// The columns of some panels, for all rows; says how many panels.
    #[inline(always)]
    fn write_columns<const PANELS: usize, const FMA: bool>(self, panel: usize, y: &mut [f32]) -> usize {
        let mut row = 0;
        while row < self.x.count {
            row += match self.x.count - row {
                6.. => self.write::<6, PANELS, FMA>(row, panel, y),
                4.. => self.write::<4, PANELS, FMA>(row, panel, y),
                2.. => self.write::<2, PANELS, FMA>(row, panel, y),
                _ => self.write::<1, PANELS, FMA>(row, panel, y),
            };
        }
        PANELS
    }

    #[inline(always)]
    fn write<const ROWS: usize, const PANELS: usize, const FMA: bool>(
        self,
        row: usize,
        panel: usize,
        y: &mut [f32],
    ) -> usize {
        let mut start = [[0.0; PANEL]; PANELS];
        start.copy_from_slice(&self.bias[panel..panel + PANELS]);
        let sums =
            tile::<ROWS, PANELS, FMA>(self.x.from(row), self.x.stride, self.w.neighbours(panel), start);
        let columns = self.w.columns;
        for (y, sums) in y[row * columns..].chunks_mut(columns).zip(&sums) {
            for (y, sums) in y[panel * PANEL..].chunks_mut(PANEL).zip(sums) {
                write::<FMA>(sums, self.activation, y);
            }
        }
        ROWS
    }
}

/// y = act(sums), as far as y goes.
#[inline(always)]
pub(super) fn write<const FMA: bool>(sums: &PanelRow, activation: Option<HiddenAct>, y: &mut [f32]) {
    // All panels but the last are whole; a length that is known is worth a path of its own.
    match (<&mut PanelRow>::try_from(&mut *y), activation) {
        (Ok(y), None) => *y = *sums,
        (Ok(y), Some(activation)) => activate::<FMA>(activation, sums, y),
        (Err(_), None) => y.copy_from_slice(&sums[..y.len()]),
        (Err(_), Some(activation)) => activate::<FMA>(activation, &sums[..y.len()], y),
    }
}

/// The product of the first rows of x, which begin every so many floats, and W: hands out row, first column and sums of a
/// panel.
#[inline(always)]
pub(crate) fn multiply_rows<const ROWS: usize, const PAIRS: bool, const FMA: bool>(
    (x, stride): (&[f32], usize),
    w: &Panels,
    mut take: impl FnMut(usize, usize, &PanelRow),
) {
    let mut panel = 0;
    while panel < w.count() {
        if PAIRS && panel + 1 < w.count() {
            let sums = tile::<ROWS, 2, FMA>(x, stride, w.neighbours(panel), [[0.0; PANEL]; 2]);
            for (row, [left, right]) in sums.iter().enumerate() {
                take(row, panel * PANEL, left);
                take(row, (panel + 1) * PANEL, right);
            }
            panel += 2;
        } else {
            let sums = tile::<ROWS, 1, FMA>(x, stride, w.neighbours(panel), [[0.0; PANEL]]);
            for (row, [sums]) in sums.iter().enumerate() {
                take(row, panel * PANEL, sums);
            }
            panel += 1;
        }
    }
}

/// The product of the first rows of x and panels side by side, added to `start`.
#[inline(always)]
fn tile<const ROWS: usize, const PANELS: usize, const FMA: bool>(
    x: &[f32],
    stride: usize,
    panels: [&[Aligned<PanelRow>]; PANELS],
    start: [PanelRow; PANELS],
) -> [[PanelRow; PANELS]; ROWS] {
    let inner = panels[0].len();
    let mut rows: [&[f32]; ROWS] = [&[]; ROWS];
    for (row, slice) in rows.iter_mut().enumerate() {
        *slice = &x[row * stride..][..inner];
    }
    let mut sums = [start; ROWS];
    // Written out, since compilers leave so long a loop as it is, and its sums in memory.
    macro_rules! add_rows {
        ($k:ident: $($row:literal)*) => {
            $(if $row < ROWS {
                for (panel, sums) in panels.iter().zip(&mut sums[$row]) {
                    add::<FMA>(sums, rows[$row][$k], &panel[$k].0);
                }
            })*
        };
    }
    for k in 0..inner {
        add_rows!(k: 0 1 2 3 4 5);
    }
    sums
}

/// sums += x·w
#[inline(always)]
fn add<const FMA: bool>(sums: &mut PanelRow, x: f32, w: &PanelRow) {
    for (sum, w) in sums.iter_mut().zip(w) {
        *sum = if FMA { x.mul_add(*w, *sum) } else { x * w + *sum };
    }
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
