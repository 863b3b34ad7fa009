//! What an evaluation found, for machines (JSON) and for people (aligned plain text).

use std::fmt;

use serde::Serialize;
use unicode_width::UnicodeWidthStr;

use super::{Figures, LabelFigures};

/// How many confusions and unknown labels the plain text shows.
const SHOWN: usize = 10;

/// Figures, and what they are figures of.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The head that was evaluated.
    pub head: String,
    /// The label system that the answers were read in, if it is not the head's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_system: Option<String>,
    /// Who answered, if not the model alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<&'static str>,
    /// The file with the rows.
    pub file: String,
    /// How many rows were left out since they have no label.
    pub rows_without_label: usize,
    /// The figures.
    #[serde(flatten)]
    pub figures: Figures,
    /// The model.
    pub model: String,
    /// Which state of the model.
    pub model_revision: String,
    /// Which state of the taxonomy.
    pub taxonomy_version: String,
}

impl fmt::Display for Report {
    /// Writes the report as aligned plain text, Chinese characters counted as two columns wide.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_head(f)?;
        f.write_str("\n")?;
        self.write_figures(f)?;
        f.write_str("\n")?;
        self.write_labels(f)?;
        self.write_confusions(f)?;
        self.write_unknown_labels(f)
    }
}

impl Report {
    fn write_head(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { head, file, model, model_revision, taxonomy_version, .. } = self;
        match (&self.label_system, self.channel) {
            (Some(system), _) => writeln!(f, "{head} as {system} on {file}")?,
            (None, Some(channel)) => writeln!(f, "{head} by {channel} on {file}")?,
            (None, None) => writeln!(f, "{head} on {file}")?,
        }
        writeln!(f, "model {model} ({model_revision}), taxonomy {taxonomy_version}")?;
        match self.rows_without_label {
            0 => writeln!(f, "{} rows", self.figures.rows),
            without => writeln!(f, "{} rows; {without} more without a label left out", self.figures.rows),
        }
    }

    fn write_figures(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Figures { accuracy, macro_f1, micro_f1, weighted_f1, top_3_accuracy, alert_recall, .. } =
            self.figures;
        let right = if self.figures.confusion_matrix.is_some() { "accuracy" } else { "whole list right" };
        let figures = [
            (right, Some(accuracy)),
            ("macro F1", Some(macro_f1)),
            ("micro F1", Some(micro_f1)),
            ("weighted F1", Some(weighted_f1)),
            ("top-3 accuracy", top_3_accuracy),
            ("found in 15 %", alert_recall),
        ];
        for (name, figure) in figures {
            if let Some(figure) = figure {
                writeln!(f, "{name:<16}  {figure:.4}")?;
            }
        }
        Ok(())
    }

    fn write_labels(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let occurs = |label: &&LabelFigures| label.support + label.predicted > 0;
        let mut labels: Vec<_> = self.figures.labels.iter().filter(occurs).collect();
        labels.sort_by_key(|label| std::cmp::Reverse(label.support));
        let mut table = Table::new(["label", "name", "support", "predicted", "precision", "recall", "F1"], 2);
        let figure = |figure: f64| format!("{figure:.4}");
        for label in &labels {
            let name = if label.name == label.label { String::new() } else { label.name.clone() };
            table.rows.push([
                label.label.clone(),
                name,
                label.support.to_string(),
                label.predicted.to_string(),
                figure(label.precision),
                figure(label.recall),
                figure(label.f1),
            ]);
        }
        write!(f, "{table}")?;
        match self.figures.labels.len() - labels.len() {
            0 => Ok(()),
            1 => writeln!(f, "1 label of the head occurs neither in the rows nor among the answers"),
            absent => {
                writeln!(f, "{absent} labels of the head occur neither in the rows nor among the answers")
            }
        }
    }

    fn write_confusions(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(matrix) = &self.figures.confusion_matrix else {
            return Ok(());
        };
        let mut table = Table::new(["label", "taken for", "rows"], 2);
        for confusion in matrix.confusions(SHOWN) {
            table.rows.push([
                self.name(confusion.gold).to_owned(),
                self.name(confusion.predicted).to_owned(),
                confusion.rows.to_string(),
            ]);
        }
        if table.rows.is_empty() { Ok(()) } else { write!(f, "\nmost frequent confusions\n{table}") }
    }

    fn write_unknown_labels(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unknown = &self.figures.unknown_labels;
        if unknown.is_empty() {
            return Ok(());
        }
        let mut table = Table::new(["label", "rows"], 1);
        for unknown in unknown.iter().take(SHOWN) {
            table.rows.push([unknown.label.clone(), unknown.rows.to_string()]);
        }
        write!(f, "\nlabels that the head does not have; their rows count as wrong\n{table}")?;
        match self.figures.unknown_labels.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => writeln!(f, "and {more} more"),
        }
    }

    fn name<'a>(&'a self, label: &'a str) -> &'a str {
        let figures = self.figures.labels.iter().find(|figures| figures.label == label);
        figures.map_or(label, |figures| &figures.name)
    }
}

/// Columns under their headings: the first `words` of them flush left, the others, numbers, flush right.
struct Table<const COLUMNS: usize> {
    headings: [&'static str; COLUMNS],
    words: usize,
    rows: Vec<[String; COLUMNS]>,
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    fn new(headings: [&'static str; COLUMNS], words: usize) -> Self {
        Self { headings, words, rows: Vec::new() }
    }

    fn write_line(
        &self,
        f: &mut fmt::Formatter<'_>,
        cells: [&str; COLUMNS],
        widths: [usize; COLUMNS],
    ) -> fmt::Result {
        let mut line = String::new();
        for (column, (cell, width)) in cells.into_iter().zip(widths).enumerate() {
            let space = " ".repeat(width - cell.width());
            let gap = if column == 0 { "" } else { "  " };
            let (before, after) =
                if column < self.words { ("", space) } else { (space.as_str(), String::new()) };
            line.extend([gap, before, cell, &after]);
        }
        writeln!(f, "{}", line.trim_end())
    }
}

impl<const COLUMNS: usize> fmt::Display for Table<COLUMNS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = std::array::from_fn(|column| {
            let cells = self.rows.iter().map(|row| row[column].width());
            cells.max().unwrap_or(0).max(self.headings[column].width())
        });
        self.write_line(f, self.headings, widths)?;
        self.rows.iter().try_for_each(|row| self.write_line(f, row.each_ref().map(String::as_str), widths))
    }
}

#[cfg(test)]
mod tests {
    use super::super::evaluate;
    use super::super::tests::{EVEN_ODDS, MOST_PROBABLE, answering, rows, single};
    use super::*;
    use crate::classifier::Problem;
    use crate::label::LabelSet;

    fn report(mut figures: Figures) -> Report {
        figures.name_labels(|label| (label == "housing").then(|| "住房物业".to_owned()));
        Report {
            head: "category".into(),
            channel: None,
            label_system: None,
            file: "rows.jsonl".into(),
            rows_without_label: 2,
            figures,
            model: "default".into(),
            model_revision: "abc".into(),
            taxonomy_version: "1".into(),
        }
    }

    fn category() -> Report {
        let rows = single(&["housing", "housing", "transport", "health", "metro"]);
        let labels = LabelSet::new(["housing", "transport", "health", "other"]).unwrap();
        let answers: [&[f32]; 5] = [
            &[0.7, 0.1, 0.1, 0.1],
            &[0.2, 0.6, 0.1, 0.1],
            &[0.1, 0.7, 0.1, 0.1],
            &[0.6, 0.2, 0.1, 0.1],
            &[0.0, 1.0, 0.0, 0.0],
        ];
        report(evaluate(&rows, &labels, MOST_PROBABLE, answering(&answers)).unwrap())
    }

    #[test]
    fn people_read_an_aligned_table() {
        insta::assert_snapshot!(category().to_string(), @"
        category on rows.jsonl
        model default (abc), taxonomy 1
        5 rows; 2 more without a label left out

        accuracy          0.4000
        macro F1          0.2500
        micro F1          0.4000
        weighted F1       0.3000
        top-3 accuracy    0.8000

        label      name      support  predicted  precision  recall      F1
        housing    住房物业        2          2     0.5000  0.5000  0.5000
        transport                  1          3     0.3333  1.0000  0.5000
        health                     1          0     0.0000  0.0000  0.0000
        metro                      1          0     0.0000  0.0000  0.0000
        1 label of the head occurs neither in the rows nor among the answers

        most frequent confusions
        label     taken for  rows
        住房物业  transport     1
        health    住房物业      1
        metro     transport     1

        labels that the head does not have; their rows count as wrong
        label  rows
        metro     1
        ");
    }

    #[test]
    fn lists_of_labels_have_no_confusions() {
        let rows = rows(Problem::MultiLabelClassification, &["[\"fraud\"]", "[]"]);
        let figures =
            evaluate(&rows, &LabelSet::new(["fraud"]).unwrap(), EVEN_ODDS, answering(&[&[0.6], &[0.7]]));
        let report = report(figures.unwrap()).to_string();
        assert!(report.contains("whole list right  0.5000"), "{report}");
        assert!(!report.contains("confusions"), "{report}");
    }

    #[test]
    fn machines_read_json_with_these_names() {
        let json = serde_json::to_value(category()).unwrap();
        let names: Vec<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "head",
                "file",
                "rows_without_label",
                "rows",
                "accuracy",
                "macro_f1",
                "micro_f1",
                "weighted_f1",
                "top_3_accuracy",
                "labels",
                "unknown_labels",
                "confusion_matrix",
                "model",
                "model_revision",
                "taxonomy_version",
            ]
        );
        assert_eq!(json["rows"], 5);
        assert_eq!(json["labels"][0]["name"], "住房物业");
        assert_eq!(json["labels"][1]["name"], "transport");
        assert_eq!(json["confusion_matrix"]["counts"][0][1], 1);
        assert_eq!(json["unknown_labels"][0]["label"], "metro");
    }
}
