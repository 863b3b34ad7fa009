//! `jiesu directory`: what a city's directory is told when it is wrong, what it explains, and how it is tried.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::Path;

use assert_cmd::Command;

fn jiesu(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::cargo_bin("jiesu").unwrap().arg("directory").args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_built_in_directory_has_no_fault() {
    let (code, out, _) = jiesu(&["check"]);
    assert_eq!(code, Some(0), "{out}");
    assert!(out.starts_with("built-in directory: no fault; version "), "{out}");
}

#[test]
fn every_fault_is_told_with_its_line_and_what_to_do() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/faulty_directory.toml");
    // A taxonomy of one category, so that nothing else is missing.
    let taxonomy =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/taxonomy/taxonomy.toml"));
    let folder = tempfile::tempdir().unwrap();
    let small = folder.path().join("taxonomy.toml");
    fs::write(&small, with_one_category(&taxonomy.unwrap())).unwrap();
    let (code, out, err) = jiesu(&["check", file.to_str().unwrap(), "--taxonomy", small.to_str().unwrap()]);
    assert_eq!((code, err.trim()), (Some(1), "faults: 12"), "{out}");
    let told: Vec<&str> =
        out.lines().map(|line| line.strip_prefix(file.to_str().unwrap()).unwrap()).collect();
    for (fault, told) in [
        ":4: unknown key `mayor`; remove it or correct its spelling",
        ":16: `消防` already stands for `fire`; remove it from one of them",
        ":23: duties is empty; write it",
        ":27: unknown department `huosing`; is `housing` meant?",
        ":30: unknown category `weather`; name the id of one of the taxonomy's categories",
        ":39: rule `burst_main` conflicts with `burst_pipe` (line 34), which holds whenever it does and names another \
         lead; narrow one, or give the one that should win a higher `then.priority`",
        ":46: pattern `(漏水` is no regular expression: unclosed group; see https://docs.rs/regex/#syntax",
        ":50: rule `contradiction` never holds: what must occur contains a word of `when.none`; remove that word",
        ":58: rule `silent` says nothing; give `then` a `lead`, `supporting`, `territorial`, `whistle` or \
         `time_limit_hours`",
        ":64: precision 1.5 is not between 0 and 1; give the share of requests where the rule's lead was right, or leave \
         it out for a rule that binds",
        ":68: unknown area `moon`; name the id of one of `[[areas]]`",
        ":72: a time limit of 0 hours cannot be kept; give 1 or more",
    ]
    .into_iter()
    .zip(told)
    {
        assert_eq!(fault, told, "in\n{out}");
    }
}

/// The taxonomy with its category `housing` alone.
fn with_one_category(taxonomy: &str) -> String {
    let blocks = taxonomy.split("\n[[");
    let kept = blocks.filter(|block| {
        let category = block.starts_with("categories]]");
        !block.starts_with("label_systems") && (!category || block.contains("id = \"housing\""))
    });
    kept.collect::<Vec<_>>().join("\n[[")
}

#[test]
fn an_explanation_names_the_rule_the_words_and_the_place() {
    let (code, out, err) = jiesu(&["explain", "--area", "海淀区", "住房公积金贷款什么时候能批下来"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("rule `housing_fund"), "{out}");
    assert!(out.contains("`公积金` occurs"), "{out}");
    assert!(out.contains("海淀区人民政府"), "{out}");
}

#[test]
fn a_city_tries_its_own_examples() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("examples.csv");
    let rows = "text,area,lead,territorial\n\
                住房公积金贷款什么时候能批下来,,公积金中心,\n\
                住房公积金提取要哪些材料,海淀区,消防,beijing.haidian\n";
    fs::write(&file, rows).unwrap();
    let (code, out, _) = jiesu(&["test", file.to_str().unwrap()]);
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("row 2: lead `fire` expected, got housing_fund"), "{out}");
    assert!(out.contains("1 of 2 examples went as expected"), "{out}");
    fs::write(&file, "text,lead\n路灯不亮,火星局\n").unwrap();
    let (code, _, err) = jiesu(&["test", file.to_str().unwrap()]);
    assert_eq!(code, Some(2));
    assert!(err.contains("lead: `火星局` is no department or area of the directory"), "{err}");
    fs::write(&file, "text\n路灯不亮\n").unwrap();
    let (_, _, err) = jiesu(&["test", file.to_str().unwrap()]);
    assert!(err.contains("expects nothing"), "{err}");
}
