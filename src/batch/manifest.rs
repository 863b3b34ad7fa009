//! What a job is made of, and which of its parts are finished: a file of JSON lines in the folder of its parts.
//!
//! The first line says what the job is, each other line that a part is finished. A line is brought to the disk after the
//! part's files are, so that what it says holds; one that was cut off by a crash is as if it had not been written.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::input::{InputTable, Roles};
use super::json_field::is_json;
use super::output::{OutputFormat, Written};
use super::scan::{Part, Scan};
use super::stamp::Stamp;
use super::tally::Tally;
use crate::whole_file;

/// The file's name.
const NAME: &str = "manifest.jsonl";
/// A file beside it that is locked while the job is worked on.
const LOCK: &str = "lock";

/// What a job is: two that are equal write the same bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct JobRecord {
    /// Version of this program.
    pub(super) program: String,
    /// What the rows are read from.
    pub(super) inputs: Vec<InputRecord>,
    /// How they are written.
    pub(super) settings: Settings,
    /// What answers.
    pub(super) stamp: Stamp,
}

/// A table of the input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct InputRecord {
    pub(super) file: String,
    pub(super) rows: u64,
    pub(super) sha256: String,
    pub(super) columns: Roles,
}

impl From<&InputTable> for InputRecord {
    fn from(table: &InputTable) -> Self {
        let InputTable { name, rows, sha256, roles, .. } = table.clone();
        Self { file: name, rows, sha256, columns: roles }
    }
}

/// How rows are cut and written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Settings {
    pub(super) format: OutputFormat,
    pub(super) keep: Option<Vec<String>>,
    pub(super) part_rows: u64,
    pub(super) limit: Option<u64>,
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { format, keep, part_rows, limit } = self;
        write!(f, "--format {} --part-rows {part_rows}", format.extension())?;
        if let Some(keep) = keep {
            write!(f, " --keep {}", keep.join(","))?;
        }
        limit.map_or(Ok(()), |limit| write!(f, " --limit {limit}"))
    }
}

impl JobRecord {
    /// What differs in another job, for people; empty if nothing does.
    pub(super) fn differences(&self, other: &Self) -> Vec<String> {
        let mut told = Vec::new();
        for input in &self.inputs {
            match other.inputs.iter().find(|other| other.file == input.file) {
                None => told.push(format!("`{}` was not part of it", input.file)),
                Some(other) if other.sha256 != input.sha256 => {
                    told.push(format!("`{}` has changed since", input.file));
                }
                Some(_) => {}
            }
        }
        for gone in &other.inputs {
            if !self.inputs.iter().any(|input| input.file == gone.file) {
                told.push(format!("`{}` was part of it", gone.file));
            }
        }
        if self.stamp != other.stamp {
            told.push(format!("it was begun with {}; this is {}", other.stamp, self.stamp));
        }
        if self.program != other.program {
            told.push(format!("it was begun with jiesu {}; this is {}", other.program, self.program));
        }
        if self.settings != other.settings {
            told.push(format!("it was begun with {}; this is {}", other.settings, self.settings));
        }
        if told.is_empty() && self != other {
            told.push("other columns were read, or the files in another order".to_owned());
        }
        told
    }
}

/// A part that is finished.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PartRecord {
    pub(super) index: u32,
    /// What the part was made of; see [`key`].
    pub(super) key: String,
    pub(super) output: Written,
    /// None if nothing was rejected.
    pub(super) rejects: Option<Written>,
    pub(super) tally: Tally,
}

/// What a part is made of, but for what answers: the rows and the form that they are written in.
pub(super) fn key(scan: &Scan, part: &Part, settings: &Settings) -> String {
    let tables = part.slices.iter().map(|slice| &scan.tables[slice.table]);
    let tables: Vec<_> =
        tables.map(|table| (&table.name, &table.sha256, &table.content, &table.roles)).collect();
    // Metadata of fields is a map without an order.
    let fields = scan.schema().fields().iter();
    let fields: Vec<_> =
        fields.map(|field| (field.name(), field.data_type().to_string(), is_json(field))).collect();
    let made_of = (tables, part, fields, settings.format, &settings.keep);
    // Nothing in it can fail to be written as JSON.
    let json = serde_json::to_vec(&made_of).unwrap_or_default();
    hex::encode(Sha256::digest(json))
}

/// Why a manifest cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The system cannot read or write it.
    #[error("cannot keep `{path}`: {source}\nhint: once that is mended, run again with `--resume`")]
    Io {
        /// The file or the folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another process works on it.
    #[error("`{path}` is in use by another run\nhint: let it finish, or stop it")]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// Not a manifest of this program.
    #[error(
        "`{path}` is no manifest of this program: {problem}\nhint: `--overwrite` discards the folder and starts again"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

/// The manifest of a job that is not finished; no other process can open it.
#[derive(Debug)]
pub(super) struct Manifest {
    folder: PathBuf,
    file: File,
    /// Held while the job is worked on.
    lock: File,
    /// What the job was when it was begun.
    pub(super) job: JobRecord,
    /// The parts that are finished.
    pub(super) parts: BTreeMap<u32, PartRecord>,
}

impl Manifest {
    /// Whether a folder holds a manifest; one that was killed before its first line has none.
    pub(super) fn is_in(folder: &Path) -> bool {
        std::fs::read(folder.join(NAME)).is_ok_and(|content| content.contains(&b'\n'))
    }

    /// Begins a job; what the folder holds is discarded.
    pub(super) fn begin(folder: &Path, job: &JobRecord) -> Result<Self, ManifestError> {
        let lock = lock(folder)?;
        let io = |source| ManifestError::Io { path: folder.to_owned(), source };
        for entry in std::fs::read_dir(folder).map_err(io)? {
            let path = entry.map_err(io)?.path();
            if path.is_file() && !path.ends_with(LOCK) {
                std::fs::remove_file(path).map_err(io)?;
            }
        }
        write(folder, job, &[])?;
        Self::read(folder, lock)
    }

    /// Reads the manifest of a job that was begun.
    pub(super) fn open(folder: &Path) -> Result<Self, ManifestError> {
        Self::read(folder, lock(folder)?)
    }

    fn read(folder: &Path, lock: File) -> Result<Self, ManifestError> {
        let path = folder.join(NAME);
        let io = |source| ManifestError::Io { path: path.clone(), source };
        let mut file = OpenOptions::new().read(true).write(true).open(&path).map_err(io)?;
        let mut content = String::new();
        file.read_to_string(&mut content).map_err(io)?;
        // What stands behind the last line break was cut off.
        let whole = content.rfind('\n').map_or(0, |end| end + 1);
        file.set_len(whole as u64).and_then(|()| file.seek(SeekFrom::End(0))).map_err(io)?;
        let foreign = |problem: String| ManifestError::Foreign { path: path.clone(), problem };
        let mut lines = content[..whole].lines();
        let first = lines.next().ok_or_else(|| foreign("it is empty".to_owned()))?;
        let job = serde_json::from_str(first).map_err(|error| foreign(error.to_string()))?;
        let parts = lines.map(|line| {
            let part: PartRecord = serde_json::from_str(line).map_err(|error| foreign(error.to_string()))?;
            Ok((part.index, part))
        });
        Ok(Self { folder: folder.to_owned(), job, parts: parts.collect::<Result<_, _>>()?, file, lock })
    }

    /// Takes note that a part is finished; its files are on the disk.
    pub(super) fn finish(&mut self, part: PartRecord) -> Result<(), ManifestError> {
        let line = serde_json::to_string(&part)
            .map_err(|error| ManifestError::Io { path: self.folder.join(NAME), source: error.into() })?;
        self.append(&line)?;
        self.parts.insert(part.index, part);
        Ok(())
    }

    /// Forgets the parts that `keep` does not want, and those whose files are not what was written; the job is `job`
    /// from now on.
    pub(super) fn revise(
        self,
        job: &JobRecord,
        keep: impl Fn(&PartRecord) -> bool,
        extension: &str,
    ) -> Result<Self, ManifestError> {
        let is_whole = |part: &PartRecord| {
            let rejects = self.rejects(part.index);
            part.output.is_at(&self.output(part.index, extension))
                && part.rejects.as_ref().is_none_or(|written| written.is_at(&rejects))
        };
        let kept: Vec<PartRecord> =
            self.parts.values().filter(|part| keep(part) && is_whole(part)).cloned().collect();
        if *job == self.job && kept.len() == self.parts.len() {
            return Ok(self);
        }
        write(&self.folder, job, &kept)?;
        Self::read(&self.folder, self.lock)
    }

    /// Where the output of a part is.
    pub(super) fn output(&self, part: u32, extension: &str) -> PathBuf {
        self.folder.join(format!("part-{part:06}.{extension}"))
    }

    /// Where the rejects of a part are.
    pub(super) fn rejects(&self, part: u32) -> PathBuf {
        self.folder.join(format!("part-{part:06}.rejects.jsonl"))
    }

    fn append(&mut self, line: &str) -> Result<(), ManifestError> {
        let line = format!("{line}\n");
        let written = self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_data());
        written.map_err(|source| ManifestError::Io { path: self.folder.join(NAME), source })
    }
}

/// Writes a manifest anew: a crash on the way leaves the one before.
fn write(folder: &Path, job: &JobRecord, parts: &[PartRecord]) -> Result<(), ManifestError> {
    let path = folder.join(NAME);
    let written = whole_file::write(&path, |file| {
        writeln!(file, "{}", serde_json::to_string(job)?)?;
        parts.iter().try_for_each(|part| writeln!(file, "{}", serde_json::to_string(part)?))
    });
    written.map_err(|source| ManifestError::Io { path, source })
}

/// Makes a folder, unless it is there, and keeps other processes from working in it.
fn lock(folder: &Path) -> Result<File, ManifestError> {
    let path = folder.join(LOCK);
    let io = |source| ManifestError::Io { path: path.clone(), source };
    std::fs::create_dir_all(folder).map_err(io)?;
    let file = OpenOptions::new().create(true).write(true).truncate(false).open(&path).map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(ManifestError::Locked { path: folder.to_owned() }),
        Err(TryLockError::Error(source)) => Err(io(source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(model: &str) -> JobRecord {
        let version = || "1".to_owned();
        JobRecord {
            program: version(),
            inputs: Vec::new(),
            settings: Settings { format: OutputFormat::Csv, keep: None, part_rows: 10, limit: None },
            stamp: Stamp {
                model: model.to_owned(),
                precision: "int8".to_owned(),
                taxonomy: version(),
                directory: version(),
                risk_rules: version(),
            },
        }
    }

    /// A part whose output is a file of these words.
    fn finished(manifest: &Manifest, index: u32, words: &str) -> PartRecord {
        std::fs::write(manifest.output(index, "csv"), words).unwrap();
        let output = Written { bytes: 0, sha256: hex::encode(Sha256::digest(words)), rows: 1 };
        PartRecord { index, key: format!("key {index}"), output, rejects: None, tally: Tally::default() }
    }

    #[test]
    fn a_line_that_was_cut_off_is_as_if_it_had_not_been_written() {
        let folder = tempfile::tempdir().unwrap();
        let mut manifest = Manifest::begin(folder.path(), &job("a")).unwrap();
        manifest.finish(finished(&manifest, 0, "路灯")).unwrap();
        drop(manifest);
        let path = folder.path().join(NAME);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, [&whole, b"{\"index\":1,\"ke".as_slice()].concat()).unwrap();
        let mut manifest = Manifest::open(folder.path()).unwrap();
        assert_eq!(manifest.job, job("a"));
        assert_eq!(manifest.parts.keys().collect::<Vec<_>>(), [&0]);
        manifest.finish(finished(&manifest, 1, "井盖")).unwrap();
        drop(manifest);
        assert_eq!(Manifest::open(folder.path()).unwrap().parts.len(), 2);
    }

    #[test]
    fn a_part_whose_file_is_not_what_was_written_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let mut manifest = Manifest::begin(folder.path(), &job("a")).unwrap();
        for part in 0..3 {
            manifest.finish(finished(&manifest, part, "路灯")).unwrap();
        }
        std::fs::write(manifest.output(1, "csv"), "路").unwrap();
        let manifest = manifest.revise(&job("b"), |part| part.index != 2, "csv").unwrap();
        assert_eq!(manifest.parts.keys().collect::<Vec<_>>(), [&0]);
        assert_eq!(manifest.job, job("b"));
    }

    #[test]
    fn two_runs_do_not_share_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let _held = Manifest::begin(folder.path(), &job("a")).unwrap();
        assert!(matches!(Manifest::open(folder.path()), Err(ManifestError::Locked { .. })));
        assert!(matches!(Manifest::begin(folder.path(), &job("a")), Err(ManifestError::Locked { .. })));
    }

    #[test]
    fn differences_are_told_one_by_one() {
        let input = |file: &str, sha256: &str| InputRecord {
            file: file.to_owned(),
            rows: 1,
            sha256: sha256.to_owned(),
            columns: Roles { text: "text".to_owned(), title: None, area: None, id: None, label: None },
        };
        let before = JobRecord { inputs: vec![input("a", "1"), input("b", "1")], ..job("a") };
        let now = JobRecord { inputs: vec![input("a", "2"), input("c", "1")], ..job("b") };
        let told = now.differences(&before);
        assert_eq!(told[..3], ["`a` has changed since", "`c` was not part of it", "`b` was part of it"]);
        assert!(told[3].starts_with("it was begun with a in int8"), "{}", told[3]);
        assert!(before.differences(&before).is_empty());
    }
}
