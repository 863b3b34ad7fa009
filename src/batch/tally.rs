//! What a job's rows turned into, counted part by part.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use datafusion::arrow::array::{Array, AsArray, StringArray};
use datafusion::arrow::record_batch::RecordBatch;
use regex::Regex;
use serde::{Deserialize, Serialize};

use super::classify::UNKNOWN_AREA;

/// Most labels of before that are counted one by one; a column of free text would have as many as there are rows.
const MAX_LABELS: usize = 500;
/// Most reasons of rejects that are.
const MAX_REASONS: usize = 100;
/// What those beyond are counted as.
const OTHERS: &str = "…";

static NUMBER: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\b[0-9][0-9,]*\b").expect("a class of characters is a pattern"));

/// Counts of rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Rows with an answer.
    pub answered: u64,
    /// Rows that were rejected, by reason.
    pub rejected: BTreeMap<String, u64>,
    /// Rows that a machine may dispatch alone.
    pub accepted: u64,
    /// Rows by the category's name.
    pub categories: BTreeMap<String, u64>,
    /// Rows by the lead's name.
    pub leads: BTreeMap<String, u64>,
    /// Rows whose area the directory does not know.
    pub unknown_areas: u64,
    /// Rows by the label that they had before, and then by the category's name; empty without such a column.
    pub labels: BTreeMap<String, BTreeMap<String, u64>>,
    /// Rows that had a label and have the category of that id or name.
    pub label_kept: u64,
}

impl Tally {
    /// Counts rows that have an answer; `labels` are those that they had before.
    pub(super) fn count(&mut self, answered: &RecordBatch, labels: &StringArray) {
        let column = |name: &str| answered.column_by_name(name).map(AsArray::as_string::<i32>);
        let cell = |name: &str, row: usize| {
            column(name).filter(|column| column.is_valid(row)).map(|column| column.value(row))
        };
        self.answered += answered.num_rows() as u64;
        for row in 0..answered.num_rows() {
            self.accepted += u64::from(cell("decision", row) == Some("accept"));
            self.unknown_areas +=
                u64::from(cell("notes", row).is_some_and(|notes| notes.contains(UNKNOWN_AREA)));
            let category = cell("category_name", row).unwrap_or_default();
            add(&mut self.categories, category, 1);
            add(&mut self.leads, cell("lead_name", row).unwrap_or_default(), 1);
            let label =
                labels.is_valid(row).then(|| labels.value(row).trim()).filter(|label| !label.is_empty());
            if let Some(label) = label {
                // A label may be the category's id as well as its name.
                let label = if cell("category", row) == Some(label) { category } else { label };
                self.label_kept += u64::from(label == category);
                let room = self.labels.contains_key(label) || self.labels.len() < MAX_LABELS;
                let to = self.labels.entry(if room { label } else { OTHERS }.to_owned()).or_default();
                add(to, category, 1);
            }
        }
    }

    /// Counts rejected rows by their reasons.
    pub(super) fn reject(&mut self, reasons: &StringArray) {
        for reason in reasons.iter().map(Option::unwrap_or_default) {
            // Reasons that differ in numbers alone are one.
            let reason = NUMBER.replace_all(reason, "#");
            let room = self.rejected.contains_key(&*reason) || self.rejected.len() < MAX_REASONS;
            add(&mut self.rejected, if room { &reason } else { OTHERS }, 1);
        }
    }

    /// How many rows were rejected.
    pub fn rejects(&self) -> u64 {
        self.rejected.values().sum()
    }

    /// How many rows had a label before.
    pub fn labelled(&self) -> u64 {
        self.labels.values().flat_map(BTreeMap::values).sum()
    }

    /// Adds the counts of other rows.
    pub(super) fn merge(&mut self, other: &Self) {
        self.answered += other.answered;
        self.accepted += other.accepted;
        self.unknown_areas += other.unknown_areas;
        self.label_kept += other.label_kept;
        merge(&mut self.rejected, &other.rejected);
        merge(&mut self.categories, &other.categories);
        merge(&mut self.leads, &other.leads);
        for (label, to) in &other.labels {
            let room = self.labels.contains_key(label) || self.labels.len() < MAX_LABELS;
            merge(self.labels.entry(if room { label.as_str() } else { OTHERS }.to_owned()).or_default(), to);
        }
    }
}

fn merge(counts: &mut BTreeMap<String, u64>, others: &BTreeMap<String, u64>) {
    for (name, count) in others {
        add(counts, name, *count);
    }
}

fn add(counts: &mut BTreeMap<String, u64>, name: &str, count: u64) {
    match counts.get_mut(name) {
        Some(known) => *known += count,
        None => drop(counts.insert(name.to_owned(), count)),
    }
}
