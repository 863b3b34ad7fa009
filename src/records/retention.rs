//! How much of the log of decisions is kept: what is too old goes, and the first written where the file is too large.

use std::time::{Duration, Instant};

use rusqlite::{Connection, params};

use super::error::RecordsError;
use super::unix_millis;

/// The smallest size that the log can be held to.
pub const MIN_DECISION_BYTES: u64 = 2 * OVERHEAD_BYTES;

/// What SQLite's log beside the file may take, and one transaction before it is trimmed.
const OVERHEAD_BYTES: u64 = 8 << 20;
/// Decisions deleted at a time. More than are written at a time, so that deleting catches up.
const DELETED_AT_ONCE: i64 = 384;
/// Steps of deleting after each transaction of writing.
const STEPS: usize = 4;
/// Pages given back to the disk at a time.
const PAGES_AT_ONCE: i64 = 256;

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecisionLimits {
    /// The oldest that is kept. Where some are older by far, as after a limit was lowered or the clock jumped ahead, they
    /// go by and by, 24 days' worth in a day, so that a wrong clock does not take the whole log away at once.
    pub max_age: Duration,
    /// The most that the files of the log take on the disk; at least [`MIN_DECISION_BYTES`]. It holds as long as no
    /// other program reads the file in one long transaction, and is not for files that were moved aside as damaged.
    pub max_bytes: u64,
}

impl DecisionLimits {
    /// Checks that a log can be held to these limits.
    pub(super) fn check(self) -> Result<(), RecordsError> {
        if self.max_bytes < MIN_DECISION_BYTES {
            let problem = format!("is {} bytes; at least {MIN_DECISION_BYTES} are needed", self.max_bytes);
            return Err(RecordsError::invalid("max_bytes", problem));
        }
        Ok(())
    }
}

/// Deletes what may not be kept, in small steps, so that writing goes on.
#[derive(Debug)]
pub(super) struct Trimmer {
    max_bytes: u64,
    pace: Pace,
}

impl Trimmer {
    pub(super) fn new(limits: DecisionLimits) -> Self {
        Self { max_bytes: limits.max_bytes, pace: Pace::new(limits.max_age) }
    }

    /// Deletes the first written where the file is too large, else what is too old; says whether there may be more.
    pub(super) fn trim(&mut self, connection: &Connection) -> rusqlite::Result<bool> {
        for _ in 0..STEPS {
            let pages = Pages::of(connection)?;
            let deleted = if pages.used() > self.max_pages(&pages) {
                delete_first(connection)?
            } else {
                self.delete_old(connection)?
            };
            let pages = Pages::of(connection)?;
            let spare = pages.free.min(pages.all - self.max_pages(&pages));
            if spare > 0 {
                // Its rows are pages: the pragma gives back as many as are read.
                connection.pragma(None, "incremental_vacuum", spare.min(PAGES_AT_ONCE), |_| Ok(()))?;
            } else if deleted == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn delete_old(&mut self, connection: &Connection) -> rusqlite::Result<usize> {
        let mut select = connection.prepare_cached("SELECT min(received_at) FROM decisions")?;
        let oldest: Option<i64> = select.query_row([], |row| row.get(0))?;
        let Some(oldest) = oldest else { return Ok(0) };
        let delete_before = self.pace.delete_before(oldest, unix_millis(), Instant::now());
        let mut delete = connection.prepare_cached(
            "DELETE FROM decisions WHERE id IN
            (SELECT id FROM decisions WHERE received_at < ?1 ORDER BY received_at, id LIMIT ?2)",
        )?;
        delete.execute(params![delete_before, DELETED_AT_ONCE])
    }

    /// How many pages the file may have.
    fn max_pages(&self, pages: &Pages) -> i64 {
        let bytes = self.max_bytes.saturating_sub(OVERHEAD_BYTES);
        i64::try_from(bytes).unwrap_or(i64::MAX) / pages.size
    }
}

/// Deletes some of those that were written first, whatever the clock said then.
fn delete_first(connection: &Connection) -> rusqlite::Result<usize> {
    let mut delete = connection.prepare_cached(
        "DELETE FROM decisions WHERE id IN (SELECT id FROM decisions ORDER BY id LIMIT ?1)",
    )?;
    delete.execute([DELETED_AT_ONCE])
}

/// How fast decisions grow too old: 24 times as fast as time passes, at most.
///
/// The clock may be wrong, so no more goes in a step than is from a twenty-fourth of the greatest age, and the next step
/// waits. A clock that is right again soon has done little harm, and a service that did not run for a month catches up
/// in a day or two. A step starts at the oldest decision that is left, so the file itself says how far it is.
#[derive(Debug)]
struct Pace {
    max_age: i64,
    step: Duration,
    /// When the last step was begun, and what it may delete.
    begun: Option<(Instant, i64)>,
    told: bool,
}

impl Pace {
    /// The steps that the whole age makes, and how much faster than time they are taken.
    const STEPS: u32 = 24;
    const MIN_STEP: Duration = Duration::from_secs(1);

    fn new(max_age: Duration) -> Self {
        let step = (max_age / Self::STEPS).max(Self::MIN_STEP);
        Self { max_age: millis(max_age), step, begun: None, told: false }
    }

    /// The time before which decisions may be deleted, if the oldest came in at `oldest` and the clock shows `now`.
    fn delete_before(&mut self, oldest: i64, now: i64, instant: Instant) -> i64 {
        let too_old = now.saturating_sub(self.max_age);
        if oldest >= too_old {
            return too_old;
        }
        let pause = self.step / Self::STEPS;
        let next = (instant, oldest.saturating_add(millis(self.step)));
        let (_, end_of_step) = *self
            .begun
            .insert(self.begun.filter(|(begun, _)| instant.duration_since(*begun) < pause).unwrap_or(next));
        if too_old > end_of_step && !std::mem::replace(&mut self.told, true) {
            tracing::warn!(
                too_old_seconds = too_old.saturating_sub(oldest) / 1_000,
                "decisions are too old by far and are deleted by and by; is the clock right?"
            );
        }
        too_old.min(end_of_step)
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// The pages of a file.
struct Pages {
    size: i64,
    all: i64,
    free: i64,
}

impl Pages {
    fn of(connection: &Connection) -> rusqlite::Result<Self> {
        let get = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
        Ok(Self { size: get("page_size")?, all: get("page_count")?, free: get("freelist_count")? })
    }

    fn used(&self) -> i64 {
        self.all - self.free
    }
}

#[cfg(test)]
mod tests {
    use super::super::audit::{self, DECISIONS};
    use super::super::decision::tests::burst_pipe;
    use super::*;

    const HOUR: i64 = 3_600_000;
    const DAY: i64 = 24 * HOUR;

    fn days(days: u32) -> DecisionLimits {
        DecisionLimits { max_age: Duration::from_secs(24 * 60 * 60) * days, max_bytes: MIN_DECISION_BYTES }
    }

    #[test]
    fn limits_that_cannot_be_held_are_refused() {
        let error = DecisionLimits { max_bytes: 1 << 20, ..days(1) }.check().unwrap_err();
        assert!(error.to_string().starts_with("max_bytes: "), "{error}");
    }

    #[test]
    fn a_clock_that_jumps_ahead_does_not_take_the_whole_log_away() {
        let dir = tempfile::tempdir().unwrap();
        let connection = DECISIONS.open(dir.path()).unwrap();
        let before_the_jump = unix_millis() - 1_000 * DAY;
        for hour in 0..24 * 24 {
            audit::insert(&connection, burst_pipe("r", before_the_jump + hour * HOUR)).unwrap();
        }
        audit::insert(&connection, burst_pipe("r", unix_millis())).unwrap();
        // Also one who restarts does not delete all of it.
        for run in 1..=3 {
            let mut trimmer = Trimmer::new(days(24));
            while trimmer.trim(&connection).unwrap() {}
            let left: i64 =
                connection.query_row("SELECT count(*) FROM decisions", [], |row| row.get(0)).unwrap();
            assert_eq!(left, 24 * (24 - run) + 1);
        }
    }

    #[test]
    fn what_grows_too_old_as_time_passes_goes_at_once() {
        let (mut pace, start) = (Pace::new(days(24).max_age), Instant::now());
        for minute in 0..10_000_u32 {
            let now = 100 * DAY + i64::from(minute) * 60_000;
            let instant = start + Duration::from_secs(60) * minute;
            assert_eq!(pace.delete_before(now - 24 * DAY - 60_000, now, instant), now - 24 * DAY);
        }
        assert!(!pace.told);
    }

    #[test]
    fn a_log_that_is_too_old_by_far_catches_up() {
        let (mut pace, start) = (Pace::new(days(24).max_age), Instant::now());
        // The last decision was made 48 days ago, and each day had one.
        let (now, mut oldest, mut hours) = (100 * DAY, 28 * DAY, 0);
        while oldest < now - 24 * DAY {
            let instant = start + Duration::from_secs(3_600) * hours;
            let delete_before = pace.delete_before(oldest, now, instant);
            assert!(delete_before <= oldest + DAY);
            oldest = delete_before.max(oldest);
            hours += 1;
        }
        assert_eq!(hours, 48);
        assert!(pace.told);
    }

    #[test]
    fn emptiness_is_skipped() {
        let mut pace = Pace::new(days(24).max_age);
        let start = Instant::now();
        // Decisions from when the clock stood at 1970, and then from the right time.
        assert_eq!(pace.delete_before(0, 20_000 * DAY, start), DAY);
        let right = 19_900 * DAY;
        let later = start + Duration::from_secs(3_600);
        assert_eq!(pace.delete_before(right, 20_000 * DAY, later), right + DAY);
    }
}
