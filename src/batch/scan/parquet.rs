//! Reads rows of a Parquet file.

use std::fs::File;
use std::sync::Arc;

use datafusion::arrow::array::{StringArray, UInt64Array};
use datafusion::arrow::error::ArrowError;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::metadata::RowGroupMetaData;

use super::error::ScanError;
use super::part::Slice;
use super::table::TableRows;
use crate::batch::input::InputTable;

/// Rows that are read at once: even long texts take little room then.
const BATCH_ROWS: usize = 1024;

/// The row groups that a slice lies in, and how many rows stand before the first of them.
fn row_groups(groups: &[RowGroupMetaData], slice: &Slice) -> (Vec<usize>, u64) {
    let (mut start, mut skipped) = (0, 0);
    let mut own = Vec::new();
    for (group, metadata) in groups.iter().enumerate() {
        let end = start + metadata.num_rows().unsigned_abs();
        if end <= slice.first_row {
            skipped = end;
        } else if start < slice.first_row + slice.rows {
            own.push(group);
        }
        start = end;
    }
    (own, skipped)
}

/// Gives the rows of a slice, until nobody wants more; says whether somebody does.
pub(super) fn read(
    table: &InputTable,
    slice: &Slice,
    give: &mut dyn FnMut(&TableRows) -> Result<bool, ScanError>,
) -> Result<bool, ScanError> {
    let wrong = |source: ParquetError| ScanError::Parquet { file: table.file.clone(), source };
    let arrow = |error: ArrowError| wrong(ParquetError::ArrowError(error.to_string()));
    let file = File::open(&table.file).map_err(|error| wrong(error.into()))?;
    let batches = ParquetRecordBatchReaderBuilder::try_new(file)
        .and_then(|reader| {
            let (groups, skipped) = row_groups(reader.metadata().row_groups(), slice);
            reader
                .with_row_groups(groups)
                .with_batch_size(BATCH_ROWS)
                .with_offset((slice.first_row - skipped) as usize)
                .with_limit(slice.rows as usize)
                .build()
        })
        .map_err(wrong)?;
    let mut row = slice.first_row;
    for batch in batches {
        let batch = batch.map_err(arrow)?;
        let rows = batch.num_rows() as u64;
        let none = || StringArray::new_null(batch.num_rows());
        let more = give(&TableRows {
            columns: batch.columns().to_vec(),
            lines: Arc::new(UInt64Array::from_iter_values(row + 1..=row + rows)),
            broken: [none(), none(), none()],
        })?;
        if !more {
            return Ok(false);
        }
        row += rows;
    }
    if row < slice.first_row + slice.rows {
        return Err(ScanError::Changed { file: table.file.display().to_string() });
    }
    Ok(true)
}
