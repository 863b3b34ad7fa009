//! Tables of labelled requests, to train or to evaluate on: one map of columns a row, from any file that
//! [`rows`] reads, and with the feature `batch` from Parquet.
//!
//! No row is skipped in silence: what cannot be read is told with file and line, all broken rows at once.

use std::path::{Path, PathBuf};

use rayon::iter::Either;
use rayon::prelude::*;
use serde_json::Map;

#[cfg(feature = "batch")]
mod parquet;
mod row;

pub use row::{Labels, Row};

use crate::message::quoted;
use crate::rows::{self, Column, Entry, Layout, ReadError, Survey};

/// How many broken rows an error shows.
const SHOWN_FAULTS: usize = 10;

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The file cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A Parquet file cannot be read.
    #[error("cannot read `{path}` as Parquet: {problem}\nhint: {hint}")]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What the reader says.
        problem: String,
        /// What to do.
        hint: &'static str,
    },
    /// A workbook with several tables: which one is meant nobody can say.
    #[error(
        "`{path}` has rows in several sheets: {}\nhint: save the one that is meant by itself",
        quoted(sheets)
    )]
    Sheets {
        /// The file.
        path: PathBuf,
        /// The sheets that have rows.
        sheets: Vec<String>,
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
    /// In the order of the file.
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
    /// Reads a file: delimited text, JSON lines or a workbook with one sheet that has rows; with the feature `batch` also
    /// Parquet.
    ///
    /// Rows that are broken are told by [`map_rows`](Self::map_rows), together with those that its caller cannot use.
    ///
    /// # Errors
    /// If the file cannot be read, or has no rows.
    pub fn read(path: &Path) -> Result<Self, TableError> {
        let is_parquet = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("parquet"));
        let (columns, lines) = if is_parquet { read_parquet(path)? } else { read_rows(path)? };
        if lines.is_empty() {
            return Err(TableError::Empty { path: path.to_owned() });
        }
        Ok(Self { path: path.to_owned(), digest: rows::digest(path)?, columns, lines })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// SHA-256 of the file, hexadecimal.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Its columns, in the order of the file.
    pub fn columns(&self) -> &[String] {
        &self.columns
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

#[cfg(feature = "batch")]
fn read_parquet(path: &Path) -> Result<(Vec<String>, Vec<Line>), TableError> {
    parquet::read(path)
}

#[cfg(not(feature = "batch"))]
fn read_parquet(path: &Path) -> Result<(Vec<String>, Vec<Line>), TableError> {
    let problem = "this program was built without it".to_owned();
    Err(TableError::Parquet { path: path.to_owned(), problem, hint: "build it with `--features batch`" })
}

fn read_rows(path: &Path) -> Result<(Vec<String>, Vec<Line>), TableError> {
    let mut with_rows: Vec<Survey> =
        rows::survey(path)?.into_iter().filter(|survey| survey.rows > 0).collect();
    if with_rows.len() > 1 {
        let sheets =
            with_rows.iter().map(|survey| survey.source.layout.sheet().unwrap_or_default().to_owned());
        return Err(TableError::Sheets { path: path.to_owned(), sheets: sheets.collect() });
    }
    let Some(Survey { source, columns, .. }) = with_rows.pop() else { return Ok((Vec::new(), Vec::new())) };
    // In a grid a cell that is left empty says so: a list without labels, not a missing one.
    let is_grid = !matches!(source.layout, Layout::JsonLines { .. });
    let lines = rows::read(&source, &columns)?.map(|entry| Ok(line(&columns, is_grid, entry?)));
    let lines = lines.collect::<Result<_, ReadError>>()?;
    Ok((columns.into_iter().map(|column| column.name).collect(), lines))
}

fn line(columns: &[Column], is_grid: bool, Entry { line, row }: Entry) -> Line {
    let row = row.map_err(|broken| broken.problem).and_then(|cells| {
        let mut row = Map::new();
        for (Column { name, json }, cell) in columns.iter().zip(cells) {
            let value = match cell {
                Some(cell) if *json => {
                    serde_json::from_str(&cell).map_err(|error| format!("`{name}` is not JSON: {error}"))?
                }
                Some(cell) => cell.into(),
                None if is_grid => "".into(),
                None => continue,
            };
            row.insert(name.clone(), value);
        }
        Ok(Row(row))
    });
    Line { number: line, row }
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
    fn a_value_that_is_nested_without_end_breaks_its_row_alone() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let error = faults("rows.jsonl", format!("{{\"text\": \"好\", \"n\": 1}}\n{{\"n\": {deep}}}"));
        assert!(error.starts_with("rows.jsonl:2: `n` is not JSON: recursion limit exceeded"), "{error}");
        assert_eq!(error.lines().count(), 1);
    }

    #[test]
    fn names_a_column_that_no_row_has() {
        let table = table("a.jsonl", "{\"id\": 1}\n{\"id\": 2, \"text\": \"一\"}\n[]").unwrap();
        table.require_columns(&["text".to_owned(), "id".to_owned()]).unwrap();
        let error = table.require_columns(&["id".to_owned(), "label".to_owned()]).unwrap_err().to_string();
        assert!(error.ends_with("has no column `label`\nhint: its columns are `id`, `text`"), "{error}");
    }

    #[test]
    fn other_encodings_and_workbooks_are_read() {
        // 诉求 in GBK.
        let gbk = table("rows.csv", b"text,label\n\xcb\xdf\xc7\xf3,a\n").unwrap();
        assert_eq!(gbk.map_rows(|row| Ok(row.words("text")?.to_owned())).unwrap(), ["诉求"]);
        let workbook = |sheets: &[&str]| {
            let mut book = rust_xlsxwriter::Workbook::new();
            for name in sheets {
                let sheet = book.add_worksheet().set_name(*name).unwrap();
                for (row, [text, label]) in [["text", "label"], ["路灯不亮", "a"]].into_iter().enumerate()
                {
                    sheet.write(row as u32, 0, text).unwrap().write(row as u32, 1, label).unwrap();
                }
            }
            table("rows.xlsx", book.save_to_buffer().unwrap())
        };
        let one = workbook(&["一"]).unwrap();
        assert_eq!(one.map_rows(|row| Ok(row.words("text")?.to_owned())).unwrap(), ["路灯不亮"]);
        let error = workbook(&["一", "二"]).unwrap_err();
        assert_eq!(
            error,
            "`rows.xlsx` has rows in several sheets: `一`, `二`\nhint: save the one that is meant by itself"
        );
    }

    #[test]
    fn refuses_other_formats_with_a_way_out() {
        assert!(table("rows.xls", "").unwrap_err().contains("hint: open it in a spreadsheet program"));
        assert!(table("rows", "").is_err());
        let missing = Table::read(Path::new("no/such.csv")).unwrap_err().to_string();
        assert!(missing.starts_with("cannot read `no/such.csv`: "), "{missing}");
        let parquet = table("rows.parquet", "text").unwrap_err();
        assert!(parquet.starts_with("cannot read `rows.parquet` as Parquet: "), "{parquet}");
        assert!(parquet.contains("\nhint: "), "{parquet}");
    }

    #[test]
    fn refuses_a_file_without_rows() {
        for (name, content) in [("a.jsonl", "\n"), ("a.csv", ""), ("a.csv", "text,label\n")] {
            assert_eq!(table(name, content).unwrap_err(), format!("`{name}` has no rows"));
        }
    }
}
