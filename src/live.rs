//! What answers now: a pipeline that is replaced without dropping a call, and goes on by rules when the model fails.
//!
//! What replaces it is loaded beside it, checked, and tried on requests that are known ([`Live::reload`]); if it does not
//! hold together, nothing changes.
//! A request is answered by the pipeline that it was checked against, whatever is in use by then. Where the model fails
//! on a batch, each of its requests is asked alone, and those that fail again are answered by rules; [`Live::mend`] then
//! tries the model on a request that is known, and loads it anew if it fails there too. Who calls it, and how often, is
//! left to the server.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, TryLockError};
use std::time::{Duration, Instant, SystemTime};

use crate::assessment::{Assessment, Degradation};
use crate::city::City;
use crate::classifier::SequenceClassifier;
use crate::encoder::Threads;
use crate::error::{Error, Result};
use crate::message::explain;
use crate::pipeline::{Assess, CitizenRequest, Pipeline};

/// What a model that works can answer, the usual first.
const PROBES: [&str; 3] = ["路灯不亮，请安排维修", "停", "小區Wi-Fi 📶 壞了，please help"];
/// How often the first makes a text that is longer than any model reads.
const LONG_PROBE: usize = 200;
/// How long to wait before a model that could not be loaded is tried again, at first and at most.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(60);

/// Where models and cities come from.
pub trait Source: Send + Sync + 'static {
    /// Loads the model.
    ///
    /// # Errors
    /// If its files are missing or damaged.
    fn load_model(&self) -> Result<SequenceClassifier>;

    /// Loads the city's files.
    ///
    /// # Errors
    /// If one cannot be read or does not hold together.
    fn load_city(&self) -> Result<City>;

    /// Whether the model's files are where they were.
    fn has_model(&self) -> bool;

    /// What the operator calls the model, such as `built-in` or a folder.
    fn model_name(&self) -> String;
}

/// The pipeline in use, and how its model does.
pub struct Live {
    source: Box<dyn Source>,
    now: RwLock<Now>,
    /// Held while the city's files are read and put in place, and while a model is put in place: one change at a time.
    changing: Mutex<()>,
    /// Held while a model is loaded, which may take as long as a download.
    mending: Mutex<Retry>,
    /// The last reload, if it failed.
    failed: Mutex<Option<FailedReload>>,
}

#[derive(Debug, Clone)]
struct Now {
    pipeline: Arc<Pipeline>,
    /// Grows with every change of what an answer depends on.
    generation: u64,
    model: ModelState,
    /// Since when this model answers.
    since: SystemTime,
}

/// A reload that failed.
#[derive(Debug, Clone)]
pub struct FailedReload {
    /// When.
    pub at: SystemTime,
    /// Why.
    pub problem: String,
}

impl FailedReload {
    /// What is remembered of a reload: nothing, if it did not fail.
    pub(crate) fn of<T>(reloaded: &Result<T>) -> Option<Self> {
        let error = reloaded.as_ref().err()?;
        Some(Self { at: SystemTime::now(), problem: explain(error) })
    }
}

/// How the model does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelState {
    /// It answers, and could be loaded again.
    Works,
    /// It answers from memory; its files are gone.
    FilesMissing,
    /// It failed; rules answer what it fails on.
    Failed,
    /// There is none; rules answer.
    Missing,
}

impl ModelState {
    /// Its name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Works => "works",
            Self::FilesMissing => "files_missing",
            Self::Failed => "failed",
            Self::Missing => "missing",
        }
    }
}

/// When a model is next loaded.
#[derive(Debug)]
struct Retry {
    due: Instant,
    wait: Duration,
}

impl Live {
    /// Loads a city and a model. A model that cannot be loaded leaves the answers to the rules until [`mend`](Self::mend)
    /// finds it.
    ///
    /// # Errors
    /// If the city's files do not hold together: without them there is nothing to answer with.
    pub fn load(source: impl Source) -> Result<Self> {
        let city = source.load_city()?;
        let model = source.load_model().and_then(|model| Pipeline::new(model, city.clone()));
        let (pipeline, model) = match model {
            Ok(pipeline) => (pipeline, ModelState::Works),
            Err(error) => {
                tracing::error!(error = %explain(&error), "the model cannot be loaded; answering by rules alone until it can");
                (Pipeline::without_model(city), ModelState::Missing)
            }
        };
        let now = Now { pipeline: Arc::new(pipeline), generation: 0, model, since: SystemTime::now() };
        let retry = Retry { due: Instant::now() + FIRST_RETRY, wait: FIRST_RETRY };
        Ok(Self {
            source: Box::new(source),
            now: RwLock::new(now),
            changing: Mutex::default(),
            mending: Mutex::new(retry),
            failed: Mutex::default(),
        })
    }

    /// The pipeline in use, and its generation: what was answered in another one may be answered otherwise now.
    pub fn pipeline(&self) -> (Arc<Pipeline>, u64) {
        let now = self.now();
        (Arc::clone(&now.pipeline), now.generation)
    }

    /// How the model does.
    pub fn model_state(&self) -> ModelState {
        self.now().model
    }

    /// Since when the model in use answers.
    pub fn since(&self) -> SystemTime {
        self.now().since
    }

    /// What the operator calls the model.
    pub fn model_name(&self) -> String {
        self.source.model_name()
    }

    /// The last reload, if it failed.
    pub fn failed_reload(&self) -> Option<FailedReload> {
        lock(&self.failed).clone()
    }

    /// The request that is asked first of all, to see whether there are answers.
    ///
    /// # Errors
    /// If the tokenizer fails.
    pub fn probe(&self) -> Result<CitizenRequest> {
        Ok(self.pipeline().0.request("", PROBES[0], "")?)
    }

    /// Reads the city's files again. Blocks as long as that takes.
    ///
    /// # Errors
    /// If they do not hold together, by themselves or with the model; what is in use stays.
    pub fn reload_city(&self) -> Result<Arc<Pipeline>> {
        self.noted(|| {
            let _one_at_a_time = lock(&self.changing);
            let city = self.source.load_city()?;
            let pipeline = match self.pipeline().0.model() {
                Some(model) => Pipeline::new(Arc::clone(model), city)?,
                None => Pipeline::without_model(city),
            };
            let pipeline = Arc::new(pipeline);
            self.put_in_place(&pipeline, |_| ());
            Ok(pipeline)
        })
    }

    /// Loads the model again, tries it beside the one in use, and puts it in place. Blocks as long as that takes.
    ///
    /// # Errors
    /// If it cannot be loaded, is of another revision than the one expected, does not belong to the city's files, or
    /// fails on a request that is known; what is in use stays.
    pub fn reload_model(&self, expected_revision: Option<&str>) -> Result<Arc<Pipeline>> {
        self.noted(|| {
            let _one_model_at_a_time = lock(&self.mending);
            let model = load_model(self.source.as_ref())?;
            if let Some(expected) = expected_revision.filter(|expected| *expected != model.revision()) {
                let found = model.revision().to_owned();
                return Err(Error::UnexpectedRevision { expected: expected.to_owned(), found });
            }
            self.put_model_in_place(model)
        })
    }

    /// Reads all again: the city's files and the model. Blocks as long as that takes.
    ///
    /// # Errors
    /// If the city's files do not hold together, by themselves or with the model, or the model fails on a request that is
    /// known; what is in use stays. If the model cannot be loaded the one in use stays, and the city's files are taken.
    pub fn reload(&self) -> Result<Arc<Pipeline>> {
        let loaded = {
            let _one_model_at_a_time = lock(&self.mending);
            load_model(self.source.as_ref())
        };
        match loaded {
            Ok(model) => self.noted(|| {
                let _one_at_a_time = lock(&self.changing);
                let city = self.source.load_city()?;
                self.try_and_put_in_place(Pipeline::new(model, city)?)
            }),
            Err(error) => {
                let city = self.reload_city();
                self.noted(|| city.and(Err(error)))
            }
        }
    }

    fn put_model_in_place(&self, model: SequenceClassifier) -> Result<Arc<Pipeline>> {
        let _one_at_a_time = lock(&self.changing);
        let city = self.pipeline().0.city().clone();
        self.try_and_put_in_place(Pipeline::new(model, city)?)
    }

    /// Puts a pipeline with a new model in place, if it can answer.
    fn try_and_put_in_place(&self, pipeline: Pipeline) -> Result<Arc<Pipeline>> {
        let pipeline = Arc::new(pipeline);
        try_out(&pipeline)?;
        self.put_in_place(&pipeline, |now| (now.model, now.since) = (ModelState::Works, SystemTime::now()));
        Ok(pipeline)
    }

    fn put_in_place(&self, pipeline: &Arc<Pipeline>, change: impl FnOnce(&mut Now)) {
        self.change(|now| {
            now.pipeline = Arc::clone(pipeline);
            change(now);
        });
        let (taxonomy, directory) = (&pipeline.taxonomy().version, &pipeline.directory().version);
        let risk_rules = &pipeline.city().risk_rules.version;
        let (model, revision) =
            pipeline.model().map_or(("none", ""), |model| (model.name(), model.revision()));
        tracing::info!(model, revision, taxonomy, directory, risk_rules, "in use from now on");
    }

    /// Remembers how a reload ended.
    fn noted<T>(&self, reload: impl FnOnce() -> Result<T>) -> Result<T> {
        let reloaded = reload();
        *lock(&self.failed) = FailedReload::of(&reloaded);
        reloaded
    }

    /// Looks after the model: notes whether its files are there, and loads it where it is missing, has failed, or has
    /// come back. Blocks as long as that takes; does nothing most of the time, and while somebody else loads a model.
    pub fn mend(&self) {
        // Whoever loads the model at this moment looks after it too.
        let mut retry = match self.mending.try_lock() {
            Ok(retry) => retry,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        let present = self.source.has_model();
        match self.model_state() {
            ModelState::Works if present => return,
            ModelState::Works => {
                tracing::error!("the model's files are gone; answering from memory until they are back");
                return self.change(|now| now.model = ModelState::FilesMissing);
            }
            ModelState::FilesMissing if !present => return,
            ModelState::Failed if try_out(&self.pipeline().0).is_ok() => {
                tracing::info!("the model works; rules answer only what it fails on");
                return self.change(|now| now.model = ModelState::Works);
            }
            ModelState::FilesMissing | ModelState::Failed | ModelState::Missing => {}
        }
        if Instant::now() < retry.due {
            return;
        }
        match load_model(self.source.as_ref()).and_then(|model| self.put_model_in_place(model)) {
            Ok(_) => {
                tracing::info!("the model is back");
                retry.wait = FIRST_RETRY;
            }
            Err(error) => {
                let error = explain(&error);
                tracing::warn!(error, retry_seconds = retry.wait.as_secs(), "the model still cannot be used");
                retry.wait = (2 * retry.wait).min(LAST_RETRY);
            }
        }
        retry.due = Instant::now() + retry.wait;
    }

    /// Asks the model about each request alone if it fails on all together, and the rules where it fails again.
    fn assess_by(
        &self,
        pipeline: &Pipeline,
        requests: &[CitizenRequest],
        threads: Threads,
    ) -> Vec<Assessment> {
        let error = match attempt(pipeline, requests, threads) {
            Ok(answers) => return answers,
            Err(error) => error,
        };
        if let [_] = requests {
            self.note_failure(pipeline, &error);
            return pipeline.by_rules(requests, Degradation::ModelFailed);
        }
        requests.chunks(1).flat_map(|request| self.assess_by(pipeline, request, threads)).collect()
    }

    fn note_failure(&self, pipeline: &Pipeline, error: &Error) {
        let mut now = self.now.write().unwrap_or_else(PoisonError::into_inner);
        // A model that has been replaced since says nothing of the one in use.
        let replaced = !std::ptr::eq(pipeline, &raw const *now.pipeline);
        if replaced || now.model == ModelState::Failed {
            return;
        }
        now.model = ModelState::Failed;
        now.generation += 1;
        drop(now);
        tracing::error!(error = %explain(error), "the model failed; answering by rules what it fails on");
    }

    fn change(&self, change: impl FnOnce(&mut Now)) {
        let mut now = self.now.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut now);
        now.generation += 1;
    }

    fn now(&self) -> RwLockReadGuard<'_, Now> {
        // Nothing panics while it holds the lock.
        self.now.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Assess for Live {
    fn assess(&self, requests: &[CitizenRequest], threads: Threads) -> Result<Vec<Assessment>> {
        let same = requests.chunk_by(|a, b| Arc::ptr_eq(&a.pipeline, &b.pipeline));
        let mut answers: Vec<_> =
            same.flat_map(|requests| self.assess_by(&requests[0].pipeline, requests, threads)).collect();
        if self.model_state() == ModelState::FilesMissing {
            for answer in &mut answers {
                answer.degradations.push(Degradation::ModelFilesMissing);
            }
        }
        Ok(answers)
    }
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live").field("now", &self.now).finish_non_exhaustive()
    }
}

/// Loads a model; a panic is an error too.
pub(crate) fn load_model(source: &dyn Source) -> Result<SequenceClassifier> {
    catch_unwind(AssertUnwindSafe(|| source.load_model())).map_err(|_| Error::Panicked)?
}

/// Takes a lock that nothing panics under.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Asks the model for what it should be able to answer.
fn try_out(pipeline: &Arc<Pipeline>) -> Result<()> {
    let long = PROBES[0].repeat(LONG_PROBE);
    let probes = PROBES.into_iter().chain([long.as_str()]);
    let probes =
        probes.map(|probe| pipeline.request("", probe, "")).collect::<std::result::Result<Vec<_>, _>>()?;
    attempt(pipeline, &probes, Threads::One).map(drop)
}

/// Asks the model; a panic is an error too.
fn attempt(pipeline: &Pipeline, requests: &[CitizenRequest], threads: Threads) -> Result<Vec<Assessment>> {
    catch_unwind(AssertUnwindSafe(|| pipeline.assess(requests, threads))).map_err(|_| Error::Panicked)?
}
