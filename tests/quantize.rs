//! `jiesu quantize`: a bundle of rounded weights is the original in 8-bit integers.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use common::{head, tiny_bert, tiny_config, write_bundle};
use jiesu::classifier::{ModelConfig, Pooling, SequenceClassifier};
use jiesu::encoder::{Precision, Weights, WeightsError};
use jiesu::quantize::{QuantizeError, WeightSizes, quantize};
use jiesu::registry::ModelFiles;
use jiesu::request::RequestText;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use tempfile::TempDir;

const QUERY: &str = "encoder.layer.0.attention.self.query.weight";

fn files(folder: &Path) -> ModelFiles {
    ModelFiles::folder(folder).unwrap()
}

/// A folder with a tiny model in `floats` and its rounded twin in `int8`.
fn twins(config: &ModelConfig) -> (TempDir, WeightSizes) {
    let folder = tempfile::tempdir().unwrap();
    write_bundle(&folder.path().join("floats"), config);
    fs::write(folder.path().join("floats/README.md"), "a card").unwrap();
    let sizes = quantize(&files(&folder.path().join("floats")), &folder.path().join("int8")).unwrap();
    (folder, sizes)
}

fn assert_same_answers(original: &ModelFiles, rounded: &ModelFiles) {
    let texts = ["路灯不亮", "小区物业乱收费。公交不亮,ab", "公"];
    let texts = texts.map(|text| RequestText::new("小区", text).unwrap());
    let original = SequenceClassifier::load_in(original, Precision::Int8).unwrap();
    let rounded = SequenceClassifier::load(rounded).unwrap();
    assert_eq!(rounded.precision(), Precision::Int8);
    let answers = original.classify(&texts).unwrap().into_iter().zip(rounded.classify(&texts).unwrap());
    for (original_answer, rounded_answer) in answers {
        for head in original.heads() {
            assert_eq!(
                original_answer.logits(&head.name),
                rounded_answer.logits(&head.name),
                "{}",
                head.name
            );
        }
    }
}

#[test]
fn the_answers_are_those_of_the_original_in_int8_to_the_last_bit() {
    let pooled = ModelConfig {
        bert: tiny_bert(),
        pooling: Pooling::ClsPooler,
        max_tokens: 32,
        heads: vec![head("category", ["a", "b", "c"])],
    };
    for config in [tiny_config(), pooled] {
        let (folder, _) = twins(&config);
        assert_same_answers(&files(&folder.path().join("floats")), &files(&folder.path().join("int8")));
    }
    let folder = tempfile::tempdir().unwrap();
    let built_in = files(Path::new("models/default"));
    let sizes = quantize(&built_in, folder.path()).unwrap();
    assert!(sizes.after < sizes.before);
    assert_same_answers(&built_in, &files(folder.path()));
}

#[test]
fn layers_are_8_bit_integers_words_16_bit_floats_and_the_rest_is_as_it_was() {
    let (folder, sizes) = twins(&tiny_config());
    let floats = Weights::load(&files(&folder.path().join("floats"))).unwrap();
    let content = fs::read(folder.path().join("int8/model.safetensors")).unwrap();
    assert_eq!(sizes.after, content.len() as u64);
    let rounded = SafeTensors::deserialize(&content).unwrap();
    let dtype = |name: &str| rounded.tensor(name).unwrap().dtype();
    assert_eq!(dtype("embeddings.word_embeddings.weight"), Dtype::F16);
    let query = rounded.tensor(QUERY).unwrap();
    assert_eq!((query.dtype(), query.shape()), (Dtype::I8, [16, 16].as_slice()));
    let scales = rounded.tensor(&format!("{QUERY}_scale")).unwrap();
    assert_eq!((scales.dtype(), scales.shape()), (Dtype::F32, [16].as_slice()));
    let scale = f32::from_le_bytes(scales.data()[..4].try_into().unwrap());
    for (rounded, exact) in query.data()[..16].iter().zip(floats.values(QUERY, &[16, 16]).unwrap()) {
        assert!((f32::from(rounded.cast_signed()) * scale - exact).abs() <= scale * 0.501);
    }
    let norm = "encoder.layer.2.output.LayerNorm.weight";
    let exact = floats.values(norm, &[16]).unwrap().into_iter().flat_map(f32::to_le_bytes);
    assert_eq!(dtype(norm), Dtype::F32);
    assert!(exact.eq(rounded.tensor(norm).unwrap().data().iter().copied()));
    assert_eq!(dtype("classifier.weight"), Dtype::F32);
}

#[test]
fn other_files_are_taken_over_and_the_configuration_says_how_weights_are_stored() {
    let (folder, _) = twins(&tiny_config());
    let read = |file: &str| fs::read_to_string(folder.path().join(file)).unwrap();
    for file in ["vocab.txt", "README.md"] {
        assert_eq!(read(&format!("int8/{file}")), read(&format!("floats/{file}")));
    }
    let mut config: Value = serde_json::from_str(&read("int8/config.json")).unwrap();
    let quantization = config.as_object_mut().unwrap().shift_remove("quantization_config").unwrap();
    assert_eq!(quantization["quant_method"], "jiesu-int8");
    assert_eq!(config, serde_json::from_str::<Value>(&read("floats/config.json")).unwrap());
    let left = fs::read_dir(folder.path().join("int8")).unwrap().count();
    assert_eq!(left, 4, "nothing else is left");
}

#[test]
fn rounded_weights_give_no_floats_and_are_not_rounded_again() {
    let (folder, _) = twins(&tiny_config());
    let rounded = files(&folder.path().join("int8"));
    let error = SequenceClassifier::load_in(&rounded, Precision::F32).unwrap_err().to_string();
    assert!(error.contains("rounded to 8-bit integers") && error.contains("hint:"), "{error}");
    let weights = Weights::load(&rounded).unwrap();
    assert!(weights.are_rounded());
    assert!(matches!(weights.get(QUERY, &[16, 16]), Err(WeightsError::Rounded { .. })));
    let error = quantize(&rounded, &folder.path().join("again")).unwrap_err();
    assert!(matches!(error, QuantizeError::AlreadyRounded { .. }), "{error}");
}

#[test]
fn integers_that_products_have_no_room_for_are_refused() {
    let (folder, _) = twins(&tiny_config());
    let path = folder.path().join("int8/model.safetensors");
    let mut content = fs::read(&path).unwrap();
    let range = SafeTensors::deserialize(&content).unwrap().tensor(QUERY).unwrap().data().as_ptr_range();
    let place = range.start as usize - content.as_ptr() as usize;
    content[place] = 100;
    fs::write(&path, content).unwrap();
    let error = SequenceClassifier::load(&files(&folder.path().join("int8"))).unwrap_err().to_string();
    assert!(error.contains(QUERY) && error.contains("beyond ±63"), "{error}");
}

#[test]
fn weights_that_are_no_numbers_are_refused_and_nothing_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("floats");
    write_bundle(&source, &tiny_config());
    let mut content = fs::read(source.join("model.safetensors")).unwrap();
    let query = format!("bert.{QUERY}");
    let range = SafeTensors::deserialize(&content).unwrap().tensor(&query).unwrap().data().as_ptr_range();
    let place = range.start as usize - content.as_ptr() as usize;
    content[place..place + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(source.join("model.safetensors"), content).unwrap();
    let error = quantize(&files(&source), &folder.path().join("int8")).unwrap_err().to_string();
    assert!(error.contains(QUERY) && error.contains("not finite"), "{error}");
    assert_eq!(fs::read_dir(folder.path().join("int8")).unwrap().count(), 0);
}

fn jiesu(args: &[&str]) -> (i32, String, String) {
    let mut command = Command::cargo_bin("jiesu").unwrap();
    for variable in ["JIESU_MODEL", "JIESU_QUANTIZE", "JIESU_TAXONOMY", "JIESU_DIRECTORY"] {
        command.env_remove(variable);
    }
    let output = command.args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn on_the_command_line_a_bundle_is_written_and_used_and_misuse_says_what_next() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let output = path("int8");
    let (status, stdout, stderr) = jiesu(&["quantize", "--model", "built-in", "--output", &output]);
    assert_eq!(status, 0, "{stderr}");
    assert!(stdout.contains("MB of weights") && stdout.contains("MB before"), "{stdout}");

    let classify = |args: &[&str]| {
        let (status, stdout, stderr) =
            jiesu(&[&["classify", "--json", "路灯坏了一个月没人修"], args].concat());
        assert_eq!(status, 0, "{stderr}");
        serde_json::from_str::<Value>(&stdout).unwrap()
    };
    let (rounded, original) = (classify(&["--model", &output]), classify(&["--quantize", "int8"]));
    assert_eq!(rounded["categories"], original["categories"]);
    assert_eq!(rounded["departments"], original["departments"]);

    let refuse = |args: &[&str]| {
        let (status, _, stderr) = jiesu(args);
        assert_eq!(status, 2, "{args:?}");
        stderr
    };
    let floats = refuse(&["classify", "--model", &output, "--quantize", "none", "路灯坏了"]);
    assert!(floats.contains("rounded to 8-bit integers") && floats.contains("hint:"), "{floats}");
    let again = refuse(&["quantize", "--model", &output, "--output", &path("again")]);
    assert!(again.contains("already"), "{again}");
    let full = refuse(&["quantize", "--model", "built-in", "--output", &output]);
    assert!(full.contains("is not empty\nhint: name a new folder"), "{full}");

    fs::write(path("rows.csv"), "text,label\n路灯坏了,a\n公交太少,b\n路灯不亮,a\n公交晚点,b\n").unwrap();
    let mut train = vec!["train", "--label-column", "label", "--dev-share", "0", "--base", &output];
    let (rows, trained) = (path("rows.csv"), path("trained"));
    train.extend(["--output", &trained, &rows]);
    let trained = refuse(&train);
    assert!(trained.contains("rounded to 8-bit integers") && trained.contains("to train"), "{trained}");
}
