//! Figures of one head on one set of rows, and of each of its labels.

use serde::Serialize;

use super::confusion::ConfusionMatrix;

/// Figures of one head on one set of rows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figures {
    /// The number of rows with a label.
    pub rows: usize,
    /// Share of rows that are wholly right: for lists of labels, that the whole list is.
    pub accuracy: f64,
    /// Mean F1 over the labels that occur in the rows or among the predictions.
    pub macro_f1: f64,
    /// F1 of the pooled counts of all labels.
    pub micro_f1: f64,
    /// Mean F1 over labels, weighted by support.
    pub weighted_f1: f64,
    /// Share of rows whose label is among the first three; none where it would say nothing: up to three labels, or lists.
    pub top_3_accuracy: Option<f64>,
    /// Of the rows whose label is not the first, the quiet one, the share among the 15 % of rows that look the least quiet;
    /// none for heads that raise no alarm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alert_recall: Option<f64>,
    /// The figures of each label: those of the head in its order, then the unknown ones.
    pub labels: Vec<LabelFigures>,
    /// Labels of the rows that the head does not have, the most frequent first. They count as wrong.
    pub unknown_labels: Vec<UnknownLabel>,
    /// Which labels are taken for which; none for lists of labels.
    pub confusion_matrix: Option<ConfusionMatrix>,
}

/// Figures of one label.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LabelFigures {
    /// The label.
    pub label: String,
    /// Its name for people; the label itself where it has none.
    pub name: String,
    /// Share of the rows given the label that have it.
    pub precision: f64,
    /// Share of the rows with the label that were given it.
    pub recall: f64,
    /// Harmonic mean of precision and recall.
    pub f1: f64,
    /// Rows that have the label.
    pub support: usize,
    /// Rows that were given the label.
    pub predicted: usize,
}

/// A label of the rows that the head does not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnknownLabel {
    /// The label as it stands in the file.
    pub label: String,
    /// How many rows have it.
    pub rows: usize,
}

impl Figures {
    /// Gives labels the names that people know them by; `name` answers with none for a label that has no other name.
    pub fn name_labels(&mut self, name: impl Fn(&str) -> Option<String>) {
        for figures in &mut self.labels {
            if let Some(name) = name(&figures.label) {
                figures.name = name;
            }
        }
    }
}
