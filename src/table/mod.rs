//! Tables of labelled requests, to train or to evaluate on: JSON lines or CSV, one map of columns a row.
//!
//! Both formats are UTF-8; a byte-order mark is skipped. No row is skipped in silence: what cannot be read is told with
//! file and line, all broken rows at once.

use std::path::{Path, PathBuf};

use rayon::iter::Either;
use rayon::prelude::*;
use serde_json::Value;
use sha2::{Digest, Sha256};

mod row;

pub use row::{Labels, Row};

use crate::message::quoted;

/// How many broken rows an error shows.
const SHOWN_FAULTS: usize = 10;

/// Why a file cannot be used.
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
    #[error("`{path}` is neither .jsonl (.ndjson) nor .csv\nhint: save a spreadsheet as CSV UTF-8")]
    Format {
        /// The file.
        path: PathBuf,
    },
    /// Some other encoding, most often GBK or UTF-16.
    #[error("{path}:{line}: the text is not UTF-8\nhint: convert it first, `iconv -f {guess} -t UTF-8`")]
    Encoding {
        /// The file.
        path: PathBuf,
        /// The first line that is not UTF-8.
        line: usize,
        /// The encoding that the file may have, as `iconv` names it.
        guess: &'static str,
    },
    /// No row at all.
    #[error("`{path}` has no rows")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// No row has such a column.
    #[error("`{path}` has no column `{column}`\nhint: its columns are {}", quoted(columns))]
    MissingColumn {
        /// The file.
        path: PathBuf,
        /// The column that was asked for.
        column: String,
        /// The columns that there are.
        columns: Vec<String>,
    },
    /// Rows that cannot be used.
    #[error("{}", told(path, faults))]
    Broken {
        /// The file.
        path: PathBuf,
        /// At least one fault.
        faults: Vec<RowFault>,
    },
}

/// What is wrong with one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowFault {
    /// The line that the row starts on, counted from 1.
    pub line: u64,
    /// What is wrong, without the citizen's words.
    pub problem: String,
}

/// A file's rows in order.
#[derive(Debug)]
pub struct Table {
    path: PathBuf,
    digest: String,
    /// In the order of their first occurrence.
    columns: Vec<String>,
    lines: Vec<Line>,
}

/// A row, or what is wrong with it, and the line that it starts on.
#[derive(Debug)]
struct Line {
    number: u64,
    row: Result<Row, String>,
}

impl Table {
    /// Reads a file; `.jsonl` and `.ndjson` hold one object a line, `.csv` has a header.
    ///
    /// Rows that are broken are told by [`map_rows`](Self::map_rows), together with those that its caller cannot use.
    ///
    /// # Errors
    /// If the file cannot be read, is no UTF-8 JSON lines or CSV, or has no rows.
    pub fn read(path: &Path) -> Result<Self, TableError> {
        let owned = || path.to_owned();
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        let lines_of = match extension.to_ascii_lowercase().as_str() {
            "jsonl" | "ndjson" => json_lines,
            "csv" => csv_lines,
            _ => return Err(TableError::Format { path: owned() }),
        };
        let bytes = std::fs::read(path).map_err(|source| TableError::Read { path: owned(), source })?;
        let content =
            decode(&bytes).map_err(|(line, guess)| TableError::Encoding { path: owned(), line, guess })?;
        let mut columns = Vec::new();
        let lines = lines_of(content, &mut columns);
        if lines.is_empty() {
            return Err(TableError::Empty { path: owned() });
        }
        Ok(Self { path: owned(), digest: hex::encode(Sha256::digest(&bytes)), columns, lines })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// SHA-256 of the file, hexadecimal.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Checks that the file has some columns; rows need not have all of them.
    ///
    /// # Errors
    /// If no row has one of them. Of a file without a readable row that cannot be said.
    pub fn require_columns(
        &self,
        columns: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<(), TableError> {
        let has = |column: &str| self.columns.iter().any(|known| known == column);
        match columns.into_iter().find(|column| !has(column.as_ref())) {
            Some(column) if !self.columns.is_empty() => Err(TableError::MissingColumn {
                path: self.path.clone(),
                column: column.as_ref().to_owned(),
                columns: self.columns.clone(),
            }),
            Some(_) | None => Ok(()),
        }
    }

    /// Makes something of every row, in order.
    ///
    /// # Errors
    /// If there are rows that could not be read, or of which `read` says what is wrong with them.
    pub fn map_rows<T: Send>(
        &self,
        read: impl Fn(&Row) -> Result<T, String> + Sync,
    ) -> Result<Vec<T>, TableError> {
        let (values, faults): (Vec<T>, Vec<RowFault>) =
            self.lines.par_iter().partition_map(|line| {
                match line.row.as_ref().map_err(String::clone).and_then(&read) {
                    Ok(value) => Either::Left(value),
                    Err(problem) => Either::Right(RowFault { line: line.number, problem }),
                }
            });
        if faults.is_empty() {
            Ok(values)
        } else {
            Err(TableError::Broken { path: self.path.clone(), faults })
        }
    }
}

/// The text of a file; if it is not UTF-8, the first line that is not and a guess of the encoding.
fn decode(bytes: &[u8]) -> Result<&str, (usize, &'static str)> {
    let content = std::str::from_utf8(bytes).map_err(|error| {
        let line = bytes[..error.valid_up_to()].split(|byte| *byte == b'\n').count();
        let utf16 = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
        (line, if utf16 { "UTF-16" } else { "GB18030" })
    })?;
    Ok(content.strip_prefix('\u{feff}').unwrap_or(content))
}

fn json_lines(content: &str, columns: &mut Vec<String>) -> Vec<Line> {
    let filled = (1..).zip(content.lines()).filter(|(_, words)| !words.trim().is_empty());
    let lines: Vec<Line> = filled.map(|(number, words)| Line { number, row: json_row(words) }).collect();
    for row in lines.iter().flat_map(|line| &line.row) {
        for column in row.0.keys() {
            if !columns.contains(column) {
                columns.push(column.clone());
            }
        }
    }
    lines
}

fn json_row(words: &str) -> Result<Row, String> {
    match serde_json::from_str(words) {
        Ok(Value::Object(row)) => Ok(Row(row)),
        Ok(_) => Err("is not a JSON object".to_owned()),
        Err(error) => {
            let (message, column) = (error.to_string(), error.column());
            let message = message.split(" at line ").next().unwrap_or_default();
            Err(format!("is not JSON: {message} at column {column}"))
        }
    }
}

fn csv_lines(content: &str, columns: &mut Vec<String>) -> Vec<Line> {
    let mut reader = csv::Reader::from_reader(content.as_bytes());
    let mut numbers = LineNumbers { content, byte: 0, line: 1 };
    // Neither reading nor decoding can fail here, and a header has no length to keep to.
    columns.extend(reader.headers().into_iter().flatten().map(str::to_owned));
    let row = |record: &csv::StringRecord| {
        let mut row = serde_json::Map::new();
        for (column, cell) in columns.iter().zip(record) {
            // Of columns with the same name the first counts.
            row.entry(column).or_insert_with(|| cell.into());
        }
        Row(row)
    };
    let line = |record: csv::Result<csv::StringRecord>| match record {
        Ok(record) => Line { number: numbers.line_of(record.position()), row: Ok(row(&record)) },
        Err(error) => Line {
            number: numbers.line_of(error.position()),
            row: Err(if let csv::ErrorKind::UnequalLengths { expected_len, len, .. } = error.kind() {
                format!("has {len} fields, but the header has {expected_len}")
            } else {
                error.to_string()
            }),
        },
    };
    reader.into_records().map(line).collect()
}

/// Counts the lines of a CSV file up to its records.
///
/// The reader's own count is not of use: it takes a record to start right behind the `\r` of the one before, and so on
/// the line of that one, and leaves empty lines out.
struct LineNumbers<'a> {
    content: &'a str,
    byte: usize,
    line: u64,
}

impl LineNumbers<'_> {
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

fn told(path: &Path, faults: &[RowFault]) -> String {
    let told = |RowFault { line, problem }: &RowFault| format!("{}:{line}: {problem}", path.display());
    let mut lines: Vec<_> = faults.iter().take(SHOWN_FAULTS).map(told).collect();
    if faults.len() > SHOWN_FAULTS {
        lines.push(format!("and {} more broken rows", faults.len() - SHOWN_FAULTS));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str, content: impl AsRef<[u8]>) -> Result<Table, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        let name = |error: TableError| error.to_string().replace(path.to_str().unwrap(), name);
        Table::read(&path).map_err(name)
    }

    /// What is told of a table whose rows need a text `text`.
    fn faults(name: &str, content: impl AsRef<[u8]>) -> String {
        let table = Table { path: name.into(), ..table(name, content).unwrap() };
        let words = |row: &Row| row.words("text").map(|_| ());
        table.map_rows(words).unwrap_err().to_string()
    }

    #[test]
    fn both_formats_say_the_same() {
        let json = table("a.jsonl", "{\"text\": \"路灯不亮\", \"risks\": [\"a\", \"b\"], \"n\": 7}\n\n");
        let csv = table("a.csv", "\u{feff}text,risks,n\n\"路灯不亮\",a; b,7\n");
        for (table, separated) in [(json.unwrap(), false), (csv.unwrap(), true)] {
            let values = table.map_rows(|row| {
                assert_eq!(row.words("text")?, "路灯不亮");
                assert_eq!(row.labels("risks", separated)?, Some(Labels::Many(vec!["a".into(), "b".into()])));
                assert_eq!(row.labels("missing", separated)?, None);
                row.value("n")
            });
            assert_eq!(values.unwrap(), [Some("7".to_owned())]);
        }
    }

    #[test]
    fn knows_the_digest_of_the_file() {
        // printf '{}' | sha256sum
        let digest = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
        assert_eq!(table("a.ndjson", "{}").unwrap().digest(), digest);
    }

    #[test]
    fn tells_every_broken_json_row_without_its_words() {
        let content =
            "{\"text\": \"好的\"}\n{\"text\": \"坏\n\"一句话\"\n{\"text\": 3}\n\n{\"text\": [\"好\"]}";
        let error = faults("rows.jsonl", content);
        let lines: Vec<_> = error.lines().collect();
        assert_eq!(lines.len(), 4, "{error}");
        assert!(
            lines[0].starts_with("rows.jsonl:2: is not JSON: EOF while parsing a string at column"),
            "{error}"
        );
        assert_eq!(lines[1], "rows.jsonl:3: is not a JSON object");
        assert_eq!(lines[2], "rows.jsonl:4: `text` holds a number, not a text");
        assert_eq!(lines[3], "rows.jsonl:6: `text` holds a list, not a text");
    }

    #[test]
    fn tells_a_csv_row_with_too_few_fields_and_counts_what_it_does_not_show() {
        let error = faults("rows.csv", "text,label\n一,a\n二\n");
        assert_eq!(error, "rows.csv:3: has 1 fields, but the header has 2");
        let error = faults("rows.csv", "text,label\r\n\"一\n二\",a\r\n\r\n三\r\n");
        assert_eq!(
            error, "rows.csv:5: has 1 fields, but the header has 2",
            "after a line break and an empty line"
        );
        let error = faults("rows.csv", format!("text,label\n{}", "二\n".repeat(12)));
        assert!(
            error.ends_with("rows.csv:11: has 1 fields, but the header has 2\nand 2 more broken rows"),
            "{error}"
        );
    }

    #[test]
    fn names_a_column_that_no_row_has() {
        let table = table("a.jsonl", "{\"id\": 1}\n{\"id\": 2, \"text\": \"一\"}\n[]").unwrap();
        table.require_columns(&["text".to_owned(), "id".to_owned()]).unwrap();
        let error = table.require_columns(&["id".to_owned(), "label".to_owned()]).unwrap_err().to_string();
        assert!(error.ends_with("has no column `label`\nhint: its columns are `id`, `text`"), "{error}");
    }

    #[test]
    fn refuses_other_encodings_and_formats_with_a_way_out() {
        // 诉求 in GBK.
        let error = table("rows.csv", b"text,label\n\xcb\xdf\xc7\xf3,a\n").unwrap_err();
        assert_eq!(
            error,
            "rows.csv:2: the text is not UTF-8\nhint: convert it first, `iconv -f GB18030 -t UTF-8`"
        );
        assert!(table("rows.csv", b"\xff\xfet\0e\0").unwrap_err().contains("-f UTF-16"));
        assert!(table("rows.xlsx", "").unwrap_err().contains("hint: save a spreadsheet as CSV UTF-8"));
        assert!(table("rows", "").is_err());
        let missing = Table::read(Path::new("no/such.csv")).unwrap_err().to_string();
        assert!(missing.starts_with("cannot read `no/such.csv`: "), "{missing}");
    }

    #[test]
    fn refuses_a_file_without_rows() {
        for (name, content) in [("a.jsonl", "\n"), ("a.csv", ""), ("a.csv", "text,label\n")] {
            assert_eq!(table(name, content).unwrap_err(), format!("`{name}` has no rows"));
        }
    }
}
