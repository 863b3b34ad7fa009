//! From what was typed to files: a file, a folder with all below it, a pattern such as `2025-*.csv`.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use glob::MatchOptions;

use super::extension::{EXTENSIONS, has_extension};
use super::{InputError, remote};

/// A file of the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputFile {
    /// What people call it: its path, or its address in an object store.
    pub name: String,
    /// Where it is on this machine.
    pub path: PathBuf,
}

/// The files that are meant, each once: in the order of `inputs`, those of a folder or a pattern in the order of their
/// paths. Files that the job itself writes, which `is_own` knows, are left out of folders and patterns. Those of an object
/// store are copied into the folder `copies`.
///
/// # Errors
/// If there is no such file, or a folder cannot be read.
pub fn find(
    inputs: &[String],
    copies: &Path,
    is_own: impl Fn(&Path) -> bool,
) -> Result<Vec<InputFile>, InputError> {
    let mut files: Vec<InputFile> = Vec::new();
    let mut seen = HashSet::new();
    for input in inputs {
        let path = Path::new(input);
        let mut found = if remote::is_remote(input) {
            remote::copy(input, copies)?
        } else if path.is_dir() {
            in_folder(path, &mut HashSet::new())?
        } else if path.exists() || !input.contains(['*', '?', '[']) {
            // What is not there is told when it is read.
            vec![path.to_owned()]
        } else {
            matching(input)?
        };
        if !path.is_file() && !remote::is_remote(input) {
            found.retain(|file| !is_own(file));
            if found.is_empty() {
                return Err(InputError::NoFile { input: input.clone() });
            }
        }
        for file in found {
            let name = remote::name(&file, copies).unwrap_or_else(|| file.display().to_string());
            // One file may be named in several ways.
            if seen.insert(file.canonicalize().unwrap_or_else(|_| file.clone())) {
                files.push(InputFile { name, path: file });
            }
        }
    }
    Ok(files)
}

/// Files below a folder that can be read, without hidden ones and those that a spreadsheet keeps while it is open.
fn in_folder(folder: &Path, seen: &mut HashSet<PathBuf>) -> Result<Vec<PathBuf>, InputError> {
    let io = |source| InputError::Io { path: folder.to_owned(), source };
    // A link may lead back to where it lies.
    if !seen.insert(folder.canonicalize().map_err(io)?) {
        return Ok(Vec::new());
    }
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
        .map_err(io)?;
    entries.sort();
    let mut files = Vec::new();
    for entry in entries {
        let name = entry.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(['.', '~']) {
            continue;
        }
        if entry.is_dir() {
            files.extend(in_folder(&entry, seen)?);
        } else if has_extension(&entry, EXTENSIONS) {
            files.push(entry);
        }
    }
    Ok(files)
}

fn matching(pattern: &str) -> Result<Vec<PathBuf>, InputError> {
    let wrong = |problem: String| InputError::Pattern { pattern: pattern.to_owned(), problem };
    let options = MatchOptions { require_literal_leading_dot: true, ..MatchOptions::new() };
    let paths = glob::glob_with(pattern, options).map_err(|error| wrong(error.to_string()))?;
    let mut files: Vec<PathBuf> =
        paths.collect::<Result<_, _>>().map_err(|error| wrong(error.to_string()))?;
    files.retain(|path| path.is_file());
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_and_patterns_give_their_files_in_order_and_each_once() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["b.csv", "a.XLSX", ".hidden.csv", "~$a.xlsx", "notes.docx", "out.csv", "sub/c.parquet"] {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let inputs = |names: &[&str]| -> Vec<String> {
            names.iter().map(|name| folder.path().join(name).display().to_string()).collect()
        };
        let own = |file: &Path| file.ends_with("out.csv");
        let names = |names: &[&str]| {
            let found = find(&inputs(names), Path::new("copies"), own).unwrap();
            let relative = found.iter().map(|file| file.path.strip_prefix(folder.path()).unwrap());
            relative.map(|file| file.display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(names(&[""]), ["a.XLSX", "b.csv", "sub/c.parquet"]);
        assert_eq!(names(&["*.csv", "b.csv", "sub/../b.csv"]), ["b.csv"]);
        #[cfg(unix)]
        std::os::unix::fs::symlink(".", folder.path().join("loop")).unwrap();
        assert_eq!(names(&[""]), ["a.XLSX", "b.csv", "sub/c.parquet"]);
        assert_eq!(names(&["out.csv"]), ["out.csv"], "what is named is meant");
        let error = find(&inputs(&["*.doc"]), Path::new("copies"), own).unwrap_err().to_string();
        assert!(error.contains("holds no file that can be read; it may be .csv"), "{error}");
    }
}
