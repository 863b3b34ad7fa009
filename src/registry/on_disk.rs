//! Files of a folder that may hold anything: what is no file is not opened, and what is too large not read.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::path::Path;

use sha2::{Digest, Sha256};

/// Opens a file. What is none, such as a pipe, could keep its reader waiting, or never end.
pub(super) fn open_file(path: &Path) -> io::Result<File> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "it is not a file"));
    }
    File::open(path)
}

/// The content of a file, unless it is larger than `max` bytes.
pub(super) fn read_up_to(path: &Path, max: u64) -> io::Result<Option<Vec<u8>>> {
    let file = open_file(path)?;
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
pub(super) fn sha256_of(path: &Path) -> io::Result<[u8; 32]> {
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
