//! The n-grams that a model knows, and the vectors that they make of texts.

use ahash::AHashMap;

use super::document::{NgramDocument, TITLE_KEY};

/// Length of the title's part of the vector; the other part has length 1.
const TITLE_LENGTH: f32 = 0.7;

/// A sparse vector: features, rising, with their values.
pub(crate) type NgramVector = Vec<(u32, f32)>;

/// The n-grams that a model knows.
#[derive(Debug, Clone, Default)]
pub(crate) struct NgramVocabulary {
    /// By key, rising.
    pub(super) keys: Vec<u64>,
    /// How much each says, in the order of the keys: 1 + ln((1 + texts) / (1 + texts that have it)).
    pub(super) idf: Vec<f32>,
    features: AHashMap<u64, u32>,
}

impl NgramVocabulary {
    /// Puts n-grams in order; `entries` are keys with their idf.
    pub(crate) fn new(mut entries: Vec<(u64, f32)>) -> Self {
        entries.sort_unstable_by_key(|(key, _)| *key);
        let features = entries.iter().zip(0..).map(|((key, _), feature)| (*key, feature)).collect();
        let (keys, idf) = entries.into_iter().unzip();
        Self { keys, idf, features }
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The feature of an n-gram that is known.
    pub(super) fn feature(&self, key: u64) -> Option<u32> {
        self.features.get(&key).copied()
    }

    /// Key and idf of a feature.
    pub(crate) fn entry(&self, feature: usize) -> (u64, f32) {
        (self.keys[feature], self.idf[feature])
    }

    /// The vector of a text.
    pub(crate) fn vector(&self, document: &NgramDocument) -> NgramVector {
        let mut found: Vec<u32> = document.keys().filter_map(|key| self.feature(key)).collect();
        found.sort_unstable();
        let mut vector: NgramVector = found
            .chunk_by(|a, b| a == b)
            .map(|same| (same[0], (1.0 + (same.len() as f32).ln()) * self.idf[same[0] as usize]))
            .collect();
        // Keys of the title's part are the largest, so its features come last.
        let title = vector.partition_point(|(feature, _)| self.keys[*feature as usize] < TITLE_KEY);
        let (words, title) = vector.split_at_mut(title);
        rescale(words, 1.0);
        rescale(title, TITLE_LENGTH);
        vector
    }
}

fn rescale(part: &mut [(u32, f32)], length: f32) {
    let norm = part.iter().map(|(_, value)| value * value).sum::<f32>().sqrt();
    for (_, value) in part {
        *value *= length / norm;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::RequestText;

    #[test]
    fn title_and_text_are_scaled_apart() {
        let document = NgramDocument::new(&RequestText::new("路灯", "路灯不亮，路灯坏了").unwrap());
        let mut keys: Vec<u64> = document.keys().collect();
        keys.sort_unstable();
        keys.dedup();
        let vocabulary = NgramVocabulary::new(keys.into_iter().map(|key| (key, 1.5)).collect());
        let vector = vocabulary.vector(&document);
        let squares: f32 = vector.iter().map(|(_, value)| value * value).sum();
        assert!((squares - (1.0 + TITLE_LENGTH * TITLE_LENGTH)).abs() < 1e-5);
        assert!(vector.is_sorted_by_key(|(feature, _)| *feature));
    }
}
