//! A part on its way to the disk.

use std::path::PathBuf;
use std::sync::Arc;

use datafusion::arrow::record_batch::RecordBatch;

use super::BatchError;
use crate::batch::manifest::PartRecord;
use crate::batch::output::{OutputFormat, PartWriter};
use crate::batch::separate::Layout;
use crate::batch::tally::Tally;

/// A part that is being written.
#[derive(Debug)]
pub struct PartInWork {
    pub(super) index: u32,
    pub(super) key: String,
    pub(super) rows: u64,
    pub(super) output: PartWriter,
    pub(super) rejects: Option<PartWriter>,
    pub(super) rejects_path: PathBuf,
    pub(super) layout: Layout,
    pub(super) tally: Tally,
}

/// A part whose files are on the disk.
#[derive(Debug)]
pub struct FinishedPart(pub(super) PartRecord);

impl PartInWork {
    /// Writes answered rows, which come in order; says how many of them were rejected.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<u64, BatchError> {
        let separated = self.layout.separate(batch)?;
        self.tally.count(&separated.answered, &separated.labels);
        self.output.write(&separated.answered)?;
        let rejected = separated.rejected.num_rows();
        if rejected > 0 {
            self.tally.reject(&separated.reasons);
            let rejects = match &mut self.rejects {
                Some(rejects) => rejects,
                None => self.rejects.insert(PartWriter::create(
                    OutputFormat::JsonLines,
                    &self.rejects_path,
                    Arc::clone(&self.layout.rejects),
                )?),
            };
            rejects.write(&separated.rejected)?;
        }
        Ok(rejected as u64)
    }

    /// Brings the part's files to the disk.
    ///
    /// # Errors
    /// If that fails, or rows are missing.
    pub fn finish(self) -> Result<FinishedPart, BatchError> {
        let written = self.tally.answered + self.tally.rejects();
        if written != self.rows {
            return Err(BatchError::Unreconciled { read: self.rows, written });
        }
        let output = self.output.finish()?;
        let rejects = self.rejects.map(PartWriter::finish).transpose()?;
        Ok(FinishedPart(PartRecord { index: self.index, key: self.key, output, rejects, tally: self.tally }))
    }
}
