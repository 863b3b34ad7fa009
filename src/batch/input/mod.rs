//! The input of a job: which files, what they are, and which of their columns hold what.

use std::io;
use std::path::{Path, PathBuf};

use datafusion::arrow::datatypes::{DataType, Field, Fields};
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use datafusion::parquet::errors::ParquetError;
use serde::{Deserialize, Serialize};

mod columns;
mod find;
mod remote;

pub use columns::{NamedColumns, Roles};
pub use find::{InputFile, find};

use super::json_field::{is_json, with_json};
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
    #[error("`{input}` holds no file that can be read; it may be {}", find::KNOWN)]
    NoFile {
        /// What was typed.
        input: String,
    },
    /// A column that was named is not there.
    #[error("`{file}` has no column `{column}`\nhint: its columns are {}", list(columns))]
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
        list(columns)
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
    /// Files without a row.
    pub empty: Vec<String>,
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
        let mut inputs = Self { tables: Vec::new(), empty: Vec::new() };
        for file in files {
            let tables = survey(file, named)?;
            if tables.is_empty() {
                inputs.empty.push(file.name.clone());
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

fn survey(input: &InputFile, named: &NamedColumns) -> Result<Vec<InputTable>, InputError> {
    let file = input.path.as_path();
    let sha256 = rows::digest(file)?;
    let known = if find::has_extension(file, &["parquet"]) {
        vec![parquet(file)?]
    } else {
        rows::survey(file)?
            .into_iter()
            .map(|survey| (Content::Rows(survey.source.layout), fields(&survey.columns), survey.rows))
            .collect()
    };
    let with_rows = known.into_iter().filter(|(_, _, rows)| *rows > 0);
    with_rows
        .map(|(content, fields, rows)| {
            let roles = Roles::find(file, &fields, named)?;
            Ok(InputTable {
                name: input.name.clone(),
                file: file.to_owned(),
                content,
                fields,
                roles,
                rows,
                sha256: sha256.clone(),
            })
        })
        .collect()
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
    Ok((Content::Parquet, reader.schema().fields().clone(), rows.unsigned_abs()))
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

fn list(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
