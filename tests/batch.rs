//! `jiesu batch` and `jiesu sql` as a process, on exports of an invented hotline.
#![cfg(feature = "batch")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use common::export::{Export, Format, Kind};

mod common;

/// A folder with a tiny model, in which commands are run.
struct Workplace {
    folder: tempfile::TempDir,
}

impl Workplace {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        common::write_bundle(&folder.path().join("model"), &common::tiny_config());
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_jiesu"));
        command.args(arguments).args(["--model", "model"]).current_dir(self.folder.path());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs a command that must not fail; `status` is its exit status.
    fn done(&self, status: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(status), "{}", told(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command that must be refused; what it says.
    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{}", told(&output));
        String::from_utf8(output.stderr).unwrap()
    }

    fn lines(&self, name: &str) -> Vec<Value> {
        let content = fs::read_to_string(self.path(name)).unwrap();
        content.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
}

/// What the reject of a row that is broken so must say.
fn reason(format: Format, kind: Kind) -> &'static str {
    let csv = matches!(format, Format::CsvGb18030 | Format::CsvUtf8Bom);
    match (kind, format) {
        (Kind::LongText, _) | (Kind::Undecodable, Format::Parquet) | (Kind::Nul, Format::Xlsx) => {
            "at most 10000 are accepted"
        }
        (Kind::LongTitle, _) | (Kind::Nul, Format::Parquet) => "title: has",
        (Kind::FewFields | Kind::ManyFields, _) if csv => "but the header has 8",
        (Kind::Undecodable, _) if csv => "bytes that are not",
        (Kind::OpenQuote, _) if csv => "a quote",
        (Kind::Nul, _) if csv => "NUL",
        (Kind::FewFields | Kind::Nul, Format::JsonLines) => "is not JSON",
        (Kind::ManyFields, Format::JsonLines) => "is not a JSON object",
        (Kind::Undecodable, Format::JsonLines) => "holds a number, not a text",
        (Kind::OpenQuote, Format::JsonLines) => "holds a list, not a text",
        (Kind::ManyFields, Format::Xlsx) => "#N/A",
        (Kind::Undecodable, Format::Xlsx) => "#VALUE!",
        (Kind::OpenQuote, Format::Xlsx) => "#REF!",
        (_, _) => "text: is empty",
    }
}

#[test]
fn every_format_gives_the_same_answers_and_rejects_the_broken_rows() {
    let place = Workplace::new();
    let export = Export::new(5000, 7);
    let mut answers: Vec<BTreeMap<String, Value>> = Vec::new();
    for (number, format) in Format::ALL.into_iter().enumerate() {
        let input = format!("in{number}.{}", format.extension());
        let output = format!("out{number}.jsonl");
        let expected = export.write(format, &place.path(&input));
        let summary = place.done(1, &["batch", &input, "-o", &output]);
        assert!(
            summary.starts_with("5000 rows read = 4950 answered + 50 rejected\n"),
            "{format:?}: {summary}"
        );

        let rejects = place.lines(&format!("{output}.rejects.jsonl"));
        assert_eq!(rejects.len(), 50, "{format:?}");
        for (reject, expected) in rejects.iter().zip(&expected) {
            assert_eq!(reject["input_line"], expected.line, "{format:?} {:?}", expected.kind);
            let told = reject["reason"].as_str().unwrap();
            assert!(told.contains(reason(format, expected.kind)), "{format:?} {:?}: {told}", expected.kind);
            assert!(reject.get("row").is_some() || reject.get("raw").is_some(), "{format:?}: {reject}");
        }

        let mut rows = place.lines(&output);
        assert_eq!(rows.len(), 4950);
        for ((_, record), row) in export.good().zip(&rows) {
            assert_eq!(row["工单编号"], record.id.as_str());
            assert_eq!(row["request_id"], record.id.as_str());
            assert_eq!(row["主要内容"].as_str(), record.text.as_deref());
        }
        for row in &mut rows {
            let row = row.as_object_mut().unwrap();
            row.retain(|name, _| !name.starts_with("input_"));
            // An empty cell and an empty text are the same to CSV and xlsx.
            row.retain(|_, cell| cell.as_str() != Some(""));
        }
        answers.push(rows.iter().map(|row| (row["工单编号"].to_string(), row.clone())).collect());
    }
    for other in &answers[1..] {
        assert!(*other == answers[0], "the formats differ in an answer");
    }
}

#[test]
fn files_of_a_folder_that_differ_in_columns_are_one_output() {
    let place = Workplace::new();
    fs::create_dir(place.path("in")).unwrap();
    fs::write(place.path("in/a.csv"), "编号,诉求内容,区\n1,路灯不亮,朝阳区\n2,小区物业乱收费,某某县\n")
        .unwrap();
    fs::write(place.path("in/b.jsonl"), "{\"id\": 7, \"text\": \"公交不来\", \"category\": \"交通\"}\n")
        .unwrap();
    fs::write(place.path("in/empty.csv"), "编号,诉求内容\n").unwrap();
    let summary = place.done(0, &["batch", "in", "-o", "in/out.jsonl", "--keep", "编号,区,id"]);
    assert!(summary.contains("the words placed it: 1 row"), "{summary}");
    let rows = place.lines("in/out.jsonl");
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[0]["编号"], "1");
    assert_eq!(rows[0]["area"], "beijing.chaoyang");
    assert_eq!(rows[1]["notes"], "area_unknown");
    assert_eq!(rows[2]["id"], 7, "numbers stay numbers");
    assert_eq!(rows[2]["request_id"], "7");
    assert!(rows[2].get("诉求内容").is_none(), "not kept");
    let again = place.run(&["batch", "in", "-o", "in/out.jsonl", "--dry-run"]);
    assert!(!told(&again).contains("out.jsonl"), "its own output is no input: {}", told(&again));
}

#[test]
fn a_run_that_is_killed_goes_on_to_the_same_bytes() {
    let place = Workplace::new();
    Export::new(400, 3).write(Format::CsvGb18030, &place.path("in.csv"));
    let begin = Instant::now();
    for output in ["whole.csv", "whole.parquet"] {
        place.done(1, &["batch", "in.csv", "-o", output, "--part-rows", "20"]);
    }
    let duration = begin.elapsed() / 2;
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let mut killed = 0;
    // A machine that is busy at first and idle later ends some runs before they can be killed.
    for round in 0..30 {
        if killed == 10 {
            break;
        }
        let extension = if round % 2 == 0 { "csv" } else { "parquet" };
        let output = format!("out{round}.{extension}");
        let arguments = ["batch", "in.csv", "-o", &output, "--part-rows", "20", "--resume"];
        let mut process =
            place.command(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(random.random_range(Duration::ZERO..duration));
        killed += usize::from(process.try_wait().unwrap().is_none());
        process.kill().unwrap();
        process.wait().unwrap();
        place.done(1, &arguments);
        let same = |ending: &str| {
            let whole = fs::read(place.path(&format!("whole.{extension}{ending}"))).unwrap();
            assert!(fs::read(place.path(&format!("{output}{ending}"))).unwrap() == whole, "{output}{ending}");
        };
        same("");
        same(".rejects.jsonl");
        assert!(!place.path(&format!("{output}.parts")).exists());
    }
    assert_eq!(killed, 10);
}

#[test]
fn what_has_changed_since_is_noticed() {
    let place = Workplace::new();
    let input = place.path("in.csv");
    let rows: Vec<String> = (0..30).map(|row| format!("{row},路灯不亮{row}")).collect();
    fs::write(&input, format!("id,text\n{}\n", rows.join("\n"))).unwrap();
    let arguments = ["batch", "in.csv", "-o", "out.csv", "--part-rows", "10"];
    stop_half_way(&place, &arguments);

    let unfinished = place.refused(&arguments);
    assert!(unfinished.contains("`--resume` goes on with it"), "{unfinished}");
    let resume = |more: &[&str]| place.run(&[&arguments, ["--resume"].as_slice(), more].concat());

    fs::write(&input, format!("id,text\n{}\n", rows[..29].join("\n"))).unwrap();
    let changed = told(&resume(&[]));
    assert!(changed.contains("`in.csv` has changed since"), "{changed}");
    fs::write(&input, format!("id,text\n{}\n", rows.join("\n"))).unwrap();

    common::write_bundle(&place.path("model"), &common::tiny_config());
    let config = place.path("model/config.json");
    let other = fs::read_to_string(&config).unwrap() + "\n";
    fs::write(&config, other).unwrap();
    let changed = told(&resume(&[]));
    assert!(changed.contains("it was begun with model@"), "{changed}");
    assert_eq!(resume(&["--allow-changes"]).status.code(), Some(0));
    let output = fs::read_to_string(place.path("out.csv")).unwrap();
    assert_eq!(output.lines().count(), 31);
    let models: std::collections::BTreeSet<_> =
        output.lines().skip(1).map(|line| line.split("model@").nth(1).unwrap()[..12].to_owned()).collect();
    assert_eq!(models.len(), 2, "each row says what answered it");

    let exists = place.refused(&arguments);
    assert!(exists.contains("`out.csv` is there already"), "{exists}");
    let finished = told(&resume(&[]));
    assert!(finished.contains("finished before"), "{finished}");
    fs::write(place.path("out.csv"), "mine").unwrap();
    let exists = told(&resume(&[]));
    assert!(exists.contains("`out.csv` is there already"), "{exists}");
}

/// Leaves a run with some of its parts finished: the last part's file cannot be made.
fn stop_half_way(place: &Workplace, arguments: &[&str]) {
    fs::create_dir_all(place.path("out.csv.parts/part-000002.csv.new")).unwrap();
    let stopped = place.refused(arguments);
    assert!(stopped.contains("cannot write"), "{stopped}");
    fs::remove_dir(place.path("out.csv.parts/part-000002.csv.new")).unwrap();
    assert_eq!(place.lines("out.csv.parts/manifest.jsonl").len(), 3, "two parts are kept");
}

#[test]
fn cells_that_look_like_formulas_are_escaped_in_csv() {
    let place = Workplace::new();
    fs::write(place.path("in.csv"), "id,text\n=1+1,\"=HYPERLINK(\"\"http://x\"\")路灯\"\n-5,路灯\n").unwrap();
    place.done(0, &["batch", "in.csv", "-o", "out.csv"]);
    let output = fs::read_to_string(place.path("out.csv")).unwrap();
    assert!(output.starts_with("\u{feff}id,text,request_id"), "{output}");
    assert!(output.contains("'=1+1,\"'=HYPERLINK"), "{output}");
    assert!(output.contains("\r\n-5,路灯"), "{output}");
}

#[test]
fn unusable_input_is_told_with_what_to_do() {
    let place = Workplace::new();
    fs::write(place.path("a.csv"), "甲,乙\n1,2\n").unwrap();
    fs::write(place.path("b.xlsx"), "text\n路灯\n").unwrap();
    fs::create_dir(place.path("nothing")).unwrap();
    for (arguments, hint) in [
        (["a.csv", "-o", "o.csv"].as_slice(), "its columns are `甲`, `乙`"),
        (&["a.csv", "-o", "o.csv", "--text-column", "丙"], "has no column `丙`"),
        (&["b.xlsx", "-o", "o.csv"], "hint"),
        (&["missing.csv", "-o", "o.csv"], "cannot read `missing.csv`"),
        (&["nothing", "-o", "o.csv"], "holds no file that can be read"),
        (&["a.csv", "-o", "o.docx", "--text-column", "甲"], "end it in .parquet, .csv or .jsonl"),
        (&["./a.csv", "-o", "a.csv", "--text-column", "甲", "--overwrite"], "both input and output"),
        (&["a.csv", "-o", "o.csv", "--text-column", "甲", "--keep", "丁"], "that `--keep` names"),
    ] {
        let refused = place.refused(&[["batch"].as_slice(), arguments].concat());
        assert!(refused.contains(hint), "{arguments:?}: {refused}");
    }
    assert!(!place.path("o.csv").exists());
}

#[test]
fn sql_reads_classifies_and_asks() {
    let place = Workplace::new();
    fs::write(
        place.path("in.csv"),
        "编号,主要内容,区,category\n1,路灯不亮,朝阳区,housing\n2,路灯不亮,朝阳区,housing\n3,,海淀区,housing\n",
    )
    .unwrap();
    let rows = |query: &str| place.done(0, &["sql", query, "--format", "csv"]);
    let query = "SELECT \"区\", original_category, count(*) AS n, count(category) AS answered, count(problem) AS rejected \
        FROM classify_file('in.csv') GROUP BY 1, 2 ORDER BY 1 DESC";
    assert_eq!(
        rows(query),
        "区,original_category,n,answered,rejected\n海淀区,housing,1,0,1\n朝阳区,housing,2,2,0\n"
    );
    assert_eq!(rows("SELECT sum(cast(编号 AS INT)) AS s FROM read_file('in.csv')"), "s\n6\n");
    let one = rows("SELECT classify('路灯不亮')['decision'] AS d, classify('')['problem'] AS p");
    assert!(one.ends_with("text: is empty; pass the citizen's words\n"), "{one}");

    place.done(0, &["sql", "SELECT * FROM classify_file('in.csv')", "-o", "out.parquet"]);
    assert_eq!(rows("SELECT count(*) AS n FROM 'out.parquet'"), "n\n3\n");
    let refused = place.refused(&["sql", "SELECT * FROM classify_file('missing.csv')"]);
    assert!(refused.contains("cannot read `missing.csv`"), "{refused}");
}
