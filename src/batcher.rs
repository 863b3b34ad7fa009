//! The model on its own thread, behind a bounded queue: async callers on one side, blocking arithmetic on the other.
//!
//! A full queue refuses at once. Jobs whose caller has gone or whose deadline has passed are skipped before the model
//! sees them. A panic fails the job it happened in, and no other. The thread ends when the last handle is dropped.

use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::assessment::Assessment;
use crate::error::{Error, Result};
use crate::pipeline::{Assess, CitizenRequest};

/// Settings of the queue.
#[derive(Debug, Clone, Copy)]
pub struct BatcherConfig {
    /// How many texts may wait or be with the model; a call that brings more is refused. Texts, not calls, are counted
    /// since they are what takes memory.
    pub max_queued_texts: NonZeroU32,
}

/// A handle to the model's thread; clones share one queue.
#[derive(Debug, Clone)]
pub struct Batcher {
    queue: mpsc::UnboundedSender<Job>,
    /// A permit a text; what bounds the queue.
    room: Arc<Semaphore>,
    limit: usize,
}

/// Room in the queue for a number of texts.
#[derive(Debug)]
pub struct Place {
    /// Given back when the place is dropped.
    _permits: OwnedSemaphorePermit,
}

#[derive(Debug)]
struct Job {
    requests: Vec<CitizenRequest>,
    deadline: Option<Instant>,
    reply: oneshot::Sender<Result<Vec<Assessment>>>,
    _place: Place,
}

impl Batcher {
    /// Starts the model's thread.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(model: Arc<dyn Assess>, config: BatcherConfig) -> std::io::Result<Self> {
        let limit = config.max_queued_texts.get() as usize;
        let (queue, jobs) = mpsc::unbounded_channel();
        std::thread::Builder::new().name("model".to_owned()).spawn(move || work(&*model, jobs))?;
        Ok(Self { queue, room: Arc::new(Semaphore::new(limit)), limit })
    }

    /// Takes room for `texts` texts, before anything is spent on them.
    ///
    /// # Errors
    /// If the queue has not as much room now.
    pub fn reserve(&self, texts: usize) -> Result<Place> {
        let full = Error::Overloaded { limit: self.limit };
        let Ok(permits) = u32::try_from(texts) else { return Err(full) };
        match Arc::clone(&self.room).try_acquire_many_owned(permits) {
            Ok(permits) => Ok(Place { _permits: permits }),
            Err(_) => Err(full),
        }
    }

    /// Queues requests in the room taken for them and waits for their answers, in their order.
    ///
    /// # Errors
    /// If the deadline passes, or the model fails.
    pub async fn submit(
        &self,
        place: Place,
        requests: Vec<CitizenRequest>,
        deadline: Option<Instant>,
    ) -> Result<Vec<Assessment>> {
        let (reply, answer) = oneshot::channel();
        let job = Job { requests, deadline, reply, _place: place };
        self.queue.send(job).map_err(|_| Error::Unavailable)?;
        let answer = match deadline {
            Some(deadline) => {
                tokio::time::timeout_at(deadline.into(), answer).await.map_err(|_| Error::DeadlineExceeded)?
            }
            None => answer.await,
        };
        answer.map_err(|_| Error::Unavailable)?
    }
}

fn work(model: &dyn Assess, mut jobs: mpsc::UnboundedReceiver<Job>) {
    while let Some(Job { requests, deadline, reply, _place }) = jobs.blocking_recv() {
        if reply.is_closed() {
            continue;
        }
        let answer = if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            Err(Error::DeadlineExceeded)
        } else {
            catch_unwind(AssertUnwindSafe(|| model.assess(&requests))).unwrap_or(Err(Error::Panicked))
        };
        // A caller that has gone needs no answer.
        let _ = reply.send(answer);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, mpsc as blocking};
    use std::time::Duration;

    use super::*;
    use crate::request::RequestText;

    /// Waits for a permit a call, then fails by panic or answers nothing.
    struct Scripted {
        permits: Mutex<blocking::Receiver<()>>,
        panics: bool,
    }

    impl Assess for Scripted {
        fn assess(&self, _: &[CitizenRequest]) -> Result<Vec<Assessment>> {
            self.permits.lock().unwrap().recv().unwrap();
            assert!(!self.panics, "scripted");
            Ok(Vec::new())
        }
    }

    fn scripted(limit: u32, panics: bool) -> (Batcher, blocking::Sender<()>) {
        let (permit, permits) = blocking::channel();
        let model = Arc::new(Scripted { permits: Mutex::new(permits), panics });
        let config = BatcherConfig { max_queued_texts: NonZeroU32::new(limit).unwrap() };
        (Batcher::start(model, config).unwrap(), permit)
    }

    fn requests() -> Vec<CitizenRequest> {
        vec![CitizenRequest { text: RequestText::new("", "路灯不亮").unwrap(), area: None }]
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once_and_has_room_again_after_an_answer() {
        let (batcher, permit) = scripted(2, false);
        let place = batcher.reserve(1).unwrap();
        assert!(matches!(batcher.reserve(2), Err(Error::Overloaded { limit: 2 })));
        permit.send(()).unwrap();
        assert!(batcher.submit(place, requests(), None).await.is_ok());
        // The model's thread gives the room back just after the answer.
        while batcher.reserve(2).is_err() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    #[tokio::test]
    async fn a_panic_fails_its_own_call_only() {
        let (batcher, permit) = scripted(8, true);
        for _ in 0..2 {
            permit.send(()).unwrap();
            let answer = batcher.submit(batcher.reserve(1).unwrap(), requests(), None).await;
            assert!(matches!(answer, Err(Error::Panicked)));
        }
    }

    #[tokio::test]
    async fn a_call_whose_deadline_passes_is_told_so() {
        let (batcher, permit) = scripted(8, false);
        let soon = Some(Instant::now() + Duration::from_millis(30));
        let answer = batcher.submit(batcher.reserve(1).unwrap(), requests(), soon).await;
        assert!(matches!(answer, Err(Error::DeadlineExceeded)));
        permit.send(()).unwrap();
    }
}
