//! Corrections and decisions over the wire, and what the command line makes of them.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::path::Path;
use std::time::Duration;

use common::Served;
use jiesu::pb::dispatch_service_client::DispatchServiceClient;
use jiesu::pb::record_service_client::RecordServiceClient;
use jiesu::pb::{
    Assignment, ClassifyTextRequest, Correction, CorrectionReason, DecisionRecord, ListCorrectionsRequest,
    ListDecisionsRequest, RecordCorrectionRequest,
};
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_types::StatusExt;

struct Client {
    calls: DispatchServiceClient<Channel>,
    records: RecordServiceClient<Channel>,
}

impl Client {
    async fn of(served: &Served) -> Self {
        let channel = served.endpoint().connect().await.unwrap();
        Self {
            calls: DispatchServiceClient::new(channel.clone()),
            records: RecordServiceClient::new(channel),
        }
    }

    async fn classify(&mut self, request_id: &str, text: &str) {
        let (text, request_id) = (text.to_owned(), request_id.to_owned());
        let request = ClassifyTextRequest { text, request_id, ..ClassifyTextRequest::default() };
        self.calls.classify_text(request).await.unwrap();
    }

    /// The decisions on a request, once there are so many: the log is written behind the answers.
    async fn wait_for_decisions(&mut self, request_id: &str, count: usize) -> Vec<DecisionRecord> {
        let request = ListDecisionsRequest { request_id: request_id.to_owned() };
        let found = async {
            loop {
                let listed =
                    self.records.list_decisions(request.clone()).await.unwrap().into_inner().decisions;
                if listed.len() >= count {
                    return listed;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), found).await.expect("the log is never written")
    }

    /// Whether the correction had been recorded before.
    async fn record(&mut self, correction: Correction) -> Result<bool, Status> {
        let request = RecordCorrectionRequest { correction: Some(correction) };
        Ok(self.records.record_correction(request).await?.into_inner().known)
    }
}

/// Whether a file of the folder holds these words.
fn on_disk(folder: &Path, words: &str) -> bool {
    std::fs::read_dir(folder).unwrap().any(|file| {
        let content = std::fs::read(file.unwrap().path()).unwrap();
        content.windows(words.len()).any(|bytes| bytes == words.as_bytes())
    })
}

fn serve(records: &Path) -> Served {
    Served::start(&["--records", records.to_str().unwrap()], &[])
}

fn correction(request_id: &str, lead: &str) -> Correction {
    Correction {
        request_id: request_id.to_owned(),
        decided: Some(Assignment {
            category: "urban_management".to_owned(),
            lead: lead.to_owned(),
            ..Assignment::default()
        }),
        decided_by: "operator-7".to_owned(),
        reason: CorrectionReason::DutyMismatch.into(),
        ..Correction::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_correction_is_recorded_once_with_what_was_suggested_and_without_personal_data() {
    let folder = tempfile::tempdir().unwrap();
    let served = serve(folder.path());
    let mut client = Client::of(&served).await;
    client.classify("r1", "路灯不亮").await;
    let recorded = Correction {
        text: "路灯不亮，请打13800138000".to_owned(),
        note: "机主13800138000".to_owned(),
        ..correction("r1", "urban_management")
    };
    client.wait_for_decisions("r1", 1).await;
    assert!(!client.record(recorded.clone()).await.unwrap());
    assert!(client.record(recorded.clone()).await.unwrap(), "known by now");
    client.classify("r1", "楼道里燃气泄漏").await;
    client.wait_for_decisions("r1", 2).await;
    assert!(client.record(recorded.clone()).await.unwrap(), "whatever was suggested since");
    let status = client.record(Correction { decided_by: "other".to_owned(), ..recorded }).await.unwrap_err();
    assert_eq!(status.code(), Code::AlreadyExists);
    assert!(status.message().contains("differs in `decided_by`"), "{status}");

    let listed =
        client.records.list_corrections(ListCorrectionsRequest::default()).await.unwrap().into_inner();
    let [only] = listed.corrections.as_slice() else { panic!("{listed:?}") };
    assert_eq!(only.text, "路灯不亮，请打***********");
    assert!(!only.note.contains("138"));
    assert!(!only.suggested.as_ref().unwrap().lead.is_empty(), "from the log of decisions");
    assert!(!only.model_revision.is_empty());
    served.terminate();
    assert!(!on_disk(folder.path(), "13800138000"), "nowhere on disk");
    assert!(on_disk(folder.path(), "operator-7"), "which is looked for in the right place");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_can_be_looked_up_but_not_the_words() {
    let folder = tempfile::tempdir().unwrap();
    let served = serve(folder.path());
    let mut client = Client::of(&served).await;
    client.classify("gas", "楼道里燃气泄漏").await;
    let decision = client.wait_for_decisions("gas", 1).await.remove(0);
    assert_eq!(decision.text_sha256.len(), 64);
    assert!(decision.risk_alarms.iter().any(|alarm| alarm.starts_with("life_safety:")), "{decision:?}");
    assert!(decision.reasons.contains(&"high_risk".to_owned()), "{decision:?}");
    assert!(!decision.suggested.unwrap().lead.is_empty() && !decision.directory_version.is_empty());
    served.terminate();
    assert!(!on_disk(folder.path(), "泄漏"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_a_correction_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let served = serve(folder.path());
    let mut client = Client::of(&served).await;
    let faulty = Correction { reason: 9, decided_by: String::new(), ..correction("", "mayor") };
    let status = client.record(faulty).await.unwrap_err();
    let fields = |status: &Status| -> Vec<String> {
        let violations = status.get_details_bad_request().unwrap().field_violations;
        violations.into_iter().map(|violation| violation.field).collect()
    };
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(fields(&status), ["decided.lead", "reason", "request_id", "decided_by"]);
    let wrong =
        ListCorrectionsRequest { page_size: Some(0), page_token: "x".to_owned(), ..Default::default() };
    let status = client.records.list_corrections(wrong).await.unwrap_err();
    assert_eq!(fields(&status), ["page_size", "page_token"]);
    let status = client.records.list_decisions(ListDecisionsRequest::default()).await.unwrap_err();
    assert_eq!(fields(&status), ["request_id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_without_a_folder_for_records_says_how_to_get_one() {
    let served = Served::start(&[], &[]);
    let status = Client::of(&served).await.record(correction("r1", "fire")).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert!(status.message().contains("--records DIR"), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_before_a_kill_is_there_once_and_can_be_exported() {
    const CALLERS: usize = 16;
    let folder = tempfile::tempdir().unwrap();
    let served = serve(folder.path());
    let channel = served.endpoint().connect().await.unwrap();
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let mut records = RecordServiceClient::new(channel.clone());
            tokio::spawn(async move {
                let mut acknowledged = Vec::new();
                for number in 0.. {
                    let id = format!("{caller}-{number}");
                    let correction =
                        Correction { text: "路灯不亮".to_owned(), ..correction(&id, "fire") };
                    let request = RecordCorrectionRequest { correction: Some(correction) };
                    if records.record_correction(request).await.is_err() {
                        break;
                    }
                    acknowledged.push(id);
                }
                acknowledged
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(700)).await;
    served.signal("-KILL");
    let mut acknowledged = Vec::new();
    for caller in callers {
        acknowledged.extend(caller.await.unwrap());
    }
    assert!(acknowledged.len() > CALLERS, "{}", acknowledged.len());

    let records = folder.path().to_str().unwrap();
    let output = assert_cmd::Command::cargo_bin("jiesu")
        .unwrap()
        .args(["corrections", "export", "--records", records])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let rows = String::from_utf8(output.stdout).unwrap();
    let mut ids: Vec<String> = rows
        .lines()
        .map(|row| serde_json::from_str::<serde_json::Value>(row).unwrap()["id"].as_str().unwrap().to_owned())
        .collect();
    let stored = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), stored, "none twice");
    assert!(acknowledged.iter().all(|id| ids.binary_search(id).is_ok()), "every acknowledged one");
    let report = assert_cmd::Command::cargo_bin("jiesu")
        .unwrap()
        .args(["corrections", "report", "--records", records])
        .output()
        .unwrap();
    let report = String::from_utf8(report.stdout).unwrap();
    assert!(report.starts_with(&format!("{stored} corrections")), "{report}");
}
