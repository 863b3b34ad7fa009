//! Tabular files row by row: CSV and its kin, JSON lines, and sheets of Excel workbooks.
//!
//! Files may be larger than the memory and older than UTF-8. [`survey`] reads a file once from end to end to say what
//! it is; [`read`] then gives exactly as many entries as the survey has counted, in the order of the file, and the
//! same ones each time. Every line below the header that is not blank is in one of them: what cannot be read is an entry as
//! well, with its own bytes, and one broken row never costs another. A title above the header is counted and passed over.
//! What the cells mean is left to the caller.

use std::path::{Path, PathBuf};

use encoding_rs::{Encoding, UTF_8};
use serde::{Deserialize, Serialize};

mod cell;
mod delimited;
mod digest;
mod encoding;
mod error;
mod format;
mod header;
mod json_lines;
mod lines;
mod record;
mod sheet;
mod utf16;

pub use digest::digest;
pub use error::ReadError;

use format::Format;

/// Most rows above a header that are a title.
const MAX_TITLE_ROWS: usize = 5;

/// More columns than this no table has: names must be data.
const MAX_COLUMNS: usize = 10_000;

/// One table of rows: a text file, or one sheet of a workbook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The file.
    pub path: PathBuf,
    /// How the table is written.
    pub layout: Layout,
}

/// How a table is written in its file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// A header, and a record a row.
    Delimited {
        /// Its name in the WHATWG's list, such as `gb18030` or `UTF-8`.
        encoding: String,
        /// What keeps fields apart.
        delimiter: char,
    },
    /// An object a line.
    JsonLines {
        /// Its name in the WHATWG's list.
        encoding: String,
    },
    /// A sheet of a workbook.
    Sheet {
        /// Its name.
        name: String,
    },
}

impl Layout {
    /// The name of the sheet, if it is one.
    pub fn sheet(&self) -> Option<&str> {
        match self {
            Self::Sheet { name } => Some(name),
            Self::Delimited { .. } | Self::JsonLines { .. } => None,
        }
    }
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name; no two columns of a table have the same.
    pub name: String,
    /// Whether its cells hold JSON as it is written in the file, rather than text.
    pub json: bool,
}

/// What a table is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Survey {
    /// Where it is.
    pub source: Source,
    /// In the order of the file.
    pub columns: Vec<Column>,
    /// How many rows it has, broken ones included.
    pub rows: u64,
    /// How many rows above the header are a title.
    pub title_rows: usize,
}

/// A row, or what there is instead of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The line, or the sheet's row, that it starts on, counted from 1.
    pub line: u64,
    /// The cells in the order of the columns. An empty cell is none, except an empty text in JSON.
    pub row: Result<Vec<Option<String>>, BrokenRow>,
}

/// A row that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenRow {
    /// What is wrong, without the citizen's words.
    pub problem: String,
    /// The row's own bytes as they stand in the file, without its line end; of a line that is longer than 16 MiB its
    /// start; of a sheet's row a JSON array of its cells.
    pub raw: Vec<u8>,
}

/// The rows of a table in order. An error is the last item.
pub type Rows = Box<dyn Iterator<Item = Result<Entry, ReadError>> + Send>;

/// Reads a file from end to end: what tables it holds, their columns, and how many rows they have.
///
/// A text file is one table, even if it is empty. Of a workbook each sheet is one, unless it has no rows.
///
/// # Errors
/// If the file cannot be read, or is of a format that cannot be.
pub fn survey(path: &Path) -> Result<Vec<Survey>, ReadError> {
    match Format::of(path)? {
        Format::Delimited => delimited::survey(path).map(|survey| vec![survey]),
        Format::JsonLines => json_lines::survey(path).map(|survey| vec![survey]),
        Format::Workbook => sheet::survey(path),
    }
}

/// Reads the rows of a table; `columns` are those of its survey.
///
/// # Errors
/// If the file cannot be read, or does not fit the description. What is seen only later is an item of the rows.
pub fn read(source: &Source, columns: &[Column]) -> Result<Rows, ReadError> {
    let path = &source.path;
    match &source.layout {
        Layout::Delimited { encoding, delimiter } => delimited::read(path, encoding, *delimiter, columns),
        Layout::JsonLines { encoding } => json_lines::read(path, encoding, columns),
        Layout::Sheet { name } => sheet::read(path, name, columns),
    }
}

/// A broken row as text, and its bytes in hexadecimal where the text does not tell them all.
pub fn told(layout: &Layout, raw: &[u8]) -> (String, Option<String>) {
    let label = match layout {
        Layout::Delimited { encoding, .. } | Layout::JsonLines { encoding } => encoding,
        Layout::Sheet { .. } => "UTF-8",
    };
    let encoding = Encoding::for_label(label.as_bytes()).unwrap_or(UTF_8);
    let (text, lossy) = encoding.decode_without_bom_handling(raw);
    (text.into_owned(), lossy.then(|| hex::encode(raw)))
}

/// Rows that end with the first error.
fn until_error(mut next: impl FnMut() -> Option<Result<Entry, ReadError>> + Send + 'static) -> Rows {
    let mut is_over = false;
    Box::new(std::iter::from_fn(move || {
        let item = if is_over { None } else { next() };
        is_over = !matches!(item, Some(Ok(_)));
        item
    }))
}

#[cfg(test)]
mod tests;
