//! What stands in a cell, the same for every text format: how a value of each Arrow type is spelt.

use std::sync::{Arc, LazyLock};

use serde_json::value::RawValue;

use crate::batch::json_field::is_json;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringViewArray};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, FieldRef, Float32Type, Float64Type, Schema};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::json::writer::{EncoderOptions, NullableEncoder, make_encoder};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};

static ENCODER_OPTIONS: LazyLock<EncoderOptions> = LazyLock::new(EncoderOptions::default);

/// A value as it is spelt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cell<'c> {
    Null,
    Text(&'c str),
    /// A number or a boolean.
    Literal(&'c str),
    /// JSON on one line.
    Json(&'c str),
}

/// A column whose cells can be spelt one after another.
pub(super) struct Column<'a> {
    nulls: Option<NullBuffer>,
    form: Form<'a>,
    /// Holds the cell that was asked for last.
    spelt: String,
    encoded: Vec<u8>,
}

enum Form<'a> {
    Text(&'a StringViewArray),
    /// Text that should be JSON.
    Json(&'a StringViewArray),
    Literal(ArrayFormatter<'a>),
    /// What has a text form of its own, such as a date.
    Formatted(ArrayFormatter<'a>),
    Nested(NullableEncoder<'a>),
}

/// The columns of `batch` in fewer types: text is a view, dictionaries are unpacked, and floats that are no number are null.
pub(super) fn plain(batch: &RecordBatch) -> Result<Vec<ArrayRef>, ArrowError> {
    batch.columns().iter().map(plain_array).collect()
}

fn plain_array(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    // The types that are left as they are stand in `Form`, which has a form for each or refuses it.
    #[expect(clippy::wildcard_enum_match_arm, reason = "most types are plain already")]
    match array.data_type() {
        // Not to a view at once: that forgets which of the dictionary's values are null.
        DataType::Dictionary(_, value) => plain_array(&cast(array, value)?),
        DataType::RunEndEncoded(_, value) => plain_array(&cast(array, value.data_type())?),
        DataType::Utf8 | DataType::LargeUtf8 => cast(array, &DataType::Utf8View),
        DataType::Float16 => plain_array(&cast(array, &DataType::Float32)?),
        DataType::Float32 => {
            let finite = |value: f32| value.is_finite().then_some(value);
            Ok(Arc::new(array.as_primitive::<Float32Type>().unary_opt::<_, Float32Type>(finite)))
        }
        DataType::Float64 => {
            let finite = |value: f64| value.is_finite().then_some(value);
            Ok(Arc::new(array.as_primitive::<Float64Type>().unary_opt::<_, Float64Type>(finite)))
        }
        _ => Ok(array.clone()),
    }
}

/// Columns from what [`plain`] gave.
pub(super) fn columns<'a>(schema: &'a Schema, arrays: &'a [ArrayRef]) -> Result<Vec<Column<'a>>, ArrowError> {
    schema.fields().iter().zip(arrays).map(|(field, array)| Column::new(field, array)).collect()
}

impl<'a> Column<'a> {
    fn new(field: &'a FieldRef, array: &'a ArrayRef) -> Result<Self, ArrowError> {
        let formatter = || ArrayFormatter::try_new(array, &FormatOptions::new().with_display_error(false));
        let kind = array.data_type();
        let form = if *kind == DataType::Utf8View {
            let texts = array.as_string_view();
            if is_json(field) { Form::Json(texts) } else { Form::Text(texts) }
        } else if kind.is_nested() {
            Form::Nested(make_encoder(field, array, &ENCODER_OPTIONS)?)
        } else if kind.is_numeric() || *kind == DataType::Boolean {
            Form::Literal(formatter()?)
        } else {
            Form::Formatted(formatter()?)
        };
        Ok(Self { nulls: array.logical_nulls(), form, spelt: String::new(), encoded: Vec::new() })
    }

    /// The cell in `row`.
    pub(super) fn cell(&mut self, row: usize) -> Result<Cell<'_>, ArrowError> {
        if self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            return Ok(Cell::Null);
        }
        self.spelt.clear();
        match &mut self.form {
            Form::Text(texts) => Ok(Cell::Text(texts.value(row))),
            Form::Json(texts) => Ok(json(texts.value(row), &mut self.spelt)),
            Form::Literal(formatter) => {
                formatter.value(row).write(&mut self.spelt)?;
                Ok(Cell::Literal(&self.spelt))
            }
            Form::Formatted(formatter) => {
                formatter.value(row).write(&mut self.spelt)?;
                Ok(Cell::Text(&self.spelt))
            }
            Form::Nested(encoder) => {
                self.encoded.clear();
                encoder.encode(row, &mut self.encoded);
                let json = std::str::from_utf8(&self.encoded)
                    .map_err(|error| ArrowError::JsonError(error.to_string()))?;
                Ok(Cell::Json(json))
            }
        }
    }
}

/// A text that should be JSON: as JSON on one line if it is, as text if it is not.
fn json<'c>(text: &'c str, line: &'c mut String) -> Cell<'c> {
    let Ok(json) = serde_json::from_str::<&RawValue>(text) else { return Cell::Text(text) };
    let json = json.get();
    if !json.contains(['\n', '\r']) {
        return Cell::Json(json);
    }
    // In JSON a line end stands only between tokens, where a space is as good.
    line.extend(json.chars().map(|c| if matches!(c, '\n' | '\r') { ' ' } else { c }));
    Cell::Json(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::{DictionaryArray, Float64Array, Int8Array, StringArray};
    use datafusion::arrow::datatypes::Int8Type;

    #[test]
    fn json_is_put_on_one_line_and_what_is_none_stays_text() {
        let mut line = String::new();
        assert_eq!(json("{\"甲\":\n [1.50]}", &mut line), Cell::Json("{\"甲\":  [1.50]}"));
        assert_eq!(json(" \"-5\" ", &mut String::new()), Cell::Json("\"-5\""));
        assert_eq!(json("{\"甲\":", &mut String::new()), Cell::Text("{\"甲\":"));
        assert_eq!(json("", &mut String::new()), Cell::Text(""));
    }

    fn cells(array: ArrayRef) -> Vec<Option<String>> {
        let batch = RecordBatch::try_from_iter([("a", array)]).unwrap();
        let arrays = plain(&batch).unwrap();
        let mut column = columns(batch.schema_ref(), &arrays).unwrap().remove(0);
        let spelt = |row| match column.cell(row).unwrap() {
            Cell::Null => None,
            Cell::Text(text) | Cell::Literal(text) | Cell::Json(text) => Some(text.to_owned()),
        };
        (0..batch.num_rows()).map(spelt).collect()
    }

    #[test]
    fn floats_have_their_fewest_digits_and_what_is_no_number_is_null() {
        let floats = [0.1, 1.0, 12_345_678_901.5, -1e-7, f64::NAN, f64::NEG_INFINITY];
        let spelt = cells(Arc::new(Float64Array::from_iter_values(floats)));
        let spelt: Vec<_> = spelt.iter().map(Option::as_deref).collect();
        assert_eq!(spelt, [Some("0.1"), Some("1.0"), Some("12345678901.5"), Some("-1e-7"), None, None]);
    }

    #[test]
    fn a_null_among_the_values_of_a_dictionary_is_a_null() {
        let values = Arc::new(StringArray::from(vec![Some("水务局"), None]));
        let keys = Int8Array::from(vec![Some(1), Some(0), None]);
        let spelt = cells(Arc::new(DictionaryArray::<Int8Type>::new(keys, values)));
        assert_eq!(spelt, [None, Some("水务局".to_owned()), None]);
    }
}
