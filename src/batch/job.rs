//! A job: its parts are answered one after the other, each durable before it counts, and joined when all are there.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::error::ArrowError;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::DataFusionError;
use serde::{Deserialize, Serialize};

use super::input::Inputs;
use super::manifest::{InputRecord, JobRecord, Manifest, ManifestError, PartRecord, Settings, key};
use super::output::{OutputError, OutputFormat, PartWriter, Written, assemble};
use super::scan::Scan;
use super::separate::Layout;
use super::stamp::Stamp;
use super::tally::Tally;
use crate::rows::{self, ReadError};
use crate::whole_file;

/// What a job is asked to do.
#[derive(Debug)]
pub struct BatchJob {
    /// Where the rows come from.
    pub inputs: Inputs,
    /// The file that they go to.
    pub output: PathBuf,
    /// Its format.
    pub format: OutputFormat,
    /// The columns that are carried through; none for all.
    pub keep: Option<Vec<String>>,
    /// How many rows are durable together.
    pub part_rows: u64,
    /// How many rows are taken at most.
    pub limit: Option<u64>,
    /// What answers.
    pub stamp: Stamp,
    /// What to do about what is there already.
    pub existing: Existing,
}

/// What to do about an output or finished parts that are there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Refuse to touch them.
    Refuse,
    /// Discard them.
    Overwrite,
    /// Go on with them.
    Resume {
        /// Even if model, settings or files have changed: finished parts of unchanged files stay as they are.
        allow_changes: bool,
    },
}

/// Why a job is not done.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// The output is there already.
    #[error("`{output}` is there already\nhint: name another file, or replace it with `--overwrite`")]
    Exists {
        /// The file.
        output: PathBuf,
    },
    /// An earlier run of the same name is not finished.
    #[error(
        "`{folder}` holds the finished parts of a run that did not end\nhint: `--resume` goes on with it, `--overwrite` starts again"
    )]
    Unfinished {
        /// The folder.
        folder: PathBuf,
    },
    /// The run to go on with was another.
    #[error("`{folder}` belongs to a run that was not this one:\n{}\nhint: `--allow-changes` keeps finished parts of files that have not changed, each row stamped with what answered it; `--overwrite` starts again", differences.join("\n"))]
    Changed {
        /// The folder.
        folder: PathBuf,
        /// What differs.
        differences: Vec<String>,
    },
    /// A column to carry through is not there.
    #[error("no file has the column `{column}` that `--keep` names\nhint: the columns are {}", columns.join(", "))]
    NoColumn {
        /// The column.
        column: String,
        /// Those that there are.
        columns: Vec<String>,
    },
    /// The manifest cannot be kept.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A file cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// A part could not be answered.
    #[error(transparent)]
    Engine(#[from] DataFusionError),
    /// Columns are not what they should be.
    #[error(transparent)]
    Arrow(#[from] ArrowError),
    /// A folder or a file cannot be written or removed.
    #[error("cannot write `{path}`: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Somebody wrote to a file while it was read.
    #[error(
        "`{file}` has changed while it was read\nhint: let nobody write to it, and start again with `--overwrite`"
    )]
    InputChanged {
        /// The file.
        file: String,
    },
    /// A file can no longer be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Rows are missing or came twice: a fault of this program.
    #[error(
        "{read} rows were read, but {written} came out\nhint: the finished parts are kept; please report this"
    )]
    Unreconciled {
        /// Rows of the input.
        read: u64,
        /// Rows of output and rejects.
        written: u64,
    },
}

/// What a finished job wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// What the job was.
    job: JobRecord,
    /// The output.
    pub output: Written,
    /// The rejects, if there are any.
    pub rejects: Option<Written>,
    /// What the rows turned into.
    pub tally: Tally,
}

/// A job that can be run: what is missing is known.
#[derive(Debug)]
pub struct OpenJob {
    /// What it reads.
    pub scan: Arc<Scan>,
    paths: Paths,
    settings: Settings,
    layout: Layout,
    manifest: Manifest,
}

/// A job after a look at what is there.
#[derive(Debug)]
pub enum Opened {
    /// It has something to do.
    Open(Box<OpenJob>),
    /// It was finished before.
    Finished(Box<Outcome>),
}

/// The files that a job writes.
#[derive(Debug, Clone)]
pub struct Paths {
    output: PathBuf,
    /// Rows that were rejected.
    pub rejects: PathBuf,
    /// What the job was and did.
    summary: PathBuf,
    /// Finished parts.
    parts: PathBuf,
    /// Copies of what came from an object store.
    pub copies: PathBuf,
}

impl Paths {
    /// The files of a job that writes to `output`.
    pub fn of(output: &Path) -> Self {
        let beside = |ending: &str| {
            let mut path = output.as_os_str().to_owned();
            path.push(ending);
            PathBuf::from(path)
        };
        Self {
            rejects: beside(".rejects.jsonl"),
            summary: beside(".summary.json"),
            parts: beside(".parts"),
            copies: beside(".inputs"),
            output: output.to_owned(),
        }
    }

    /// Refuses to touch what is there, unless that is wanted.
    ///
    /// # Errors
    /// If there is an output, or a run that did not end.
    pub fn check(&self, existing: Existing) -> Result<(), BatchError> {
        if existing == Existing::Refuse && self.output.exists() {
            return Err(BatchError::Exists { output: self.output.clone() });
        }
        if existing == Existing::Refuse && Manifest::is_in(&self.parts) {
            return Err(BatchError::Unfinished { folder: self.parts.clone() });
        }
        Ok(())
    }

    /// Whether a file is one that the job writes.
    pub fn writes(&self, file: &Path) -> bool {
        [&self.output, &self.rejects, &self.summary].into_iter().any(|own| same(own, file))
    }

    /// Whether a file is one of them, or lies in a folder of theirs.
    pub fn is_own(&self, file: &Path) -> bool {
        self.writes(file)
            || file.ancestors().any(|folder| same(folder, &self.parts) || same(folder, &self.copies))
    }
}

fn same(a: &Path, b: &Path) -> bool {
    a == b || matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

impl BatchJob {
    /// Looks at what is there, and begins the job or takes it up again.
    ///
    /// # Errors
    /// If something is there that must not be touched, or belongs to another job.
    pub fn open(self) -> Result<Opened, BatchError> {
        let paths = Paths::of(&self.output);
        let settings =
            Settings { format: self.format, keep: self.keep, part_rows: self.part_rows, limit: self.limit };
        let job = JobRecord {
            program: env!("CARGO_PKG_VERSION").to_owned(),
            inputs: self.inputs.tables.iter().map(InputRecord::from).collect(),
            settings: settings.clone(),
            stamp: self.stamp,
        };
        let scan = Arc::new(Scan::new(self.inputs.tables, self.part_rows, self.limit));
        let layout = Layout::new(&scan, settings.keep.as_deref()).map_err(|column| BatchError::NoColumn {
            column,
            columns: scan.carried().iter().map(|field| format!("`{}`", field.name())).collect(),
        })?;
        if let Existing::Resume { .. } = self.existing
            && let Some(outcome) = Outcome::of(&paths, &job)
        {
            remove_folder(&paths.parts)?;
            remove_folder(&paths.copies)?;
            return Ok(Opened::Finished(Box::new(outcome)));
        }
        paths.check(self.existing)?;
        let manifest = match self.existing {
            Existing::Resume { allow_changes } if Manifest::is_in(&paths.parts) => {
                let manifest = Manifest::open(&paths.parts)?;
                let differences = job.differences(&manifest.job);
                if !differences.is_empty() && !allow_changes {
                    return Err(BatchError::Changed { folder: paths.parts, differences });
                }
                let keys: Vec<String> = scan.parts.iter().map(|part| key(&scan, part, &settings)).collect();
                let keep = |part: &PartRecord| keys.get(part.index as usize) == Some(&part.key);
                manifest.revise(job, keep, settings.format.extension())?
            }
            Existing::Resume { .. } if paths.output.exists() => {
                let differences = Outcome::read(&paths).map(|outcome| job.differences(&outcome.job));
                return Err(match differences {
                    Some(differences) if !differences.is_empty() => {
                        BatchError::Changed { folder: paths.output, differences }
                    }
                    Some(_) | None => BatchError::Exists { output: paths.output },
                });
            }
            Existing::Refuse | Existing::Resume { .. } | Existing::Overwrite => {
                Manifest::begin(&paths.parts, job)?
            }
        };
        Ok(Opened::Open(Box::new(OpenJob { scan, paths, settings, layout, manifest })))
    }
}

impl OpenJob {
    /// What answers.
    #[cfg(feature = "cluster")]
    pub(super) fn stamp(&self) -> &Stamp {
        &self.manifest.job.stamp
    }

    /// How many rows it reads.
    pub fn rows(&self) -> u64 {
        self.scan.rows()
    }

    /// The parts that are still to be done, in order.
    pub fn missing(&self) -> Vec<u32> {
        let all = self.scan.parts.iter().map(|part| part.index);
        all.filter(|part| !self.manifest.parts.contains_key(part)).collect()
    }

    /// Counts of the parts that are finished.
    pub fn tally(&self) -> Tally {
        let mut all = Tally::default();
        for part in self.manifest.parts.values() {
            all.merge(&part.tally);
        }
        all
    }

    /// Begins to write a part.
    ///
    /// # Errors
    /// If there is no such part, or its files cannot be made.
    pub fn begin(&self, part: u32) -> Result<PartInWork, BatchError> {
        let Some(planned) = self.scan.parts.get(part as usize) else {
            return Err(DataFusionError::Internal(format!("there is no part {part}")).into());
        };
        let output = self.manifest.output(part, self.settings.format.extension());
        Ok(PartInWork {
            index: part,
            key: key(&self.scan, planned, &self.settings),
            rows: planned.rows(),
            output: PartWriter::create(self.settings.format, &output, Arc::clone(&self.layout.output))?,
            rejects: None,
            rejects_path: self.manifest.rejects(part),
            layout: self.layout.clone(),
            tally: Tally::default(),
        })
    }

    /// Takes note that a part is finished.
    ///
    /// # Errors
    /// If that cannot be brought to the disk.
    pub fn keep(&mut self, part: FinishedPart) -> Result<(), BatchError> {
        Ok(self.manifest.finish(part.0)?)
    }

    /// What was read must be what was surveyed, to the end.
    fn check_inputs(&self) -> Result<(), BatchError> {
        for table in &self.scan.tables {
            if rows::digest(&table.file)? != table.sha256 {
                return Err(BatchError::InputChanged { file: table.name.clone() });
            }
        }
        Ok(())
    }

    /// Joins the parts, all of which are finished, to the files that the job was asked for.
    ///
    /// # Errors
    /// If a file cannot be written, or the rows do not add up.
    pub fn finish(self) -> Result<Outcome, BatchError> {
        let tally = self.tally();
        self.check_inputs()?;
        let Self { scan, paths, settings, layout, manifest } = self;
        let parts = || manifest.parts.values();
        let with_rejects: Vec<PathBuf> =
            parts().filter(|part| part.rejects.is_some()).map(|part| manifest.rejects(part.index)).collect();
        let rejects = match with_rejects.as_slice() {
            [] => remove_file(&paths.rejects).map(|()| None)?,
            files => Some(assemble(OutputFormat::JsonLines, &layout.rejects, files, &paths.rejects)?),
        };
        let outputs: Vec<PathBuf> =
            parts().map(|part| manifest.output(part.index, settings.format.extension())).collect();
        let output = assemble(settings.format, &layout.output, &outputs, &paths.output)?;
        let written = output.rows + rejects.as_ref().map_or(0, |rejects| rejects.rows);
        if written != scan.rows() {
            return Err(BatchError::Unreconciled { read: scan.rows(), written });
        }
        let outcome = Outcome { job: manifest.job.clone(), output, rejects, tally };
        let io = |source| BatchError::Io { path: paths.summary.clone(), source };
        whole_file::write(&paths.summary, |file| Ok(serde_json::to_writer_pretty(file, &outcome)?))
            .map_err(io)?;
        drop(manifest);
        remove_folder(&paths.parts)?;
        remove_folder(&paths.copies)?;
        Ok(outcome)
    }
}

impl Outcome {
    /// What the summary says.
    fn read(paths: &Paths) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(&paths.summary).ok()?).ok()
    }

    /// What the job wrote, if it was finished and its files are still what it wrote.
    fn of(paths: &Paths, job: &JobRecord) -> Option<Self> {
        let outcome = Self::read(paths)?;
        let is =
            |path: &Path, written: &Written| rows::digest(path).is_ok_and(|digest| digest == written.sha256);
        let whole = is(&paths.output, &outcome.output)
            && outcome.rejects.as_ref().is_none_or(|rejects| is(&paths.rejects, rejects));
        (outcome.job == *job && whole).then_some(outcome)
    }
}

/// A part that is being written.
#[derive(Debug)]
pub struct PartInWork {
    index: u32,
    key: String,
    rows: u64,
    output: PartWriter,
    rejects: Option<PartWriter>,
    rejects_path: PathBuf,
    layout: Layout,
    tally: Tally,
}

/// A part whose files are on the disk.
#[derive(Debug)]
pub struct FinishedPart(PartRecord);

impl PartInWork {
    /// Writes answered rows, which come in order; says how many of them were rejected.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<u64, BatchError> {
        let separated = self.layout.separate(batch)?;
        self.tally.count(&separated.answered, &separated.labels);
        self.output.write(&separated.answered)?;
        let rejected = separated.rejected.num_rows();
        if rejected > 0 {
            self.tally.reject(&separated.reasons);
            let rejects = match &mut self.rejects {
                Some(rejects) => rejects,
                None => self.rejects.insert(PartWriter::create(
                    OutputFormat::JsonLines,
                    &self.rejects_path,
                    Arc::clone(&self.layout.rejects),
                )?),
            };
            rejects.write(&separated.rejected)?;
        }
        Ok(rejected as u64)
    }

    /// Brings the part's files to the disk.
    ///
    /// # Errors
    /// If that fails, or rows are missing.
    pub fn finish(self) -> Result<FinishedPart, BatchError> {
        let written = self.tally.answered + self.tally.rejects();
        if written != self.rows {
            return Err(BatchError::Unreconciled { read: self.rows, written });
        }
        let output = self.output.finish()?;
        let rejects = self.rejects.map(PartWriter::finish).transpose()?;
        Ok(FinishedPart(PartRecord { index: self.index, key: self.key, output, rejects, tally: self.tally }))
    }
}

fn remove_folder(folder: &Path) -> Result<(), BatchError> {
    match std::fs::remove_dir_all(folder) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(BatchError::Io { path: folder.to_owned(), source })
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn remove_file(file: &Path) -> Result<(), BatchError> {
    match std::fs::remove_file(file) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(BatchError::Io { path: file.to_owned(), source })
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
