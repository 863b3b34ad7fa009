//! Files that may hold anything, or be none: what is no file is not opened, and what is too large not read.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::path::Path;

use sha2::{Digest, Sha256};

/// Opens a file; none where there is something else, such as a folder, or a pipe: to open that could keep its reader
/// waiting, or never end.
pub(crate) fn open(path: &Path) -> io::Result<Option<File>> {
    if std::fs::metadata(path)?.is_file() { File::open(path).map(Some) } else { Ok(None) }
}

/// As [`open`], for those to whom something else is an error like any other.
pub(crate) fn open_file(path: &Path) -> io::Result<File> {
    open(path)?.ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "it is not a file"))
}

/// The content of a file, unless it is larger than `max` bytes.
pub(crate) fn read_up_to(file: &File, max: u64) -> io::Result<Option<Vec<u8>>> {
    let size = file.metadata()?.len();
    if size > max {
        return Ok(None);
    }
    let mut content = Vec::with_capacity(size as usize);
    // It may grow meanwhile.
    file.take(max + 1).read_to_end(&mut content)?;
    Ok(Some(content).filter(|content| content.len() as u64 <= max))
}

/// Hashes a file piece by piece.
pub(crate) fn sha256_of(path: &Path) -> io::Result<[u8; 32]> {
    let mut file = open_file(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finalize().into()),
            count => hasher.update(&buffer[..count]),
        }
    }
}
