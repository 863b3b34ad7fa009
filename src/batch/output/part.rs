//! One part: rows go in, and a whole file comes out or none.

use std::fmt;
use std::path::{Path, PathBuf};

use super::aside::Aside;
use super::{OutputError, OutputFormat, Written, cell, csv, json_lines, parquet};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};

/// Writes one part; dropped before [`finish`](Self::finish) it leaves nothing behind.
pub(in crate::batch) struct PartWriter {
    pub(super) path: PathBuf,
    schema: SchemaRef,
    encoder: Encoder,
    rows: u64,
    /// Every row so far is written whole.
    whole: bool,
}

enum Encoder {
    Parquet(Box<parquet::Part>),
    Csv(Box<csv::Part>),
    JsonLines(Box<json_lines::Part>),
}

impl PartWriter {
    /// Begins the part that will be at `path`.
    ///
    /// # Errors
    /// If the file cannot be made, or the format has no form for a column's type.
    pub(in crate::batch) fn create(
        format: OutputFormat,
        path: &Path,
        schema: SchemaRef,
    ) -> Result<Self, OutputError> {
        if format != OutputFormat::Parquet {
            let empty = cell::plain(&RecordBatch::new_empty(schema.clone()));
            empty
                .and_then(|empty| cell::columns(&schema, &empty).map(drop))
                .map_err(|source| OutputError::rows(path, source))?;
        }
        let file = Aside::create(path)?;
        let encoder = match format {
            OutputFormat::Parquet => Encoder::Parquet(Box::new(parquet::Part::new(file, &schema)?)),
            OutputFormat::Csv => Encoder::Csv(Box::new(csv::Part::new(file))),
            OutputFormat::JsonLines => Encoder::JsonLines(Box::new(json_lines::Part::new(file, &schema))),
        };
        Ok(Self { path: path.to_owned(), schema, encoder, rows: 0, whole: true })
    }

    /// Writes the rows of `batch`, whose columns have the types of the schema; names and metadata are the schema's.
    ///
    /// # Errors
    /// If they have not, a value has no form in the format, or the file cannot be written. The part cannot be finished then.
    pub(in crate::batch) fn write(&mut self, batch: &RecordBatch) -> Result<(), OutputError> {
        self.whole = false;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let batch =
            RecordBatch::try_new_with_options(self.schema.clone(), batch.columns().to_vec(), &options)
                .map_err(|source| OutputError::rows(&self.path, source))?;
        let rows = batch.num_rows() as u64;
        match &mut self.encoder {
            Encoder::Parquet(part) => part.write(batch),
            Encoder::Csv(part) => part.write(&batch),
            Encoder::JsonLines(part) => part.write(&batch),
        }?;
        self.rows += rows;
        self.whole = true;
        Ok(())
    }

    /// Brings the part to the disk and gives it its name.
    ///
    /// # Errors
    /// If rows could not be written before, or the file cannot be.
    pub(in crate::batch) fn finish(self) -> Result<Written, OutputError> {
        if !self.whole {
            return Err(OutputError::Incomplete { file: self.path });
        }
        let file = match self.encoder {
            Encoder::Parquet(part) => part.finish(),
            Encoder::Csv(part) => part.finish(),
            Encoder::JsonLines(part) => Ok(part.finish()),
        }?;
        let (bytes, sha256) = file.keep()?;
        Ok(Written { bytes, sha256, rows: self.rows })
    }
}

/// Without the rows: they are citizens' words.
impl fmt::Debug for PartWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, rows, whole, .. } = self;
        f.debug_struct("PartWriter")
            .field("path", path)
            .field("rows", rows)
            .field("whole", whole)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::{assemble, sample};
    use super::*;

    const FORMATS: [OutputFormat; 3] = [OutputFormat::Parquet, OutputFormat::Csv, OutputFormat::JsonLines];

    #[test]
    fn the_same_rows_give_the_same_bytes_however_they_are_cut() {
        let folder = tempfile::tempdir().unwrap();
        let batch = sample::many(3000);
        for format in FORMATS {
            let whole = sample::part(format, &folder.path().join("whole"), std::slice::from_ref(&batch));
            let again = sample::part(format, &folder.path().join("again"), std::slice::from_ref(&batch));
            let cut = [(0, 1), (1, 1022), (1023, 0), (1023, 1025), (2048, 952)];
            let cut = cut.map(|(offset, rows)| batch.slice(offset, rows));
            let cut = sample::part(format, &folder.path().join("cut"), &cut);
            assert_eq!(whole, again, "{format:?}");
            assert_eq!(whole, cut, "{format:?}");
            assert_eq!(whole.rows, 3000);
            assert_eq!(whole.bytes, fs::metadata(folder.path().join("whole")).unwrap().len());
        }
    }

    #[test]
    fn an_unfinished_part_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        for format in FORMATS {
            let path = folder.path().join("part");
            let mut writer = PartWriter::create(format, &path, sample::schema()).unwrap();
            writer.write(&sample::batch()).unwrap();
            drop(writer);
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{format:?}");
        }
    }

    #[test]
    fn rows_of_another_schema_are_refused_and_the_part_cannot_be_finished() {
        let folder = tempfile::tempdir().unwrap();
        let other = sample::batch().project(&[0, 1]).unwrap();
        for format in FORMATS {
            let path = folder.path().join("part");
            let mut writer = PartWriter::create(format, &path, sample::schema()).unwrap();
            assert!(matches!(writer.write(&other), Err(OutputError::Rows { .. })));
            assert!(matches!(writer.finish(), Err(OutputError::Incomplete { .. })));
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{format:?}");
        }
    }

    /// Linux has a device without room, which stands here under the file's name.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_told_with_the_file_and_the_way_out() {
        let folder = tempfile::tempdir().unwrap();
        let batch = sample::many(3000);
        for format in FORMATS {
            let path = folder.path().join("part");
            std::os::unix::fs::symlink("/dev/full", folder.path().join("part.new")).unwrap();
            let mut writer = PartWriter::create(format, &path, sample::schema()).unwrap();
            let told = writer.write(&batch).and_then(|()| writer.finish()).unwrap_err();
            assert!(matches!(told, OutputError::Full { .. }), "{told:?}");
            let told = told.to_string();
            assert!(told.contains("part`: ") && told.contains("`--resume`"), "{told}");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{format:?}");

            let one = folder.path().join("one");
            sample::part(format, &one, std::slice::from_ref(&batch));
            std::os::unix::fs::symlink("/dev/full", folder.path().join("all.new")).unwrap();
            let told = assemble(format, &sample::schema(), &[one], &folder.path().join("all")).unwrap_err();
            assert!(matches!(told, OutputError::Full { .. }), "{told:?}");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "{format:?}");
            fs::remove_file(folder.path().join("one")).unwrap();
        }
    }
}
