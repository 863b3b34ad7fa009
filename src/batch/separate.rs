//! Parts the rows that have an answer from those that are rejected, and gives each the columns of its file.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, StringArray, StructArray};
use datafusion::arrow::compute::{filter, filter_record_batch};
use datafusion::arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::Column;
use datafusion::logical_expr::{Expr, ScalarUDF};

use super::classify;
use super::json_field::with_json;
use super::output::objects;
use super::scan::{
    AREA, BROKEN, BYTES, INPUT_FILE, INPUT_LINE, LABEL, PART, RAW, REQUEST_ID, Scan, TEXT, TITLE,
};

/// The column of the answers while a part is on its way.
const ANSWER: &str = "jiesu:answer";

/// The files that rows end up in.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    /// Schema of the output: the columns that are kept, id and place, the answer.
    pub(super) output: SchemaRef,
    /// Schema of the rejects: place, reason, and the row.
    pub(super) rejects: SchemaRef,
    kept: usize,
    /// How many columns of the projection are carried ones; they come first.
    carried: usize,
}

/// A batch, parted.
pub(super) struct Separated {
    pub(super) answered: RecordBatch,
    /// The label that each answered row had before.
    pub(super) labels: StringArray,
    pub(super) rejected: RecordBatch,
    /// Why each was.
    pub(super) reasons: StringArray,
}

impl Layout {
    /// The layout for a scan of which the columns in `keep` are kept, or all.
    ///
    /// # Errors
    /// With the first column that no table has.
    pub(super) fn new(scan: &Scan, keep: Option<&[String]>) -> Result<Self, String> {
        let carried = scan.carried();
        let kept: Vec<Arc<Field>> = match keep {
            None => carried.to_vec(),
            Some(names) => {
                let field = |name: &String| carried.iter().find(|field| field.name() == name).cloned();
                let names = names.iter().enumerate().filter(|(place, name)| !names[..*place].contains(name));
                names.map(|(_, name)| field(name).ok_or_else(|| name.clone())).collect::<Result<_, _>>()?
            }
        };
        let place = || {
            [(REQUEST_ID, DataType::Utf8), (INPUT_FILE, DataType::Utf8), (INPUT_LINE, DataType::UInt64)]
                .map(|(name, data_type)| Arc::new(Field::new(name, data_type, true)))
        };
        let answer = classify::fields()
            .iter()
            .filter(|field| field.name() != classify::PROBLEM)
            .cloned()
            .collect::<Vec<_>>();
        let output = kept.iter().cloned().chain(place()).chain(answer).collect::<Fields>();
        let text = |name| Arc::new(Field::new(name, DataType::Utf8, true));
        let row = with_json(Field::new("row", DataType::Utf8, true));
        let [_, file, line] = place();
        let rejects =
            Fields::from(vec![file, line, text("reason"), Arc::new(row), text("raw"), text("bytes")]);
        Ok(Self {
            output: Arc::new(Schema::new(output)),
            rejects: Arc::new(Schema::new(rejects)),
            kept: kept.len(),
            carried: carried.len(),
        })
    }

    /// What is asked of the scan: every carried column, since a rejected row is told whole, and the answers.
    pub(super) fn projection(scan: &Scan, function: &ScalarUDF) -> Vec<Expr> {
        let column = |name: &str| Expr::Column(Column::new_unqualified(name));
        let own = [REQUEST_ID, INPUT_FILE, INPUT_LINE, PART, LABEL, BROKEN, RAW, BYTES];
        let carried = scan.carried().iter().map(|field| field.name().as_str());
        let answer = function.call([TEXT, TITLE, AREA].map(column).to_vec()).alias(ANSWER);
        carried.chain(own).map(column).chain([answer]).collect()
    }

    /// Parts a batch of the projection.
    pub(super) fn separate(&self, batch: &RecordBatch) -> Result<Separated, ArrowError> {
        let column = |name: &str| {
            let missing = || ArrowError::SchemaError(format!("there is no column `{name}`"));
            batch.column_by_name(name).ok_or_else(missing)
        };
        let answer = column(ANSWER)?.as_struct();
        let problems = problems(column(BROKEN)?.as_string(), answer);
        let is_answered: BooleanArray =
            (0..batch.num_rows()).map(|row| Some(problems.is_null(row))).collect();
        let of_output = |(place, field): (usize, &Arc<Field>)| match answer.column_by_name(field.name()) {
            Some(column) if place >= self.kept => Ok(column),
            Some(_) | None => column(field.name()),
        };
        let output: Vec<ArrayRef> = self
            .output
            .fields()
            .iter()
            .enumerate()
            .map(|it| of_output(it).cloned())
            .collect::<Result<_, _>>()?;
        let output = RecordBatch::try_new(Arc::clone(&self.output), output)?;
        let is_rejected = datafusion::arrow::compute::not(&is_answered)?;
        let reasons: StringArray = filter(&problems, &is_rejected)?.as_string().clone();
        Ok(Separated {
            answered: filter_record_batch(&output, &is_answered)?,
            labels: filter(column(LABEL)?, &is_answered)?.as_string().clone(),
            rejected: self.rejects(&filter_record_batch(batch, &is_rejected)?, reasons.clone())?,
            reasons,
        })
    }

    fn rejects(&self, batch: &RecordBatch, problems: StringArray) -> Result<RecordBatch, ArrowError> {
        let named = |name: &str| batch.column_by_name(name).cloned();
        let raw = named(RAW).unwrap_or_else(|| Arc::new(StringArray::new_null(batch.num_rows())));
        let objects = objects(&batch.project(&(0..self.carried).collect::<Vec<_>>())?)?;
        // A row that could not be read has no cells.
        let row = objects.iter().enumerate().map(|(row, object)| object.filter(|_| raw.is_null(row)));
        let row: StringArray = row.collect();
        let columns = [
            named(INPUT_FILE),
            named(INPUT_LINE),
            Some(Arc::new(problems) as ArrayRef),
            Some(Arc::new(row)),
            Some(raw),
            named(BYTES),
        ];
        RecordBatch::try_new(Arc::clone(&self.rejects), columns.into_iter().flatten().collect())
    }
}

/// How many rows of a batch of the projection are rejected.
pub(super) fn rejected(batch: &RecordBatch) -> u64 {
    let (broken, answer) = (batch.column_by_name(BROKEN), batch.column_by_name(ANSWER));
    let (Some(broken), Some(answer)) = (broken, answer) else { return 0 };
    let problems = problems(broken.as_string(), answer.as_struct());
    (problems.len() - problems.null_count()) as u64
}

/// What is wrong with each row: itself, or its words.
fn problems(broken: &StringArray, answer: &StructArray) -> StringArray {
    let of_words = answer.column_by_name(classify::PROBLEM).map(AsArray::as_string::<i32>);
    let problem = |row| {
        let of_words = || of_words.filter(|words| words.is_valid(row)).map(|words| words.value(row));
        if broken.is_valid(row) { Some(broken.value(row)) } else { of_words() }
    };
    (0..broken.len()).map(problem).collect()
}
