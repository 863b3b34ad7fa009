//! Models from a hub: what is fetched, what is kept, and what is said when something goes wrong.
#![cfg(feature = "hub")]
#![expect(clippy::unwrap_used, reason = "what fails in a test's helper fails the test")]

mod small_hub;

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use jiesu::classifier::ModelConfig;
use jiesu::encoder::Weights;
use jiesu::registry::{HubConfig, HubToken, ModelFiles, RegistryError};
use sha2::{Digest, Sha256};
use small_hub::{COMMIT, Fault, Hub, REPO};

const LATER_COMMIT: &str = "89abcdef0123456789abcdef0123456789abcdef";
const CONFIG: &str = r#"{
    "model_type": "bert", "vocab_size": 3, "hidden_size": 2, "num_hidden_layers": 1,
    "num_attention_heads": 1, "intermediate_size": 4, "id2label": {"0": "roads", "1": "noise"}
}"#;

fn weights() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let tensor = Tensor::zeros((2, 2), DType::F32, &Device::Cpu).unwrap();
    candle_core::safetensors::save(&HashMap::from([("classifier.weight", tensor)]), &path).unwrap();
    std::fs::read(path).unwrap()
}

/// A repository as they are: the model beside a card and the formats of other tools.
fn model() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("config.json", CONFIG.into()),
        ("tokenizer.json", b"{}".to_vec()),
        ("model.safetensors", weights()),
        ("pytorch_model.bin", b"PK".to_vec()),
        ("tf_model.h5", b"tf".to_vec()),
        ("README.md", b"card".to_vec()),
    ]
}

/// Whether any snapshot in the cache has the file.
fn is_cached(cache: &Path, file: &str) -> bool {
    let snapshots = cache.join("models--owner--name/snapshots");
    std::fs::read_dir(snapshots).is_ok_and(|mut commits| {
        commits.any(|commit| commit.unwrap().path().join(file).symlink_metadata().is_ok())
    })
}

#[test]
fn fetches_a_model_and_nothing_else() {
    let hub = Hub::start(&model());
    let files = hub.fetch().unwrap();
    assert_eq!((files.name(), files.revision()), (REPO, COMMIT));
    assert_eq!(hub.files_asked_for(), ["config.json", "model.safetensors", "tokenizer.json"]);
    ModelConfig::from_json(&files.read_to_string("config.json").unwrap()).unwrap();
    assert!(Weights::load(&files).unwrap().contains("classifier.weight"));
    // What is in the cache is not fetched again.
    assert_eq!(hub.fetch().unwrap().revision(), COMMIT);
    assert!(hub.files_asked_for().is_empty());
}

#[test]
fn fetches_old_layouts() {
    let old = [
        ("config.json", CONFIG.into()),
        ("vocab.txt", b"[UNK]".to_vec()),
        ("tokenizer_config.json", b"{}".to_vec()),
        ("calibration.json", b"{}".to_vec()),
        ("pytorch_model.bin", b"PK".to_vec()),
    ];
    let hub = Hub::start(&old);
    let files = hub.fetch().unwrap();
    for (file, content) in &old {
        assert_eq!(&files.read(file).unwrap(), content, "{file}");
    }
}

#[test]
fn fetches_the_shards_that_the_index_names() {
    let index = br#"{"weight_map": {"classifier.weight": "model-00001-of-00001.safetensors"}}"#;
    let hub = Hub::start(&[
        ("config.json", CONFIG.into()),
        ("tokenizer.json", b"{}".to_vec()),
        ("model.safetensors.index.json", index.to_vec()),
        ("model-00001-of-00001.safetensors", weights()),
        ("other.safetensors", weights()),
    ]);
    let files = hub.fetch().unwrap();
    assert!(Weights::load(&files).unwrap().contains("classifier.weight"));
    assert!(!hub.files_asked_for().contains(&"other.safetensors".to_owned()));
}

#[test]
fn sends_a_token_only_if_there_is_one() {
    let hub = Hub::start(&model());
    hub.fetch().unwrap();
    let tokens = std::mem::take(&mut hub.shelf.lock().unwrap().tokens);
    assert!(tokens.len() > 3 && tokens.iter().all(Option::is_none), "{tokens:?}");
    let cache = tempfile::tempdir().unwrap();
    let config =
        HubConfig { token: HubToken::new("hf_secret"), cache_dir: cache.path().to_owned(), ..hub.config() };
    ModelFiles::fetch(REPO, None, &config).unwrap();
    let tokens = std::mem::take(&mut hub.shelf.lock().unwrap().tokens);
    assert!(tokens.iter().all(|token| token.as_deref() == Some("Bearer hf_secret")), "{tokens:?}");
}

#[test]
fn works_offline_from_the_cache_once_fetched() {
    let mut hub = Hub::start(&model());
    hub.fetch().unwrap();
    for revision in ["v1", "refs/pr/1"] {
        ModelFiles::fetch(REPO, Some(revision), &hub.config()).unwrap();
    }
    hub.shut_down();
    for revision in [None, Some("main"), Some("v1"), Some("refs/pr/1"), Some(COMMIT)] {
        let files = ModelFiles::fetch(REPO, revision, &hub.offline()).unwrap();
        assert_eq!((files.name(), files.revision()), (REPO, COMMIT));
        assert!(Weights::load(&files).unwrap().contains("classifier.weight"));
    }
}

#[test]
fn follows_a_branch_that_moved() {
    let hub = Hub::start(&model());
    hub.fetch().unwrap();
    {
        let mut shelf = hub.shelf.lock().unwrap();
        shelf.commit = LATER_COMMIT;
        shelf.files.insert("calibration.json", b"{}".to_vec());
    }
    let files = hub.fetch().unwrap();
    assert_eq!(files.revision(), LATER_COMMIT);
    assert!(files.contains("calibration.json"));
    let pinned = ModelFiles::fetch(REPO, Some(COMMIT), &hub.offline()).unwrap();
    assert!(!pinned.contains("calibration.json"));
}

#[test]
fn says_what_an_empty_cache_lacks_offline() {
    let hub = Hub::start(&model());
    let error = ModelFiles::fetch(REPO, None, &hub.offline()).unwrap_err();
    assert!(matches!(error, RegistryError::NotCached { .. }), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("`owner/name`") && text.contains("hint: run once without HF_HUB_OFFLINE"),
        "{text}"
    );
    assert!(hub.shelf.lock().unwrap().requests.is_empty());
}

#[test]
fn tells_apart_what_is_not_found() {
    let hub = Hub::start(&model());
    let error = |repo, revision| ModelFiles::fetch(repo, revision, &hub.config()).unwrap_err();
    let repository = error("owner/absent", Some("v1"));
    assert!(matches!(repository, RegistryError::RepositoryNotFound { .. }), "{repository}");
    assert!(repository.to_string().contains("hint: check the name"), "{repository}");
    let revision = error(REPO, Some("v2"));
    assert!(matches!(revision, RegistryError::RevisionNotFound { .. }), "{revision}");
    assert!(revision.to_string().contains("`v2`"), "{revision}");
    hub.shelf.lock().unwrap().files.remove("tokenizer.json");
    let file = error(REPO, None);
    assert!(matches!(file, RegistryError::HubFileNotFound { .. }), "{file}");
    assert!(file.to_string().contains("`tokenizer.json` or `vocab.txt`"), "{file}");
}

#[test]
fn says_how_to_get_access() {
    let hub = Hub::start(&model());
    let private = ModelFiles::fetch("owner/private", None, &hub.config()).unwrap_err();
    assert!(
        matches!(private, RegistryError::AccessDenied { status: 401, with_token: false, .. }),
        "{private}"
    );
    assert!(private.to_string().contains("set HF_TOKEN"), "{private}");
    let config = HubConfig { token: HubToken::new("hf_secret"), ..hub.config() };
    let gated = ModelFiles::fetch("owner/gated", None, &config).unwrap_err();
    assert!(matches!(gated, RegistryError::AccessDenied { status: 403, with_token: true, .. }), "{gated}");
    assert!(gated.to_string().contains("accept the model's terms"), "{gated}");
    assert!(!gated.to_string().contains("hf_secret"), "{gated}");
}

#[test]
fn says_what_to_do_without_a_network() {
    let mut hub = Hub::start(&model());
    hub.shut_down();
    let error = hub.fetch().unwrap_err();
    assert!(matches!(error, RegistryError::Unreachable { .. }), "{error}");
    assert!(
        error.to_string().contains("HF_ENDPOINT") && error.to_string().contains("HF_HUB_OFFLINE=1"),
        "{error}"
    );
}

#[test]
fn refuses_an_endpoint_that_is_no_address() {
    let hub = Hub::start(&model());
    for endpoint in ["hf-mirror.com", "https://", "ftp://hf-mirror.com"] {
        let config = HubConfig { endpoint: endpoint.to_owned(), ..hub.config() };
        let error = ModelFiles::fetch(REPO, None, &config).unwrap_err();
        assert!(matches!(error, RegistryError::InvalidEndpoint { .. }), "{error}");
    }
}

#[test]
fn a_download_that_breaks_off_never_counts_as_whole() {
    let hub = Hub::start(&model());
    for fault in [Fault::Cut, Fault::Short, Fault::Altered, Fault::ErrorPage] {
        hub.set_fault(Some(fault));
        let error = hub.fetch().unwrap_err();
        match fault {
            Fault::Cut => assert!(matches!(error, RegistryError::Download { .. }), "{error}"),
            Fault::Short | Fault::Altered | Fault::ErrorPage => {
                assert!(matches!(error, RegistryError::Damaged { .. }), "{error}");
            }
        }
        assert!(is_cached(hub.cache.path(), "config.json"));
        assert!(!is_cached(hub.cache.path(), "model.safetensors"));
        assert!(matches!(
            ModelFiles::fetch(REPO, None, &hub.offline()),
            Err(RegistryError::NotCached { .. })
        ));
    }
    hub.set_fault(None);
    assert!(Weights::load(&hub.fetch().unwrap()).is_ok());
}

#[test]
fn a_truncated_file_in_the_cache_is_fetched_again() {
    let hub = Hub::start(&model());
    let files = hub.fetch().unwrap();
    std::fs::write(files.path("model.safetensors").unwrap(), b"trunc").unwrap();
    assert!(Weights::load(&hub.fetch().unwrap()).is_ok());
}

#[test]
fn works_inside_an_async_runtime() {
    let hub = Hub::start(&model());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { assert!(hub.fetch().is_ok()) });
}

#[test]
fn refuses_another_commit_than_the_one_that_is_pinned() {
    let hub = Hub::start(&model());
    hub.shelf.lock().unwrap().misleads = true;
    let error = ModelFiles::fetch(REPO, Some(LATER_COMMIT), &hub.config()).unwrap_err().to_string();
    assert!(error.contains("asked for this commit, the hub gives another"), "{error}");
    assert!(error.contains(LATER_COMMIT) || error.contains(COMMIT), "{error}");
    assert!(hub.files_asked_for().is_empty());
}

#[test]
fn uses_nothing_that_forged_headers_have_put_outside_of_the_cache() {
    let hub = Hub::start(&model());
    hub.shelf.lock().unwrap().forged_etag = Some("../../elsewhere");
    let error = hub.fetch().unwrap_err().to_string();
    assert!(error.contains("outside of its place in the cache"), "{error}");
    assert!(ModelFiles::fetch(REPO, None, &hub.offline()).is_err());
}

#[test]
fn checks_what_was_fetched_against_the_digests_of_the_repository() {
    // printf '{}' | sha256sum
    let braces = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    let digest = |content: &[u8]| hex::encode(Sha256::digest(content));
    let weights = digest(&weights());
    let sums = |config: &str| {
        format!("{config}  config.json\n{braces}  tokenizer.json\n{weights}  model.safetensors\n")
            .into_bytes()
    };
    let mut files = model();
    files.push(("SHA256SUMS", sums(&digest(CONFIG.as_bytes()))));
    assert!(Weights::load(&Hub::start(&files).fetch().unwrap()).is_ok());
    files.last_mut().unwrap().1 = sums(braces);
    let hub = Hub::start(&files);
    let error = hub.fetch().unwrap_err();
    assert!(matches!(&error, RegistryError::WrongSum { file, .. } if file == "config.json"), "{error}");
    assert!(
        ModelFiles::fetch(REPO, Some(COMMIT), &hub.offline()).is_err(),
        "it is in the cache, and refused there too"
    );
}
