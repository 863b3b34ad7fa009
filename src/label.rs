//! The labels of one classification head, in the order of its logits.

use std::collections::HashMap;

/// An ordered set of distinct labels: `id2label` and `label2id` of a Hugging Face `config.json` in one.
///
/// ```
/// use jiesu::label::LabelSet;
///
/// let labels = LabelSet::new(["housing", "transport"]).unwrap();
/// assert_eq!(labels.id("transport"), Some(1));
/// assert_eq!(labels.name(0), "housing");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelSet {
    names: Vec<String>,
    ids: HashMap<String, usize>,
}

/// Why a list of names is no label set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// A set needs a label.
    #[error("there is no label")]
    Empty,
    /// One name stands for two ids.
    #[error("label `{name}` stands at both {first} and {second}")]
    Duplicate {
        /// The name that occurs twice.
        name: String,
        /// The id of its first occurrence.
        first: usize,
        /// The id of its second occurrence.
        second: usize,
    },
}

impl LabelSet {
    /// Makes a set whose ids are the positions of `names`.
    ///
    /// # Errors
    /// If there is no name, or one occurs twice.
    pub fn new<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Result<Self, LabelError> {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        if names.is_empty() {
            return Err(LabelError::Empty);
        }
        let mut ids = HashMap::with_capacity(names.len());
        for (second, name) in names.iter().enumerate() {
            if let Some(first) = ids.insert(name.clone(), second) {
                return Err(LabelError::Duplicate { name: name.clone(), first, second });
            }
        }
        Ok(Self { names, ids })
    }

    /// The number of labels, at least 1.
    #[expect(clippy::len_without_is_empty, reason = "a label set is never empty")]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// The label at `id`.
    ///
    /// # Panics
    /// If `id` is not below [`len`](Self::len).
    pub fn name(&self, id: usize) -> &str {
        &self.names[id]
    }

    /// The id of a label, if it is in the set.
    pub fn id(&self, name: &str) -> Option<usize> {
        self.ids.get(name).copied()
    }

    /// The labels in the order of their ids.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_an_empty_set_and_a_name_given_twice() {
        assert_eq!(LabelSet::new(Vec::<String>::new()), Err(LabelError::Empty));
        assert_eq!(
            LabelSet::new(["a", "b", "a"]),
            Err(LabelError::Duplicate { name: "a".into(), first: 0, second: 2 })
        );
    }
}
