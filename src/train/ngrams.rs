//! The linear model over n-grams: which of them to know, and their weights.
//!
//! Each label is told from all others by a linear support vector machine with squared hinge loss,
//! ½‖w‖² + C Σ max(0, 1 − yᵢ w·xᵢ)², solved by dual coordinate descent: Hsieh et al., "A Dual Coordinate Descent Method
//! for Large-scale Linear SVM" (2008).

use ahash::{AHashMap, AHashSet};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::classifier::HeadConfig;
use crate::classifier::ngrams::{NgramDocument, NgramHead, NgramModel, NgramVector, NgramVocabulary};

use super::example::Example;
use super::loss::Target;

/// C: what an example on the wrong side costs.
const COST: f32 = 0.5;
/// Most passes over the examples.
const MAX_PASSES: usize = 40;
/// A pass that changes no gradient by more ends the search.
const TOLERANCE: f32 = 0.1;
/// Texts that an n-gram must occur in.
const MIN_TEXTS: u32 = 2;
/// Most weights of a head, so that many labels do not make a large file.
const MAX_WEIGHTS: usize = 1 << 23;

/// Into how many parts the examples are cut, so that each is scored by a model of the others.
const FOLDS: u16 = 5;

/// Trains the n-grams' part of all heads; targets stand in the order of the heads.
pub(super) fn train(
    documents: &[NgramDocument],
    examples: &[Example],
    heads: &[HeadConfig],
    (max_features, seed): (usize, u64),
) -> NgramModel {
    let labels = heads.iter().map(|head| head.labels.len()).max().unwrap_or(1);
    let max_features = max_features.min(MAX_WEIGHTS / labels);
    let mut vocabulary = frequent(documents);
    let all: Vec<usize> = (0..examples.len()).collect();
    let columns = |vocabulary: &NgramVocabulary| {
        let vectors: Vec<NgramVector> =
            documents.par_iter().map(|document| vocabulary.vector(document)).collect();
        solve(vocabulary.len(), (&vectors, &all), examples, heads, seed)
    };
    let mut weights = columns(&vocabulary);
    if vocabulary.len() > max_features {
        vocabulary = strongest(&vocabulary, &weights, max_features);
        weights = columns(&vocabulary);
    }
    let heads = weights.iter().map(|columns| NgramHead::quantized(columns)).collect();
    NgramModel { vocabulary, heads }
}

/// What n-grams that never saw a text's words say of it: the scores of all heads, one after the other.
///
/// The first of the `documents` are those of the examples, the others are only scored. Texts of the same words draw the
/// same of the `lots`, which decide by which part of the examples a text is not scored. The vocabulary may have been
/// chosen with all of them.
pub(super) fn held_out_scores(
    vocabulary: &NgramVocabulary,
    (documents, lots): (&[NgramDocument], &[u16]),
    examples: &[Example],
    heads: &[HeadConfig],
    seed: u64,
) -> Vec<Box<[f32]>> {
    let vectors: Vec<NgramVector> =
        documents.par_iter().map(|document| vocabulary.vector(document)).collect();
    let mut scores: Vec<Box<[f32]>> = vec![Box::default(); documents.len()];
    for fold in 0..FOLDS {
        let (held_out, others): (Vec<usize>, Vec<usize>) =
            (0..documents.len()).partition(|row| lots[*row] % FOLDS == fold);
        let others: Vec<usize> = others.into_iter().filter(|row| *row < examples.len()).collect();
        let columns = solve(vocabulary.len(), (&vectors, &others), examples, heads, seed);
        for row in held_out {
            scores[row] = columns.iter().flatten().map(|column| score(column, &vectors[row])).collect();
        }
    }
    scores
}

fn score((weights, bias): &Column, vector: &NgramVector) -> f32 {
    vector.iter().map(|(feature, value)| weights[*feature as usize] * value).sum::<f32>() + bias
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

/// The weights of one label, and its bias.
type Column = (Vec<f32>, f32);

/// The features with the largest weights.
fn strongest(vocabulary: &NgramVocabulary, heads: &[Vec<Column>], count: usize) -> NgramVocabulary {
    let mut strength = vec![0.0_f32; vocabulary.len()];
    for (weights, _) in heads.iter().flatten() {
        for (strength, weight) in strength.iter_mut().zip(weights) {
            *strength += weight * weight;
        }
    }
    let mut features: Vec<usize> = (0..strength.len()).collect();
    features.sort_by(|a, b| strength[*b].total_cmp(&strength[*a]));
    NgramVocabulary::new(features[..count].iter().map(|feature| vocabulary.entry(*feature)).collect())
}

/// The columns of every label of every head, learned from some rows of the examples.
fn solve(
    features: usize,
    (vectors, rows): (&[NgramVector], &[usize]),
    examples: &[Example],
    heads: &[HeadConfig],
    seed: u64,
) -> Vec<Vec<Column>> {
    let squares: Vec<f32> = vectors
        .iter()
        .map(|vector| 1.0 + vector.iter().map(|(_, value)| value * value).sum::<f32>())
        .collect();
    let head = |(position, head): (usize, &HeadConfig)| {
        let is_known = |row: &usize| examples[*row].targets[position] != Target::Missing;
        let known: Vec<usize> = rows.iter().copied().filter(is_known).collect();
        let column = |label: usize| {
            let sides = known.iter().map(|row| holds(&examples[*row].targets[position], label));
            let rows: Vec<(usize, f32)> =
                known.iter().copied().zip(sides.map(|holds| if holds { 1.0 } else { -1.0 })).collect();
            separate(&rows, (vectors, &squares), features, seed)
        };
        (0..head.labels.len()).into_par_iter().map(column).collect()
    };
    heads.iter().enumerate().map(head).collect()
}

pub(super) fn holds(target: &Target, label: usize) -> bool {
    match target {
        Target::Missing => false,
        Target::One(right) => *right == label,
        Target::Many(right) => right.contains(&label),
    }
}

/// The separating weights for rows with their sides, 1 or −1. The bias is the weight of a feature that is always 1.
fn separate(
    rows: &[(usize, f32)],
    (vectors, squares): (&[NgramVector], &[f32]),
    features: usize,
    seed: u64,
) -> Column {
    let diagonal = 0.5 / COST;
    let (mut weights, mut bias) = (vec![0.0_f32; features], 0.0);
    let mut alphas = vec![0.0_f32; rows.len()];
    let mut order: Vec<usize> = (0..rows.len()).collect();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    for _ in 0..MAX_PASSES {
        order.shuffle(&mut rng);
        let (mut lowest, mut highest) = (f32::INFINITY, f32::NEG_INFINITY);
        for &index in &order {
            let (row, side) = rows[index];
            let vector = &vectors[row];
            let score =
                vector.iter().map(|(feature, value)| weights[*feature as usize] * value).sum::<f32>() + bias;
            let alpha = alphas[index];
            let gradient = side * score - 1.0 + diagonal * alpha;
            // At the bound only a fall below it counts.
            let projected = if alpha > 0.0 { gradient } else { gradient.min(0.0) };
            (lowest, highest) = (lowest.min(projected), highest.max(projected));
            if projected.abs() > 1e-6 {
                alphas[index] = (alpha - gradient / (squares[row] + diagonal)).max(0.0);
                let step = (alphas[index] - alpha) * side;
                for (feature, value) in vector {
                    weights[*feature as usize] += step * value;
                }
                bias += step;
            }
        }
        if highest - lowest < TOLERANCE {
            break;
        }
    }
    (weights, bias)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classifier::Problem;
    use crate::label::LabelSet;
    use crate::request::RequestText;
    use crate::tokenizer::EncodedText;

    #[test]
    fn a_separable_sample_is_separated_with_a_margin() {
        let vectors: Vec<NgramVector> =
            vec![vec![(0, 1.0)], vec![(0, 1.0), (2, 0.5)], vec![(1, 1.0)], vec![(1, 1.0), (2, 0.5)]];
        let squares = [2.0, 2.25, 2.0, 2.25];
        let rows = [(0, 1.0), (1, 1.0), (2, -1.0), (3, -1.0)];
        let (weights, bias) = separate(&rows, (&vectors, &squares), 3, 1);
        for (row, side) in rows {
            let score: f32 =
                vectors[row].iter().map(|(feature, value)| weights[*feature as usize] * value).sum();
            assert!(side * (score + bias) > 0.5);
        }
    }

    #[test]
    fn the_held_out_score_of_a_row_does_not_hang_on_its_label() {
        let texts = ["路灯坏了", "路灯不亮", "夜里很吵", "工地太吵", "路灯又坏", "楼上很吵", "路灯没修"];
        let documents: Vec<NgramDocument> =
            texts.iter().map(|text| NgramDocument::new(&RequestText::new("", text).unwrap())).collect();
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
            held_out_scores(&frequent(&documents), (&documents, &[0, 1, 2, 3, 4, 0, 1]), &examples, &heads, 1)
        };
        let (one, other) = (scores(0), scores(1));
        assert_eq!(one[0], other[0]);
        assert_ne!(one[4], other[4], "others learn from it");
        assert!(one[0][0] > one[0][1], "the others tell what it is about");
    }

    // scikit-learn 1.9: LinearSVC(C=0.5, tol=1e-8).fit([[1, 0], [.5, 1], [0, 1], [.2, .3]], [1, 1, 0, 0])
    #[test]
    fn the_weights_are_liblinears() {
        let vectors: Vec<NgramVector> = vec![
            vec![(0, 1.0), (1, 0.0)],
            vec![(0, 0.5), (1, 1.0)],
            vec![(0, 0.0), (1, 1.0)],
            vec![(0, 0.2), (1, 0.3)],
        ];
        let squares: Vec<f32> = vectors
            .iter()
            .map(|vector| 1.0 + vector.iter().map(|(_, value)| value * value).sum::<f32>())
            .collect();
        let (weights, bias) =
            separate(&[(0, 1.0), (1, 1.0), (2, -1.0), (3, -1.0)], (&vectors, &squares), 2, 1);
        for (got, expected) in [weights[0], weights[1], bias].into_iter().zip(LIBLINEAR) {
            assert!((got - expected).abs() < 0.1, "{weights:?} {bias}");
        }
    }

    const LIBLINEAR: [f32; 3] = [0.750_838, -0.065_607, -0.225_106];
}
