//! The model on threads of its own, behind two bounded lanes: async callers on one side, blocking arithmetic on the other.
//!
//! Under load each thread works on a batch of its own and waits for nobody; a batch that is alone gets all threads.
//!
//! A batch holds as many texts as a budget of tokens allows, so that whoever comes next waits for milliseconds whatever
//! the batch is made of; bulk texts alone get half of it, since nobody who waits for an answer is among them. Interactive texts go before bulk ones; bulk texts that have waited long get a share of each
//! batch, so that they are never starved. Batches are packed without padding, so there is nothing to gain from sorting
//! their texts by length.
//!
//! A full lane refuses at once, and so does one whose texts will take half of what the caller's deadline leaves: under
//! overload the model works for callers who are still there when it is done. Texts whose caller has gone or whose deadline
//! has passed all the same are skipped when a batch is formed, before the model sees them. A panic fails the batch it
//! happened in, and no other. The threads end when the last handle is dropped.

use std::collections::VecDeque;
use std::num::{NonZeroU32, NonZeroUsize};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::assessment::Assessment;
use crate::encoder::Threads;
use crate::error::{Error, Result};
use crate::metrics::{self, Skip};
use crate::pipeline::{Assess, CitizenRequest};

/// How long a bulk text may wait before it gets a share of the batches whatever else there is.
const MAX_BULK_WAIT: Duration = Duration::from_millis(250);
/// The share that it gets: one part of so many.
const BULK_SHARE: usize = 4;
/// What bulk texts alone may take of a batch's tokens: one part of so many.
const BULK_BATCH: usize = 2;
/// One part of so many of a caller's time may pass before the model has come to its texts: the wait is an estimate, and
/// the answer takes time too.
const MAX_WAIT: u32 = 2;
/// How slowly the estimate follows the batches: a batch counts one part of so many.
const PACE_INERTIA: u64 = 8;

/// Settings of the lanes.
#[derive(Debug, Clone, Copy)]
pub struct BatcherConfig {
    /// How many texts may wait or be with the model in each lane; a call that brings more is refused. Texts, not calls,
    /// are counted since they are what takes memory.
    pub max_queued_texts: NonZeroU32,
    /// Most tokens of a batch; a text that is longer is a batch of its own.
    pub max_batch_tokens: NonZeroUsize,
}

/// Which texts go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Somebody is waiting for the answer.
    Interactive,
    /// Many texts, which may wait a little.
    Bulk,
}

impl Lane {
    /// Its name among the metrics.
    fn name(self) -> &'static str {
        match self {
            Self::Interactive => "interactive",
            Self::Bulk => "bulk",
        }
    }
}

/// A handle to the model's threads; clones share its lanes.
#[derive(Debug, Clone)]
pub struct Batcher {
    queue: Arc<Open>,
    /// A permit a text and lane; what bounds the lanes.
    room: [Arc<Semaphore>; 2],
    limit: usize,
}

/// Room in a lane for a number of texts.
#[derive(Debug)]
pub struct Place {
    lane: Lane,
    permits: OwnedSemaphorePermit,
}

/// One text on its way through the model.
#[derive(Debug)]
struct Item {
    request: CitizenRequest,
    lane: Lane,
    since: Instant,
    deadline: Option<Instant>,
    reply: oneshot::Sender<Result<Assessment>>,
    /// Given back when the text has been answered or skipped.
    permit: Option<OwnedSemaphorePermit>,
}

impl Batcher {
    /// Starts the model's threads, as many as the current thread pool has.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(model: &Arc<dyn Assess>, config: BatcherConfig) -> std::io::Result<Self> {
        let limit = config.max_queued_texts.get() as usize;
        // Closed, and so its threads ended, where one of them cannot be started.
        let queue = Arc::new(Open(Arc::default()));
        for _ in 0..Threads::All.count() {
            let (model, queue) = (Arc::clone(model), Arc::clone(&queue.0));
            let budget = config.max_batch_tokens.get();
            let work = move || queue.work(&*model, budget);
            std::thread::Builder::new().name("model".to_owned()).spawn(work)?;
        }
        let room = [Arc::new(Semaphore::new(limit)), Arc::new(Semaphore::new(limit))];
        Ok(Self { queue, room, limit })
    }

    /// Takes room for `texts` texts, before anything is spent on them.
    ///
    /// # Errors
    /// If the deadline has passed, the lane has not as much room now, or the model will hardly be done with these texts
    /// before the deadline.
    pub fn reserve(&self, lane: Lane, texts: usize, deadline: Option<Instant>) -> Result<Place> {
        let full = Error::Overloaded { limit: self.limit };
        let Ok(permits) = u32::try_from(texts) else { return Err(full) };
        if let Some(deadline) = deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::DeadlineExceeded);
            }
            let wait = self.expected_wait(lane);
            // Whoever has nobody before him is never refused, however slow the model was of late.
            if !wait.is_zero() && left < (wait * MAX_WAIT).max(wait + self.queue.0.pace.of(texts)) {
                return Err(Error::TooManyBefore { wait });
            }
        }
        match Arc::clone(&self.room[lane as usize]).try_acquire_many_owned(permits) {
            Ok(permits) => Ok(Place { lane, permits }),
            Err(_) => Err(full),
        }
    }

    /// How long a text that comes now waits for those before it; nothing if there are none.
    fn expected_wait(&self, lane: Lane) -> Duration {
        let before = |lane: Lane| self.limit - self.room[lane as usize].available_permits();
        let (interactive, bulk) = (before(Lane::Interactive), before(Lane::Bulk));
        let texts = match lane {
            Lane::Interactive if bulk > 0 => interactive * BULK_SHARE / (BULK_SHARE - 1),
            Lane::Interactive => interactive,
            Lane::Bulk => interactive + bulk,
        };
        self.queue.0.pace.of(texts)
    }

    /// Waits until the lane has room for a text.
    ///
    /// # Errors
    /// If the service is shutting down.
    pub async fn wait_for_place(&self, lane: Lane) -> Result<Place> {
        let permits = Arc::clone(&self.room[lane as usize]).acquire_owned().await;
        Ok(Place { lane, permits: permits.map_err(|_| Error::Unavailable)? })
    }

    /// Queues requests in the room taken for them and waits for their answers, in their order.
    ///
    /// # Errors
    /// If the deadline passes, or the model fails.
    pub async fn submit(
        &self,
        mut place: Place,
        requests: Vec<CitizenRequest>,
        deadline: Option<Instant>,
    ) -> Result<Vec<Assessment>> {
        let since = Instant::now();
        let (items, answers): (Vec<_>, Vec<_>) = requests
            .into_iter()
            .map(|request| {
                let (reply, answer) = oneshot::channel();
                let permit = place.permits.split(1);
                (Item { request, lane: place.lane, since, deadline, reply, permit }, answer)
            })
            .unzip();
        self.queue.0.push(place.lane, items);
        // What was taken for texts that turned out to be invalid.
        drop(place);
        let all = async {
            let mut assessments = Vec::with_capacity(answers.len());
            for answer in answers {
                assessments.push(answer.await.map_err(|_| Error::Unavailable)??);
            }
            Ok(assessments)
        };
        match deadline {
            Some(deadline) => {
                tokio::time::timeout_at(deadline.into(), all).await.map_err(|_| Error::DeadlineExceeded)?
            }
            None => all.await,
        }
    }
}

/// What waits for the model, and how fast the model is.
#[derive(Debug, Default)]
struct Queue {
    lanes: Mutex<Lanes>,
    changed: Condvar,
    pace: Pace,
}

/// Nanoseconds a text if all threads work, as it was of late. Two threads that write at once may lose a batch.
#[derive(Debug, Default)]
struct Pace(AtomicU64);

impl Pace {
    /// Takes in what a batch took, on so many threads at once.
    fn follow(&self, elapsed: Duration, texts: usize, threads: Threads) {
        let others = Threads::All.count() / threads.count();
        let latest = elapsed.as_nanos() as u64 / (texts * others) as u64;
        let pace = match self.0.load(Ordering::Relaxed) {
            0 => latest,
            before => before - before / PACE_INERTIA + latest / PACE_INERTIA,
        };
        self.0.store(pace, Ordering::Relaxed);
    }

    fn of(&self, texts: usize) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed).saturating_mul(texts as u64))
    }
}

#[derive(Debug, Default)]
struct Lanes {
    interactive: VecDeque<Item>,
    bulk: VecDeque<Item>,
    /// Threads that work on a batch.
    busy: usize,
    closed: bool,
}

/// The queue as its handles share it; closed when the last of them is dropped.
#[derive(Debug)]
struct Open(Arc<Queue>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.changed.notify_all();
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Lanes> {
        // Nothing panics while it holds the lock.
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, lane: Lane, items: Vec<Item>) {
        let mut lanes = self.lock();
        match lane {
            Lane::Interactive => lanes.interactive.extend(items),
            Lane::Bulk => lanes.bulk.extend(items),
        }
        lanes.measure();
        drop(lanes);
        self.changed.notify_one();
    }

    /// Answers batch after batch until the queue is closed and empty.
    fn work(&self, model: &dyn Assess, budget: usize) {
        while let Some((batch, threads)) = self.next_batch(budget) {
            let (begin, texts) = (Instant::now(), batch.len());
            let (replies, answers) = answer(model, batch, threads);
            self.pace.follow(begin.elapsed(), texts, threads);
            // Before the replies: whoever asks again at once is alone again.
            self.lock().busy -= 1;
            reply(replies, answers);
        }
    }

    /// Waits for texts, and says on how many threads to work on them; none when the queue is closed and empty.
    fn next_batch(&self, budget: usize) -> Option<(Vec<Item>, Threads)> {
        let mut lanes = self.lock();
        loop {
            let batch = lanes.batch(budget, Instant::now());
            lanes.measure();
            if !batch.is_empty() {
                lanes.busy += 1;
                let more = !lanes.interactive.is_empty() || !lanes.bulk.is_empty();
                if more {
                    self.changed.notify_one();
                }
                let alone = lanes.busy == 1 && !more;
                return Some((batch, if alone { Threads::All } else { Threads::One }));
            }
            if lanes.closed {
                return None;
            }
            lanes = self.changed.wait(lanes).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Lanes {
    /// Texts of `budget` tokens, or one longer text.
    fn batch(&mut self, budget: usize, now: Instant) -> Vec<Item> {
        let mut batch = Batch { items: Vec::new(), tokens: 0, now };
        if self.bulk.front().is_some_and(|item| now.duration_since(item.since) > MAX_BULK_WAIT) {
            batch.fill(&mut self.bulk, budget / BULK_SHARE);
        }
        let before = batch.items.len();
        batch.fill(&mut self.interactive, budget);
        // Whoever waits for an answer does not wait for bulk texts that could come later.
        if batch.items.len() == before {
            batch.fill(&mut self.bulk, budget / BULK_BATCH);
        }
        batch.items
    }

    /// Tells the metrics how many texts wait.
    fn measure(&self) {
        metrics::queued(Lane::Interactive.name(), self.interactive.len());
        metrics::queued(Lane::Bulk.name(), self.bulk.len());
    }
}

struct Batch {
    items: Vec<Item>,
    tokens: usize,
    now: Instant,
}

impl Batch {
    fn fill(&mut self, lane: &mut VecDeque<Item>, budget: usize) {
        while let Some(item) = lane.front() {
            let overdue = item.deadline.is_some_and(|deadline| deadline <= self.now);
            let wanted = !overdue && !item.reply.is_closed();
            let tokens = item.request.tokens();
            if wanted && !self.items.is_empty() && self.tokens + tokens > budget {
                return;
            }
            let Some(item) = lane.pop_front() else { return };
            if overdue {
                metrics::skipped(Skip::Expired);
                drop(item.reply.send(Err(Error::DeadlineExceeded)));
            } else if wanted {
                self.tokens += tokens;
                self.items.push(item);
            } else {
                metrics::skipped(Skip::Cancelled);
            }
        }
    }
}

/// Where an answer goes, and the room that the text takes until it is there.
type Reply = (oneshot::Sender<Result<Assessment>>, Option<OwnedSemaphorePermit>);

/// Asks the model; a panic is its answer too.
fn answer(
    model: &dyn Assess,
    batch: Vec<Item>,
    threads: Threads,
) -> (Vec<Reply>, std::thread::Result<Result<Vec<Assessment>>>) {
    let begin = Instant::now();
    metrics::batch(batch.len(), batch.iter().map(|item| item.request.tokens()).sum());
    for item in &batch {
        metrics::waited(item.lane.name(), begin.duration_since(item.since));
    }
    let (requests, replies): (Vec<_>, Vec<_>) =
        batch.into_iter().map(|item| (item.request, (item.reply, item.permit))).unzip();
    let answers = catch_unwind(AssertUnwindSafe(|| model.assess(&requests, threads)));
    metrics::encoded(begin.elapsed());
    (replies, answers)
}

fn reply(replies: Vec<Reply>, answers: std::thread::Result<Result<Vec<Assessment>>>) {
    let failure = match answers {
        Ok(Ok(assessments)) => {
            for ((reply, _permit), assessment) in replies.into_iter().zip(assessments) {
                // A caller that has gone needs no answer.
                drop(reply.send(Ok(assessment)));
            }
            return;
        }
        Ok(Err(error)) => Arc::new(error),
        Err(_) => Arc::new(Error::Panicked),
    };
    for (reply, _permit) in replies {
        drop(reply.send(Err(Error::Batch(Arc::clone(&failure)))));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc as blocking;

    use super::*;
    use crate::city::City;
    use crate::pipeline::Pipeline;
    use crate::tokenizer::EncodedText;

    /// Waits for a permit a call, then fails by panic or answers nothing.
    struct Scripted {
        permits: Mutex<blocking::Receiver<()>>,
        panics: bool,
    }

    impl Assess for Scripted {
        fn assess(&self, _: &[CitizenRequest], _: Threads) -> Result<Vec<Assessment>> {
            self.permits.lock().unwrap().recv().unwrap();
            assert!(!self.panics, "scripted");
            Ok(Vec::new())
        }
    }

    fn scripted(limit: u32, panics: bool) -> (Batcher, blocking::Sender<()>) {
        let (permit, permits) = blocking::channel();
        let model: Arc<dyn Assess> = Arc::new(Scripted { permits: Mutex::new(permits), panics });
        let config = BatcherConfig {
            max_queued_texts: NonZeroU32::new(limit).unwrap(),
            max_batch_tokens: NonZeroUsize::new(64).unwrap(),
        };
        (Batcher::start(&model, config).unwrap(), permit)
    }

    fn request(tokens: usize) -> CitizenRequest {
        let encoded = EncodedText {
            input_ids: vec![0; tokens],
            token_type_ids: vec![0; tokens],
            spans: vec![None; tokens],
        };
        let pipeline = Arc::new(Pipeline::without_model(City::built_in()));
        let mut request = pipeline.request("", "路灯不亮", "").unwrap();
        request.encoded = Some(encoded);
        request
    }

    fn requests() -> Vec<CitizenRequest> {
        vec![request(6)]
    }

    /// A text of so many tokens that came so many milliseconds ago, and the caller who waits for it.
    fn item(tokens: usize, milliseconds: u64) -> (Item, oneshot::Receiver<Result<Assessment>>) {
        let (reply, answer) = oneshot::channel();
        let since = Instant::now().checked_sub(Duration::from_millis(milliseconds)).unwrap();
        let lane = Lane::Interactive;
        (Item { request: request(tokens), lane, since, deadline: None, reply, permit: None }, answer)
    }

    fn lanes(
        interactive: &[(usize, u64)],
        bulk: &[(usize, u64)],
    ) -> (Lanes, Vec<oneshot::Receiver<Result<Assessment>>>) {
        let mut callers = Vec::new();
        let mut lane = |items: &[(usize, u64)]| {
            let items = items.iter().map(|(tokens, milliseconds)| item(*tokens, *milliseconds));
            items
                .map(|(item, caller)| {
                    callers.push(caller);
                    item
                })
                .collect()
        };
        (Lanes { interactive: lane(interactive), bulk: lane(bulk), ..Lanes::default() }, callers)
    }

    fn tokens(batch: &[Item]) -> Vec<usize> {
        batch.iter().map(|item| item.request.tokens()).collect()
    }

    #[test]
    fn interactive_texts_go_before_bulk_ones_and_without_them() {
        let (mut lanes, _callers) = lanes(&[(20, 0), (41, 0)], &[(10, 0), (20, 0), (30, 0)]);
        assert_eq!(tokens(&lanes.batch(64, Instant::now())), [20, 41]);
        assert_eq!(tokens(&lanes.batch(64, Instant::now())), [10, 20], "half of the budget");
        assert_eq!(tokens(&lanes.batch(64, Instant::now())), [30]);
        assert!(lanes.batch(64, Instant::now()).is_empty());
    }

    #[test]
    fn bulk_texts_that_have_waited_long_get_a_share() {
        let (mut lanes, _callers) = lanes(&[(30, 0), (31, 0), (32, 0)], &[(12, 1000), (25, 1000)]);
        assert_eq!(tokens(&lanes.batch(64, Instant::now())), [12, 30]);
        assert_eq!(tokens(&lanes.batch(64, Instant::now())), [25, 31]);
    }

    #[test]
    fn a_text_beyond_the_budget_goes_alone() {
        let (mut lanes, _callers) = lanes(&[(500, 0), (1, 0)], &[]);
        assert_eq!(tokens(&lanes.batch(64, Instant::now())), [500]);
        assert_eq!(tokens(&lanes.batch(64, Instant::now())), [1]);
    }

    #[test]
    fn texts_whose_caller_has_gone_or_whose_deadline_has_passed_are_skipped() {
        let (mut lanes, mut callers) = lanes(&[(20, 0), (21, 0), (22, 0)], &[]);
        lanes.interactive[0].deadline = Some(Instant::now());
        drop(callers.remove(1));
        assert_eq!(tokens(&lanes.batch(64, Instant::now())), [22]);
        assert!(matches!(callers[0].try_recv(), Ok(Err(Error::DeadlineExceeded))));
    }

    #[test]
    fn a_batch_that_is_alone_gets_all_threads() {
        let queue = Queue::default();
        let (item_of_20, _caller) = item(20, 0);
        queue.push(Lane::Interactive, vec![item_of_20]);
        assert_eq!(queue.next_batch(64).unwrap().1, Threads::All);
        let (item_of_20, _caller) = item(20, 0);
        queue.push(Lane::Interactive, vec![item_of_20]);
        assert_eq!(queue.next_batch(64).unwrap().1, Threads::One);
    }

    #[tokio::test]
    async fn a_full_lane_refuses_at_once_and_has_room_again_after_an_answer() {
        let (batcher, permit) = scripted(2, false);
        let place = batcher.reserve(Lane::Interactive, 1, None).unwrap();
        assert!(matches!(batcher.reserve(Lane::Interactive, 2, None), Err(Error::Overloaded { limit: 2 })));
        permit.send(()).unwrap();
        // The scripted model answers nothing, which is an answer too.
        assert!(matches!(batcher.submit(place, requests(), None).await, Err(Error::Unavailable)));
        // The room is given back just after the answer.
        while batcher.reserve(Lane::Interactive, 2, None).is_err() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    #[tokio::test]
    async fn who_would_wait_too_long_for_others_is_refused_at_once() {
        let (batcher, _permit) = scripted(8, false);
        let soon = || Some(Instant::now() + Duration::from_secs(1));
        batcher.queue.0.pace.follow(Duration::from_secs(4), 10, Threads::All);
        let first = batcher.reserve(Lane::Interactive, 1, soon()).unwrap();
        let second = batcher.reserve(Lane::Interactive, 1, soon()).unwrap();
        let refused = batcher.reserve(Lane::Interactive, 1, soon());
        let wait = Duration::from_millis(800);
        assert!(matches!(refused, Err(Error::TooManyBefore { wait: expected }) if expected == wait));
        assert!(matches!(batcher.reserve(Lane::Bulk, 1, soon()), Err(Error::TooManyBefore { .. })));
        // Whoever has time waits, and nobody is refused for how slow the model was when nobody is before him.
        batcher.reserve(Lane::Interactive, 1, None).unwrap();
        drop((first, second));
        batcher.queue.0.pace.follow(Duration::from_secs(4000), 10, Threads::All);
        batcher.reserve(Lane::Interactive, 1, soon()).unwrap();
    }

    #[test]
    fn the_pace_follows_the_batches_slowly() {
        let pace = Pace::default();
        assert_eq!(pace.of(5), Duration::ZERO);
        pace.follow(Duration::from_millis(40), 10, Threads::All);
        assert_eq!(pace.of(2), Duration::from_millis(8));
        pace.follow(Duration::from_millis(120), 10, Threads::All);
        assert_eq!(pace.of(2), Duration::from_millis(10));
    }

    #[tokio::test]
    async fn a_panic_fails_its_own_call_only() {
        let (batcher, permit) = scripted(8, true);
        for _ in 0..2 {
            permit.send(()).unwrap();
            let answer =
                batcher.submit(batcher.reserve(Lane::Interactive, 1, None).unwrap(), requests(), None).await;
            assert!(matches!(answer, Err(Error::Batch(error)) if matches!(*error, Error::Panicked)));
        }
    }

    /// Answers nothing, but panics at first, and notes on how many threads it was to work.
    #[derive(Default)]
    struct Noting(Mutex<Vec<Threads>>);

    impl Assess for Noting {
        fn assess(&self, _: &[CitizenRequest], threads: Threads) -> Result<Vec<Assessment>> {
            let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            noted.push(threads);
            assert!(noted.len() > 1, "scripted");
            Ok(Vec::new())
        }
    }

    #[tokio::test]
    async fn who_asks_one_question_after_the_other_gets_all_threads_for_each() {
        let noting = Arc::new(Noting::default());
        let config = BatcherConfig {
            max_queued_texts: NonZeroU32::new(8).unwrap(),
            max_batch_tokens: NonZeroUsize::new(64).unwrap(),
        };
        let batcher = Batcher::start(&(Arc::clone(&noting) as Arc<dyn Assess>), config).unwrap();
        for _ in 0..20 {
            let place = batcher.reserve(Lane::Interactive, 1, None).unwrap();
            batcher.submit(place, requests(), None).await.unwrap_err();
        }
        let noted = noting.0.lock().unwrap_or_else(PoisonError::into_inner);
        assert_eq!(*noted, [Threads::All; 20]);
    }

    #[tokio::test]
    async fn a_deadline_that_has_passed_is_no_overload() {
        let (batcher, _permit) = scripted(8, false);
        let refused = batcher.reserve(Lane::Interactive, 1, Some(Instant::now()));
        assert!(matches!(refused, Err(Error::DeadlineExceeded)));
    }

    #[tokio::test]
    async fn a_call_whose_deadline_passes_is_told_so() {
        let (batcher, permit) = scripted(8, false);
        let soon = Some(Instant::now() + Duration::from_millis(30));
        let answer =
            batcher.submit(batcher.reserve(Lane::Interactive, 1, None).unwrap(), requests(), soon).await;
        assert!(matches!(answer, Err(Error::DeadlineExceeded)));
        permit.send(()).unwrap();
    }
}
