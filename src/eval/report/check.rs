//! Reading `report.json`, and what must hold before a page is made of it.

use serde_json::Value;

use super::{ReportData, SCHEMA_VERSION};

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// No such JSON.
    #[error("not a report: {0}")]
    Json(#[from] serde_json::Error),
    /// Written by another version of the program.
    #[error("the report has schema version {found}, not {SCHEMA_VERSION}\nhint: evaluate again")]
    SchemaVersion {
        /// The version that it has.
        found: u32,
    },
    /// An infinite figure, or none at all.
    #[error("`{place}` is not a finite number")]
    NotFinite {
        /// The figure, as a path into the JSON.
        place: String,
    },
    /// A matrix whose rows and labels differ in number.
    #[error("the confusion matrix of {labels} labels is not {labels} rows of {labels} counts")]
    NotSquare {
        /// How many labels it has.
        labels: usize,
    },
    /// A span that lies outside its text, is empty, or starts before the one in front of it ends.
    #[error("the spans of `errors[{error}]` do not lie one after the other in its text")]
    Spans {
        /// The index of the row among `errors`.
        error: usize,
    },
    /// A picture that could not be drawn.
    #[error("cannot draw a plot: {0}")]
    Plot(String),
}

impl ReportData {
    /// Reads a report.
    ///
    /// # Errors
    /// If it is no such JSON, of another version, or breaks a rule of [`check`](Self::check).
    pub fn from_json(json: &str) -> Result<Self, ReportError> {
        let data: Self = serde_json::from_str(json)?;
        data.check()?;
        Ok(data)
    }

    /// Whether the version is this program's, all figures are finite, the matrix is square and the spans lie in order in
    /// their texts.
    ///
    /// # Errors
    /// Tells the first that is not so.
    pub fn check(&self) -> Result<(), ReportError> {
        if self.schema_version != SCHEMA_VERSION {
            return Err(ReportError::SchemaVersion { found: self.schema_version });
        }
        if let Some(place) = null_at(&serde_json::to_value(self)?) {
            return Err(ReportError::NotFinite { place: place.trim_start_matches('.').to_owned() });
        }
        if let Some(matrix) = &self.confusion_matrix {
            let labels = matrix.labels.len();
            if matrix.counts.len() != labels || matrix.counts.iter().any(|row| row.len() != labels) {
                return Err(ReportError::NotSquare { labels });
            }
        }
        for (index, error) in self.errors.iter().enumerate() {
            let mut end = 0;
            for span in &error.spans {
                if span.start < end || span.end <= span.start {
                    return Err(ReportError::Spans { error: index });
                }
                end = span.end;
            }
            if end > error.text.chars().count() {
                return Err(ReportError::Spans { error: index });
            }
        }
        Ok(())
    }
}

/// The path of the first null. Absent fields are not written, so a null is a number that is none.
fn null_at(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some(String::new()),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(index, item)| null_at(item).map(|inner| format!("[{index}]{inner}"))),
        Value::Object(fields) => {
            fields.iter().find_map(|(name, field)| null_at(field).map(|inner| format!(".{name}{inner}")))
        }
        Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Span;
    use super::super::sample::full;
    use super::*;

    #[test]
    fn json_comes_back_as_it_went() {
        let json = serde_json::to_string(&full()).unwrap();
        assert_eq!(ReportData::from_json(&json).unwrap(), full());
    }

    #[test]
    fn absent_fields_are_not_written() {
        let mut data = full();
        data.gates.clear();
        data.risk_coverage = None;
        let json = serde_json::to_value(&data).unwrap();
        assert!(json.get("gates").is_none() && json.get("risk_coverage").is_none());
        assert!(json["figures"][0].get("low").is_some(), "value and interval stand beside the name");
    }

    #[test]
    fn refuses_another_version() {
        let data = ReportData { schema_version: 2, ..full() };
        let json = serde_json::to_string(&data).unwrap();
        assert!(matches!(ReportData::from_json(&json), Err(ReportError::SchemaVersion { found: 2 })));
    }

    #[test]
    fn names_the_figure_that_is_no_number() {
        let mut data = full();
        data.labels[1].f1.high = Some(f64::INFINITY);
        let told = data.check().unwrap_err().to_string();
        assert_eq!(told, "`labels[1].f1.high` is not a finite number");
    }

    #[test]
    fn refuses_a_matrix_that_is_not_square() {
        let mut data = full();
        if let Some(matrix) = &mut data.confusion_matrix {
            matrix.counts[0].pop();
        }
        assert!(matches!(data.check(), Err(ReportError::NotSquare { .. })));
    }

    #[test]
    fn refuses_spans_out_of_order_or_beyond_the_text() {
        let span = |start, end| Span { start, end, weight: 1.0 };
        for spans in [vec![span(2, 4), span(0, 1)], vec![span(0, 1_000)], vec![span(1, 1)]] {
            let mut data = full();
            data.errors[0].spans = spans;
            assert!(matches!(data.check(), Err(ReportError::Spans { error: 0 })));
        }
    }
}
