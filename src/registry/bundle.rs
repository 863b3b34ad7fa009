//! Which files make up a model, wherever they lie.

use std::collections::{BTreeSet, HashMap};

use serde::Deserialize;

#[cfg(any(feature = "hub", test))]
use super::SUMS_FILE;

/// The model's shape and labels.
pub const CONFIG_FILE: &str = "config.json";
/// The tokenizer in the format of the `tokenizers` library.
pub const TOKENIZER_FILE: &str = "tokenizer.json";
/// The vocabulary of an older bundle that has no `tokenizer.json`.
pub const VOCABULARY_FILE: &str = "vocab.txt";
/// How the vocabulary of an older bundle is used.
pub const TOKENIZER_CONFIG_FILE: &str = "tokenizer_config.json";
/// Temperatures and certified thresholds.
pub const CALIBRATION_FILE: &str = "calibration.json";
/// The linear model over n-grams that helps the heads.
pub const NGRAMS_FILE: &str = "ngrams.safetensors";
/// Weights in one file.
pub const SAFETENSORS_FILE: &str = "model.safetensors";
/// Says which file of several has which weights.
pub const SHARD_INDEX_FILE: &str = "model.safetensors.index.json";
/// Weights as older versions of PyTorch's ecosystem publish them.
pub const PYTORCH_FILE: &str = "pytorch_model.bin";

/// What a model must have, for hints.
pub(super) const NEEDED: &str = "a model has config.json, tokenizer.json (or vocab.txt), and model.safetensors \
     (or model.safetensors.index.json, or pytorch_model.bin)";

/// How a bundle stores its weights, the first of these ways that it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightFiles {
    /// `model.safetensors`.
    SafeTensors,
    /// `model.safetensors.index.json` and the shards that it names.
    Sharded,
    /// `pytorch_model.bin`.
    PyTorch,
}

impl WeightFiles {
    /// Looks for weights among the files of which `contains` knows.
    pub(super) fn find(contains: impl Fn(&str) -> bool) -> Option<Self> {
        [Self::SafeTensors, Self::Sharded, Self::PyTorch]
            .into_iter()
            .find(|weights| contains(weights.entry_file()))
    }

    /// The file that is there in any case: the weights, or the index of their shards.
    pub fn entry_file(self) -> &'static str {
        match self {
            Self::SafeTensors => SAFETENSORS_FILE,
            Self::Sharded => SHARD_INDEX_FILE,
            Self::PyTorch => PYTORCH_FILE,
        }
    }
}

/// The files, other than weights, that a model is made of; the missing one if it is none.
#[cfg(any(feature = "hub", test))]
pub(super) fn description(contains: impl Fn(&str) -> bool) -> Result<Vec<&'static str>, &'static str> {
    let mut files = vec![CONFIG_FILE];
    if !contains(CONFIG_FILE) {
        return Err("`config.json`");
    }
    if contains(TOKENIZER_FILE) {
        files.push(TOKENIZER_FILE);
    } else if contains(VOCABULARY_FILE) {
        files.push(VOCABULARY_FILE);
        files.extend(Some(TOKENIZER_CONFIG_FILE).filter(|file| contains(file)));
    } else {
        return Err("`tokenizer.json` or `vocab.txt`");
    }
    files.extend([CALIBRATION_FILE, NGRAMS_FILE, SUMS_FILE].into_iter().filter(|file| contains(file)));
    Ok(files)
}

/// The names of the shards in the text of a `model.safetensors.index.json`, each once.
pub(super) fn shards(index: &str) -> Result<Vec<String>, String> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: HashMap<String, String>,
    }
    let index: Index = serde_json::from_str(index).map_err(|error| error.to_string())?;
    if index.weight_map.is_empty() {
        return Err("`weight_map` is empty".to_owned());
    }
    Ok(index.weight_map.into_values().collect::<BTreeSet<_>>().into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefers_safetensors_and_a_whole_tokenizer() {
        let all = |_: &str| true;
        assert_eq!(WeightFiles::find(all), Some(WeightFiles::SafeTensors));
        assert_eq!(
            description(all),
            Ok(vec!["config.json", "tokenizer.json", "calibration.json", "ngrams.safetensors", "SHA256SUMS"])
        );
        let old = |file: &str| ["config.json", "vocab.txt", "pytorch_model.bin"].contains(&file);
        assert_eq!(WeightFiles::find(old), Some(WeightFiles::PyTorch));
        assert_eq!(description(old), Ok(vec!["config.json", "vocab.txt"]));
    }

    #[test]
    fn says_what_a_model_lacks() {
        assert_eq!(description(|file| file == "tokenizer.json"), Err("`config.json`"));
        assert_eq!(description(|file| file == "config.json"), Err("`tokenizer.json` or `vocab.txt`"));
        assert_eq!(WeightFiles::find(|file| file == "tf_model.h5"), None);
    }

    #[test]
    fn names_each_shard_once() {
        assert_eq!(shards(r#"{"weight_map": {"x": "b", "y": "a", "z": "b"}}"#).unwrap(), ["a", "b"]);
        assert!(shards(r#"{"weight_map": {}}"#).is_err());
        assert!(shards("{}").unwrap_err().contains("weight_map"));
    }
}
