//! Parquet: a part is one row group, and joining copies row groups without decoding them.
//!
//! Text shrinks to a fraction with zstd, which decodes about as fast as a disk reads. The Arrow schema goes along in the
//! footer, so that every type comes back as it was.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::OutputError;
use super::aside::Aside;
use datafusion::arrow::compute::BatchCoalescer;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::parquet::arrow::{ArrowSchemaConverter, ArrowWriter, add_encoded_arrow_schema_to_metadata};
use datafusion::parquet::basic::{Compression, ZstdLevel};
use datafusion::parquet::column::writer::ColumnCloseResult;
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use datafusion::parquet::file::properties::WriterProperties;
use datafusion::parquet::file::writer::SerializedFileWriter;

/// Who wrote the file, in the form that the Parquet format asks for; readers look here for known mistakes.
const CREATED_BY: &str = concat!("jiesu version ", env!("CARGO_PKG_VERSION"));

/// Rows reach the encoder in batches of this size, whatever they were cut into before: pages end where batches do.
const BATCH_ROWS: usize = 1024;

/// A part in the making.
pub(super) struct Part {
    path: PathBuf,
    rows: BatchCoalescer,
    writer: ArrowWriter<Aside>,
}

impl Part {
    pub(super) fn new(file: Aside, schema: &SchemaRef) -> Result<Self, OutputError> {
        let path = file.path().to_owned();
        let rows = BatchCoalescer::new(schema.clone(), BATCH_ROWS);
        let writer = properties()
            .and_then(|properties| ArrowWriter::try_new(file, schema.clone(), Some(properties)))
            .map_err(|source| OutputError::parquet(&path, source))?;
        Ok(Self { path, rows, writer })
    }

    pub(super) fn write(&mut self, batch: RecordBatch) -> Result<(), OutputError> {
        self.rows.push_batch(batch).map_err(|source| OutputError::rows(&self.path, source))?;
        self.encode()
    }

    pub(super) fn finish(mut self) -> Result<Aside, OutputError> {
        self.rows.finish_buffered_batch().map_err(|source| OutputError::rows(&self.path, source))?;
        self.encode()?;
        self.writer.into_inner().map_err(|source| OutputError::parquet(&self.path, source))
    }

    fn encode(&mut self) -> Result<(), OutputError> {
        while let Some(batch) = self.rows.next_completed_batch() {
            self.writer.write(&batch).map_err(|source| OutputError::parquet(&self.path, source))?;
        }
        Ok(())
    }
}

fn properties() -> Result<WriterProperties, ParquetError> {
    Ok(WriterProperties::builder()
        .set_created_by(CREATED_BY.to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
        .set_max_row_group_row_count(None)
        .build())
}

/// Joins parts; answers how many rows they hold.
pub(super) fn assemble(schema: &Schema, parts: &[PathBuf], file: Aside) -> Result<(Aside, u64), OutputError> {
    let path = file.path().to_owned();
    let unwritten = |source| OutputError::parquet(&path, source);
    let mut writer = empty(schema, file).map_err(unwritten)?;
    let mut rows = 0;
    for part in parts {
        let input = File::open(part).map_err(|source| OutputError::Read { file: part.clone(), source })?;
        let metadata = read_metadata(&input, &writer).map_err(|problem| damaged(part, &problem))?;
        copy_row_groups(&input, &metadata, &mut writer).map_err(unwritten)?;
        rows += metadata.row_groups().iter().map(|group| group.num_rows().unsigned_abs()).sum::<u64>();
    }
    Ok((writer.into_inner().map_err(unwritten)?, rows))
}

/// A file with the schema that `ArrowWriter` would give it, and no row group yet.
fn empty(schema: &Schema, file: Aside) -> Result<SerializedFileWriter<Aside>, ParquetError> {
    let columns = ArrowSchemaConverter::new().convert(schema)?;
    let mut properties = properties()?;
    add_encoded_arrow_schema_to_metadata(schema, &mut properties);
    SerializedFileWriter::new(file, columns.root_schema_ptr(), Arc::new(properties))
}

fn read_metadata(
    input: &File,
    writer: &SerializedFileWriter<Aside>,
) -> Result<ParquetMetaData, ParquetError> {
    let metadata = ParquetMetaDataReader::new()
        .with_page_index_policy(PageIndexPolicy::Optional)
        .parse_and_finish(input)?;
    if metadata.file_metadata().schema() != writer.schema_descr().root_schema() {
        return Err(ParquetError::General("it has other columns than the output".to_owned()));
    }
    Ok(metadata)
}

fn copy_row_groups(
    input: &File,
    metadata: &ParquetMetaData,
    writer: &mut SerializedFileWriter<Aside>,
) -> Result<(), ParquetError> {
    for (position, group) in metadata.row_groups().iter().enumerate() {
        let column_indexes = metadata.column_index().and_then(|groups| groups.get(position));
        let offset_indexes = metadata.offset_index().and_then(|groups| groups.get(position));
        let mut copy = writer.next_row_group()?;
        for (position, column) in group.columns().iter().enumerate() {
            let column = ColumnCloseResult {
                bytes_written: column.compressed_size().unsigned_abs(),
                rows_written: group.num_rows().unsigned_abs(),
                metadata: column.clone(),
                // Parts are written without.
                bloom_filter: None,
                column_index: column_indexes.and_then(|columns| columns.get(position)).cloned(),
                offset_index: offset_indexes.and_then(|columns| columns.get(position)).cloned(),
            };
            copy.append_column(input, column)?;
        }
        copy.close()?;
    }
    Ok(())
}

fn damaged(part: &Path, problem: &ParquetError) -> OutputError {
    OutputError::Part { file: part.to_owned(), problem: problem.to_string() }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::super::{OutputFormat, assemble, sample};
    use super::*;
    use datafusion::arrow::compute::concat_batches;
    use datafusion::parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
    use datafusion::parquet::file::metadata::RowGroupMetaData;

    fn part(folder: &TempDir, name: &str, batch: &RecordBatch) -> PathBuf {
        let path = folder.path().join(name);
        sample::part(OutputFormat::Parquet, &path, std::slice::from_ref(batch));
        path
    }

    fn read(path: &Path) -> (ParquetMetaData, RecordBatch) {
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
        let file = File::open(path).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options).unwrap();
        let (metadata, schema) = (reader.metadata().as_ref().clone(), reader.schema().clone());
        let batches: Vec<_> = reader.build().unwrap().map(Result::unwrap).collect();
        (metadata, concat_batches(&schema, &batches).unwrap())
    }

    #[test]
    fn every_type_comes_back_from_parts_and_from_the_joined_file() {
        let folder = tempfile::tempdir().unwrap();
        let all = sample::many(2500);
        let slices = [(0, 1500), (1500, 0), (1500, 1), (1501, 999)];
        let parts: Vec<_> = (slices.iter().enumerate())
            .map(|(name, &(offset, rows))| part(&folder, &name.to_string(), &all.slice(offset, rows)))
            .collect();
        assert_eq!(read(&parts[0]).1, all.slice(0, 1500));
        let output = folder.path().join("output");
        let written = assemble(OutputFormat::Parquet, &all.schema(), &parts, &output).unwrap();
        assert_eq!(written.rows, 2500);
        let (metadata, rows) = read(&output);
        assert_eq!(rows, all);
        assert_eq!(rows.schema(), all.schema());
        let groups: Vec<_> = metadata.row_groups().iter().map(RowGroupMetaData::num_rows).collect();
        assert_eq!(groups, [1500, 1, 999]);
        assert_eq!(metadata.file_metadata().created_by(), Some(CREATED_BY));
    }

    #[test]
    fn no_part_and_parts_without_rows_give_a_file_without_rows() {
        let folder = tempfile::tempdir().unwrap();
        let empty = part(&folder, "empty", &sample::batch().slice(0, 0));
        for parts in [vec![], vec![empty.clone(), empty]] {
            let output = folder.path().join("output");
            let written = assemble(OutputFormat::Parquet, &sample::schema(), &parts, &output).unwrap();
            assert_eq!(written.rows, 0);
            assert_eq!(read(&output).1, sample::batch().slice(0, 0));
        }
    }

    #[test]
    fn a_part_of_other_columns_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let other = part(&folder, "other", &sample::batch().project(&[0, 1]).unwrap());
        let told =
            assemble(OutputFormat::Parquet, &sample::schema(), &[other], &folder.path().join("output"));
        assert!(matches!(told, Err(OutputError::Part { .. })), "{told:?}");
    }
}
