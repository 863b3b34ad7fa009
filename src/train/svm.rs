//! Linear support vector machines with squared hinge loss, ½‖w‖² + C Σ max(0, 1 − yᵢ w·xᵢ)², solved by dual coordinate
//! descent: Hsieh et al., "A Dual Coordinate Descent Method for Large-scale Linear SVM" (2008).

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::classifier::ngrams::NgramVector;

/// C: what an example on the wrong side costs.
const COST: f32 = 0.5;
/// Most passes over the examples.
const MAX_PASSES: usize = 40;
/// A pass that changes no gradient by more ends the search.
const TOLERANCE: f32 = 0.1;

/// What tells one label from all others.
#[derive(Debug, Clone)]
pub(super) struct Hyperplane {
    /// (features)
    pub(super) weights: Vec<f32>,
    pub(super) bias: f32,
}

impl Hyperplane {
    pub(super) fn score(&self, vector: &NgramVector) -> f32 {
        vector.iter().map(|(feature, value)| self.weights[*feature as usize] * value).sum::<f32>() + self.bias
    }
}

/// The texts that hyperplanes are learned from.
pub(super) struct Sample {
    pub(super) vectors: Vec<NgramVector>,
    /// 1 + ‖x‖² of each
    squares: Vec<f32>,
    features: usize,
}

impl Sample {
    pub(super) fn new(vectors: Vec<NgramVector>, features: usize) -> Self {
        let square = |vector: &NgramVector| 1.0 + vector.iter().map(|(_, value)| value * value).sum::<f32>();
        let squares = vectors.par_iter().map(square).collect();
        Self { vectors, squares, features }
    }

    /// Separates rows by their sides, 1 or −1. The bias is the weight of a feature that is always 1.
    pub(super) fn separate(&self, rows: &[(usize, f32)], seed: u64) -> Hyperplane {
        let diagonal = 0.5 / COST;
        let mut plane = Hyperplane { weights: vec![0.0; self.features], bias: 0.0 };
        let mut alphas = vec![0.0_f32; rows.len()];
        let mut order: Vec<usize> = (0..rows.len()).collect();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        for _ in 0..MAX_PASSES {
            order.shuffle(&mut rng);
            let (mut lowest, mut highest) = (f32::INFINITY, f32::NEG_INFINITY);
            for &index in &order {
                let (row, side) = rows[index];
                let vector = &self.vectors[row];
                let alpha = alphas[index];
                let gradient = side * plane.score(vector) - 1.0 + diagonal * alpha;
                // At the bound only a fall below it counts.
                let projected = if alpha > 0.0 { gradient } else { gradient.min(0.0) };
                (lowest, highest) = (lowest.min(projected), highest.max(projected));
                if projected.abs() > 1e-6 {
                    alphas[index] = (alpha - gradient / (self.squares[row] + diagonal)).max(0.0);
                    let step = (alphas[index] - alpha) * side;
                    for (feature, value) in vector {
                        plane.weights[*feature as usize] += step * value;
                    }
                    plane.bias += step;
                }
            }
            if highest - lowest < TOLERANCE {
                break;
            }
        }
        plane
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_separable_sample_is_separated_with_a_margin() {
        let vectors =
            vec![vec![(0, 1.0)], vec![(0, 1.0), (2, 0.5)], vec![(1, 1.0)], vec![(1, 1.0), (2, 0.5)]];
        let sample = Sample::new(vectors, 3);
        let rows = [(0, 1.0), (1, 1.0), (2, -1.0), (3, -1.0)];
        let plane = sample.separate(&rows, 1);
        assert!(rows.iter().all(|(row, side)| side * plane.score(&sample.vectors[*row]) > 0.5));
    }

    // scikit-learn 1.9: LinearSVC(C=0.5, tol=1e-8).fit([[1, 0], [.5, 1], [0, 1], [.2, .3]], [1, 1, 0, 0])
    #[test]
    fn the_weights_are_liblinears() {
        let vectors = vec![
            vec![(0, 1.0), (1, 0.0)],
            vec![(0, 0.5), (1, 1.0)],
            vec![(0, 0.0), (1, 1.0)],
            vec![(0, 0.2), (1, 0.3)],
        ];
        let plane = Sample::new(vectors, 2).separate(&[(0, 1.0), (1, 1.0), (2, -1.0), (3, -1.0)], 1);
        let got = [plane.weights[0], plane.weights[1], plane.bias];
        assert!(got.iter().zip(LIBLINEAR).all(|(got, expected)| (got - expected).abs() < 0.1), "{plane:?}");
    }

    const LIBLINEAR: [f32; 3] = [0.750_838, -0.065_607, -0.225_106];
}
