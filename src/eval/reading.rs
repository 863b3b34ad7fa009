//! From the bytes of a file to its rows.

use std::collections::HashMap;
use std::path::Path;

use serde_json::{Map, Value};

use super::rows::{Columns, GoldLabels, LabelledRows, RowFault, RowsError};
use crate::classifier::Problem;
use crate::request::RequestText;

/// The title column, where none is named.
const DEFAULT_TITLE_COLUMN: &str = "title";

pub(super) enum Format {
    JsonLines,
    Csv,
}

impl Format {
    pub(super) fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "jsonl" | "ndjson" => Some(Self::JsonLines),
            "csv" => Some(Self::Csv),
            _ => None,
        }
    }
}

pub(super) fn decode<'a>(file: &str, bytes: &'a [u8]) -> Result<&'a str, RowsError> {
    match std::str::from_utf8(bytes) {
        Ok(content) => Ok(content.strip_prefix('\u{feff}').unwrap_or(content)),
        Err(error) => {
            let line = bytes[..error.valid_up_to()].split(|byte| *byte == b'\n').count();
            let utf16 = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
            let guess = if utf16 { "UTF-16" } else { "GB18030" };
            Err(RowsError::Encoding { file: file.to_owned(), line, guess })
        }
    }
}

/// The rows read so far, and the columns and faults seen.
pub(super) struct Reading<'a> {
    columns: &'a Columns,
    problem: Problem,
    /// In the order of their first occurrence.
    seen: Map<String, Value>,
    texts: Vec<RequestText>,
    labels: Vec<Vec<String>>,
    without_label: usize,
    faults: Vec<RowFault>,
}

impl<'a> Reading<'a> {
    pub(super) fn new(columns: &'a Columns, problem: Problem) -> Self {
        Self {
            columns,
            problem,
            seen: Map::new(),
            texts: Vec::new(),
            labels: Vec::new(),
            without_label: 0,
            faults: Vec::new(),
        }
    }

    pub(super) fn json_lines(&mut self, content: &str) {
        for (line, words) in (1..).zip(content.lines()) {
            if words.trim().is_empty() {
                continue;
            }
            match serde_json::from_str(words) {
                Ok(Value::Object(row)) => {
                    for column in row.keys() {
                        self.seen.entry(column.clone()).or_insert(Value::Null);
                    }
                    self.row(line, &row);
                }
                Ok(_) => self.fault(line, "is not a JSON object"),
                Err(error) => {
                    let (message, column) = (error.to_string(), error.column());
                    let message = message.split(" at line ").next().unwrap_or_default();
                    self.fault(line, format!("is not JSON: {message} at column {column}"));
                }
            }
        }
    }

    pub(super) fn csv(&mut self, content: &str) {
        let mut reader = csv::Reader::from_reader(content.as_bytes());
        let header = match reader.headers() {
            Ok(header) => header.clone(),
            Err(error) => return self.fault(1, error.to_string()),
        };
        let mut positions: HashMap<&str, usize> = HashMap::new();
        for (position, column) in header.iter().enumerate() {
            self.seen.entry(column).or_insert(Value::Null);
            positions.entry(column).or_insert(position);
        }
        let mut lines = Lines { content, byte: 0, line: 1 };
        for record in reader.records() {
            match record {
                Ok(record) => {
                    let line = lines.line_of(record.position());
                    let cell = |position: usize| record.get(position).unwrap_or_default().into();
                    let row =
                        positions.iter().map(|(column, position)| ((*column).to_owned(), cell(*position)));
                    self.row(line, &row.collect());
                }
                Err(error) => {
                    let line = lines.line_of(error.position());
                    let problem =
                        if let csv::ErrorKind::UnequalLengths { expected_len, len, .. } = error.kind() {
                            format!("has {len} fields, but the header has {expected_len}")
                        } else {
                            error.to_string()
                        };
                    self.fault(line, problem);
                }
            }
        }
    }

    fn row(&mut self, line: u64, row: &Map<String, Value>) {
        match self.labelled(row) {
            Ok(Some((text, labels))) => {
                self.texts.push(text);
                self.labels.push(labels);
            }
            Ok(None) => self.without_label += 1,
            Err(problem) => self.fault(line, problem),
        }
    }

    fn labelled(&self, row: &Map<String, Value>) -> Result<Option<(RequestText, Vec<String>)>, String> {
        let Some(labels) = labels(row, &self.columns.label, self.problem)? else {
            return Ok(None);
        };
        let title = words(row, self.columns.title.as_deref().unwrap_or(DEFAULT_TITLE_COLUMN))?;
        let text = words(row, &self.columns.text)?;
        let (title, text) = if text.trim().is_empty() { ("", title) } else { (title, text) };
        let text = RequestText::new(title, text).map_err(|error| error.to_string())?;
        Ok(Some((text, labels)))
    }

    fn fault(&mut self, line: u64, problem: impl Into<String>) {
        self.faults.push(RowFault { line, problem: problem.into() });
    }

    pub(super) fn finish(self, file: String) -> Result<LabelledRows, RowsError> {
        let asked = [Some(&self.columns.text), self.columns.title.as_ref(), Some(&self.columns.label)];
        if !self.seen.is_empty()
            && let Some(column) = asked.into_iter().flatten().find(|column| !self.seen.contains_key(*column))
        {
            let columns = self.seen.keys().cloned().collect();
            return Err(RowsError::MissingColumn { file, column: column.clone(), columns });
        }
        if !self.faults.is_empty() {
            return Err(RowsError::Broken { file, faults: self.faults });
        }
        if self.texts.is_empty() {
            return Err(RowsError::NoLabel {
                file,
                column: self.columns.label.clone(),
                rows: self.without_label,
            });
        }
        let gold = match self.problem {
            Problem::SingleLabelClassification => {
                GoldLabels::One(self.labels.into_iter().flatten().collect())
            }
            Problem::MultiLabelClassification => GoldLabels::Many(self.labels),
        };
        Ok(LabelledRows::new(self.texts, gold, self.without_label))
    }
}

/// Counts the lines of a CSV file up to its records.
///
/// The reader's own count is not of use: it takes a record to start right behind the `\r` of the one before, and so on
/// the line of that one, and leaves empty lines out.
struct Lines<'a> {
    content: &'a str,
    byte: usize,
    line: u64,
}

impl Lines<'_> {
    /// The line that a record starts on; records come in the order of the file.
    fn line_of(&mut self, position: Option<&csv::Position>) -> u64 {
        let bytes = self.content.as_bytes();
        let mut start = position.map_or(self.byte, |position| position.byte() as usize).max(self.byte);
        while matches!(bytes.get(start), Some(b'\r' | b'\n')) {
            start += 1;
        }
        self.line += bytes[self.byte..start].split(|byte| *byte == b'\n').skip(1).count() as u64;
        self.byte = start;
        self.line
    }
}

/// The words in a column; none if it is missing or null.
fn words<'a>(row: &'a Map<String, Value>, column: &str) -> Result<&'a str, String> {
    match row.get(column) {
        None | Some(Value::Null) => Ok(""),
        Some(Value::String(words)) => Ok(words),
        Some(other) => Err(format!("`{column}` holds {}, not a text", kind(other))),
    }
}

/// The labels in a column: exactly one for a single-label problem; `None` for a row without a label.
fn labels(row: &Map<String, Value>, column: &str, problem: Problem) -> Result<Option<Vec<String>>, String> {
    let value = match row.get(column) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(words)) if words.trim().is_empty() => return Ok(None),
        Some(value) => value,
    };
    match problem {
        Problem::SingleLabelClassification => label(value)
            .map(|label| Some(vec![label]))
            .ok_or_else(|| format!("`{column}` holds {}, not one label", kind(value))),
        Problem::MultiLabelClassification => {
            // A cell of a CSV file holds the list as text.
            let cell = value.as_str().and_then(|words| serde_json::from_str(words).ok());
            let list = cell.as_ref().unwrap_or(value);
            list.as_array().and_then(|list| list.iter().map(label).collect()).map(Some).ok_or_else(|| {
                format!("`{column}` holds {}, not a JSON list of labels, as [\"a\", \"b\"]", kind(list))
            })
        }
    }
}

fn label(value: &Value) -> Option<String> {
    match value {
        Value::String(label) => Some(label.trim().to_owned()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
