//! The model, replaced while calls are answered, and a second one that answers unheard.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use candle_core::{Device, Tensor};
use common::{Served, tiny_config, write_bundle};
use jiesu::classifier::ModelConfig;
use jiesu::pb::admin_service_client::AdminServiceClient;
use jiesu::pb::dispatch_service_client::DispatchServiceClient;
use jiesu::pb::{
    ClassifyTextRequest, ListModelsRequest, LoadedModel, ModelRole, ModelState, ReloadModelRequest,
};
use tonic::Code;
use tonic::transport::Channel;

const PATIENCE: Duration = Duration::from_secs(20);
const CALLERS: usize = 8;

/// Puts another model in the place of a bundle's: one that reads less, so its revision is another.
fn replace(bundle: &Path, max_tokens: usize) {
    write_bundle(bundle, &ModelConfig { max_tokens, ..tiny_config() });
}

/// Changes the weights of the category head.
fn change(bundle: &Path, change: impl FnOnce(&Tensor) -> Tensor) {
    let file = bundle.join("model.safetensors");
    let mut weights: HashMap<String, Tensor> = candle_core::safetensors::load(&file, &Device::Cpu).unwrap();
    let weight = weights.get_mut("classifier.weight").unwrap();
    *weight = change(weight);
    candle_core::safetensors::save(&weights, &file).unwrap();
}

struct Operator(AdminServiceClient<Channel>);

impl Operator {
    async fn of(served: &Served) -> Self {
        Self(AdminServiceClient::new(served.endpoint().connect().await.unwrap()))
    }

    async fn models(&mut self) -> Vec<LoadedModel> {
        self.0.list_models(ListModelsRequest {}).await.unwrap().into_inner().models
    }

    async fn revision(&mut self) -> String {
        self.models().await.remove(0).model.unwrap().revision
    }

    async fn reload(&mut self, expected_revision: &str) -> Result<Vec<LoadedModel>, tonic::Status> {
        let request = ReloadModelRequest { expected_revision: expected_revision.to_owned() };
        Ok(self.0.reload_model(request).await?.into_inner().models)
    }
}

/// Asks again and again until told to stop; the revisions of the answers.
async fn revisions(channel: Channel, caller: usize, stop: Arc<AtomicBool>) -> BTreeSet<String> {
    let mut client = DispatchServiceClient::new(channel);
    let mut revisions = BTreeSet::new();
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let text = format!("小区路灯不亮{caller}，{number}");
        let request = ClassifyTextRequest { text, ..ClassifyTextRequest::default() };
        let answer = client.classify_text(request).await.unwrap().into_inner().assessment.unwrap();
        assert!(answer.degradations.is_empty(), "{:?}", answer.degradations);
        revisions.insert(answer.model_revision);
    }
    revisions
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_is_replaced_under_load_without_a_failed_call() {
    let served = Served::start(&[], &[]);
    let mut operator = Operator::of(&served).await;
    let channel = served.endpoint().connect().await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| tokio::spawn(revisions(channel.clone(), caller, Arc::clone(&stop))))
        .collect();
    let mut expected = BTreeSet::from([operator.revision().await]);
    for max_tokens in [31, 30, 29] {
        tokio::time::sleep(Duration::from_millis(300)).await;
        replace(served.model(), max_tokens);
        let models = operator.reload("").await.unwrap();
        assert_eq!(models[0].state(), ModelState::Works);
        expected.insert(models[0].model.clone().unwrap().revision);
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    stop.store(true, Ordering::Relaxed);
    let mut seen = BTreeSet::new();
    for caller in callers {
        seen.extend(caller.await.unwrap());
    }
    assert_eq!(expected.len(), 4);
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_model_that_does_not_work_is_refused_and_the_old_one_stays() {
    let served = Served::start(&[], &[]);
    let mut operator = Operator::of(&served).await;
    let before = operator.revision().await;
    // Its answers are no numbers.
    change(served.model(), |weight| (weight.ones_like().unwrap() * 3e38).unwrap());
    let refused = operator.reload("").await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    // It is cut off.
    let weights = served.model().join("model.safetensors");
    let whole = fs::read(&weights).unwrap();
    fs::write(&weights, &whole[..whole.len() / 2]).unwrap();
    let refused = operator.reload("").await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    let models = operator.models().await;
    assert_eq!(models[0].model.as_ref().unwrap().revision, before);
    let failed = models[0].failed_reload.as_ref().unwrap();
    assert!(failed.problem.contains("model.safetensors"), "{}", failed.problem);
    let mut client = DispatchServiceClient::new(served.endpoint().connect().await.unwrap());
    let request = ClassifyTextRequest { text: "路灯不亮".to_owned(), ..ClassifyTextRequest::default() };
    let answer = client.classify_text(request).await.unwrap().into_inner().assessment.unwrap();
    assert_eq!(answer.model_revision, before);
    // Whole again, it is taken, and the failure is forgotten.
    replace(served.model(), 31);
    assert!(operator.reload("").await.unwrap()[0].failed_reload.is_none());
}

#[tokio::test]
async fn a_model_of_another_revision_than_the_one_expected_is_refused() {
    let served = Served::start(&[], &[]);
    let mut operator = Operator::of(&served).await;
    let before = operator.revision().await;
    operator.reload(&before).await.unwrap();
    replace(served.model(), 31);
    let refused = operator.reload(&before).await.unwrap_err();
    assert!(refused.message().contains(&format!("`{before}` was expected")), "{refused}");
    assert_eq!(operator.revision().await, before);
}

#[tokio::test]
async fn a_hangup_loads_the_model_again_too_and_the_metrics_tell_so() {
    let served = Served::start(&["--metrics-listen", "127.0.0.1:0"], &[]);
    let mut operator = Operator::of(&served).await;
    let before = operator.revision().await;
    assert!(served.metrics().contains(&format!("revision=\"{before}\"")));
    replace(served.model(), 31);
    served.signal("-HUP");
    let changed = async {
        while operator.revision().await == before {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        while served.metrics().contains(&format!("revision=\"{before}\"")) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, changed).await.unwrap();
}

#[tokio::test]
async fn what_a_shadow_model_would_answer_otherwise_is_counted_and_logged_without_the_words() {
    let shadow = tempfile::tempdir().unwrap();
    write_bundle(shadow.path(), &tiny_config());
    change(shadow.path(), |weight| weight.neg().unwrap());
    let served = Served::start(&["--shadow-model", shadow.path().to_str().unwrap()], &[]);
    let mut client = DispatchServiceClient::new(served.endpoint().connect().await.unwrap());
    for number in 0..20 {
        let text = format!("小区路灯不亮，第{number}盏");
        let request = ClassifyTextRequest { text, ..ClassifyTextRequest::default() };
        client.classify_text(request).await.unwrap();
    }
    let mut operator = Operator::of(&served).await;
    let compared = async {
        loop {
            let shadow = operator.models().await.remove(1);
            assert_eq!(shadow.role(), ModelRole::Shadow);
            let comparison = shadow.comparison.unwrap();
            // The first was asked by the service itself, to see whether it answers.
            if comparison.compared == 21 {
                return comparison;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let comparison = tokio::time::timeout(PATIENCE, compared).await.unwrap();
    assert_eq!((comparison.different, comparison.dropped, comparison.failed), (21, 0, 0), "{comparison:?}");

    let listed = Command::new(env!("CARGO_BIN_EXE_jiesu"))
        .args(["admin", "models", "--endpoint", &format!("http://{}", served.address("serving"))])
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.contains("21 texts compared, 21 answered otherwise"), "{listed}");

    let log = served.terminate();
    // printf '\n小区路灯不亮，第0盏' | sha256sum
    let first = "7471789231622198aec8d7a20e8f98919ebdebf3916875055da8e1a68df774ce";
    let told: Vec<_> =
        log.iter().filter(|line| line.contains("the shadow model answers otherwise")).collect();
    assert!(
        told.iter().any(|line| line.contains(first) && line.contains("\"what\":\"category\"")),
        "{told:?}"
    );
    assert!(told.len() >= 20 && !log.iter().any(|line| line.contains("路灯")), "{log:?}");
}

#[tokio::test]
async fn a_shadow_model_that_is_not_there_keeps_nobody_from_being_answered() {
    let folder = tempfile::tempdir().unwrap();
    let shadow = folder.path().join("shadow");
    let served = Served::start(&["--shadow-model", shadow.to_str().unwrap()], &[]);
    let mut operator = Operator::of(&served).await;
    let missing = operator.models().await.remove(1);
    assert_eq!((missing.role(), missing.state()), (ModelRole::Shadow, ModelState::Missing));
    assert!(missing.failed_reload.unwrap().problem.contains("is not a folder"));
    write_bundle(&shadow, &tiny_config());
    let models = operator.reload("").await.unwrap();
    assert_eq!(models[1].state(), ModelState::Works);
    // One that cannot be loaded again does not keep the model that answers from being replaced.
    fs::remove_dir_all(&shadow).unwrap();
    replace(served.model(), 31);
    let before = operator.revision().await;
    let models = operator.reload("").await.unwrap();
    assert_ne!(models[0].model.as_ref().unwrap().revision, before);
    assert!(models[1].failed_reload.is_some());
    assert_eq!(models[1].state(), ModelState::Works);
}
