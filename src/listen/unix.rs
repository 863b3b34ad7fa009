//! A socket in the file system, which is there only while somebody listens.

use std::ffi::OsString;
use std::fs::{self, File, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::time::sleep;

/// Why a socket cannot be bound.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Another process answers there.
    #[error("another process listens on `{path}`\nhint: end it first, or choose another path")]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// There is a file of another kind.
    #[error("`{path}` is there and is not a socket\nhint: remove it, or choose another path")]
    NotASocket {
        /// The file.
        path: PathBuf,
    },
    /// The system does not let us.
    #[error("cannot listen on `{path}`: {source}")]
    System {
        /// The socket.
        path: PathBuf,
        /// What it says.
        source: io::Error,
    },
}

/// A socket in the file system; dropping it removes it.
#[derive(Debug)]
pub struct UnixSocket {
    listener: UnixListener,
    path: PathBuf,
    /// Device and inode: whether what is at `path` is still ours.
    id: Option<(u64, u64)>,
}

impl UnixSocket {
    /// Listens on a path, with permissions such as `0o660` or those that the system gives; on Linux a client must be
    /// allowed to write. A socket that a process has left behind is replaced, one that is answered is not.
    ///
    /// # Errors
    /// If another process listens there, the path is taken by another file, or the system does not let us.
    pub async fn bind(path: &Path, mode: Option<u32>) -> Result<Self, SocketError> {
        let failed = |source| SocketError::System { path: path.to_owned(), source };
        // Of two that start at the same time the second must not replace the socket of the first.
        let _folder = lock_folder(path).await;
        check_free(path).await?;
        let listener = bind_aside(path, mode).map_err(failed)?;
        let id = fs::symlink_metadata(path).ok().map(|file| (file.dev(), file.ino()));
        Ok(Self { listener, path: path.to_owned(), id })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The next connection.
    pub(super) async fn accept(&self) -> io::Result<UnixStream> {
        self.listener.accept().await.map(|(stream, _)| stream)
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        let id = fs::symlink_metadata(&self.path).ok().map(|file| (file.dev(), file.ino()));
        if id.is_some() && id == self.id {
            // There is nobody to tell.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Keeps others that do so out of a path's folder until it is dropped. Who may not read the folder, or waits in vain, goes
/// without: the case is rare, and whoever holds the lock may have nothing to do with sockets.
async fn lock_folder(path: &Path) -> Option<File> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = File::open(folder.unwrap_or(Path::new("."))).ok()?;
    for _ in 0..20 {
        match folder.try_lock() {
            Ok(()) => return Some(folder),
            Err(TryLockError::WouldBlock) => sleep(Duration::from_millis(50)).await,
            Err(TryLockError::Error(_)) => break,
        }
    }
    None
}

/// Whether nothing is at a path, or a socket that nobody answers.
async fn check_free(path: &Path) -> Result<(), SocketError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(SocketError::System { path: path.to_owned(), source }),
        Ok(file) if !file.file_type().is_socket() => {
            return Err(SocketError::NotASocket { path: path.to_owned() });
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        // Its backlog is full.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(SocketError::InUse { path: path.to_owned() })
        }
        Err(source) => Err(SocketError::System { path: path.to_owned(), source }),
        Ok(_) => Err(SocketError::InUse { path: path.to_owned() }),
    }
}

/// Binds under another name: there is no moment when the socket has other permissions under its own, or is missing.
fn bind_aside(path: &Path, mode: Option<u32>) -> io::Result<UnixListener> {
    let mut aside = OsString::from(path);
    aside.push(".new");
    // A process may have ended halfway.
    if fs::symlink_metadata(&aside).is_ok_and(|file| file.file_type().is_socket()) {
        let _ = fs::remove_file(&aside);
    }
    let listener = UnixListener::bind(&aside)?;
    let placed = mode
        .map_or(Ok(()), |mode| fs::set_permissions(&aside, Permissions::from_mode(mode)))
        .and_then(|()| fs::rename(&aside, path));
    if placed.is_err() {
        let _ = fs::remove_file(&aside);
    }
    placed.map(|()| listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn is_there_with_its_mode_until_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("service.sock");
        let socket = UnixSocket::bind(&path, Some(0o640)).await.unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        UnixStream::connect(&path).await.unwrap();
        drop(socket);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn replaces_what_a_dead_process_left_and_not_what_a_live_one_answers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("service.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "the standard library leaves it");
        let socket = UnixSocket::bind(&path, None).await.unwrap();
        let error = UnixSocket::bind(&path, None).await.unwrap_err().to_string();
        assert!(error.starts_with("another process listens on `"), "{error}");
        UnixStream::connect(&path).await.unwrap();
        socket.accept().await.unwrap();
    }

    #[tokio::test]
    async fn of_several_that_start_at_once_one_listens() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("service.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let binds = (0..8).map(|_| UnixSocket::bind(&path, None));
        let bound = futures_util::future::join_all(binds).await;
        assert_eq!(bound.iter().filter(|socket| socket.is_ok()).count(), 1);
        UnixStream::connect(&path).await.unwrap();
    }

    #[tokio::test]
    async fn leaves_a_socket_that_another_has_put_in_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("service.sock");
        let first = UnixSocket::bind(&path, None).await.unwrap();
        fs::remove_file(&path).unwrap();
        let _second = UnixSocket::bind(&path, None).await.unwrap();
        drop(first);
        UnixStream::connect(&path).await.unwrap();
    }

    #[tokio::test]
    async fn refuses_other_files_and_folders_that_are_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.txt");
        fs::write(&path, "keep").unwrap();
        let error = UnixSocket::bind(&path, None).await.unwrap_err();
        assert!(matches!(error, SocketError::NotASocket { .. }), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "keep");
        let error = UnixSocket::bind(&folder.path().join("no/such.sock"), None).await.unwrap_err();
        assert!(matches!(error, SocketError::System { .. }), "{error}");
    }
}
