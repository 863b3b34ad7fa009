//! A service whose model is missing, fails or comes back: rules go on answering, and say so.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use candle_core::{Device, Tensor};
use common::{Served, tiny_config, write_bundle};
use jiesu::pb::dispatch_service_client::DispatchServiceClient;
use jiesu::pb::{Assessment, ClassifyTextRequest, DecisionAction, GetModelRequest};
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// How long the service may take to notice: it looks every second.
const PATIENCE: Duration = Duration::from_secs(20);
/// A request with a risk and a rule of its own.
const GAS: &str = "楼道里燃气泄漏，味道很大，老人头晕";

struct Client {
    calls: DispatchServiceClient<Channel>,
    health: HealthClient<Channel>,
}

impl Client {
    async fn of(served: &Served) -> Self {
        let channel = served.endpoint().connect().await.unwrap();
        Self { calls: DispatchServiceClient::new(channel.clone()), health: HealthClient::new(channel) }
    }

    /// The answer to the words with a number behind them, so that it comes from no cache.
    async fn ask(&mut self, number: usize) -> Assessment {
        let text = format!("{GAS}，{number}楼");
        let request = ClassifyTextRequest { text, ..ClassifyTextRequest::default() };
        self.calls.classify_text(request).await.unwrap().into_inner().assessment.unwrap()
    }

    /// Asks again and again until the answers say that this is missing; every answer has risks and a lead.
    async fn ask_until(&mut self, missing: &[&str]) -> Assessment {
        let asked = async {
            for number in 1.. {
                let answer = self.ask(number).await;
                assert!(answer.risks.iter().any(|risk| risk.id == "life_safety"), "{answer:?}");
                assert!(!answer.departments.is_empty(), "{answer:?}");
                if answer.degradations == missing {
                    return answer;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            unreachable!("numbers do not end")
        };
        tokio::time::timeout(PATIENCE, asked).await.expect("it never says so")
    }

    async fn health(&mut self, service: &str) -> ServingStatus {
        let request = HealthCheckRequest { service: service.to_owned() };
        self.health.check(request).await.unwrap().into_inner().status()
    }

    async fn wait_for_model_health(&mut self, status: ServingStatus) {
        let waited = async {
            while self.health("model").await != status {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waited).await.expect("health never says so");
    }
}

/// Makes the weights of the category head so large that its logits are no numbers.
fn spoil(bundle: &Path) {
    let file = bundle.join("model.safetensors");
    let mut weights: HashMap<String, Tensor> = candle_core::safetensors::load(&file, &Device::Cpu).unwrap();
    let weight = weights.get_mut("classifier.weight").unwrap();
    *weight = (weight.ones_like().unwrap() * 3e38).unwrap();
    candle_core::safetensors::save(&weights, &file).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_whose_files_are_deleted_answers_from_memory_and_says_so() {
    let served = Served::start(&[], &[]);
    let mut client = Client::of(&served).await;
    assert_eq!(client.ask(0).await.degradations, Vec::<String>::new());
    let weights = served.model().join("model.safetensors");
    let away = served.model().join("away");
    fs::rename(&weights, &away).unwrap();
    let answer = client.ask_until(&["model_files_missing"]).await;
    assert!(answer.category.is_some(), "the model is in memory");
    assert_eq!(client.health("").await, ServingStatus::Serving);
    fs::rename(&away, &weights).unwrap();
    client.ask_until(&[]).await;
    assert!(served.terminate().iter().any(|line| line.contains("the model is back")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_without_its_model_answers_by_rules_until_the_model_comes() {
    let served = Served::start_with(tempfile::tempdir().unwrap(), &[], &[]);
    let mut client = Client::of(&served).await;
    let answer = client.ask(0).await;
    assert_eq!(answer.degradations, ["model_missing"]);
    assert!(answer.category.is_none() && answer.model.is_empty());
    assert!(answer.rules.iter().any(|rule| !rule.clause.is_empty()), "{answer:?}");
    assert!(answer.risk_alarms.iter().all(|alarm| GAS.contains(&alarm.text)), "{answer:?}");
    let decision = answer.decision.unwrap();
    assert_eq!((decision.action(), decision.reasons[0].code.as_str()), (DecisionAction::Review, "no_model"));
    assert!(client.calls.get_model(GetModelRequest {}).await.unwrap().into_inner().model.is_none());
    assert_eq!(client.health("").await, ServingStatus::Serving, "it does answer");
    client.wait_for_model_health(ServingStatus::NotServing).await;

    write_bundle(served.model(), &tiny_config());
    let answer = client.ask_until(&[]).await;
    assert!(answer.category.is_some());
    client.wait_for_model_health(ServingStatus::Serving).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_fails_leaves_the_answers_to_the_rules_until_it_is_mended() {
    let model = tempfile::tempdir().unwrap();
    write_bundle(model.path(), &tiny_config());
    spoil(model.path());
    let served = Served::start_with(model, &[], &[]);
    let mut client = Client::of(&served).await;
    let answer = client.ask_until(&["model_failed"]).await;
    assert!(answer.category.is_none());
    assert_eq!(client.health("").await, ServingStatus::Serving);
    write_bundle(served.model(), &tiny_config());
    let answer = client.ask_until(&[]).await;
    assert!(answer.category.is_some());
    client.wait_for_model_health(ServingStatus::Serving).await;
}
