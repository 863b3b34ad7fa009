//! Weights by name, out of every layout in which BERT checkpoints are published.
//!
//! | in the file | here |
//! |---|---|
//! | `bert.encoder.layer.0.…`, `encoder.layer.0.…` | `encoder.layer.0.…` |
//! | `….LayerNorm.gamma`, `….LayerNorm.beta` | `….LayerNorm.weight`, `….LayerNorm.bias` |
//! | `classifier.*`, `heads.*`, `pooler.*` | the same |
//! | `cls.*` (the language-model head), `position_ids`, `token_type_ids` (constants) | left out |
//!
//! Everything is widened to `f32` on the CPU. Files are read into memory, never mapped: mapping is unsafe as long as
//! somebody else can write to the file.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use candle_core::safetensors::SliceSafetensors;
use candle_core::{DType, Device, Tensor, pickle};

use crate::registry::{ModelFiles, PYTORCH_FILE, RegistryError, SAFETENSORS_FILE, WeightFiles};

/// What a zip archive, and with it every `.bin` since PyTorch 1.6, starts with.
const ZIP_MAGIC: &[u8] = b"PK";
/// What stands in place of a large file that git was told not to fetch.
const LFS_POINTER: &[u8] = b"version https://git-lfs";
/// The `PROTO` opcode that pickled data starts with.
const PICKLE_MAGIC: &[u8] = &[0x80];

/// Why weights cannot be loaded or used.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// A file is missing or cannot be read.
    #[error(transparent)]
    Files(#[from] RegistryError),
    /// A file is not what its name says, or only a part of it.
    #[error(
        "`{file}` of model `{model}` holds no weights that can be read: {source}\nhint: is the file whole? copy or download it again"
    )]
    Unreadable {
        /// The model's name.
        model: String,
        /// The file.
        file: String,
        /// What the reader says.
        source: Box<candle_core::Error>,
    },
    /// A checkpoint from before PyTorch 1.6.
    #[error(
        "`{file}` of model `{model}` is in PyTorch's format from before version 1.6\nhint: convert it in the model's \
         folder: python -c \"import torch; torch.save(torch.load('{file}', map_location='cpu'), '{file}')\""
    )]
    LegacyPyTorch {
        /// The model's name.
        model: String,
        /// The file.
        file: String,
    },
    /// The file is a note of git-lfs that says where the weights would be.
    #[error(
        "`{file}` of model `{model}` is a git-lfs pointer, not the weights\nhint: run `git lfs pull` in the model's folder"
    )]
    LfsPointer {
        /// The model's name.
        model: String,
        /// The file.
        file: String,
    },
    /// Weights that are no floating-point numbers.
    #[error(
        "weight `{name}` is stored as {dtype:?}; only f64, f32, f16 and bf16 are supported, not quantised weights"
    )]
    Type {
        /// The weight.
        name: String,
        /// How it is stored.
        dtype: DType,
    },
    /// Two weights have one name once prefixes are stripped.
    #[error("the checkpoint has weight `{name}` twice, with and without a prefix or in two files")]
    Duplicate {
        /// The name without prefix.
        name: String,
    },
    /// The checkpoint lacks a weight.
    #[error("the checkpoint has no weight `{name}`")]
    Missing {
        /// The weight.
        name: String,
    },
    /// A weight does not fit the configuration.
    #[error("weight `{name}` has shape {got:?}, but config.json asks for {expected:?}")]
    Shape {
        /// The weight.
        name: String,
        /// The shape that the configuration asks for.
        expected: Vec<usize>,
        /// The shape in the checkpoint.
        got: Vec<usize>,
    },
}

/// The weights of a model by name.
#[derive(Debug, Clone, Default)]
pub struct Weights(HashMap<String, Tensor>);

impl Weights {
    /// Reads all weights of a bundle.
    ///
    /// # Errors
    /// If a file is missing, damaged or in a format that is not supported, or two weights have one name.
    pub fn load(files: &ModelFiles) -> Result<Self, WeightsError> {
        let mut weights = Self::default();
        match files.weight_files()? {
            WeightFiles::SafeTensors => weights.add_safetensors(files, SAFETENSORS_FILE)?,
            WeightFiles::Sharded => {
                for shard in files.shards()? {
                    weights.add_safetensors(files, &shard)?;
                }
            }
            WeightFiles::PyTorch => weights.add_pytorch(files, PYTORCH_FILE)?,
        }
        Ok(weights)
    }

    /// Takes weights that somebody else read or made, under the names used here.
    pub fn from_map(weights: HashMap<String, Tensor>) -> Self {
        Self(weights)
    }

    /// The weights by name.
    pub fn into_map(self) -> HashMap<String, Tensor> {
        self.0
    }

    /// Whether there is a weight of that name.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The weight of that name, if it has that shape. Cheap: a tensor is shared, not copied.
    ///
    /// # Errors
    /// If there is none, or it has another shape.
    pub fn get(&self, name: &str, shape: &[usize]) -> Result<Tensor, WeightsError> {
        let tensor = self.0.get(name).ok_or_else(|| WeightsError::Missing { name: name.to_owned() })?;
        if tensor.dims() != shape {
            return Err(WeightsError::Shape {
                name: name.to_owned(),
                expected: shape.to_vec(),
                got: tensor.dims().to_vec(),
            });
        }
        Ok(tensor.clone())
    }

    /// The numbers of the weight of that name, row after row, if it has that shape.
    ///
    /// # Errors
    /// If there is none, or it has another shape.
    pub fn values(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, WeightsError> {
        let tensor = self.get(name, shape)?;
        let unreadable = |_| WeightsError::Type { name: name.to_owned(), dtype: tensor.dtype() };
        tensor.flatten_all().and_then(|flat| flat.to_vec1()).map_err(unreadable)
    }

    fn add_safetensors(&mut self, files: &ModelFiles, file: &str) -> Result<(), WeightsError> {
        let content = files.read(file)?;
        refuse_lfs_pointer(&content, files, file)?;
        let unreadable = |source| unreadable(files, file, source);
        let tensors = SliceSafetensors::new(&content).map_err(unreadable)?;
        for (name, _) in tensors.tensors() {
            if let Some(canonical) = canonical_name(&name) {
                self.add(canonical, &tensors.load(&name, &Device::Cpu).map_err(unreadable)?, unreadable)?;
            }
        }
        Ok(())
    }

    fn add_pytorch(&mut self, files: &ModelFiles, file: &str) -> Result<(), WeightsError> {
        let path = files.path(file)?;
        let start =
            first_bytes(&path).map_err(|source| RegistryError::Read { path: path.clone(), source })?;
        refuse_lfs_pointer(&start, files, file)?;
        if start.starts_with(PICKLE_MAGIC) && !start.starts_with(ZIP_MAGIC) {
            return Err(WeightsError::LegacyPyTorch {
                model: files.name().to_owned(),
                file: file.to_owned(),
            });
        }
        let unreadable = |source| unreadable(files, file, source);
        let tensors = pickle::PthTensors::new(&path, None).map_err(unreadable)?;
        if tensors.tensor_infos().is_empty() {
            return Err(unreadable(candle_core::Error::Msg("it is no state dictionary".to_owned())));
        }
        for name in tensors.tensor_infos().keys() {
            if let Some(canonical) = canonical_name(name)
                && let Some(tensor) = tensors.get(name).map_err(unreadable)?
            {
                self.add(canonical, &tensor, unreadable)?;
            }
        }
        Ok(())
    }

    fn add(
        &mut self,
        name: String,
        tensor: &Tensor,
        unreadable: impl Fn(candle_core::Error) -> WeightsError,
    ) -> Result<(), WeightsError> {
        if !tensor.dtype().is_float() || tensor.dtype().size_in_bytes() < 2 {
            return Err(WeightsError::Type { name, dtype: tensor.dtype() });
        }
        let tensor =
            tensor.to_dtype(DType::F32).and_then(|tensor| tensor.contiguous()).map_err(unreadable)?;
        match self.0.insert(name.clone(), tensor) {
            Some(_) => Err(WeightsError::Duplicate { name }),
            None => Ok(()),
        }
    }
}

/// The name used here, or none for what a classifier has no use for.
fn canonical_name(name: &str) -> Option<String> {
    let bare = name.strip_prefix("bert.").unwrap_or(name);
    let last = bare.rsplit('.').next().unwrap_or(bare);
    if bare.starts_with("cls.") || last == "position_ids" || last == "token_type_ids" {
        return None;
    }
    Some(match bare.strip_suffix("LayerNorm.gamma") {
        Some(layer) => format!("{layer}LayerNorm.weight"),
        None => match bare.strip_suffix("LayerNorm.beta") {
            Some(layer) => format!("{layer}LayerNorm.bias"),
            None => bare.to_owned(),
        },
    })
}

fn first_bytes(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut start = Vec::new();
    File::open(path)?.take(LFS_POINTER.len() as u64).read_to_end(&mut start)?;
    Ok(start)
}

fn refuse_lfs_pointer(content: &[u8], files: &ModelFiles, file: &str) -> Result<(), WeightsError> {
    if content.starts_with(LFS_POINTER) {
        return Err(WeightsError::LfsPointer { model: files.name().to_owned(), file: file.to_owned() });
    }
    Ok(())
}

fn unreadable(files: &ModelFiles, file: &str, source: candle_core::Error) -> WeightsError {
    WeightsError::Unreadable {
        model: files.name().to_owned(),
        file: file.to_owned(),
        source: Box::new(source),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_a_bare_encoder() {
        let name = |name: &str| canonical_name(name);
        assert_eq!(name("bert.encoder.layer.0.x").as_deref(), Some("encoder.layer.0.x"));
        assert_eq!(name("embeddings.LayerNorm.gamma").as_deref(), Some("embeddings.LayerNorm.weight"));
        assert_eq!(name("bert.embeddings.LayerNorm.beta").as_deref(), Some("embeddings.LayerNorm.bias"));
        for kept in ["classifier.weight", "heads.risks.weight", "pooler.dense.bias"] {
            assert_eq!(name(kept).as_deref(), Some(kept));
        }
        assert_eq!(name("cls.predictions.bias"), None);
        assert_eq!(name("bert.embeddings.position_ids"), None);
        assert_eq!(
            name("bert.embeddings.position_embeddings.weight").as_deref(),
            Some("embeddings.position_embeddings.weight")
        );
    }

    #[test]
    fn a_weight_is_given_only_in_the_shape_asked_for() {
        let tensor = Tensor::zeros((2, 3), DType::F32, &Device::Cpu).unwrap();
        let weights = Weights::from_map(HashMap::from([("pooler.dense.weight".to_owned(), tensor)]));
        assert!(weights.contains("pooler.dense.weight"));
        assert_eq!(weights.get("pooler.dense.weight", &[2, 3]).unwrap().dims(), [2, 3]);
        let error = weights.get("pooler.dense.weight", &[3, 2]).unwrap_err();
        assert!(matches!(error, WeightsError::Shape { ref got, .. } if *got == [2, 3]), "{error}");
        assert!(matches!(weights.get("pooler.dense.bias", &[3]), Err(WeightsError::Missing { .. })));
        assert_eq!(weights.into_map().len(), 1);
    }
}
