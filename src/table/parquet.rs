//! Reads a Parquet file, each of its values as the JSON that Arrow writes for it.

use std::fs::File;
use std::path::Path;

use datafusion::arrow::json::LineDelimitedWriter;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Map, Value};

use super::{Line, Row, TableError};
use crate::rows::ReadError;

/// Columns and rows; the number of a row stands for its line.
pub(super) fn read(path: &Path) -> Result<(Vec<String>, Vec<Line>), TableError> {
    let file = File::open(path).map_err(|source| ReadError::Read { path: path.to_owned(), source })?;
    let wrong = |problem: String| TableError::Parquet {
        path: path.to_owned(),
        problem,
        hint: "if it was copied, compare its size with the original",
    };
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| wrong(error.to_string()))?;
    let columns = reader.schema().fields().iter().map(|field| field.name().clone()).collect();
    let mut lines = Vec::new();
    for batch in reader.build().map_err(|error| wrong(error.to_string()))? {
        let mut json = LineDelimitedWriter::new(Vec::new());
        batch
            .and_then(|batch| json.write(&batch))
            .and_then(|()| json.finish())
            .map_err(|error| wrong(error.to_string()))?;
        let json = json.into_inner();
        let rows = serde_json::Deserializer::from_slice(&json).into_iter::<Map<String, Value>>();
        for row in rows {
            let row = row.map(Row).map_err(|error| error.to_string());
            lines.push(Line { number: lines.len() as u64 + 1, row });
        }
    }
    Ok((columns, lines))
}
