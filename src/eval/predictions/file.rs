//! The file of predictions: JSON lines, the header first. What is read is what was written, or it is refused.

use std::borrow::Cow;
use std::collections::HashSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Header, Prediction, Predictions};

/// What the header says the file is.
const FORMAT: &str = "jiesu predictions";
/// The version of the format that is written, and the only one that is read.
const VERSION: u32 = 1;
/// How many broken lines an error shows.
const SHOWN_FAULTS: usize = 10;

/// Why a file of predictions cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PredictionsError {
    /// The file cannot be read.
    #[error("cannot read `{path}`: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The first line is no header.
    #[error("{path}:1: this is no file of predictions: it does not begin with their header")]
    NoHeader {
        /// The file.
        path: PathBuf,
    },
    /// The format is of another time.
    #[error(
        "{path}:1: the predictions are of version {version}, and only {VERSION} can be read\nhint: evaluate again"
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// The version in the header.
        version: u64,
    },
    /// The file ends early, or goes on for too long.
    #[error(
        "`{path}` has {found} rows, its header says {expected}\nhint: the file was cut off or edited; evaluate again"
    )]
    RowCount {
        /// The file.
        path: PathBuf,
        /// How many rows there are.
        found: usize,
        /// How many there should be.
        expected: usize,
    },
    /// Lines that cannot be used.
    #[error("{}", told(path, faults))]
    Broken {
        /// The file.
        path: PathBuf,
        /// At least one line, counted from 1, and what is wrong with it.
        faults: Vec<(usize, String)>,
    },
}

/// The first line of the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderLine<'a> {
    format: Cow<'a, str>,
    version: u32,
    rows: usize,
    model: Cow<'a, str>,
    model_revision: Cow<'a, str>,
    taxonomy_version: Cow<'a, str>,
    directory_version: Cow<'a, str>,
    channel: Cow<'a, str>,
    head: Cow<'a, str>,
    labels: Cow<'a, [String]>,
}

/// What any version of the header has.
#[derive(Deserialize)]
struct Format {
    format: String,
    version: u64,
}

impl Predictions {
    /// Writes the file.
    ///
    /// # Errors
    /// If `out` cannot be written to.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let header = &self.header;
        write_line(
            out,
            &HeaderLine {
                format: FORMAT.into(),
                version: VERSION,
                rows: self.rows.len(),
                model: (&header.model).into(),
                model_revision: (&header.model_revision).into(),
                taxonomy_version: (&header.taxonomy_version).into(),
                directory_version: (&header.directory_version).into(),
                channel: (&header.channel).into(),
                head: (&header.head).into(),
                labels: (&header.labels).into(),
            },
        )?;
        self.rows.iter().try_for_each(|row| write_line(out, row))
    }

    /// Reads the file at `path`.
    ///
    /// # Errors
    /// If the file cannot be read, is no file of predictions, or is not as it was written; all broken lines at once.
    pub fn read(path: &Path) -> Result<Self, PredictionsError> {
        let owned = || path.to_owned();
        let bytes = std::fs::read(path).map_err(|source| PredictionsError::Read { path: owned(), source })?;
        let mut lines = bytes.strip_suffix(b"\n").unwrap_or(&bytes).split(|&byte| byte == b'\n');
        let (header, expected) = read_header(path, lines.next().unwrap_or_default())?;
        let labels: HashSet<&str> = header.labels.iter().map(String::as_str).collect();
        let (mut rows, mut faults) = (Vec::new(), Vec::new());
        let mut found = 0;
        for (line, content) in (2..).zip(lines) {
            found += 1;
            let row = serde_json::from_slice(content).map_err(|error| without_line(&error));
            let fits = |row: Prediction| {
                row.fits(&header.labels, &labels, rows.first().unwrap_or(&row)).map(|()| row)
            };
            match row.and_then(fits) {
                Ok(row) => rows.push(row),
                Err(problem) => faults.push((line, problem)),
            }
        }
        if !faults.is_empty() {
            Err(PredictionsError::Broken { path: owned(), faults })
        } else if found == expected {
            Ok(Self { header, rows })
        } else {
            Err(PredictionsError::RowCount { path: owned(), found, expected })
        }
    }
}

/// Reads the first line, and how many rows it says there are.
fn read_header(path: &Path, line: &[u8]) -> Result<(Header, usize), PredictionsError> {
    let path = || path.to_owned();
    match serde_json::from_slice(line) {
        Ok(Format { format, version }) if format == FORMAT => {
            if version != u64::from(VERSION) {
                return Err(PredictionsError::Version { path: path(), version });
            }
        }
        Ok(_) | Err(_) => return Err(PredictionsError::NoHeader { path: path() }),
    }
    let broken = |problem| PredictionsError::Broken { path: path(), faults: vec![(1, problem)] };
    let header: HeaderLine<'_> =
        serde_json::from_slice(line).map_err(|error| broken(without_line(&error)))?;
    let labels = header.labels.into_owned();
    let mut seen = HashSet::new();
    match labels.iter().find(|label| !seen.insert(label.as_str())) {
        Some(twice) => return Err(broken(format!("label `{twice}` is given twice"))),
        None if labels.is_empty() => return Err(broken("there is no label".to_owned())),
        None => {}
    }
    let expected = header.rows;
    let header = Header {
        model: header.model.into_owned(),
        model_revision: header.model_revision.into_owned(),
        taxonomy_version: header.taxonomy_version.into_owned(),
        directory_version: header.directory_version.into_owned(),
        channel: header.channel.into_owned(),
        head: header.head.into_owned(),
        labels,
    };
    Ok((header, expected))
}

fn write_line(out: &mut impl Write, line: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}

/// What is wrong with a line; that it is the first of those handed to the parser says nothing.
fn without_line(error: &serde_json::Error) -> String {
    error.to_string().replace(" at line 1 column ", " at column ")
}

fn told(path: &Path, faults: &[(usize, String)]) -> String {
    let shown = faults.iter().take(SHOWN_FAULTS);
    let mut told: Vec<_> =
        shown.map(|(line, problem)| format!("{}:{line}: {problem}", path.display())).collect();
    if let more @ 1.. = faults.len().saturating_sub(SHOWN_FAULTS) {
        told.push(format!("and {more} more broken lines"));
    }
    told.join("\n")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::{header, many, one, row};
    use super::*;

    fn written(predictions: &Predictions) -> String {
        let mut out = Vec::new();
        predictions.write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    /// Reads a file with some content; errors leave out its folder.
    fn read(content: impl AsRef<[u8]>) -> Result<Predictions, String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("p.jsonl"), content).unwrap();
        let read = Predictions::read(&folder.path().join("p.jsonl"));
        read.map_err(|error| error.to_string().replace(&format!("{}/", folder.path().display()), ""))
    }

    fn refused(content: impl AsRef<[u8]>) -> String {
        read(content).unwrap_err()
    }

    fn two_rows() -> Predictions {
        let rows = vec![
            row("1", &one("a"), &[0.9, 0.1], &one("a")),
            row("2", &one("别的"), &[1.0 / 3.0, 2.0 / 3.0], &one("b")),
        ];
        Predictions::new(header(&["a", "b"]), rows).unwrap()
    }

    #[test]
    fn the_file_is_json_lines() {
        insta::assert_snapshot!(written(&two_rows()), @r#"
        {"format":"jiesu predictions","version":1,"rows":2,"model":"default","model_revision":"9f2c","taxonomy_version":"3","directory_version":"7","channel":"model","head":"category","labels":["a","b"]}
        {"id":"1","digest":"491d3362d04cfd623172d0c443eb58cd280ec8c07ed87c90edab6b0769f561df","gold":"a","probabilities":[0.9,0.1],"decided":"a"}
        {"id":"2","digest":"8e6c31ecc27bbe88b276adb5f52af6684ab41537fbaa85f4eab17671f31f6dca","gold":"别的","probabilities":[0.33333334,0.6666667],"decided":"b"}
        "#);
        let lists = vec![row("1", &many(&["b", "a"]), &[0.9, 0.1], &many(&[]))];
        let lists = written(&Predictions::new(header(&["a", "b"]), lists).unwrap());
        let last = r#""gold":["a","b"],"probabilities":[0.9,0.1],"decided":[]}"#;
        assert!(lists.trim_end().ends_with(last), "{lists}");
    }

    #[test]
    fn what_was_written_is_read() {
        assert_eq!(read(written(&two_rows())).unwrap(), two_rows());
        let none = Predictions::new(header(&["a"]), Vec::new()).unwrap();
        assert_eq!(read(written(&none)).unwrap(), none);
    }

    #[test]
    fn other_files_are_refused() {
        let expected = "p.jsonl:1: this is no file of predictions: it does not begin with their header";
        for other in [
            "",
            "\n",
            "id,label\n",
            "{\"text\":\"路灯不亮\",\"label\":\"a\"}\n",
            "{\"format\":\"x\",\"version\":1}\n",
        ] {
            assert_eq!(refused(other), expected, "{other:?}");
        }
        assert_eq!(refused(b"\xff\xfe"), expected);
        let error = Predictions::read(Path::new("/nowhere/p.jsonl")).unwrap_err();
        assert!(error.to_string().starts_with("cannot read `/nowhere/p.jsonl`: "), "{error}");
    }

    #[test]
    fn other_versions_are_refused_even_if_their_headers_differ() {
        assert_eq!(
            refused("{\"format\":\"jiesu predictions\",\"version\":2,\"heads\":[]}\n"),
            "p.jsonl:1: the predictions are of version 2, and only 1 can be read\nhint: evaluate again"
        );
    }

    #[test]
    fn headers_that_do_not_hold_together_are_refused() {
        let file = written(&two_rows());
        let labels = r#""labels":["a","b"]"#;
        assert_eq!(
            refused(file.replace(labels, r#""labels":["a","a"]"#)),
            "p.jsonl:1: label `a` is given twice"
        );
        assert_eq!(refused(file.replace(labels, r#""labels":[]"#)), "p.jsonl:1: there is no label");
        assert!(
            refused(file.replace(labels, r#""names":[]"#)).starts_with("p.jsonl:1: unknown field `names`")
        );
    }

    #[test]
    fn a_file_that_was_cut_off_is_refused() {
        let file = written(&two_rows());
        let lines: Vec<_> = file.lines().collect();
        let hint = "hint: the file was cut off or edited; evaluate again";
        assert_eq!(
            refused(lines[..2].join("\n")),
            format!("`p.jsonl` has 1 rows, its header says 2\n{hint}")
        );
        assert_eq!(
            refused([&lines[..], &lines[2..]].concat().join("\n")),
            format!("`p.jsonl` has 3 rows, its header says 2\n{hint}")
        );
        assert!(refused(&file[..file.len() - 20]).starts_with("p.jsonl:3: EOF while parsing"));
    }

    #[test]
    fn all_broken_rows_are_told_with_their_lines() {
        let file = written(&two_rows())
            .replace("[0.9,0.1]", "[0.9]")
            .replace("\"decided\":\"b\"", "\"decidet\":\"b\"");
        let told = refused(&file);
        let (first, second) = told.split_once('\n').unwrap();
        assert_eq!(first, "p.jsonl:2: `probabilities` has 1 numbers, the header has 2 labels");
        assert!(second.starts_with("p.jsonl:3: unknown field `decidet`"), "{second}");
        assert!(second.contains(" at column "), "{second}");
        assert!(
            refused(file.replace("\"gold\":\"a\"", "\"gold\":7"))
                .contains("p.jsonl:2: expected a label or a list of labels")
        );
        let many = format!("{}{}", written(&two_rows()), "\n".repeat(12));
        assert!(refused(many).ends_with("and 2 more broken lines"));
    }

    #[test]
    fn no_word_of_a_citizen_is_in_the_file() {
        let file = written(&two_rows());
        assert!(!file.contains("text"), "{file}");
    }

    fn labels(list: bool) -> BoxedStrategy<super::super::Labels> {
        let label = || prop::sample::select(vec!["a", "b\"", "丙\u{2028}"]);
        if list {
            prop::collection::vec(label(), 0..3).prop_map(|labels| many(&labels)).boxed()
        } else {
            label().prop_map(one).boxed()
        }
    }

    proptest! {
        #[test]
        fn predictions_come_back_to_the_bit(
            rows in any::<bool>().prop_flat_map(|list| prop::collection::vec(
                (".*", labels(list), prop::array::uniform3(0_u32..=1.0_f32.to_bits()), labels(list)), 0..20,
            )),
        ) {
            let rows = rows.iter().map(|(id, gold, bits, decided)| row(id, gold, &bits.map(f32::from_bits), decided));
            let rows = rows.collect();
            let before = Predictions::new(header(&["a", "b\"", "丙\u{2028}"]), rows).unwrap();
            let after = read(written(&before)).unwrap();
            let bits = |predictions: &Predictions| -> Vec<u32> {
                predictions.rows().iter().flat_map(|row| row.probabilities.iter().map(|p| p.to_bits())).collect()
            };
            prop_assert_eq!(bits(&before), bits(&after));
            prop_assert_eq!(before, after);
        }
    }
}
