//! The folder that records lie in, held by one writing process.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
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
    /// How many directories were made, the folder and some above it.
    made: usize,
    _lock: File,
}

impl Folder {
    /// Makes the folder where it does not exist, and locks it.
    pub(super) fn lock(dir: &Path) -> Result<Self, RecordsError> {
        let failed = |source| failed(dir, source);
        let made = make(dir).map_err(failed)?;
        let lock = private_file().create(true).append(true).open(dir.join(LOCK_FILE)).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { dir: dir.to_owned(), made, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(RecordsError::Locked { dir: dir.to_owned() }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// Brings the names of the folder and of its files to the disk; SQLite does so for their content only.
    pub(super) fn sync(&self) -> Result<(), RecordsError> {
        let sync = |dir: &Path| File::open(dir)?.sync_all();
        for dir in self.unsynced().map_err(|source| failed(&self.dir, source))? {
            sync(&dir).map_err(|source| failed(&dir, source))?;
        }
        Ok(())
    }

    /// The folder and those above it, up to the first that was there before.
    fn unsynced(&self) -> io::Result<Vec<PathBuf>> {
        let whole = self.dir.canonicalize()?;
        // Its parent too where it was there: whoever made it, a moment ago perhaps, may not have done so.
        Ok(whole.ancestors().take(self.made.max(1) + 1).map(Path::to_owned).collect())
    }
}

/// Makes a folder for this user only, where it does not exist; says how many directories that took.
fn make(dir: &Path) -> io::Result<usize> {
    let whole = std::path::absolute(dir)?;
    let missing = whole.ancestors().take_while(|dir| !dir.exists()).count();
    if let Some(parent) = whole.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    // Takes one that is there as it is.
    builder.recursive(true).create(&whole)?;
    Ok(missing)
}

/// Makes an empty file for this user only, and leaves one that is there alone.
pub(super) fn make_file(file: &Path) -> io::Result<()> {
    // It is not even opened: to close it would undo the locks that SQLite holds on it in this process.
    match private_file().create_new(true).open(file) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.map(drop),
    }
}

/// Options to write a file, and to make it for this user only.
fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Starts the thread that writes a file of the folder `dir`.
pub(super) fn writer_thread(
    name: &str,
    dir: &Path,
    run: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, RecordsError> {
    std::thread::Builder::new().name(name.to_owned()).spawn(run).map_err(|source| failed(dir, source))
}

/// The error for a folder, or a file in it, that the system refuses.
pub(super) fn failed(dir: &Path, source: io::Error) -> RecordsError {
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
        drop(folder);

        let file = parent.path().join("file");
        std::fs::write(&file, "").unwrap();
        let error = Folder::lock(&file).unwrap_err();
        assert!(matches!(error, RecordsError::Folder { .. }), "{error}");
    }

    #[test]
    fn directories_that_were_made_are_synced_up_to_the_first_that_was_there() {
        let parent = tempfile::tempdir().unwrap();
        let top = parent.path().canonicalize().unwrap();
        let folder = Folder::lock(&parent.path().join("a/b/c")).unwrap();
        assert_eq!(
            folder.unsynced().unwrap(),
            [top.join("a/b/c"), top.join("a/b"), top.join("a"), top.clone()]
        );
        drop(folder);
        let folder = Folder::lock(&parent.path().join("a/b/c")).unwrap();
        assert_eq!(folder.unsynced().unwrap(), [top.join("a/b/c"), top.join("a/b")]);
    }

    #[test]
    fn a_file_that_is_there_keeps_its_content() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "content").unwrap();
        make_file(&file).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "content");
    }
}
