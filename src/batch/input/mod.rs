//! The input of a job: which files, what they are, and which of their columns hold what.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use datafusion::arrow::datatypes::{DataType, Field, Fields};
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use datafusion::parquet::errors::ParquetError;
use serde::{Deserialize, Serialize};

mod columns;
mod extension;
mod find;
mod remote;

pub use columns::{NamedColumns, Roles};
pub use find::{InputFile, find};
pub(super) use remote::is_remote;

use super::json_field::{is_json, with_json};
use crate::message::quoted;
use crate::rows::{self, Layout, ReadError, Source};

/// A table of the input: a text file, a sheet of a workbook, or a Parquet file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputTable {
    /// The file as people know it.
    pub name: String,
    /// Where it is on this machine.
    pub file: PathBuf,
    /// How it is read.
    pub content: Content,
    /// Its columns.
    pub fields: Fields,
    /// Which of them hold what.
    pub roles: Roles,
    /// How many rows it has, broken ones included.
    pub rows: u64,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
}

/// How a table is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// Row by row.
    Rows(Layout),
    /// As Apache Parquet.
    Parquet,
}

/// Why there is nothing to classify.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// A text file or a workbook cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A Parquet file cannot be read.
    #[error(
        "cannot read `{file}` as Parquet: {source}\nhint: if it was copied, compare its size with the original"
    )]
    Parquet {
        /// The file.
        file: PathBuf,
        /// What the reader says.
        source: ParquetError,
    },
    /// The system cannot open a file or a folder.
    #[error("cannot read `{path}`: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Not a pattern.
    #[error("`{pattern}` is no pattern of files: {problem}")]
    Pattern {
        /// What was typed.
        pattern: String,
        /// What is wrong.
        problem: String,
    },
    /// An object store does not give what is asked for.
    #[error("cannot read `{input}`: {problem}\nhint: {hint}")]
    Remote {
        /// What was typed.
        input: String,
        /// What is wrong.
        problem: String,
        /// What to do.
        hint: &'static str,
    },
    /// A folder or a pattern without files that can be read.
    #[error("`{input}` holds no file that can be read; it may be {}", extension::KNOWN)]
    NoFile {
        /// What was typed.
        input: String,
    },
    /// A column that was named is not there.
    #[error("`{file}` has no column `{column}`\nhint: its columns are {}", quoted(columns))]
    NoColumn {
        /// The file.
        file: PathBuf,
        /// The column.
        column: String,
        /// Those that there are.
        columns: Vec<String>,
    },
    /// No column has a name that columns of citizens' words usually have.
    #[error(
        "`{file}` has no column that is known to hold the citizens' words\nhint: name it, `--text-column COLUMN`; its columns are {}",
        quoted(columns)
    )]
    NoText {
        /// The file.
        file: PathBuf,
        /// The columns that there are.
        columns: Vec<String>,
    },
    /// The column of the words holds numbers or the like.
    #[error(
        "column `{column}` of `{file}` holds {data_type}, not text\nhint: name another, `--text-column COLUMN`"
    )]
    NotText {
        /// The file.
        file: PathBuf,
        /// The column.
        column: String,
        /// What it holds.
        data_type: DataType,
    },
    /// Nothing in any of the files.
    #[error("there is no row in the input")]
    NoRow,
}

/// All tables of a job, in order.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// Tables that have rows.
    pub tables: Vec<InputTable>,
    /// What is left out and why: files without a row, sheets without words, titles above a header.
    pub left_out: Vec<String>,
}

impl Inputs {
    /// Reads files from end to end, to know what they are; `seen` is told of each that is done.
    ///
    /// # Errors
    /// If a file cannot be read, or has no column of words.
    pub fn survey(
        files: &[InputFile],
        named: &NamedColumns,
        mut seen: impl FnMut(&InputFile),
    ) -> Result<Self, InputError> {
        let mut inputs = Self { tables: Vec::new(), left_out: Vec::new() };
        for file in files {
            let tables = survey(file, named, &mut inputs.left_out)?;
            if tables.is_empty() {
                inputs.left_out.push(format!("`{}` has no rows", file.name));
            }
            inputs.tables.extend(tables);
            seen(file);
        }
        if inputs.tables.is_empty() { Err(InputError::NoRow) } else { Ok(inputs) }
    }

    /// How many rows there are.
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|table| table.rows).sum()
    }
}

fn survey(
    input: &InputFile,
    named: &NamedColumns,
    left_out: &mut Vec<String>,
) -> Result<Vec<InputTable>, InputError> {
    let file = input.path.as_path();
    let sha256 = rows::digest(file)?;
    let known = if extension::has_extension(file, &["parquet"]) {
        vec![parquet(file)?]
    } else {
        rows::survey(file)?
            .into_iter()
            .inspect(|survey| {
                if survey.title_rows > 0 && survey.rows > 0 {
                    left_out.push(format!(
                        "the title of `{}`, {} rows above the header",
                        input.name, survey.title_rows
                    ));
                }
            })
            .map(|survey| (Content::Rows(survey.source.layout), fields(&survey.columns), survey.rows))
            .collect()
    };
    let with_rows: Vec<_> = known.into_iter().filter(|(_, _, rows)| *rows > 0).collect();
    let several = with_rows.len() > 1;
    let found = with_rows.into_iter().map(|(content, fields, rows)| {
        let name = match &content {
            Content::Rows(Layout::Sheet { name }) if several => format!("{}#{name}", input.name),
            Content::Rows(_) | Content::Parquet => input.name.clone(),
        };
        let roles = Roles::find(Path::new(&name), &fields, named)?;
        let (file, sha256) = (file.to_owned(), sha256.clone());
        Ok(InputTable { name, file, content, fields, roles, rows, sha256 })
    });
    let mut found: Vec<Result<InputTable, InputError>> = found.collect();
    if found.iter().any(Result::is_ok) {
        // Beside a sheet of records stand others: explanations, lists to choose from.
        found.retain(|table| match table {
            Ok(_) => true,
            Err(error) => {
                left_out.push(error.to_string().lines().next().unwrap_or_default().to_owned());
                false
            }
        });
    }
    found.into_iter().collect()
}

fn fields(columns: &[rows::Column]) -> Fields {
    let field = |column: &rows::Column| {
        let field = Field::new(&column.name, DataType::Utf8, true);
        if column.json { with_json(field) } else { field }
    };
    columns.iter().map(field).collect()
}

fn parquet(file: &Path) -> Result<(Content, Fields, u64), InputError> {
    let opened =
        std::fs::File::open(file).map_err(|source| InputError::Io { path: file.to_owned(), source })?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(opened)
        .map_err(|source| InputError::Parquet { file: file.to_owned(), source })?;
    let rows = reader.metadata().file_metadata().num_rows();
    Ok((Content::Parquet, distinct(reader.schema().fields()), rows.unsigned_abs()))
}

/// The fields, those with a name that stood before renamed as a spreadsheet would.
fn distinct(fields: &Fields) -> Fields {
    let mut names = HashSet::new();
    let fields = fields.iter().map(|field| {
        let numbered = (2..).map(|number| format!("{}_{number}", field.name()));
        let free = std::iter::once(field.name().clone()).chain(numbered).find(|name| !names.contains(name));
        let name = free.unwrap_or_default();
        names.insert(name.clone());
        field.as_ref().clone().with_name(name)
    });
    fields.collect()
}

impl InputTable {
    /// Where its rows are, if it is read row by row.
    pub(super) fn source(&self) -> Option<Source> {
        match &self.content {
            Content::Rows(layout) => Some(Source { path: self.file.clone(), layout: layout.clone() }),
            Content::Parquet => None,
        }
    }

    /// Its columns, if it is read row by row.
    pub(super) fn columns(&self) -> Vec<rows::Column> {
        let column =
            |field: &std::sync::Arc<Field>| rows::Column { name: field.name().clone(), json: is_json(field) };
        self.fields.iter().map(column).collect()
    }
}
