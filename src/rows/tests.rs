//! What holds for whole files.

use super::*;

/// The survey of a file's only table, and its rows.
pub(super) fn table(name: &str, content: impl AsRef<[u8]>) -> (Survey, Vec<Entry>) {
    let mut tables = tables(name, content);
    assert_eq!(tables.len(), 1);
    tables.remove(0)
}

/// The tables of a file. The number of rows must be that of the survey.
pub(super) fn tables(name: &str, content: impl AsRef<[u8]>) -> Vec<(Survey, Vec<Entry>)> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    let read = |survey: Survey| {
        let entries: Vec<_> = read(&survey.source, &survey.columns).unwrap().map(Result::unwrap).collect();
        let again: Vec<_> =
            super::read(&survey.source, &survey.columns).unwrap().map(Result::unwrap).collect();
        assert_eq!(entries, again);
        assert_eq!(entries.len() as u64, survey.rows);
        assert!(entries.is_sorted_by(|a, b| a.line < b.line));
        (survey, entries)
    };
    survey(&path).unwrap().into_iter().map(read).collect()
}

pub(super) fn columns(name: &str, content: impl AsRef<[u8]>) -> Vec<(String, bool)> {
    table(name, content).0.columns.into_iter().map(|column| (column.name, column.json)).collect()
}

/// The rows of a file that has no broken ones.
pub(super) fn entries(name: &str, content: impl AsRef<[u8]>) -> Vec<Vec<Option<String>>> {
    table(name, content).1.into_iter().map(|entry| entry.row.unwrap()).collect()
}

/// The broken rows of a file: line, problem and bytes.
pub(super) fn problems(name: &str, content: impl AsRef<[u8]>) -> Vec<(u64, String, Vec<u8>)> {
    let broken = |entry: Entry| entry.row.err().map(|row| (entry.line, row.problem, row.raw));
    table(name, content).1.into_iter().filter_map(broken).collect()
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe.csv");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let endless = folder.path().join("endless.csv");
    std::os::unix::fs::symlink("/dev/zero", &endless).unwrap();
    for path in [pipe, endless] {
        let error = survey(&path).unwrap_err().to_string();
        assert!(error.contains("is not a file\nhint: write what it gives into a file"), "{error}");
        assert!(digest(&path).is_err());
    }
}

#[test]
fn a_line_without_an_end_is_one_broken_row() {
    let content = [b"a,b\n1,\"".to_vec(), vec![b'x'; 17 << 20]].concat();
    let found = problems("a.csv", content);
    assert_eq!((found.len(), found[0].1.as_str()), (1, "is longer than 16 MiB, and is not read"));
    assert_eq!(found[0].2.len(), 16 << 20);
}

#[test]
fn a_file_of_nothing_but_zeros_is_read_in_bounded_memory() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.csv", "a.jsonl"] {
        let path = folder.path().join(name);
        // It takes no room on the disk.
        std::fs::File::create(&path).unwrap().set_len(17 << 20).unwrap();
        let tables = survey(&path).unwrap();
        assert!(tables[0].rows <= 1 && tables[0].columns.len() <= 1, "{tables:?}");
    }
}

#[test]
fn a_header_of_nothing_but_delimiters_is_no_header() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv");
    std::fs::write(&path, ",".repeat(1 << 20)).unwrap();
    let error = survey(&path).unwrap_err().to_string();
    assert!(error.contains("has more than 10000 columns"), "{error}");
}

mod properties {
    use super::*;
    use encoding_rs::GB18030;
    use proptest::prelude::*;

    /// A text such as a cell may hold, quotes, delimiters and line ends included.
    fn cell() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            4 => "[一-龥]{1,6}",
            2 => "[a-zA-Z0-9 .:-]{1,6}",
            1 => prop::sample::select(vec![",", ";", "|", "\t", "\"", "\"\"", "\n", "\r\n", "\r", "，", "莬", "𠮷", "é", "€"])
                .prop_map(str::to_owned),
        ];
        prop::collection::vec(piece, 0..5).prop_map(|pieces| pieces.concat())
    }

    fn written(header: &[String], rows: &[Vec<String>], delimiter: u8) -> String {
        let mut writer = csv::WriterBuilder::new().delimiter(delimiter).from_writer(Vec::new());
        writer.write_record(header).unwrap();
        for row in rows {
            writer.write_record(row).unwrap();
        }
        String::from_utf8(writer.into_inner().unwrap()).unwrap()
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(
            rows in (2_usize..6).prop_flat_map(|width| prop::collection::vec(prop::collection::vec(cell(), width), 1..12)),
            delimiter in prop::sample::select(vec![b',', b'\t', b';', b'|']),
            encoding in prop::sample::select(vec!["UTF-8", "gb18030"]),
        ) {
            // What is left of a row without text is a blank line, if tabs separate it.
            prop_assume!(rows.iter().all(|row| !row.concat().trim().is_empty()));
            let header: Vec<_> = (1..=rows[0].len()).map(|number| format!("列{number}")).collect();
            let text = written(&header, &rows, delimiter);
            let content = if encoding == "UTF-8" { text.into_bytes() } else { GB18030.encode(&text).0.into_owned() };
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("a.csv");
            std::fs::write(&path, content).unwrap();
            // The layout is given: what a short file is can be a matter of opinion.
            let layout = Layout::Delimited { encoding: encoding.to_owned(), delimiter: delimiter.into() };
            let columns: Vec<_> = header.into_iter().map(|name| Column { name, json: false }).collect();
            let entries: Vec<_> = read(&Source { path, layout }, &columns).unwrap().map(Result::unwrap).collect();
            let found: Vec<Vec<_>> = entries.into_iter().map(|entry| entry.row.unwrap()).collect();
            let expected: Vec<Vec<_>> =
                rows.into_iter().map(|row| row.into_iter().map(|cell| Some(cell).filter(|cell| !cell.is_empty())).collect()).collect();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn every_line_of_any_file_is_in_one_entry(
            pieces in prop::collection::vec(
                prop_oneof![
                    prop::collection::vec(any::<u8>(), 0..4),
                    prop::sample::select(vec![b",".to_vec(), b"\"".to_vec(), b"\n".to_vec(), b"\r\n".to_vec(), "灯".into(), b"\xb5\xc6".to_vec(), b"{\"a\":".to_vec(), b"1}".to_vec(), b"\0".to_vec()]),
                ],
                0..60,
            ),
            name in prop::sample::select(vec!["a.csv", "a.tsv", "a.jsonl"]),
        ) {
            let content = pieces.concat();
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(name);
            std::fs::write(&path, &content).unwrap();
            // Some bytes say that the file is no text.
            let Ok(surveys) = survey(&path) else { return Ok(()) };
            let [survey] = &surveys[..] else { panic!("{surveys:?}") };
            let read = || read(&survey.source, &survey.columns).unwrap().map(Result::unwrap).collect::<Vec<_>>();
            let entries = read();
            prop_assert_eq!(entries.len() as u64, survey.rows);
            prop_assert!(entries.is_sorted_by(|a, b| a.line < b.line));
            prop_assert_eq!(&entries, &read());
            let starts_with_mark = content.starts_with(b"\xff\xfe") || content.starts_with(b"\xfe\xff");
            if !starts_with_mark {
                let lines = lines(&content);
                let is_filled = |line: &u64| !lines[*line as usize - 1].trim_ascii().is_empty();
                prop_assert!(entries.iter().all(|entry| is_filled(&entry.line)));
                if name == "a.jsonl" {
                    prop_assert_eq!(entries.len(), (1..=lines.len() as u64).filter(is_filled).count());
                }
            }
        }
    }

    fn lines(content: &[u8]) -> Vec<Vec<u8>> {
        let mut lines = vec![Vec::new()];
        for (position, byte) in content.iter().enumerate() {
            match byte {
                b'\r' if content.get(position + 1) == Some(&b'\n') => {}
                b'\r' | b'\n' => lines.push(Vec::new()),
                _ => lines.last_mut().unwrap().push(*byte),
            }
        }
        lines
    }
}
