//! Reads a part: its slices one after the other, in batches that memory and the encoder can take.

use std::iter;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringArray, UInt64Array};
use datafusion::arrow::record_batch::RecordBatch;

use super::error::ScanError;
use super::part::Slice;
use super::table::{TableRows, to_batch};
use super::{Part, Scan, TEXT, parquet};
use crate::rows::{self, Entry, Layout, Source};

/// Most rows of a batch.
const MAX_BATCH_ROWS: usize = 4096;
/// Most bytes of words of a batch: its requests take some twenty times as much.
const MAX_BATCH_BYTES: usize = 1 << 20;

/// Reads a part, batch after batch; `give` says whether somebody still wants more.
pub(super) fn read_part(
    scan: &Scan,
    part: &Part,
    mut give: impl FnMut(RecordBatch) -> bool,
) -> Result<(), ScanError> {
    for slice in &part.slices {
        let mut wanted = |rows: &TableRows| -> Result<bool, ScanError> {
            let batch = to_batch(scan, part.index, &scan.tables[slice.table], rows)?;
            Ok(small(&batch).all(&mut give))
        };
        let table = &scan.tables[slice.table];
        let more = match table.source() {
            Some(source) => read_rows(scan, slice, &source, &mut wanted)?,
            None => parquet::read(table, slice, &mut wanted)?,
        };
        if !more {
            break;
        }
    }
    Ok(())
}

fn read_rows(
    scan: &Scan,
    slice: &Slice,
    source: &Source,
    give: &mut dyn FnMut(&TableRows) -> Result<bool, ScanError>,
) -> Result<bool, ScanError> {
    let table = &scan.tables[slice.table];
    let columns = table.fields.len();
    let changed = || ScanError::Changed { file: table.name.clone() };
    let mut reader = scan.readers.take(table, source, slice.first_row)?;
    let end = slice.first_row + slice.rows;
    let mut entries: Vec<Entry> = Vec::new();
    let mut bytes = 0;
    while reader.next_row < end {
        let entry = reader.rows.next().ok_or_else(changed)??;
        reader.next_row += 1;
        if reader.next_row <= slice.first_row {
            continue;
        }
        bytes += size(&entry);
        entries.push(entry);
        let full = entries.len() == MAX_BATCH_ROWS || bytes >= MAX_BATCH_BYTES;
        if full || reader.next_row == end {
            if !give(&table_rows(&entries, columns, &source.layout))? {
                return Ok(false);
            }
            entries.clear();
            bytes = 0;
        }
    }
    if end < table.rows {
        scan.readers.keep(reader);
    }
    Ok(true)
}

fn size(entry: &Entry) -> usize {
    match &entry.row {
        Ok(cells) => cells.iter().flatten().map(String::len).sum(),
        Err(broken) => broken.raw.len(),
    }
}

fn table_rows(entries: &[Entry], columns: usize, layout: &Layout) -> TableRows {
    let column = |column: usize| -> ArrayRef {
        let cell = |entry: &Entry| entry.row.as_ref().ok()?.get(column)?.clone();
        Arc::new(entries.iter().map(cell).collect::<StringArray>())
    };
    let broken = || entries.iter().map(|entry| entry.row.as_ref().err());
    let told: Vec<_> = broken().map(|broken| broken.map(|broken| rows::told(layout, &broken.raw))).collect();
    TableRows {
        columns: (0..columns).map(column).collect(),
        lines: Arc::new(UInt64Array::from_iter_values(entries.iter().map(|entry| entry.line))),
        broken: [
            broken().map(|broken| broken.map(|broken| broken.problem.as_str())).collect(),
            told.iter().map(|told| told.as_ref().map(|(text, _)| text.as_str())).collect(),
            told.iter().map(|told| told.as_ref()?.1.as_deref()).collect(),
        ],
    }
}

/// Cuts a batch where its words are many.
fn small(batch: &RecordBatch) -> impl Iterator<Item = RecordBatch> {
    let words = batch.column_by_name(TEXT).map(|column| column.as_string::<i32>().clone());
    let rows = batch.num_rows();
    let mut start = 0;
    let batch = batch.clone();
    iter::from_fn(move || {
        if start == rows {
            return None;
        }
        let mut bytes = 0;
        let length = |row| {
            words.as_ref().filter(|words| words.is_valid(row)).map_or(0, |words| words.value(row).len())
        };
        let fits = |row: &usize| {
            bytes += length(*row);
            bytes <= MAX_BATCH_BYTES
        };
        let count = (start..rows).take_while(fits).count().clamp(1, MAX_BATCH_ROWS);
        let cut = batch.slice(start, count);
        start += count;
        Some(cut)
    })
}
