//! The columns of a table as those of the job.

use std::iter;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringArray, UInt32Array, new_null_array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Scan, carried_name};
use crate::batch::input::InputTable;
use crate::batch::json_field::is_json;

/// Digits of the digest that stands for a missing id.
const ID_DIGITS: usize = 24;

/// Rows of one table.
pub(super) struct TableRows {
    /// A column a field of the table.
    pub(super) columns: Vec<ArrayRef>,
    /// Where each row stands.
    pub(super) lines: ArrayRef,
    /// What is wrong with each row, the row as text, its bytes: null for a row that could be read.
    pub(super) broken: [StringArray; 3],
}

/// Makes a batch of the job of rows of a table.
pub(super) fn to_batch(
    scan: &Scan,
    part: u32,
    table: &InputTable,
    rows: &TableRows,
) -> Result<RecordBatch, ArrowError> {
    let count = rows.lines.len();
    let role = |name: Option<&String>| match name.and_then(|name| place(table, name)) {
        Some(place) => texts(&rows.columns[place], &table.fields[place]),
        None => Ok(StringArray::new_null(count)),
    };
    let roles = &table.roles;
    let (text, title) = (role(Some(&roles.text))?, role(roles.title.as_ref())?);
    let id = role(roles.id.as_ref())?;
    let ids = (0..count).map(|row| request_id(&id, &title, &text, row));
    let [_, raw, bytes] = &rows.broken;
    let mut columns = carried_columns(scan, table, rows)?;
    columns.extend([
        Arc::new(StringArray::from_iter_values(ids)) as ArrayRef,
        Arc::new(StringArray::from_iter_values(iter::repeat_n(table.name.as_str(), count))),
        Arc::clone(&rows.lines),
        Arc::new(UInt32Array::from_value(part, count)),
        Arc::new(text),
        Arc::new(title),
        Arc::new(role(roles.area.as_ref())?),
        Arc::new(role(roles.label.as_ref())?),
        Arc::new(problems(table, rows)),
        Arc::new(raw.clone()),
        Arc::new(bytes.clone()),
    ]);
    RecordBatch::try_new(Arc::clone(scan.schema()), columns)
}

fn place(table: &InputTable, name: &str) -> Option<usize> {
    table.fields.iter().position(|field| field.name() == name)
}

/// The columns of the job that are carried through; null where the table has none of that name.
fn carried_columns(scan: &Scan, table: &InputTable, rows: &TableRows) -> Result<Vec<ArrayRef>, ArrowError> {
    let names: Vec<String> = table.fields.iter().map(|field| carried_name(field.name())).collect();
    let column = |field: &Arc<Field>| match names.iter().position(|name| name == field.name()) {
        Some(place) => carried(&rows.columns[place], &table.fields[place], field),
        None => Ok(new_null_array(field.data_type(), rows.lines.len())),
    };
    scan.carried().iter().map(column).collect()
}

/// What is wrong with each row: it could not be read, or holds something else than words where its words should be.
fn problems(table: &InputTable, rows: &TableRows) -> StringArray {
    let words = [Some(&table.roles.text), table.roles.title.as_ref()];
    let places = words.into_iter().flatten().filter_map(|name| place(table, name));
    let json: Vec<usize> = places.filter(|&place| is_json(&table.fields[place])).collect();
    let [broken, ..] = &rows.broken;
    let no_words = |row: usize| {
        json.iter().find_map(|&place| {
            let kind = no_string(&rows.columns[place], row)?;
            Some(format!("`{}` holds {kind}, not a text", table.fields[place].name()))
        })
    };
    let problem = |row| if broken.is_valid(row) { Some(broken.value(row).to_owned()) } else { no_words(row) };
    (0..rows.lines.len()).map(problem).collect()
}

/// A column as it is carried through.
fn carried(column: &ArrayRef, own: &Field, field: &Field) -> Result<ArrayRef, ArrowError> {
    let same = own.data_type() == field.data_type() && is_json(own) == is_json(field);
    if same { Ok(Arc::clone(column)) } else { Ok(Arc::new(texts(column, own)?)) }
}

/// A column as text: strings of raw JSON without their quotes, lists and the like as Arrow writes them.
fn texts(column: &ArrayRef, field: &Field) -> Result<StringArray, ArrowError> {
    if is_json(field) {
        return Ok(column.as_string::<i32>().iter().map(|cell| cell.map(unquoted)).collect());
    }
    if let Ok(cells) = cast(column, &DataType::Utf8) {
        return Ok(cells.as_string::<i32>().clone());
    }
    let format = ArrayFormatter::try_new(column, &FormatOptions::default())?;
    let cell = |row| column.is_valid(row).then(|| format.value(row).to_string());
    Ok((0..column.len()).map(cell).collect())
}

/// A JSON string's words; other JSON as it is.
fn unquoted(json: &str) -> String {
    match serde_json::from_str(json) {
        Ok(Value::String(words)) => words,
        Ok(_) | Err(_) => json.to_owned(),
    }
}

/// What a cell of raw JSON holds, if it is no string.
fn no_string(column: &ArrayRef, row: usize) -> Option<&'static str> {
    let json = column.is_valid(row).then(|| column.as_string::<i32>().value(row))?;
    match json.trim_start().chars().next()? {
        '"' => None,
        '[' => Some("a list"),
        '{' => Some("an object"),
        't' | 'f' => Some("true or false"),
        _ => Some("a number"),
    }
}

fn request_id(ids: &StringArray, titles: &StringArray, texts: &StringArray, row: usize) -> String {
    let cell = |column: &StringArray| {
        if column.is_valid(row) { column.value(row).to_owned() } else { String::new() }
    };
    let id = cell(ids);
    if !id.trim().is_empty() {
        return id.trim().to_owned();
    }
    let digest =
        Sha256::new().chain_update(cell(titles)).chain_update([0]).chain_update(cell(texts)).finalize();
    format!("digest:{}", &hex::encode(digest)[..ID_DIGITS])
}
