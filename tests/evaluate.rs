//! `jiesu evaluate` and `jiesu compare` as their user sees them: figures, reports, gates, and a service that is asked.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use common::{Served, tiny_config, write_bundle};
use serde_json::Value;

/// Rows that a tiny model answers somehow; more of the first label than of the others.
fn rows(folder: &Path) -> PathBuf {
    let texts = ["路灯不亮", "小区物业乱收费", "公交不亮", "ab,路灯", "物业,公交", "收费。小区"];
    let labels = ["utilities", "housing", "住房物业", "transport"];
    let line = |row: usize| {
        let (text, label) = (texts[row % texts.len()], labels[row * row % labels.len()]);
        let (lead, area) = (["housing_construction", "education"][row % 2], ["东区", "西区"][row / 40]);
        format!("r{row},\"{text}{}\",{label},{lead},{area},housing_construction; education\n", row / 7)
    };
    let content: String = (0..48).map(line).collect();
    let path = folder.join("rows.csv");
    fs::write(&path, format!("id,text,label,lead,区,help\n{content}")).unwrap();
    path
}

struct Outcome {
    status: i32,
    stdout: String,
    stderr: String,
}

fn jiesu(args: &[&str]) -> Outcome {
    let mut command = Command::cargo_bin("jiesu").unwrap();
    for variable in
        ["JIESU_MODEL", "JIESU_QUANTIZE", "JIESU_TAXONOMY", "JIESU_DIRECTORY", "JIESU_RISK_RULES", "RUST_LOG"]
    {
        command.env_remove(variable);
    }
    let output = command.args(args).output().unwrap();
    Outcome {
        status: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The arguments that evaluate the categories of some rows, with few resamples.
fn category(rows: &Path) -> Vec<&str> {
    let rows = rows.to_str().unwrap();
    vec!["evaluate", rows, "--head", "category", "--label-column", "label", "--resamples", "100"]
}

fn report(args: &[&str]) -> Value {
    let outcome = jiesu(&[args, &["--json"]].concat());
    assert_eq!(outcome.status, 0, "{}", outcome.stderr);
    serde_json::from_str(&outcome.stdout).unwrap()
}

fn figure<'a>(report: &'a Value, id: &str) -> &'a Value {
    report["figures"].as_array().unwrap().iter().find(|figure| figure["id"] == id).unwrap()
}

fn ids(report: &Value) -> Vec<&str> {
    report["figures"].as_array().unwrap().iter().map(|figure| figure["id"].as_str().unwrap()).collect()
}

#[test]
fn figures_of_the_built_in_model_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let rows = folder.path().join("rows.csv");
    let csv =
        "text,label\n小区物业乱收停车费，业委会也不管,housing\n公司拖欠我三个月工资,劳动社保\n没有标签,\n";
    fs::write(&rows, csv).unwrap();
    let report = report(&category(&rows));
    assert_eq!(report["schema_version"], 1);
    assert_eq!(report["what"]["rows"], 2);
    assert_eq!(report["what"]["rows_without_label"], 1);
    assert_eq!(figure(&report, "accuracy")["value"], 1.0);
    assert_eq!(report["labels"].as_array().unwrap().len(), 20);

    let outcome = jiesu(&["evaluate", rows.to_str().unwrap(), "--label-column", "label"]);
    assert_eq!(outcome.status, 2);
    assert!(outcome.stderr.contains("choose one with `--head`"), "{}", outcome.stderr);
}

#[test]
fn a_service_and_the_model_in_process_agree_exactly() {
    let folder = tempfile::tempdir().unwrap();
    let rows = rows(folder.path());
    let served = Served::start(&[], &[]);
    let endpoint = format!("http://{}", served.address("serving"));
    let model = served.model().to_str().unwrap();
    let heads = [
        ("category", "label", "model"),
        ("category", "label", "all"),
        ("department", "lead", "all"),
        ("department", "lead", "model"),
    ];
    for (head, label, by) in heads {
        let run = |from: [&str; 2], name: &str| {
            let to = folder.path().join(name);
            let asked =
                ["evaluate", rows.to_str().unwrap(), "--head", head, "--label-column", label, "--by", by];
            let more = ["--resamples", "100", "--slice", "区", "--report", to.to_str().unwrap()];
            let outcome = jiesu(&[&asked[..], &more, &from].concat());
            assert_eq!(outcome.status, 0, "{}", outcome.stderr);
            let read = |file: &str| fs::read_to_string(to.join(file)).unwrap();
            let mut report: Value = serde_json::from_str(&read("report.json")).unwrap();
            report["what"] = Value::Null;
            (report, read("predictions.jsonl").lines().skip(1).map(str::to_owned).collect::<Vec<_>>())
        };
        let in_process = run(["--model", model], "a");
        let at_service = run(["--endpoint", &endpoint], "b");
        assert_eq!(in_process.1, at_service.1, "{head} by {by}: every probability, to the bit");
        assert_eq!(in_process.0, at_service.0, "{head} by {by}: the whole report");
        assert!(!in_process.0["errors"][0]["text"].as_str().unwrap().is_empty());
    }
    served.terminate();
}

#[test]
fn a_service_that_cannot_be_asked_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let rows = rows(folder.path());
    let ask = |more: &[&str]| {
        let outcome = jiesu(&[&category(&rows)[..], more].concat());
        assert_eq!(outcome.status, 2, "{}", outcome.stdout);
        outcome.stderr
    };
    let nobody = ask(&["--endpoint", "http://127.0.0.1:1"]);
    assert!(nobody.contains("cannot reach `http://127.0.0.1:1`"), "{nobody}");
    assert!(nobody.contains("hint: is `jiesu serve` running there?"), "{nobody}");
    let served = Served::start(&[], &[]);
    let endpoint = format!("http://{}", served.address("serving"));
    assert!(ask(&["--endpoint", &endpoint, "--by", "rules"]).contains("does not answer by `rules` alone"));
    let page = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("http://{}", page.local_addr().unwrap());
    std::thread::spawn(move || drop(page.accept()));
    let closed = ask(&["--endpoint", &nobody]);
    assert!(closed.contains("\nhint: is "), "{closed}");
    let taxonomy = folder.path().join("taxonomy.toml");
    let built_in = fs::read_to_string("src/taxonomy/taxonomy.toml").unwrap();
    let version = built_in.lines().find(|line| line.starts_with("version")).unwrap();
    fs::write(&taxonomy, built_in.replace(version, "version = \"other\"")).unwrap();
    let other = ask(&["--endpoint", &endpoint, "--taxonomy", taxonomy.to_str().unwrap()]);
    assert!(
        other.contains("and this is other") && other.contains("hint: name the service's file"),
        "{other}"
    );
    served.terminate();
}

#[test]
fn what_the_whole_pipeline_does_is_measured_too() {
    let folder = tempfile::tempdir().unwrap();
    let rows = rows(folder.path());
    let model = folder.path().join("model");
    write_bundle(&model, &tiny_config());
    let of_category =
        report(&[&category(&rows)[..], &["--by", "all", "--model", model.to_str().unwrap()]].concat());
    assert!(ids(&of_category).contains(&"acceptance_rate"));
    let asked = ["evaluate", rows.to_str().unwrap(), "--head", "department", "--label-column", "lead"];
    let by_all = ["--by", "all", "--supporting-column", "help", "--resamples", "100"];
    let of_leads = report(&[&asked[..], &by_all, &["--model", model.to_str().unwrap()]].concat());
    let recall = figure(&of_leads, "supporting_recall")["value"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&recall));
    assert_eq!(figure(&of_leads, "accuracy")["name"], "lead right (top 1)");
    let by_rules = ["--by", "rules", "--resamples", "100", "--model", model.to_str().unwrap()];
    let by_rules = report(&[&asked[..], &by_rules].concat());
    assert!(!ids(&by_rules).contains(&"log_loss"), "what rules give is no distribution");
    let outcome = jiesu(&[&asked[..], &["--supporting-column", "help"]].concat());
    assert!(outcome.stderr.contains("hint: write `--by all`"), "{}", outcome.stderr);
}

#[test]
fn a_report_holds_page_figures_and_predictions() {
    let folder = tempfile::tempdir().unwrap();
    let (rows, to) = (rows(folder.path()), folder.path().join("a/report"));
    let outcome =
        jiesu(&[&category(&rows)[..], &["--slice", "区", "--report", to.to_str().unwrap()]].concat());
    assert_eq!(outcome.status, 0, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("the report is "), "{}", outcome.stderr);
    let page = fs::read_to_string(to.join("report.html")).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("东区") && page.contains("<mark"));
    let json = fs::read_to_string(to.join("report.json")).unwrap();
    let data = jiesu::eval::report::ReportData::from_json(&json).unwrap();
    assert_eq!(data.what.rows, 48);
    let slices: Vec<_> =
        data.slices.iter().map(|slice| (slice.value.as_str(), slice.rows, slice.small)).collect();
    assert!(slices.contains(&("西区", 8, true)), "{slices:?}");
    let predictions = fs::read_to_string(to.join("predictions.jsonl")).unwrap();
    assert_eq!(predictions.lines().count(), 49);
    assert!(!predictions.contains("路灯"), "no citizen's word");
}

#[test]
fn a_gate_passes_fails_or_cannot_be_judged() {
    let folder = tempfile::tempdir().unwrap();
    let (rows, file) = (rows(folder.path()), folder.path().join("gate.toml"));
    let gate = |bounds: &str| {
        fs::write(&file, bounds).unwrap();
        jiesu(&[&category(&rows)[..], &["--gate", file.to_str().unwrap()]].concat())
    };
    let passes = gate("[[bound]]\nfigure = \"accuracy\"\nat_least = 0.001\nof = \"value\"\n");
    assert_eq!(passes.status, 0, "{}", passes.stderr);
    assert!(passes.stderr.contains("passed: 1 of 1 bound is met"), "{}", passes.stderr);
    let fails = gate("[[bound]]\nfigure = \"accuracy\"\nat_least = 0.999\n");
    assert_eq!(fails.status, 1, "{}", fails.stderr);
    assert!(fails.stderr.contains("not passed: 1 of 1 bound is missed"), "{}", fails.stderr);
    let unknown = gate("[[bound]]\nfigure = \"acuracy\"\nat_least = 0.9\n");
    assert_eq!(unknown.status, 2);
    assert!(unknown.stderr.contains("is `accuracy` meant?"), "{}", unknown.stderr);
    let malformed = gate("[[bound]]\nfigure = \"accuracy\"\nat_last = 0.9\n[[bound]\n");
    assert_eq!(malformed.status, 2);
    assert!(malformed.stderr.contains("gate.toml:"), "{}", malformed.stderr);
    assert!(malformed.stdout.is_empty(), "before anything is asked");
    let chinese = gate("[[bound]]\nfigure = \"accuracy\"\nslice = { 区 = \"东区\" }\nat_least = 0.9\n");
    assert!(chinese.stderr.contains("gate.toml:3: "), "{}", chinese.stderr);
    assert!(chinese.stderr.contains("a Chinese key stands in quotes"), "{}", chinese.stderr);
    let unsliced = gate("[[bound]]\nfigure = \"accuracy\"\nslice = { \"区\" = \"东区\" }\nat_least = 0.9\n");
    assert_eq!(unsliced.status, 2);
    assert!(unsliced.stderr.contains("hint: add `--slice 区`"), "{}", unsliced.stderr);
}

#[cfg(unix)]
#[test]
fn a_reader_who_has_seen_enough_does_not_pass_a_model() {
    let folder = tempfile::tempdir().unwrap();
    let (rows, gate) = (rows(folder.path()), folder.path().join("gate.toml"));
    fs::write(&gate, "[[bound]]\nfigure = \"accuracy\"\nat_least = 0.999\n").unwrap();
    let evaluate = std::process::Command::new(env!("CARGO_BIN_EXE_jiesu"))
        .args(category(&rows))
        .args(["--model", "built-in", "--gate", gate.to_str().unwrap()])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn();
    let mut evaluate = evaluate.unwrap();
    drop(evaluate.stdout.take());
    assert_eq!(evaluate.wait_with_output().unwrap().status.code(), Some(1));
}

#[test]
fn two_models_two_directories_or_two_reports_are_compared() {
    let folder = tempfile::tempdir().unwrap();
    let rows = rows(folder.path());
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let model = path("model");
    write_bundle(Path::new(&model), &tiny_config());
    let few = ["--resamples", "100"];
    for (name, model) in [("a", model.as_str()), ("b", "built-in")] {
        let to = path(name);
        let outcome = jiesu(&[&category(&rows)[..], &["--report", &to, "--model", model]].concat());
        assert_eq!(outcome.status, 0, "{}", outcome.stderr);
    }
    let (a, b) = (path("a"), path("b"));
    let saved = jiesu(&[&["compare", &a, &b], &few[..]].concat());
    assert_eq!(saved.status, 0, "{}", saved.stderr);
    assert!(saved.stdout.starts_with("B is "), "{}", saved.stdout);

    let input = ["--input", rows.to_str().unwrap(), "--label-column", "label", "--head", "category"];
    let live = jiesu(&[&["compare", &model, "built-in", "--json"], &input[..], &few].concat());
    assert_eq!(live.status, 0, "{}", live.stderr);
    let of_saved: Value =
        serde_json::from_str(&jiesu(&[&["compare", &a, &b, "--json"], &few[..]].concat()).stdout).unwrap();
    let of_live: Value = serde_json::from_str(&live.stdout).unwrap();
    assert_eq!(of_saved["figures"], of_live["figures"]);
    assert_eq!(of_saved["gained"], of_live["gained"]);

    let directory = path("directory.toml");
    fs::copy("src/dispatch/directory.toml", &directory).unwrap();
    let leads =
        ["--input", rows.to_str().unwrap(), "--label-column", "lead", "--head", "department", "--by", "all"];
    let same = jiesu(&[&["compare", &directory, &directory, "--model", &model], &leads[..], &few].concat());
    assert_eq!(same.status, 0, "{}", same.stderr);
    assert!(same.stdout.starts_with("no difference"), "{}", same.stdout);

    let by_model = jiesu(&[&["compare", &directory, &directory, "--model", &model], &input[..]].concat());
    assert_eq!(by_model.status, 2);
    assert!(by_model.stderr.contains("hint: write `--head department --by all`"), "{}", by_model.stderr);
    let ignored = jiesu(&[&["compare", &a, &b], &input[..]].concat());
    assert_eq!(ignored.status, 2);
    assert!(ignored.stderr.contains("both were answered already"), "{}", ignored.stderr);
    let no_input = jiesu(&["compare", &model, "built-in"]);
    assert_eq!(no_input.status, 2);
    assert!(no_input.stderr.contains("hint: name them, `--input FILE"), "{}", no_input.stderr);
    let other_rows = path("other");
    let half = fs::read_to_string(&rows).unwrap().lines().take(20).collect::<Vec<_>>().join("\n");
    let half_file = path("half.csv");
    fs::write(&half_file, half).unwrap();
    let half_file = PathBuf::from(half_file);
    jiesu(&[&category(&half_file)[..], &["--report", &other_rows]].concat());
    let refused = jiesu(&["compare", &a, &other_rows]);
    assert_eq!(refused.status, 2);
    assert!(refused.stderr.contains("the rows differ: only A has 29 rows"), "{}", refused.stderr);
}
