//! One weight where it lies: in memory or in a file, from which it is read when it is asked for.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use candle_core::{DType, Tensor, pickle};
use half::{bf16, f16};
use safetensors::tensor::{Metadata, TensorInfo};
use safetensors::{Dtype, SafeTensorError};

use crate::registry::OpenFile;

use super::WeightsError;

/// Bytes of a large weight that are read at once, a multiple of every number's size.
const PIECE: u64 = 1 << 20;
/// Longest header, in bytes; that of a BERT of 24 layers has 40 kB. The format allows twelve times as much, which would
/// take some gigabytes of memory to read.
const LONGEST_HEADER: u64 = 8 << 20;

/// How the numbers of a weight are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Number {
    F64,
    F32,
    F16,
    Bf16,
    /// With a scale for each row, beside the weight.
    I8,
}

impl Number {
    /// None for types that no weight has here.
    pub(super) fn of(dtype: Dtype) -> Option<Self> {
        [
            (Dtype::F64, Self::F64),
            (Dtype::F32, Self::F32),
            (Dtype::F16, Self::F16),
            (Dtype::BF16, Self::Bf16),
            (Dtype::I8, Self::I8),
        ]
        .into_iter()
        .find_map(|(known, number)| (known == dtype).then_some(number))
    }

    /// Replaces `numbers`.
    fn widen(self, bytes: &[u8], numbers: &mut Vec<f32>) {
        numbers.clear();
        match self {
            Self::F64 => numbers.extend(bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b) as f32)),
            Self::F32 => numbers.extend(bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b))),
            Self::F16 => numbers.extend(bytes.as_chunks().0.iter().map(|b| f16::from_le_bytes(*b).to_f32())),
            Self::Bf16 => {
                numbers.extend(bytes.as_chunks().0.iter().map(|b| bf16::from_le_bytes(*b).to_f32()));
            }
            Self::I8 => numbers.extend(bytes.iter().map(|b| f32::from(b.cast_signed()))),
        }
    }
}

/// One weight where it lies.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) number: Number,
    pub(super) shape: Vec<usize>,
    place: Place,
}

#[derive(Debug, Clone)]
enum Place {
    Memory(Tensor),
    SafeTensors(Arc<OpenFile>, Range<u64>),
    PyTorch(Arc<PyTorchFile>, String),
}

impl Stored {
    pub(super) fn in_memory(tensor: Tensor) -> Result<Self, Dtype> {
        let (dtype, shape) = (tensor.dtype().into(), tensor.dims().to_vec());
        Self::new(dtype, shape, Place::Memory(tensor))
    }

    /// `first` is where the file's tensors begin.
    pub(super) fn in_safetensors(file: &Arc<OpenFile>, first: u64, info: &TensorInfo) -> Result<Self, Dtype> {
        let range = first + info.data_offsets.0 as u64..first + info.data_offsets.1 as u64;
        Self::new(info.dtype, info.shape.clone(), Place::SafeTensors(Arc::clone(file), range))
    }

    pub(super) fn in_pytorch(file: &Arc<PyTorchFile>, info: &pickle::TensorInfo) -> Result<Self, Dtype> {
        let place = Place::PyTorch(Arc::clone(file), info.name.clone());
        Self::new(info.dtype.into(), info.layout.dims().to_vec(), place)
    }

    fn new(dtype: Dtype, shape: Vec<usize>, place: Place) -> Result<Self, Dtype> {
        Ok(Self { number: Number::of(dtype).ok_or(dtype)?, shape, place })
    }

    /// How many numbers there are.
    pub(super) fn count(&self) -> usize {
        self.shape.iter().product()
    }

    /// Hands over all numbers in order, row after row, some at a time.
    pub(super) fn read(&self, mut take: impl FnMut(&[f32])) -> Result<(), WeightsError> {
        match &self.place {
            Place::Memory(tensor) => take(&flat(tensor).expect("floats in memory can be copied")),
            Place::SafeTensors(file, range) => {
                let mut numbers = Vec::new();
                for start in range.clone().step_by(PIECE as usize) {
                    let bytes = file.read(start..range.end.min(start + PIECE))?;
                    self.number.widen(&bytes, &mut numbers);
                    take(&numbers);
                }
            }
            Place::PyTorch(file, name) => take(&file.read(name)?),
        }
        Ok(())
    }
}

/// Reads what a safetensors file says about its tensors, and where they begin.
pub(super) fn read_header(
    file: &OpenFile,
    unreadable: impl Fn(SafeTensorError) -> WeightsError,
) -> Result<(u64, Metadata), WeightsError> {
    let Some(behind) = file.size().checked_sub(8) else {
        return Err(unreadable(SafeTensorError::HeaderTooSmall));
    };
    let length = file.read(0..8)?.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte));
    if length > LONGEST_HEADER {
        return Err(unreadable(SafeTensorError::HeaderTooLarge));
    }
    let Some(tensors) = behind.checked_sub(length) else {
        return Err(unreadable(SafeTensorError::InvalidHeaderLength));
    };
    let header: Metadata = serde_json::from_slice(&file.read(8..8 + length)?)
        .map_err(|error| unreadable(SafeTensorError::InvalidHeaderDeserialization(error)))?;
    if header.data_len() as u64 != tensors {
        return Err(unreadable(SafeTensorError::MetadataIncompleteBuffer));
    }
    Ok((8 + length, header))
}

/// A state dictionary, whose tensors are read by name.
pub(super) struct PyTorchFile {
    pub(super) tensors: pickle::PthTensors,
    pub(super) model: String,
    pub(super) file: String,
}

impl PyTorchFile {
    fn read(&self, name: &str) -> Result<Vec<f32>, WeightsError> {
        let tensor = self.tensors.get(name).and_then(|tensor| match tensor {
            Some(tensor) => flat(&tensor),
            None => candle_core::bail!("tensor `{name}` is gone"),
        });
        tensor.map_err(|source| WeightsError::unreadable(&self.model, &self.file, source))
    }
}

impl fmt::Debug for PyTorchFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PyTorchFile").field("model", &self.model).finish_non_exhaustive()
    }
}

fn flat(tensor: &Tensor) -> candle_core::Result<Vec<f32>> {
    tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()
}
