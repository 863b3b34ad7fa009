//! Compiles the protocol in Rust alone (no `protoc` needed), keeps its descriptors for server reflection, and embeds
//! the default model.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use prost::Message;

/// The files of a bundle that a program needs.
const MODEL_FILES: [&str; 7] = [
    "config.json",
    "tokenizer.json",
    "vocab.txt",
    "tokenizer_config.json",
    "model.safetensors",
    "ngrams.safetensors",
    "calibration.json",
];

fn main() -> Result<(), Box<dyn Error>> {
    let out_dir = PathBuf::from(env::var("OUT_DIR")?);
    compile_protocol(&out_dir)?;
    embed_model(&Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("models/default"), &out_dir)
}

fn compile_protocol(out_dir: &Path) -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::compile(["jiesu/v1/jiesu.proto"], ["proto"])?;
    fs::write(out_dir.join("jiesu.v1.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}

fn embed_model(folder: &Path, out_dir: &Path) -> Result<(), Box<dyn Error>> {
    let mut list = "const BUILT_IN_FILES: &[(&str, &[u8])] = &[\n".to_owned();
    // The folder rather than its files: one that is not there would have every build compile the whole crate again.
    if folder.is_dir() {
        println!("cargo::rerun-if-changed={}", folder.display());
    }
    for name in MODEL_FILES {
        let file = folder.join(name);
        if file.is_file() {
            writeln!(list, "    ({name:?}, include_bytes!({:?})),", file.display().to_string())?;
        }
    }
    list.push_str("];\n");
    fs::write(out_dir.join("built_in_model.rs"), list)?;
    Ok(())
}
