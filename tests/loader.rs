//! Every layout in which a checkpoint may lie gives the same weights.
#![expect(clippy::unwrap_used, reason = "what fails in a test's helper fails the test")]

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use jiesu::encoder::{Weights, WeightsError};
use jiesu::registry::{ModelFiles, RegistryError};
use tempfile::TempDir;

/// A state dictionary as `torch.save` writes it, made by:
///
/// ```python
/// import torch
/// from collections import OrderedDict
/// def tensor(name, *shape):
///     n = torch.Size(shape).numel()
///     return torch.tensor([(i * 7 + len(name)) % 64 / 8 - 4 for i in range(n)]).reshape(shape)
/// shapes = {"embeddings.word_embeddings.weight": (5, 4), "embeddings.LayerNorm.weight": (4,),
///           "embeddings.LayerNorm.bias": (4,), "pooler.dense.weight": (4, 4), "classifier.weight": (3, 4)}
/// state = OrderedDict()
/// for name, shape in shapes.items():
///     old = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
///     state[old if name.startswith("classifier") else "bert." + old] = tensor(name, *shape)
/// state["bert.embeddings.position_ids"] = torch.arange(6).reshape(1, 6)
/// state["cls.predictions.decoder.weight"] = state["bert.embeddings.word_embeddings.weight"]
/// state["bert.pooler.dense.weight"] = state["bert.pooler.dense.weight"].t().contiguous().t()
/// state._metadata = OrderedDict({"": {"version": 1}})
/// torch.save(state, "tests/fixtures/tiny_pytorch_model.bin")
/// ```
const PYTORCH_FIXTURE: &[u8] = include_bytes!("fixtures/tiny_pytorch_model.bin");

const SHAPES: [(&str, &[usize]); 5] = [
    ("embeddings.word_embeddings.weight", &[5, 4]),
    ("embeddings.LayerNorm.weight", &[4]),
    ("embeddings.LayerNorm.bias", &[4]),
    ("pooler.dense.weight", &[4, 4]),
    ("classifier.weight", &[3, 4]),
];

/// The weights of a tiny model; eighths, so that half precision holds them exactly.
fn tiny() -> HashMap<String, Tensor> {
    SHAPES
        .iter()
        .map(|(name, shape)| {
            let values: Vec<f32> = (0..shape.iter().product::<usize>())
                .map(|i| ((i * 7 + name.len()) % 64) as f32 / 8.0 - 4.0)
                .collect();
            ((*name).to_owned(), Tensor::from_vec(values, *shape, &Device::Cpu).unwrap())
        })
        .collect()
}

fn renamed(rename: impl Fn(&str) -> String) -> HashMap<String, Tensor> {
    tiny().into_iter().map(|(name, tensor)| (rename(&name), tensor)).collect()
}

fn prefixed(name: &str) -> String {
    if name.starts_with("classifier") { name.to_owned() } else { format!("bert.{name}") }
}

fn save(tensors: &HashMap<String, Tensor>, path: &Path) {
    candle_core::safetensors::save(tensors, path).unwrap();
}

/// A folder with `tensors` as `model.safetensors`.
fn folder_of(tensors: &HashMap<String, Tensor>) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    save(tensors, &folder.path().join("model.safetensors"));
    folder
}

/// A folder with one file of these bytes.
fn folder_with(file: &str, content: &[u8]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(file), content).unwrap();
    folder
}

fn load(folder: &TempDir) -> Result<Weights, WeightsError> {
    Weights::load(&ModelFiles::folder(folder.path()).unwrap())
}

fn assert_is_tiny(weights: &Weights) {
    let (weights, expected) = (weights.to_map().unwrap(), tiny());
    assert_eq!(weights.len(), expected.len(), "{:?}", weights.keys());
    for (name, tensor) in expected {
        let got = &weights[&name];
        assert_eq!((got.dims(), got.dtype()), (tensor.dims(), DType::F32), "{name}");
        let values = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(values(got), values(&tensor), "{name}");
    }
}

#[test]
fn reads_safetensors_with_and_without_prefix() {
    assert_is_tiny(&load(&folder_of(&tiny())).unwrap());
    assert_is_tiny(&load(&folder_of(&renamed(prefixed))).unwrap());
}

#[test]
fn reads_old_names_of_layer_norms() {
    let old = |name: &str| {
        prefixed(name)
            .replace("LayerNorm.weight", "LayerNorm.gamma")
            .replace("LayerNorm.bias", "LayerNorm.beta")
    };
    assert_is_tiny(&load(&folder_of(&renamed(old))).unwrap());
}

#[test]
fn widens_half_precision() {
    for dtype in [DType::F16, DType::BF16, DType::F64] {
        let narrow =
            tiny().into_iter().map(|(name, tensor)| (name, tensor.to_dtype(dtype).unwrap())).collect();
        assert_is_tiny(&load(&folder_of(&narrow)).unwrap());
    }
}

#[test]
fn leaves_out_what_a_classifier_has_no_use_for() {
    let mut tensors = renamed(prefixed);
    let ids = Tensor::arange(0i64, 6, &Device::Cpu).unwrap();
    tensors.insert("bert.embeddings.position_ids".to_owned(), ids);
    tensors.insert("cls.predictions.bias".to_owned(), Tensor::zeros(5, DType::F32, &Device::Cpu).unwrap());
    assert_is_tiny(&load(&folder_of(&tensors)).unwrap());
}

#[test]
fn reads_weights_that_lie_in_the_binary() {
    let folder = folder_of(&tiny());
    let bytes = std::fs::read(folder.path().join("model.safetensors")).unwrap();
    let files = ModelFiles::embedded("default", &[("model.safetensors", bytes.leak())]);
    assert_eq!(Weights::load(&files).unwrap().to_map().unwrap().len(), SHAPES.len());
}

#[test]
fn reads_a_pytorch_file() {
    assert_is_tiny(&load(&folder_with("pytorch_model.bin", PYTORCH_FIXTURE)).unwrap());
}

/// Two shards and their index; returns the folder and the index's text.
fn sharded() -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let (first, second): (HashMap<_, _>, HashMap<_, _>) =
        renamed(prefixed).into_iter().partition(|(name, _)| name.contains("embeddings"));
    let mut entries = Vec::new();
    for (file, tensors) in
        [("model-00001-of-00002.safetensors", first), ("model-00002-of-00002.safetensors", second)]
    {
        save(&tensors, &folder.path().join(file));
        entries.extend(tensors.keys().map(|name| format!("\"{name}\": \"{file}\"")));
    }
    let index = format!("{{\"metadata\": {{}}, \"weight_map\": {{{}}}}}", entries.join(", "));
    std::fs::write(folder.path().join("model.safetensors.index.json"), &index).unwrap();
    (folder, index)
}

#[test]
fn reads_shards() {
    assert_is_tiny(&load(&sharded().0).unwrap());
}

#[test]
fn names_a_missing_shard() {
    let (folder, _) = sharded();
    std::fs::remove_file(folder.path().join("model-00002-of-00002.safetensors")).unwrap();
    let error = load(&folder).unwrap_err().to_string();
    assert!(error.contains("has no `model-00002-of-00002.safetensors`"), "{error}");
}

#[test]
fn refuses_an_index_that_leads_out_of_the_folder() {
    let (folder, index) = sharded();
    let index = index.replace("model-00002", "../model-00002");
    std::fs::write(folder.path().join("model.safetensors.index.json"), index).unwrap();
    let error = load(&folder).unwrap_err();
    assert!(matches!(error, WeightsError::Files(RegistryError::InvalidFileName { .. })), "{error}");
    assert!(error.to_string().contains("`../model-00002-of-00002.safetensors`"), "{error}");
}

#[test]
fn refuses_an_index_that_is_none() {
    let folder = folder_with("model.safetensors.index.json", b"[]");
    let error = load(&folder).unwrap_err().to_string();
    assert!(error.contains("model.safetensors.index.json"), "{error}");
}

#[test]
fn refuses_a_weight_that_stands_twice() {
    let mut tensors = tiny();
    tensors.extend(renamed(prefixed));
    let error = load(&folder_of(&tensors)).unwrap_err();
    assert!(matches!(error, WeightsError::Duplicate { .. }), "{error}");
}

#[test]
fn refuses_quantised_weights() {
    let mut tensors = tiny();
    let quantised = tensors["classifier.weight"].to_dtype(DType::U8).unwrap();
    tensors.insert("classifier.weight".to_owned(), quantised);
    let error = load(&folder_of(&tensors)).unwrap_err().to_string();
    assert!(error.contains("`classifier.weight` is stored as U8"), "{error}");
}

#[test]
fn refuses_numbers_that_are_not_finite_when_they_are_read() {
    let mut tensors = tiny();
    let shape = tensors["classifier.weight"].dims().to_vec();
    let damaged = Tensor::full(f32::NAN, shape.as_slice(), &Device::Cpu).unwrap();
    tensors.insert("classifier.weight".to_owned(), damaged);
    let weights = load(&folder_of(&tensors)).unwrap();
    let error = weights.values("classifier.weight", &shape).unwrap_err().to_string();
    assert!(error.contains("`classifier.weight` has numbers that are not finite"), "{error}");
}

#[test]
fn refuses_8_bit_integers_without_scales() {
    let numbers = [1, 2, 3, 4];
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::I8, vec![2, 2], &numbers).unwrap();
    let content = safetensors::serialize([("encoder.x.weight", view)], None).unwrap();
    let error = load(&folder_with("model.safetensors", &content)).unwrap_err().to_string();
    assert!(error.contains("`encoder.x.weight` is stored as I8"), "{error}");
}

#[test]
fn reads_a_weight_of_many_pieces_whole() {
    let values: Vec<f32> = (0..600_001).map(|i| (i % 2048) as f32).collect();
    let tensor = Tensor::from_vec(values.clone(), 600_001, &Device::Cpu).unwrap();
    for dtype in [DType::F32, DType::F16, DType::F64] {
        let narrow = HashMap::from([("x".to_owned(), tensor.to_dtype(dtype).unwrap())]);
        let folder = folder_of(&narrow);
        assert_eq!(load(&folder).unwrap().values("x", &[600_001]).unwrap(), values);
    }
}

#[test]
fn refuses_a_truncated_file() {
    let folder = folder_of(&tiny());
    let path = folder.path().join("model.safetensors");
    let whole = std::fs::read(&path).unwrap();
    for length in [0, 4, 100, whole.len() - 1] {
        std::fs::write(&path, &whole[..length]).unwrap();
        let error = load(&folder).unwrap_err().to_string();
        assert!(error.contains("`model.safetensors`") && error.contains("hint:"), "{error}");
    }
    for length in [0, 4, 1000, PYTORCH_FIXTURE.len() - 1] {
        let error =
            load(&folder_with("pytorch_model.bin", &PYTORCH_FIXTURE[..length])).unwrap_err().to_string();
        assert!(error.contains("`pytorch_model.bin`") && error.contains("hint:"), "{error}");
    }
}

#[test]
fn says_how_to_convert_an_old_pytorch_file() {
    // How every file of PyTorch's old format starts: the pickled number 0x1950a86a20f9469cfc6c.
    let start = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.";
    let error = load(&folder_with("pytorch_model.bin", start)).unwrap_err();
    assert!(matches!(error, WeightsError::LegacyPyTorch { .. }), "{error}");
    assert!(error.to_string().contains("python -c \"import torch; torch.save("), "{error}");
}

#[test]
fn recognises_a_pointer_of_git_lfs() {
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n";
    for file in ["model.safetensors", "pytorch_model.bin"] {
        let error = load(&folder_with(file, pointer)).unwrap_err().to_string();
        assert!(error.contains("git lfs pull"), "{error}");
    }
}

#[test]
fn says_that_there_are_no_weights() {
    let error = load(&folder_with("config.json", b"{}")).unwrap_err();
    assert!(matches!(error, WeightsError::Files(RegistryError::MissingFile { .. })), "{error}");
}
