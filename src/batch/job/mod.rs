//! A job: its parts are answered one after the other, each durable before it counts, and joined when all are there.

use std::path::PathBuf;
use std::sync::Arc;

use datafusion::common::DataFusionError;

mod error;
mod outcome;
mod part;
mod paths;

pub use error::BatchError;
pub use outcome::Outcome;
pub use part::{FinishedPart, PartInWork};
pub use paths::Paths;

use super::input::Inputs;
use super::manifest::{InputRecord, JobRecord, Manifest, PartRecord, Settings, key};
use super::output::{OutputFormat, PartWriter, assemble};
use super::scan::Scan;
use super::separate::Layout;
use super::stamp::Stamp;
use super::tally::Tally;
use crate::{rows, whole_file};

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

/// A job that can be run: what is missing is known.
#[derive(Debug)]
pub struct OpenJob {
    /// What it reads.
    pub scan: Arc<Scan>,
    paths: Paths,
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
            settings,
            stamp: self.stamp,
        };
        let scan = Arc::new(Scan::new(self.inputs.tables, self.part_rows, self.limit));
        let layout =
            Layout::new(&scan, job.settings.keep.as_deref()).map_err(|column| BatchError::NoColumn {
                column,
                columns: scan.carried().iter().map(|field| field.name().clone()).collect(),
            })?;
        if let Existing::Resume { .. } = self.existing
            && let Some(outcome) = Outcome::of(&paths, &job)
        {
            paths.remove_work()?;
            return Ok(Opened::Finished(Box::new(outcome)));
        }
        paths.check(self.existing)?;
        let manifest = match self.existing {
            Existing::Resume { allow_changes } => resume(&paths, &scan, &job, allow_changes)?,
            Existing::Refuse | Existing::Overwrite => Manifest::begin(&paths.parts, &job)?,
        };
        Ok(Opened::Open(Box::new(OpenJob { scan, paths, layout, manifest })))
    }
}

/// Takes up a run that did not end; begins one if there is none.
fn resume(paths: &Paths, scan: &Scan, job: &JobRecord, allow_changes: bool) -> Result<Manifest, BatchError> {
    if Manifest::is_in(&paths.parts) {
        let manifest = Manifest::open(&paths.parts)?;
        let differences = job.differences(&manifest.job);
        if !differences.is_empty() && !allow_changes {
            return Err(BatchError::Changed { folder: paths.parts.clone(), differences });
        }
        let keys: Vec<String> = scan.parts.iter().map(|part| key(scan, part, &job.settings)).collect();
        let keep = |part: &PartRecord| keys.get(part.index as usize) == Some(&part.key);
        let extension = job.settings.format.extension();
        return Ok(manifest.revise(job, keep, extension)?);
    }
    if !paths.output.exists() {
        return Ok(Manifest::begin(&paths.parts, job)?);
    }
    let differences = Outcome::read(paths).map(|outcome| job.differences(&outcome.job)).unwrap_or_default();
    let output = paths.output.clone();
    Err(if differences.is_empty() {
        BatchError::Exists { output }
    } else {
        BatchError::Changed { folder: output, differences }
    })
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
        let settings = &self.manifest.job.settings;
        let output = self.manifest.output(part, settings.format.extension());
        Ok(PartInWork {
            index: part,
            key: key(&self.scan, planned, settings),
            rows: planned.rows(),
            output: PartWriter::create(settings.format, &output, Arc::clone(&self.layout.output))?,
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
        let Self { scan, paths, layout, manifest } = self;
        let format = manifest.job.settings.format;
        let parts = || manifest.parts.values();
        let with_rejects: Vec<PathBuf> =
            parts().filter(|part| part.rejects.is_some()).map(|part| manifest.rejects(part.index)).collect();
        let rejects = match with_rejects.as_slice() {
            [] => paths.remove_rejects().map(|()| None)?,
            files => Some(assemble(OutputFormat::JsonLines, &layout.rejects, files, &paths.rejects)?),
        };
        let outputs: Vec<PathBuf> =
            parts().map(|part| manifest.output(part.index, format.extension())).collect();
        let output = assemble(format, &layout.output, &outputs, &paths.output)?;
        let written = output.rows + rejects.as_ref().map_or(0, |rejects| rejects.rows);
        if written != scan.rows() {
            return Err(BatchError::Unreconciled { read: scan.rows(), written });
        }
        let outcome = Outcome { job: manifest.job.clone(), output, rejects, tally };
        let io = |source| BatchError::Io { path: paths.summary.clone(), source };
        whole_file::write(&paths.summary, |file| Ok(serde_json::to_writer_pretty(file, &outcome)?))
            .map_err(io)?;
        drop(manifest);
        paths.remove_work()?;
        Ok(outcome)
    }
}
