//! How much a key may ask: calls a second, and calls at a time. A call is one call, whatever number of texts it carries.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use governor::clock::Clock;
use governor::{DefaultDirectRateLimiter, Quota};

/// The limits of a key; what is none is not limited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) rate: Option<Rate>,
    pub(super) max_concurrent: Option<NonZeroU32>,
}

/// How often a key may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rate {
    /// Over time.
    pub(super) requests_per_second: NonZeroU32,
    /// At once, after a rest.
    pub(super) burst: NonZeroU32,
}

/// Why a call is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The key calls too often; it may again after that time.
    TooFast(Duration),
    /// The key has as many calls in flight as it may.
    TooMany,
}

/// Holds a key to its limits; clones count together.
#[derive(Debug, Clone)]
pub(super) struct Limiter {
    limits: Limits,
    /// GCRA, the leaky bucket of ITU-T I.371.
    rate: Option<Arc<DefaultDirectRateLimiter>>,
    /// A count and not a semaphore: the limit may change while calls are in flight, and they count towards the new one.
    in_flight: Arc<AtomicU32>,
}

impl Limiter {
    pub(super) fn new(limits: Limits) -> Self {
        let rate = limits.rate.map(|Rate { requests_per_second, burst }| {
            Arc::new(DefaultDirectRateLimiter::direct(
                Quota::per_second(requests_per_second).allow_burst(burst),
            ))
        });
        Self { limits, rate, in_flight: Arc::default() }
    }

    /// These limits with the counts of those `before`. A rate that differs starts with a full burst.
    pub(super) fn continuing(self, before: &Self) -> Self {
        let rate = if self.limits.rate == before.limits.rate { before.rate.clone() } else { self.rate };
        Self { limits: self.limits, rate, in_flight: Arc::clone(&before.in_flight) }
    }

    pub(super) fn limits(&self) -> Limits {
        self.limits
    }

    /// Counts a call, if there is room for it.
    pub(super) fn admit(&self) -> Result<Permit, Refusal> {
        // First what can be given back: a call that finds no room does not count towards the rate.
        let permit = self.begin().ok_or(Refusal::TooMany)?;
        if let Some(rate) = &self.rate {
            rate.check().map_err(|until| Refusal::TooFast(until.wait_time_from(rate.clock().now())))?;
        }
        Ok(permit)
    }

    fn begin(&self) -> Option<Permit> {
        let max = self.limits.max_concurrent.map_or(u32::MAX, NonZeroU32::get);
        // It guards no other memory, so no order is needed.
        self.in_flight
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |calls| (calls < max).then(|| calls + 1))
            .ok()?;
        Some(Permit { in_flight: Arc::clone(&self.in_flight) })
    }
}

/// A call in flight; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Permit {
    in_flight: Arc<AtomicU32>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn limits(rate: Option<(u32, u32)>, max_concurrent: Option<u32>) -> Limits {
        let some = |number| NonZeroU32::new(number).unwrap();
        let rate = rate.map(|(a, b)| Rate { requests_per_second: some(a), burst: some(b) });
        Limits { rate, max_concurrent: max_concurrent.map(some) }
    }

    fn is_too_fast(limiter: &Limiter) -> bool {
        matches!(limiter.admit(), Err(Refusal::TooFast(_)))
    }

    #[test]
    fn without_limits_every_call_is_let_in() {
        let limiter = Limiter::new(Limits::default());
        let permits: Vec<_> = (0..10_000).map(|_| limiter.admit().unwrap()).collect();
        assert_eq!(permits.len(), 10_000);
    }

    #[test]
    fn after_a_burst_a_call_is_told_when_to_come_back() {
        let limiter = Limiter::new(limits(Some((20, 3)), None));
        for _ in 0..3 {
            limiter.admit().unwrap();
        }
        let Err(Refusal::TooFast(wait)) = limiter.admit() else { panic!("let in") };
        assert!(wait > Duration::ZERO && wait <= Duration::from_millis(50), "{wait:?}");
        std::thread::sleep(wait);
        limiter.admit().unwrap();
    }

    #[test]
    fn a_call_that_finds_no_room_does_not_count_towards_the_rate() {
        let limiter = Limiter::new(limits(Some((1, 2)), Some(1)));
        let first = limiter.admit().unwrap();
        for _ in 0..10 {
            assert_eq!(limiter.admit().unwrap_err(), Refusal::TooMany);
        }
        drop(first);
        limiter.admit().unwrap();
        assert!(is_too_fast(&limiter));
        assert!(is_too_fast(&limiter), "a call that is too fast holds no place");
    }

    #[test]
    fn the_same_rate_goes_on_and_another_starts_anew() {
        let before = Limiter::new(limits(Some((1, 1)), None));
        before.admit().unwrap();
        assert!(is_too_fast(&Limiter::new(limits(Some((1, 1)), Some(5))).continuing(&before)));
        Limiter::new(limits(Some((1, 2)), None)).continuing(&before).admit().unwrap();
        Limiter::new(limits(None, None)).continuing(&before).admit().unwrap();
    }

    #[test]
    fn calls_in_flight_count_towards_a_limit_that_was_lowered() {
        let before = Limiter::new(limits(None, Some(3)));
        let mut permits: Vec<_> = (0..3).map(|_| before.admit().unwrap()).collect();
        let lowered = Limiter::new(limits(None, Some(2))).continuing(&before);
        assert_eq!(lowered.admit().unwrap_err(), Refusal::TooMany);
        permits.pop();
        assert_eq!(lowered.admit().unwrap_err(), Refusal::TooMany);
        permits.pop();
        lowered.admit().unwrap();
    }

    proptest! {
        #[test]
        fn as_many_calls_are_in_flight_as_hold_a_permit_and_never_more_than_may(
            max in 1_u32..8,
            steps in prop::collection::vec(any::<Option<prop::sample::Index>>(), 0..64),
        ) {
            let limiter = Limiter::new(limits(None, Some(max)));
            let mut permits = Vec::new();
            for step in steps {
                match step {
                    None if permits.len() < max as usize => permits.push(limiter.admit().unwrap()),
                    None => prop_assert_eq!(limiter.admit().unwrap_err(), Refusal::TooMany),
                    Some(index) if !permits.is_empty() => drop(permits.swap_remove(index.index(permits.len()))),
                    Some(_) => {}
                }
                prop_assert!(permits.len() <= max as usize);
                prop_assert_eq!(limiter.in_flight.load(Ordering::Relaxed) as usize, permits.len());
            }
        }
    }
}
