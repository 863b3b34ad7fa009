//! Who may call a service that others can reach, from the files of its operators to the answers of its callers.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;
#[path = "listening/service.rs"]
mod service;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use common::Served;
use jiesu::client::{Connection, Connector, Credentials};
use jiesu::pb::admin_service_client::AdminServiceClient;
use jiesu::pb::dispatch_service_client::DispatchServiceClient;
use jiesu::pb::record_service_client::RecordServiceClient;
use jiesu::pb::{ClassifyTextRequest, ListCorrectionsRequest, ReloadRequest};
use service::{Authority, Issued};
use tempfile::TempDir;
use tonic::{Code, Status};

/// Longer than a service takes to notice that a file has changed.
const NOTICE: Duration = Duration::from_secs(20);

fn jiesu(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_jiesu")).args(arguments).output().unwrap()
}

fn said(output: &[u8]) -> String {
    String::from_utf8(output.to_vec()).unwrap()
}

/// The files of who runs a service.
struct Operator {
    folder: TempDir,
    authority: Authority,
}

impl Operator {
    fn new() -> Self {
        let operator = Self { folder: tempfile::tempdir().unwrap(), authority: Authority::new() };
        fs::write(operator.file("ca.pem"), operator.authority.pem()).unwrap();
        operator.write_server(&operator.authority.issue("localhost"));
        operator
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn name(&self, name: &str) -> String {
        self.file(name).display().to_string()
    }

    /// Puts a certificate and its key in place, one after the other as people do.
    fn write_server(&self, Issued { certificate, key }: &Issued) {
        fs::write(self.file("server.pem"), certificate).unwrap();
        fs::write(self.file("server.key"), key).unwrap();
    }

    fn write_client(&self) {
        let Issued { certificate, key } = self.authority.issue("intake");
        fs::write(self.file("client.pem"), certificate).unwrap();
        fs::write(self.file("client.key"), key).unwrap();
    }

    fn add_key(&self, id: &str, more: &[&str]) -> String {
        let added = jiesu(&[&["keys", "add", &self.name("keys.toml"), "--id", id], more].concat());
        assert!(added.status.success(), "{}", said(&added.stderr));
        said(&added.stdout).trim().to_owned()
    }

    /// Takes the first key out of the file.
    fn remove_first_key(&self) {
        let text = fs::read_to_string(self.file("keys.toml")).unwrap();
        let second = text.rfind("[[key]]").unwrap();
        fs::write(self.file("keys.toml"), &text[second..]).unwrap();
    }

    fn tls(&self) -> [String; 4] {
        ["--tls-cert".to_owned(), self.name("server.pem"), "--tls-key".to_owned(), self.name("server.key")]
    }

    fn serve(&self, arguments: &[&str]) -> Served {
        let mut all: Vec<String> = self.tls().to_vec();
        all.extend(arguments.iter().map(ToString::to_string));
        Served::start(&all.iter().map(String::as_str).collect::<Vec<_>>(), &[])
    }

    fn connector(&self, served: &Served, key: Option<&str>, with_certificate: bool) -> Connector {
        let credentials = Credentials {
            ca: Some(self.file("ca.pem")),
            identity: with_certificate.then(|| (self.file("client.pem"), self.file("client.key"))),
            api_key: key.map(str::to_owned),
        };
        Connector::new(&uri(served).parse().unwrap(), &credentials).unwrap()
    }

    async fn connect(&self, served: &Served, key: Option<&str>) -> Connection {
        self.connector(served, key, false).connect().await.unwrap()
    }
}

fn uri(served: &Served) -> String {
    let port = served.address("serving").rsplit_once(':').unwrap().1;
    format!("https://localhost:{port}")
}

async fn classify(connection: Connection) -> Result<(), Status> {
    let request =
        ClassifyTextRequest { text: "小区路灯不亮".to_owned(), ..ClassifyTextRequest::default() };
    DispatchServiceClient::new(connection).classify_text(request).await.map(drop)
}

async fn until(code: Code, connection: &Connection) {
    let asked = async {
        while classify(connection.clone()).await.err().map(|status| status.code()) != Some(code) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(NOTICE, asked).await.expect("the service never notices");
}

#[test]
fn refuses_to_be_reached_by_others_unless_told_to() {
    let refused = jiesu(&["serve", "--listen", "0.0.0.0:0"]);
    assert_eq!(refused.status.code(), Some(2));
    let told = said(&refused.stderr);
    assert!(told.contains("without TLS and API keys") && told.contains("--allow-insecure-listen"), "{told}");

    let operator = Operator::new();
    let tls = operator.tls();
    let arguments = [&["serve", "--listen", "0.0.0.0:0"], &tls.each_ref().map(String::as_str)[..]].concat();
    let told = said(&jiesu(&arguments).stderr);
    assert!(told.contains("without API keys: whoever reaches it may call"), "{told}");

    let served = Served::start(&["--listen", "0.0.0.0:0", "--allow-insecure-listen"], &[]);
    served.terminate();
    let ca = operator.name("ca.pem");
    operator.serve(&["--listen", "0.0.0.0:0", "--tls-client-ca", &ca]).terminate();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_good_for_its_scopes_until_it_is_removed() {
    let operator = Operator::new();
    let intake = operator.add_key("intake-1", &["--scope", "classify"]);
    let admin = operator.add_key("operators", &["--scope", "admin", "--scope", "correct"]);
    let served = operator.serve(&["--keys", &operator.name("keys.toml")]);

    let nobody = operator.connect(&served, None).await;
    assert_eq!(classify(nobody).await.unwrap_err().code(), Code::Unauthenticated);
    let wrong = operator.connect(&served, Some(&intake.replace("jiesu_", "jiesu-"))).await;
    assert_eq!(classify(wrong).await.unwrap_err().code(), Code::Unauthenticated);

    let [intake, admin] = [&intake, &admin].map(|key| operator.connector(&served, Some(key), false));
    let (intake, admin) = (intake.connect().await.unwrap(), admin.connect().await.unwrap());
    classify(intake.clone()).await.unwrap();
    assert_eq!(classify(admin.clone()).await.unwrap_err().code(), Code::PermissionDenied);
    let reload = AdminServiceClient::new(intake.clone()).reload(ReloadRequest {}).await;
    assert_eq!(reload.unwrap_err().code(), Code::PermissionDenied);
    AdminServiceClient::new(admin.clone()).reload(ReloadRequest {}).await.unwrap();
    // Let in, and only then told that nothing is kept here.
    let listed = RecordServiceClient::new(admin).list_corrections(ListCorrectionsRequest::default()).await;
    assert_eq!(listed.unwrap_err().code(), Code::FailedPrecondition);

    operator.remove_first_key();
    until(Code::Unauthenticated, &intake).await;
    let log = served.terminate().join("\n");
    assert!(log.contains("\"key\":\"intake-1\""), "{log}");
    assert!(!log.contains("jiesu_"), "a key is in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_calls_no_more_often_than_it_may() {
    let operator = Operator::new();
    let limits = ["--scope", "classify", "--requests-per-second", "1", "--burst", "3"];
    let key = operator.add_key("intake-1", &limits);
    let served = operator.serve(&["--keys", &operator.name("keys.toml")]);
    let connection = operator.connect(&served, Some(&key)).await;
    for _ in 0..3 {
        classify(connection.clone()).await.unwrap();
    }
    let refused = classify(connection).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(refused.message().contains("`intake-1` calls more often than it may"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_mutual_tls_callers_need_a_certificate_of_the_authority() {
    let operator = Operator::new();
    operator.write_client();
    let served = operator.serve(&["--tls-client-ca", &operator.name("ca.pem")]);
    classify(operator.connector(&served, None, true).connect().await.unwrap()).await.unwrap();
    // In TLS 1.3 a client hears of the refusal only when it says something.
    let failed = match operator.connector(&served, None, false).connect().await {
        Ok(connection) => classify(connection).await.is_err(),
        Err(_) => true,
    };
    assert!(failed);
    let stranger = Operator::new();
    stranger.write_client();
    fs::copy(operator.file("ca.pem"), stranger.file("ca.pem")).unwrap();
    let failed = match stranger.connector(&served, None, true).connect().await {
        Ok(connection) => classify(connection).await.is_err(),
        Err(_) => true,
    };
    assert!(failed);
}

#[test]
fn health_is_told_without_a_key_over_tls_and_sockets() {
    let operator = Operator::new();
    operator.add_key("intake-1", &["--scope", "classify"]);
    let socket = format!("unix:{}", operator.name("jiesu.sock"));
    let served = operator.serve(&["--keys", &operator.name("keys.toml"), "--listen", &socket]);
    let ca = operator.name("ca.pem");
    let healthy = jiesu(&["health", "--endpoint", &uri(&served), "--ca", &ca]);
    assert_eq!((healthy.status.code(), said(&healthy.stdout).trim()), (Some(0), "SERVING"));
    let healthy = jiesu(&["health", "--endpoint", &socket, "--service", "model"]);
    assert_eq!((healthy.status.code(), said(&healthy.stdout).trim()), (Some(0), "SERVING"));

    let stranger = Operator::new();
    let refused = jiesu(&["health", "--endpoint", &uri(&served), "--ca", &stranger.name("ca.pem")]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused.stderr).contains("invalid peer certificate"), "{}", said(&refused.stderr));
    served.terminate();
    assert!(!operator.file("jiesu.sock").exists());
    let gone = jiesu(&["health", "--endpoint", &socket]);
    assert_eq!(gone.status.code(), Some(1));
    assert!(said(&gone.stderr).contains("is `jiesu serve` running there?"), "{}", said(&gone.stderr));
}

#[test]
fn starts_with_no_certificate_that_callers_would_refuse() {
    let operator = Operator::new();
    let tls = operator.tls();
    let serve = || {
        let arguments =
            [&["serve", "--listen", "127.0.0.1:0"], &tls.each_ref().map(String::as_str)[..]].concat();
        let output = jiesu(&arguments);
        assert_eq!(output.status.code(), Some(2));
        said(&output.stderr)
    };
    let day = time::Duration::days(1);
    let expired = operator.authority.issue_until("localhost", time::OffsetDateTime::now_utc() - day);
    operator.write_server(&expired);
    assert!(serve().contains("expired"), "{}", serve());
    operator.write_server(&operator.authority.issue("localhost"));
    fs::write(operator.file("server.key"), operator.authority.issue("localhost").key).unwrap();
    assert!(serve().contains("server.key"), "{}", serve());
    let keys = operator.name("keys.toml");
    fs::write(&keys, "[[key]]\nid = \"a\"\nsha256 = \"hunter2\"\nscopes = [\"classify\"]\n").unwrap();
    let refused = jiesu(&["serve", "--listen", "127.0.0.1:0", "--keys", &keys]);
    let told = said(&refused.stderr);
    assert!(told.contains("keys.toml:3") && !told.contains("hunter2"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_and_keys_are_replaced_under_load_without_a_failed_call() {
    let operator = Arc::new(Operator::new());
    let old = operator.add_key("intake-old", &["--scope", "classify"]);
    let served = Arc::new(operator.serve(&["--keys", &operator.name("keys.toml")]));
    let (stop, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let key = Arc::new(std::sync::Mutex::new(old.clone()));
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let (operator, served, key) = (Arc::clone(&operator), Arc::clone(&served), Arc::clone(&key));
            let (stop, calls) = (Arc::clone(&stop), Arc::clone(&calls));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let now = key.lock().unwrap().clone();
                    // New connections see new certificates, calls on old ones go on.
                    let connection = operator.connect(&served, Some(&now)).await;
                    for _ in 0..20 {
                        classify(connection.clone()).await.unwrap();
                        calls.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        })
        .collect();
    let pause = Duration::from_millis(300);
    for round in 0..3 {
        tokio::time::sleep(pause).await;
        operator.write_server(&operator.authority.issue("localhost"));
        let new = operator.add_key(&format!("intake-{round}"), &["--scope", "classify"]);
        served.signal("-HUP");
        let connection = operator.connect(&served, Some(&new)).await;
        let known = async {
            while classify(connection.clone()).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(NOTICE, known).await.unwrap();
        let old = std::mem::replace(&mut *key.lock().unwrap(), new);
        // Those who began with the old one finish with it.
        tokio::time::sleep(2 * pause).await;
        let before = operator.connect(&served, Some(&old)).await;
        operator.remove_first_key();
        served.signal("-HUP");
        until(Code::Unauthenticated, &before).await;
    }
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }
    assert!(calls.load(Ordering::Relaxed) > 100, "{calls:?} calls are no load");
}
