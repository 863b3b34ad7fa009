//! Turns corrections into rows that a model learns from: the masked text, and what people decided.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;

use serde::Serialize;

use super::correction::RecordedCorrection;
use super::error::RecordsError;
use super::history::{CorrectionFilter, CorrectionReader, MAX_PAGE};

/// The words of a request, with personal data masked.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct RequestWords {
    /// The title; may be empty.
    pub title: String,
    /// The text.
    pub text: String,
}

impl std::fmt::Debug for RequestWords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RequestWords").field("text_chars", &self.text.chars().count()).finish_non_exhaustive()
    }
}

/// How an export went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct ExportSummary {
    /// Rows that were written.
    pub rows: u64,
    /// Corrections that were left out, since nobody has their text.
    pub without_text: u64,
}

/// A row as training reads it.
#[derive(Serialize)]
struct Row<'a> {
    id: &'a str,
    title: &'a str,
    text: &'a str,
    category: &'a str,
    department: &'a str,
    supporting: &'a [String],
}

impl CorrectionReader {
    /// Writes all corrections as JSON lines, oldest first: `id`, `title`, `text`, and as labels what people decided,
    /// `category`, `department` (the lead) and `supporting`.
    ///
    /// Where a correction has no text of its own it is looked up in `words`, by request id.
    ///
    /// # Errors
    /// If the file cannot be read, or `out` not written.
    pub fn export(
        &self,
        words: &HashMap<String, RequestWords>,
        out: &mut impl Write,
    ) -> Result<ExportSummary, RecordsError> {
        let mut summary = ExportSummary::default();
        let mut after = Some(0);
        // In pages, since a reader that stays on one state of the file keeps its log from being written back.
        while let Some(start) = after {
            let page = self.list(&CorrectionFilter::default(), start, MAX_PAGE)?;
            for recorded in &page.corrections {
                let Some(row) = row(recorded, words) else {
                    summary.without_text += 1;
                    continue;
                };
                write_line(out, &row).map_err(|source| RecordsError::Export { source: Arc::new(source) })?;
                summary.rows += 1;
            }
            after = page.next_after;
        }
        Ok(summary)
    }
}

fn row<'a>(recorded: &'a RecordedCorrection, words: &'a HashMap<String, RequestWords>) -> Option<Row<'a>> {
    let correction = &recorded.correction;
    let (title, text) = match &correction.text {
        Some(text) => (correction.title.as_deref().unwrap_or_default(), text.as_str()),
        None => words.get(&correction.request_id).map(|words| (words.title.as_str(), words.text.as_str()))?,
    };
    let decided = &correction.decided;
    Some(Row {
        id: &correction.request_id,
        title,
        text,
        category: &decided.category,
        department: &decided.lead,
        supporting: &decided.supporting,
    })
}

fn write_line(out: &mut impl Write, row: &Row<'_>) -> io::Result<()> {
    serde_json::to_writer(&mut *out, row)?;
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::super::correction::tests::street_lamp;
    use super::super::table::{self, CORRECTIONS};
    use super::*;

    #[test]
    fn rows_have_the_text_and_the_decided_labels() {
        let dir = tempfile::tempdir().unwrap();
        let connection = CORRECTIONS.open(dir.path()).unwrap();
        let without_text = |id| {
            let mut correction = street_lamp(id);
            (correction.title, correction.text) = (None, None);
            correction
        };
        let mut supported = without_text("r3");
        supported.decided.supporting = vec!["police".to_owned()];
        for correction in [street_lamp("r1"), without_text("r2"), supported] {
            table::insert(&connection, 1, &correction).unwrap();
        }
        let found = RequestWords { title: "噪声".to_owned(), text: "夜里施工\n太吵".to_owned() };
        let words = HashMap::from([("r3".to_owned(), found)]);

        let mut out = Vec::new();
        let summary = CorrectionReader::open(dir.path()).unwrap().export(&words, &mut out).unwrap();
        assert_eq!(summary, ExportSummary { rows: 2, without_text: 1 });
        let expected = concat!(
            r#"{"id":"r1","title":"路灯不亮","text":"小区北门外的路灯坏了一周","category":"street_lighting","#,
            r#""department":"city_management","supporting":[]}"#,
            "\n",
            r#"{"id":"r3","title":"噪声","text":"夜里施工\n太吵","category":"street_lighting","#,
            r#""department":"city_management","supporting":["police"]}"#,
            "\n"
        );
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
