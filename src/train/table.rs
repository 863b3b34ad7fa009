//! Rows of training files: JSON lines or CSV, one map of columns a row.
//!
//! A row that cannot be used stops the reading with its file and line; nothing is skipped in silence.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// What separates the labels of a list in a CSV cell.
const LIST_SEPARATOR: char = ';';

/// Why a file cannot be trained on.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The file cannot be read.
    #[error("cannot read `{path}`: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Neither JSON lines nor CSV.
    #[error("`{path}` is neither .jsonl nor .csv\nhint: name the format by the file's ending")]
    Format {
        /// The file.
        path: PathBuf,
    },
    /// A row that cannot be used.
    #[error("{path}:{line}: {problem}", path = path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// The line that the row starts on, from 1.
        line: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// No row at all.
    #[error("`{path}` has no rows")]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

/// A file's rows in order.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) path: PathBuf,
    pub(crate) rows: Vec<Row>,
    /// SHA-256 of the file, hexadecimal.
    pub(crate) digest: String,
}

/// One row.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) line: u64,
    columns: Map<String, Value>,
}

/// What a column says about labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Labels {
    One(String),
    Many(Vec<String>),
}

impl Table {
    /// Reads a file; `.jsonl`, `.ndjson` and `.json` hold one object a line, `.csv` has a header.
    pub(crate) fn read(path: &Path) -> Result<Self, TableError> {
        let failed = |source| TableError::Read { path: path.to_owned(), source };
        let mut content = Vec::new();
        File::open(path).and_then(|mut file| file.read_to_end(&mut content)).map_err(failed)?;
        let digest = sha256(&content);
        let ending =
            path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
        let text = content.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&content);
        let rows = match ending.as_str() {
            "jsonl" | "ndjson" | "json" => json_lines(path, text)?,
            "csv" => csv_rows(path, text)?,
            _ => return Err(TableError::Format { path: path.to_owned() }),
        };
        if rows.is_empty() {
            return Err(TableError::Empty { path: path.to_owned() });
        }
        Ok(Self { path: path.to_owned(), rows, digest })
    }

    /// An error about one of its rows.
    pub(crate) fn fault(&self, row: &Row, problem: impl Into<String>) -> TableError {
        TableError::Row { path: self.path.clone(), line: row.line, problem: problem.into() }
    }

    /// Whether any row has this column.
    pub(crate) fn has_column(&self, column: &str) -> bool {
        self.rows.iter().any(|row| row.columns.contains_key(column))
    }

    /// The columns of the first row, for hints.
    pub(crate) fn columns(&self) -> String {
        self.rows
            .first()
            .map(|row| row.columns.keys().cloned().collect::<Vec<_>>().join(", "))
            .unwrap_or_default()
    }
}

impl Row {
    /// The words in a column; empty if there are none.
    pub(crate) fn words(&self, column: &str) -> Result<&str, String> {
        match self.columns.get(column) {
            None | Some(Value::Null) => Ok(""),
            Some(Value::String(words)) => Ok(words),
            Some(_) => Err(format!("column `{column}` is not text")),
        }
    }

    /// A text, number or truth value as text; none if it is missing or empty.
    pub(crate) fn value(&self, column: &str) -> Result<Option<String>, String> {
        match self.columns.get(column) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => {
                Ok(Some(text.trim()).filter(|text| !text.is_empty()).map(str::to_owned))
            }
            Some(value @ (Value::Number(_) | Value::Bool(_))) => Ok(Some(value.to_string())),
            Some(Value::Array(_) | Value::Object(_)) => Err(format!("column `{column}` is not one value")),
        }
    }

    /// The label or labels in a column; none if it is missing. With `list`, a text is a list separated by `;`.
    pub(crate) fn labels(&self, column: &str, list: bool) -> Result<Option<Labels>, String> {
        match self.columns.get(column) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Array(labels)) => labels
                .iter()
                .map(|label| match label {
                    Value::String(label) if !label.trim().is_empty() => Ok(label.trim().to_owned()),
                    Value::String(_)
                    | Value::Null
                    | Value::Bool(_)
                    | Value::Number(_)
                    | Value::Array(_)
                    | Value::Object(_) => Err(format!("column `{column}` holds a label that is not text")),
                })
                .collect::<Result<_, _>>()
                .map(|labels| Some(Labels::Many(labels))),
            Some(Value::String(labels)) if list => {
                let labels = labels.split(LIST_SEPARATOR).map(str::trim).filter(|label| !label.is_empty());
                Ok(Some(Labels::Many(labels.map(str::to_owned).collect())))
            }
            Some(_) => Ok(self.value(column)?.map(Labels::One)),
        }
    }
}

/// SHA-256 in hexadecimal digits.
pub(crate) fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().fold(String::new(), |mut digits, byte| {
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

fn json_lines(path: &Path, content: &[u8]) -> Result<Vec<Row>, TableError> {
    let mut rows = Vec::new();
    for (line, text) in (1..).zip(BufReader::new(content).split(b'\n')) {
        let text = text.map_err(|source| TableError::Read { path: path.to_owned(), source })?;
        if text.trim_ascii().is_empty() {
            continue;
        }
        let columns = serde_json::from_slice(&text).map_err(|error| TableError::Row {
            path: path.to_owned(),
            line,
            problem: format!("not a JSON object: {error}"),
        })?;
        rows.push(Row { line, columns });
    }
    Ok(rows)
}

fn csv_rows(path: &Path, content: &[u8]) -> Result<Vec<Row>, TableError> {
    let fault = |error: &csv::Error| TableError::Row {
        path: path.to_owned(),
        line: error.position().map_or(1, csv::Position::line),
        problem: error.to_string(),
    };
    let mut reader = csv::Reader::from_reader(content);
    let header = reader.headers().map_err(|error| fault(&error))?.clone();
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| fault(&error))?;
        let line = record.position().map_or(0, csv::Position::line);
        let columns =
            header.iter().zip(&record).map(|(column, cell)| (column.to_owned(), cell.into())).collect();
        rows.push(Row { line, columns });
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str, content: &str) -> Result<Table, TableError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        Table::read(&path)
    }

    #[test]
    fn both_formats_say_the_same() {
        let json =
            table("a.jsonl", "{\"text\": \"路灯不亮\", \"risks\": [\"a\", \"b\"], \"n\": 7}\n\n").unwrap();
        let csv = table("a.csv", "\u{feff}text,risks,n\n\"路灯不亮\",a; b,7\n").unwrap();
        for (table, list) in [(json, false), (csv, true)] {
            let row = &table.rows[0];
            assert_eq!(row.words("text").unwrap(), "路灯不亮");
            assert_eq!(row.labels("risks", list).unwrap(), Some(Labels::Many(vec!["a".into(), "b".into()])));
            assert_eq!(row.value("n").unwrap().as_deref(), Some("7"));
            assert_eq!(row.labels("missing", list).unwrap(), None);
        }
    }

    #[test]
    fn a_bad_row_is_told_with_its_line() {
        let error = table("a.jsonl", "{\"text\": \"好\"}\n{\"text\": \n").unwrap_err().to_string();
        assert!(error.contains("a.jsonl:2: not a JSON object"), "{error}");
        let error = table("a.csv", "text,label\n好,x\n坏\n").unwrap_err().to_string();
        assert!(error.contains("a.csv:3:"), "{error}");
        assert!(table("a.txt", "好").unwrap_err().to_string().contains("hint"));
        assert!(table("a.jsonl", "\n").unwrap_err().to_string().contains("no rows"));
    }

    #[test]
    fn an_empty_list_is_a_list() {
        let json = table("a.jsonl", "{\"risks\": []}").unwrap();
        assert_eq!(json.rows[0].labels("risks", false).unwrap(), Some(Labels::Many(vec![])));
        let csv = table("a.csv", "text,risks\n好,\n").unwrap();
        assert_eq!(csv.rows[0].labels("risks", true).unwrap(), Some(Labels::Many(vec![])));
        assert_eq!(csv.rows[0].labels("risks", false).unwrap(), None);
    }
}
