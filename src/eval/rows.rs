//! Evaluation rows: texts with the labels that they should get, from JSON lines or CSV.
//!
//! Both formats are UTF-8; a byte-order mark is skipped. A row whose label is missing, null or empty is left out and
//! counted. A row with an empty text but a title is read with the title as its text. All broken rows are told at once.

use std::fmt;
use std::path::Path;

use super::reading::{Format, Reading, decode};
use crate::classifier::Problem;
use crate::request::RequestText;

/// How many broken rows an error shows.
const SHOWN_FAULTS: usize = 10;

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
    /// The file cannot be read.
    #[error("cannot read `{file}`: {source}")]
    Read {
        /// The file.
        file: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// Neither JSON lines nor CSV.
    #[error("`{file}` is neither .jsonl (.ndjson) nor .csv\nhint: save a spreadsheet as CSV UTF-8")]
    Format {
        /// The file.
        file: String,
    },
    /// Some other encoding, most often GBK or UTF-16.
    #[error("{file}:{line}: the text is not UTF-8\nhint: convert it first, `iconv -f {guess} -t UTF-8`")]
    Encoding {
        /// The file.
        file: String,
        /// The first line that is not UTF-8.
        line: usize,
        /// The encoding that the file may have, as `iconv` names it.
        guess: &'static str,
    },
    /// No row has such a column.
    #[error("`{file}` has no column `{column}`\nhint: its columns are {}", list(columns))]
    MissingColumn {
        /// The file.
        file: String,
        /// The column that was asked for.
        column: String,
        /// The columns that there are.
        columns: Vec<String>,
    },
    /// Rows that cannot be used.
    #[error("{}", Broken { file, faults })]
    Broken {
        /// The file.
        file: String,
        /// At least one fault.
        faults: Vec<RowFault>,
    },
    /// Nothing to compare with.
    #[error("none of the {rows} rows of `{file}` has a label in column `{column}`")]
    NoLabel {
        /// The file.
        file: String,
        /// The label column.
        column: String,
        /// The number of rows.
        rows: usize,
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

impl LabelledRows {
    /// Reads the rows of a file. `problem` says whether a row has one label or a list of them.
    ///
    /// # Errors
    /// If the file cannot be read, is no UTF-8 JSON lines or CSV, lacks a column, has broken rows, or has no label.
    pub fn read(path: &Path, columns: &Columns, problem: Problem) -> Result<Self, RowsError> {
        let file = path.display().to_string();
        let format = Format::of(path).ok_or_else(|| RowsError::Format { file: file.clone() })?;
        let bytes = std::fs::read(path).map_err(|source| RowsError::Read { file: file.clone(), source })?;
        let content = decode(&file, &bytes)?;
        let mut reading = Reading::new(columns, problem);
        match format {
            Format::JsonLines => reading.json_lines(content),
            Format::Csv => reading.csv(content),
        }
        reading.finish(file)
    }

    pub(super) fn new(texts: Vec<RequestText>, gold: GoldLabels, without_label: usize) -> Self {
        Self { texts, gold, without_label }
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

fn list(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

struct Broken<'a> {
    file: &'a str,
    faults: &'a [RowFault],
}

impl fmt::Display for Broken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, RowFault { line, problem }) in self.faults.iter().take(SHOWN_FAULTS).enumerate() {
            let separator = if position == 0 { "" } else { "\n" };
            write!(f, "{separator}{}:{line}: {problem}", self.file)?;
        }
        match self.faults.len().saturating_sub(SHOWN_FAULTS) {
            0 => Ok(()),
            more => write!(f, "\nand {more} more broken rows"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Field;

    fn read(
        name: &str,
        content: impl AsRef<[u8]>,
        columns: &Columns,
        problem: Problem,
    ) -> Result<LabelledRows, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        LabelledRows::read(&path, columns, problem)
            .map_err(|error| error.to_string().replace(&format!("{}/", folder.path().display()), ""))
    }

    fn one(name: &str, content: impl AsRef<[u8]>) -> Result<LabelledRows, String> {
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
        assert!(error.starts_with("rows.csv:2: `label` holds a text, not a JSON list"), "{error}");
    }

    #[test]
    fn tells_every_broken_json_row_without_its_words() {
        let content = "{\"text\": \"好的\", \"label\": \"a\"}\n{\"text\": \"坏\n\"一句话\"\n\
            {\"text\": 3, \"label\": \"a\"}\n{\"text\": \"\", \"label\": \"a\"}\n{\"text\": \"五\", \"label\": [\"a\"]}";
        let error = one("rows.jsonl", content).unwrap_err();
        let lines: Vec<_> = error.lines().collect();
        assert_eq!(lines.len(), 5, "{error}");
        assert!(
            lines[0].starts_with("rows.jsonl:2: is not JSON: EOF while parsing a string at column"),
            "{error}"
        );
        assert_eq!(lines[1], "rows.jsonl:3: is not a JSON object");
        assert_eq!(lines[2], "rows.jsonl:4: `text` holds a number, not a text");
        assert_eq!(lines[3], "rows.jsonl:5: text: is empty; pass the citizen's words");
        assert_eq!(lines[4], "rows.jsonl:6: `label` holds a list, not one label");
    }

    #[test]
    fn tells_a_csv_row_with_too_few_fields_and_counts_what_it_does_not_show() {
        let error = one("rows.csv", "text,label\n一,a\n二\n").unwrap_err();
        assert_eq!(error, "rows.csv:3: has 1 fields, but the header has 2");
        let error = one("rows.csv", "text,label\r\n\"一\n二\",a\r\n\r\n三\r\n").unwrap_err();
        assert_eq!(
            error, "rows.csv:5: has 1 fields, but the header has 2",
            "after a line break and an empty line"
        );
        let error = one("rows.csv", format!("text,label\n{}", "二\n".repeat(12))).unwrap_err();
        assert!(
            error.ends_with("rows.csv:11: has 1 fields, but the header has 2\nand 2 more broken rows"),
            "{error}"
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
        let none = "none of the 0 rows of `rows.csv` has a label in column `label`";
        assert_eq!(one("rows.csv", "").unwrap_err(), none);
        assert_eq!(one("rows.csv", "text,label\n").unwrap_err(), none);
        assert!(
            one("rows.jsonl", "{\"text\": \"一\", \"label\": null}")
                .unwrap_err()
                .starts_with("none of the 1 rows")
        );
    }

    #[test]
    fn refuses_other_encodings_and_formats_with_a_way_out() {
        // 诉求 in GBK.
        let error = one("rows.csv", b"text,label\n\xcb\xdf\xc7\xf3,a\n").unwrap_err();
        assert_eq!(
            error,
            "rows.csv:2: the text is not UTF-8\nhint: convert it first, `iconv -f GB18030 -t UTF-8`"
        );
        assert!(one("rows.csv", b"\xff\xfet\0e\0").unwrap_err().contains("-f UTF-16"));
        assert!(one("rows.xlsx", "").unwrap_err().contains("hint: save a spreadsheet as CSV UTF-8"));
        assert!(one("rows", "").is_err());
        let missing = LabelledRows::read(
            Path::new("no/such.csv"),
            &columns("label"),
            Problem::SingleLabelClassification,
        );
        assert!(missing.unwrap_err().to_string().starts_with("cannot read `no/such.csv`: "));
    }

    #[test]
    fn replaces_labels_that_have_a_replacement() {
        let mut rows = one("rows.csv", "text,label\n一,住房物业\n二,housing\n").unwrap();
        rows.replace_labels(|label| (label == "住房物业").then(|| "housing".to_owned()));
        assert_eq!(rows.gold(), &gold(&["housing", "housing"]));
    }
}
