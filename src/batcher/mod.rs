//! The model on threads of its own, behind two bounded lanes: async callers on one side, blocking arithmetic on the other.
//!
//! Under load each thread works on a batch of its own and waits for nobody; a batch that is alone gets all threads.
//!
//! A batch holds as many texts as a budget of tokens allows, so that whoever comes next waits for milliseconds whatever
//! the batch is made of; bulk texts alone get half of it, since nobody who waits for an answer is among them. Interactive texts go before
//! bulk ones; bulk texts that have waited long get a share of each batch, so that they are never starved. Batches are packed without padding, so there is nothing to gain from sorting
//! their texts by length.
//!
//! A full lane refuses at once, and so does one whose texts will take half of what the caller's deadline leaves: under
//! overload the model works for callers who are still there when it is done. Texts whose caller has gone or whose deadline
//! has passed all the same are skipped when a batch is formed, before the model sees them. A panic fails the batch it
//! happened in, and no other. The threads end when the last handle is dropped.

use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::again;
use crate::assessment::Assessment;
use crate::encoder::Threads;
use crate::error::{Error, Result};
use crate::pipeline::{Assess, CitizenRequest};

mod lanes;
mod pace;
mod work;

pub use lanes::Lane;

use lanes::{BULK_SHARE, Item};
use work::Open;

/// One part of so many of a caller's time may pass before the model has come to its texts: the wait is an estimate, and
/// the answer takes time too.
const MAX_WAIT: u32 = 2;

/// Settings of the lanes.
#[derive(Debug, Clone, Copy)]
pub struct BatcherConfig {
    /// How many texts may wait or be with the model in each lane; a call that brings more is refused. Texts, not calls,
    /// are counted since they are what takes memory.
    pub max_queued_texts: NonZeroU32,
    /// Most tokens of a batch; a text that is longer is a batch of its own.
    pub max_batch_tokens: NonZeroUsize,
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
            let work = move || again::after_panics("model", || queue.work(&*model, budget));
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc as blocking;
    use std::sync::{Mutex, PoisonError};

    use super::lanes::tests::request;
    use super::*;

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

    fn requests() -> Vec<CitizenRequest> {
        vec![request(6)]
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
