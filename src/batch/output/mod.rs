//! What a batch run writes: part files that outlive a crash, and the one file that they are joined to.
//!
//! Each file grows as `PATH.new`, is brought to the disk, and gets its name then: under its own name it is whole. The same
//! rows give the same bytes, however they are cut into batches. What the columns are, which rows make a part, and which
//! parts are there already is for others to know.
//!
//! | Arrow | CSV | JSON lines |
//! |---|---|---|
//! | null | an empty field | no key; `null` within a list |
//! | text | escaped where a spreadsheet would take it for a formula | a string |
//! | text of a field of raw JSON | a string without its quotes, anything else as JSON | the JSON |
//! | integer, boolean, decimal | its digits, no digit lost | the same |
//! | float | the fewest digits that give it back; NaN and infinity as null | the same |
//! | date, time, timestamp, duration | ISO 8601, with the zone's offset if there is one | the same as a string |
//! | binary | hexadecimal | the same as a string |
//! | list, struct, map | JSON | JSON |
//!
//! Dictionaries and run-end encoded columns are written as what they stand for. Parquet keeps every type as it is.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use aside::Aside;
use datafusion::arrow::datatypes::SchemaRef;

use crate::rows;

mod aside;
mod cell;
mod csv;
mod error;
mod json_lines;
mod parquet;
mod part;
#[cfg(test)]
mod sample;
mod single;

pub use error::OutputError;
pub(super) use json_lines::objects;
pub(super) use part::PartWriter;
pub use single::SingleFile;

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputFormat {
    /// Apache Parquet, compressed with zstd; a part is one row group.
    Parquet,
    /// CSV as spreadsheets read it: RFC 4180, UTF-8 with a byte-order mark.
    Csv,
    /// One JSON object a line.
    JsonLines,
}

impl OutputFormat {
    /// The format that a file's name asks for: `.parquet`, `.csv`, `.jsonl` or `.ndjson`.
    pub fn from_path(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "parquet" => Some(Self::Parquet),
            "csv" => Some(Self::Csv),
            "jsonl" | "ndjson" => Some(Self::JsonLines),
            _ => None,
        }
    }

    /// The extension of such files, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Csv => "csv",
            Self::JsonLines => "jsonl",
        }
    }
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// The file's size.
    pub bytes: u64,
    /// The file's SHA-256 in hexadecimal.
    pub sha256: String,
    /// How many rows it holds.
    pub rows: u64,
}

impl Written {
    /// Whether the file at `path` is still what was written.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        rows::digest(path).is_ok_and(|digest| digest == self.sha256)
    }
}

/// Joins finished parts, in order, to one file that is there whole or not at all; no part gives a file without rows.
///
/// Memory does not grow with the rows, but for Parquet's footer, which describes each part's columns.
///
/// # Errors
/// If a part cannot be read, is damaged or of another schema, or the file cannot be written.
pub(super) fn assemble(
    format: OutputFormat,
    schema: &SchemaRef,
    parts: &[PathBuf],
    output: &Path,
) -> Result<Written, OutputError> {
    let file = Aside::create(output)?;
    let (file, rows) = match format {
        OutputFormat::Parquet => parquet::assemble(schema, parts, file),
        OutputFormat::Csv => csv::assemble(schema, parts, file),
        OutputFormat::JsonLines => json_lines::assemble(parts, file),
    }?;
    let (bytes, sha256) = file.keep()?;
    Ok(Written { bytes, sha256, rows })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use OutputFormat::{Csv, JsonLines, Parquet};

    const FORMATS: [OutputFormat; 3] = [Parquet, Csv, JsonLines];

    #[test]
    fn a_format_is_known_by_the_file_name() {
        for format in FORMATS {
            assert_eq!(
                OutputFormat::from_path(&Path::new("a").with_extension(format.extension())),
                Some(format)
            );
        }
        assert_eq!(OutputFormat::from_path(Path::new("年.NDJSON")), Some(JsonLines));
        assert_eq!(OutputFormat::from_path(Path::new("a.xlsx")), None);
        assert_eq!(OutputFormat::from_path(Path::new("csv")), None);
    }

    #[test]
    fn joined_text_parts_are_the_rows_written_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let batch = sample::many(100);
        let at = |name: &str| folder.path().join(name);
        for format in [Csv, JsonLines] {
            sample::part(format, &at("1"), &[batch.slice(0, 60)]);
            sample::part(format, &at("2"), &[batch.slice(0, 0)]);
            sample::part(format, &at("3"), &[batch.slice(60, 40)]);
            let parts = [at("1"), at("2"), at("3")];
            let joined = assemble(format, &sample::schema(), &parts, &at("joined")).unwrap();
            sample::part(format, &at("whole"), std::slice::from_ref(&batch));
            let whole = assemble(format, &sample::schema(), &[at("whole")], &at("once")).unwrap();
            assert_eq!(joined, whole);
            assert_eq!(joined.rows, 100);
            assert_eq!(fs::read(at("joined")).unwrap(), fs::read(at("once")).unwrap());
        }
    }

    #[test]
    fn a_damaged_or_missing_part_is_named_and_leaves_the_output_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let (one, all) = (folder.path().join("one"), folder.path().join("all"));
        fs::write(&all, "before").unwrap();
        for format in FORMATS {
            sample::part(format, &one, &[sample::batch()]);
            let bytes = fs::read(&one).unwrap();
            fs::write(&one, &bytes[..bytes.len() - 1]).unwrap();
            let told = assemble(format, &sample::schema(), std::slice::from_ref(&one), &all).unwrap_err();
            assert!(matches!(&told, OutputError::Part { file, .. } if *file == one), "{told:?}");
            fs::remove_file(&one).unwrap();
            let told = assemble(format, &sample::schema(), std::slice::from_ref(&one), &all).unwrap_err();
            assert!(matches!(&told, OutputError::Read { file, .. } if *file == one), "{told:?}");
            assert_eq!(fs::read(&all).unwrap(), b"before");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        }
    }
}
