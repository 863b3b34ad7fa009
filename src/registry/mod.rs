//! Where models come from: the bundle built into the binary, a folder, or a Hugging Face hub.
//!
//! [`ModelSource`] is what a user names, [`ModelFiles`] is what the rest of the crate reads. Both say nothing about
//! what the files mean: that is for the tokenizer, the encoder and the classifier.
//!
//! ```
//! use jiesu::registry::ModelSource;
//!
//! let source: ModelSource = "hf://owner/name@v1".parse()?;
//! assert_eq!(source, ModelSource::Hub { repo: "owner/name".to_owned(), revision: Some("v1".to_owned()) });
//! # Ok::<(), jiesu::registry::RegistryError>(())
//! ```

mod bundle;
mod files;
#[cfg(feature = "hub")]
mod hub;
mod hub_config;
mod open_file;
mod source;
mod sums;

use std::path::PathBuf;

pub use bundle::{
    CALIBRATION_FILE, CONFIG_FILE, NGRAMS_FILE, PYTORCH_FILE, SAFETENSORS_FILE, SHARD_INDEX_FILE,
    TOKENIZER_CONFIG_FILE, TOKENIZER_FILE, VOCABULARY_FILE, WeightFiles,
};
pub use files::ModelFiles;
pub use hub_config::{HubConfig, HubToken};
pub use open_file::OpenFile;
pub use source::ModelSource;
pub use sums::SUMS_FILE;

/// Why the files of a model cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// A source that starts with `hf://` but names no repository.
    #[error(
        "`{text}` names no model on a hub: {reason}\nhint: write `hf://owner/name` or `hf://owner/name@revision`"
    )]
    InvalidHubSource {
        /// What was given.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// An empty source.
    #[error(
        "the model's name is empty\nhint: give a folder, `hf://owner/name`, or nothing for the built-in model"
    )]
    EmptySource,
    /// The folder does not exist, or is a file.
    #[error(
        "`{}` is not a folder\nhint: give the folder that has config.json in it, or `hf://owner/name` for a model on a hub",
        .path.display()
    )]
    NotAFolder {
        /// What was given.
        path: PathBuf,
    },
    /// The files are not those that were there a moment ago.
    #[error(
        "the files of `{dir}` changed while they were read\nhint: try again when all of them are in place"
    )]
    Changed {
        /// The bundle's folder.
        dir: String,
    },
    /// A bundle lacks a file.
    #[error("`{dir}` has no `{file}`")]
    MissingFile {
        /// The bundle's folder, or its name where it has none.
        dir: String,
        /// The file.
        file: String,
    },
    /// A name that is not that of a file in the bundle's own folder.
    #[error("`{file}` is not a plain file name; a bundle's files lie in its own folder")]
    InvalidFileName {
        /// The name.
        file: String,
    },
    /// A file is there but cannot be read.
    #[error("cannot read `{}`: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file that no model has as large.
    #[error("`{}` is larger than {} MiB, as no file of that name is\nhint: is it the right file? copy or download the model again", .path.display(), .max >> 20)]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit, in bytes.
        max: u64,
    },
    /// `SHA256SUMS` cannot be read.
    #[error(
        "`{dir}`: `{SUMS_FILE}` does not tell digests: {reason}\nhint: write it with `sha256sum *.json *.safetensors > {SUMS_FILE}`, or take it away"
    )]
    InvalidSums {
        /// The bundle's folder, or its name where it has none.
        dir: String,
        /// What is wrong.
        reason: String,
    },
    /// `SHA256SUMS` does not list a file of the model.
    #[error(
        "`{SUMS_FILE}` of `{dir}` does not tell the digest of `{file}`\nhint: take the file away if it is not the model's; if it is, add the line that `sha256sum {file}` writes"
    )]
    NoSum {
        /// The bundle's folder, or its name where it has none.
        dir: String,
        /// The file.
        file: String,
    },
    /// A file is not the one that `SHA256SUMS` tells of.
    #[error(
        "`{file}` of `{dir}` is not the file that `{SUMS_FILE}` tells of: its SHA-256 is {found}, and should be {told}\n\
         hint: the file is damaged, or somebody has changed it: copy or download the model again; if the change is yours, \
         write `{SUMS_FILE}` anew with `sha256sum`"
    )]
    WrongSum {
        /// The bundle's folder, or its name where it has none.
        dir: String,
        /// The file.
        file: String,
        /// The digest in `SHA256SUMS`, hexadecimal.
        told: String,
        /// The digest of the file.
        found: String,
    },
    /// A text file is not UTF-8.
    #[error("`{file}` of `{dir}` is not UTF-8 text")]
    NotUtf8 {
        /// The bundle's folder, or its name where it has none.
        dir: String,
        /// The file.
        file: String,
    },
    /// The index of sharded weights does not name shards.
    #[error("`{dir}`: `{SHARD_INDEX_FILE}` is no index of weights: {reason}")]
    InvalidIndex {
        /// The bundle's folder, or its name where it has none.
        dir: String,
        /// What is wrong.
        reason: String,
    },
    /// This binary cannot download.
    #[error(
        "`hf://{repo}`: this binary was built without the feature `hub`\n\
         hint: build it with `cargo build --features hub`, or download the model and give its folder"
    )]
    HubDisabled {
        /// `owner/name`.
        repo: String,
    },
    /// The address of the hub is none.
    #[error("HF_ENDPOINT `{endpoint}` is not a web address\nhint: write it as `https://hf-mirror.com`")]
    InvalidEndpoint {
        /// The address.
        endpoint: String,
    },
    /// The hub knows no such repository.
    #[error("there is no model `{repo}` at {endpoint}\nhint: check the name; a private model needs HF_TOKEN")]
    RepositoryNotFound {
        /// `owner/name`.
        repo: String,
        /// Address of the hub.
        endpoint: String,
    },
    /// The repository has no such branch, tag or commit.
    #[error(
        "model `{repo}` has no revision `{revision}` at {endpoint}\nhint: check the branch, tag or commit after `@`"
    )]
    RevisionNotFound {
        /// `owner/name`.
        repo: String,
        /// Branch, tag or commit.
        revision: String,
        /// Address of the hub.
        endpoint: String,
    },
    /// The repository lacks a file that every model has.
    #[error("model `{repo}` has no {file} at revision `{revision}`\nhint: {hint}", hint = bundle::NEEDED)]
    HubFileNotFound {
        /// `owner/name`.
        repo: String,
        /// Commit.
        revision: String,
        /// The file, or the alternatives.
        file: String,
    },
    /// The hub wants to know who asks, or says no.
    #[error(
        "{endpoint} denies access to model `{repo}` (status {status})\nhint: {}",
        if *.with_token {
            "accept the model's terms on its page, or check that the token (HF_TOKEN) is valid and may read it"
        } else {
            "check the name; if the model is private or gated, set HF_TOKEN to a token that may read it"
        }
    )]
    AccessDenied {
        /// `owner/name`.
        repo: String,
        /// Address of the hub.
        endpoint: String,
        /// HTTP status.
        status: u16,
        /// Whether a token was sent.
        with_token: bool,
    },
    /// No answer from the hub.
    #[error(
        "cannot reach {endpoint}: {reason}\nhint: set HF_ENDPOINT to a mirror that can be reached (such as \
         https://hf-mirror.com), or HF_HUB_OFFLINE=1 to use what was downloaded before"
    )]
    Unreachable {
        /// Address of the hub.
        endpoint: String,
        /// What the client says.
        reason: String,
    },
    /// Offline, and the cache lacks something.
    #[error(
        "HF_HUB_OFFLINE is set, and the cache `{}` has no {missing} of model `{repo}` at revision `{revision}`\n\
         hint: run once without HF_HUB_OFFLINE where the hub or a mirror (HF_ENDPOINT) can be reached, \
         and carry the cache folder over if that is another machine",
        .cache_dir.display()
    )]
    NotCached {
        /// `owner/name`.
        repo: String,
        /// Branch, tag or commit.
        revision: String,
        /// What is missing.
        missing: String,
        /// The cache.
        cache_dir: PathBuf,
    },
    /// A file came, but not as the hub announced it.
    #[error(
        "`{file}` of model `{repo}` arrived damaged: {reason}\nhint: try again; if it stays so, try another mirror \
         (HF_ENDPOINT)"
    )]
    Damaged {
        /// `owner/name`.
        repo: String,
        /// The file.
        file: String,
        /// How it differs.
        reason: String,
    },
    /// The hub was reached, but the download failed.
    #[error(
        "downloading model `{repo}` from {endpoint} failed: {reason}\nhint: try again; files that came whole are kept"
    )]
    Download {
        /// `owner/name`.
        repo: String,
        /// Address of the hub.
        endpoint: String,
        /// What the client says.
        reason: String,
    },
}
