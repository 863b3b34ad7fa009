//! The rows of a job as record batches, one partition a part.
//!
//! Beside the columns that are carried through, each row has what the job needs of it: its id, where it stands, its words
//! under names of their own, and what is wrong with it if it could not be read.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use serde::{Deserialize, Serialize};

mod error;
mod parquet;
mod part;
mod provider;
mod reader;
mod readers;
mod table;

pub(super) use part::{Part, cut};
#[cfg(feature = "cluster")]
pub(super) use provider::ScanExec;
pub(super) use provider::ScanTable;
pub(super) use readers::Readers;

use super::classify;
use super::input::InputTable;
use super::json_field::is_json;
use super::stamp::Stamp;

/// The id of the row, or a digest of its words if it has none.
pub(super) const REQUEST_ID: &str = "request_id";
/// The file that the row stands in.
pub(super) const INPUT_FILE: &str = "input_file";
/// The line, or the row of a sheet or a Parquet file, counted from 1.
pub(super) const INPUT_LINE: &str = "input_line";

/// What stands before the name of a column that is called like one of ours.
const ORIGINAL: &str = "original_";

/// Columns that the output has not, under names that no file has.
pub(super) const PART: &str = "jiesu:part";
pub(super) const TEXT: &str = "jiesu:text";
pub(super) const TITLE: &str = "jiesu:title";
pub(super) const AREA: &str = "jiesu:area";
pub(super) const LABEL: &str = "jiesu:label";
/// What is wrong with the row itself; null for one that could be read.
pub(super) const BROKEN: &str = "jiesu:broken";
/// The row that could not be read, as far as it can be told as text.
pub(super) const RAW: &str = "jiesu:raw";
/// Its bytes, hexadecimal, where the text does not tell them all.
pub(super) const BYTES: &str = "jiesu:bytes";

/// What may be wrong with a scan here.
#[cfg(feature = "cluster")]
type CheckScan = dyn Fn(&Scan) -> datafusion::common::Result<()> + Send + Sync;

/// Looks at a scan before it is read.
#[cfg(feature = "cluster")]
#[derive(Clone)]
pub(super) struct Check(pub(super) Arc<CheckScan>);

#[cfg(feature = "cluster")]
impl std::fmt::Debug for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Check")
    }
}

/// What a job reads; it can travel to another machine.
#[derive(Debug, Serialize, Deserialize)]
pub struct Scan {
    /// The tables.
    pub(super) tables: Vec<InputTable>,
    /// What is read together, written together and durable together.
    pub(super) parts: Vec<Part>,
    /// The carried columns, then those of the scan.
    schema: SchemaRef,
    /// How many of the columns are carried.
    carried: usize,
    /// What must answer the rows; none if that is all the same.
    pub(super) stamp: Option<Stamp>,
    /// What is looked at before a part is read.
    #[cfg(feature = "cluster")]
    #[serde(skip)]
    check: Option<Check>,
    /// Readers that the parts hand on.
    #[serde(skip)]
    readers: Arc<Readers>,
}

impl Scan {
    /// Reads `tables` in parts of `part_rows` rows, `limit` rows at most.
    pub fn new(tables: Vec<InputTable>, part_rows: u64, limit: Option<u64>) -> Self {
        let mut fields = carried(&tables);
        let carried = fields.len();
        let text = |name| Field::new(name, DataType::Utf8, true);
        fields.push(text(REQUEST_ID));
        fields.push(text(INPUT_FILE));
        fields.push(Field::new(INPUT_LINE, DataType::UInt64, false));
        fields.push(Field::new(PART, DataType::UInt32, false));
        fields.extend([TEXT, TITLE, AREA, LABEL, BROKEN, RAW, BYTES].map(text));
        let counts: Vec<u64> = tables.iter().map(|table| table.rows).collect();
        Self {
            parts: cut(&counts, part_rows, limit),
            tables,
            schema: Arc::new(Schema::new(fields)),
            carried,
            stamp: None,
            #[cfg(feature = "cluster")]
            check: None,
            readers: Arc::default(),
        }
    }

    /// The scan of one part alone, whose rows `stamp` must answer.
    #[cfg(feature = "cluster")]
    pub(super) fn of_part(&self, part: usize, stamp: &Stamp) -> Option<Self> {
        let mut part = self.parts.get(part)?.clone();
        let mut tables: Vec<InputTable> = Vec::new();
        for slice in &mut part.slices {
            let mut table = self.tables[slice.table].clone();
            // Whoever reads it may stand in another folder.
            table.file = std::path::absolute(&table.file).unwrap_or(table.file);
            tables.push(table);
            slice.table = tables.len() - 1;
        }
        Some(Self {
            tables,
            parts: vec![part],
            schema: Arc::clone(&self.schema),
            carried: self.carried,
            stamp: Some(stamp.clone()),
            check: None,
            readers: Arc::clone(&self.readers),
        })
    }

    /// The same scan, whose parts hand on these readers, and are read if `check` finds nothing wrong.
    #[cfg(feature = "cluster")]
    pub(super) fn with(self, readers: Arc<Readers>, check: Option<Check>) -> Self {
        Self { check, readers, ..self }
    }

    /// The schema of the batches.
    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The fields that are carried through.
    pub(super) fn carried(&self) -> &[Arc<Field>] {
        &self.schema.fields()[..self.carried]
    }

    /// How many rows are read.
    pub(super) fn rows(&self) -> u64 {
        self.parts.iter().map(Part::rows).sum()
    }
}

/// The columns of all tables, in the order of their first occurrence. One that differs in type is text; one that is called
/// like a column of the output is `original_` of that name.
fn carried(tables: &[InputTable]) -> Vec<Field> {
    let mut fields: Vec<Field> = Vec::new();
    for field in tables.iter().flat_map(|table| &table.fields) {
        let name = carried_name(field.name());
        match fields.iter_mut().find(|known| *known.name() == name) {
            Some(known) => {
                let same = known.data_type() == field.data_type() && is_json(known) == is_json(field);
                if !same {
                    *known = Field::new(name, DataType::Utf8, true);
                }
            }
            None => fields.push(field.as_ref().clone().with_name(name).with_nullable(true)),
        }
    }
    fields
}

/// What a column of the input is called in the output. No two names become one: what was renamed once is renamed again.
pub(super) fn carried_name(name: &str) -> String {
    let mut plain = name;
    while let Some(rest) = plain.strip_prefix(ORIGINAL) {
        plain = rest;
    }
    let own = [REQUEST_ID, INPUT_FILE, INPUT_LINE].contains(&plain);
    if own || classify::is_column(plain) { format!("{ORIGINAL}{name}") } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::input::{Content, Roles};
    use crate::batch::json_field::with_json;

    fn table(fields: Vec<Field>) -> InputTable {
        let roles = Roles { text: "text".into(), title: None, area: None, id: None, label: None };
        let file = "a.parquet".into();
        let content = Content::Parquet;
        InputTable {
            name: "a.parquet".into(),
            file,
            content,
            fields: fields.into(),
            roles,
            rows: 1,
            sha256: String::new(),
        }
    }

    #[test]
    fn columns_of_several_tables_are_joined_and_those_that_differ_in_type_are_text() {
        let text = |name: &str| Field::new(name, DataType::Utf8, true);
        let number = |name: &str| Field::new(name, DataType::Int64, false);
        let tables = [
            table(vec![text("text"), number("n"), number("m"), with_json(text("raw"))]),
            table(vec![text("category"), text("n"), number("m"), text("raw")]),
        ];
        let columns: Vec<_> = carried(&tables)
            .iter()
            .map(|field| (field.name().clone(), field.data_type().clone(), is_json(field)))
            .collect();
        let expected = [
            ("text", DataType::Utf8),
            ("n", DataType::Utf8),
            ("m", DataType::Int64),
            ("raw", DataType::Utf8),
            ("original_category", DataType::Utf8),
        ];
        assert_eq!(columns, expected.map(|(name, data_type)| (name.to_owned(), data_type, false)));
    }

    #[test]
    fn no_two_columns_get_one_name() {
        assert_eq!(carried_name("区"), "区");
        assert_eq!(carried_name("original_区"), "original_区");
        assert_eq!(carried_name("category"), "original_category");
        assert_eq!(carried_name("original_category"), "original_original_category");
    }

    #[test]
    fn a_scan_travels_whole() {
        let scan =
            Scan::new(vec![table(vec![with_json(Field::new("text", DataType::Utf8, true))])], 10, None);
        let json = serde_json::to_string(&scan).unwrap();
        let back: Scan = serde_json::from_str(&json).unwrap();
        assert_eq!(back.schema(), scan.schema());
        assert_eq!((back.tables, back.parts), (scan.tables, scan.parts));
    }
}
