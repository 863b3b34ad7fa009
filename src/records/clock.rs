//! The time of day as records have it, and how they bear with a clock that is set back.

use std::time::{SystemTime, UNIX_EPOCH};

/// How far behind the latest time the clock may be before that is told, in milliseconds.
const TOLD_BEHIND: i64 = 60_000;

/// Now, in milliseconds since 1970, as all times of the records are.
pub fn unix_millis() -> i64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX)
}

/// Gives times that never run back, even if the clock does.
#[derive(Debug)]
pub(super) struct Times {
    latest: i64,
    told: bool,
}

impl Times {
    /// Times that are not before `latest`.
    pub(super) fn after(latest: i64) -> Self {
        Self { latest, told: false }
    }

    /// The time of what is recorded while the clock shows `now`.
    pub(super) fn next(&mut self, now: i64) -> i64 {
        if self.must_tell(now) {
            tracing::warn!(
                latest = self.latest,
                behind_seconds = (self.latest - now) / 1_000,
                "the clock is behind the latest correction, whose time all others are given until it is there; was it ahead?"
            );
        }
        self.latest.max(now)
    }

    /// Keeps a time that was given, now that it is on the disk.
    pub(super) fn given(&mut self, time: i64) {
        self.latest = time;
    }

    /// Whether the clock is far behind for the first time.
    fn must_tell(&mut self, now: i64) -> bool {
        self.latest.saturating_sub(now) > TOLD_BEHIND && !std::mem::replace(&mut self.told, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_do_not_run_back() {
        let mut times = Times::after(1_000);
        assert_eq!((times.next(900), times.next(1_001)), (1_000, 1_001));
        times.given(1_001);
        assert_eq!(times.next(900), 1_001);
    }

    #[test]
    fn a_clock_that_is_far_behind_is_told_once() {
        let mut times = Times::after(1_000_000);
        let told: Vec<_> = [1_000_001, 1_000_000 - TOLD_BEHIND, 900_000, 900_001]
            .into_iter()
            .map(|now| times.must_tell(now))
            .collect();
        assert_eq!(told, [false, false, true, false]);
    }
}
