//! Keeps the log from being flooded by what others do.

use std::time::{Duration, Instant};

/// How many messages there may be a second.
const MAX_PER_SECOND: u32 = 3;

/// Counts the messages of a second.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    began: Option<Instant>,
    told: u32,
    hidden: u64,
}

impl Throttle {
    /// Whether there may be another message now, and if so how many were held back since the last one.
    pub(crate) fn admit(&mut self, now: Instant) -> Option<u64> {
        let is_over =
            self.began.is_none_or(|began| now.saturating_duration_since(began) >= Duration::from_secs(1));
        if is_over {
            self.began = Some(now);
            self.told = 0;
        }
        if self.told == MAX_PER_SECOND {
            self.hidden += 1;
            return None;
        }
        self.told += 1;
        Some(std::mem::take(&mut self.hidden))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_a_few_a_second_and_counts_the_rest() {
        let start = Instant::now();
        let mut throttle = Throttle::default();
        let told = (0..10).filter(|_| throttle.admit(start) == Some(0)).count();
        assert_eq!(told, 3);
        assert_eq!(throttle.admit(start + Duration::from_millis(999)), None);
        assert_eq!(throttle.admit(start + Duration::from_secs(1)), Some(8));
        assert_eq!(throttle.admit(start + Duration::from_secs(1)), Some(0));
    }
}
