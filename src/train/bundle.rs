//! The folder that a run leaves behind: a model bundle in Hugging Face's layout.

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::path::Path;

use candle_core::DType;
use serde_json::json;

use crate::classifier::ngrams::NgramModel;
use crate::classifier::{Calibration, ModelConfig};
use crate::registry::{
    CALIBRATION_FILE, CONFIG_FILE, NGRAMS_FILE, SAFETENSORS_FILE, TOKENIZER_CONFIG_FILE, TOKENIZER_FILE,
    VOCABULARY_FILE,
};

use super::TrainError;
use super::bert::Stored;
use super::settings::Start;
use crate::whole_file;

/// Files of a base model that say how texts become tokens.
const TOKENIZER_FILES: [&str; 4] =
    [TOKENIZER_FILE, VOCABULARY_FILE, TOKENIZER_CONFIG_FILE, "special_tokens_map.json"];
/// Settings, data and figures of the run.
const TRAINING_FILE: &str = "training.json";

/// Refuses a folder that holds something, unless its run is to be gone on with. Files of a tokenizer do not count: a
/// run that could not start leaves them behind.
pub(super) fn open_output(output: &Path, resume: bool) -> Result<(), TrainError> {
    let io = |source| TrainError::Io { path: output.to_owned(), source };
    fs::create_dir_all(output).map_err(io)?;
    for entry in fs::read_dir(output).map_err(io)? {
        let name = entry.map_err(io)?.file_name();
        if !resume && !TOKENIZER_FILES.iter().any(|file| name == *file) {
            return Err(TrainError::OutputNotEmpty { path: output.to_owned() });
        }
    }
    Ok(())
}

/// Puts the tokenizer's files into the bundle, in place of those that a run left there which could not start.
pub(super) fn copy_tokenizer(start: &Start, output: &Path) -> Result<(), TrainError> {
    for path in TOKENIZER_FILES.iter().map(|file| output.join(file)).filter(|path| path.is_file()) {
        fs::remove_file(&path).map_err(|source| TrainError::Io { path: path.clone(), source })?;
    }
    match start {
        Start::Base(base) => {
            for file in TOKENIZER_FILES.iter().filter(|file| base.join(file).is_file()) {
                copy(&base.join(file), &output.join(file))?;
            }
            Ok(())
        }
        Start::Fresh { vocabulary, .. } => {
            copy(vocabulary, &output.join(VOCABULARY_FILE))?;
            let config = json!({
                "tokenizer_class": "BertTokenizer",
                "do_lower_case": true,
                "tokenize_chinese_chars": true,
                "strip_accents": false,
                "unk_token": "[UNK]",
                "sep_token": "[SEP]",
                "pad_token": "[PAD]",
                "cls_token": "[CLS]",
                "mask_token": "[MASK]",
            });
            write(&output.join(TOKENIZER_CONFIG_FILE), &format!("{config:#}\n"))
        }
    }
}

/// Writes everything but the tokenizer's files; the weights come last, since a folder with weights is a whole bundle.
pub(super) fn write_bundle(
    output: &Path,
    config: &ModelConfig,
    weights: Vec<Stored>,
    half: bool,
    ngrams: Option<&NgramModel>,
    (calibration, training): (&Calibration, &serde_json::Value),
) -> Result<(), TrainError> {
    write(&output.join(CONFIG_FILE), &config.to_json())?;
    write(&output.join(TRAINING_FILE), &format!("{training:#}\n"))?;
    let calibration = serde_json::to_string_pretty(calibration).map_err(TrainError::Calibration)?;
    write(&output.join(CALIBRATION_FILE), &format!("{calibration}\n"))?;
    if let Some(ngrams) = ngrams {
        let path = output.join(NGRAMS_FILE);
        let content = ngrams.to_bytes(&config.heads).map_err(TrainError::Serialize)?;
        fs::write(&path, content).map_err(|source| TrainError::Io { path: path.clone(), source })?;
    }
    let dtype = if half { DType::F16 } else { DType::F32 };
    let weights: HashMap<String, _> = weights
        .into_iter()
        .map(|(name, tensor)| Ok((name, tensor.to_dtype(dtype)?.contiguous()?)))
        .collect::<candle_core::Result<_>>()?;
    // transformers refuses files that do not say which framework laid out the tensors.
    let format = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let content = safetensors::serialize(weights, Some(format)).map_err(TrainError::Serialize)?;
    let path = output.join(SAFETENSORS_FILE);
    whole_file::write(&path, |file| file.write_all(&content))
        .map_err(|source| TrainError::Io { path, source })
}

fn copy(from: &Path, to: &Path) -> Result<(), TrainError> {
    // Only the content: a base model may well be read-only.
    let content = fs::read(from).map_err(|source| TrainError::Io { path: from.to_owned(), source })?;
    fs::write(to, content).map_err(|source| TrainError::Io { path: to.to_owned(), source })
}

fn write(path: &Path, text: &str) -> Result<(), TrainError> {
    fs::write(path, text).map_err(|source| TrainError::Io { path: path.to_owned(), source })
}
