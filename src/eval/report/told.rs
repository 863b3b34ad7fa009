//! A report as plain text, for a terminal: what fits there. The rest is for the page and for machines.

use std::fmt;

use super::{ConfusionMatrix, Estimate, LabelFigures, ReportData, Slice};
use crate::eval::text::Table;

/// How many confusions, unknown labels, and slices of a column the text shows.
const SHOWN: usize = 10;

impl fmt::Display for ReportData {
    /// Writes the report as aligned plain text, Chinese characters counted as two columns wide.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_head(f)?;
        self.write_figures(f)?;
        self.write_labels(f)?;
        self.write_confusions(f)?;
        self.write_slices(f)?;
        self.write_doubts(f)?;
        self.write_unknown_labels(f)
    }
}

impl ReportData {
    fn write_head(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = &self.what;
        write!(f, "{}", what.head)?;
        if let Some(system) = &what.label_system {
            write!(f, " as {system}")?;
        }
        if let Some(channel) = &what.channel {
            write!(f, " by {channel}")?;
        }
        writeln!(f, " on {}", what.files.join(", "))?;
        write!(f, "model {} ({}), taxonomy {}", what.model, what.model_revision, what.taxonomy_version)?;
        match &what.endpoint {
            Some(endpoint) => writeln!(f, ", asked at {endpoint}")?,
            None => writeln!(f)?,
        }
        match what.rows_without_label {
            0 => writeln!(f, "{} rows", what.rows),
            without => writeln!(f, "{} rows; {without} more without a label left out", what.rows),
        }
    }

    fn write_figures(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new(["figure", "value", "95 % interval"], 1);
        for figure in &self.figures {
            let interval = interval(figure.estimate);
            table.rows.push([figure.name.clone(), number(figure.estimate.value), interval]);
        }
        write!(f, "\n{table}")
    }

    fn write_labels(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let occurs = |label: &&LabelFigures| label.support + label.predicted > 0;
        let mut labels: Vec<_> = self.labels.iter().filter(occurs).collect();
        labels.sort_by_key(|label| std::cmp::Reverse(label.support));
        let headings =
            ["label", "name", "support", "predicted", "precision", "recall", "F1", "95 % interval"];
        let mut table = Table::new(headings, 2);
        for label in &labels {
            let name = if label.name == label.id { String::new() } else { label.name.clone() };
            table.rows.push([
                label.id.clone(),
                name,
                label.support.to_string(),
                label.predicted.to_string(),
                number(label.precision.value),
                number(label.recall.value),
                number(label.f1.value),
                interval(label.f1),
            ]);
        }
        write!(f, "\n{table}")?;
        match self.labels.len() - labels.len() {
            0 => Ok(()),
            1 => writeln!(f, "1 label of the head occurs neither in the rows nor among the answers"),
            absent => {
                writeln!(f, "{absent} labels of the head occur neither in the rows nor among the answers")
            }
        }
    }

    fn write_confusions(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(matrix) = &self.confusion_matrix else {
            return Ok(());
        };
        let mut table = Table::new(["label", "taken for", "rows"], 2);
        for (gold, predicted, rows) in matrix.confusions().into_iter().take(SHOWN) {
            table.rows.push([gold.to_owned(), predicted.to_owned(), rows.to_string()]);
        }
        if table.rows.is_empty() { Ok(()) } else { write!(f, "\nmost frequent confusions\n{table}") }
    }

    fn write_slices(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut columns: Vec<&str> = self.slices.iter().map(|slice| slice.column.as_str()).collect();
        columns.dedup();
        for column in columns {
            let slices: Vec<&Slice> = self.slices.iter().filter(|slice| slice.column == column).collect();
            let mut table = Table::new([column, "rows", "right", "95 % interval", "macro F1", ""], 1);
            for slice in slices.iter().take(SHOWN) {
                let macro_f1 = slice.macro_f1.map_or_else(String::new, |figure| number(figure.value));
                let note = if slice.small { "few rows" } else { "" };
                table.rows.push([
                    slice.value.clone(),
                    slice.rows.to_string(),
                    number(slice.accuracy.value),
                    interval(slice.accuracy),
                    macro_f1,
                    note.to_owned(),
                ]);
            }
            write!(f, "\n{table}")?;
            if slices.len() > SHOWN {
                writeln!(f, "and {} better or smaller ones", slices.len() - SHOWN)?;
            }
        }
        Ok(())
    }

    fn write_doubts(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (noise, duplicates) = (self.label_noise.len(), self.duplicates.len());
        if noise + duplicates == 0 {
            return Ok(());
        }
        writeln!(
            f,
            "\nto look at again: labels that the model denies {noise}, texts with several labels {duplicates}"
        )
    }

    fn write_unknown_labels(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unknown = &self.unknown_labels;
        if unknown.is_empty() {
            return Ok(());
        }
        let mut table = Table::new(["label", "rows"], 1);
        for unknown in unknown.iter().take(SHOWN) {
            table.rows.push([unknown.label.clone(), unknown.rows.to_string()]);
        }
        write!(f, "\nlabels that the head does not have; their rows count as wrong\n{table}")?;
        match unknown.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => writeln!(f, "and {more} more"),
        }
    }
}

impl ConfusionMatrix {
    /// The label, what it was taken for, and in how many rows; the most frequent first.
    fn confusions(&self) -> Vec<(&str, &str, u64)> {
        let cell = |gold: usize, predicted: usize| {
            let rows = self.counts[gold][predicted];
            (gold != predicted && rows > 0)
                .then(|| (self.labels[gold].as_str(), self.labels[predicted].as_str(), rows))
        };
        let labels = self.labels.len();
        let cells =
            (0..labels).flat_map(|gold| (0..labels).filter_map(move |predicted| cell(gold, predicted)));
        let mut confusions: Vec<_> = cells.collect();
        confusions.sort_by_key(|(.., rows)| std::cmp::Reverse(*rows));
        confusions
    }
}

fn number(figure: f64) -> String {
    format!("{figure:.4}")
}

fn interval(estimate: Estimate) -> String {
    estimate.interval().map_or_else(String::new, |(low, high)| format!("{low:.4} – {high:.4}"))
}

#[cfg(test)]
mod tests {
    use super::super::UnknownLabel;
    use super::super::sample::full;

    #[test]
    fn people_read_aligned_tables() {
        let mut report = full();
        report.unknown_labels = vec![UnknownLabel { label: "metro".into(), rows: 3 }];
        insta::assert_snapshot!(report.to_string(), @"
        category on rows.csv
        model default (abc), taxonomy 1
        200 rows

        figure              value    95 % interval
        accuracy           0.8000  0.7800 – 0.8200
        calibration error  0.0500  0.0300 – 0.0700

        label      name      support  predicted  precision  recall      F1    95 % interval
        housing    住房物业      120        120     0.9000  0.9000  0.9000  0.8800 – 0.9200
        transport  交通出行       80         80     0.7000  0.7000  0.7000  0.6800 – 0.7200

        most frequent confusions
        label     taken for  rows
        住房物业  交通出行     20
        交通出行  住房物业     20

        district  rows   right    95 % interval  macro F1
        东区        12  0.6000  0.5800 – 0.6200            few rows
        西区       188  0.8100  0.7900 – 0.8300    0.8100

        channel  rows   right    95 % interval  macro F1
        电话      200  0.8000  0.7800 – 0.8200    0.8000

        to look at again: labels that the model denies 1, texts with several labels 1

        labels that the head does not have; their rows count as wrong
        label  rows
        metro     3
        ");
    }
}
