//! How much a city sends to its streets, townships and communities (减负): a share over the latest requests.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// The cap of a directory.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GrassrootsCap {
    /// The share of requests led by the grass roots from which the city wants to be warned, 0 to 1.
    pub max_share: f64,
    /// Over how many of the latest requests the share is taken.
    pub window: usize,
}

/// The latest requests, and whether each was led by the grass roots.
#[derive(Debug, Default)]
pub struct GrassrootsShare {
    latest: Mutex<Latest>,
}

#[derive(Debug, Default)]
struct Latest {
    led: VecDeque<bool>,
    count: usize,
}

impl GrassrootsShare {
    /// Takes in one request; returns the share, once there are as many requests as it is taken over.
    pub fn add(&self, led_by_grassroots: bool, cap: GrassrootsCap) -> Option<f64> {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        latest.led.push_back(led_by_grassroots);
        latest.count += usize::from(led_by_grassroots);
        // A directory that was reloaded may have another window.
        while latest.led.len() > cap.window {
            let left = latest.led.pop_front().unwrap_or_default();
            latest.count -= usize::from(left);
        }
        let share = latest.count as f64 / cap.window as f64;
        (latest.led.len() == cap.window).then_some(share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_that_of_a_full_window() {
        let cap = GrassrootsCap { max_share: 0.5, window: 4 };
        let share = GrassrootsShare::default();
        let shares: Vec<_> =
            [true, true, true, false, false, true].map(|led| share.add(led, cap)).into_iter().collect();
        assert_eq!(shares, [None, None, None, Some(0.75), Some(0.5), Some(0.5)]);
    }

    #[test]
    fn a_smaller_window_forgets_at_once() {
        let share = GrassrootsShare::default();
        for _ in 0..10 {
            share.add(true, GrassrootsCap { max_share: 0.5, window: 10 });
        }
        assert_eq!(share.add(false, GrassrootsCap { max_share: 0.4, window: 2 }), Some(0.5));
    }
}
