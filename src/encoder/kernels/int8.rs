//! Linear layers in 8-bit integers.
//!
//! Weights are rounded to −63…63 by a scale for each output ("per channel, symmetric"), rows of x to 1…127 around 64 by
//! a scale for each row, found when the row comes ("dynamic"): Jacob et al., "Quantization and Training of Neural Networks
//! for Efficient Integer-Arithmetic-Only Inference" (2018). With x = s·(q − 64) and w = t·r:
//! x·w = s·t·(Σ q·r − 64·Σ r).
//!
//! Seven bits a side and not eight, since the widest multiplication of AVX2, `vpmaddubsw`, adds pairs of products in 16
//! bits: 2·127·63 twice still fits, so that two of them are added up before they are widened, and nothing ever saturates.
//! Sums of integers are exact; every processor gives the same sums, whichever instructions it has.

use super::super::HiddenAct;
use super::panels::{Aligned, PANEL, PanelRow, padded, write};
use super::rounded::{self, RoundedMatrix};
use super::wide;

/// Largest absolute value of a rounded number, less what stands for 0.
const LARGEST: f32 = rounded::LARGEST as f32;
/// What stands for 0 in a row of x.
const ZERO_POINT: i32 = 64;
/// Inputs that are multiplied in one step.
const OCTET: usize = 8;
/// Most rows of x, and most panels, that are multiplied at once.
const ROWS: usize = 6;
const PANELS: usize = 2;

/// Eight rows of a panel: for each half of the eight, and each column, four neighbours.
type PanelOctet = Aligned<[i8; OCTET * PANEL]>;
/// Sums of some rows with some panels.
type Sums = [[[i32; PANEL]; PANELS]; ROWS];

/// Rows of x, rounded.
#[derive(Debug, Clone, Default)]
pub(crate) struct QuantizedRows {
    /// Each row filled up to whole octets.
    values: Vec<[u8; OCTET]>,
    scales: Vec<f32>,
}

impl QuantizedRows {
    /// Rounds rows of `width` floats.
    pub(crate) fn quantize(&mut self, x: &[f32], width: usize) {
        let octets = width.div_ceil(OCTET);
        let rows = x.len() / width;
        self.values.resize(rows * octets, [0; OCTET]);
        self.scales.resize(rows, 0.0);
        quantize_rows(x, width, self.values.as_flattened_mut(), &mut self.scales);
    }
}

wide! {
    fn quantize_rows(x: &[f32], width: usize, values: &mut [u8], scales: &mut [f32]) {
        /// Adding it to a small number leaves the nearest integer in the low bits.
        const ROUND: f32 = 8_388_608.0;
        let rows = x.chunks_exact(width).zip(values.chunks_exact_mut(width.next_multiple_of(OCTET)));
        for ((x, values), scale) in rows.zip(scales) {
            let mut largest = [f32::MIN_POSITIVE; PANEL];
            let (chunks, rest) = x.as_chunks::<PANEL>();
            for chunk in chunks {
                for (largest, x) in largest.iter_mut().zip(chunk) {
                    let x = x.abs();
                    *largest = if x > *largest { x } else { *largest };
                }
            }
            let largest = rest.iter().map(|x| x.abs()).chain(largest).fold(0.0_f32, f32::max);
            *scale = largest / LARGEST;
            let inverse = LARGEST / largest;
            for (value, x) in values.iter_mut().zip(x) {
                *value = (x * inverse + (ROUND + ZERO_POINT as f32)).to_bits() as u8 & 0x7f;
            }
        }
    }
}

/// A linear layer with rounded weights.
#[derive(Debug, Clone)]
pub(crate) struct QuantizedLinear {
    /// One panel after the other.
    weights: Vec<PanelOctet>,
    /// Octets of a panel.
    octets: usize,
    columns: usize,
    /// t of each output.
    scales: Vec<PanelRow>,
    /// 64·Σ r of each output.
    offsets: Vec<[i32; PANEL]>,
    bias: Vec<PanelRow>,
}

impl QuantizedLinear {
    /// Lays out W of shape (columns, inner).
    pub(crate) fn new(w: &RoundedMatrix, bias: &[f32]) -> Self {
        let (columns, inner) = (bias.len(), w.values().len() / bias.len());
        let (octets, panels) = (inner.div_ceil(OCTET), columns.div_ceil(PANEL));
        let mut weights = vec![Aligned([0; OCTET * PANEL]); panels * octets];
        let mut offsets = vec![[0; PANEL]; panels];
        for (column, row) in w.values().chunks_exact(inner).enumerate() {
            let (panel, lane) = (column / PANEL, column % PANEL);
            for (k, &w) in row.iter().enumerate() {
                let (octet, half, place) = (k / OCTET, k % OCTET / 4, k % 4);
                weights[panel * octets + octet].0[half * 4 * PANEL + lane * 4 + place] = w;
                offsets[panel][lane] += ZERO_POINT * i32::from(w);
            }
        }
        Self { weights, octets, columns, scales: padded(w.scales()), offsets, bias: padded(bias) }
    }

    /// Floats of a row of the result.
    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    /// y = act(xWᵀ + b), rows without gaps.
    pub(crate) fn forward(&self, x: &QuantizedRows, activation: Option<HiddenAct>, y: &mut [f32]) {
        multiply(x, self, activation, (y, Instructions::best()));
    }
}

wide! {
    fn multiply(x: &QuantizedRows, w: &QuantizedLinear, activation: Option<HiddenAct>, y: (&mut [f32], Instructions)) {
        let (y, instructions) = y;
        let (rows, panels) = instructions.tile();
        let mut sums = Sums::default();
        for (group, weights) in w.weights.chunks(panels * w.octets).enumerate() {
            let first = group * panels;
            let blocks = x.values.chunks(rows * w.octets).zip(x.scales.chunks(rows));
            for ((x, row_scales), y) in blocks.zip(y.chunks_mut(rows * w.columns)) {
                instructions.multiply((x, row_scales.len()), (weights, w.octets), &mut sums);
                for ((sums, row_scale), y) in sums.iter().zip(row_scales).zip(y.chunks_exact_mut(w.columns)) {
                    let y = y[first * PANEL..].chunks_mut(PANEL).take(panels);
                    for ((y, sums), panel) in y.zip(sums).zip(first..) {
                        let (offsets, scales, bias) = (&w.offsets[panel], &w.scales[panel], &w.bias[panel]);
                        let mut row = [0.0; PANEL];
                        for lane in 0..PANEL {
                            row[lane] = (sums[lane] - offsets[lane]) as f32 * (row_scale * scales[lane]) + bias[lane];
                        }
                        write::<FMA>(&row, activation, y);
                    }
                }
            }
        }
    }
}

/// The instructions that multiply rows of x with panels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Instructions {
    Plain,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
}

impl Instructions {
    /// The best that this processor has.
    fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if std::is_x86_feature_detected!("avx512vnni") && std::is_x86_feature_detected!("avx512f") {
                return Self::Avx512Vnni;
            }
            if std::is_x86_feature_detected!("avx2") {
                return Self::Avx2;
            }
        }
        Self::Plain
    }

    /// Rows of x and panels that keep all registers busy.
    fn tile(self) -> (usize, usize) {
        match self {
            Self::Plain => (4, 1),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => (4, 1),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => (ROWS, PANELS),
        }
    }

    /// Multiplies some rows of x, at most those of the tile, with one panel or two of so many octets.
    #[cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "the processor has been asked"))]
    fn multiply(self, x: (&[[u8; OCTET]], usize), panels: (&[PanelOctet], usize), sums: &mut Sums) {
        match self {
            Self::Plain => plain(x.0, panels, sums),
            // SAFETY: `best` names instructions only where the processor has them.
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => unsafe { x86::avx2(x, panels.0, sums) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => unsafe { x86::avx512_vnni(x, panels, sums) },
        }
    }
}

fn plain(x: &[[u8; OCTET]], (panels, octets): (&[PanelOctet], usize), sums: &mut Sums) {
    for (x, sums) in x.chunks_exact(octets).zip(sums) {
        for (panel, sums) in panels.chunks_exact(octets).zip(sums) {
            *sums = [0; PANEL];
            for (x, w) in x.iter().zip(panel) {
                for (x, w) in x.as_chunks::<4>().0.iter().zip(w.0.as_chunks::<{ 4 * PANEL }>().0) {
                    for (sum, w) in sums.iter_mut().zip(w.as_chunks::<4>().0) {
                        *sum += x.iter().zip(w).map(|(x, w)| i32::from(*x) * i32::from(*w)).sum::<i32>();
                    }
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    #![expect(clippy::cast_ptr_alignment, reason = "loads and stores of vectors that need no alignment")]

    use std::arch::x86_64::{
        __m256i, __m512i, _mm256_add_epi16, _mm256_add_epi32, _mm256_loadu_si256, _mm256_madd_epi16,
        _mm256_maddubs_epi16, _mm256_set1_epi16, _mm256_set1_epi32, _mm256_setzero_si256,
        _mm256_storeu_si256, _mm512_dpbusd_epi32, _mm512_loadu_si512, _mm512_set1_epi32,
        _mm512_setzero_si512, _mm512_storeu_si512,
    };

    use super::{OCTET, PANEL, PanelOctet, Sums};

    /// The first or the last four of an octet, read from where they lie: vectors of them are then filled by the load.
    #[inline]
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "a copy would be read whole")]
    fn quad(octet: &[u8; OCTET], half: usize) -> i32 {
        i32::from_le_bytes(octet.as_chunks::<4>().0[half])
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn avx2((x, rows): (&[[u8; OCTET]], usize), panel: &[PanelOctet], sums: &mut Sums) {
        match rows {
            4 => avx2_rows::<4>(x, panel, sums),
            3 => avx2_rows::<3>(x, panel, sums),
            2 => avx2_rows::<2>(x, panel, sums),
            _ => avx2_rows::<1>(x, panel, sums),
        }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    #[expect(unsafe_code, reason = "vectors are loaded and stored by address")]
    fn avx2_rows<const ROWS: usize>(x: &[[u8; OCTET]], panel: &[PanelOctet], sums: &mut Sums) {
        let mut rows: [&[[u8; OCTET]]; ROWS] = [&[]; ROWS];
        for (index, row) in rows.iter_mut().enumerate() {
            *row = &x[index * panel.len()..][..panel.len()];
        }
        let ones = _mm256_set1_epi16(1);
        let mut totals = [[_mm256_setzero_si256(); 2]; ROWS];
        for (k, w) in panel.iter().enumerate() {
            let mut parts = [_mm256_setzero_si256(); 4];
            for (part, w) in parts.iter_mut().zip(w.0.as_chunks::<32>().0) {
                // SAFETY: 32 bytes are read from an array of 32 bytes.
                *part = unsafe { _mm256_loadu_si256(w.as_ptr().cast::<__m256i>()) };
            }
            for (row, totals) in rows.iter().zip(&mut totals) {
                let [first, last] = [0, 1].map(|half| _mm256_set1_epi32(quad(&row[k], half)));
                for (lanes, total) in totals.iter_mut().enumerate() {
                    let first = _mm256_maddubs_epi16(first, parts[lanes]);
                    let last = _mm256_maddubs_epi16(last, parts[2 + lanes]);
                    let sum = _mm256_madd_epi16(_mm256_add_epi16(first, last), ones);
                    *total = _mm256_add_epi32(*total, sum);
                }
            }
        }
        for (totals, sums) in totals.iter().zip(sums) {
            for (total, sums) in totals.iter().zip(sums[0].as_chunks_mut::<8>().0) {
                // SAFETY: 32 bytes are written to an array of 32 bytes.
                unsafe { _mm256_storeu_si256(sums.as_mut_ptr().cast(), *total) };
            }
        }
    }

    #[target_feature(enable = "avx512f,avx512vnni")]
    pub(super) fn avx512_vnni(
        (x, rows): (&[[u8; OCTET]], usize),
        (panels, octets): (&[PanelOctet], usize),
        sums: &mut Sums,
    ) {
        let (left, right) = panels.split_at(octets);
        match (rows, right.len() == octets) {
            (6, true) => avx512_rows::<6, 2>(x, [left, right], sums),
            (5, true) => avx512_rows::<5, 2>(x, [left, right], sums),
            (4, true) => avx512_rows::<4, 2>(x, [left, right], sums),
            (3, true) => avx512_rows::<3, 2>(x, [left, right], sums),
            (2, true) => avx512_rows::<2, 2>(x, [left, right], sums),
            (_, true) => avx512_rows::<1, 2>(x, [left, right], sums),
            (6, false) => avx512_rows::<6, 1>(x, [left], sums),
            (5, false) => avx512_rows::<5, 1>(x, [left], sums),
            (4, false) => avx512_rows::<4, 1>(x, [left], sums),
            (3, false) => avx512_rows::<3, 1>(x, [left], sums),
            (2, false) => avx512_rows::<2, 1>(x, [left], sums),
            (_, false) => avx512_rows::<1, 1>(x, [left], sums),
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512vnni")]
    #[expect(unsafe_code, reason = "vectors are loaded and stored by address")]
    fn avx512_rows<const ROWS: usize, const PANELS: usize>(
        x: &[[u8; OCTET]],
        panels: [&[PanelOctet]; PANELS],
        sums: &mut Sums,
    ) {
        let octets = panels[0].len();
        let mut rows: [&[[u8; OCTET]]; ROWS] = [&[]; ROWS];
        for (index, row) in rows.iter_mut().enumerate() {
            *row = &x[index * octets..][..octets];
        }
        let mut totals = [[_mm512_setzero_si512(); PANELS]; ROWS];
        for k in 0..octets {
            for half in 0..2 {
                let mut w = [_mm512_setzero_si512(); PANELS];
                for (w, panel) in w.iter_mut().zip(panels) {
                    let half = &panel[k].0.as_chunks::<{ 4 * PANEL }>().0[half];
                    // SAFETY: 64 bytes are read from an array of 64 bytes.
                    *w = unsafe { _mm512_loadu_si512(half.as_ptr().cast::<__m512i>()) };
                }
                for (row, totals) in rows.iter().zip(&mut totals) {
                    let x = _mm512_set1_epi32(quad(&row[k], half));
                    for (total, w) in totals.iter_mut().zip(w) {
                        *total = _mm512_dpbusd_epi32(*total, x, w);
                    }
                }
            }
        }
        for (totals, sums) in totals.iter().zip(sums) {
            for (total, sums) in totals.iter().zip(sums) {
                // SAFETY: 64 bytes are written to an array of 64 bytes.
                unsafe { _mm512_storeu_si512(sums.as_mut_ptr().cast(), *total) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::panels::tests::{expected, numbers};
    use super::*;

    #[test]
    fn products_are_off_by_what_rounding_costs() {
        for (rows, inner, columns) in [(1, 8, 16), (7, 26, 17), (12, 312, 40)] {
            let (x, w, bias) = (numbers(rows * inner, 1), numbers(columns * inner, 2), numbers(columns, 3));
            let mut y = vec![f32::NAN; rows * columns];
            let mut rounded = QuantizedRows::default();
            rounded.quantize(&x, inner);
            QuantizedLinear::new(&RoundedMatrix::round(&w, columns), &bias).forward(&rounded, None, &mut y);
            let exact = expected(&x, &w, &bias);
            // Each factor is off by up to 1/126; errors of many products mostly cancel.
            let tolerance = 0.016 * (inner as f32).sqrt() + 0.01;
            for (y, exact) in y.iter().zip(exact) {
                assert!((y - exact).abs() < tolerance, "{rows}x{inner}x{columns}: {y} is not {exact}");
            }
        }
    }

    #[test]
    fn all_instructions_give_the_same_sums_at_the_extremes_too() {
        let octets = 40;
        for seed in 0..4 {
            let x: Vec<[u8; OCTET]> = (0..ROWS * octets)
                .map(|i| {
                    std::array::from_fn(
                        |j| if seed == 0 { 127 } else { ((i * 31 + j * 17 + seed) % 128) as u8 },
                    )
                })
                .collect();
            let weights: Vec<PanelOctet> = (0..PANELS * octets)
                .map(|i| {
                    Aligned(std::array::from_fn(|j| {
                        if seed == 0 { -63 } else { ((i * 29 + j * 13 + seed) % 127) as i8 - 63 }
                    }))
                })
                .collect();
            let mut all = vec![Instructions::best()];
            #[cfg(target_arch = "x86_64")]
            all.extend(std::is_x86_feature_detected!("avx2").then_some(Instructions::Avx2));
            for instructions in all {
                let (most_rows, most_panels) = instructions.tile();
                for (rows, panels) in
                    (1..=most_rows).flat_map(|rows| (1..=most_panels).map(move |p| (rows, p)))
                {
                    let (x, w) = (&x[..rows * octets], (&weights[..panels * octets], octets));
                    let (mut expected, mut sums) = (Sums::default(), Sums::default());
                    plain(x, w, &mut expected);
                    instructions.multiply((x, rows), w, &mut sums);
                    assert_eq!(sums, expected, "{instructions:?}");
                }
            }
        }
    }

    #[test]
    fn a_row_of_zeros_stays_zero() {
        let mut rounded = QuantizedRows::default();
        rounded.quantize(&[0.0; 12], 12);
        let mut y = vec![f32::NAN; 2];
        QuantizedLinear::new(&RoundedMatrix::round(&numbers(24, 1), 2), &[0.5, -0.5])
            .forward(&rounded, None, &mut y);
        assert_eq!(y, [0.5, -0.5]);
    }

    #[test]
    fn a_weight_that_is_no_number_shows() {
        let mut rounded = QuantizedRows::default();
        rounded.quantize(&[1.0, 1.0], 2);
        let mut y = vec![0.0; 2];
        let w = RoundedMatrix::round(&[1.0, f32::NAN, 1.0, 1.0], 2);
        QuantizedLinear::new(&w, &[0.0, 0.0]).forward(&rounded, None, &mut y);
        assert!(y[0].is_nan() && (y[1] - 2.0).abs() < 0.05);
    }
}
