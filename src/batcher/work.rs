//! The model's threads: each takes a batch, asks the model, and replies.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::lanes::{Item, Lane, Lanes};
use super::pace::Pace;
use crate::assessment::Assessment;
use crate::encoder::Threads;
use crate::error::{Error, Result};
use crate::metrics;
use crate::pipeline::Assess;

/// What waits for the model, and how fast the model is.
#[derive(Debug, Default)]
pub(super) struct Queue {
    lanes: Mutex<Lanes>,
    changed: Condvar,
    pub(super) pace: Pace,
}

/// The queue as its handles share it; closed when the last of them is dropped.
#[derive(Debug)]
pub(super) struct Open(pub(super) Arc<Queue>);

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

    pub(super) fn push(&self, lane: Lane, items: Vec<Item>) {
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
    pub(super) fn work(&self, model: &dyn Assess, budget: usize) {
        while let Some((batch, threads)) = self.next_batch(budget) {
            let busy = Busy(self);
            let (begin, texts) = (Instant::now(), batch.len());
            let (replies, answers) = answer(model, batch, threads);
            self.pace.follow(begin.elapsed(), texts, threads);
            // Before the replies: whoever asks again at once is alone again.
            drop(busy);
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

/// A thread that works on a batch.
struct Busy<'a>(&'a Queue);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.lock().busy -= 1;
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
    use super::super::lanes::tests::item;
    use super::*;

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
}
