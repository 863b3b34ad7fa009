//! What a model answered to every row of an evaluation, in a file, so that two models can be compared without either.
//!
//! The file is JSON lines: a header, then one object a row, in the order of the rows. **No word of a citizen is in it**: a
//! row is known by its id and a digest of its text, so that the file may go where the rows must not. (Whoever has a text
//! can tell whether it is among the rows; nobody can read one from the file.)
//!
//! ```json
//! {"format":"jiesu predictions","version":1,"rows":1,"model":"default","model_revision":"9f2c","taxonomy_version":"3",
//!  "directory_version":"7","channel":"model","head":"category","labels":["housing","transport"]}
//! {"id":"41","digest":"…","gold":"housing","probabilities":[0.9,0.1],"decided":"housing"}
//! ```
//!
//! Here the header is on two lines; in the file it is on one. `gold` and `decided` are a label, or a list of labels for a
//! head whose labels do not exclude each other. Probabilities come back from the file to the bit. The file is read and
//! written in `file`, [`pair()`] brings the rows of two files together, [`changes()`] says what became better and worse.

pub mod changes;
mod file;
pub mod pair;

use std::collections::{BTreeSet, HashSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use changes::{Changes, Decision, changes};
pub use file::PredictionsError;
pub use pair::{PairError, Pairs, pair};

/// What a model answered to every row.
#[derive(Debug, Clone, PartialEq)]
pub struct Predictions {
    header: Header,
    rows: Vec<Prediction>,
}

/// Who answered, and in which labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The model.
    pub model: String,
    /// Which state of the model.
    pub model_revision: String,
    /// Which state of the taxonomy.
    pub taxonomy_version: String,
    /// Which state of the directory.
    pub directory_version: String,
    /// Who answered: `model`, `rules`, `directory` or `all`.
    pub channel: String,
    /// The head that was evaluated.
    pub head: String,
    /// The labels of the head, each once, in the order of the probabilities.
    pub labels: Vec<String>,
}

/// What a model answered to one row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prediction {
    /// What the row is called where it comes from.
    pub id: String,
    /// Which text the row has, see [`input_digest`].
    pub digest: String,
    /// What is right; labels that the head does not have may occur.
    pub gold: Labels,
    /// Each from 0 to 1, in the order of the head's labels.
    pub probabilities: Vec<f32>,
    /// What the model decided, in labels of the head.
    pub decided: Labels,
}

/// One label, or a set of labels.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a label or a list of labels")]
pub enum Labels {
    /// The label, where labels exclude each other.
    One(String),
    /// Any number of labels, even none.
    Many(BTreeSet<String>),
}

/// What is wrong with one row of predictions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("row {row} of the predictions: {problem}")]
pub struct InvalidRow {
    /// The row, counted from 0.
    pub row: usize,
    /// What is wrong.
    pub problem: String,
}

/// SHA-256 of a request's title and text with a NUL between them, hexadecimal. A request without a title has an empty one.
///
/// ```
/// # use jiesu::eval::predictions::input_digest;
/// assert_ne!(input_digest("路灯", "不亮"), input_digest("", "路灯不亮"));
/// ```
pub fn input_digest(title: &str, text: &str) -> String {
    let digest = Sha256::new().chain_update(title).chain_update([0]).chain_update(text);
    hex::encode(digest.finalize())
}

impl Predictions {
    /// Takes the answers to some rows.
    ///
    /// # Errors
    /// If a row does not fit the labels of the header or the rows before it. The labels of the header are those of a head,
    /// so that none stands there twice.
    pub fn new(header: Header, rows: Vec<Prediction>) -> Result<Self, InvalidRow> {
        let labels = header.labels.iter().map(String::as_str).collect();
        for (row, prediction) in rows.iter().enumerate() {
            let fits = prediction.fits(&header.labels, &labels, &rows[0]);
            fits.map_err(|problem| InvalidRow { row, problem })?;
        }
        Ok(Self { header, rows })
    }

    /// Who answered, and in which labels.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The answers, in the order of the rows.
    pub fn rows(&self) -> &[Prediction] {
        &self.rows
    }
}

impl Prediction {
    /// Says what is wrong with the row, if something is: `order` and `labels` are the head's, `first` is the first row.
    fn fits(&self, order: &[String], labels: &HashSet<&str>, first: &Self) -> Result<(), String> {
        let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if self.digest.len() != 64 || !self.digest.bytes().all(is_hex) {
            return Err("`digest` is not a SHA-256 in lower-case hexadecimal".to_owned());
        }
        if self.probabilities.len() != order.len() {
            let (got, expected) = (self.probabilities.len(), order.len());
            return Err(format!("`probabilities` has {got} numbers, the header has {expected} labels"));
        }
        if let Some(place) = self.probabilities.iter().position(|p| !(0.0..=1.0).contains(p)) {
            return Err(format!("the probability of `{}` is not between 0 and 1", order[place]));
        }
        if let Some(label) = self.decided.iter().find(|label| !labels.contains(label)) {
            return Err(format!("`decided` has the label `{label}`, which the header does not have"));
        }
        for (key, labels) in [("gold", &self.gold), ("decided", &self.decided)] {
            if labels.is_list() != first.gold.is_list() {
                let (is, other) =
                    if labels.is_list() { ("a list", "a label") } else { ("a label", "a list") };
                return Err(format!("`{key}` is {is} where `gold` of the first row is {other}"));
            }
        }
        Ok(())
    }

    /// How sure the model was of what it decided, from 0 to 1: the probability of the label; for a set of labels that of
    /// its weakest link, be that a label that is in the set or one that is left out.
    pub fn confidence(&self, labels: &[String]) -> f32 {
        let each = labels.iter().zip(&self.probabilities);
        match &self.decided {
            Labels::One(decided) => each.filter(|(label, _)| *label == decided).map(|(_, p)| *p).sum(),
            Labels::Many(decided) => each
                .map(|(label, p)| if decided.contains(label) { *p } else { 1.0 - p })
                .min_by(f32::total_cmp)
                .unwrap_or_default(),
        }
    }
}

impl Labels {
    /// The labels, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        let (one, many) = match self {
            Self::One(label) => (Some(label), None),
            Self::Many(labels) => (None, Some(labels)),
        };
        one.into_iter().chain(many.into_iter().flatten()).map(String::as_str)
    }

    fn is_list(&self) -> bool {
        matches!(self, Self::Many(_))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn header(labels: &[&str]) -> Header {
        Header {
            model: "default".into(),
            model_revision: "9f2c".into(),
            taxonomy_version: "3".into(),
            directory_version: "7".into(),
            channel: "model".into(),
            head: "category".into(),
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        }
    }

    pub(crate) fn one(label: &str) -> Labels {
        Labels::One(label.into())
    }

    pub(crate) fn many(labels: &[&str]) -> Labels {
        Labels::Many(labels.iter().map(|label| (*label).to_owned()).collect())
    }

    pub(crate) fn row(id: &str, gold: &Labels, probabilities: &[f32], decided: &Labels) -> Prediction {
        Prediction {
            id: id.into(),
            digest: input_digest("", &format!("text {id}")),
            gold: gold.clone(),
            probabilities: probabilities.into(),
            decided: decided.clone(),
        }
    }

    #[track_caller]
    fn assert_refused(rows: Vec<Prediction>, row: usize, problem: &str) {
        let refused = Predictions::new(header(&["a", "b"]), rows).unwrap_err();
        assert_eq!(refused, InvalidRow { row, problem: problem.into() });
    }

    #[test]
    fn the_digest_is_sha256_of_title_nul_text() {
        // printf '路灯\0不亮' | sha256sum
        assert_eq!(
            input_digest("路灯", "不亮"),
            "8edbeeb1e29034df39b89e1fe565f987c5409f04c3c3e2e160c0c996135533f0"
        );
    }

    #[test]
    fn rows_that_do_not_fit_are_refused() {
        let good = row("1", &one("x"), &[0.5, 0.5], &one("a"));
        let but = |change: &dyn Fn(&mut Prediction)| {
            let mut row = good.clone();
            change(&mut row);
            vec![good.clone(), row]
        };
        assert!(Predictions::new(header(&["a", "b"]), but(&|_| {})).is_ok());
        let message = "`digest` is not a SHA-256 in lower-case hexadecimal";
        assert_refused(but(&|row| row.digest = "abc".into()), 1, message);
        assert_refused(but(&|row| row.digest = row.digest.to_uppercase()), 1, message);
        let message = "`probabilities` has 1 numbers, the header has 2 labels";
        assert_refused(but(&|row| row.probabilities = vec![1.0]), 1, message);
        for wrong in [f32::NAN, f32::INFINITY, -0.1, 1.1] {
            let message = "the probability of `b` is not between 0 and 1";
            assert_refused(but(&|row| row.probabilities[1] = wrong), 1, message);
        }
        let message = "`decided` has the label `x`, which the header does not have";
        assert_refused(but(&|row| row.decided = one("x")), 1, message);
        let message = "`gold` is a list where `gold` of the first row is a label";
        assert_refused(but(&|row| row.gold = many(&["a"])), 1, message);
        let message = "`decided` is a label where `gold` of the first row is a list";
        assert_refused(vec![row("1", &many(&[]), &[0.1, 0.1], &one("a"))], 0, message);
    }

    #[test]
    fn confidence_is_that_of_the_label_or_of_the_weakest_link() {
        let labels = header(&["a", "b", "c"]).labels;
        let confidence = |decided| row("1", &decided, &[0.6, 0.3, 0.1], &decided).confidence(&labels);
        assert!((confidence(one("b")) - 0.3).abs() < 1e-6);
        assert!((confidence(many(&["a"])) - 0.6).abs() < 1e-6);
        assert!((confidence(many(&["a", "b"])) - 0.3).abs() < 1e-6);
        assert!((confidence(many(&[])) - 0.4).abs() < 1e-6);
    }

    #[test]
    fn sets_of_labels_are_equal_in_any_order() {
        let labels: Labels = serde_json::from_str(r#"["b", "a", "b"]"#).unwrap();
        assert_eq!(labels, many(&["a", "b"]));
        assert!(labels.iter().eq(["a", "b"]));
    }
}
