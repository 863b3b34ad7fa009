//! Reads rows of a Parquet file.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use datafusion::arrow::array::{StringArray, UInt64Array};
use datafusion::arrow::error::ArrowError;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use datafusion::parquet::errors::ParquetError;

use super::part::Slice;
use super::reader::{MAX_BATCH_ROWS, ScanError};
use super::table::TableRows;
use crate::batch::input::InputTable;

/// Why rows of a Parquet file cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read `{file}` as Parquet: {source}")]
pub(super) struct PartError {
    file: PathBuf,
    source: ParquetError,
}

/// Gives the rows of a slice, until nobody wants more; says whether somebody does.
pub(super) fn read(
    table: &InputTable,
    slice: &Slice,
    give: &mut dyn FnMut(&TableRows) -> Result<bool, ScanError>,
) -> Result<bool, ScanError> {
    let wrong = |source: ParquetError| PartError { file: table.file.clone(), source };
    let arrow = |error: ArrowError| wrong(ParquetError::ArrowError(error.to_string()));
    let file = File::open(&table.file).map_err(|error| wrong(error.into()))?;
    let batches = ParquetRecordBatchReaderBuilder::try_new(file)
        .and_then(|reader| {
            reader
                .with_batch_size(MAX_BATCH_ROWS)
                .with_offset(slice.first_row as usize)
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
