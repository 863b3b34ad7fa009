//! The log of decisions: written in the background, and bounded in age and size.
//!
//! Nobody waits for it. Where it cannot follow, or the disk is full, decisions are dropped and counted, and a warning
//! says so once a minute. Reading is left to [`DecisionReader`].

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};

use super::audit::{self, DECISIONS, DecisionReader};
use super::decision::Decision;
use super::error::RecordsError;
use super::folder::writer_thread;
use super::unix_millis;

/// The smallest size that the log can be held to.
pub const MIN_DECISION_BYTES: u64 = 2 * OVERHEAD_BYTES;

/// What SQLite's log beside the file may take, and one transaction before it is trimmed.
const OVERHEAD_BYTES: u64 = 8 << 20;
/// Most decisions that may wait to be written.
const MAX_WAITING: usize = 4_096;
/// Most decisions in one transaction.
const MAX_GROUP: usize = 256;
/// Decisions deleted at a time. More than are written at a time, so that deleting catches up.
const DELETED_AT_ONCE: i64 = 384;
/// Steps of deleting after each transaction of writing.
const STEPS: usize = 4;
/// Pages given back to the disk at a time.
const PAGES_AT_ONCE: i64 = 256;
/// Time between warnings, and between looks at the age of decisions where nothing is written.
const MINUTE: Duration = Duration::from_secs(60);
/// Time between steps of deleting where nothing is written.
const BREATH: Duration = Duration::from_millis(10);

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecisionLimits {
    /// The oldest that is kept.
    pub max_age: Duration,
    /// The most that the files of the log take on the disk; at least [`MIN_DECISION_BYTES`].
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

/// The log of decisions, open for writing.
#[derive(Debug)]
pub struct Decisions {
    dir: PathBuf,
    queue: Option<SyncSender<Decision>>,
    dropped: Arc<AtomicU64>,
    writer: Option<JoinHandle<()>>,
}

impl Decisions {
    /// Opens the log in a folder that this process has locked.
    pub(super) fn open(dir: &Path, limits: DecisionLimits) -> Result<Self, RecordsError> {
        Self::start(dir, DECISIONS.open(dir)?, limits)
    }

    fn start(dir: &Path, connection: Connection, limits: DecisionLimits) -> Result<Self, RecordsError> {
        let dropped = Arc::new(AtomicU64::new(0));
        let mut writer =
            Writer { connection, limits, dropped: Arc::clone(&dropped), complaints: Complaints::default() };
        let (queue, decisions) = sync_channel(MAX_WAITING);
        let writer = writer_thread("decisions", dir, move || writer.run(&decisions))?;
        Ok(Self { dir: dir.to_owned(), queue: Some(queue), dropped, writer: Some(writer) })
    }

    /// Hands a decision over. This never waits: where too many wait already, the decision is dropped and counted.
    pub fn offer(&self, decision: Decision) {
        if self.queue.as_ref().is_none_or(|queue| queue.try_send(decision).is_err()) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many decisions were dropped since the start, for want of time or of room.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Reads what was written.
    pub fn reader(&self) -> DecisionReader {
        DecisionReader::of(&self.dir)
    }
}

impl Drop for Decisions {
    /// Waits until all that was handed over is written or dropped.
    fn drop(&mut self) {
        drop(self.queue.take());
        if self.writer.take().is_some_and(|writer| writer.join().is_err()) {
            tracing::error!("the writer of decisions ended with a panic");
        }
    }
}

struct Writer {
    connection: Connection,
    limits: DecisionLimits,
    dropped: Arc<AtomicU64>,
    complaints: Complaints,
}

impl Writer {
    fn run(&mut self, decisions: &Receiver<Decision>) {
        // Starts with a look at what was left by the last run.
        let mut wait = Duration::ZERO;
        loop {
            let mut group = Vec::new();
            match decisions.recv_timeout(wait) {
                Ok(first) => group.push(first),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            group.extend(decisions.try_iter().take(MAX_GROUP - 1));
            let count = group.len() as u64;
            if let Err(error) = self.write(group) {
                self.dropped.fetch_add(count, Ordering::Relaxed);
                self.complaints.problem = Some(error.to_string());
            }
            wait = match self.trim() {
                Ok(true) => BREATH,
                Ok(false) => MINUTE,
                Err(error) => {
                    self.complaints.problem = Some(error.to_string());
                    MINUTE
                }
            };
            let dropped = self.dropped.load(Ordering::Relaxed);
            if let Some(Complaint { dropped, problem }) = self.complaints.due(Instant::now(), dropped) {
                tracing::warn!(dropped, problem, "the log of decisions has gaps");
            }
        }
    }

    /// Writes a group as one transaction.
    fn write(&mut self, group: Vec<Decision>) -> rusqlite::Result<()> {
        if group.is_empty() {
            return Ok(());
        }
        let transaction = self.connection.transaction()?;
        for decision in group {
            audit::insert(&transaction, decision)?;
        }
        transaction.commit()
    }

    /// Deletes what is too old, then the oldest where the file is too large; in small steps, so that writing goes on.
    /// Says whether there may be more to delete.
    fn trim(&self) -> rusqlite::Result<bool> {
        let max_age = i64::try_from(self.limits.max_age.as_millis()).unwrap_or(i64::MAX);
        let too_old = unix_millis().saturating_sub(max_age);
        for _ in 0..STEPS {
            let pages = Pages::of(&self.connection)?;
            let too_many = pages.used() > self.max_pages(&pages);
            let delete_before = if too_many { i64::MAX } else { too_old };
            let mut delete = self.connection.prepare_cached(
                "DELETE FROM decisions WHERE id IN
                (SELECT id FROM decisions WHERE received_at < ?1 ORDER BY received_at, id LIMIT ?2)",
            )?;
            let deleted = delete.execute(params![delete_before, DELETED_AT_ONCE])?;
            let pages = Pages::of(&self.connection)?;
            let spare = pages.free.min(pages.all - self.max_pages(&pages));
            if spare > 0 {
                // Its rows are pages: the pragma gives back as many as are read.
                self.connection.pragma(None, "incremental_vacuum", spare.min(PAGES_AT_ONCE), |_| Ok(()))?;
            } else if deleted == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// How many pages the file may have.
    fn max_pages(&self, pages: &Pages) -> i64 {
        let bytes = self.limits.max_bytes.saturating_sub(OVERHEAD_BYTES);
        i64::try_from(bytes).unwrap_or(i64::MAX) / pages.size
    }
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

/// Sees to it that the same trouble is told once a minute, not once a decision.
#[derive(Default)]
struct Complaints {
    problem: Option<String>,
    told: Option<Instant>,
    told_dropped: u64,
}

/// What to warn about.
#[derive(Debug, PartialEq, Eq)]
struct Complaint {
    dropped: u64,
    problem: String,
}

impl Complaints {
    /// What there is to complain about at `now`, when `dropped` decisions were dropped since the start.
    fn due(&mut self, now: Instant, dropped: u64) -> Option<Complaint> {
        let early = self.told.is_some_and(|told| now.duration_since(told) < MINUTE);
        let new = dropped - self.told_dropped;
        if early || (new == 0 && self.problem.is_none()) {
            return None;
        }
        (self.told, self.told_dropped) = (Some(now), dropped);
        let problem = self.problem.take().unwrap_or_else(|| "the disk is too slow".to_owned());
        Some(Complaint { dropped: new, problem })
    }
}

#[cfg(test)]
mod tests {
    use super::super::decision::tests::burst_pipe;
    use super::*;

    const SMALL: DecisionLimits =
        DecisionLimits { max_age: Duration::from_secs(3_600), max_bytes: MIN_DECISION_BYTES };

    /// Offers decisions as fast as they are written.
    fn offer_all(log: &Decisions, decisions: impl IntoIterator<Item = Decision>) {
        for decision in decisions {
            loop {
                let dropped = log.dropped();
                log.offer(decision.clone());
                if log.dropped() == dropped {
                    break;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }

    fn eventually(mut holds: impl FnMut() -> bool) -> bool {
        let started = Instant::now();
        while !holds() {
            if started.elapsed() > Duration::from_secs(30) {
                return false;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        true
    }

    fn bytes_on_disk(dir: &Path) -> u64 {
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
    }

    fn long_reasons(number: usize) -> Decision {
        let mut decision = burst_pipe(&format!("{:x}-{number}", number * 7_919 % 65_521), unix_millis());
        decision.reasons = vec!["r".repeat(1_500)];
        decision
    }

    #[test]
    fn the_oldest_give_way_where_the_log_is_too_large() {
        let dir = tempfile::tempdir().unwrap();
        let log = Decisions::open(dir.path(), SMALL).unwrap();
        let mut largest = 0;
        for thousand in 0..15 {
            offer_all(&log, (0..1_000).map(|number| long_reasons(thousand * 1_000 + number)));
            largest = largest.max(bytes_on_disk(dir.path()));
        }
        drop(log);
        assert!(largest < SMALL.max_bytes, "{largest}");
        let reader = DecisionReader::open(dir.path()).unwrap();
        let kept = reader.totals(None, None).unwrap().decisions;
        // About two to a page, in the half that is not set aside.
        assert!((2_000..6_000).contains(&kept), "{kept}");
        let last = long_reasons(14_999);
        assert_eq!(reader.find(&last.request_id).unwrap().len(), 1);
        assert_eq!(reader.find(&long_reasons(0).request_id).unwrap().len(), 0);
    }

    #[test]
    fn a_log_from_before_a_smaller_limit_shrinks() {
        let dir = tempfile::tempdir().unwrap();
        let wide = DecisionLimits { max_bytes: 1 << 30, ..SMALL };
        let log = Decisions::open(dir.path(), wide).unwrap();
        offer_all(&log, (0..12_000).map(long_reasons));
        drop(log);
        assert!(bytes_on_disk(dir.path()) > SMALL.max_bytes);
        let log = Decisions::open(dir.path(), SMALL).unwrap();
        assert!(eventually(|| bytes_on_disk(dir.path()) < SMALL.max_bytes));
        drop(log);
        assert!(DecisionReader::open(dir.path()).unwrap().totals(None, None).unwrap().decisions > 2_000);
    }

    #[test]
    fn decisions_that_are_too_old_are_deleted() {
        let dir = tempfile::tempdir().unwrap();
        let log = Decisions::open(dir.path(), SMALL).unwrap();
        let now = unix_millis();
        offer_all(&log, (0..500).map(|_| burst_pipe("old", now - 3_700_000)));
        offer_all(&log, (0..500).map(|_| burst_pipe("young", now - 3_000_000)));
        drop(log);
        let totals = DecisionReader::open(dir.path()).unwrap().totals(None, None).unwrap();
        assert_eq!(totals.decisions, 500);
        assert!(totals.oldest > Some(now - 3_600_000));
    }

    #[test]
    fn what_cannot_be_written_is_dropped_and_counted_and_later_decisions_are_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let connection = DECISIONS.open(dir.path()).unwrap();
        connection.pragma_update(None, "max_page_count", 30).unwrap();
        let short = DecisionLimits { max_age: Duration::from_secs(2), ..SMALL };
        let log = Decisions::start(dir.path(), connection, short).unwrap();
        for number in 0..1_000 {
            log.offer(burst_pipe(&number.to_string(), unix_millis()));
        }
        assert!(eventually(|| log.dropped() > 0));
        // The first grow too old, which makes room.
        assert!(eventually(|| {
            log.offer(burst_pipe("later", unix_millis()));
            !log.reader().find("later").unwrap().is_empty()
        }));
    }

    #[test]
    fn a_queue_that_is_full_does_not_hold_the_caller_up() {
        let dir = tempfile::tempdir().unwrap();
        let connection = DECISIONS.open(dir.path()).unwrap();
        connection.busy_timeout(Duration::from_millis(300)).unwrap();
        let log = Decisions::start(dir.path(), connection, SMALL).unwrap();
        // Another writer keeps the log waiting.
        let other = Connection::open(dir.path().join(DECISIONS.file_name)).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let started = Instant::now();
        for _ in 0..MAX_WAITING + 1_000 {
            log.offer(burst_pipe("r", unix_millis()));
        }
        let took = started.elapsed();
        let dropped = log.dropped();
        other.execute_batch("ROLLBACK").unwrap();
        assert!(dropped > 0, "{took:?}");
        drop(log);
        let written = DecisionReader::open(dir.path()).unwrap().totals(None, None).unwrap().decisions;
        assert!(written > 0);
    }

    #[test]
    fn limits_that_cannot_be_held_are_refused() {
        let error = DecisionLimits { max_bytes: 1 << 20, ..SMALL }.check().unwrap_err();
        assert!(error.to_string().starts_with("max_bytes: "), "{error}");
    }

    #[test]
    fn the_same_trouble_is_told_once_a_minute() {
        let mut complaints = Complaints::default();
        let start = Instant::now();
        assert_eq!(complaints.due(start, 0), None);
        complaints.problem = Some("no room".to_owned());
        assert_eq!(complaints.due(start, 3), Some(Complaint { dropped: 3, problem: "no room".to_owned() }));
        complaints.problem = Some("no room".to_owned());
        assert_eq!(complaints.due(start + MINUTE / 2, 9), None);
        assert_eq!(complaints.due(start + MINUTE, 9).map(|complaint| complaint.dropped), Some(6));
        assert_eq!(complaints.due(start + 2 * MINUTE, 9), None);
    }
}
