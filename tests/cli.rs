//! The program as its user sees it: exit status, standard output, standard error.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use assert_cmd::Command;
use serde_json::Value;

fn jiesu(args: &[&str]) -> Command {
    let mut command = Command::cargo_bin("jiesu").unwrap();
    for variable in ["JIESU_MODEL", "JIESU_TAXONOMY", "JIESU_DIRECTORY", "JIESU_LISTEN", "RUST_LOG"] {
        command.env_remove(variable);
    }
    command.args(args);
    command
}

fn classify_json(args: &[&str], stdin: &[u8]) -> (Vec<Value>, i32, String) {
    let output = jiesu(&["classify", "--json"]).args(args).write_stdin(stdin).output().unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    let objects = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (objects, output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn the_first_example_is_a_matter_of_housing_in_both_scripts() {
    let texts = ["小区物业乱收停车费，业委会也不管", "小區物業亂收停車費，業委會也不管"];
    let (answers, status, _) = classify_json(&texts, b"");
    assert_eq!(status, 0);
    for answer in &answers {
        assert_eq!(answer["category"]["name"], "住房物业");
        assert_eq!(answer["departments"][0]["id"], "housing_construction");
        assert_eq!(answer["departments"][0]["role"], "lead");
    }
    assert_eq!(answers[0]["categories"], answers[1]["categories"]);
    assert_eq!(answers[0]["departments"], answers[1]["departments"]);
}

#[test]
fn the_card_names_category_lead_and_decision() {
    let output = jiesu(&["classify", "--area", "朝阳", "小区物业乱收停车费，业委会也不管"]).output().unwrap();
    let card = String::from_utf8(output.stdout).unwrap();
    for part in ["类别", "住房物业", "主办", "住建局", "属地", "朝阳区", "依据", "决定", "版本"]
    {
        assert!(card.contains(part), "{part} is not in:\n{card}");
    }
    assert!(!card.contains('\u{1b}'), "colours are for terminals");
}

#[test]
fn a_line_that_is_refused_keeps_its_place_and_the_others_are_answered() {
    let stdin = [
        b"\xe8\xb7\xaf\xe7\x81\xaf\xe5\x9d\x8f\xe4\xba\x86\n\n\xc2\xb7\xb5\xc6\n".as_slice(),
        "公交太少".as_bytes(),
    ]
    .concat();
    let (answers, status, stderr) = classify_json(&[], &stdin);
    assert_eq!(status, 1);
    assert_eq!(answers.len(), 4);
    assert!(answers[0]["category"]["id"].is_string());
    assert_eq!(answers[1]["line"], 2);
    assert!(answers[1]["error"].as_str().unwrap().contains("text: is empty"));
    assert!(answers[2]["error"].as_str().unwrap().contains("UTF-8"));
    assert!(answers[3]["category"]["id"].is_string());
    assert!(stderr.contains("line 2") && stderr.contains("line 3"), "{stderr}");
}

#[test]
fn json_has_the_names_of_the_protocol() {
    let (answers, ..) =
        classify_json(&["--top-k", "20", "--area", "海淀区", "小区物业乱收停车费，业委会也不管"], b"");
    let keys: Vec<&str> = answers[0].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, field_names("Assessment"));
    for (member, message) in [
        ("category", "Label"),
        ("decision", "Decision"),
        ("area", "AreaReference"),
        ("departments", "DepartmentSuggestion"),
        ("evidence", "EvidenceSpan"),
    ] {
        let value = &answers[0][member];
        let value = if value.is_array() { &value[0] } else { value };
        let keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, field_names(message), "{member}");
    }
}

/// Field names of a message of the protocol, in the order of their declaration.
fn field_names(message: &str) -> Vec<String> {
    use prost::Message;
    let set = prost_types::FileDescriptorSet::decode(jiesu::pb::FILE_DESCRIPTOR_SET).unwrap();
    let messages = set.file.into_iter().flat_map(|file| file.message_type);
    let fields = messages.filter(|each| each.name() == message).flat_map(|each| each.field);
    fields.map(|field| field.name().to_owned()).collect()
}

#[test]
fn what_cannot_be_done_says_what_and_what_next() {
    let refuse = |args: &[&str]| {
        let output = jiesu(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    assert_eq!(
        refuse(&["classify", "--taxonomy", "/no/such/file", "路灯坏了"]),
        "error: cannot read `/no/such/file`: No such file or directory (os error 2)\n",
        "a cause is said once"
    );
    assert!(refuse(&["classify", "--model", "/no/such/folder", "路灯坏了"]).contains("/no/such/folder"));
    assert!(refuse(&["classify", "--taxonomy", "Cargo.toml", "路灯坏了"]).contains("Cargo.toml"));
    assert!(refuse(&["classify", "--top-k", "0", "路灯坏了"]).contains("0 is not in 1..=20"));
    assert!(refuse(&["serve", "--listen", "203.0.113.1:1"]).contains("203.0.113.1:1"));
}

/// A service that does not outlive a failed test.
struct Service(std::process::Child);

impl Drop for Service {
    fn drop(&mut self) {
        // It has ended already where the test went well.
        let _ = self.0.kill();
    }
}

#[cfg(unix)]
#[test]
fn a_signal_ends_the_service_after_its_calls() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    use jiesu::pb::dispatch_service_client::DispatchServiceClient;
    use jiesu::pb::{BatchClassifyTextsRequest, ClassifyTextRequest};

    let server = Command::new(env!("CARGO_BIN_EXE_jiesu"))
        .args(["serve", "--listen", "127.0.0.1:0", "--log-format", "json", "--model", "built-in"])
        .args(["--shutdown-grace", "300"])
        .env("RUST_LOG", "jiesu=debug")
        .stderr(Stdio::piped())
        .spawn();
    let mut server = Service(server.unwrap());
    let mut log = BufReader::new(server.0.stderr.take().unwrap()).lines().map(Result::unwrap);
    let serving = log.find(|line| line.contains("\"serving\"")).unwrap();
    let serving: Value = serde_json::from_str(&serving).unwrap();
    let address = serving["fields"]["address"].as_str().unwrap().to_owned();

    let words = "小区物业乱收停车费";
    let text = ClassifyTextRequest { text: words.repeat(40), ..ClassifyTextRequest::default() };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let call = runtime.spawn(async move {
        let mut client = DispatchServiceClient::connect(format!("http://{address}")).await.unwrap();
        client.batch_classify_texts(BatchClassifyTextsRequest { requests: vec![text; 64] }).await
    });
    log.find(|line| line.contains("\"received\"") && line.contains("BatchClassifyTexts")).unwrap();
    let pid = server.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert_eq!(runtime.block_on(call).unwrap().unwrap().into_inner().results.len(), 64);
    assert!(server.0.wait().unwrap().success());

    let rest: Vec<String> = log.collect();
    let position = |part: &str| rest.iter().position(|line| line.contains(part));
    let (begun, answered) = (position("shutting down"), position("BatchClassifyTexts"));
    assert!(begun.unwrap() < answered.unwrap(), "the call was over before the signal: {rest:?}");
    assert!(position("\"shut down\"").is_some(), "{rest:?}");
    assert!(position(words).is_none(), "the citizens' words are in the log");
}
