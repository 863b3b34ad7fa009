//! The store of corrections: append-only, durable before it is acknowledged, one for each request.
//!
//! One thread writes. It commits what waits as one transaction, so that many callers share one flush of the disk, and
//! answers each of them after the commit. Reading is left to [`CorrectionReader`], which never holds the writer up.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use rusqlite::{Connection, TransactionBehavior};
use serde::Serialize;

use super::clock::{Times, unix_millis};
use super::correction::{Correction, Suggestion};
use super::error::{Conflict, RecordsError};
use super::folder::writer_thread;
use super::history::CorrectionReader;
use super::table::{self, CORRECTIONS};
use crate::again;

/// Most corrections in one transaction.
const MAX_GROUP: usize = 256;
/// Most corrections that may wait for the disk.
const MAX_WAITING: usize = 1_024;

/// The acknowledgement of a correction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Recorded {
    /// The id of the correction.
    pub id: i64,
    /// When it was recorded, in milliseconds since 1970.
    pub recorded_at: i64,
    /// Whether an earlier call recorded it, with the same content; id and time are of that one.
    pub already_recorded: bool,
}

/// The store of corrections, open for writing.
#[derive(Debug)]
pub struct Corrections {
    dir: PathBuf,
    queue: Option<SyncSender<Job>>,
    writer: Option<JoinHandle<()>>,
}

impl Corrections {
    /// Opens the store in a folder that this process has locked.
    pub(super) fn open(dir: &Path) -> Result<Self, RecordsError> {
        Self::start(dir, CORRECTIONS.open(dir)?)
    }

    fn start(dir: &Path, connection: Connection) -> Result<Self, RecordsError> {
        let file = dir.join(CORRECTIONS.file_name);
        let mut writer = Writer::new(connection).map_err(|source| RecordsError::sqlite(&file, source))?;
        let (queue, jobs) = sync_channel(MAX_WAITING);
        // Those who wait for what it had in hand are told that the store is closed, and may send it again.
        let run = move || again::after_panics("corrections", || writer.run(&jobs, &file));
        let writer = writer_thread("corrections", dir, run)?;
        Ok(Self { dir: dir.to_owned(), queue: Some(queue), writer: Some(writer) })
    }

    /// Records a correction and calls `done` once it is on the disk, or cannot be.
    ///
    /// This never waits: `done` is called exactly once, by the thread that writes, or at once where the correction is
    /// refused without a look at the disk. It should only hand the answer on, since others wait behind it. After an
    /// error of the disk it is safe to send the same correction again. Whether it is the same does not hang on what was
    /// suggested, nor on the versions, where `suggestion` says that they were filled in.
    ///
    /// `done` is given an error if a field is malformed (`Invalid`), the request has another correction (`Conflict`),
    /// too many wait (`Busy`), the store is closed (`Stopped`), or the disk fails.
    pub fn record(
        &self,
        correction: Correction,
        suggestion: Suggestion,
        done: impl FnOnce(Result<Recorded, RecordsError>) + Send + 'static,
    ) {
        let done = Done(Some(Box::new(done)));
        let violations = correction.violations();
        if !violations.is_empty() {
            return done.answer(Err(RecordsError::Invalid { violations }));
        }
        // Where there is no queue, or nobody at its end, dropping `done` says so.
        let Some(queue) = &self.queue else { return };
        if let Err(TrySendError::Full(job)) = queue.try_send(Job { correction, suggestion, done }) {
            job.done.answer(Err(RecordsError::Busy { waiting: MAX_WAITING }));
        }
    }

    /// Reads what was recorded.
    pub fn reader(&self) -> CorrectionReader {
        CorrectionReader::of(&self.dir)
    }
}

impl Drop for Corrections {
    /// Waits until all that was handed over is written.
    fn drop(&mut self) {
        drop(self.queue.take());
        if self.writer.take().is_some_and(|writer| writer.join().is_err()) {
            tracing::error!("the writer of corrections ended with a panic");
        }
    }
}

/// A correction on its way to the disk.
#[derive(Debug)]
struct Job {
    correction: Correction,
    suggestion: Suggestion,
    done: Done,
}

/// Whom to tell. Dropped untold, it says that the store is closed, so that nobody waits for ever.
struct Done(Option<Callback>);

type Callback = Box<dyn FnOnce(Result<Recorded, RecordsError>) + Send>;

impl Done {
    fn answer(mut self, result: Result<Recorded, RecordsError>) {
        self.tell(result);
    }

    fn tell(&mut self, result: Result<Recorded, RecordsError>) {
        let Some(callback) = self.0.take() else { return };
        // A caller's fault must not end the thread that writes for all.
        if catch_unwind(AssertUnwindSafe(|| callback(result))).is_err() {
            tracing::error!("whoever waited for a correction panicked at the answer");
        }
    }
}

impl Drop for Done {
    fn drop(&mut self) {
        self.tell(Err(RecordsError::Stopped));
    }
}

impl fmt::Debug for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Done")
    }
}

struct Writer {
    connection: Connection,
    times: Times,
}

impl Writer {
    fn new(connection: Connection) -> rusqlite::Result<Self> {
        let latest =
            connection
                .query_row("SELECT coalesce(max(recorded_at), 0) FROM corrections", [], |row| row.get(0))?;
        Ok(Self { connection, times: Times::after(latest) })
    }

    fn run(&mut self, jobs: &Receiver<Job>, file: &Path) {
        while let Ok(first) = jobs.recv() {
            let group: Vec<_> = std::iter::once(first).chain(jobs.try_iter().take(MAX_GROUP - 1)).collect();
            match self.commit(&group) {
                Ok(outcomes) => {
                    for (job, outcome) in group.into_iter().zip(outcomes) {
                        job.done.answer(outcome);
                    }
                }
                Err(source) => {
                    let error = RecordsError::sqlite(file, source);
                    tracing::error!(corrections = group.len(), %error, "corrections were not recorded");
                    for job in group {
                        job.done.answer(Err(error.clone()));
                    }
                }
            }
        }
    }

    /// Writes a group as one transaction: all of it or, after an error, nothing.
    fn commit(&mut self, group: &[Job]) -> rusqlite::Result<Vec<Result<Recorded, RecordsError>>> {
        let recorded_at = self.times.next(unix_millis());
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let append = |job: &Job| append(&transaction, recorded_at, job);
        let outcomes = group.iter().map(append).collect::<rusqlite::Result<Vec<_>>>()?;
        transaction.commit()?;
        self.times.given(recorded_at);
        Ok(outcomes)
    }
}

/// Adds a correction, unless its request has one.
fn append(
    connection: &Connection,
    recorded_at: i64,
    Job { correction, suggestion, .. }: &Job,
) -> rusqlite::Result<Result<Recorded, RecordsError>> {
    let Some(first) = table::find(connection, &correction.request_id)? else {
        let id = table::insert(connection, recorded_at, correction)?;
        return Ok(Ok(Recorded { id, recorded_at, already_recorded: false }));
    };
    let (id, recorded_at) = (first.id, first.recorded_at);
    let differs = first.correction.differences(correction, *suggestion);
    if differs.is_empty() {
        return Ok(Ok(Recorded { id, recorded_at, already_recorded: true }));
    }
    let conflict = Conflict { id, recorded_at, recorded: first.correction, differs };
    Ok(Err(RecordsError::Conflict(Box::new(conflict))))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::super::correction::tests::street_lamp;
    use super::super::history::CorrectionFilter;
    use super::*;

    fn record(store: &Corrections, correction: Correction) -> Result<Recorded, RecordsError> {
        record_with(store, correction, Suggestion::Stated)
    }

    fn record_with(
        store: &Corrections,
        correction: Correction,
        suggestion: Suggestion,
    ) -> Result<Recorded, RecordsError> {
        let (sender, receiver) = channel();
        store.record(correction, suggestion, move |result| sender.send(result).unwrap());
        receiver.recv_timeout(Duration::from_secs(30)).unwrap()
    }

    #[test]
    fn the_same_correction_again_is_acknowledged_with_the_first_id_and_time() {
        let dir = tempfile::tempdir().unwrap();
        let store = Corrections::open(dir.path()).unwrap();
        let first = record(&store, street_lamp("r1")).unwrap();
        assert!(!first.already_recorded);
        record(&store, street_lamp("r2")).unwrap();
        drop(store);
        let store = Corrections::open(dir.path()).unwrap();
        assert_eq!(record(&store, street_lamp("r1")).unwrap(), Recorded { already_recorded: true, ..first });
        let page = store.reader().list(&CorrectionFilter::default(), 0, 10).unwrap();
        assert_eq!(page.corrections.len(), 2);
    }

    #[test]
    fn another_correction_of_the_same_request_is_refused_and_told_what_differs() {
        let dir = tempfile::tempdir().unwrap();
        let store = Corrections::open(dir.path()).unwrap();
        let first = record(&store, street_lamp("r1")).unwrap();
        let mut other = street_lamp("r1");
        other.decided.lead = "police".to_owned();
        let error = record(&store, other).unwrap_err();
        let RecordsError::Conflict(conflict) = &error else { panic!("{error}") };
        assert_eq!((conflict.id, conflict.recorded_at), (first.id, first.recorded_at));
        assert_eq!(conflict.recorded, street_lamp("r1"));
        assert_eq!(conflict.differs, ["decided.lead"]);
        assert!(error.to_string().contains("led by `city_management`"), "{error}");
    }

    #[test]
    fn another_suggestion_is_the_same_correction_where_it_was_filled_in() {
        let dir = tempfile::tempdir().unwrap();
        let store = Corrections::open(dir.path()).unwrap();
        let first = record_with(&store, street_lamp("r1"), Suggestion::FilledIn).unwrap();
        let mut again = street_lamp("r1");
        again.suggested.lead = "police".to_owned();
        again.versions.model = None;
        let repeated = record_with(&store, again.clone(), Suggestion::FilledIn).unwrap();
        assert_eq!(repeated, Recorded { already_recorded: true, ..first });

        let RecordsError::Conflict(conflict) = record(&store, again.clone()).unwrap_err() else { panic!() };
        assert_eq!(conflict.differs, ["suggested.lead", "model"]);
        again.decided_by = "operator-8".to_owned();
        let error = record_with(&store, again, Suggestion::FilledIn).unwrap_err();
        let RecordsError::Conflict(conflict) = error else { panic!("{error}") };
        assert_eq!(conflict.differs, ["decided_by"]);
    }

    #[test]
    fn a_malformed_correction_is_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let store = Corrections::open(dir.path()).unwrap();
        let error = record(&store, street_lamp(" ")).unwrap_err();
        assert!(matches!(error, RecordsError::Invalid { .. }), "{error}");
    }

    #[test]
    fn a_full_disk_is_told_and_leaves_nothing_half_written() {
        let dir = tempfile::tempdir().unwrap();
        let connection = CORRECTIONS.open(dir.path()).unwrap();
        connection.pragma_update(None, "max_page_count", 40).unwrap();
        let store = Corrections::start(dir.path(), connection).unwrap();
        let (sender, receiver) = channel();
        for number in 0..1_000 {
            let sender = sender.clone();
            let id = format!("r{number}");
            let note = id.clone();
            store.record(street_lamp(&id), Suggestion::Stated, move |result| {
                sender.send((note, result)).unwrap();
            });
        }
        let answers: Vec<_> = receiver.iter().take(1_000).collect();
        let (good, bad): (Vec<_>, Vec<_>) = answers.into_iter().partition(|(_, result)| result.is_ok());
        assert!(!bad.is_empty());
        for (_, error) in &bad {
            assert!(
                matches!(error, Err(RecordsError::DiskFull { .. } | RecordsError::Busy { .. })),
                "{error:?}"
            );
        }
        let acknowledged: Vec<_> = good.into_iter().map(|(id, _)| id).collect();
        assert_eq!(ids(&store), acknowledged);
        drop(store);

        // There is room again.
        let store = Corrections::open(dir.path()).unwrap();
        assert_eq!(ids(&store), acknowledged);
        record(&store, street_lamp(&bad[0].0)).unwrap();
    }

    #[test]
    fn a_reader_in_the_middle_of_a_list_does_not_hold_the_writer_up() {
        let dir = tempfile::tempdir().unwrap();
        let store = Corrections::open(dir.path()).unwrap();
        record(&store, street_lamp("r1")).unwrap();
        let reader = CORRECTIONS.read(dir.path()).unwrap();
        reader.execute_batch("BEGIN; SELECT * FROM corrections").unwrap();
        record(&store, street_lamp("r2")).unwrap();
        assert_eq!(table::find(&reader, "r2").unwrap(), None);
        assert_eq!(ids(&store), ["r1", "r2"]);
    }

    #[test]
    fn times_follow_ids_even_if_the_clock_is_set_back() {
        let dir = tempfile::tempdir().unwrap();
        let later = unix_millis() + 1_000_000;
        table::insert(&CORRECTIONS.open(dir.path()).unwrap(), later, &street_lamp("r1")).unwrap();
        let store = Corrections::open(dir.path()).unwrap();
        assert_eq!(record(&store, street_lamp("r2")).unwrap().recorded_at, later);
    }

    #[test]
    fn a_caller_that_panics_does_not_stop_the_store() {
        let dir = tempfile::tempdir().unwrap();
        let store = Corrections::open(dir.path()).unwrap();
        store.record(street_lamp("r1"), Suggestion::Stated, |_| panic!("the caller has a fault"));
        assert!(!record(&store, street_lamp("r2")).unwrap().already_recorded);
    }

    #[test]
    fn what_was_handed_over_is_written_before_the_store_closes() {
        let dir = tempfile::tempdir().unwrap();
        let store = Corrections::open(dir.path()).unwrap();
        let (sender, receiver) = channel();
        for number in 0..500 {
            let sender = sender.clone();
            let correction = street_lamp(&format!("r{number}"));
            store.record(correction, Suggestion::Stated, move |result| sender.send(result).unwrap());
        }
        drop((store, sender));
        assert_eq!(receiver.iter().flatten().count(), 500);
    }

    fn ids(store: &Corrections) -> Vec<String> {
        let page = store.reader().list(&CorrectionFilter::default(), 0, 1_000).unwrap();
        page.corrections.into_iter().map(|recorded| recorded.correction.request_id).collect()
    }
}
