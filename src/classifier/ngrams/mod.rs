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
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::config::HeadConfig;
use crate::tokenizer::TokenSpan;

mod document;
mod vocabulary;

pub(crate) use document::NgramDocument;
pub(crate) use vocabulary::{NgramVector, NgramVocabulary};

use document::Gram;

/// Steps of a weight on each side of zero.
const WEIGHT_STEPS: f32 = 127.0;

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
        let weights = self.row(feature).iter().zip(&self.scale);
        let weights: Vec<f32> = weights.map(|(weight, scale)| f32::from(*weight) * scale).collect();
        weights[label] - weights.iter().sum::<f32>() / weights.len() as f32
    }

    fn row(&self, feature: u32) -> &[i8] {
        let labels = self.scale.len();
        &self.weights[feature as usize * labels..][..labels]
    }
}

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
    /// Numbers that no score can be made of.
    #[error(
        "tensor `{tensor}` of ngrams.safetensors has numbers that are not finite\nhint: the file is damaged; copy or download it again"
    )]
    NotFinite {
        /// Its name.
        tensor: String,
    },
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

    /// The scores of every head for a text's vector.
    pub(crate) fn scores(&self, vector: &[(u32, f32)]) -> Vec<Vec<f32>> {
        self.heads.iter().map(|head| head.scores(vector)).collect()
    }

    /// What each character adds to a head's score of `label` beyond the mean over its labels: an n-gram's share
    /// is spread evenly over its occurrences and their characters.
    pub(crate) fn contributions(
        &self,
        document: &NgramDocument,
        vector: &[(u32, f32)],
        head: usize,
        label: usize,
    ) -> Vec<(TokenSpan, f32)> {
        let values: AHashMap<u32, f32> = vector.iter().copied().collect();
        let feature = |gram: &Gram| self.vocabulary.feature(gram.key);
        let mut counts: AHashMap<u32, f32> = AHashMap::new();
        for found in document.grams.iter().filter_map(feature) {
            *counts.entry(found).or_default() += 1.0;
        }
        let mut shares = vec![0.0; document.places.len()];
        for gram in &document.grams {
            let Some(found) = feature(gram) else { continue };
            let share = values[&found] * self.heads[head].above_mean(found, label) / counts[&found];
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
    let bytes = tensor(file, name, Dtype::F32, &[count])?;
    let floats: Vec<f32> = bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    if floats.iter().all(|float| float.is_finite()) {
        Ok(floats)
    } else {
        Err(NgramError::NotFinite { tensor: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classifier::Problem;
    use crate::label::LabelSet;
    use crate::request::RequestText;

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
    fn what_characters_contribute_adds_up_to_the_score_above_the_mean() {
        let document = document("路灯", "路灯不亮，路灯坏了");
        let model = model(&document);
        let vector = model.vocabulary.vector(&document);
        let scores = &model.scores(&vector)[0];
        let bias_above_mean = 0.25;
        let above_mean = scores[0] - f32::midpoint(scores[0], scores[1]) - bias_above_mean;
        let shares: f32 = model.contributions(&document, &vector, 0, 0).iter().map(|(_, share)| share).sum();
        // What separates title and text is no part of either, so its share of an n-gram is nobody's.
        assert!(shares > 0.8 * above_mean && shares <= above_mean, "{shares} of {above_mean}");
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

    #[test]
    fn numbers_that_are_not_finite_are_refused_when_they_are_read() {
        let mut model = model(&document("路灯", "路灯不亮"));
        model.heads[0].bias[1] = f32::NAN;
        let error = NgramModel::from_bytes(&model.to_bytes(&heads()).unwrap(), &heads()).unwrap_err();
        assert!(error.to_string().starts_with("tensor `bias.category` of ngrams.safetensors has"), "{error}");
    }
}
