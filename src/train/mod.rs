//! `jiesu train`: fine-tunes a BERT encoder and its classification heads on the CPU.
//!
//! ```text
//! table ─▶ dataset ─▶ batches ─▶ bert ─▶ model (heads) ─▶ loss ─▶ optimizer
//!  rows     examples   who is     ops     logits                     AdamW
//!                      with whom
//! ```
//!
//! `ngrams` is the linear model beside the encoder; its scores enter the heads through `stacking`, and `blend` fits on the
//! dev rows how far each of the two is believed. `ops` holds the fused operations with their backward passes,
//! `objective` ties a set to the heads it teaches, `checkpoint` lets a run go on, `bundle` writes what the rest of the
//! crate loads. A run is a function of its settings, its data and its seed: the same three give the same weights,
//! interrupted or not, for the same number of threads and the same processor (both decide how matrix products are cut
//! up).

use std::time::{Duration, Instant};

use serde_json::json;

use crate::classifier::{Calibration, HeadConfig};

mod batches;
mod bert;
mod blend;
mod bundle;
mod checkpoint;
mod dataset;
mod error;
mod evaluate;
mod example;
mod init;
mod loss;
mod model;
mod ngrams;
mod objective;
mod ops;
mod optimizer;
mod prepare;
mod progress;
mod settings;
mod stacking;
mod svm;

pub use checkpoint::{CheckpointError, EpochFigures};
pub use dataset::{DatasetError, RowCounts};
pub use error::TrainError;
pub use evaluate::HeadFigures;
pub use init::InitError;
pub use objective::{ClassWeights, Crosswalk};
pub use optimizer::OptimizerSettings;
pub use settings::{AuxiliaryData, CrosswalkData, HeadColumn, Start, TextColumns, TrainSettings};

use batches::{Batch, SetShare, epoch_batches};
use bert::Pass;
use blend::Blend;
use checkpoint::{Best, CheckpointFolder, State};
use evaluate::{HeadAnswers, PartAnswers, figures};
use ops::DropoutSource;
use optimizer::{AdamW, schedule};
use prepare::Prepared;
use progress::Progress;

/// What became of a run.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// The bundle is written.
    Finished(TrainReport),
    /// The run stopped where it was told to; it can be resumed.
    Paused {
        /// Steps so far.
        step: usize,
        /// Steps in all.
        total_steps: usize,
    },
}

/// How good the bundle is.
#[derive(Debug, Clone)]
pub struct TrainReport {
    /// Dev figures of the weights that were kept, one a head; empty without dev rows.
    pub heads: Vec<HeadFigures>,
    /// How sure of themselves the heads may be, measured on the dev rows; empty without any.
    pub calibration: Calibration,
    /// The epoch whose weights were kept, from 1.
    pub epoch: usize,
    /// Figures of every epoch.
    pub history: Vec<EpochFigures>,
    /// Steps taken.
    pub steps: usize,
    /// Seconds of the whole run, interruptions left out.
    pub seconds: f64,
}

/// Trains as the settings say and writes a bundle into the output folder.
///
/// # Errors
/// If data, base model or settings cannot be used (before the first step), or the loss is not finite.
pub fn train(settings: &TrainSettings) -> Result<Outcome, TrainError> {
    let folder = CheckpointFolder::new(&settings.output);
    if settings.resume && !folder.exists() {
        return Err(TrainError::NothingToResume { path: settings.output.clone() });
    }
    bundle::open_output(&settings.output, settings.resume)?;
    let prepared = prepare::prepare(settings)?;
    progress::announce(&prepared);
    if let Some(ngrams) = &prepared.ngrams {
        progress::announce_ngrams(&ngrams.figures);
    }
    let mut run = Run::new(settings, &prepared, folder)?;
    if !run.epochs()? {
        return Ok(Outcome::Paused { step: run.state.step, total_steps: run.total_steps });
    }
    run.finish().map(Outcome::Finished)
}

/// A run in progress.
struct Run<'a> {
    settings: &'a TrainSettings,
    prepared: &'a Prepared,
    folder: CheckpointFolder,
    optimizer: AdamW,
    state: State,
    shares: Vec<SetShare>,
    total_steps: usize,
    /// Steps since the run was begun or resumed.
    own_steps: usize,
    last_checkpoint: Instant,
    last_clock: Instant,
}

impl<'a> Run<'a> {
    fn new(
        settings: &'a TrainSettings,
        prepared: &'a Prepared,
        folder: CheckpointFolder,
    ) -> Result<Self, TrainError> {
        let parameters = prepared.model.parameters();
        let mut optimizer = AdamW::new(settings.optimizer, &parameters);
        let provenance = settings.provenance(&prepared.digests);
        let state = if settings.resume {
            folder.load(&provenance, &parameters, &mut optimizer)?
        } else {
            State::new(provenance)
        };
        let shares: Vec<_> = prepared
            .sets
            .iter()
            .map(|set| SetShare { examples: set.examples.len(), weight: set.weight })
            .collect();
        let epoch_steps = epoch_batches(&shares, settings.batch_size, settings.seed, 0).len();
        Ok(Self {
            settings,
            prepared,
            folder,
            optimizer,
            state,
            shares,
            total_steps: epoch_steps * prepared.epochs,
            own_steps: 0,
            last_checkpoint: Instant::now(),
            last_clock: Instant::now(),
        })
    }

    /// Trains to the end, or returns `false` where the settings ask for a pause.
    fn epochs(&mut self) -> Result<bool, TrainError> {
        while self.state.epoch < self.prepared.epochs && !self.has_stalled() {
            if !self.epoch()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn has_stalled(&self) -> bool {
        self.state.best.as_ref().is_some_and(|best| self.state.epoch >= best.epoch + self.settings.patience)
    }

    fn epoch(&mut self) -> Result<bool, TrainError> {
        let settings = self.settings;
        let batches = epoch_batches(&self.shares, settings.batch_size, settings.seed, self.state.epoch);
        let done = (self.state.batch, batches.len());
        let mut progress = Progress::new(self.state.epoch + 1, done, (self.state.step, self.total_steps));
        for batch in &batches[self.state.batch..] {
            if settings.pause_after_steps.is_some_and(|steps| self.own_steps >= steps) {
                progress.finish();
                self.save()?;
                return Ok(false);
            }
            let loss = self.step(batch)?;
            progress.batch(loss, batch.examples.len(), self.prepared.sets[batch.set].tokens(batch));
            if self.last_checkpoint.elapsed() >= Duration::from_secs_f64(settings.checkpoint_minutes * 60.0) {
                self.save()?;
            }
        }
        progress.finish();
        self.end_epoch(batches.len())?;
        Ok(true)
    }

    fn step(&mut self, batch: &Batch) -> Result<f64, TrainError> {
        let source = DropoutSource::new(self.settings.seed, self.state.step);
        let set = &self.prepared.sets[batch.set];
        let mut value = 0.0;
        if let Some(loss) = set.loss(&self.prepared.model, batch, Pass::Training(&source))? {
            value = f64::from(loss.to_scalar::<f32>()?);
            let gradients = loss.backward()?;
            let share = schedule(self.state.step, self.total_steps, self.settings.optimizer.warmup_share);
            let norm = self.optimizer.step(&self.prepared.model.parameters(), &gradients, share)?;
            if !value.is_finite() || !norm.is_finite() {
                return Err(TrainError::NotFinite { step: self.state.step });
            }
        }
        self.state.step += 1;
        self.state.batch += 1;
        self.state.loss_sum += value;
        self.own_steps += 1;
        Ok(value)
    }

    fn end_epoch(&mut self, batches: usize) -> Result<(), TrainError> {
        self.state.epoch += 1;
        let heads = &self.prepared.config.heads;
        let answers = self.joined(&self.answers()?);
        let figures = EpochFigures {
            epoch: self.state.epoch,
            loss: self.state.loss_sum / batches.max(1) as f64,
            heads: figures(heads, &answers),
        };
        progress::announce_epoch(&figures);
        // A loss changes smoothly, where F1 jumps with each row of a rare label.
        let dev_loss = heads.iter().zip(&answers).next().and_then(|(head, answers)| answers.log_loss(head));
        // Without dev rows the last epoch is taken for the best.
        let better = dev_loss.is_none_or(|loss| self.state.best.as_ref().is_none_or(|best| loss < best.loss));
        if better {
            let (epoch, step) = (self.state.epoch, self.state.step);
            self.state.best = Some(Best { epoch, step, loss: dev_loss.unwrap_or_default() });
            self.folder.save_best(step, &self.prepared.model.parameters())?;
        }
        self.state.history.push(figures);
        self.state.batch = 0;
        self.state.loss_sum = 0.0;
        self.save()
    }

    /// What the parts of each head say about the dev rows; nothing without any.
    fn answers(&self) -> Result<Vec<PartAnswers>, TrainError> {
        Ok(evaluate::answers(&self.prepared.model, &self.prepared.dev, &self.prepared.config.heads)?)
    }

    /// What they say together.
    fn joined(&self, answers: &[PartAnswers]) -> Vec<HeadAnswers> {
        let parts = self.prepared.config.heads.iter().zip(answers);
        parts.map(|(head, answers)| blend::cross_fitted(head, answers)).collect()
    }

    fn save(&mut self) -> Result<(), TrainError> {
        self.state.seconds += self.last_clock.elapsed().as_secs_f64();
        self.last_clock = Instant::now();
        self.folder.save(&self.state, &self.prepared.model.parameters(), &self.optimizer)?;
        self.last_checkpoint = Instant::now();
        Ok(())
    }

    /// Takes the best weights, measures and calibrates them, and writes the bundle.
    fn finish(self) -> Result<TrainReport, TrainError> {
        let (settings, model) = (self.settings, &self.prepared.model);
        let config = &self.prepared.config;
        if let Some(best) = &self.state.best {
            self.folder.load_best(best, &model.parameters())?;
        }
        let answers = self.answers()?;
        let mut blends = Vec::new();
        for (position, (head, answers)) in config.heads.iter().zip(&answers).enumerate() {
            let blend = Blend::fit(head, answers);
            model.settle(position, &blend)?;
            blends.push(json!({ "head": head.name, "encoder": blend.encoder, "ngrams": blend.ngrams }));
        }
        let answers = self.joined(&answers);
        let report = TrainReport {
            heads: figures(&config.heads, &answers),
            calibration: calibrate(&config.heads, &settings.alert_heads, &answers),
            epoch: self.state.best.as_ref().map_or(0, |best| best.epoch),
            steps: self.state.step,
            seconds: self.state.seconds,
            history: self.state.history,
        };
        let training = json!({
            "jiesu": env!("CARGO_PKG_VERSION"),
            "settings": self.state.settings,
            "rows": self.prepared.counts.iter().map(|(set, counts)| json!({ "set": set, "counts": counts })).collect::<Vec<_>>(),
            "dev_rows": self.prepared.dev.len(),
            "steps": report.steps,
            "seconds": report.seconds.round(),
            "kept_epoch": report.epoch,
            "dev": report.heads,
            "blend": blends,
            "history": report.history,
            "ngrams": self.prepared.ngrams.as_ref().map(|ngrams| json!({ "alone": ngrams.figures })),
        });
        let mixes = model.mixes()?;
        let ngrams = self.prepared.ngrams.as_ref().map(|ngrams| ngrams.model.mixed(&mixes));
        bundle::write_bundle(
            &settings.output,
            config,
            model.stored()?,
            settings.half,
            ngrams.as_ref(),
            (&report.calibration, &training),
        )?;
        self.folder.remove()?;
        Ok(report)
    }
}

/// Measures the certainty of the heads on the dev rows; labels of `alert_heads` after the first must not be missed.
fn calibrate(heads: &[HeadConfig], alert_heads: &[String], answers: &[HeadAnswers]) -> Calibration {
    let measured = heads.iter().zip(answers).filter_map(|(head, answers)| {
        Some((head.name.clone(), answers.calibration(head, alert_heads.contains(&head.name))?))
    });
    Calibration { heads: measured.collect() }
}
