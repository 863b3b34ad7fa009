//! A second model that answers too, unheard (影子模式): what it would have answered otherwise is counted and logged, by the
//! digest of the words.
//!
//! It works on one thread, behind the model in use: no answer waits for it. What it has no time for is dropped and counted.
//! Answers that rules gave because the model failed, and answers from memory, are not compared.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use crate::assessment::Assessment;
use crate::classifier::SequenceClassifier;
use crate::encoder::Threads;
use crate::error::{Error, Result};
use crate::live::{FailedReload, Live, Source};
use crate::message::explain;
use crate::metrics::{self, Compared};
use crate::pipeline::{Assess, CitizenRequest, Pipeline};

mod outcome;

use outcome::Outcome;

/// Most texts that wait for the shadow model: what the model in use answers in some seconds.
const MAX_WAITING: usize = 4096;
/// Most texts that it reads at a time: small, since a caller's request may come meanwhile.
const MAX_BATCH: usize = 16;

/// A model that answers unheard beside the one in use.
pub struct Shadow {
    live: Arc<Live>,
    queue: SyncSender<Vec<Pair>>,
    state: Arc<State>,
}

/// A request, and what was answered to it.
struct Pair {
    request: CitizenRequest,
    answered: Outcome,
}

struct State {
    source: Box<dyn Source>,
    model: Mutex<Loaded>,
    failed: Mutex<Option<FailedReload>>,
    waiting: AtomicUsize,
    counts: Counts,
}

struct Loaded {
    model: Arc<SequenceClassifier>,
    since: SystemTime,
}

#[derive(Debug, Default)]
struct Counts([AtomicU64; Compared::ALL.len()]);

impl Counts {
    fn add(&self, compared: Compared, texts: usize) {
        self.0[compared as usize].fetch_add(texts as u64, Ordering::Relaxed);
        metrics::compared(compared, texts);
    }

    fn get(&self, compared: Compared) -> u64 {
        self.0[compared as usize].load(Ordering::Relaxed)
    }

    fn clear(&self) {
        for count in &self.0 {
            count.store(0, Ordering::Relaxed);
        }
    }
}

/// How a shadow model does.
#[derive(Debug)]
pub struct ShadowStatus {
    /// What the operator calls it.
    pub source: String,
    /// The model.
    pub model: Arc<SequenceClassifier>,
    /// Since when it answers.
    pub since: SystemTime,
    /// The last reload, if it failed.
    pub failed_reload: Option<FailedReload>,
    /// Texts that were answered alike.
    pub same: u64,
    /// Texts that were answered otherwise.
    pub different: u64,
    /// Texts that it had no time for.
    pub dropped: u64,
    /// Texts that it failed on.
    pub failed: u64,
}

impl Shadow {
    /// Loads the shadow model and starts its thread, which ends with the last clone of what this returns.
    ///
    /// # Errors
    /// If the model cannot be loaded or does not belong to the city's files, or there is no thread.
    pub fn start(live: Arc<Live>, source: impl Source) -> anyhow::Result<Self> {
        let model = Arc::new(source.load_model()?);
        Pipeline::new(Arc::clone(&model), live.pipeline().0.city().clone())?;
        tracing::info!(
            model = model.name(),
            revision = model.revision(),
            "a shadow model answers too, unheard"
        );
        let state = Arc::new(State {
            source: Box::new(source),
            model: Mutex::new(Loaded { model, since: SystemTime::now() }),
            failed: Mutex::default(),
            waiting: AtomicUsize::new(0),
            counts: Counts::default(),
        });
        // Each entry holds a text at least, so the count of texts is what fills up.
        let (queue, pairs) = sync_channel(MAX_WAITING);
        let mut worker = Worker { state: Arc::clone(&state), pipelines: None, failing: false };
        std::thread::Builder::new().name("shadow".to_owned()).spawn(move || worker.run(&pairs))?;
        Ok(Self { live, queue, state })
    }

    /// Loads the shadow model again. Blocks as long as that takes.
    ///
    /// # Errors
    /// If it cannot be loaded, or does not belong to the city's files; the one in use stays.
    pub fn reload(&self) -> Result<()> {
        let loaded = self.state.source.load_model().and_then(|model| {
            let model = Arc::new(model);
            Pipeline::new(Arc::clone(&model), self.live.pipeline().0.city().clone())?;
            Ok(model)
        });
        let failed = loaded.as_ref().err();
        *lock(&self.state.failed) =
            failed.map(|error| FailedReload { at: SystemTime::now(), problem: explain(error) });
        let model = loaded?;
        tracing::info!(
            model = model.name(),
            revision = model.revision(),
            "the shadow model was loaded again"
        );
        *lock(&self.state.model) = Loaded { model, since: SystemTime::now() };
        self.state.counts.clear();
        Ok(())
    }

    /// How it does.
    pub fn status(&self) -> ShadowStatus {
        let (model, since) = {
            let loaded = lock(&self.state.model);
            (Arc::clone(&loaded.model), loaded.since)
        };
        let counts = &self.state.counts;
        ShadowStatus {
            source: self.state.source.model_name(),
            model,
            since,
            failed_reload: lock(&self.state.failed).clone(),
            same: counts.get(Compared::Same),
            different: counts.get(Compared::Different),
            dropped: counts.get(Compared::Dropped),
            failed: counts.get(Compared::Failed),
        }
    }

    /// Gives the shadow model what has been answered, if it has room for it.
    fn offer(&self, requests: &[CitizenRequest], answers: &[Assessment]) {
        let pairs: Vec<_> = requests
            .iter()
            .zip(answers)
            .filter(|(_, answer)| !answer.model.is_empty())
            .map(|(request, answer)| Pair { request: request.clone(), answered: Outcome::of(answer) })
            .collect();
        let texts = pairs.len();
        if texts == 0 {
            return;
        }
        let room = self.state.waiting.fetch_add(texts, Ordering::Relaxed) + texts <= MAX_WAITING;
        if !room || self.queue.try_send(pairs).is_err() {
            self.state.waiting.fetch_sub(texts, Ordering::Relaxed);
            self.state.counts.add(Compared::Dropped, texts);
        }
    }
}

impl Assess for Shadow {
    fn assess(&self, requests: &[CitizenRequest], threads: Threads) -> Result<Vec<Assessment>> {
        let answers = self.live.assess(requests, threads)?;
        self.offer(requests, &answers);
        Ok(answers)
    }
}

impl std::fmt::Debug for Shadow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shadow").field("source", &self.state.source.model_name()).finish_non_exhaustive()
    }
}

/// Asks the shadow model, on a thread of its own.
struct Worker {
    state: Arc<State>,
    /// The pipeline that answered last, and the one of the shadow model with the same city.
    pipelines: Option<[Arc<Pipeline>; 2]>,
    /// Whether it failed last time, which the log has been told.
    failing: bool,
}

impl Worker {
    fn run(&mut self, pairs: &Receiver<Vec<Pair>>) {
        while let Ok(pairs) = pairs.recv() {
            self.state.waiting.fetch_sub(pairs.len(), Ordering::Relaxed);
            let same = pairs.chunk_by(|a, b| Arc::ptr_eq(&a.request.pipeline, &b.request.pipeline));
            same.flat_map(|pairs| pairs.chunks(MAX_BATCH)).for_each(|pairs| self.compare(pairs));
        }
    }

    fn compare(&mut self, pairs: &[Pair]) {
        // A panic ends neither the thread nor the comparison of what comes after.
        let answers = catch_unwind(AssertUnwindSafe(|| self.ask(pairs))).unwrap_or(Err(Error::Panicked));
        match answers {
            Ok(answers) => {
                self.failing = false;
                for (pair, answer) in pairs.iter().zip(&answers) {
                    self.tell(pair, &Outcome::of(answer));
                }
            }
            Err(error) => {
                if !self.failing {
                    tracing::error!(error = %explain(&error), "the shadow model failed");
                }
                self.failing = true;
                self.state.counts.add(Compared::Failed, pairs.len());
            }
        }
    }

    fn ask(&mut self, pairs: &[Pair]) -> Result<Vec<Assessment>> {
        let pipeline = self.pipeline_like(&pairs[0].request.pipeline)?;
        let requests: Result<Vec<_>> = pairs.iter().map(|pair| pipeline.read_again(&pair.request)).collect();
        pipeline.assess(&requests?, Threads::One)
    }

    /// The shadow model with the city of the pipeline that answered: places of areas in a request are of that city.
    fn pipeline_like(&mut self, answered: &Arc<Pipeline>) -> Result<Arc<Pipeline>> {
        let model = Arc::clone(&lock(&self.state.model).model);
        if let Some([before, pipeline]) = &self.pipelines
            && Arc::ptr_eq(before, answered)
            && pipeline.model().is_some_and(|before| Arc::ptr_eq(before, &model))
        {
            return Ok(Arc::clone(pipeline));
        }
        let pipeline = Arc::new(Pipeline::new(model, answered.city().clone())?);
        self.pipelines = Some([Arc::clone(answered), Arc::clone(&pipeline)]);
        Ok(pipeline)
    }

    fn tell(&self, pair: &Pair, shadow: &Outcome) {
        let differences = pair.answered.differences(shadow);
        if differences.is_empty() {
            return self.state.counts.add(Compared::Same, 1);
        }
        self.state.counts.add(Compared::Different, 1);
        let digest = outcome::digest(&pair.request);
        for (what, answered, shadow) in differences {
            metrics::difference(what);
            tracing::info!(%digest, what, answered, shadow, "the shadow model answers otherwise");
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Nothing panics while it holds a lock.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
