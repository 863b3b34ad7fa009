//! A text file of any content, in any encoding, is surveyed and read or refused: as many rows as the survey says, the
//! same ones each time, in order, each with as many cells as there are columns, and what is told of broken rows can be
//! told.

#![no_main]

use std::sync::LazyLock;

use jiesu::rows::{self, Entry, Survey};
use jiesu::table::Table;
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

static FOLDER: LazyLock<TempDir> = LazyLock::new(jiesu_fuzz::folder);

fuzz_target!(|data: &[u8]| {
    let (kind, data) = jiesu_fuzz::choice(data, 4);
    let name = ["a.csv", "a.tsv", "a.txt", "a.jsonl"][usize::from(kind)];
    let path = FOLDER.path().join(name);
    std::fs::write(&path, data).expect("there is room in memory");
    match rows::survey(&path) {
        Ok(surveys) => {
            let [survey] = &surveys[..] else { panic!("{} tables in a text file", surveys.len()) };
            check(survey);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    let _ = Table::read(&path);
});

fn check(survey: &Survey) {
    let read = || -> Vec<Entry> {
        let rows = rows::read(&survey.source, &survey.columns).expect("what is surveyed can be read");
        rows.map(|entry| entry.expect("what is surveyed can be read to its end")).collect()
    };
    let entries = read();
    assert_eq!(entries.len() as u64, survey.rows);
    assert!(entries.is_sorted_by(|a, b| a.line < b.line));
    assert_eq!(entries, read());
    let mut names: Vec<&str> = survey.columns.iter().map(|column| column.name.as_str()).collect();
    names.sort_unstable();
    assert!(names.is_sorted_by(|a, b| a < b), "two columns have one name: {names:?}");
    for Entry { row, .. } in &entries {
        match row {
            Ok(cells) => assert_eq!(cells.len(), survey.columns.len()),
            Err(broken) => {
                assert!(!broken.problem.is_empty() && !broken.raw.is_empty());
                let _ = rows::told(&survey.source.layout, &broken.raw);
            }
        }
    }
}
