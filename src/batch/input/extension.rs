//! The endings of files that can be read.

use std::path::Path;

/// The endings, without the dot.
pub(super) const EXTENSIONS: &[&str] = &["csv", "tsv", "jsonl", "ndjson", "xlsx", "xlsm", "parquet"];
/// The same for people.
pub(super) const KNOWN: &str = ".csv, .tsv, .jsonl, .ndjson, .xlsx, .xlsm or .parquet";

/// Whether a file's name ends so, in whatever case.
pub(super) fn has_extension(file: &Path, extensions: &[&str]) -> bool {
    let own = file.extension().and_then(|own| own.to_str()).unwrap_or_default();
    extensions.iter().any(|extension| own.eq_ignore_ascii_case(extension))
}
