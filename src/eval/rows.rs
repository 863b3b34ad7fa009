//! Evaluation rows: texts with the labels that they should get, from JSON lines or CSV.
//!
//! A row whose label is missing, null or empty is left out and counted. A row with an empty text but a title is read
//! with the title as its text.

use std::path::{Path, PathBuf};

use crate::classifier::Problem;
use crate::request::RequestText;
use crate::table::{Labels, Row, Table, TableError};

/// The title column, where none is named.
const DEFAULT_TITLE_COLUMN: &str = "title";

/// Which columns (keys, in JSON) of a file hold what.
#[derive(Debug, Clone)]
pub struct Columns {
    /// The citizen's words.
    pub text: String,
    /// The title. A named column must exist; otherwise `title` is used where there is one.
    pub title: Option<String>,
    /// The label, or the JSON list of labels.
    pub label: String,
}

/// Rows that have a label.
#[derive(Debug, Clone)]
pub struct LabelledRows {
    texts: Vec<RequestText>,
    gold: GoldLabels,
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
    /// The file or its rows cannot be used.
    #[error(transparent)]
    Table(#[from] TableError),
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

impl LabelledRows {
    /// Reads the rows of a file. `problem` says whether a row has one label or a list of them.
    ///
    /// # Errors
    /// If the file cannot be read, is no UTF-8 JSON lines or CSV, lacks a column, has broken rows, or has no label.
    pub fn read(path: &Path, columns: &Columns, problem: Problem) -> Result<Self, RowsError> {
        let table = Table::read(path)?;
        let asked = [Some(&columns.text), columns.title.as_ref(), Some(&columns.label)];
        table.require_columns(asked.into_iter().flatten())?;
        let read = table.map_rows(|row| labelled(row, columns, problem))?;
        let rows = read.len();
        let (texts, labels): (Vec<_>, Vec<_>) = read.into_iter().flatten().unzip();
        if texts.is_empty() {
            let (path, column) = (path.to_owned(), columns.label.clone());
            return Err(RowsError::NoLabel { path, column, rows });
        }
        let gold = match problem {
            Problem::SingleLabelClassification => GoldLabels::One(labels.into_iter().flatten().collect()),
            Problem::MultiLabelClassification => GoldLabels::Many(labels),
        };
        Ok(Self { without_label: rows - texts.len(), texts, gold })
    }

    /// The texts.
    pub fn texts(&self) -> &[RequestText] {
        &self.texts
    }

    /// The label or labels of each text.
    pub fn gold(&self) -> &GoldLabels {
        &self.gold
    }

    /// How many rows were left out since they have no label.
    pub fn without_label(&self) -> usize {
        self.without_label
    }

    /// Replaces labels, such as names by ids. A label for which `replacement` has none stays as it is.
    pub fn replace_labels(&mut self, replacement: impl Fn(&str) -> Option<String>) {
        let replace = |label: &mut String| {
            if let Some(new) = replacement(label) {
                *label = new;
            }
        };
        match &mut self.gold {
            GoldLabels::One(labels) => labels.iter_mut().for_each(replace),
            GoldLabels::Many(sets) => sets.iter_mut().flatten().for_each(replace),
        }
    }
}

/// The text and the labels of a row, exactly one for a single-label problem; `None` for a row without a label.
fn labelled(
    row: &Row,
    columns: &Columns,
    problem: Problem,
) -> Result<Option<(RequestText, Vec<String>)>, String> {
    let column = &columns.label;
    let labels = match (row.labels(column, false)?, problem) {
        (None, _) => return Ok(None),
        (Some(Labels::One(label)), Problem::SingleLabelClassification) => vec![label],
        (Some(Labels::Many(labels)), Problem::MultiLabelClassification) => labels,
        (Some(Labels::Many(_)), Problem::SingleLabelClassification) => {
            return Err(format!("`{column}` holds a list, not one label"));
        }
        (Some(Labels::One(_)), Problem::MultiLabelClassification) => {
            return Err(format!("`{column}` holds one label, not a JSON list of labels, as [\"a\", \"b\"]"));
        }
    };
    let title = columns.title.as_deref().unwrap_or(DEFAULT_TITLE_COLUMN);
    let (title, text) = row.title_and_text(title, &columns.text)?;
    let text = RequestText::new(title, text).map_err(|error| error.to_string())?;
    Ok(Some((text, labels)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Field;

    fn read(name: &str, content: &str, columns: &Columns, problem: Problem) -> Result<LabelledRows, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        LabelledRows::read(&path, columns, problem)
            .map_err(|error| error.to_string().replace(&format!("{}/", folder.path().display()), ""))
    }

    fn one(name: &str, content: &str) -> Result<LabelledRows, String> {
        read(name, content, &columns("label"), Problem::SingleLabelClassification)
    }

    fn columns(label: &str) -> Columns {
        Columns { text: "text".into(), title: None, label: label.into() }
    }

    fn gold(labels: &[&str]) -> GoldLabels {
        GoldLabels::One(labels.iter().map(|label| (*label).to_owned()).collect())
    }

    #[test]
    fn reads_json_lines_and_leaves_out_rows_without_a_label() {
        let content = "\u{feff}{\"title\": \"噪音\", \"text\": \"夜里施工\", \"label\": \" environment \"}\r\n\r\n\
            {\"text\": \"没有标签\"}\n{\"text\": \"\", \"label\": null}\n{\"text\": \"空\", \"label\": \" \"}\n\
            {\"title\": \"只有标题\", \"text\": \" \", \"label\": 7}";
        let rows = one("rows.JSONL", content).unwrap();
        assert_eq!(rows.gold(), &gold(&["environment", "7"]));
        assert_eq!(rows.without_label(), 3);
        assert_eq!(rows.texts()[0].original(Field::Title), "噪音");
        assert_eq!(rows.texts()[1].original(Field::Text), "只有标题");
        assert_eq!(rows.texts()[1].original(Field::Title), "");
    }

    #[test]
    fn reads_csv_with_its_quotes_and_a_byte_order_mark() {
        let content = "\u{feff}label,text,title\r\nhousing,\"漏水,\n\"\"没人管\"\"\",物业\r\n,没有标签,\r\n";
        let rows = one("rows.csv", content).unwrap();
        assert_eq!(rows.gold(), &gold(&["housing"]));
        assert_eq!(rows.without_label(), 1);
        assert_eq!(rows.texts()[0].original(Field::Text), "漏水,\n\"没人管\"");
        assert_eq!(rows.texts()[0].original(Field::Title), "物业");
    }

    #[test]
    fn reads_lists_of_labels_and_keeps_empty_ones() {
        let many = Problem::MultiLabelClassification;
        let json = "{\"text\": \"一\", \"label\": [\"fraud\", \"threat\"]}\n{\"text\": \"二\", \"label\": []}\n{\"text\": \"三\"}";
        let csv = "text,label\n一,\"[\"\"fraud\"\", \"\"threat\"\"]\"\n二,[]\n三,\n";
        for (name, content) in [("rows.ndjson", json), ("rows.csv", csv)] {
            let rows = read(name, content, &columns("label"), many).unwrap();
            assert_eq!(rows.gold(), &GoldLabels::Many(vec![vec!["fraud".into(), "threat".into()], vec![]]));
            assert_eq!(rows.without_label(), 1);
        }
        let error = read("rows.csv", "text,label\n一,fraud\n", &columns("label"), many).unwrap_err();
        assert!(error.starts_with("rows.csv:2: `label` holds one label, not a JSON list"), "{error}");
    }

    #[test]
    fn tells_rows_that_cannot_be_read_and_those_that_cannot_be_used_at_once() {
        let content = "{\"text\": \"好的\", \"label\": \"a\"}\n{\"text\": 3, \"label\": \"a\"}\n\"一句话\"\n\
            {\"text\": \"\", \"label\": \"a\"}\n{\"text\": \"五\", \"label\": [\"a\"]}";
        let error = one("rows.jsonl", content).unwrap_err();
        let lines: Vec<_> = error.lines().collect();
        assert_eq!(
            lines,
            [
                "rows.jsonl:2: `text` holds a number, not a text",
                "rows.jsonl:3: is not a JSON object",
                "rows.jsonl:4: text: is empty; pass the citizen's words",
                "rows.jsonl:5: `label` holds a list, not one label",
            ]
        );
    }

    #[test]
    fn names_a_column_that_no_row_has() {
        let row = "{\"id\": 1, \"text\": \"一\", \"label\": \"a\"}";
        let single = Problem::SingleLabelClassification;
        let error = read("rows.jsonl", row, &columns("category"), single).unwrap_err();
        assert_eq!(
            error,
            "`rows.jsonl` has no column `category`\nhint: its columns are `id`, `text`, `label`"
        );
        let title = Columns { title: Some("subject".into()), ..columns("label") };
        assert!(read("rows.jsonl", row, &title, single).unwrap_err().contains("no column `subject`"));
        assert!(one("rows.csv", "body,label\n一,a\n").unwrap_err().contains("no column `text`"));
    }

    #[test]
    fn refuses_a_file_without_labels() {
        assert_eq!(
            one("rows.jsonl", "{\"text\": \"一\", \"label\": null}").unwrap_err(),
            "none of the 1 rows of `rows.jsonl` has a label in column `label`"
        );
        assert_eq!(one("rows.csv", "text,label\n").unwrap_err(), "`rows.csv` has no rows");
    }

    #[test]
    fn replaces_labels_that_have_a_replacement() {
        let mut rows = one("rows.csv", "text,label\n一,住房物业\n二,housing\n").unwrap();
        rows.replace_labels(|label| (label == "住房物业").then(|| "housing".to_owned()));
        assert_eq!(rows.gold(), &gold(&["housing", "housing"]));
    }
}
