//! Every layout in which a checkpoint may lie gives the same weights, and what only claims to be one takes no memory, runs
//! nothing and is told with its file.
#![expect(clippy::unwrap_used, reason = "what fails in a test's helper fails the test")]

mod common;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{Cursor, Write as _};
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use jiesu::classifier::SequenceClassifier;
use jiesu::encoder::{Weights, WeightsError};
use jiesu::registry::{ModelFiles, RegistryError};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

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

/// A safetensors file of this header and so many bytes of tensors.
fn safetensors(header: &str, bytes: usize) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; bytes]].concat()
}

fn told_of_safetensors(content: &[u8]) -> String {
    load(&folder_with("model.safetensors", content)).unwrap_err().to_string()
}

#[test]
fn refuses_a_header_that_claims_more_than_the_file() {
    for length in [9, 1 << 20, 8 << 20, (8 << 20) + 1, 1 << 60, u64::MAX] {
        let error = told_of_safetensors(&[&length.to_le_bytes()[..], b"{}"].concat());
        assert!(
            error.contains("`model.safetensors`") && error.contains("hint: is the file whole?"),
            "{error}"
        );
    }
}

#[test]
fn refuses_tensors_that_overlap_or_lie_elsewhere_or_are_of_another_size() {
    let tensor = |dtype: &str, shape: &str, offsets: &str| {
        format!(r#"{{"dtype": "{dtype}", "shape": {shape}, "data_offsets": {offsets}}}"#)
    };
    let first = tensor("F32", "[1]", "[0, 4]");
    for second in [
        tensor("F32", "[1]", "[0, 4]"),
        tensor("F32", "[1]", "[2, 6]"),
        tensor("F32", "[1]", "[8, 12]"),
        tensor("F32", "[1]", "[4, 0]"),
        tensor("F32", "[1]", "[4, 1152921504606846976]"),
        tensor("F32", "[2]", "[4, 8]"),
        tensor("F64", "[1]", "[4, 8]"),
        tensor("F32", "[4294967296, 4294967296, 4294967296]", "[4, 8]"),
        tensor("F32", "[9223372036854775808, 2, 0]", "[4, 4]"),
        tensor("F32", "[-1]", "[4, 8]"),
    ] {
        let error = told_of_safetensors(&safetensors(&format!(r#"{{"a": {first}, "b": {second}}}"#), 8));
        assert!(error.contains("hint: is the file whole?"), "{second}: {error}");
    }
}

#[test]
fn refuses_a_header_that_is_nested_without_end() {
    for header in ["[".repeat(1 << 20), format!(r#"{{"a": {}"#, r#"{"a": "#.repeat(1 << 17))] {
        let error = told_of_safetensors(&safetensors(&header, 0));
        assert!(error.contains("hint: is the file whole?"), "{error}");
    }
}

/// A `pytorch_model.bin` with this pickle.
fn pickled(pickle: &[u8]) -> TempDir {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("archive/data.pkl", SimpleFileOptions::default()).unwrap();
    zip.write_all(pickle).unwrap();
    folder_with("pytorch_model.bin", &zip.finish().unwrap().into_inner())
}

/// A text as a pickle writes it.
fn unicode(text: &str) -> Vec<u8> {
    [&b"X"[..], &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat()
}

#[test]
fn a_pickle_runs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("run");
    let command = unicode(&format!("touch {}", mark.display()));
    // os.system("touch …"), as `torch.load` of old would have run it.
    let call = [&b"\x80\x02cos\nsystem\n"[..], &command, b"\x85R."].concat();
    // The same as the value of a weight.
    let weight = [&b"\x80\x02}"[..], &unicode("a"), b"cposix\nsystem\n", &command, b"\x85Rs."].concat();
    for (pickle, name) in [(call, "`os.system`"), (weight, "`posix.system`")] {
        let error = load(&pickled(&pickle)).unwrap_err();
        assert!(matches!(error, WeightsError::Pickle { .. }), "{error}");
        let error = error.to_string();
        assert!(
            error.contains(name) && error.contains("hint: it was not read. Take the model as safetensors"),
            "{error}"
        );
        assert!(!mark.exists(), "it was run");
    }
}

#[test]
fn a_pickle_cannot_exhaust_its_reader() {
    let doubled = [b"Nq\0".to_vec(), b"h\0h\0\x86q\0".repeat(60), b".".to_vec()].concat();
    let deep = [b"N".to_vec(), b"\x85".repeat(1 << 20), b".".to_vec()].concat();
    for (pickle, problem) in [
        (doubled, "objects"),
        (deep, "nests objects more than 64 deep"),
        (vec![b'N'; (8 << 20) + 1], "is longer than 8 MiB"),
        (b"X\xff\xff\xff\xffabc".to_vec(), "breaks off"),
        ([&b"\x8a\xff"[..], &[1; 255], b"."].concat(), "has an integer of 255 bytes"),
        (b"q\0.".to_vec(), "takes an object where there is none"),
        (b"h\0.".to_vec(), "recalls what it has not remembered"),
        (b"}t.".to_vec(), "ends a list that was not begun"),
        (b"i.".to_vec(), "has the opcode 0x69"),
        (b"N".to_vec(), "breaks off"),
    ] {
        let error = load(&pickled(&pickle)).unwrap_err();
        assert!(
            matches!(&error, WeightsError::Pickle { problem: told, .. } if told.contains(problem)),
            "{error}"
        );
    }
}

#[test]
fn a_pickle_that_describes_a_tensor_wrongly_is_refused() {
    let tensor = |arguments: &[u8]| {
        [&b"}"[..], &unicode("a"), b"ctorch._utils\n_rebuild_tensor_v2\n", arguments, b"Rs."].concat()
    };
    let sized = |rows: i32, columns: i32| {
        let storage = [
            &b"(("[..],
            &unicode("storage"),
            b"ctorch\nFloatStorage\n",
            &unicode("0"),
            &unicode("cpu"),
            b"K\x01tQ",
        ];
        let size = [&b"J"[..], &rows.to_le_bytes(), b"J", &columns.to_le_bytes(), b"\x86"].concat();
        let stride = [&b"J"[..], &columns.to_le_bytes(), b"K\x01\x86"].concat();
        [&storage.concat()[..], b"K\0", &size, &stride, b"\x89Nt"].concat()
    };
    for (arguments, problem) in [
        (b")".to_vec(), "its tensors are described in part"),
        (sized(1 << 30, 1 << 30), "tensor `a` would be larger than the file"),
        (sized(i32::MAX, 2), "tensor `a` would be larger than the file"),
    ] {
        let error = load(&pickled(&tensor(&arguments))).unwrap_err().to_string();
        assert!(error.contains(problem) && error.contains("hint:"), "{error}");
    }
}

/// A tiny model in a folder.
fn model() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    common::write_bundle(folder.path(), &common::tiny_config());
    folder
}

fn told_of_model(folder: &TempDir) -> String {
    let files = ModelFiles::folder(folder.path());
    let loaded = files.map_err(Into::into).and_then(|files| SequenceClassifier::load(&files));
    loaded.unwrap_err().to_string()
}

#[test]
fn a_configuration_that_claims_more_than_the_weights_takes_no_memory() {
    for (field, value) in [
        ("num_hidden_layers", 1_000_000_000),
        ("num_hidden_layers", u64::MAX),
        ("hidden_size", 1 << 62),
        ("vocab_size", u64::MAX),
        ("intermediate_size", u64::MAX),
        ("max_position_embeddings", u64::MAX),
        ("type_vocab_size", u64::MAX),
        ("num_attention_heads", u64::MAX),
    ] {
        let folder = model();
        let path = folder.path().join("config.json");
        let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        config[field] = json!(value);
        fs::write(&path, config.to_string()).unwrap();
        let error = told_of_model(&folder);
        assert!(error.contains("weight `") || error.contains(field), "{field}: {error}");
    }
}

#[test]
fn files_that_no_model_has_as_large_are_not_read() {
    for file in ["config.json", "calibration.json", "tokenizer.json"] {
        let folder = model();
        // It takes no room on the disk.
        File::create(folder.path().join(file)).unwrap().set_len(65 << 20).unwrap();
        let error = told_of_model(&folder);
        assert!(error.contains(file) && error.contains("MiB, as no file of that name is\nhint:"), "{error}");
    }
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_not_waited_for() {
    let folder = model();
    let config = folder.path().join("config.json");
    fs::remove_file(&config).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&config).status().unwrap().success());
    assert!(told_of_model(&folder).contains("it is not a file"));
}

/// Writes what `sha256sum` writes of some files.
fn write_sums(folder: &TempDir, files: &[&str]) {
    let line = |file: &&str| {
        let content = fs::read(folder.path().join(file)).unwrap();
        format!("{}  {file}\n", hex::encode(Sha256::digest(content)))
    };
    fs::write(folder.path().join("SHA256SUMS"), files.iter().map(line).collect::<String>()).unwrap();
}

#[test]
fn a_model_with_digests_is_taken_only_as_it_was_published() {
    let files = ["config.json", "vocab.txt", "model.safetensors"];
    let folder = model();
    let before = ModelFiles::folder(folder.path()).unwrap().revision().to_owned();
    write_sums(&folder, &files);
    let now = ModelFiles::folder(folder.path()).unwrap();
    assert_eq!(now.revision(), before, "digests are no part of the model");
    SequenceClassifier::load(&now).unwrap();

    for file in files {
        let folder = model();
        write_sums(&folder, &files);
        let path = folder.path().join(file);
        let mut content = fs::read(&path).unwrap();
        let told = hex::encode(Sha256::digest(&content));
        *content.last_mut().unwrap() ^= 1;
        fs::write(&path, &content).unwrap();
        let error = told_of_model(&folder);
        let found = hex::encode(Sha256::digest(&content));
        assert!(error.starts_with(&format!("`{file}` of ")), "{error}");
        assert!(error.contains(&told) && error.contains(&found) && error.contains("\nhint: "), "{error}");
    }
}

#[test]
fn a_file_that_the_digests_do_not_tell_of_is_refused() {
    let folder = model();
    write_sums(&folder, &["config.json", "vocab.txt", "model.safetensors"]);
    fs::write(folder.path().join("README.md"), "a card").unwrap();
    ModelFiles::folder(folder.path()).unwrap();
    fs::write(folder.path().join("calibration.json"), r#"{"heads": {}}"#).unwrap();
    let error = told_of_model(&folder);
    assert!(error.contains("does not tell the digest of `calibration.json`"), "{error}");
    fs::write(folder.path().join("SHA256SUMS"), "config.json\n").unwrap();
    assert!(told_of_model(&folder).contains("does not tell digests: line 1"));
}
