//! Reads a file of a deployment as text, if it can be one.

use std::fs::Metadata;
use std::path::Path;

use super::Faults;
use crate::plain_file;

/// Largest file that is read: the directory of a city with each of ten thousand communities has 3 MB.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file cannot be read.
    #[error("cannot read `{file}`: {source}")]
    Read {
        /// The file's path.
        file: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file of settings that nobody named, and that others may read.
    #[error(
        "cannot read `{file}`: permission denied\nhint: run this as a user who may read it, or without it: `--config /dev/null`"
    )]
    Denied {
        /// The file's path.
        file: String,
    },
    /// Something else than a file, such as a folder or a pipe.
    #[error("`{file}` is not a file\nhint: name a file of TOML")]
    NotAFile {
        /// Its path.
        file: String,
    },
    /// The file is too large to be what it should be.
    #[error("`{file}` is larger than {} MiB\nhint: is it the right file?", MAX_FILE_BYTES >> 20)]
    TooLarge {
        /// The file's path.
        file: String,
    },
    /// The file is in another encoding.
    #[error(
        "`{file}` is not UTF-8 text: see line {line}\nhint: save it as UTF-8; some editors save GBK by default"
    )]
    NotUtf8 {
        /// The file's path.
        file: String,
        /// The first line that is none, counted from 1.
        line: usize,
    },
    /// The file does not hold together.
    #[error(transparent)]
    Faults(#[from] Faults),
}

/// Reads the file at `path`; `parse` is given its name and its text.
pub(crate) fn load<T>(
    path: &Path,
    parse: impl FnOnce(&str, &str) -> Result<T, Faults>,
) -> Result<T, FileError> {
    let file = path.display().to_string();
    let (_, text) = read(path)?;
    Ok(parse(&file, &text)?)
}

/// The text of a file, and what the system knew of it when it was opened: another may stand at the path a moment later.
pub(crate) fn read(path: &Path) -> Result<(Metadata, String), FileError> {
    let file = || path.display().to_string();
    let reading = |source| FileError::Read { file: file(), source };
    let opened =
        plain_file::open(path).map_err(reading)?.ok_or_else(|| FileError::NotAFile { file: file() })?;
    let metadata = opened.metadata().map_err(reading)?;
    let bytes = plain_file::read_up_to(&opened, MAX_FILE_BYTES).map_err(reading)?;
    let bytes = bytes.ok_or_else(|| FileError::TooLarge { file: file() })?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let sound = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        FileError::NotUtf8 { file: file(), line: sound.split(|&byte| byte == b'\n').count() }
    })?;
    Ok((metadata, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Why a file of this content cannot be read.
    fn refused(content: impl AsRef<[u8]>) -> FileError {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shop.toml");
        std::fs::write(&path, content).unwrap();
        load(&path, |_, _| Ok(())).unwrap_err()
    }

    #[test]
    fn a_file_in_another_encoding_is_told_with_the_line_and_what_to_do() {
        let error = refused(b"# \xe5\xba\x97\nname = \"\xb5\xea\"\n").to_string();
        assert!(error.contains("is not UTF-8 text: see line 2\nhint: save it as UTF-8"), "{error}");
        let utf16: Vec<u8> = "\u{feff}name = \"a\"".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert!(matches!(refused(utf16), FileError::NotUtf8 { line: 1, .. }));
    }

    #[test]
    fn a_file_that_is_too_large_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shop.toml");
        // It takes no room on the disk.
        std::fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
        let error = load(&path, |_, _| Ok(())).unwrap_err().to_string();
        assert!(error.contains("is larger than 16 MiB\nhint: is it the right file?"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_file_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe.toml");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for path in [pipe.as_path(), Path::new("/dev/zero"), folder.path()] {
            let error = load(path, |_, _| Ok(())).unwrap_err();
            assert!(matches!(error, FileError::NotAFile { .. }), "{error}");
        }
    }
}
