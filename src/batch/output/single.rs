//! One file without parts that outlive a crash.

use std::path::{Path, PathBuf};

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;

use super::{OutputError, OutputFormat, PartWriter, Written, assemble};

/// A file that is written in one go: there whole or not at all.
#[derive(Debug)]
pub struct SingleFile {
    format: OutputFormat,
    schema: SchemaRef,
    rows: PartWriter,
    output: PathBuf,
}

impl SingleFile {
    /// Begins the file that will be at `output`.
    ///
    /// # Errors
    /// If the file cannot be made, or the format has no form for a column's type.
    pub fn create(format: OutputFormat, output: &Path, schema: SchemaRef) -> Result<Self, OutputError> {
        let mut part = output.as_os_str().to_owned();
        part.push(".part");
        let rows = PartWriter::create(format, Path::new(&part), schema.clone())?;
        Ok(Self { format, schema, rows, output: output.to_owned() })
    }

    /// Writes rows.
    ///
    /// # Errors
    /// If they do not fit the schema, or the file cannot be written.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), OutputError> {
        self.rows.write(batch)
    }

    /// Brings the file to the disk and gives it its name.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(self) -> Result<Written, OutputError> {
        let part = self.rows.path.clone();
        self.rows.finish()?;
        let written = assemble(self.format, &self.schema, std::slice::from_ref(&part), &self.output);
        // What is left of it harms nobody.
        let _ = std::fs::remove_file(&part);
        written
    }
}
