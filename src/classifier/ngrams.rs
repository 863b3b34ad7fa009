//! Character n-grams beside the encoder: a linear model whose scores add to the heads' logits.
//!
//! What a request is about often hangs on a name or a phrase that a small encoder has rarely seen; n-grams remember
//! those, for microseconds a text. Cheng et al., "Wide & Deep Learning for Recommender Systems" (2016), join the two
//! in the same way.
//!
//! A text becomes a sparse vector of two parts. The first has the 1- to 3-grams of the title and of the text's head and
//! tail; the second has those of the title alone, since titles name the matter. Each value is (1 + ln count)·idf, and
//! each part is scaled to a fixed length. Scores are weights·vector + bias.

use std::collections::HashMap;

use ahash::AHashMap;
use rayon::prelude::*;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::config::HeadConfig;
use crate::request::{Field, RequestText};
use crate::tokenizer::TokenSpan;

/// Characters that are read from the start of a long text.
const HEAD_CHARS: usize = 220;
/// Characters that are read from its end.
const TAIL_CHARS: usize = 80;
/// Longest n-gram, in characters.
const MAX_N: usize = 3;
/// Bits of a character in a key.
const CHAR_BITS: u32 = 21;
/// Marks n-grams of the title alone.
const TITLE_KEY: u64 = 1 << 63;
/// Length of the title's part of the vector; the other part has length 1.
const TITLE_LENGTH: f32 = 0.7;
/// Steps of a weight on each side of zero.
const WEIGHT_STEPS: f32 = 127.0;

/// One occurrence of an n-gram.
#[derive(Debug, Clone, Copy)]
struct Gram {
    /// Its characters and whether it is of the title's part; different n-grams have different keys.
    key: u64,
    /// Place of its first character in [`NgramDocument::places`].
    first: u32,
    /// Number of its characters.
    len: u8,
}

/// The n-grams of a text.
#[derive(Debug, Clone)]
pub(crate) struct NgramDocument {
    /// Where each character stands; `None` for what separates title, head and tail.
    places: Vec<Option<TokenSpan>>,
    grams: Vec<Gram>,
}

impl NgramDocument {
    pub(crate) fn new(text: &RequestText) -> Self {
        let title = characters(text, Field::Title);
        let words = characters(text, Field::Text);
        let (head, tail) = if words.len() > HEAD_CHARS + TAIL_CHARS {
            (&words[..HEAD_CHARS], &words[words.len() - TAIL_CHARS..])
        } else {
            (&words[..], &[][..])
        };
        let mut document = Self { places: Vec::new(), grams: Vec::new() };
        document.add(&title, TITLE_KEY);
        document.add(&[&title, head, tail].join(&('\n', None)), 0);
        document
    }

    fn add(&mut self, characters: &[(char, Option<TokenSpan>)], part: u64) {
        let offset = self.places.len();
        self.places.extend(characters.iter().map(|(_, place)| place));
        for start in 0..characters.len() {
            let mut key = 0;
            for (len, (c, _)) in (1..).zip(characters[start..].iter().take(MAX_N)) {
                key = key << CHAR_BITS | u64::from(u32::from(*c));
                self.grams.push(Gram { key: key | part, first: (offset + start) as u32, len });
            }
        }
    }

    /// The keys of the n-grams, as often as they occur.
    pub(crate) fn keys(&self) -> impl Iterator<Item = u64> {
        self.grams.iter().map(|gram| gram.key)
    }
}

/// The visible characters of a field in lower case, with their places.
fn characters(text: &RequestText, field: Field) -> Vec<(char, Option<TokenSpan>)> {
    let words = text.normalized(field);
    words
        .char_indices()
        .filter(|(_, c)| !c.is_whitespace())
        .map(|(start, c)| {
            let place = TokenSpan { field, start, end: start + c.len_utf8() };
            // A few characters become two in lower case; the first will do.
            (c.to_lowercase().next().unwrap_or(c), Some(place))
        })
        .collect()
}

/// A sparse vector: features, rising, with their values.
pub(crate) type NgramVector = Vec<(u32, f32)>;

/// The n-grams that a model knows.
#[derive(Debug, Clone, Default)]
pub(crate) struct NgramVocabulary {
    /// By key, rising.
    keys: Vec<u64>,
    /// How much each says, in the order of the keys: 1 + ln((1 + texts) / (1 + texts that have it)).
    idf: Vec<f32>,
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

    /// Key and idf of a feature.
    pub(crate) fn entry(&self, feature: usize) -> (u64, f32) {
        (self.keys[feature], self.idf[feature])
    }

    /// The vector of a text.
    pub(crate) fn vector(&self, document: &NgramDocument) -> NgramVector {
        let mut found: Vec<u32> =
            document.keys().filter_map(|key| self.features.get(&key).copied()).collect();
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

/// The n-grams' part in one head.
#[derive(Debug, Clone)]
pub(crate) struct NgramHead {
    /// (features, labels), in steps of the label's scale.
    weights: Vec<i8>,
    /// (labels)
    scale: Vec<f32>,
    /// (labels)
    bias: Vec<f32>,
}

impl NgramHead {
    /// Rounds weights to 8 bits; `columns` holds the weights of each label, and its bias.
    pub(crate) fn quantized(columns: &[(Vec<f32>, f32)]) -> Self {
        let largest = |weights: &[f32]| weights.iter().fold(0f32, |largest, w| largest.max(w.abs()));
        let scale: Vec<f32> = columns
            .iter()
            .map(|(weights, _)| (largest(weights) / WEIGHT_STEPS).max(f32::MIN_POSITIVE))
            .collect();
        let features = columns.first().map_or(0, |(weights, _)| weights.len());
        let mut steps = Vec::with_capacity(features * columns.len());
        for feature in 0..features {
            #[expect(clippy::cast_possible_truncation, reason = "the scale keeps the steps within ±127")]
            steps
                .extend(columns.iter().zip(&scale).map(|((w, _), scale)| (w[feature] / scale).round() as i8));
        }
        Self { weights: steps, scale, bias: columns.iter().map(|(_, bias)| *bias).collect() }
    }

    /// One score a label.
    pub(crate) fn scores(&self, vector: &[(u32, f32)]) -> Vec<f32> {
        let mut scores = vec![0.0; self.scale.len()];
        for (feature, value) in vector {
            for (score, weight) in scores.iter_mut().zip(self.row(*feature)) {
                *score += value * f32::from(*weight);
            }
        }
        scores
            .iter()
            .zip(&self.scale)
            .zip(&self.bias)
            .map(|((score, scale), bias)| score * scale + bias)
            .collect()
    }

    /// What one unit of a feature adds to the score of `label` beyond the mean over the labels.
    fn above_mean(&self, feature: u32, label: usize) -> f32 {
        let weights: Vec<f32> = self.weights_of(feature).collect();
        weights[label] - weights.iter().sum::<f32>() / weights.len() as f32
    }

    /// What one unit of a feature adds to the score of each label.
    fn weights_of(&self, feature: u32) -> impl Iterator<Item = f32> {
        self.row(feature).iter().zip(&self.scale).map(|(weight, scale)| f32::from(*weight) * scale)
    }

    fn row(&self, feature: u32) -> &[i8] {
        let labels = self.scale.len();
        &self.weights[feature as usize * labels..][..labels]
    }
}

/// How the scores of one head come from those of all: (labels of the head, labels of all heads).
pub(crate) type ScoreMix = Vec<Vec<f32>>;

/// A linear model over n-grams for every head of a classifier.
#[derive(Debug, Clone)]
pub(crate) struct NgramModel {
    pub(crate) vocabulary: NgramVocabulary,
    /// In the order of the classifier's heads.
    pub(crate) heads: Vec<NgramHead>,
}

/// Why `ngrams.safetensors` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NgramError {
    /// Not in the format of safetensors, or a tensor is missing.
    #[error("ngrams.safetensors cannot be read: {0}")]
    Unreadable(#[from] safetensors::SafeTensorError),
    /// A tensor does not fit the heads.
    #[error("tensor `{tensor}` of ngrams.safetensors is {got}, but the model asks for {expected}")]
    Tensor {
        /// Its name.
        tensor: String,
        /// Type and shape that the model asks for.
        expected: String,
        /// Type and shape in the file.
        got: String,
    },
    /// The keys are not in order, or one is there twice.
    #[error("the keys of ngrams.safetensors do not rise")]
    Keys,
}

impl NgramModel {
    /// Reads the content of `ngrams.safetensors` for a classifier with these heads: `keys` and `idf` (features), and for
    /// each head `weight.<name>` (features, labels), `scale.<name>` and `bias.<name>` (labels).
    ///
    /// # Errors
    /// If it is malformed or made for other heads.
    pub(crate) fn from_bytes(content: &[u8], heads: &[HeadConfig]) -> Result<Self, NgramError> {
        let file = SafeTensors::deserialize(content)?;
        let features = file.tensor("keys")?.shape().first().copied().unwrap_or(0);
        let keys: Vec<u64> = tensor(&file, "keys", Dtype::U64, &[features])?
            .as_chunks()
            .0
            .iter()
            .map(|b| u64::from_le_bytes(*b))
            .collect();
        if !keys.is_sorted_by(|a, b| a < b) {
            return Err(NgramError::Keys);
        }
        let idf = floats(&file, "idf", features)?;
        let heads = heads.iter().map(|HeadConfig { name, labels, .. }| {
            let weights = tensor(&file, &format!("weight.{name}"), Dtype::I8, &[features, labels.len()])?;
            Ok(NgramHead {
                weights: weights.iter().map(|byte| byte.cast_signed()).collect(),
                scale: floats(&file, &format!("scale.{name}"), labels.len())?,
                bias: floats(&file, &format!("bias.{name}"), labels.len())?,
            })
        });
        let vocabulary = NgramVocabulary::new(keys.into_iter().zip(idf).collect());
        Ok(Self { vocabulary, heads: heads.collect::<Result<_, NgramError>>()? })
    }

    /// What [`from_bytes`](Self::from_bytes) reads back.
    ///
    /// # Errors
    /// If the tensors cannot be laid out, which no model is known to make happen.
    pub(crate) fn to_bytes(&self, heads: &[HeadConfig]) -> Result<Vec<u8>, safetensors::SafeTensorError> {
        let bytes = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
        let features = self.vocabulary.len();
        let keys = self.vocabulary.keys.iter().flat_map(|key| key.to_le_bytes()).collect();
        let mut tensors: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = vec![
            ("keys".into(), Dtype::U64, vec![features], keys),
            ("idf".into(), Dtype::F32, vec![features], bytes(&self.vocabulary.idf)),
        ];
        for (HeadConfig { name, labels, .. }, head) in heads.iter().zip(&self.heads) {
            let weights = head.weights.iter().map(|weight| weight.cast_unsigned()).collect();
            tensors.push((format!("weight.{name}"), Dtype::I8, vec![features, labels.len()], weights));
            tensors.push((format!("scale.{name}"), Dtype::F32, vec![labels.len()], bytes(&head.scale)));
            tensors.push((format!("bias.{name}"), Dtype::F32, vec![labels.len()], bytes(&head.bias)));
        }
        let views = tensors
            .iter()
            .map(|(name, dtype, shape, data)| Ok((name, TensorView::new(*dtype, shape.clone(), data)?)))
            .collect::<Result<HashMap<_, _>, safetensors::SafeTensorError>>()?;
        safetensors::serialize(views, None)
    }

    /// The model whose scores are, for each head, the mix of the scores of all heads of this one.
    pub(crate) fn mixed(&self, mixes: &[ScoreMix]) -> Self {
        // (features, scores), and the biases
        let weights: Vec<f32> = (0..self.vocabulary.len() as u32)
            .flat_map(|feature| self.heads.iter().flat_map(move |head| head.weights_of(feature)))
            .collect();
        let biases: Vec<f32> = self.heads.iter().flat_map(|head| &head.bias).copied().collect();
        let dot = |mix: &[f32], scores: &[f32]| mix.iter().zip(scores).map(|(a, b)| a * b).sum::<f32>();
        let column = |mix: &Vec<f32>| {
            (weights.chunks_exact(biases.len()).map(|row| dot(mix, row)).collect(), dot(mix, &biases))
        };
        let head = |mix: &ScoreMix| NgramHead::quantized(&mix.par_iter().map(column).collect::<Vec<_>>());
        Self { vocabulary: self.vocabulary.clone(), heads: mixes.iter().map(head).collect() }
    }

    /// The scores of every head for a text's vector.
    pub(crate) fn scores(&self, vector: &[(u32, f32)]) -> Vec<Vec<f32>> {
        self.heads.iter().map(|head| head.scores(vector)).collect()
    }

    /// What each character adds to the first head's score of `label` beyond the mean over its labels: an n-gram's share
    /// is spread evenly over its occurrences and their characters.
    pub(crate) fn contributions(
        &self,
        document: &NgramDocument,
        vector: &[(u32, f32)],
        label: usize,
    ) -> Vec<(TokenSpan, f32)> {
        let values: AHashMap<u32, f32> = vector.iter().copied().collect();
        let feature = |gram: &Gram| self.vocabulary.features.get(&gram.key).copied();
        let mut counts: AHashMap<u32, f32> = AHashMap::new();
        for found in document.grams.iter().filter_map(feature) {
            *counts.entry(found).or_default() += 1.0;
        }
        let mut shares = vec![0.0; document.places.len()];
        for gram in &document.grams {
            let Some(found) = feature(gram) else { continue };
            let share = values[&found] * self.heads[0].above_mean(found, label) / counts[&found];
            let chars = gram.first as usize..gram.first as usize + usize::from(gram.len);
            for character in &mut shares[chars] {
                *character += share / f32::from(gram.len);
            }
        }
        document.places.iter().zip(shares).filter_map(|(place, share)| Some(((*place)?, share))).collect()
    }
}

fn tensor<'a>(
    file: &SafeTensors<'a>,
    name: &str,
    dtype: Dtype,
    shape: &[usize],
) -> Result<&'a [u8], NgramError> {
    let view = file.tensor(name)?;
    if view.dtype() != dtype || view.shape() != shape {
        return Err(NgramError::Tensor {
            tensor: name.to_owned(),
            expected: format!("{dtype:?} {shape:?}"),
            got: format!("{:?} {:?}", view.dtype(), view.shape()),
        });
    }
    Ok(view.data())
}

fn floats(file: &SafeTensors, name: &str, count: usize) -> Result<Vec<f32>, NgramError> {
    Ok(tensor(file, name, Dtype::F32, &[count])?
        .as_chunks()
        .0
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classifier::Problem;
    use crate::label::LabelSet;

    fn document(title: &str, text: &str) -> NgramDocument {
        NgramDocument::new(&RequestText::new(title, text).unwrap())
    }

    fn heads() -> Vec<HeadConfig> {
        let labels = LabelSet::new(["lamp", "noise"]).unwrap();
        vec![HeadConfig { name: "category".into(), problem: Problem::SingleLabelClassification, labels }]
    }

    /// Knows every n-gram of the document; each speaks for the first label as its number says, and against the other.
    fn model(document: &NgramDocument) -> NgramModel {
        let mut keys: Vec<u64> = document.keys().collect();
        keys.sort_unstable();
        keys.dedup();
        let weights: Vec<f32> = (0..keys.len()).map(|feature| 0.1 * feature as f32).collect();
        let against = weights.iter().map(|weight| -weight).collect();
        NgramModel {
            vocabulary: NgramVocabulary::new(keys.into_iter().map(|key| (key, 1.5)).collect()),
            heads: vec![NgramHead::quantized(&[(weights, 0.5), (against, 0.0)])],
        }
    }

    #[test]
    fn title_and_text_are_scaled_apart() {
        let document = document("路灯", "路灯不亮，路灯坏了");
        let vector = model(&document).vocabulary.vector(&document);
        let squares: f32 = vector.iter().map(|(_, value)| value * value).sum();
        assert!((squares - (1.0 + TITLE_LENGTH * TITLE_LENGTH)).abs() < 1e-5);
        assert!(vector.is_sorted_by_key(|(feature, _)| *feature));
    }

    #[test]
    fn only_head_and_tail_of_a_long_text_are_read() {
        let long = format!("{}{}{}", "甲".repeat(220), "乙".repeat(500), "丙".repeat(80));
        let keys: Vec<u64> = document("", &long).keys().collect();
        let key = |c: char| u64::from(u32::from(c));
        assert!(keys.contains(&key('甲')) && keys.contains(&key('丙')) && !keys.contains(&key('乙')));
        let across = (key('甲') << CHAR_BITS) | key('丙');
        assert!(!keys.contains(&across), "head and tail are no neighbours");
    }

    #[test]
    fn traditional_characters_and_capitals_make_no_difference() {
        let keys = |text: &str| document("", text).keys().collect::<Vec<_>>();
        assert_eq!(keys("路燈 LED 壞了"), keys("路灯led坏了"));
    }

    #[test]
    fn what_characters_contribute_adds_up_to_the_score_above_the_mean() {
        let document = document("路灯", "路灯不亮，路灯坏了");
        let model = model(&document);
        let vector = model.vocabulary.vector(&document);
        let scores = &model.scores(&vector)[0];
        let bias_above_mean = 0.25;
        let above_mean = scores[0] - f32::midpoint(scores[0], scores[1]) - bias_above_mean;
        let shares: f32 = model.contributions(&document, &vector, 0).iter().map(|(_, share)| share).sum();
        // What separates title and text is no part of either, so its share of an n-gram is nobody's.
        assert!(shares > 0.8 * above_mean && shares <= above_mean, "{shares} of {above_mean}");
    }

    #[test]
    fn a_mixed_model_gives_mixed_scores() {
        let document = document("路灯", "路灯不亮，路灯坏了");
        let one_head = model(&document);
        let even = NgramHead::quantized(&[(vec![0.3; one_head.vocabulary.len()], -1.0)]);
        let two_heads = NgramModel { heads: vec![one_head.heads[0].clone(), even], ..one_head };
        let vector = two_heads.vocabulary.vector(&document);
        let mix = vec![vec![vec![0.5, -2.0, 0.0], vec![0.0, 1.0, 3.0]], vec![vec![1.0, 0.0, -1.0]]];
        let scores = two_heads.scores(&vector).concat();
        let wanted = |row: &Vec<f32>| row.iter().zip(&scores).map(|(a, b)| a * b).sum::<f32>();
        for (got, rows) in two_heads.mixed(&mix).scores(&vector).iter().zip(&mix) {
            for (got, row) in got.iter().zip(rows) {
                assert!((got - wanted(row)).abs() < 0.02 * wanted(row).abs(), "{got} {}", wanted(row));
            }
        }
    }

    #[test]
    fn what_is_written_is_read_back_and_other_heads_are_refused() {
        let document = document("路灯", "路灯不亮");
        let model = model(&document);
        let bytes = model.to_bytes(&heads()).unwrap();
        let read = NgramModel::from_bytes(&bytes, &heads()).unwrap();
        let vector = model.vocabulary.vector(&document);
        assert_eq!(read.vocabulary.vector(&document), vector);
        assert_eq!(read.scores(&vector), model.scores(&vector));
        let mut others = heads();
        others[0].labels = LabelSet::new(["lamp", "noise", "water"]).unwrap();
        assert!(NgramModel::from_bytes(&bytes, &others).unwrap_err().to_string().contains("weight.category"));
        assert!(NgramModel::from_bytes(&bytes[..bytes.len() / 2], &heads()).is_err());
    }
}
