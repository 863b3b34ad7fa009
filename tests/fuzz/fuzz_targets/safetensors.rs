//! A model whose files are damaged is refused, whichever file it is: sizes that are only claimed cost no memory, and
//! places that overlap or lie outside of a file are not read. One that is accepted answers with probabilities, or says
//! that its logits are no numbers.

#![no_main]

use std::sync::LazyLock;

use jiesu::classifier::{ModelError, SequenceClassifier};
use jiesu::encoder::{Precision, Weights};
use jiesu::registry::ModelFiles;
use jiesu::request::RequestText;
use jiesu_fuzz::MODEL;
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

/// The files that an input may stand for, by the number that it begins with.
const FILES: [&str; 5] = [
    "model.safetensors",
    "config.json",
    "ngrams.safetensors",
    "calibration.json",
    "model.safetensors.index.json",
];

static FOLDER: LazyLock<TempDir> = LazyLock::new(jiesu_fuzz::folder);

static TEXT: LazyLock<RequestText> =
    LazyLock::new(|| RequestText::new("路灯", "物业的路灯不亮 abb").expect("it is a request"));

fuzz_target!(|data: &[u8]| {
    let (file, data) = jiesu_fuzz::choice(data, FILES.len() as u8);
    let file = FILES[usize::from(file)];
    write_model(file, data);
    let files = ModelFiles::folder(FOLDER.path()).expect("the folder is there");
    if let Ok(weights) = Weights::load(&files) {
        if let Ok(tensors) = weights.to_map() {
            assert!(tensors.keys().all(|name| weights.contains(name)));
        }
        let _ = weights.to_rounded_file();
    }
    for precision in [Precision::Int8, Precision::F32] {
        match SequenceClassifier::load_in(&files, precision) {
            Ok(model) => ask(&model),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
});

/// Writes the tiny model with another content of one file.
fn write_model(changed: &str, content: &[u8]) {
    let write = |name: &str, content: &[u8]| {
        std::fs::write(FOLDER.path().join(name), content).expect("there is room in memory");
    };
    let _ = std::fs::remove_file(FOLDER.path().join("model.safetensors.index.json"));
    for (name, original) in MODEL {
        write(name, original);
    }
    if changed == "model.safetensors.index.json" {
        std::fs::rename(FOLDER.path().join("model.safetensors"), FOLDER.path().join("shard"))
            .expect("a file can be renamed");
    }
    write(changed, content);
}

fn ask(model: &SequenceClassifier) {
    match model.classify([&*TEXT]) {
        Ok(answers) => {
            for head in model.heads() {
                let probabilities = answers[0].head(&head.name).expect("every head answers");
                assert_eq!(probabilities.len(), head.labels.len());
                assert!(probabilities.iter().all(|share| (0.0..=1.0).contains(share)), "{probabilities:?}");
            }
        }
        Err(ModelError::NonFiniteLogits { .. } | ModelError::Tensor(_)) => {}
        Err(error) => panic!("{error}"),
    }
}
