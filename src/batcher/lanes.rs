//! The lanes: which texts wait, and which of them make the next batch.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::assessment::Assessment;
use crate::error::{Error, Result};
use crate::metrics::{self, Skip};
use crate::pipeline::CitizenRequest;

/// How long a bulk text may wait before it gets a share of the batches whatever else there is.
const MAX_BULK_WAIT: Duration = Duration::from_millis(250);
/// The share that it gets: one part of so many.
pub(super) const BULK_SHARE: usize = 4;
/// What bulk texts alone may take of a batch's tokens: one part of so many.
const BULK_BATCH: usize = 2;

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
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Interactive => "interactive",
            Self::Bulk => "bulk",
        }
    }
}

/// One text on its way through the model.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) request: CitizenRequest,
    pub(super) lane: Lane,
    pub(super) since: Instant,
    pub(super) deadline: Option<Instant>,
    pub(super) reply: oneshot::Sender<Result<Assessment>>,
    /// Given back when the text has been answered or skipped.
    pub(super) permit: Option<OwnedSemaphorePermit>,
}

#[derive(Debug, Default)]
pub(super) struct Lanes {
    pub(super) interactive: VecDeque<Item>,
    pub(super) bulk: VecDeque<Item>,
    /// Threads that work on a batch.
    pub(super) busy: usize,
    pub(super) closed: bool,
}

impl Lanes {
    /// Texts of `budget` tokens, or one longer text.
    pub(super) fn batch(&mut self, budget: usize, now: Instant) -> Vec<Item> {
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
    pub(super) fn measure(&self) {
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

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::city::City;
    use crate::pipeline::Pipeline;
    use crate::tokenizer::EncodedText;

    pub(in crate::batcher) fn request(tokens: usize) -> CitizenRequest {
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

    /// A text of so many tokens that came so many milliseconds ago, and the caller who waits for it.
    pub(in crate::batcher) fn item(
        tokens: usize,
        milliseconds: u64,
    ) -> (Item, oneshot::Receiver<Result<Assessment>>) {
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
}
