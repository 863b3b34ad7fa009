//! Where a run stands, so that it can go on as if nothing had happened.
//!
//! `checkpoint/state.json` names the files that belong together and is written last, under another name and then
//! renamed: whenever a run ends, the newest complete checkpoint is the one that `state.json` describes.
//!
//! | file | holds |
//! |---|---|
//! | `weights-<step>.safetensors` | all parameters, as they are trained |
//! | `moments-<step>.safetensors` | AdamW's first and second moments |
//! | `best-<step>.safetensors` | the parameters that were best on the dev rows so far |
//!
//! The batches of an epoch and the dropout masks of a step follow from the seed, so no random state is kept.

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::bert::Parameter;
use super::evaluate::HeadFigures;
use super::optimizer::{AdamW, Moments};
use crate::whole_file;

const STATE_FILE: &str = "state.json";

/// Why a checkpoint cannot be written or gone on from.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// A file cannot be written or read.
    #[error("checkpoint `{path}`: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Tensors cannot be written or read.
    #[error("checkpoint `{path}`: {source}")]
    Tensors {
        /// The file.
        path: PathBuf,
        /// What the tensor library says.
        source: candle_core::Error,
    },
    /// `state.json` is damaged.
    #[error("checkpoint `{path}`: {source}")]
    State {
        /// The file.
        path: PathBuf,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// The checkpoint is of another run.
    #[error(
        "checkpoint `{path}` was made with other settings or data ({difference})\nhint: pass the same arguments, or train into another folder"
    )]
    OtherRun {
        /// The checkpoint's folder.
        path: PathBuf,
        /// The first thing that differs.
        difference: String,
    },
    /// A parameter is missing or of another shape.
    #[error("checkpoint `{path}` does not fit the model at `{name}`")]
    Parameter {
        /// The file.
        path: PathBuf,
        /// The parameter.
        name: String,
    },
}

/// The epoch with the least dev loss so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Best {
    pub(crate) epoch: usize,
    pub(crate) step: usize,
    /// Its loss; 0 where there are no dev rows.
    pub(crate) loss: f64,
}

/// Figures of an epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochFigures {
    /// Which epoch, from 1.
    pub epoch: usize,
    /// Mean training loss.
    pub loss: f64,
    /// One a head.
    pub heads: Vec<HeadFigures>,
}

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    /// What the run was started with; another run must not go on from here.
    pub(crate) settings: serde_json::Value,
    /// Epochs that are complete.
    pub(crate) epoch: usize,
    /// Batches of the next epoch that are done.
    pub(crate) batch: usize,
    /// Steps since the start.
    pub(crate) step: usize,
    /// Sum of the losses of the next epoch's batches so far.
    pub(crate) loss_sum: f64,
    pub(crate) best: Option<Best>,
    pub(crate) history: Vec<EpochFigures>,
    /// Seconds spent so far.
    pub(crate) seconds: f64,
}

impl State {
    /// A run that has not begun.
    pub(crate) fn new(settings: serde_json::Value) -> Self {
        Self {
            settings,
            epoch: 0,
            batch: 0,
            step: 0,
            loss_sum: 0.0,
            best: None,
            history: Vec::new(),
            seconds: 0.0,
        }
    }
}

/// A run's folder of checkpoints.
#[derive(Debug)]
pub(crate) struct CheckpointFolder {
    path: PathBuf,
}

impl CheckpointFolder {
    pub(crate) fn new(output: &Path) -> Self {
        Self { path: output.join("checkpoint") }
    }

    /// Whether there is something to go on from.
    pub(crate) fn exists(&self) -> bool {
        self.path.join(STATE_FILE).is_file()
    }

    /// Writes where the run stands, then drops the checkpoint before.
    pub(crate) fn save(
        &self,
        state: &State,
        parameters: &[Parameter],
        optimizer: &AdamW,
    ) -> Result<(), CheckpointError> {
        self.create()?;
        let weights = parameters.iter().map(|(name, var)| (name.clone(), var.as_detached_tensor())).collect();
        write_tensors(&self.file("weights", state.step), &weights)?;
        let mut moments = HashMap::new();
        for ((name, _), Moments { first, second }) in parameters.iter().zip(optimizer.moments()) {
            for (which, values) in [("first", first), ("second", second)] {
                let count = values.len();
                let tensor = Tensor::from_vec(values, count, &Device::Cpu);
                let tensor =
                    tensor.map_err(|source| CheckpointError::Tensors { path: self.path.clone(), source })?;
                moments.insert(format!("{which}.{name}"), tensor);
            }
        }
        write_tensors(&self.file("moments", state.step), &moments)?;
        let text = serde_json::to_string_pretty(state).map_err(|source| self.state_error(source))?;
        let path = self.path.join(STATE_FILE);
        whole_file::write(&path, |file| file.write_all(text.as_bytes()))
            .map_err(|source| io(&path, source))?;
        self.drop_older(state)
    }

    /// Keeps the parameters as the best of the step.
    pub(crate) fn save_best(&self, step: usize, parameters: &[Parameter]) -> Result<(), CheckpointError> {
        self.create()?;
        let weights = parameters.iter().map(|(name, var)| (name.clone(), var.as_detached_tensor())).collect();
        write_tensors(&self.file("best", step), &weights)
    }

    /// Puts parameters and optimiser where a checkpoint left them; `settings` must be those of its run.
    pub(crate) fn load(
        &self,
        settings: &serde_json::Value,
        parameters: &[Parameter],
        optimizer: &mut AdamW,
    ) -> Result<State, CheckpointError> {
        let path = self.path.join(STATE_FILE);
        let text = fs::read_to_string(&path).map_err(|source| io(&path, source))?;
        let state: State = serde_json::from_str(&text).map_err(|source| self.state_error(source))?;
        if let Some(difference) = difference(&state.settings, settings) {
            return Err(CheckpointError::OtherRun { path: self.path.clone(), difference });
        }
        let path = self.file("moments", state.step);
        let mut tensors = read_tensors(&path)?;
        let mut moments = Vec::new();
        for (name, _) in parameters {
            let mut take = |which: &str| -> Result<Vec<f32>, CheckpointError> {
                let missing = || CheckpointError::Parameter { path: path.clone(), name: name.clone() };
                let tensor = tensors.remove(&format!("{which}.{name}")).ok_or_else(missing)?;
                tensor.to_vec1().map_err(|source| CheckpointError::Tensors { path: path.clone(), source })
            };
            moments.push(Moments { first: take("first")?, second: take("second")? });
        }
        if !optimizer.restore(moments, state.step) {
            return Err(CheckpointError::Parameter { path, name: "moments".to_owned() });
        }
        self.restore("weights", state.step, parameters)?;
        Ok(state)
    }

    /// Puts the parameters where they were best.
    pub(crate) fn load_best(&self, best: &Best, parameters: &[Parameter]) -> Result<(), CheckpointError> {
        self.restore("best", best.step, parameters)
    }

    /// Deletes the folder; the run is over.
    pub(crate) fn remove(&self) -> Result<(), CheckpointError> {
        fs::remove_dir_all(&self.path).map_err(|source| io(&self.path, source))
    }

    fn create(&self) -> Result<(), CheckpointError> {
        fs::create_dir_all(&self.path).map_err(|source| io(&self.path, source))
    }

    fn file(&self, kind: &str, step: usize) -> PathBuf {
        self.path.join(format!("{kind}-{step}.safetensors"))
    }

    fn restore(&self, kind: &str, step: usize, parameters: &[Parameter]) -> Result<(), CheckpointError> {
        let path = self.file(kind, step);
        let tensors = read_tensors(&path)?;
        for (name, var) in parameters {
            let misfit = || CheckpointError::Parameter { path: path.clone(), name: name.clone() };
            let tensor = tensors.get(name).ok_or_else(misfit)?;
            var.set(tensor).map_err(|_| misfit())?;
        }
        Ok(())
    }

    /// Deletes the files that `state` does not name.
    fn drop_older(&self, state: &State) -> Result<(), CheckpointError> {
        let best = state.best.as_ref().map(|best| self.file("best", best.step));
        let keep = [Some(self.file("weights", state.step)), Some(self.file("moments", state.step)), best];
        for entry in fs::read_dir(&self.path).map_err(|source| io(&self.path, source))? {
            let path = entry.map_err(|source| io(&self.path, source))?.path();
            let is_tensors = path.extension().is_some_and(|ending| ending == "safetensors");
            if is_tensors && !keep.iter().flatten().any(|kept| *kept == path) {
                fs::remove_file(&path).map_err(|source| io(&path, source))?;
            }
        }
        Ok(())
    }

    fn state_error(&self, source: serde_json::Error) -> CheckpointError {
        CheckpointError::State { path: self.path.join(STATE_FILE), source }
    }
}

fn write_tensors(path: &Path, tensors: &HashMap<String, Tensor>) -> Result<(), CheckpointError> {
    candle_core::safetensors::save(tensors, path)
        .map_err(|source| CheckpointError::Tensors { path: path.to_owned(), source })?;
    // On the disk before `state.json` names it.
    fs::File::open(path).and_then(|file| file.sync_all()).map_err(|source| io(path, source))
}

fn io(path: &Path, source: std::io::Error) -> CheckpointError {
    CheckpointError::Io { path: path.to_owned(), source }
}

fn read_tensors(path: &Path) -> Result<HashMap<String, Tensor>, CheckpointError> {
    candle_core::safetensors::load(path, &Device::Cpu)
        .map_err(|source| CheckpointError::Tensors { path: path.to_owned(), source })
}

/// The first key whose value differs.
fn difference(old: &serde_json::Value, new: &serde_json::Value) -> Option<String> {
    let (Some(old), Some(new)) = (old.as_object(), new.as_object()) else {
        return (old != new).then(|| "settings".to_owned());
    };
    let keys = old.keys().chain(new.keys());
    keys.into_iter().find(|key| old.get(*key) != new.get(*key)).map(|key| format!("`{key}`"))
}
