//! Rows of many types, for tests.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use crate::batch::json_field::with_json;

use super::{OutputFormat, PartWriter, Written, assemble};
use datafusion::arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float32Array,
    Float64Array, Int64Array, LargeStringArray, ListBuilder, NullArray, StringArray, StringBuilder,
    StringViewArray, StructArray, Time32SecondArray, TimestampMillisecondArray, TimestampSecondArray,
    UInt32Array, UInt64Array,
};
use datafusion::arrow::compute::take_record_batch;
use datafusion::arrow::datatypes::{DataType, Field, Int8Type, Schema, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;

/// Three rows: one with every value, one nearly empty, one of text alone.
pub(super) fn batch() -> RecordBatch {
    let mut list = ListBuilder::new(StringBuilder::new());
    list.append_value([Some("甲"), None]);
    list.append_value(Vec::<Option<&str>>::new());
    list.append_null();
    let scores: ArrayRef = Arc::new(Float64Array::from(vec![Some(0.5), None, None]));
    let members = Field::new("score", DataType::Float64, true);
    let valid = vec![true, false, false].into();
    let scores = StructArray::new(vec![members].into(), vec![scores], Some(valid));
    // 2024-02-29T00:30:00Z
    let second = 1_709_166_600;
    let decimal = Decimal128Array::from(vec![Some(-1_234_567_890_123_456_789_005), None, None]);
    let naive = (second + 8 * 3600) * 1000 + 250;
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("text", Arc::new(StringArray::from(vec!["路灯\"不亮\",\n=1+1", "", "-5.2"]))),
        ("large", Arc::new(LargeStringArray::from(vec![Some("=甲"), None, None]))),
        ("view", Arc::new(StringViewArray::from(vec![Some("－乙"), None, None]))),
        ("choice", Arc::new(DictionaryArray::<Int8Type>::from_iter([Some("水务局"), None, None]))),
        ("int", Arc::new(Int64Array::from(vec![Some(i64::MIN), None, None]))),
        ("unsigned", Arc::new(UInt64Array::from(vec![Some(u64::MAX), None, None]))),
        ("float", Arc::new(Float64Array::from(vec![Some(0.1), None, None]))),
        ("single", Arc::new(Float32Array::from(vec![Some(0.1), None, None]))),
        ("true", Arc::new(BooleanArray::from(vec![Some(true), None, None]))),
        ("decimal", Arc::new(decimal.with_precision_and_scale(38, 2).unwrap())),
        ("date", Arc::new(Date32Array::from(vec![Some(19_782), None, None]))),
        ("time", Arc::new(Time32SecondArray::from(vec![Some(8 * 3600 + 1800), None, None]))),
        ("naive", Arc::new(TimestampMillisecondArray::from(vec![Some(naive), None, None]))),
        (
            "zoned",
            Arc::new(
                TimestampSecondArray::from(vec![Some(second), None, None]).with_timezone("Asia/Shanghai"),
            ),
        ),
        ("list", Arc::new(list.finish())),
        ("struct", Arc::new(scores)),
        ("binary", Arc::new(BinaryArray::from(vec![Some(b"\x00\xff".as_slice()), None, None]))),
        ("nothing", Arc::new(NullArray::new(3))),
        ("json", Arc::new(StringArray::from(vec!["{\"风险\":\n[\"=1\", 1.50]}", "\"一般\"", "not [json"]))),
    ];
    let field = |(name, array): &(&str, ArrayRef)| {
        let field = Field::new(*name, array.data_type().clone(), true);
        match *name {
            "json" => with_json(field),
            _ => field,
        }
    };
    let metadata = HashMap::from([("丙".to_owned(), "1".to_owned()), ("丁".to_owned(), "2".to_owned())]);
    let schema = Schema::new_with_metadata(columns.iter().map(field).collect::<Vec<_>>(), metadata);
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    RecordBatch::try_new(Arc::new(schema), arrays).unwrap()
}

/// The schema of [`batch`].
pub(super) fn schema() -> SchemaRef {
    batch().schema()
}

/// The rows of [`batch`] again and again.
pub(super) fn many(rows: u32) -> RecordBatch {
    take_record_batch(&batch(), &UInt32Array::from_iter_values((0..rows).map(|row| row * row % 7 % 3)))
        .unwrap()
}

/// Writes a part; there is at least one batch.
pub(super) fn part(format: OutputFormat, path: &Path, batches: &[RecordBatch]) -> Written {
    let mut writer = PartWriter::create(format, path, batches[0].schema()).unwrap();
    for batch in batches {
        writer.write(batch).unwrap();
    }
    writer.finish().unwrap()
}

/// What stands in the file that one part is joined to.
pub(super) fn joined(format: OutputFormat, batch: &RecordBatch) -> String {
    let folder = tempfile::tempdir().unwrap();
    let (one, all) = (folder.path().join("one"), folder.path().join("all"));
    part(format, &one, std::slice::from_ref(batch));
    let written = assemble(format, &batch.schema(), &[one], &all).unwrap();
    assert_eq!(written.rows, batch.num_rows() as u64);
    fs::read_to_string(all).unwrap()
}
