//! The city's files, replaced while calls are answered.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::Served;
use jiesu::pb::admin_service_client::AdminServiceClient;
use jiesu::pb::dispatch_service_client::DispatchServiceClient;
use jiesu::pb::{ClassifyTextRequest, GetTaxonomyRequest, ReloadRequest};
use tonic::Code;
use tonic::transport::Channel;
use tonic_types::StatusExt;

const CALLERS: usize = 8;

/// Taxonomy and directory of a test, as files.
struct Files {
    _folder: tempfile::TempDir,
    taxonomy: PathBuf,
    directory: PathBuf,
}

impl Files {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = Self {
            taxonomy: folder.path().join("taxonomy.toml"),
            directory: folder.path().join("directory.toml"),
            _folder: folder,
        };
        files.write("one");
        files
    }

    fn write(&self, version: &str) {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        for (file, built_in) in
            [(&self.taxonomy, "taxonomy/taxonomy.toml"), (&self.directory, "dispatch/directory.toml")]
        {
            let text = fs::read_to_string(source.join(built_in)).unwrap();
            let begin = text.find("\nversion = ").unwrap() + 1;
            let end = begin + text[begin..].find('\n').unwrap();
            fs::write(file, format!("{}version = \"{version}\"{}", &text[..begin], &text[end..])).unwrap();
        }
    }

    fn serve(&self) -> Served {
        let [taxonomy, directory] = [&self.taxonomy, &self.directory].map(|file| file.to_str().unwrap());
        Served::start(&["--taxonomy", taxonomy, "--directory", directory], &[])
    }
}

/// Asks again and again until told to stop; the versions of the answers, each run of equal ones once.
async fn versions(channel: Channel, caller: usize, stop: Arc<AtomicBool>) -> (usize, Vec<String>) {
    let mut client = DispatchServiceClient::new(channel);
    let (mut calls, mut versions) = (0, Vec::new());
    while !stop.load(Ordering::Relaxed) {
        calls += 1;
        // Half of the calls are the same, and come from the cache.
        let text = format!("路灯不亮{}", if calls % 2 == 0 { 0 } else { calls * CALLERS + caller });
        let request = ClassifyTextRequest { text, ..ClassifyTextRequest::default() };
        let answer =
            client.classify_text(request).await.expect("no call fails").into_inner().assessment.unwrap();
        versions.push(format!("{} {}", answer.taxonomy_version, answer.directory_version));
        versions.dedup();
    }
    (calls, versions)
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_replaced_under_load_without_a_failed_call_and_versions_change_once() {
    let files = Files::new();
    let served = files.serve();
    let stop = Arc::new(AtomicBool::new(false));
    let channel = served.endpoint().connect().await.unwrap();
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| tokio::spawn(versions(channel.clone(), caller, Arc::clone(&stop))))
        .collect();
    tokio::time::sleep(Duration::from_millis(500)).await;
    files.write("two");
    let reloaded = AdminServiceClient::new(channel).reload(ReloadRequest {}).await.unwrap().into_inner();
    assert_eq!((reloaded.taxonomy_version.as_str(), reloaded.directory_version.as_str()), ("two", "two"));
    tokio::time::sleep(Duration::from_millis(500)).await;
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        let (calls, versions) = caller.await.unwrap();
        assert!(calls > 10, "{calls}");
        assert_eq!(versions, ["one one", "two two"]);
    }
    served.terminate();
}

#[tokio::test]
async fn a_hangup_reads_the_files_again() {
    let files = Files::new();
    let served = files.serve();
    files.write("two");
    served.signal("-HUP");
    let mut client = DispatchServiceClient::new(served.endpoint().connect().await.unwrap());
    let changed = async {
        loop {
            let taxonomy = client.get_taxonomy(GetTaxonomyRequest {}).await.unwrap().into_inner();
            if (taxonomy.taxonomy_version.as_str(), taxonomy.directory_version.as_str()) == ("two", "two") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), changed).await.unwrap();
}

#[tokio::test]
async fn a_faulty_file_is_refused_with_every_fault_and_the_old_one_stays() {
    let files = Files::new();
    let served = files.serve();
    let text = fs::read_to_string(&files.directory).unwrap();
    fs::write(&files.directory, text.replace("lead = \"fire\"", "lead = \"fires\"")).unwrap();
    let channel = served.endpoint().connect().await.unwrap();
    let status = AdminServiceClient::new(channel.clone()).reload(ReloadRequest {}).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    let violations = status.get_details_precondition_failure().unwrap().violations;
    assert!(violations.len() > 1, "{violations:?}");
    assert!(violations[0].description.contains("unknown department `fires`; is `fire` meant?"));
    assert!(violations[0].subject.contains("directory.toml:"), "{violations:?}");
    let taxonomy =
        DispatchServiceClient::new(channel).get_taxonomy(GetTaxonomyRequest {}).await.unwrap().into_inner();
    assert_eq!(taxonomy.directory_version, "one");
}
