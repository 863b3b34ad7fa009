//! The weights file of a bundle that `jiesu quantize` writes.
//!
//! | weights | in the file |
//! |---|---|
//! | matrices of the layers | I8, with `<name>_scale` in F32, one a row |
//! | word embeddings | F16 |
//! | everything else | F32 |

use std::collections::HashMap;

use half::f16;
use safetensors::tensor::{Dtype, TensorView};

use super::{WORD_EMBEDDINGS, Weights, WeightsError, scale_name};

/// Stands where others say for which framework a file is (`pt`): they refuse a word that they do not know, and so never
/// take integers for weights.
const FORMAT: &str = "jiesu-int8";

/// A tensor as bytes.
struct Content {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Weights {
    /// Rounds weights as an encoder that computes in 8-bit integers does, and lays them out as a safetensors file.
    ///
    /// # Errors
    /// If a weight cannot be read, is rounded already, or is no number.
    pub fn to_rounded_file(&self) -> Result<Vec<u8>, WeightsError> {
        let mut tensors = HashMap::new();
        for (name, stored) in &self.0 {
            let shape = stored.shape.clone();
            let (dtype, bytes) = if let (true, [rows @ 1..=usize::MAX, columns]) =
                (name.starts_with("encoder."), &*shape)
            {
                self.floats(name, &shape)?;
                let matrix = self.rounded_matrix(name, (*rows, *columns))?;
                let scales = Content { dtype: Dtype::F32, shape: vec![*rows], bytes: bytes(matrix.scales()) };
                tensors.insert(scale_name(name), scales);
                (Dtype::I8, matrix.values().iter().map(|value| value.cast_unsigned()).collect())
            } else if name == WORD_EMBEDDINGS {
                let halves = self.halves(name, &shape)?;
                (Dtype::F16, halves.into_iter().flat_map(f16::to_le_bytes).collect())
            } else {
                (Dtype::F32, bytes(&self.values(name, &shape)?))
            };
            tensors.insert(name.clone(), Content { dtype, shape, bytes });
        }
        let views = tensors.iter().map(|(name, Content { dtype, shape, bytes })| {
            Ok((name, TensorView::new(*dtype, shape.clone(), bytes)?))
        });
        let views = views.collect::<Result<HashMap<_, _>, _>>().map_err(WeightsError::Unwritable)?;
        let format = HashMap::from([("format".to_owned(), FORMAT.to_owned())]);
        safetensors::serialize(views, Some(format)).map_err(WeightsError::Unwritable)
    }
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}
