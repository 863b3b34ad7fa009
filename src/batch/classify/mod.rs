//! `classify(text, title, area)`: the pipeline as a vectorised function of DataFusion, which gives a struct a row.
//!
//! A batch of rows is one batch of the encoder: its texts are sorted by length and cut into token budgets there. Words that
//! were answered before, in this batch or an earlier one, are not asked again.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};
use moka::sync::Cache;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

mod answer;

pub(super) use answer::{PROBLEM, UNKNOWN_AREA, fields, is_column};

use answer::Answer;

use crate::encoder::{Precision, Threads};
use crate::pipeline::{CitizenRequest, Pipeline};

/// The name of the function in SQL.
pub const FUNCTION: &str = "classify";

/// Memory for answers to words that may come again.
const CACHE_BYTES: u64 = 16 << 20;

/// The words of a row and its area, as a digest; two that are equal have the same answer.
type Key = [u8; 32];
/// An answer, or why there is none.
type Answered = Arc<std::result::Result<Answer, String>>;

/// Answers rows by a pipeline.
pub struct Classify {
    /// None where the function is only spoken of.
    pipeline: Option<Arc<Pipeline>>,
    known: Cache<Key, Answered>,
    signature: Signature,
}

/// A row's words.
struct Words<'a> {
    title: &'a str,
    text: &'a str,
    area: &'a str,
}

impl Classify {
    /// A function that asks `pipeline`.
    pub fn new(pipeline: Arc<Pipeline>) -> Self {
        Self::asking(Some(pipeline))
    }

    /// A function of the same name and type for those who plan what others compute; it cannot be called.
    pub fn stand_in() -> Self {
        Self::asking(None)
    }

    fn asking(pipeline: Option<Arc<Pipeline>>) -> Self {
        let weigh = |_: &Key, answer: &Answered| answer.as_ref().as_ref().map_or(256, Answer::bytes);
        // In floats the answer to a text may differ in the last digits with the texts beside it, so that answers of other
        // batches would make a run that was resumed differ from one in a single go.
        let exact = pipeline
            .as_ref()
            .and_then(|pipeline| pipeline.model())
            .is_some_and(|model| model.precision() == Precision::Int8);
        let texts = |count| TypeSignature::Exact(vec![DataType::Utf8; count]);
        Self {
            pipeline,
            known: Cache::builder().max_capacity(if exact { CACHE_BYTES } else { 0 }).weigher(weigh).build(),
            signature: Signature::one_of((1..=3).map(texts).collect(), Volatility::Immutable),
        }
    }

    /// As DataFusion registers it.
    pub fn into_function(self) -> ScalarUDF {
        ScalarUDF::from(self)
    }

    /// Answers rows, in their order.
    fn answer(&self, rows: &[Words<'_>]) -> Result<Vec<Answered>> {
        let keys: Vec<Key> = rows.par_iter().map(Words::key).collect();
        let mut answers: HashMap<Key, Option<Answered>> = HashMap::with_capacity(rows.len());
        let mut unknown = Vec::new();
        for (key, row) in keys.iter().zip(rows) {
            if let Entry::Vacant(entry) = answers.entry(*key) {
                let known = entry.insert(self.known.get(key));
                if known.is_none() {
                    unknown.push((*key, row));
                }
            }
        }
        for (key, answer) in self.ask(&unknown)? {
            self.known.insert(key, Arc::clone(&answer));
            answers.insert(key, Some(answer));
        }
        let answer = |key| answers.get(key).cloned().flatten();
        let all: Option<Vec<_>> = keys.iter().map(answer).collect();
        all.ok_or_else(|| DataFusionError::Internal("a row has no answer".to_owned()))
    }

    /// Asks the pipeline about words that are all different.
    fn ask(&self, rows: &[(Key, &Words<'_>)]) -> Result<Vec<(Key, Answered)>> {
        let Some(pipeline) = &self.pipeline else {
            return Err(DataFusionError::Internal(format!("`{FUNCTION}` is only spoken of here")));
        };
        let read: Vec<_> = rows.par_iter().map(|(_, words)| words.check(pipeline)).collect();
        let mut requests = Vec::with_capacity(read.len());
        let checked: Vec<_> = read
            .into_iter()
            .map(|read| {
                read.map(|(request, area_known)| {
                    requests.push(request);
                    area_known
                })
            })
            .collect();
        let assessed = pipeline.assess_each(&requests, Threads::All, Answer::from);
        let mut answers = assessed.map_err(|error| DataFusionError::External(error.into()))?.into_iter();
        let answered = checked.into_iter().map(|checked| {
            let area_known = checked?;
            let answer = answers.next().ok_or("the model answered fewer texts than it was asked")?;
            Ok(if area_known { answer } else { answer.with_unknown_area() })
        });
        Ok(rows.iter().map(|(key, _)| *key).zip(answered.map(Arc::new)).collect())
    }
}

impl Words<'_> {
    /// Reads a row's words, and says whether the directory knows its area. Records of years name areas that are no more:
    /// such a row is placed by its words.
    fn check(&self, pipeline: &Arc<Pipeline>) -> std::result::Result<(CitizenRequest, bool), String> {
        let area = self.area.trim();
        let area_known = area.is_empty() || !pipeline.directory().areas_called(area).is_empty();
        let area = if area_known { area } else { "" };
        // What has a title alone is what the title says.
        let (title, text) =
            if self.text.trim().is_empty() { ("", self.title) } else { (self.title, self.text) };
        let request = pipeline.request(title, text, area).map_err(|error| error.to_string())?;
        Ok((request, area_known))
    }

    fn key(&self) -> Key {
        let mut digest = Sha256::new();
        for field in [self.title, self.text, self.area] {
            digest.update((field.len() as u64).to_le_bytes());
            digest.update(field);
        }
        digest.finalize().into()
    }
}

impl ScalarUDFImpl for Classify {
    fn name(&self) -> &'static str {
        FUNCTION
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Struct(answer::fields()))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns: Vec<ArrayRef> = args
            .args
            .into_iter()
            .map(|arg| Ok(cast(&arg.into_array(args.number_rows)?, &DataType::Utf8)?))
            .collect::<Result<_>>()?;
        let cell = |column: usize, row: usize| {
            let array = columns.get(column).filter(|array| array.is_valid(row));
            array.map_or("", |array| array.as_string::<i32>().value(row))
        };
        let words = |row| Words { text: cell(0, row), title: cell(1, row), area: cell(2, row) };
        let rows: Vec<_> = (0..args.number_rows).map(words).collect();
        Ok(ColumnarValue::Array(Arc::new(answer::to_struct(&self.answer(&rows)?))))
    }
}

// There is one pipeline in a process: functions of two are never compared.
impl PartialEq for Classify {
    fn eq(&self, other: &Self) -> bool {
        match (&self.pipeline, &other.pipeline) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        }
    }
}

impl Eq for Classify {}

impl Hash for Classify {
    fn hash<H: Hasher>(&self, state: &mut H) {
        FUNCTION.hash(state);
    }
}

impl std::fmt::Debug for Classify {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Classify").finish_non_exhaustive()
    }
}
