//! A matrix of weights in 8-bit integers, as it is stored: row after row, with a scale for each row.
//!
//! A row is an output of a linear layer. Its weights are rounded to −63…63 by the largest of them ("per channel,
//! symmetric"); why not to ±127 is for the [products](super::int8) to say.

/// Largest absolute value of a rounded number.
pub(super) const LARGEST: i8 = 63;

/// W ≈ scale · values, for each row.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct RoundedMatrix {
    values: Vec<i8>,
    scales: Vec<f32>,
}

impl RoundedMatrix {
    /// Rounds a matrix of that many rows.
    pub(crate) fn round(w: &[f32], rows: usize) -> Self {
        let (mut values, mut scales) = (Vec::with_capacity(w.len()), Vec::with_capacity(rows));
        let steps = f32::from(LARGEST);
        for row in w.chunks_exact((w.len() / rows).max(1)) {
            let largest = row.iter().fold(f32::MIN_POSITIVE, |largest, w| largest.max(w.abs()));
            // A weight that is no number must not go unnoticed.
            scales.push(if row.iter().all(|w| w.is_finite()) { largest / steps } else { f32::NAN });
            values.extend(row.iter().map(|w| (w / largest * steps).round() as i8));
        }
        Self { values, scales }
    }

    /// Takes what has been rounded before; none if a value is too large. There is a scale for each row.
    pub(crate) fn new(values: Vec<i8>, scales: Vec<f32>) -> Option<Self> {
        let fits = values.iter().all(|value| (-LARGEST..=LARGEST).contains(value));
        fits.then_some(Self { values, scales })
    }

    /// All rows, one behind the other.
    pub(crate) fn values(&self) -> &[i8] {
        &self.values
    }

    /// One a row.
    pub(crate) fn scales(&self) -> &[f32] {
        &self.scales
    }

    /// Puts the rows of another matrix below, multiplied by a factor.
    pub(crate) fn append(&mut self, other: &Self, factor: f32) {
        self.values.extend_from_slice(&other.values);
        self.scales.extend(other.scales.iter().map(|scale| scale * factor));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_rounded_by_its_largest_weight() {
        let matrix = RoundedMatrix::round(&[1.0, -2.0, 0.5, 0.0, 0.0, 0.0], 2);
        assert_eq!(matrix.values(), [32, -63, 16, 0, 0, 0]);
        assert!((matrix.scales()[0] - 2.0 / 63.0).abs() < 1e-9);
        assert_eq!(RoundedMatrix::new(matrix.values().into(), matrix.scales().into()), Some(matrix));
    }

    #[test]
    fn a_value_that_products_have_no_room_for_is_refused() {
        assert!(RoundedMatrix::new(vec![63, -63], vec![1.0]).is_some());
        assert!(RoundedMatrix::new(vec![64, 0], vec![1.0]).is_none());
        assert!(RoundedMatrix::new(vec![0, -128], vec![1.0]).is_none());
    }
}
