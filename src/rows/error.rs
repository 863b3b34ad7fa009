//! Why a file cannot be read at all; what is wrong with one row is told by its entry.

use std::path::{Path, PathBuf};

use super::format::READABLE;

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system does not let it be read.
    #[error("cannot read `{path}`: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A folder stands where a file should.
    #[error("`{path}` is a folder\nhint: name the files in it")]
    Folder {
        /// The folder.
        path: PathBuf,
    },
    /// Its extension is none of those that are known.
    #[error("`{path}` {}; known are {READABLE}\nhint: {hint}", extension_told(extension))]
    Format {
        /// The file.
        path: PathBuf,
        /// Its extension in lower case, without a dot; empty if it has none.
        extension: String,
        /// What to do next.
        hint: &'static str,
    },
    /// It holds something else than its extension says.
    #[error("`{path}` is named .{extension}, but holds {content}\nhint: {hint}")]
    Content {
        /// The file.
        path: PathBuf,
        /// Its extension in lower case, without a dot.
        extension: String,
        /// What it holds, as a phrase.
        content: &'static str,
        /// What to do next.
        hint: &'static str,
    },
    /// A workbook is damaged, or has something in it that is not known.
    #[error(
        "cannot read {} of `{path}`: {problem}\nhint: open it in a spreadsheet program, and save it as .xlsx again",
        sheet_told(sheet.as_deref())
    )]
    Workbook {
        /// The file.
        path: PathBuf,
        /// The sheet, if it is about one.
        sheet: Option<String>,
        /// What the parser says.
        problem: String,
    },
    /// A workbook would take more memory than it is worth.
    #[error(
        "`{path}` is not read: {problem}\nhint: if you trust it, open it in a spreadsheet program, and save its sheets as CSV UTF-8"
    )]
    Unpacked {
        /// The file.
        path: PathBuf,
        /// What would take so much, as a phrase.
        problem: String,
    },
    /// Neither a file nor a folder, such as a pipe or a device: nobody can say where it ends, and it is read more than once.
    #[error("`{path}` is not a file\nhint: write what it gives into a file, and name that")]
    NotAFile {
        /// What was named.
        path: PathBuf,
    },
    /// The rows of a JSON lines file have too many different columns.
    #[error(
        "`{path}` has more than {max} columns\nhint: rows with different keys each time need another form, such as a list of pairs"
    )]
    TooManyColumns {
        /// The file.
        path: PathBuf,
        /// The limit.
        max: usize,
    },
    /// A source's description does not fit the file.
    #[error("`{path}` is not what it was when it was surveyed: {difference}\nhint: survey it again")]
    Changed {
        /// The file.
        path: PathBuf,
        /// What is different, as a phrase.
        difference: String,
    },
}

impl ReadError {
    pub(super) fn reading(path: &Path, source: std::io::Error) -> Self {
        Self::Read { path: path.to_owned(), source }
    }

    pub(super) fn changed(path: &Path, difference: impl Into<String>) -> Self {
        Self::Changed { path: path.to_owned(), difference: difference.into() }
    }
}

fn extension_told(extension: &str) -> String {
    if extension.is_empty() {
        "has no extension that tells its format".to_owned()
    } else {
        format!("is a .{extension} file, which cannot be read")
    }
}

fn sheet_told(sheet: Option<&str>) -> String {
    sheet.map_or_else(|| "the workbook".to_owned(), |sheet| format!("the sheet `{sheet}`"))
}
