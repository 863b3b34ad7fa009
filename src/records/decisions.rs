//! The log of decisions: written in the background, and bounded in age and size.
//!
//! Nobody waits for it. Where it cannot follow, or the disk is full, decisions are dropped and counted, and a warning
//! says so once a minute. Where the file is damaged it is moved aside, and a new one begun. What is deleted when is
//! left to [`Trimmer`], reading to [`DecisionReader`].

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::audit::{self, DECISIONS, DecisionReader};
use super::decision::Decision;
use super::error::RecordsError;
use super::folder::writer_thread;
use super::retention::{DecisionLimits, Trimmer};
use crate::again;

/// Most decisions that may wait to be written.
const MAX_WAITING: usize = 4_096;
/// Most decisions in one transaction.
const MAX_GROUP: usize = 256;
/// Time between warnings, and between looks at the age of decisions where nothing is written.
const MINUTE: Duration = Duration::from_secs(60);
/// Time between steps of deleting where nothing is written.
const BREATH: Duration = Duration::from_millis(10);
/// Time between one damaged file that is moved aside and the next, so that a failing disk does not fill up with them.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

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
        let connection = match DECISIONS.open(dir) {
            Err(RecordsError::Damaged { problem, .. }) => {
                move_aside(dir, &problem)?;
                DECISIONS.open(dir)?
            }
            opened => opened?,
        };
        Self::start(dir, connection, limits)
    }

    fn start(dir: &Path, connection: Connection, limits: DecisionLimits) -> Result<Self, RecordsError> {
        let dropped = Arc::new(AtomicU64::new(0));
        let mut writer = Writer {
            dir: dir.to_owned(),
            connection: Some(connection),
            trimmer: Trimmer::new(limits),
            dropped: Arc::clone(&dropped),
            complaints: Complaints::default(),
            moved_aside: None,
        };
        let (queue, decisions) = sync_channel(MAX_WAITING);
        let writer = writer_thread("decisions", dir, move || {
            again::after_panics("decisions", || writer.run(&decisions));
        })?;
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

/// Moves a damaged file out of the way.
fn move_aside(dir: &Path, problem: &str) -> Result<(), RecordsError> {
    let aside = DECISIONS.move_aside(dir)?;
    tracing::warn!(problem, aside = %aside.display(), "the log of decisions is damaged; a new one is begun");
    Ok(())
}

struct Writer {
    dir: PathBuf,
    /// None where a damaged file was moved aside and a new one could not be made yet.
    connection: Option<Connection>,
    trimmer: Trimmer,
    dropped: Arc<AtomicU64>,
    complaints: Complaints,
    moved_aside: Option<Instant>,
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
            if let Err(error) = self.with_connection(|connection, _| write(connection, group)) {
                self.dropped.fetch_add(count, Ordering::Relaxed);
                self.complaints.problem = Some(error.to_string());
            }
            wait = match self.with_connection(|connection, trimmer| trimmer.trim(connection)) {
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

    /// Uses the file, and moves it aside where that shows that it is damaged.
    fn with_connection<T>(
        &mut self,
        using: impl FnOnce(&mut Connection, &mut Trimmer) -> rusqlite::Result<T>,
    ) -> Result<T, RecordsError> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => DECISIONS.open(&self.dir)?,
        };
        let result = using(self.connection.insert(connection), &mut self.trimmer);
        let error = match result {
            Ok(done) => return Ok(done),
            Err(source) => RecordsError::sqlite(&self.dir.join(DECISIONS.file_name), source),
        };
        let now = Instant::now();
        let lately = self.moved_aside.is_some_and(|moved| now.duration_since(moved) < DAY);
        if let (RecordsError::Damaged { problem, .. }, false) = (&error, lately) {
            self.moved_aside = Some(now);
            // Closed first, since to close it may remove the files beside it, by their names.
            self.connection = None;
            move_aside(&self.dir, problem)?;
            self.connection = Some(DECISIONS.open(&self.dir)?);
        }
        Err(error)
    }
}

/// Writes a group as one transaction.
fn write(connection: &mut Connection, group: Vec<Decision>) -> rusqlite::Result<()> {
    if group.is_empty() {
        return Ok(());
    }
    let transaction = connection.transaction()?;
    for decision in group {
        audit::insert(&transaction, decision)?;
    }
    transaction.commit()
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
    use super::super::retention::MIN_DECISION_BYTES;
    use super::super::unix_millis;
    use super::*;

    const SMALL: DecisionLimits =
        DecisionLimits { max_age: Duration::from_secs(3_600), max_bytes: MIN_DECISION_BYTES };

    /// Offers decisions as fast as they are written.
    fn offer_all(log: &Decisions, decisions: impl IntoIterator<Item = Decision>) {
        for decision in decisions {
            let taken = || {
                let dropped = log.dropped();
                log.offer(decision.clone());
                log.dropped() == dropped
            };
            assert!(eventually(taken), "nothing is written any more");
        }
    }

    fn eventually(mut holds: impl FnMut() -> bool) -> bool {
        let started = Instant::now();
        while !holds() {
            if started.elapsed() > Duration::from_secs(30) {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
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

    /// Each came in before the one before.
    fn at_a_clock_set_back(number: usize) -> Decision {
        let millis = i64::try_from(number).unwrap();
        Decision { received_at: unix_millis() - 100 * millis, ..long_reasons(number) }
    }

    #[test]
    fn the_first_written_give_way_where_the_log_is_too_large() {
        let dir = tempfile::tempdir().unwrap();
        let log = Decisions::open(dir.path(), SMALL).unwrap();
        let mut largest = 0;
        for thousand in 0..15 {
            offer_all(&log, (0..1_000).map(|number| at_a_clock_set_back(thousand * 1_000 + number)));
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
    fn a_log_that_turns_out_to_be_damaged_is_moved_aside_and_a_new_one_begun() {
        let dir = tempfile::tempdir().unwrap();
        drop(Decisions::open(dir.path(), SMALL).unwrap());
        let file = dir.path().join(DECISIONS.file_name);
        let mut bytes = std::fs::read(&file).unwrap();
        // All but the page that opening looks at.
        bytes[4_096..].fill(0x5a);
        std::fs::write(&file, &bytes).unwrap();
        let log = Decisions::open(dir.path(), SMALL).unwrap();
        assert!(eventually(|| {
            log.offer(burst_pipe("later", unix_millis()));
            log.reader().find("later").is_ok_and(|found| !found.is_empty())
        }));
        let names = std::fs::read_dir(dir.path()).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        // What SQLite keeps beside a database goes with it, if there is any.
        let aside: Vec<_> = names
            .filter(|name| name.starts_with("decisions.sqlite.damaged-"))
            .filter(|name| !name.ends_with("-wal") && !name.ends_with("-shm"))
            .collect();
        assert_eq!(aside.len(), 1, "{aside:?}");
        assert!(std::fs::read(dir.path().join(&aside[0])).unwrap().contains(&0x5a));
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
