//! JSON lines: one object a row, keys in the schema's order, nulls left out, Chinese as it is.

use std::io::Write;
use std::path::PathBuf;

use super::OutputError;
use super::aside::Aside;
use super::cell::{self, Cell, Column};
use datafusion::arrow::array::{StringArray, StringBuilder};
use datafusion::arrow::datatypes::Schema;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::record_batch::RecordBatch;

/// A part in the making.
pub(super) struct Part {
    file: Aside,
    objects: Objects,
}

/// Spells rows as objects.
struct Objects {
    /// The names as JSON, each with its colon.
    keys: Vec<Vec<u8>>,
    object: Vec<u8>,
}

impl Part {
    pub(super) fn new(file: Aside, schema: &Schema) -> Self {
        Self { file, objects: Objects::new(schema) }
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<(), OutputError> {
        let Self { file, objects } = self;
        let path = file.path().to_owned();
        let unfit = |source| OutputError::rows(&path, source);
        let arrays = cell::plain(batch).map_err(unfit)?;
        let mut columns = cell::columns(batch.schema_ref(), &arrays).map_err(unfit)?;
        for row in 0..batch.num_rows() {
            let object = objects.spell(&mut columns, row).map_err(unfit)?;
            let written = file.write_all(object).and_then(|()| file.write_all(b"\n"));
            written.map_err(|source| OutputError::write(&path, source))?;
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Aside {
        self.file
    }
}

/// Rows as JSON objects, one a cell.
pub(in crate::batch) fn objects(batch: &RecordBatch) -> Result<StringArray, ArrowError> {
    // Some types have no form in JSON: that is nobody's trouble as long as there is no row.
    if batch.num_rows() == 0 {
        return Ok(StringArray::new_null(0));
    }
    let mut objects = Objects::new(batch.schema_ref());
    let arrays = cell::plain(batch)?;
    let mut columns = cell::columns(batch.schema_ref(), &arrays)?;
    let mut spelt = StringBuilder::new();
    for row in 0..batch.num_rows() {
        let object = objects.spell(&mut columns, row)?;
        spelt.append_value(str::from_utf8(object).map_err(|error| ArrowError::JsonError(error.to_string()))?);
    }
    Ok(spelt.finish())
}

impl Objects {
    fn new(schema: &Schema) -> Self {
        let key = |name: &str| {
            let mut key = Vec::new();
            string(name, &mut key);
            key.push(b':');
            key
        };
        let keys = schema.fields().iter().map(|field| key(field.name())).collect();
        Self { keys, object: Vec::new() }
    }

    /// The object of a row, which stays until the next is spelt.
    fn spell(&mut self, columns: &mut [Column<'_>], row: usize) -> Result<&[u8], ArrowError> {
        let Self { keys, object } = self;
        object.clear();
        object.push(b'{');
        for (key, column) in keys.iter().zip(columns) {
            let cell = column.cell(row)?;
            if cell == Cell::Null {
                continue;
            }
            if object.len() > 1 {
                object.push(b',');
            }
            object.extend_from_slice(key);
            match cell {
                Cell::Null => {}
                Cell::Text(text) => string(text, object),
                Cell::Literal(json) | Cell::Json(json) => object.extend_from_slice(json.as_bytes()),
            }
        }
        object.push(b'}');
        Ok(object)
    }
}

/// Joins parts; answers how many rows they hold.
pub(super) fn assemble(parts: &[PathBuf], mut file: Aside) -> Result<(Aside, u64), OutputError> {
    let mut rows = 0;
    for part in parts {
        let mut last = b'\n';
        file.append(part, |bytes| {
            for &byte in bytes {
                rows += u64::from(byte == b'\n');
                last = byte;
            }
        })?;
        if last != b'\n' {
            return Err(OutputError::cut_off(part));
        }
    }
    Ok((file, rows))
}

/// Appends `text` as a JSON string.
fn string(text: &str, to: &mut Vec<u8>) {
    // Neither a text nor memory fails to be written.
    let _: Result<(), serde_json::Error> = serde_json::to_writer(to, text);
}

#[cfg(test)]
mod tests {
    use super::super::{OutputFormat, sample};
    use datafusion::arrow::json::ReaderBuilder;

    #[test]
    fn each_type_has_its_form() {
        let text = sample::joined(OutputFormat::JsonLines, &sample::batch());
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines,
            [
                concat!(
                    r#"{"text":"路灯\"不亮\",\n=1+1","large":"=甲","view":"－乙","choice":"水务局","#,
                    r#""int":-9223372036854775808,"unsigned":18446744073709551615,"float":0.1,"single":0.1,"#,
                    r#""true":true,"decimal":-12345678901234567890.05,"date":"2024-02-29","time":"08:30:00","#,
                    r#""naive":"2024-02-29T08:30:00.250","zoned":"2024-02-29T08:30:00+08:00","#,
                    r#""list":["甲",null],"struct":{"score":0.5},"binary":"00ff","json":{"风险": ["=1", 1.50]}}"#
                ),
                r#"{"text":"","list":[],"json":"一般"}"#,
                r#"{"text":"-5.2","json":"not [json"}"#,
            ]
        );
        for line in lines {
            serde_json::from_str::<serde_json::Value>(line).unwrap();
        }
    }

    #[test]
    fn rows_come_back_by_the_reader_of_arrow() {
        // That reader has no dictionaries, and takes no JSON for text.
        let batch = sample::many(2500);
        let kept = |name: &str| !["choice", "json"].contains(&name);
        let names = batch.schema();
        let kept: Vec<_> = (0..names.fields().len()).filter(|&i| kept(names.field(i).name())).collect();
        let batch = batch.project(&kept).unwrap();
        let text = sample::joined(OutputFormat::JsonLines, &batch);
        let reader =
            ReaderBuilder::new(batch.schema()).with_batch_size(10_000).build(text.as_bytes()).unwrap();
        let read: Vec<_> = reader.map(Result::unwrap).collect();
        assert_eq!(read, [batch]);
    }
}
