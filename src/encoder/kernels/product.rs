//! Products of matrices wherever they lie.
//!
//! Straight to the `gemm` crate that candle's own products end in: a product may so read transposed or strided parts
//! and write into columns of a wider matrix without copies, and whoever has shared out the work already can have it done
//! on one thread.

use gemm::Parallelism;

use super::Threads;

/// A view of a matrix: element (r, c) is `values[r * row_stride + c * column_stride]`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// Rows of `columns` floats that begin every `stride` floats.
    ///
    /// # Panics
    /// If the last row does not fit.
    pub(crate) fn new(values: &'a [f32], (rows, columns): (usize, usize), stride: usize) -> Self {
        check(values.len(), (rows, columns), stride);
        Self { values, rows, columns, row_stride: stride, column_stride: 1 }
    }

    /// The same floats with rows for columns.
    pub(crate) fn transposed(self) -> Self {
        let Self { values, rows, columns, row_stride, column_stride } = self;
        Self { values, rows: columns, columns: rows, row_stride: column_stride, column_stride: row_stride }
    }
}

/// Writes left · right over rows that begin every `stride` floats of `out`.
///
/// # Panics
/// If the shapes do not fit.
#[expect(unsafe_code, reason = "the crate takes pointers")]
pub(crate) fn multiply(left: Matrix, right: Matrix, (out, stride): (&mut [f32], usize), threads: Threads) {
    let (rows, columns) = (left.rows, right.columns);
    assert_eq!(left.columns, right.rows, "the inner lengths of a product are the same");
    check(out.len(), (rows, columns), stride);
    let parallelism = match threads {
        Threads::One => Parallelism::None,
        Threads::All => Parallelism::Rayon(threads.count()),
    };
    // SAFETY: `Matrix::new` and the check above hold every element that strides can reach within its slice, and `out` is
    // borrowed for writing, so it overlaps neither of the others. Strides are below isize::MAX, as lengths of slices are.
    unsafe {
        gemm::gemm(
            rows,
            columns,
            left.columns,
            out.as_mut_ptr(),
            1,
            stride.cast_signed(),
            false,
            left.values.as_ptr(),
            left.column_stride.cast_signed(),
            left.row_stride.cast_signed(),
            right.values.as_ptr(),
            right.column_stride.cast_signed(),
            right.row_stride.cast_signed(),
            0.0,
            1.0,
            false,
            false,
            false,
            parallelism,
        );
    }
}

fn check(length: usize, (rows, columns): (usize, usize), stride: usize) {
    let end = rows.checked_sub(1).map_or(0, |last| last * stride + columns);
    assert!(columns <= stride && end <= length, "{rows} rows of {columns} floats do not fit");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multiplies_parts_of_wider_rows_into_parts_of_wider_rows() {
        // [1 2; 3 4] and [5 6; 7 8], each followed by what must not be read
        let (left, right) = ([1.0, 2.0, f32::NAN, 3.0, 4.0], [5.0, 6.0, f32::NAN, 7.0, 8.0]);
        let (left, right) = (Matrix::new(&left, (2, 2), 3), Matrix::new(&right, (2, 2), 3));
        let product = |left, right| {
            let mut out = [9.0; 7];
            multiply(left, right, (&mut out[1..], 4), Threads::One);
            out.to_vec()
        };
        assert_eq!(product(left, right), [9.0, 19.0, 22.0, 9.0, 9.0, 43.0, 50.0]);
        assert_eq!(product(left.transposed(), right), [9.0, 26.0, 30.0, 9.0, 9.0, 38.0, 44.0]);
        assert_eq!(product(left, right.transposed()), [9.0, 17.0, 23.0, 9.0, 9.0, 39.0, 53.0]);
    }

    #[test]
    #[should_panic(expected = "3 rows of 2 floats do not fit")]
    fn a_view_must_fit() {
        let _ = Matrix::new(&[0.0; 7], (3, 2), 3);
    }

    #[test]
    #[should_panic(expected = "do not fit")]
    fn a_product_must_fit() {
        let values = [0.0; 4];
        let square = Matrix::new(&values, (2, 2), 2);
        multiply(square, square, (&mut [0.0; 3], 2), Threads::One);
    }
}
