//! A workbook of any content is surveyed and read or refused, by the laws of the target `csv`. The input is a whole
//! workbook, or one part of one that is packed here: a change to a packed file seldom gets past the archive.
//!
//! The parser of workbooks, which is not ours, panics on some damage; the reader turns that into an error.

#![no_main]

use std::io::Write as _;
use std::sync::LazyLock;

use jiesu::rows::{self, Entry, ReadError, Survey};
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;
use zip::write::{SimpleFileOptions, ZipWriter};

static FOLDER: LazyLock<TempDir> = LazyLock::new(jiesu_fuzz::folder);

/// The parts of a small workbook, by the number that an input begins with.
const PARTS: [(&str, &[u8]); 6] = [
    ("xl/worksheets/sheet1.xml", include_bytes!("../workbook/sheet1.xml")),
    ("xl/sharedStrings.xml", include_bytes!("../workbook/sharedStrings.xml")),
    ("xl/workbook.xml", include_bytes!("../workbook/workbook.xml")),
    ("xl/styles.xml", include_bytes!("../workbook/styles.xml")),
    ("xl/_rels/workbook.xml.rels", include_bytes!("../workbook/workbook.xml.rels")),
    ("_rels/.rels", include_bytes!("../workbook/rels.xml")),
];

fuzz_target!(|data: &[u8]| {
    jiesu_fuzz::forgive_panics_in("calamine");
    let (kind, data) = jiesu_fuzz::choice(data, PARTS.len() as u8 + 1);
    let path = FOLDER.path().join("a.xlsx");
    let content = match PARTS.get(usize::from(kind)) {
        Some((part, _)) => workbook(part, data),
        None => data.to_vec(),
    };
    std::fs::write(&path, content).expect("there is room in memory");
    match rows::survey(&path) {
        Ok(surveys) => surveys.iter().for_each(check),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});

/// The small workbook with another content of one part.
fn workbook(changed: &str, content: &[u8]) -> Vec<u8> {
    let mut archive = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (part, original) in PARTS {
        archive.start_file(part, stored).expect("an archive can be written");
        let content = if part == changed { content } else { original };
        archive.write_all(content).expect("an archive can be written");
    }
    archive.finish().expect("an archive can be written").into_inner()
}

fn check(survey: &Survey) {
    let read = || -> Result<Vec<Entry>, ReadError> { rows::read(&survey.source, &survey.columns)?.collect() };
    let entries = read().expect("what is surveyed can be read");
    assert_eq!(entries.len() as u64, survey.rows);
    assert!(entries.is_sorted_by(|a, b| a.line < b.line));
    assert_eq!(entries, read().expect("what is read once can be read again"));
    for Entry { row, .. } in &entries {
        match row {
            Ok(cells) => assert_eq!(cells.len(), survey.columns.len()),
            Err(broken) => assert!(!broken.problem.is_empty() && !broken.raw.is_empty()),
        }
    }
}
