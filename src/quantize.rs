//! A model bundle of rounded weights out of one of floats.
//!
//! What is rounded, and how, is what an encoder that computes in 8-bit integers rounds anyway when it is loaded: the
//! answers are the same to the last bit. The file is less than half as large, and there is less to read.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::classifier::{ModelConfig, ModelConfigError};
use crate::encoder::{Weights, WeightsError};
use crate::registry::{
    CALIBRATION_FILE, CONFIG_FILE, ModelFiles, NGRAMS_FILE, RegistryError, SAFETENSORS_FILE,
    TOKENIZER_CONFIG_FILE, TOKENIZER_FILE, VOCABULARY_FILE, WeightFiles,
};
use crate::whole_file;

/// What is taken over as it is, where the bundle has it.
const COPIED_FILES: [&str; 8] = [
    TOKENIZER_FILE,
    VOCABULARY_FILE,
    TOKENIZER_CONFIG_FILE,
    "special_tokens_map.json",
    CALIBRATION_FILE,
    NGRAMS_FILE,
    "training.json",
    "README.md",
];

/// Why a bundle cannot be rounded.
#[derive(Debug, thiserror::Error)]
pub enum QuantizeError {
    /// A file of the bundle is missing or cannot be read.
    #[error(transparent)]
    Files(#[from] RegistryError),
    /// The weights cannot be read or rounded.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// `config.json` describes no classifier.
    #[error("model `{model}`: {source}")]
    Config {
        /// The model's name.
        model: String,
        /// What is wrong.
        source: ModelConfigError,
    },
    /// There is nothing left to round.
    #[error("the weights of model `{model}` are rounded to 8-bit integers already\nhint: use it as it is")]
    AlreadyRounded {
        /// The model's name.
        model: String,
    },
    /// Something is in the way.
    #[error("`{}` is not empty\nhint: name a new folder", .path.display())]
    OutputNotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// A file cannot be written.
    #[error("cannot write `{}`: {source}", .path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

/// How large the files of weights are, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WeightSizes {
    /// In the bundle of floats.
    pub before: u64,
    /// In the bundle that was written.
    pub after: u64,
}

/// Rounds the weights of a bundle and writes them and its other files into a folder, which is new or empty. Where that
/// fails, nothing is left in the folder.
///
/// # Errors
/// If the bundle cannot be read or is rounded already, or the folder is not empty or cannot be written.
pub fn quantize(files: &ModelFiles, output: &Path) -> Result<WeightSizes, QuantizeError> {
    open_output(output)?;
    let model = files.name();
    let text = files.read_to_string(CONFIG_FILE)?;
    let config = config(&text).map_err(|source| QuantizeError::Config { model: model.to_owned(), source })?;
    let weights = Weights::load(files)?;
    if weights.are_rounded() {
        return Err(QuantizeError::AlreadyRounded { model: model.to_owned() });
    }
    let weights = weights.to_rounded_file()?;
    let sizes = WeightSizes { before: weights_size(files)?, after: weights.len() as u64 };
    let mut contents = vec![(CONFIG_FILE, config.into_bytes())];
    for file in COPIED_FILES.into_iter().filter(|file| files.contains(file)) {
        contents.push((file, files.read(file)?.into_owned()));
    }
    // Last, since a folder with weights is a whole bundle.
    contents.push((SAFETENSORS_FILE, weights));
    write(output, &contents)?;
    Ok(sizes)
}

/// The text of a `config.json` that says how the weights are stored, so that others do not take integers for weights.
fn config(text: &str) -> Result<String, ModelConfigError> {
    ModelConfig::from_json(text)?;
    let mut config: Map<String, Value> = serde_json::from_str(text)?;
    let quantization = json!({ "quant_method": "jiesu-int8", "bits": 7, "symmetric": true });
    config.insert("quantization_config".to_owned(), quantization);
    Ok(format!("{:#}\n", Value::Object(config)))
}

fn weights_size(files: &ModelFiles) -> Result<u64, RegistryError> {
    let weights = match files.weight_files()? {
        WeightFiles::Sharded => files.shards()?,
        single @ (WeightFiles::SafeTensors | WeightFiles::PyTorch) => vec![single.entry_file().to_owned()],
    };
    weights.iter().map(|file| Ok(files.open(file)?.size())).sum()
}

fn open_output(output: &Path) -> Result<(), QuantizeError> {
    let io = |source| QuantizeError::Write { path: output.to_owned(), source };
    fs::create_dir_all(output).map_err(io)?;
    if fs::read_dir(output).map_err(io)?.next().is_some() {
        return Err(QuantizeError::OutputNotEmpty { path: output.to_owned() });
    }
    Ok(())
}

/// Writes all files, or none.
fn write(output: &Path, contents: &[(&str, Vec<u8>)]) -> Result<(), QuantizeError> {
    let written = contents.iter().try_for_each(|(file, content)| {
        let path = output.join(file);
        whole_file::write(&path, |file| file.write_all(content))
            .map_err(|source| QuantizeError::Write { path, source })
    });
    if written.is_err() {
        for path in contents.iter().map(|(file, _)| output.join(file)) {
            // What was not written cannot be removed.
            let _ = fs::remove_file(path);
        }
    }
    written
}
