//! Where weights come from at the start: a checkpoint, character vectors, or random numbers of our own seed.

use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal};

use crate::encoder::{Weights, WeightsError};

use super::bert::WORD_EMBEDDINGS;

/// Standard deviation that vectors are scaled to: about what word embeddings of trained BERTs have.
const VECTORS_DEVIATION: f64 = 0.04;

/// How a weight is made that no checkpoint has.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fill {
    /// Normal numbers, `initializer_range` their standard deviation.
    Normal,
    Zeros,
    Ones,
}

/// Why the first weights cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The checkpoint has a weight, but in another shape.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The tensor library failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// The checkpoint lacks a part of the encoder.
    #[error("the base model has no weight `{name}`\nhint: is it a BERT? `--base` takes a whole encoder")]
    Incomplete {
        /// The weight.
        name: String,
    },
    /// The vectors cannot be read.
    #[error("cannot read vectors from `{path}`: {source}")]
    Vectors {
        /// The file.
        path: PathBuf,
        /// What the reader says.
        source: candle_core::Error,
    },
    /// The vectors are not one a row.
    #[error(
        "vectors in `{path}` have shape {shape:?}\nhint: one row for each line of the vocabulary is needed"
    )]
    VectorShape {
        /// The file.
        path: PathBuf,
        /// What was found.
        shape: Vec<usize>,
    },
}

/// Character vectors: rows of zeros stand for characters without one.
pub(crate) struct Vectors {
    values: Vec<f32>,
    pub(crate) rows: usize,
    pub(crate) width: usize,
}

impl Vectors {
    /// Reads a matrix in NumPy's format.
    pub(crate) fn read(path: &Path) -> Result<Self, InitError> {
        let failed = |source| InitError::Vectors { path: path.to_owned(), source };
        let tensor = Tensor::read_npy(path).map_err(failed)?;
        let Ok((rows, width)) = tensor.dims2() else {
            return Err(InitError::VectorShape { path: path.to_owned(), shape: tensor.dims().to_vec() });
        };
        let tensor = tensor.to_dtype(DType::F32).and_then(|tensor| tensor.flatten_all()).map_err(failed)?;
        Ok(Self { values: tensor.to_vec1().map_err(failed)?, rows, width })
    }

    /// Replaces the rows of `table` that have a vector.
    fn overwrite(&self, table: &mut [f32]) {
        let known = || {
            self.values.chunks_exact(self.width).enumerate().filter(|(_, row)| row.iter().any(|x| *x != 0.0))
        };
        let (count, sum, squares) =
            known().flat_map(|(_, row)| row).fold((0.0, 0.0, 0.0), |(count, sum, squares), x| {
                let x = f64::from(*x);
                (count + 1.0, sum + x, squares + x * x)
            });
        let deviation = (squares / count - (sum / count).powi(2)).sqrt();
        let scale = (VECTORS_DEVIATION / deviation) as f32;
        for (index, row) in known() {
            for (weight, x) in table[index * self.width..].iter_mut().zip(row) {
                *weight = x * scale;
            }
        }
    }
}

/// Hands out first weights by name.
pub(crate) struct Initializer {
    weights: Weights,
    vectors: Option<Vectors>,
    rng: ChaCha8Rng,
    normal: Normal<f32>,
    /// Whether the encoder must come from the checkpoint.
    needs_encoder: bool,
    /// Weights that were made rather than read.
    pub(crate) fresh: Vec<String>,
}

impl Initializer {
    /// All weights random, but for word embeddings with vectors.
    pub(crate) fn fresh(vectors: Option<Vectors>, seed: u64, initializer_range: f64) -> Self {
        Self::new(Weights::default(), vectors, seed, initializer_range, false)
    }

    /// The encoder from a checkpoint; heads too where `weights` has them.
    pub(crate) fn from_checkpoint(weights: Weights, seed: u64, initializer_range: f64) -> Self {
        Self::new(weights, None, seed, initializer_range, true)
    }

    fn new(
        weights: Weights,
        vectors: Option<Vectors>,
        seed: u64,
        initializer_range: f64,
        needs_encoder: bool,
    ) -> Self {
        let normal = Normal::new(0.0, initializer_range as f32).unwrap_or_else(|_| {
            // A configuration may say anything; BERT's own range is a safe answer to nonsense.
            Normal::new(0.0, 0.02).expect("0.02 is a standard deviation")
        });
        Self {
            weights,
            vectors,
            rng: ChaCha8Rng::seed_from_u64(seed),
            normal,
            needs_encoder,
            fresh: Vec::new(),
        }
    }

    /// The weight of that name if the checkpoint has it, else a new one.
    pub(crate) fn tensor(&mut self, name: &str, shape: &[usize], fill: Fill) -> Result<Tensor, InitError> {
        if self.weights.contains(name) {
            return Ok(self.weights.get(name, shape)?);
        }
        if self.needs_encoder && (name.starts_with("embeddings.") || name.starts_with("encoder.")) {
            return Err(InitError::Incomplete { name: name.to_owned() });
        }
        self.fresh.push(name.to_owned());
        let count = shape.iter().product();
        let mut values: Vec<f32> = match fill {
            Fill::Normal => self.normal.sample_iter(&mut self.rng).take(count).collect(),
            Fill::Zeros => vec![0.0; count],
            Fill::Ones => vec![1.0; count],
        };
        if let Some(vectors) = self.vectors.as_ref().filter(|_| name == WORD_EMBEDDINGS) {
            vectors.overwrite(&mut values);
        }
        Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
    }
}

impl Initializer {
    /// Gives the weights of heads their new names; those without one are dropped.
    pub(crate) fn rename_heads(&mut self, new_names: &std::collections::HashMap<String, String>) {
        self.weights = std::mem::take(&mut self.weights).renamed(|name| {
            if !name.starts_with("classifier.") && !name.starts_with("heads.") {
                return Some(name.to_owned());
            }
            let (head, part) = name.rsplit_once('.')?;
            Some(format!("{}.{part}", new_names.get(head)?))
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(values: &[[f32; 2]]) -> Vectors {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vectors.npy");
        let tensor = Tensor::from_vec(values.concat(), (values.len(), 2), &Device::Cpu).unwrap();
        tensor.to_dtype(DType::F16).unwrap().write_npy(&path).unwrap();
        Vectors::read(&path).unwrap()
    }

    #[test]
    fn vectors_become_word_embeddings_of_the_usual_size() {
        let vectors = written(&[[1.0, -3.0], [0.0, 0.0], [5.0, 1.0]]);
        assert_eq!((vectors.rows, vectors.width), (3, 2));
        let mut init = Initializer::fresh(Some(vectors), 1, 0.02);
        let table = init.tensor(WORD_EMBEDDINGS, &[3, 2], Fill::Normal).unwrap().to_vec2::<f32>().unwrap();
        let known = [table[0][0], table[0][1], table[2][0], table[2][1]];
        let mean = known.iter().sum::<f32>() / 4.0;
        let deviation = (known.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / 4.0).sqrt();
        assert!((deviation - 0.04).abs() < 1e-5, "{deviation}");
        assert!((table[0][1] / table[0][0] + 3.0).abs() < 1e-3, "directions stay");
        assert!(table[1].iter().all(|x| *x != 0.0), "a piece without a vector is random");
    }

    #[test]
    fn an_encoder_is_read_whole_or_not_at_all() {
        let mut init = Initializer::from_checkpoint(Weights::default(), 1, 0.02);
        assert!(init.tensor("classifier.weight", &[2, 2], Fill::Normal).is_ok());
        let error = init.tensor("encoder.layer.0.output.dense.bias", &[2], Fill::Zeros).unwrap_err();
        assert!(error.to_string().contains("encoder.layer.0.output.dense.bias"), "{error}");
        assert_eq!(init.fresh, ["classifier.weight"]);
    }
}
