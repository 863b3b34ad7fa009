//! Fields of raw JSON: what a file of JSON lines holds beside text is carried as it is written there.

use datafusion::arrow::datatypes::Field;

/// The key in an Arrow field's metadata that says, by the value `true`, that the text in it is JSON.
const KEY: &str = "jiesu.json";

/// The field, its text said to be JSON.
pub(super) fn with_json(field: Field) -> Field {
    let mut metadata = field.metadata().clone();
    metadata.insert(KEY.to_owned(), "true".to_owned());
    field.with_metadata(metadata)
}

/// Whether the text of a field is JSON.
pub(super) fn is_json(field: &Field) -> bool {
    field.metadata().get(KEY).is_some_and(|value| value == "true")
}
