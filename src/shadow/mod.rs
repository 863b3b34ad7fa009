//! A second model that answers too, unheard (影子模式): what it would have answered otherwise is counted and logged, by the
//! digest of the words.
//!
//! It works on one thread, behind the model in use: no answer waits for it. What it has no time for is dropped and counted.
//! Answers that rules gave because the model failed, and answers from memory, are not compared.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, Weak};
use std::time::SystemTime;

use crate::assessment::Assessment;
use crate::classifier::SequenceClassifier;
use crate::encoder::Threads;
use crate::error::{Error, Result};
use crate::live::{FailedReload, Live, Source, load_model, lock};
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
    /// None until it can be loaded.
    model: Mutex<Option<Loaded>>,
    /// Held while it is loaded.
    loading: Mutex<()>,
    /// The last reload, if it failed.
    failed: Mutex<Option<FailedReload>>,
    /// Whether it failed on what it was asked last.
    failing: AtomicBool,
    waiting: AtomicUsize,
    counts: Counts,
}

#[derive(Clone)]
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
    /// The model, and since when it answers; none until it can be loaded.
    pub model: Option<(Arc<SequenceClassifier>, SystemTime)>,
    /// Whether it failed on what it was asked last.
    pub failing: bool,
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
    /// Starts the thread of a shadow model, which ends with the last clone of what this returns, and loads the model. One
    /// that cannot be loaded keeps nobody from being answered: the log says why, and [`reload`](Self::reload) tries again.
    ///
    /// # Errors
    /// If there is no thread.
    pub fn start(live: Arc<Live>, source: impl Source) -> std::io::Result<Self> {
        let state = Arc::new(State {
            source: Box::new(source),
            model: Mutex::default(),
            loading: Mutex::default(),
            failed: Mutex::default(),
            failing: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
            counts: Counts::default(),
        });
        // Each entry holds a text at least, so the count of texts is what fills up.
        let (queue, pairs) = sync_channel(MAX_WAITING);
        let mut worker = Worker { state: Arc::clone(&state), live: Arc::clone(&live), pipelines: None };
        std::thread::Builder::new().name("shadow".to_owned()).spawn(move || worker.run(&pairs))?;
        let shadow = Self { live, queue, state };
        if let Err(error) = shadow.reload() {
            tracing::error!(error = %explain(&error), "the shadow model cannot be loaded; nothing is compared");
        }
        Ok(shadow)
    }

    /// Loads the shadow model again. Blocks as long as that takes.
    ///
    /// # Errors
    /// If it cannot be loaded, or does not belong to the city's files; the one in use stays.
    pub fn reload(&self) -> Result<()> {
        let _one_at_a_time = lock(&self.state.loading);
        let loaded = load_model(self.state.source.as_ref()).and_then(|model| {
            let model = Arc::new(model);
            Pipeline::new(Arc::clone(&model), self.live.pipeline().0.city().clone())?;
            Ok(model)
        });
        *lock(&self.state.failed) = FailedReload::of(&loaded);
        let model = loaded?;
        tracing::info!(
            model = model.name(),
            revision = model.revision(),
            "a shadow model answers too, unheard"
        );
        *lock(&self.state.model) = Some(Loaded { model, since: SystemTime::now() });
        Ok(())
    }

    /// How it does.
    pub fn status(&self) -> ShadowStatus {
        let counts = &self.state.counts;
        ShadowStatus {
            source: self.state.source.model_name(),
            model: lock(&self.state.model).clone().map(|loaded| (loaded.model, loaded.since)),
            failing: self.state.failing.load(Ordering::Relaxed),
            failed_reload: lock(&self.state.failed).clone(),
            same: counts.get(Compared::Same),
            different: counts.get(Compared::Different),
            dropped: counts.get(Compared::Dropped),
            failed: counts.get(Compared::Failed),
        }
    }

    /// Gives the shadow model what has been answered, if it has room for it.
    fn offer(&self, requests: &[CitizenRequest], answers: &[Assessment]) {
        if lock(&self.state.model).is_none() {
            return;
        }
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
    live: Arc<Live>,
    /// The pipeline that answered last, and the one of the shadow model with the same city. What has been replaced is not
    /// kept alive by it.
    pipelines: Option<(Weak<Pipeline>, Arc<Pipeline>)>,
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
        // A model or a city that has been replaced since would be compared with another one.
        if !Arc::ptr_eq(&pairs[0].request.pipeline, &self.live.pipeline().0) {
            return self.state.counts.add(Compared::Dropped, pairs.len());
        }
        // A panic ends neither the thread nor the comparison of what comes after.
        let answers = catch_unwind(AssertUnwindSafe(|| self.ask(pairs))).unwrap_or(Err(Error::Panicked));
        let failed_before = self.state.failing.swap(answers.is_err(), Ordering::Relaxed);
        match answers {
            Ok(answers) => {
                for (pair, answer) in pairs.iter().zip(&answers) {
                    self.tell(pair, &Outcome::of(answer));
                }
            }
            Err(error) => {
                if !failed_before {
                    tracing::error!(error = %explain(&error), "the shadow model failed");
                }
                self.state.counts.add(Compared::Failed, pairs.len());
            }
        }
    }

    fn ask(&mut self, pairs: &[Pair]) -> Result<Vec<Assessment>> {
        let Some(pipeline) = self.pipeline_like(&pairs[0].request.pipeline)? else { return Ok(Vec::new()) };
        let requests: Result<Vec<_>> = pairs.iter().map(|pair| pipeline.read_again(&pair.request)).collect();
        pipeline.assess(&requests?, Threads::One)
    }

    /// The shadow model with the city of the pipeline that answered: places of areas in a request are of that city. Where
    /// either is another than before, counting begins anew.
    fn pipeline_like(&mut self, answered: &Arc<Pipeline>) -> Result<Option<Arc<Pipeline>>> {
        let Some(Loaded { model, .. }) = lock(&self.state.model).clone() else { return Ok(None) };
        if let Some((before, pipeline)) = &self.pipelines
            && Weak::ptr_eq(before, &Arc::downgrade(answered))
            && pipeline.model().is_some_and(|before| Arc::ptr_eq(before, &model))
        {
            return Ok(Some(Arc::clone(pipeline)));
        }
        let pipeline = Arc::new(Pipeline::new(model, answered.city().clone())?);
        self.state.counts.clear();
        self.pipelines = Some((Arc::downgrade(answered), Arc::clone(&pipeline)));
        Ok(Some(pipeline))
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
