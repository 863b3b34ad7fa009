//! What several targets need: the tiny model, and files in memory.

use std::path::Path;
use std::sync::{Arc, LazyLock, Once};

use jiesu::city::City;
use jiesu::classifier::SequenceClassifier;
use jiesu::pipeline::Pipeline;
use jiesu::registry::ModelFiles;
use tempfile::TempDir;

/// The files of a model that answers, though its answers mean nothing.
pub const MODEL: [(&str, &[u8]); 5] = [
    ("config.json", include_bytes!("../model/config.json")),
    ("vocab.txt", include_bytes!("../model/vocab.txt")),
    ("model.safetensors", include_bytes!("../model/model.safetensors")),
    ("ngrams.safetensors", include_bytes!("../model/ngrams.safetensors")),
    ("calibration.json", include_bytes!("../model/calibration.json")),
];

/// The tiny model with the data that is built in.
pub static PIPELINE: LazyLock<Arc<Pipeline>> = LazyLock::new(|| {
    let model =
        SequenceClassifier::load(&ModelFiles::embedded("tiny", &MODEL)).expect("the tiny model is whole");
    Arc::new(Pipeline::new(model, City::built_in()).expect("the tiny model knows the built-in labels"))
});

/// A folder in memory, where the system has such a place: some targets write files for each input.
///
/// # Panics
/// If there is no room for a folder.
pub fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    folder.expect("a folder can be made")
}

/// Takes the first byte as a choice among so many, and the rest as what it is about.
pub fn choice(data: &[u8], choices: u8) -> (u8, &[u8]) {
    match data.split_first() {
        Some((first, rest)) => (first % choices, rest),
        None => (0, data),
    }
}

/// Lets a crate panic where the program catches it; a panic anywhere else still ends the run.
pub fn forgive_panics_in(name: &'static str) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let end_the_run = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let path = format!("/{name}-");
            if panic.location().is_none_or(|location| !location.file().contains(&path)) {
                end_the_run(panic);
            }
        }));
    });
}
