//! One row of a table: what its columns hold.
//!
//! What is wrong with a column is told as a sentence without the citizen's words; the table adds file and line.

use serde_json::{Map, Value};

/// What separates the labels of a list in a text.
const LIST_SEPARATORS: [char; 2] = [';', '；'];

/// One row.
#[derive(Debug, Clone)]
pub struct Row(pub(super) Map<String, Value>);

/// What a column says about labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Labels {
    /// Exactly one label.
    One(String),
    /// A list of labels, which may be empty.
    Many(Vec<String>),
}

impl Labels {
    /// All of them, as a list.
    pub fn into_list(self) -> Vec<String> {
        match self {
            Self::One(label) => vec![label],
            Self::Many(labels) => labels,
        }
    }
}

impl Row {
    /// The words in a column; empty if it is missing or null.
    ///
    /// # Errors
    /// If it holds something else than a text.
    pub fn words(&self, column: &str) -> Result<&str, String> {
        match self.0.get(column) {
            None | Some(Value::Null) => Ok(""),
            Some(Value::String(words)) => Ok(words),
            Some(other) => Err(format!("`{column}` holds {}, not a text", kind(other))),
        }
    }

    /// The words of a request, title first. A title without a text is the text.
    ///
    /// # Errors
    /// If one of the two columns holds something else than a text.
    pub fn title_and_text(&self, title: &str, text: &str) -> Result<(&str, &str), String> {
        let (title, text) = (self.words(title)?, self.words(text)?);
        Ok(if text.trim().is_empty() { ("", title) } else { (title, text) })
    }

    /// A text, number or truth value as text; none if it is missing, null or blank.
    ///
    /// # Errors
    /// If the column holds a list or an object.
    pub fn value(&self, column: &str) -> Result<Option<String>, String> {
        let value = self.0.get(column).unwrap_or(&Value::Null);
        one(value).map_err(|kind| format!("`{column}` holds {kind}, not one value"))
    }

    /// The label or labels in a column; none if it is missing, null or blank.
    ///
    /// A JSON list is a list of labels even if it is written as text, as in a CSV cell. With `separated`, any other
    /// text is a list separated by `;`, and a blank one is an empty list.
    ///
    /// # Errors
    /// If the column holds an object, or a list of something else than labels.
    pub fn labels(&self, column: &str, separated: bool) -> Result<Option<Labels>, String> {
        let value = self.0.get(column);
        let words = value.and_then(Value::as_str);
        let written_list: Option<Vec<Value>> = words.and_then(|words| serde_json::from_str(words).ok());
        let labels = match (value.and_then(Value::as_array).or(written_list.as_ref()), words) {
            (Some(list), _) => list
                .iter()
                .map(|label| {
                    one(label)
                        .map_err(|kind| format!("`{column}` lists {kind}, not a label"))?
                        .ok_or_else(|| format!("`{column}` lists an empty label"))
                })
                .collect::<Result<_, _>>()?,
            (None, Some(words)) if separated => {
                let labels = words.split(LIST_SEPARATORS).map(str::trim).filter(|label| !label.is_empty());
                labels.map(str::to_owned).collect()
            }
            (None, _) => return Ok(self.value(column)?.map(Labels::One)),
        };
        Ok(Some(Labels::Many(labels)))
    }
}

/// A single value as text, none if it is null or blank; of anything else, what it is.
fn one(value: &Value) -> Result<Option<String>, &'static str> {
    match value {
        Value::Null => Ok(None),
        Value::String(words) => Ok(Some(words.trim()).filter(|words| !words.is_empty()).map(str::to_owned)),
        Value::Number(_) | Value::Bool(_) => Ok(Some(value.to_string())),
        Value::Array(_) | Value::Object(_) => Err(kind(value)),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn row(columns: Value) -> Row {
        Row(serde_json::from_value(columns).unwrap())
    }

    fn many(labels: &[&str]) -> Labels {
        Labels::Many(labels.iter().map(|label| (*label).to_owned()).collect())
    }

    #[test]
    fn lists_of_labels_may_be_written_in_three_ways() {
        for (cell, separated) in
            [(json!([" a", "b"]), false), (json!("[\"a\", \"b\"]"), false), (json!("a; b;"), true)]
        {
            assert_eq!(
                row(json!({"risks": cell})).labels("risks", separated).unwrap(),
                Some(many(&["a", "b"]))
            );
        }
        let text = row(json!({"risks": "a; b"})).labels("risks", false).unwrap();
        assert_eq!(text, Some(Labels::One("a; b".into())), "only when asked");
        assert_eq!(
            row(json!({"risks": [1, true]})).labels("risks", true).unwrap(),
            Some(many(&["1", "true"]))
        );
    }

    #[test]
    fn an_empty_list_is_a_list() {
        assert_eq!(row(json!({"risks": []})).labels("risks", false).unwrap(), Some(many(&[])));
        assert_eq!(row(json!({"risks": "[]"})).labels("risks", false).unwrap(), Some(many(&[])));
        assert_eq!(row(json!({"risks": ""})).labels("risks", true).unwrap(), Some(many(&[])));
        for nothing in [json!({"risks": ""}), json!({"risks": null}), json!({})] {
            assert_eq!(row(nothing).labels("risks", false).unwrap(), None);
        }
    }

    #[test]
    fn says_what_a_column_holds_instead() {
        let row = row(json!({"text": 3, "id": {}, "risks": ["a", []], "marks": ["a", " "]}));
        assert_eq!(row.words("text").unwrap_err(), "`text` holds a number, not a text");
        assert_eq!(row.value("id").unwrap_err(), "`id` holds an object, not one value");
        assert_eq!(row.labels("risks", false).unwrap_err(), "`risks` lists a list, not a label");
        assert_eq!(row.labels("marks", false).unwrap_err(), "`marks` lists an empty label");
    }

    #[test]
    fn a_title_without_a_text_is_the_text() {
        let row = row(json!({"title": "路灯", "text": " ", "body": "不亮"}));
        assert_eq!(row.title_and_text("title", "text").unwrap(), ("", "路灯"));
        assert_eq!(row.title_and_text("title", "body").unwrap(), ("路灯", "不亮"));
    }
}
