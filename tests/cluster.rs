//! A scheduler, executors and `jiesu batch --cluster` as processes, over real sockets.
#![cfg(feature = "cluster")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use common::export::{Export, Format};
use tempfile::TempDir;

mod common;

/// A process that does not outlive the test.
struct Process {
    child: Child,
    address: String,
}

impl Process {
    fn start(mut command: Command) -> Self {
        let mut child =
            command.env("RUST_LOG", "info,ballista_scheduler=off").stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("address=") {
            line.clear();
            assert_ne!(log.read_line(&mut line).unwrap(), 0, "it ended");
        }
        // Somebody must read what it says.
        std::thread::spawn(move || log.lines().map_while(Result::ok).count());
        let address = line.split("address=").nth(1).unwrap().trim().to_owned();
        Self { child, address }
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn jiesu(place: &TempDir, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jiesu"));
    command.args(arguments).current_dir(place.path());
    command
}

fn scheduler(place: &TempDir) -> Process {
    Process::start(jiesu(place, &["cluster", "scheduler", "--listen", "127.0.0.1:0"]))
}

/// An executor that stands in another folder than the client.
fn executor(place: &TempDir, scheduler: &Process, model: &str) -> Process {
    let arguments = ["--threads", "1", "cluster", "executor", "--scheduler", &scheduler.address, "--model"];
    let mut command = jiesu(place, &arguments);
    command.arg(place.path().join(model)).current_dir(std::env::temp_dir());
    Process::start(command)
}

/// A folder with a tiny model and an export of `rows` rows.
fn place(rows: usize) -> TempDir {
    let place = tempfile::tempdir().unwrap();
    common::write_bundle(&place.path().join("model"), &common::tiny_config());
    Export::new(rows, 11).write(Format::CsvGb18030, &place.path().join("in.csv"));
    place
}

fn batch(place: &TempDir, output: &str, more: &[&str]) -> Command {
    let arguments = ["batch", "in.csv", "-o", output, "--part-rows", "100", "--model", "model"];
    jiesu(place, &[&arguments, more].concat())
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn same(place: &TempDir, a: &str, b: &str) {
    for ending in ["", ".rejects.jsonl"] {
        let read = |name: &str| fs::read(place.path().join(format!("{name}{ending}"))).unwrap();
        assert!(read(a) == read(b), "{a}{ending} and {b}{ending} differ");
    }
}

#[test]
fn two_executors_write_what_one_process_writes() {
    let place = place(2000);
    assert_eq!(batch(&place, "local.parquet", &[]).status().unwrap().code(), Some(1));
    let scheduler = scheduler(&place);
    let _executors = [executor(&place, &scheduler, "model"), executor(&place, &scheduler, "model")];
    let output = batch(&place, "cluster.parquet", &["--cluster", &scheduler.address]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    same(&place, "local.parquet", "cluster.parquet");
}

#[test]
fn a_killed_executor_costs_no_row() {
    let place = place(5000);
    assert_eq!(batch(&place, "local.csv", &[]).status().unwrap().code(), Some(1));
    let scheduler = scheduler(&place);
    let mut first = executor(&place, &scheduler, "model");
    let job = batch(&place, "cluster.csv", &["--cluster", &scheduler.address])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let files = || fs::read_dir(place.path().join("cluster.csv.parts")).map_or(0, Iterator::count);
    while files() < 5 {
        std::thread::sleep(Duration::from_millis(5));
    }
    first.kill();
    assert!(files() < 50, "it had nothing left to do");
    let _second = executor(&place, &scheduler, "model");
    let output = job.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    same(&place, "local.csv", "cluster.csv");
}

#[test]
fn an_executor_with_another_model_is_refused() {
    let place = place(200);
    common::write_bundle(&place.path().join("other"), &common::tiny_config());
    let config = place.path().join("other/config.json");
    fs::write(&config, fs::read_to_string(&config).unwrap() + "\n").unwrap();
    let scheduler = scheduler(&place);
    let other = executor(&place, &scheduler, "other");
    let output = batch(&place, "out.csv", &["--cluster", &scheduler.address]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let told = told(&output);
    assert!(told.contains(&format!("executor {}", other.address)), "{told}");
    assert!(told.contains("but the job wants model@"), "{told}");
}

#[test]
fn a_scheduler_that_is_not_there_is_told() {
    let place = place(100);
    let output = batch(&place, "out.csv", &["--cluster", "df://127.0.0.1:9"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(told(&output).contains("the scheduler df://127.0.0.1:9 does not answer"), "{}", told(&output));
}
