//! Evaluation rows: texts with the labels that they should get, from any file that [`table`](crate::table) reads.
//!
//! A row whose label is missing, null or empty is left out and counted. A row with an empty text but a title is read
//! with the title as its text.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::classifier::Problem;
use crate::request::RequestText;
use crate::table::{Labels, Row, Table, TableError};

mod slice;

pub use slice::SliceColumn;

/// The title column, where none is named.
const DEFAULT_TITLE_COLUMN: &str = "title";
/// The column of ids, where none is named.
const DEFAULT_ID_COLUMN: &str = "id";

/// A column to slice by has at most so many values.
const MAX_SLICES: usize = 1000;

/// Which columns (keys, in JSON) of a file hold what.
#[derive(Debug, Clone, Default)]
pub struct Columns {
    /// The citizen's words.
    pub text: String,
    /// The title. A named column must exist; otherwise `title` is used where there is one.
    pub title: Option<String>,
    /// What a row is called. A named column must exist; otherwise `id` is used where there is one.
    pub id: Option<String>,
    /// The label, or the JSON list of labels.
    pub label: String,
    /// The JSON list of the departments that should help, if that is to be compared.
    pub supporting: Option<String>,
    /// Which parts of the rows are to be looked at by themselves.
    pub slices: Vec<String>,
}

/// Rows that have a label.
#[derive(Debug, Clone)]
pub struct LabelledRows {
    ids: Vec<String>,
    texts: Vec<RequestText>,
    gold: GoldLabels,
    supporting: Option<Vec<Vec<String>>>,
    slices: Vec<Vec<Vec<String>>>,
    without_label: usize,
}

/// The labels of the rows, as they stand in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GoldLabels {
    /// Exactly one label a row.
    One(Vec<String>),
    /// A set of labels a row, which may be empty.
    Many(Vec<Vec<String>>),
}

/// Why there are no rows to evaluate on.
#[derive(Debug, thiserror::Error)]
pub enum RowsError {
    /// A file or its rows cannot be used.
    #[error(transparent)]
    Table(#[from] TableError),
    /// A column whose values do not part rows, but name them.
    #[error(
        "column `{column}` has {values} different values\n\
         hint: slice by a column with at most {MAX_SLICES}, of dates by the month: `--slice COLUMN:month`"
    )]
    TooManyValues {
        /// The column.
        column: String,
        /// How many values it has.
        values: usize,
    },
    /// Nothing to compare with.
    #[error("none of the {rows} rows of `{path}` has a label in column `{column}`")]
    NoLabel {
        /// The file.
        path: PathBuf,
        /// The label column.
        column: String,
        /// The number of rows.
        rows: usize,
    },
}

/// A row that has been read.
struct LabelledRow {
    id: Option<String>,
    text: RequestText,
    labels: Vec<String>,
    supporting: Vec<String>,
    slices: Vec<Vec<String>>,
}

impl LabelledRows {
    /// Reads the rows of files, in their order. `problem` says whether a row has one label or a list of them.
    ///
    /// # Errors
    /// If a file cannot be read, lacks a column, has broken rows, or has no label.
    pub fn read(files: &[impl AsRef<Path>], columns: &Columns, problem: Problem) -> Result<Self, RowsError> {
        let (mut all, mut without_label) = (Vec::new(), 0);
        for file in files.iter().map(AsRef::as_ref) {
            let rows = read_file(file, columns, problem)?;
            let place = |row: usize| match files {
                [_] => format!("row {row}"),
                _ => format!("{}, row {row}", file.display()),
            };
            without_label += rows.iter().filter(|row| row.is_none()).count();
            let named = (1..).zip(rows).filter_map(|(number, row)| {
                let row = row?;
                Some((row.id.clone().unwrap_or_else(|| place(number)), row))
            });
            all.extend(named);
        }
        let rows = Self::new(all, columns, problem, without_label);
        for (column, values) in columns.slices.iter().zip(&rows.slices) {
            let values = values.iter().flatten().collect::<HashSet<_>>().len();
            if values > MAX_SLICES {
                return Err(RowsError::TooManyValues { column: column.clone(), values });
            }
        }
        Ok(rows)
    }

    fn new(
        rows: Vec<(String, LabelledRow)>,
        columns: &Columns,
        problem: Problem,
        without_label: usize,
    ) -> Self {
        let (mut ids, mut texts, mut labels) = (Vec::new(), Vec::new(), Vec::new());
        let (mut supporting, mut slices) = (Vec::new(), vec![Vec::new(); columns.slices.len()]);
        for (id, row) in rows {
            ids.push(id);
            texts.push(row.text);
            labels.push(row.labels);
            supporting.push(row.supporting);
            slices.iter_mut().zip(row.slices).for_each(|(column, values)| column.push(values));
        }
        let gold = match problem {
            Problem::SingleLabelClassification => GoldLabels::One(labels.into_iter().flatten().collect()),
            Problem::MultiLabelClassification => GoldLabels::Many(labels),
        };
        let supporting = columns.supporting.is_some().then_some(supporting);
        Self { ids, texts, gold, supporting, slices, without_label }
    }

    /// What each row is called: its id, or its place in the file.
    pub fn ids(&self) -> &[String] {
        &self.ids
    }

    /// The texts.
    pub fn texts(&self) -> &[RequestText] {
        &self.texts
    }

    /// The label or labels of each text.
    pub fn gold(&self) -> &GoldLabels {
        &self.gold
    }

    /// The departments that should help with each text, if they were asked for.
    pub fn supporting(&self) -> Option<&[Vec<String>]> {
        self.supporting.as_deref()
    }

    /// What each row has in a column to slice by, by the column's place; a row may have several values.
    pub fn slice_values(&self, column: usize) -> &[Vec<String>] {
        &self.slices[column]
    }

    /// How many rows were left out since they have no label.
    pub fn without_label(&self) -> usize {
        self.without_label
    }

    /// Replaces labels, such as names by ids. A label for which `replacement` has none stays as it is.
    pub fn replace_labels(&mut self, replacement: impl Fn(&str) -> Option<String>) {
        match &mut self.gold {
            GoldLabels::One(labels) => replace(labels, &replacement),
            GoldLabels::Many(sets) => sets.iter_mut().for_each(|labels| replace(labels, &replacement)),
        }
    }

    /// Replaces departments that should help, as [`replace_labels`](Self::replace_labels) does.
    pub fn replace_supporting(&mut self, replacement: impl Fn(&str) -> Option<String>) {
        self.supporting.iter_mut().flatten().for_each(|units| replace(units, &replacement));
    }
}

fn replace(labels: &mut [String], replacement: &impl Fn(&str) -> Option<String>) {
    for label in labels {
        if let Some(new) = replacement(label) {
            *label = new;
        }
    }
}

/// The rows of a file, none for one without a label.
fn read_file(
    file: &Path,
    columns: &Columns,
    problem: Problem,
) -> Result<Vec<Option<LabelledRow>>, RowsError> {
    let table = Table::read(file)?;
    let slices: Vec<SliceColumn> =
        columns.slices.iter().map(|name| SliceColumn::new(name, table.columns())).collect();
    let named = [Some(&columns.text), columns.title.as_ref(), columns.id.as_ref(), Some(&columns.label)];
    let of_slices = slices.iter().filter_map(SliceColumn::column);
    let asked = named.into_iter().flatten().chain(&columns.supporting).map(String::as_str).chain(of_slices);
    table.require_columns(asked)?;
    let rows = table.map_rows(|row| labelled(row, columns, &slices, problem))?;
    if rows.iter().all(Option::is_none) {
        let (path, column) = (file.to_owned(), columns.label.clone());
        return Err(RowsError::NoLabel { path, column, rows: rows.len() });
    }
    Ok(rows)
}

/// A row with its labels, exactly one for a single-label problem; `None` for a row without a label.
fn labelled(
    row: &Row,
    columns: &Columns,
    slices: &[SliceColumn],
    problem: Problem,
) -> Result<Option<LabelledRow>, String> {
    let column = &columns.label;
    let is_list = problem == Problem::MultiLabelClassification;
    let labels = match (row.labels(column, is_list)?, problem) {
        (None, _) => return Ok(None),
        (Some(Labels::One(label)), Problem::SingleLabelClassification) => vec![label],
        (Some(Labels::Many(labels)), Problem::MultiLabelClassification) => labels,
        (Some(Labels::Many(_)), Problem::SingleLabelClassification) => {
            return Err(format!("`{column}` holds a list, not one label"));
        }
        (Some(Labels::One(_)), Problem::MultiLabelClassification) => {
            return Err(format!(
                "`{column}` holds one value, not a list of labels, as [\"a\", \"b\"] or `a; b`"
            ));
        }
    };
    let supporting = match &columns.supporting {
        Some(column) => row.labels(column, true)?.map_or_else(Vec::new, Labels::into_list),
        None => Vec::new(),
    };
    let title = columns.title.as_deref().unwrap_or(DEFAULT_TITLE_COLUMN);
    let (title, text) = row.title_and_text(title, &columns.text)?;
    let text = RequestText::new(title, text).map_err(|error| error.to_string())?;
    let id = row.value(columns.id.as_deref().unwrap_or(DEFAULT_ID_COLUMN))?;
    let slices = slices.iter().map(|column| column.values(row, &text)).collect::<Result<_, _>>()?;
    Ok(Some(LabelledRow { id, text, labels, supporting, slices }))
}

#[cfg(test)]
mod tests;
