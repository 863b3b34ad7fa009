//! Weights by name, out of every layout in which BERT checkpoints are published.
//!
//! | in the file | here |
//! |---|---|
//! | `bert.encoder.layer.0.…`, `encoder.layer.0.…` | `encoder.layer.0.…` |
//! | `….LayerNorm.gamma`, `….LayerNorm.beta` | `….LayerNorm.weight`, `….LayerNorm.bias` |
//! | `classifier.*`, `heads.*`, `pooler.*` | the same |
//! | `cls.*` (the language-model head), `position_ids`, `token_type_ids` (constants) | left out |
//!
//! Everything is widened to `f32` on the CPU, when it is asked for: until then a weight stays in its file, so that whoever
//! lays weights out has one of them in memory at a time. Files are read, never mapped: mapping is unsafe as long as
//! somebody else can write to the file.
//!
//! Weights that `jiesu quantize` rounded are 8-bit integers ([`RoundedMatrix`]), each with its scales beside it, under its
//! name and `_scale`.

use std::borrow::Cow;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use candle_core::pickle::{PthTensors, TensorInfo};
use candle_core::{Device, Tensor};
use half::f16;
use half::slice::HalfFloatSliceExt as _;
use safetensors::Dtype;

use super::kernels::rounded::RoundedMatrix;
use crate::registry::{ModelFiles, OpenFile, PYTORCH_FILE, RegistryError, SAFETENSORS_FILE, WeightFiles};

use stored::{Number, PyTorchFile, Stored, read_header};

mod error;
mod pickle;
mod rounded_file;
mod stored;

pub use error::WeightsError;

/// By far the largest weight of a small model.
pub(super) const WORD_EMBEDDINGS: &str = "embeddings.word_embeddings.weight";
/// What a zip archive, and with it every `.bin` since PyTorch 1.6, starts with.
const ZIP_MAGIC: &[u8] = b"PK";
/// What stands in place of a large file that git was told not to fetch.
const LFS_POINTER: &[u8] = b"version https://git-lfs";
/// The `PROTO` opcode that pickled data starts with.
const PICKLE_MAGIC: &[u8] = &[0x80];

/// The weights of a model by name, each read when it is asked for.
#[derive(Debug, Clone, Default)]
pub struct Weights(HashMap<String, Stored>);

impl Weights {
    /// Finds all weights of a bundle.
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
        let no_scale = weights.rounded().find(|(name, _)| !weights.contains(&scale_name(name)));
        if let Some((name, _)) = no_scale {
            return Err(WeightsError::Type { name: name.clone(), dtype: Dtype::I8 });
        }
        Ok(weights)
    }

    /// Takes weights that somebody else read or made, under the names used here.
    ///
    /// # Errors
    /// If one is no floating-point tensor.
    pub fn from_map(tensors: HashMap<String, Tensor>) -> Result<Self, WeightsError> {
        let mut weights = Self::default();
        for (name, tensor) in tensors {
            weights.add(name, Stored::in_memory(tensor))?;
        }
        Ok(weights)
    }

    /// All weights by name, read into memory.
    ///
    /// # Errors
    /// If one cannot be read, or is rounded.
    pub fn to_map(&self) -> Result<HashMap<String, Tensor>, WeightsError> {
        let tensor = |(name, stored): (&String, &Stored)| Ok((name.clone(), self.get(name, &stored.shape)?));
        self.0.iter().map(tensor).collect()
    }

    /// Gives weights new names; those without one are dropped.
    #[must_use]
    pub fn renamed(self, new_name: impl Fn(&str) -> Option<String>) -> Self {
        Self(self.0.into_iter().filter_map(|(name, stored)| Some((new_name(&name)?, stored))).collect())
    }

    /// Whether there is a weight of that name.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Whether any weight is rounded to 8-bit integers.
    pub fn are_rounded(&self) -> bool {
        self.rounded().next().is_some()
    }

    /// The weight of that name, if it has that shape.
    ///
    /// # Errors
    /// If there is none, it has another shape, is rounded, or cannot be read.
    ///
    /// # Panics
    /// Never: what is read has as many numbers as its shape says.
    pub fn get(&self, name: &str, shape: &[usize]) -> Result<Tensor, WeightsError> {
        let values = self.values(name, shape)?;
        Ok(Tensor::from_vec(values, shape, &Device::Cpu)
            .expect("there are as many numbers as the shape says"))
    }

    /// The numbers of the weight of that name, row after row, if it has that shape.
    ///
    /// # Errors
    /// As [`get`](Self::get), and if a number is not finite.
    pub fn values(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, WeightsError> {
        let stored = self.floats(name, shape)?;
        let mut values = Vec::with_capacity(stored.count());
        stored.read(|numbers| values.extend_from_slice(numbers))?;
        refuse_unless(values.iter().all(|value| value.is_finite()), name)?;
        Ok(values)
    }

    /// The same rounded to 16-bit floats.
    ///
    /// # Errors
    /// As [`get`](Self::get), and if a number is not finite or too large for 16 bits.
    pub(crate) fn halves(&self, name: &str, shape: &[usize]) -> Result<Vec<f16>, WeightsError> {
        let stored = self.floats(name, shape)?;
        let mut halves = vec![f16::ZERO; stored.count()];
        let mut rest = halves.as_mut_slice();
        stored.read(|numbers| {
            let (piece, others) = std::mem::take(&mut rest).split_at_mut(numbers.len());
            piece.convert_from_f32_slice(numbers);
            rest = others;
        })?;
        refuse_unless(halves.iter().all(|half| half.is_finite()), name)?;
        Ok(halves)
    }

    /// The same rounded to 8-bit integers, if it is not so already.
    ///
    /// # Errors
    /// If there is no such weight, it has another shape, has been rounded otherwise, or cannot be read.
    pub(crate) fn rounded_matrix(
        &self,
        name: &str,
        (rows, columns): (usize, usize),
    ) -> Result<RoundedMatrix, WeightsError> {
        let stored = self.stored(name, &[rows, columns])?;
        if stored.number != Number::I8 {
            return Ok(RoundedMatrix::round(&self.values(name, &[rows, columns])?, rows));
        }
        let scales = self.values(&scale_name(name), &[rows])?;
        let mut values = Vec::with_capacity(stored.count());
        stored.read(|numbers| values.extend(numbers.iter().map(|number| *number as i8)))?;
        RoundedMatrix::new(values, scales)
            .ok_or_else(|| WeightsError::RoundedTooLarge { name: name.to_owned() })
    }

    fn rounded(&self) -> impl Iterator<Item = (&String, &Stored)> {
        self.0.iter().filter(|(_, stored)| stored.number == Number::I8)
    }

    fn floats(&self, name: &str, shape: &[usize]) -> Result<&Stored, WeightsError> {
        let stored = self.stored(name, shape)?;
        if stored.number == Number::I8 {
            return Err(WeightsError::Rounded { name: name.to_owned() });
        }
        Ok(stored)
    }

    fn stored(&self, name: &str, shape: &[usize]) -> Result<&Stored, WeightsError> {
        let stored = self.0.get(name).ok_or_else(|| WeightsError::Missing { name: name.to_owned() })?;
        if stored.shape != shape {
            return Err(WeightsError::Shape {
                name: name.to_owned(),
                expected: shape.to_vec(),
                got: stored.shape.clone(),
            });
        }
        Ok(stored)
    }

    fn add_safetensors(&mut self, files: &ModelFiles, file: &str) -> Result<(), WeightsError> {
        let open = Arc::new(files.open(file)?);
        refuse_lfs_pointer(&first_bytes(&open)?, files, file)?;
        let (first, header) =
            read_header(&open, |source| WeightsError::unreadable(files.name(), file, source.into()))?;
        for (name, info) in header.tensors() {
            if let Some(canonical) = canonical_name(&name) {
                self.add(canonical, Stored::in_safetensors(&open, first, info))?;
            }
        }
        Ok(())
    }

    fn add_pytorch(&mut self, files: &ModelFiles, file: &str) -> Result<(), WeightsError> {
        let path = files.path(file)?;
        let start = first_bytes(&files.open(file)?)?;
        refuse_lfs_pointer(&start, files, file)?;
        if start.starts_with(PICKLE_MAGIC) && !start.starts_with(ZIP_MAGIC) {
            return Err(WeightsError::LegacyPyTorch {
                model: files.name().to_owned(),
                file: file.to_owned(),
            });
        }
        let unreadable = |source| WeightsError::unreadable(files.name(), file, source);
        pickle::check_archive(&path).map_err(unreadable)?.map_err(|problem| WeightsError::Pickle {
            model: files.name().to_owned(),
            file: file.to_owned(),
            problem,
        })?;
        // It panics on tensors that are described by fewer parts than they have.
        let tensors = catch_unwind(AssertUnwindSafe(|| PthTensors::new(&path, None)));
        let tensors = tensors.unwrap_or_else(|_| candle_core::bail!("its tensors are described in part"));
        let tensors = tensors.map_err(unreadable)?;
        if tensors.tensor_infos().is_empty() {
            return Err(unreadable(candle_core::Error::Msg("it is no state dictionary".to_owned())));
        }
        let open = Arc::new(PyTorchFile { tensors, model: files.name().to_owned(), file: file.to_owned() });
        let size = files.open(file)?.size();
        for (name, info) in open.tensors.tensor_infos() {
            // Memory is taken for the whole of a tensor before it is read.
            if tensor_bytes(info).is_none_or(|bytes| bytes > size) {
                let problem = format!("tensor `{name}` would be larger than the file");
                return Err(unreadable(candle_core::Error::Msg(problem)));
            }
            if let Some(canonical) = canonical_name(name) {
                self.add(canonical, Stored::in_pytorch(&open, info))?;
            }
        }
        Ok(())
    }

    fn add(&mut self, name: String, stored: Result<Stored, Dtype>) -> Result<(), WeightsError> {
        let stored = stored.map_err(|dtype| WeightsError::Type { name: name.clone(), dtype })?;
        match self.0.insert(name.clone(), stored) {
            Some(_) => Err(WeightsError::Duplicate { name }),
            None => Ok(()),
        }
    }
}

/// What a tensor takes in a file; none if that is more than can be counted.
fn tensor_bytes(info: &TensorInfo) -> Option<u64> {
    let count = info.layout.dims().iter().try_fold(1_usize, |count, size| count.checked_mul(*size))?;
    count.checked_mul(info.dtype.size_in_bytes()).map(|bytes| bytes as u64)
}

/// Where the scales of a rounded weight are.
fn scale_name(name: &str) -> String {
    format!("{name}_scale")
}

fn refuse_unless(finite: bool, name: &str) -> Result<(), WeightsError> {
    if finite { Ok(()) } else { Err(WeightsError::NotFinite { name: name.to_owned() }) }
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

/// As many bytes as tell what a file is.
fn first_bytes(file: &OpenFile) -> Result<Cow<'static, [u8]>, RegistryError> {
    file.read(0..file.size().min(LFS_POINTER.len() as u64))
}

fn refuse_lfs_pointer(content: &[u8], files: &ModelFiles, file: &str) -> Result<(), WeightsError> {
    if content.starts_with(LFS_POINTER) {
        return Err(WeightsError::LfsPointer { model: files.name().to_owned(), file: file.to_owned() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use candle_core::DType;

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
        let weights = Weights::from_map(HashMap::from([("pooler.dense.weight".to_owned(), tensor)])).unwrap();
        assert!(weights.contains("pooler.dense.weight"));
        assert_eq!(weights.get("pooler.dense.weight", &[2, 3]).unwrap().dims(), [2, 3]);
        let error = weights.get("pooler.dense.weight", &[3, 2]).unwrap_err();
        assert!(matches!(error, WeightsError::Shape { ref got, .. } if *got == [2, 3]), "{error}");
        assert!(matches!(weights.get("pooler.dense.bias", &[3]), Err(WeightsError::Missing { .. })));
        assert_eq!(weights.to_map().unwrap().len(), 1);
    }
}
