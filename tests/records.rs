//! Records under a process that is killed: what was acknowledged is there, once.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use jiesu::records::{
    Correction, CorrectionFilter, CorrectionReader, CorrectionReason, CorrectionVersions, DecidedDispatch,
    DecisionLimits, MIN_DECISION_BYTES, Records, RecordsError, SuggestedDispatch, Suggestion,
};

/// Where the child records.
const DIR: &str = "RECORDS_TEST_DIR";
/// The first request that it records.
const FROM: &str = "RECORDS_TEST_FROM";
const REQUESTS: usize = 10_000;
const KILLS: usize = 6;
const IN_FLIGHT: usize = 512;
/// How long a child may take, and an answer.
const DEADLINE: Duration = Duration::from_secs(120);

const LIMITS: DecisionLimits =
    DecisionLimits { max_age: Duration::from_secs(3_600), max_bytes: MIN_DECISION_BYTES };

fn correction(number: usize) -> Correction {
    Correction {
        request_id: format!("r{number}"),
        suggested: SuggestedDispatch {
            category: "housing".to_owned(),
            lead: "housing_bureau".to_owned(),
            ..SuggestedDispatch::default()
        },
        decided: DecidedDispatch {
            category: "noise".to_owned(),
            lead: "city_management".to_owned(),
            ..DecidedDispatch::default()
        },
        decided_by: "operator-7".to_owned(),
        reason: CorrectionReason::DutyMismatch,
        note: None,
        title: None,
        text: Some(format!("楼下第{number}号店铺夜里放音响")),
        versions: CorrectionVersions::default(),
    }
}

/// Records what is left of the requests, and prints the number of each that is acknowledged.
#[test]
#[ignore = "the other tests start it as a process of its own"]
fn child_that_records() {
    let (Some(dir), Ok(from)) = (std::env::var_os(DIR), std::env::var(FROM)) else { return };
    let records = Records::open(Path::new(&dir), LIMITS).unwrap();
    let (free, places) = channel();
    for _ in 0..IN_FLIGHT {
        free.send(()).unwrap();
    }
    for number in from.parse().unwrap()..REQUESTS {
        places.recv_timeout(DEADLINE).unwrap();
        let free = free.clone();
        records.corrections().record(correction(number), Suggestion::Stated, move |result| {
            result.unwrap();
            println!("\nacknowledged {number}");
            free.send(()).unwrap();
        });
    }
    drop(records);
    println!("\ndone");
    // Keeps the folder's lock free but the process alive, until it is killed.
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

fn child(dir: &Path, from: usize) -> Command {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--ignored", "--exact", "child_that_records", "--nocapture"]);
    child.env(DIR, dir).env(FROM, from.to_string());
    child
}

/// A process that does not outlive the test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // One that has ended cannot be killed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Lets a child record from `from` on, and kills it once it has acknowledged `enough`, or all; gives the numbers.
fn acknowledged_before_the_kill(dir: &Path, from: usize, enough: usize) -> Vec<usize> {
    let mut child = Killed(child(dir, from).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap());
    let mut output = BufReader::new(child.0.stdout.take().unwrap());
    let (sender, lines) = channel();
    let reader = std::thread::spawn(move || {
        let mut line = String::new();
        while output.read_line(&mut line).unwrap() > 0 {
            sender.send(std::mem::take(&mut line)).unwrap();
        }
    });
    let (mut numbers, started) = (Vec::new(), Instant::now());
    // Goes on after the kill, with what the pipe still holds.
    loop {
        let left = DEADLINE.saturating_sub(started.elapsed());
        let line = match lines.recv_timeout(left) {
            Ok(line) => line,
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => panic!("{} were acknowledged in time", numbers.len()),
        };
        if let Some(number) = line.strip_suffix('\n').and_then(|line| line.strip_prefix("acknowledged ")) {
            numbers.push(number.parse().unwrap());
        }
        if numbers.len() == enough || line == "done\n" {
            child.0.kill().unwrap();
        }
    }
    reader.join().unwrap();
    numbers
}

fn whole_list(dir: &Path) -> Vec<String> {
    let reader = CorrectionReader::open(dir).unwrap();
    let (mut ids, mut after) = (Vec::new(), Some(0));
    while let Some(start) = after {
        let page = reader.list(&CorrectionFilter::default(), start, 1_000).unwrap();
        ids.extend(page.corrections.into_iter().map(|recorded| recorded.correction.request_id));
        after = page.next_after;
    }
    ids
}

#[test]
fn acknowledged_corrections_survive_kills_and_are_there_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for kill in 1..=KILLS + 1 {
        let enough = if kill > KILLS { REQUESTS } else { REQUESTS / (2 * KILLS) };
        // Some requests again: they are acknowledged again, and recorded once.
        let from = acknowledged - acknowledged.min(40);
        let numbers = acknowledged_before_the_kill(dir.path(), from, enough);
        acknowledged = from + numbers.len();
        assert_eq!(numbers, (from..acknowledged).collect::<Vec<_>>());

        // Read as the kill left it, by a process that does not write.
        let recorded = whole_list(dir.path());
        let expected: Vec<_> = (0..recorded.len()).map(|number| format!("r{number}")).collect();
        assert_eq!(recorded, expected, "each once, in order");
        assert!(recorded.len() >= acknowledged, "{} of {acknowledged} are there", recorded.len());
        assert!(recorded.len() <= acknowledged + IN_FLIGHT);
    }
    assert_eq!(acknowledged, REQUESTS);
    let summary =
        CorrectionReader::open(dir.path()).unwrap().export(&HashMap::new(), &mut std::io::sink()).unwrap();
    assert_eq!(summary.rows, REQUESTS as u64);
}

#[test]
fn a_second_process_is_refused_and_a_killed_one_leaves_the_folder_free() {
    let dir = tempfile::tempdir().unwrap();
    let records = Records::open(dir.path(), LIMITS).unwrap();
    let output = child(dir.path(), 0).stdin(Stdio::null()).output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("Locked"), "{output:?}");
    drop(records);
    assert!(!acknowledged_before_the_kill(dir.path(), 0, 1).is_empty());
    Records::open(dir.path(), LIMITS).unwrap();
}

/// Where a small file system is mounted, for the test of a disk that is really full.
fn small_disk() -> Option<PathBuf> {
    std::env::var_os("RECORDS_TEST_SMALL_DISK").map(PathBuf::from)
}

#[test]
#[ignore = "needs a small file system: mount -t tmpfs -o size=2m tmpfs DIR, RECORDS_TEST_SMALL_DISK=DIR"]
fn a_disk_that_is_full_costs_nothing_that_was_acknowledged() {
    let Some(dir) = small_disk() else { return };
    let ballast = dir.join("ballast");
    let record = |records: &Records, number| {
        let (sender, receiver) = channel();
        records
            .corrections()
            .record(correction(number), Suggestion::Stated, move |result| sender.send(result).unwrap());
        receiver.recv_timeout(DEADLINE).unwrap()
    };
    let records = Records::open(&dir, LIMITS).unwrap();
    record(&records, 0).unwrap();
    while std::fs::File::options()
        .create(true)
        .append(true)
        .open(&ballast)
        .and_then(|mut file| std::io::Write::write_all(&mut file, &[0; 4_096]))
        .is_ok()
    {}
    let (mut good, mut full) = (1, 0);
    for number in 1..2_000 {
        match record(&records, number) {
            Ok(_) => good += 1,
            Err(RecordsError::DiskFull { .. }) => full += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(full > 0);
    assert_eq!(whole_list(&dir).len(), good);
    std::fs::remove_file(&ballast).unwrap();
    record(&records, 2_000).unwrap();
    drop(records);
    Records::open(&dir, LIMITS).unwrap();
    assert_eq!(whole_list(&dir).len(), good + 1);
}
