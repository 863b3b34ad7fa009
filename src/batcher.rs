//! The model on its own thread, behind a bounded queue: async callers on one side, blocking arithmetic on the other.
//!
//! A full queue refuses at once. Jobs whose caller has gone or whose deadline has passed are skipped before the model
//! sees them. A panic fails the job it happened in, and no other.

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use tokio::sync::{mpsc, oneshot};

use crate::assessment::Assessment;
use crate::error::{Error, Result};
use crate::pipeline::{Assess, CitizenRequest};

/// Settings of the queue.
#[derive(Debug, Clone, Copy)]
pub struct BatcherConfig {
    /// How many calls may wait; one more is refused.
    pub max_queued_calls: NonZeroUsize,
}

impl Default for BatcherConfig {
    fn default() -> Self {
        Self { max_queued_calls: NonZeroUsize::MIN.saturating_add(511) }
    }
}

/// A handle to the model's thread; clones share one queue.
#[derive(Debug, Clone)]
pub struct Batcher {
    queue: mpsc::Sender<Job>,
    limit: usize,
    worker: Arc<Mutex<Option<JoinHandle<()>>>>,
}

#[derive(Debug)]
struct Job {
    requests: Vec<CitizenRequest>,
    deadline: Option<Instant>,
    reply: oneshot::Sender<Result<Vec<Assessment>>>,
}

impl Batcher {
    /// Starts the model's thread.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(model: Arc<dyn Assess>, config: BatcherConfig) -> std::io::Result<Self> {
        let limit = config.max_queued_calls.get();
        let (queue, jobs) = mpsc::channel(limit);
        let worker =
            std::thread::Builder::new().name("model".to_owned()).spawn(move || work(&*model, jobs))?;
        Ok(Self { queue, limit, worker: Arc::new(Mutex::new(Some(worker))) })
    }

    /// Queues requests and waits for their answers, in their order.
    ///
    /// # Errors
    /// If the queue is full, the deadline passes, or the model fails.
    pub async fn submit(
        &self,
        requests: Vec<CitizenRequest>,
        deadline: Option<Instant>,
    ) -> Result<Vec<Assessment>> {
        let (reply, answer) = oneshot::channel();
        self.queue.try_send(Job { requests, deadline, reply }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Error::Overloaded { limit: self.limit },
            mpsc::error::TrySendError::Closed(_) => Error::Unavailable,
        })?;
        let answer = match deadline {
            Some(deadline) => {
                tokio::time::timeout_at(deadline.into(), answer).await.map_err(|_| Error::DeadlineExceeded)?
            }
            None => answer.await,
        };
        // The worker drops a reply only when it dies.
        answer.map_err(|_| Error::Panicked)?
    }

    /// Lets the queue run empty and waits for the thread to end. Other handles must be gone by then.
    pub fn finish(self) {
        let Self { queue, worker, .. } = self;
        drop(queue);
        let handle = worker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if handle.is_some_and(|handle| handle.join().is_err()) {
            tracing::error!("the model's thread ended by a panic");
        }
    }
}

fn work(model: &dyn Assess, mut jobs: mpsc::Receiver<Job>) {
    while let Some(Job { requests, deadline, reply }) = jobs.blocking_recv() {
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
    use std::time::Duration;

    use super::*;
    use crate::request::RequestText;

    /// Waits for a permit a call, then fails by panic or answers nothing.
    struct Scripted {
        permits: Mutex<std::sync::mpsc::Receiver<()>>,
        panics: bool,
    }

    impl Assess for Scripted {
        fn assess(&self, _: &[CitizenRequest]) -> Result<Vec<Assessment>> {
            self.permits.lock().unwrap().recv().unwrap();
            assert!(!self.panics, "scripted");
            Ok(Vec::new())
        }
    }

    fn scripted(limit: usize, panics: bool) -> (Batcher, std::sync::mpsc::Sender<()>) {
        let (permit, permits) = std::sync::mpsc::channel();
        let model = Arc::new(Scripted { permits: Mutex::new(permits), panics });
        let config = BatcherConfig { max_queued_calls: NonZeroUsize::new(limit).unwrap() };
        (Batcher::start(model, config).unwrap(), permit)
    }

    fn requests() -> Vec<CitizenRequest> {
        vec![CitizenRequest { text: RequestText::new("", "路灯不亮").unwrap(), area: None }]
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once() {
        let (batcher, permit) = scripted(1, false);
        let first = tokio::spawn({
            let batcher = batcher.clone();
            async move { batcher.submit(requests(), None).await }
        });
        // The first call is with the model as soon as the queue takes a second one.
        let second = loop {
            let batcher = batcher.clone();
            let call = tokio::spawn(async move { batcher.submit(requests(), None).await });
            tokio::time::sleep(Duration::from_millis(10)).await;
            if !call.is_finished() {
                break call;
            }
        };
        let refused = batcher.submit(requests(), None).await;
        assert!(matches!(refused, Err(Error::Overloaded { limit: 1 })), "{refused:?}");
        permit.send(()).unwrap();
        permit.send(()).unwrap();
        assert!(first.await.unwrap().is_ok());
        assert!(second.await.unwrap().is_ok());
    }

    #[tokio::test]
    async fn a_panic_fails_its_own_call_only() {
        let (batcher, permit) = scripted(8, true);
        for _ in 0..2 {
            permit.send(()).unwrap();
            assert!(matches!(batcher.submit(requests(), None).await, Err(Error::Panicked)));
        }
    }

    #[tokio::test]
    async fn a_call_whose_deadline_passes_is_told_so() {
        let (batcher, permit) = scripted(8, false);
        let soon = Some(Instant::now() + Duration::from_millis(30));
        assert!(matches!(batcher.submit(requests(), soon).await, Err(Error::DeadlineExceeded)));
        permit.send(()).unwrap();
    }

    #[tokio::test]
    async fn finishing_answers_what_is_queued() {
        let (batcher, permit) = scripted(8, false);
        let call = tokio::spawn({
            let batcher = batcher.clone();
            async move { batcher.submit(requests(), None).await }
        });
        permit.send(()).unwrap();
        assert!(call.await.unwrap().is_ok());
        tokio::task::spawn_blocking(|| batcher.finish()).await.unwrap();
    }
}
