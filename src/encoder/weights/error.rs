//! Why weights cannot be loaded or used.

use safetensors::{Dtype, SafeTensorError};

use crate::registry::RegistryError;

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
         folder: python -c \"import torch; torch.save(torch.load('{file}', map_location='cpu', weights_only=True), '{file}')\""
    )]
    LegacyPyTorch {
        /// The model's name.
        model: String,
        /// The file.
        file: String,
    },
    /// A pickle that is more than a list of tensors.
    #[error(
        "the pickle in `{file}` of model `{model}` {problem}\nhint: it was not read. Take the model as safetensors; if \
         there is none and you trust where it comes from, convert it in its folder: python -c \"import torch; from \
         safetensors.torch import save_file; save_file({{n: t.clone().contiguous() for n, t in torch.load('{file}', \
         weights_only=True).items()}}, 'model.safetensors')\""
    )]
    Pickle {
        /// The model's name.
        model: String,
        /// The file.
        file: String,
        /// What is wrong with it, as a phrase.
        problem: String,
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
        "weight `{name}` is stored as {dtype:?}; only f64, f32, f16 and bf16 are supported, and 8-bit integers as `jiesu quantize` writes them"
    )]
    Type {
        /// The weight.
        name: String,
        /// How it is stored.
        dtype: Dtype,
    },
    /// Rounded weights where floats are asked for.
    #[error(
        "weight `{name}` is rounded to 8-bit integers; floats cannot be had from it\nhint: to train, or to compute in floats (`--quantize none`), take the model that it was rounded from"
    )]
    Rounded {
        /// The weight.
        name: String,
    },
    /// Rounded weights that the arithmetic of this crate has no room for.
    #[error(
        "weight `{name}` has 8-bit integers beyond ±63\nhint: only bundles that `jiesu quantize` wrote can be used; take the model in floats, and round it with that"
    )]
    RoundedTooLarge {
        /// The weight.
        name: String,
    },
    /// Weights that nothing can be computed with.
    #[error(
        "weight `{name}` has numbers that are not finite, or too large\nhint: the weights are damaged; copy or download them again"
    )]
    NotFinite {
        /// The weight.
        name: String,
    },
    /// Weights that cannot be put into a file's form.
    #[error("the weights cannot be written: {0}")]
    Unwritable(SafeTensorError),
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

impl WeightsError {
    pub(super) fn unreadable(model: &str, file: &str, source: candle_core::Error) -> Self {
        Self::Unreadable { model: model.to_owned(), file: file.to_owned(), source: Box::new(source) }
    }
}
