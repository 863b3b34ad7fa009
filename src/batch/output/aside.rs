//! A file that grows under another name: hashed on the way, and there under its own name whole or not at all.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::OutputError;
use crate::whole_file::sync_folder;

/// How many bytes are gathered before the system is asked to write them.
const BUFFER: usize = 256 * 1024;

/// A file that has the name `PATH.new` until it is kept; dropped before, it is removed.
#[derive(Debug)]
pub(super) struct Aside {
    path: PathBuf,
    beside: PathBuf,
    file: BufWriter<Hashed>,
    kept: bool,
}

/// A file, and what went into it so far.
#[derive(Debug)]
struct Hashed {
    file: File,
    digest: Sha256,
    bytes: u64,
}

impl Aside {
    /// Begins the file that will be at `path`.
    pub(super) fn create(path: &Path) -> Result<Self, OutputError> {
        let mut beside = OsString::from(path);
        beside.push(".new");
        let beside = PathBuf::from(beside);
        let file = File::create(&beside).map_err(|source| OutputError::write(path, source))?;
        let file = BufWriter::with_capacity(BUFFER, Hashed { file, digest: Sha256::new(), bytes: 0 });
        Ok(Self { path: path.to_owned(), beside, file, kept: false })
    }

    /// The name that the file will have.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends the whole file `part`; `seen` is shown its bytes as they pass.
    pub(super) fn append(&mut self, part: &Path, mut seen: impl FnMut(&[u8])) -> Result<(), OutputError> {
        let unread = |source| OutputError::Read { file: part.to_owned(), source };
        let mut file = File::open(part).map_err(unread)?;
        let mut buffer = vec![0; BUFFER];
        loop {
            let read = match file.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(unread(error)),
            };
            seen(&buffer[..read]);
            self.write_all(&buffer[..read]).map_err(|source| OutputError::write(&self.path, source))?;
        }
    }

    /// Brings the file to the disk and gives it its name; answers its size and its SHA-256 in hexadecimal.
    pub(super) fn keep(mut self) -> Result<(u64, String), OutputError> {
        self.settle().map_err(|source| OutputError::write(&self.path, source))?;
        let hashed = self.file.get_ref();
        Ok((hashed.bytes, hex::encode(hashed.digest.clone().finalize())))
    }

    fn settle(&mut self) -> io::Result<()> {
        self.file.flush()?;
        self.file.get_ref().file.sync_all()?;
        fs::rename(&self.beside, &self.path)?;
        self.kept = true;
        sync_folder(&self.path)
    }
}

impl Write for Aside {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.digest.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        if !self.kept {
            // Nobody is left to hear of it; a new attempt writes over what stays.
            let _ = fs::remove_file(&self.beside);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_file_replaces_the_one_before_and_is_told_by_size_and_digest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("part");
        fs::write(&path, "before").unwrap();
        let mut file = Aside::create(&path).unwrap();
        file.write_all(b"abc").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"before");
        let (bytes, sha256) = file.keep().unwrap();
        assert_eq!(bytes, 3);
        // The example of FIPS 180-2.
        assert_eq!(sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(fs::read(&path).unwrap(), b"abc");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_is_not_kept_leaves_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("part");
        fs::write(&path, "before").unwrap();
        let mut file = Aside::create(&path).unwrap();
        file.write_all(b"abc").unwrap();
        drop(file);
        assert_eq!(fs::read(&path).unwrap(), b"before");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
