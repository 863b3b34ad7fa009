//! A row of a file: whether it may be trained on, its words, and its labels.

use std::collections::HashSet;

use sha2::{Digest, Sha256};

use crate::classifier::ngrams::NgramDocument;
use crate::request::{Field, MAX_TEXT_CHARS, MAX_TITLE_CHARS, RequestText};
use crate::table::{Labels, Row, Table, TableError};

use super::super::settings::{HeadColumn, TextColumns};
use super::TextRows;

/// A row whose text has been read, before its labels have numbers.
pub(crate) struct TextRow {
    pub(super) text: RequestText,
    /// One a head.
    pub(super) labels: Vec<Option<Labels>>,
    /// Further labels that would do, one list a head.
    pub(super) also: Vec<Vec<String>>,
}

impl TextRow {
    /// A number that the words and a seed draw: rows with the same words draw the same.
    pub(crate) fn lot(&self, seed: u64) -> u16 {
        // The standard library's hashes may change with its version; this one does not.
        let words = Sha256::new_with_prefix(seed.to_le_bytes()).chain_update(self.words());
        let [high, low, ..]: [u8; 32] = words.finalize().into();
        u16::from_be_bytes([high, low])
    }

    pub(super) fn words(&self) -> &str {
        self.text.normalized(Field::Text)
    }

    /// The n-grams of its text.
    pub(crate) fn ngrams(&self) -> NgramDocument {
        NgramDocument::new(&self.text)
    }
}

/// Rows that must not be trained on.
#[derive(Debug, Default)]
pub(crate) struct Excluded {
    pub(super) ids: HashSet<String>,
    pub(super) texts: HashSet<String>,
}

impl Excluded {
    /// Bars the ids of a file.
    pub(crate) fn add_ids(&mut self, table: &Table, columns: &TextColumns) -> Result<(), TableError> {
        self.ids.extend(table.map_rows(|row| row.value(&columns.id))?.into_iter().flatten());
        Ok(())
    }

    /// Bars the words of rows.
    pub(crate) fn add_texts(&mut self, rows: &TextRows) {
        self.texts.extend(rows.rows.iter().map(|row| row.words().to_owned()));
    }
}

/// What becomes of a row.
pub(super) enum ReadRow {
    ExcludedById,
    ExcludedByText,
    WithoutLabel,
    Used { row: Box<TextRow>, cut: bool },
}

pub(super) fn read_row(
    row: &Row,
    columns: &TextColumns,
    heads: &[HeadColumn],
    excluded: &Excluded,
) -> Result<ReadRow, String> {
    if row.value(&columns.id)?.is_some_and(|id| excluded.ids.contains(&id)) {
        return Ok(ReadRow::ExcludedById);
    }
    let labels =
        heads.iter().map(|head| row.labels(&head.column, head.list)).collect::<Result<Vec<_>, _>>()?;
    let also = heads.iter().map(|head| further(row, head)).collect::<Result<Vec<_>, _>>()?;
    let (title, text) = row.title_and_text(&columns.title, &columns.text)?;
    let (short_title, short_text) =
        (head_and_tail(title, MAX_TITLE_CHARS), head_and_tail(text, MAX_TEXT_CHARS));
    let cut = short_text.len() < text.len();
    let text = RequestText::new(&short_title, &short_text).map_err(|error| error.to_string())?;
    if excluded.texts.contains(text.normalized(Field::Text)) {
        return Ok(ReadRow::ExcludedByText);
    }
    if labels.iter().all(Option::is_none) {
        return Ok(ReadRow::WithoutLabel);
    }
    Ok(ReadRow::Used { row: Box::new(TextRow { text, labels, also }), cut })
}

/// The further labels that would do for a head.
fn further(row: &Row, head: &HeadColumn) -> Result<Vec<String>, String> {
    let labels = head.also.as_ref().map(|column| row.labels(column, true)).transpose()?.flatten();
    Ok(labels.map_or_else(Vec::new, Labels::into_list))
}

/// Cuts the middle out of words that are longer than a request may be; the tokenizer would drop it anyway.
fn head_and_tail(words: &str, max_chars: usize) -> std::borrow::Cow<'_, str> {
    let chars = words.chars().count();
    if chars <= max_chars {
        return words.into();
    }
    let head = max_chars / 2;
    words.chars().take(head).chain(words.chars().skip(chars - (max_chars - head))).collect::<String>().into()
}
