//! How fast the model is.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::encoder::Threads;

/// How slowly the estimate follows the batches: a batch counts one part of so many.
const PACE_INERTIA: u64 = 8;

/// Nanoseconds a text if all threads work, as it was of late. Two threads that write at once may lose a batch.
#[derive(Debug, Default)]
pub(super) struct Pace(AtomicU64);

impl Pace {
    /// Takes in what a batch took, on so many threads at once.
    pub(super) fn follow(&self, elapsed: Duration, texts: usize, threads: Threads) {
        let others = Threads::All.count() / threads.count();
        let latest = elapsed.as_nanos() as u64 / (texts * others) as u64;
        let pace = match self.0.load(Ordering::Relaxed) {
            0 => latest,
            before => before - before / PACE_INERTIA + latest / PACE_INERTIA,
        };
        self.0.store(pace, Ordering::Relaxed);
    }

    pub(super) fn of(&self, texts: usize) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed).saturating_mul(texts as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_follows_the_batches_slowly() {
        let pace = Pace::default();
        assert_eq!(pace.of(5), Duration::ZERO);
        pace.follow(Duration::from_millis(40), 10, Threads::All);
        assert_eq!(pace.of(2), Duration::from_millis(8));
        pace.follow(Duration::from_millis(120), 10, Threads::All);
        assert_eq!(pace.of(2), Duration::from_millis(10));
    }
}
