//! The linear model over n-grams: which of them to know, and their weights. Each label is told from all others.

use ahash::{AHashMap, AHashSet};
use rayon::prelude::*;

use crate::classifier::HeadConfig;
use crate::classifier::ngrams::{NgramDocument, NgramHead, NgramModel, NgramVector, NgramVocabulary};

use super::example::Example;
use super::loss::Target;
use super::svm::{Hyperplane, Sample};

/// Texts that an n-gram must occur in.
const MIN_TEXTS: u32 = 2;
/// Most weights of a head, so that many labels do not make a large file.
const MAX_WEIGHTS: usize = 1 << 23;
/// Into how many parts the examples are cut, so that each is scored by a model of the others.
const FOLDS: u16 = 5;

/// How the scores of one head come from those of all: (labels of the head, labels of all heads).
pub(super) type ScoreMix = Vec<Vec<f32>>;

/// Weights for the labels of all heads, one head after the other.
#[derive(Debug)]
pub(super) struct LinearModel {
    pub(super) vocabulary: NgramVocabulary,
    labels: Vec<Hyperplane>,
}

impl LinearModel {
    /// Learns from examples and their texts; targets stand in the order of the heads.
    pub(super) fn train(
        documents: &[NgramDocument],
        taught: (&[Example], &[HeadConfig]),
        (max_features, seed): (usize, u64),
    ) -> Self {
        let labels = taught.1.iter().map(|head| head.labels.len()).max().unwrap_or(1);
        let max_features = max_features.min(MAX_WEIGHTS / labels);
        let all: Vec<usize> = (0..documents.len()).collect();
        let learn = |vocabulary: &NgramVocabulary| {
            solve(&Sample::new(vectors(vocabulary, documents), vocabulary.len()), &all, taught, seed)
        };
        let mut vocabulary = frequent(documents);
        let mut labels = learn(&vocabulary);
        if vocabulary.len() > max_features {
            vocabulary = strongest(&vocabulary, &labels, max_features);
            labels = learn(&vocabulary);
        }
        Self { vocabulary, labels }
    }

    /// The scores of all heads, one after the other.
    pub(super) fn scores(&self, document: &NgramDocument) -> Box<[f32]> {
        scores(&self.labels, &self.vocabulary.vector(document))
    }

    /// The model whose scores are, for each head, the mix of all scores of this one.
    pub(super) fn mixed(&self, mixes: &[ScoreMix]) -> NgramModel {
        let label = |mix: &Vec<f32>| {
            let mut weights = vec![0.0; self.vocabulary.len()];
            for (share, label) in mix.iter().zip(&self.labels) {
                weights.iter_mut().zip(&label.weights).for_each(|(sum, weight)| *sum += share * weight);
            }
            (weights, mix.iter().zip(&self.labels).map(|(share, label)| share * label.bias).sum())
        };
        let head = |mix: &ScoreMix| NgramHead::quantized(&mix.par_iter().map(label).collect::<Vec<_>>());
        NgramModel { vocabulary: self.vocabulary.clone(), heads: mixes.iter().map(head).collect() }
    }
}

/// What n-grams that never saw a text's words say of it: the scores of all heads, one after the other.
///
/// The first of the `documents` are those of the examples, the others are only scored. Texts of the same words draw the
/// same of the `lots`, which decide by which part of the examples a text is not scored. The vocabulary may have been
/// chosen with all of them.
pub(super) fn held_out_scores(
    vocabulary: &NgramVocabulary,
    (documents, lots): (&[NgramDocument], &[u16]),
    taught: (&[Example], &[HeadConfig]),
    seed: u64,
) -> Vec<Box<[f32]>> {
    let sample = Sample::new(vectors(vocabulary, documents), vocabulary.len());
    let mut held_out_scores: Vec<Box<[f32]>> = vec![Box::default(); documents.len()];
    for fold in 0..FOLDS {
        let (held_out, others): (Vec<usize>, Vec<usize>) =
            (0..documents.len()).partition(|row| lots[*row] % FOLDS == fold);
        let others: Vec<usize> = others.into_iter().filter(|row| *row < taught.0.len()).collect();
        let labels = solve(&sample, &others, taught, seed);
        for row in held_out {
            held_out_scores[row] = scores(&labels, &sample.vectors[row]);
        }
    }
    held_out_scores
}

fn vectors(vocabulary: &NgramVocabulary, documents: &[NgramDocument]) -> Vec<NgramVector> {
    documents.par_iter().map(|document| vocabulary.vector(document)).collect()
}

fn scores(labels: &[Hyperplane], vector: &NgramVector) -> Box<[f32]> {
    labels.iter().map(|label| label.score(vector)).collect()
}

/// The n-grams that occur in several texts.
fn frequent(documents: &[NgramDocument]) -> NgramVocabulary {
    let mut texts: AHashMap<u64, u32> = AHashMap::new();
    for document in documents {
        for key in document.keys().collect::<AHashSet<u64>>() {
            *texts.entry(key).or_default() += 1;
        }
    }
    let all = documents.len() as f32;
    let idf = |count: u32| 1.0 + ((1.0 + all) / (1.0 + count as f32)).ln();
    let frequent = texts.into_iter().filter(|(_, count)| *count >= MIN_TEXTS);
    NgramVocabulary::new(frequent.map(|(key, count)| (key, idf(count))).collect())
}

/// The features with the largest weights.
fn strongest(vocabulary: &NgramVocabulary, labels: &[Hyperplane], count: usize) -> NgramVocabulary {
    let mut strength = vec![0.0_f32; vocabulary.len()];
    for label in labels {
        strength.iter_mut().zip(&label.weights).for_each(|(sum, weight)| *sum += weight * weight);
    }
    let mut features: Vec<usize> = (0..strength.len()).collect();
    features.sort_by(|a, b| strength[*b].total_cmp(&strength[*a]));
    NgramVocabulary::new(features[..count].iter().map(|feature| vocabulary.entry(*feature)).collect())
}

/// What tells the labels of every head, learned from some rows of the examples.
fn solve(
    sample: &Sample,
    rows: &[usize],
    (examples, heads): (&[Example], &[HeadConfig]),
    seed: u64,
) -> Vec<Hyperplane> {
    let head = |(position, head): (usize, &HeadConfig)| {
        let is_known = |row: &usize| examples[*row].targets[position] != Target::Missing;
        let known: Vec<usize> = rows.iter().copied().filter(is_known).collect();
        let label = |label: usize| {
            let side = |row: usize| if holds(&examples[row].targets[position], label) { 1.0 } else { -1.0 };
            let sides: Vec<(usize, f32)> = known.iter().map(|row| (*row, side(*row))).collect();
            sample.separate(&sides, seed)
        };
        (0..head.labels.len()).into_par_iter().map(label).collect::<Vec<_>>()
    };
    heads.iter().enumerate().flat_map(head).collect()
}

pub(super) fn holds(target: &Target, label: usize) -> bool {
    match target {
        Target::Missing => false,
        Target::One(right) => *right == label,
        Target::Many(right) => right.contains(&label),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classifier::Problem;
    use crate::label::LabelSet;
    use crate::request::RequestText;
    use crate::tokenizer::EncodedText;

    fn documents(texts: &[&str]) -> Vec<NgramDocument> {
        texts.iter().map(|text| NgramDocument::new(&RequestText::new("", text).unwrap())).collect()
    }

    #[test]
    fn the_held_out_score_of_a_row_does_not_hang_on_its_label() {
        let texts = ["路灯坏了", "路灯不亮", "夜里很吵", "工地太吵", "路灯又坏", "楼上很吵", "路灯没修"];
        let documents = documents(&texts);
        let labels = LabelSet::new(["lamp", "noise"]).unwrap();
        let problem = Problem::SingleLabelClassification;
        let heads = [HeadConfig { name: "category".into(), problem, labels }];
        let scores = |odd_one: usize| -> Vec<Box<[f32]>> {
            let text = || EncodedText { input_ids: vec![], token_type_ids: vec![], spans: vec![] };
            let target = |text: &&str| Target::One(usize::from(text.contains('吵')));
            let mut examples: Vec<Example> = (texts.iter())
                .map(|words| Example::new(text(), [target(words)].into(), [Vec::new()].into()))
                .collect();
            examples[0].targets[0] = Target::One(odd_one);
            let vocabulary = frequent(&documents);
            held_out_scores(&vocabulary, (&documents, &[0, 1, 2, 3, 4, 0, 1]), (&examples, &heads), 1)
        };
        let (one, other) = (scores(0), scores(1));
        assert_eq!(one[0], other[0]);
        assert_ne!(one[4], other[4], "others learn from it");
        assert!(one[0][0] > one[0][1], "the others tell what it is about");
    }

    #[test]
    fn a_mixed_model_gives_mixed_scores() {
        let documents = documents(&["路灯坏了", "路灯不亮", "夜里很吵"]);
        let vocabulary = frequent(&documents);
        let label = |slope: f32, bias| {
            let weights = (0..vocabulary.len()).map(|feature| slope * (1.0 + feature as f32)).collect();
            Hyperplane { weights, bias }
        };
        let model =
            LinearModel { labels: vec![label(0.1, 0.5), label(-0.2, 0.0), label(0.3, -1.0)], vocabulary };
        let mixes = vec![vec![vec![0.5, -2.0, 0.0], vec![0.0, 1.0, 3.0]], vec![vec![1.0, 0.0, -1.0]]];
        let scores = model.scores(&documents[0]);
        let wanted =
            mixes.concat().into_iter().map(|mix| mix.iter().zip(&scores).map(|(a, b)| a * b).sum::<f32>());
        let wanted: Vec<f32> = wanted.collect();
        let after = model.mixed(&mixes);
        let got = after.scores(&after.vocabulary.vector(&documents[0])).concat();
        for (got, wanted) in got.iter().zip(wanted) {
            assert!((got - wanted).abs() < 0.02, "{got} {wanted}");
        }
    }
}
