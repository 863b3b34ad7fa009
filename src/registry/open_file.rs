//! One file of a bundle, read a stretch at a time.

use std::borrow::Cow;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use super::RegistryError;
use crate::plain_file::open_file;

/// A file of which no more needs to be in memory than what is read.
#[derive(Debug)]
pub struct OpenFile(Content);

#[derive(Debug)]
enum Content {
    Disk {
        path: PathBuf,
        size: u64,
        /// One reader at a time, since it has one place to read from.
        file: Mutex<File>,
    },
    Memory(&'static [u8]),
}

impl OpenFile {
    pub(super) fn on_disk(path: PathBuf) -> std::io::Result<Self> {
        let file = open_file(&path)?;
        let size = file.metadata()?.len();
        Ok(Self(Content::Disk { path, size, file: Mutex::new(file) }))
    }

    pub(super) fn in_memory(content: &'static [u8]) -> Self {
        Self(Content::Memory(content))
    }

    /// Bytes of the file when it was opened.
    pub fn size(&self) -> u64 {
        match &self.0 {
            Content::Disk { size, .. } => *size,
            Content::Memory(content) => content.len() as u64,
        }
    }

    /// The bytes from `range.start` to `range.end`; borrowed if they lie in the binary.
    ///
    /// # Errors
    /// If the file cannot be read, or has become shorter than that.
    ///
    /// # Panics
    /// If the range ends behind [`size`](Self::size).
    pub fn read(&self, range: Range<u64>) -> Result<Cow<'static, [u8]>, RegistryError> {
        assert!(range.end <= self.size(), "what is read lies in the file");
        let (start, length) = (range.start, (range.end - range.start) as usize);
        match &self.0 {
            Content::Disk { path, file, .. } => {
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                let mut bytes = vec![0; length];
                match file.seek(SeekFrom::Start(start)).and_then(|_| file.read_exact(&mut bytes)) {
                    Ok(()) => Ok(Cow::Owned(bytes)),
                    Err(source) => Err(RegistryError::Read { path: path.clone(), source }),
                }
            }
            Content::Memory(content) => Ok(Cow::Borrowed(&content[start as usize..][..length])),
        }
    }
}
