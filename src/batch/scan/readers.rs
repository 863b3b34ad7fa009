//! Readers that stand where a part ended: another part begins there, and neither a workbook nor a CSV file can be opened
//! in the middle.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::batch::input::InputTable;
use crate::rows::{self, Layout, ReadError, Rows, Source};

/// Most readers that wait.
const MAX_WAITING: usize = 8;

/// The size and the time of files when their digests were made.
#[cfg(feature = "cluster")]
type Digests = std::collections::HashMap<std::path::PathBuf, (u64, std::time::SystemTime, String)>;

/// Readers that wait for the part that goes on where theirs ended, and the files that are known.
#[derive(Debug, Default)]
pub(in crate::batch) struct Readers {
    waiting: Mutex<Vec<Reader>>,
    /// The digest of each file that was looked at, with its size and time then.
    #[cfg(feature = "cluster")]
    digests: Mutex<Digests>,
}

/// A reader of a table, and the row that it gives next.
pub(super) struct Reader {
    sha256: String,
    layout: Layout,
    pub(super) next_row: u64,
    pub(super) rows: Rows,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader")
            .field("layout", &self.layout)
            .field("next_row", &self.next_row)
            .finish_non_exhaustive()
    }
}

/// Takes a lock that nothing panics under.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Readers {
    /// A reader of a table that gives `row` soon: the one that waits nearest before it, or a new one.
    pub(super) fn take(&self, table: &InputTable, source: &Source, row: u64) -> Result<Reader, ReadError> {
        let mut waiting = lock(&self.waiting);
        let fits =
            |it: &Reader| it.sha256 == table.sha256 && it.layout == source.layout && it.next_row <= row;
        let nearest = waiting.iter().enumerate().filter(|(_, it)| fits(it)).max_by_key(|(_, it)| it.next_row);
        if let Some((place, _)) = nearest {
            return Ok(waiting.remove(place));
        }
        drop(waiting);
        let rows = rows::read(source, &table.columns())?;
        Ok(Reader { sha256: table.sha256.clone(), layout: source.layout.clone(), next_row: 0, rows })
    }

    /// Keeps a reader for the part that goes on where it stands.
    pub(super) fn keep(&self, reader: Reader) {
        let mut waiting = lock(&self.waiting);
        if waiting.len() == MAX_WAITING {
            waiting.remove(0);
        }
        waiting.push(reader);
    }

    /// Whether this machine has the very file that a table was read from.
    ///
    /// # Errors
    /// If it cannot be read.
    #[cfg(feature = "cluster")]
    pub(in crate::batch) fn has(&self, table: &InputTable) -> Result<bool, ReadError> {
        let wrong = |source| ReadError::Read { path: table.file.clone(), source };
        let metadata = std::fs::metadata(&table.file).map_err(wrong)?;
        let (size, time) = (metadata.len(), metadata.modified().map_err(wrong)?);
        let mut digests = lock(&self.digests);
        if let Some((known_size, known_time, digest)) = digests.get(&table.file)
            && (*known_size, *known_time) == (size, time)
        {
            return Ok(*digest == table.sha256);
        }
        let digest = rows::digest(&table.file)?;
        digests.insert(table.file.clone(), (size, time, digest.clone()));
        Ok(digest == table.sha256)
    }
}
