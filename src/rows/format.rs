//! What a file is by its name, and whether its first bytes agree.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::error::ReadError;
use crate::plain_file;

/// The extensions that can be read, for messages.
pub(super) const READABLE: &str = ".csv, .tsv, .txt, .jsonl, .ndjson, .xlsx and .xlsm";

/// How a file is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Delimited,
    JsonLines,
    Workbook,
}

impl Format {
    /// The format of a file that its name tells and its first bytes do not deny.
    pub(super) fn of(path: &Path) -> Result<Self, ReadError> {
        let extension = extension(path);
        let format = match extension.as_str() {
            "csv" | "tsv" | "txt" => Self::Delimited,
            "jsonl" | "ndjson" => Self::JsonLines,
            "xlsx" | "xlsm" => Self::Workbook,
            _ => {
                // A missing file is told as such, and a folder too, whatever its name.
                open(path)?;
                let hint = way_out(&extension);
                return Err(ReadError::Format { path: path.to_owned(), extension, hint });
            }
        };
        let mut head = Vec::new();
        let read = open(path)?.take(1024).read_to_end(&mut head);
        read.map_err(|source| ReadError::reading(path, source))?;
        match format.contradiction(&head) {
            Some((content, hint)) => {
                Err(ReadError::Content { path: path.to_owned(), extension, content, hint })
            }
            None => Ok(format),
        }
    }

    /// What a file holds instead, and what to do.
    fn contradiction(self, head: &[u8]) -> Option<(&'static str, &'static str)> {
        let is_workbook = self == Self::Workbook;
        Some(match head {
            [b'P', b'K', 3 | 5 | 7, _, ..] if is_workbook => return None,
            [b'P', b'K', 3 | 5 | 7, _, ..] => {
                ("an Excel workbook or a zip archive", "rename a workbook to .xlsx, unpack an archive")
            }
            [0xd0, 0xcf, 0x11, 0xe0, ..] if is_workbook => (
                "a workbook that is protected by a password, or of the old format .xls",
                "open it in a spreadsheet program, take the password away, and save it as .xlsx",
            ),
            [0xd0, 0xcf, 0x11, 0xe0, ..] => (
                "an Excel workbook of the old format .xls, or one that is protected by a password",
                "open it in a spreadsheet program, and save it as .xlsx without a password",
            ),
            [0x1f, 0x8b, ..] => ("a gzip archive", "unpack it first"),
            [b'P', b'A', b'R', b'1', ..] => ("Parquet", "rename it to .parquet"),
            [b'%', b'P', b'D', b'F', ..] => ("a PDF document", "export the table that it was made of"),
            _ if is_markup(head) => {
                ("a web page", "open it in a spreadsheet program, and save it as .xlsx or as CSV UTF-8")
            }
            [] if is_workbook => ("nothing", "save or copy it again"),
            _ if is_workbook => ("text or something unknown", "rename it to .csv if it is delimited text"),
            _ => return None,
        })
    }
}

/// Opens a file, and nothing but a file.
pub(super) fn open(path: &Path) -> Result<File, ReadError> {
    match plain_file::open(path).map_err(|source| ReadError::reading(path, source))? {
        Some(file) => Ok(file),
        None if path.is_dir() => Err(ReadError::Folder { path: path.to_owned() }),
        None => Err(ReadError::NotAFile { path: path.to_owned() }),
    }
}

/// The extension in lower case, without a dot.
fn extension(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().to_lowercase()
}

/// What to do with a file that has some other extension.
fn way_out(extension: &str) -> &'static str {
    match extension {
        "xls" | "xlsb" | "et" | "ods" | "numbers" => "open it in a spreadsheet program, and save it as .xlsx",
        "zip" | "gz" | "tgz" | "bz2" | "xz" | "zst" | "7z" | "rar" | "tar" => "unpack it first",
        "json" => "write one object a line, and name it .jsonl",
        "doc" | "docx" | "wps" | "pdf" => "copy its table into a spreadsheet, and save that as .xlsx",
        "" => "give it the extension of its format",
        _ => "save it as .xlsx or as CSV UTF-8",
    }
}

/// Whether a file starts as HTML or XML does: many programs name such an export .xls, .xlsx or .csv.
fn is_markup(head: &[u8]) -> bool {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let starts = |tag: &[u8]| head.get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag));
    [b"<!doctype".as_slice(), b"<html", b"<head", b"<table", b"<meta", b"<?xml"].into_iter().any(starts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(name: &str, content: &[u8]) -> Result<Format, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        Format::of(&path).map_err(|error| error.to_string().replace(path.to_str().unwrap(), name))
    }

    #[test]
    fn goes_by_the_extension() {
        assert_eq!(format("a.CSV", b""), Ok(Format::Delimited));
        assert_eq!(format("a.jsonl", b"{}"), Ok(Format::JsonLines));
        assert_eq!(format("a.xlsm", b"PK\x03\x04"), Ok(Format::Workbook));
    }

    #[test]
    fn names_what_is_known_and_a_way_out() {
        let known = "known are .csv, .tsv, .txt, .jsonl, .ndjson, .xlsx and .xlsm";
        for (name, hint) in
            [("a.xls", "save it as .xlsx"), ("a.zip", "unpack"), ("a.json", "one object a line")]
        {
            let error = format(name, b"x").unwrap_err();
            assert!(error.contains(known) && error.contains(hint), "{error}");
        }
        let error = format("rows", b"x").unwrap_err();
        assert!(error.starts_with("`rows` has no extension that tells its format; known are"), "{error}");
    }

    #[test]
    fn sees_that_a_name_and_a_content_do_not_agree() {
        let error = format("a.csv", b"PK\x03\x04..").unwrap_err();
        assert_eq!(
            error,
            "`a.csv` is named .csv, but holds an Excel workbook or a zip archive\n\
             hint: rename a workbook to .xlsx, unpack an archive"
        );
        for (name, content, told) in [
            ("a.xlsx", b"\xd0\xcf\x11\xe0".as_slice(), "protected by a password"),
            ("a.xlsx", b"<html><table>", "a web page"),
            ("a.xlsx", b"id,text\n", "rename it to .csv"),
            ("a.xlsx", b"", "holds nothing"),
            ("a.jsonl", b"\x1f\x8b\x08", "a gzip archive"),
            ("a.csv", b"\xef\xbb\xbf\n<!DOCTYPE html>", "a web page"),
        ] {
            let error = format(name, content).unwrap_err();
            assert!(error.contains(told) && error.contains("\nhint: "), "{error}");
        }
    }

    #[test]
    fn tells_a_missing_file_and_a_folder_with_their_paths() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        assert!(
            Format::of(&path)
                .unwrap_err()
                .to_string()
                .starts_with(&format!("cannot read `{}`", path.display()))
        );
        std::fs::create_dir(&path).unwrap();
        assert!(
            Format::of(&path).unwrap_err().to_string().contains("is a folder\nhint: name the files in it")
        );
    }
}
