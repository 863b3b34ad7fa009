//! The folder that records lie in, held by one writing process.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use super::error::RecordsError;

/// The name of the file whose lock says that a process writes in the folder.
const LOCK_FILE: &str = "records.lock";

/// A folder that no other process writes in, as long as this value lives.
///
/// The lock is the system's: it is gone when the process is, however it ended.
#[derive(Debug)]
pub(super) struct Folder {
    dir: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes the folder where it does not exist, and locks it.
    pub(super) fn lock(dir: &Path) -> Result<Self, RecordsError> {
        let failed = |source| failed(dir, source);
        std::fs::create_dir_all(dir).map_err(failed)?;
        let lock = File::options().create(true).append(true).open(dir.join(LOCK_FILE)).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { dir: dir.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(RecordsError::Locked { dir: dir.to_owned() }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// Brings the names of the folder and of its files to the disk; SQLite does so for their content only.
    pub(super) fn sync(&self) -> Result<(), RecordsError> {
        let sync = |dir: &Path| File::open(dir)?.sync_all();
        let whole = self.dir.canonicalize().map_err(|source| failed(&self.dir, source))?;
        for dir in whole.ancestors().take(2) {
            sync(dir).map_err(|source| failed(dir, source))?;
        }
        Ok(())
    }
}

/// Starts the thread that writes a file of the folder `dir`.
pub(super) fn writer_thread(
    name: &str,
    dir: &Path,
    run: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, RecordsError> {
    std::thread::Builder::new().name(name.to_owned()).spawn(run).map_err(|source| failed(dir, source))
}

fn failed(dir: &Path, source: io::Error) -> RecordsError {
    RecordsError::Folder { dir: dir.to_owned(), source: Arc::new(source) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_the_folder_and_says_when_it_cannot() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::lock(&parent.path().join("a/b")).unwrap();
        folder.sync().unwrap();

        let file = parent.path().join("file");
        std::fs::write(&file, "").unwrap();
        let error = Folder::lock(&file).unwrap_err();
        assert!(matches!(error, RecordsError::Folder { .. }), "{error}");
    }
}
