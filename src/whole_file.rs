//! Files that are there whole or not at all: a disk may fill up, and a process may be killed.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::Path;

/// Writes a file under another name beside `path`, brings it to the disk, and gives it its name then; what was there before
/// is replaced. Where that fails nothing is left behind.
///
/// # Errors
/// If `content` fails, or the system does.
pub(crate) fn write(
    path: &Path,
    content: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    let mut aside = OsString::from(path);
    aside.push(".new");
    let written = File::create(&aside).and_then(|file| {
        let mut file = BufWriter::new(file);
        content(&mut file)?;
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(&aside, path)?;
        sync_folder(path)
    });
    if written.is_err() {
        // It may never have been made.
        let _ = fs::remove_file(&aside);
    }
    written
}

/// Brings the names in a file's folder to the disk: without this a crash may undo the renaming.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(not(unix)) {
        // Elsewhere a folder cannot be opened as a file.
        return Ok(());
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_file_that_cannot_be_written_whole_leaves_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows");
        write(&path, |file| file.write_all(b"first")).unwrap();
        let full = |file: &mut BufWriter<File>| {
            file.write_all(b"sec")?;
            Err(io::Error::from(io::ErrorKind::StorageFull))
        };
        assert!(write(&path, full).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
