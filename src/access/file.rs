//! Reads the file of keys and checks that it holds together.
//!
//! ```toml
//! [[key]]
//! id = "intake-1"
//! sha256 = "<64 hexadecimal digits>"
//! scopes = ["classify"]
//! requests_per_second = 50   # calls; none: no limit
//! burst = 100                # calls at once after a rest; none: as many as in a second
//! max_concurrent = 16        # calls in flight; none: no limit
//! expires = "2027-01-01"     # refused from that day on, 00:00 UTC; none: never
//! note = "intake of the hotline, since the spring"
//! ```
//!
//! To replace a key, list the new one beside the old, each with an id of its own, until its holder has changed over.
//! No fault repeats a key or a digest, wherever in the file somebody has put it.

use std::collections::{BTreeSet, HashMap};
use std::fs::Metadata;
use std::num::NonZeroU32;
use std::path::Path;
use std::time::SystemTime;

use serde::Deserialize;
use time::Date;
use time::macros::format_description;
use toml::{Spanned, Value};

use super::key::{KeyDigest, KeyId};
use super::keys::{Key, Keys};
use super::limit::{Limiter, Limits, Rate};
use super::scope::Scope;
use crate::fault::{self, Checker, Fault, Faults, FileError, LabelIndex, closest};

/// Longest id, in characters: shorter than a secret, so that none passes for an id.
const MAX_ID_CHARS: usize = 32;
/// Shortest run of characters that may be a key or a digest, which messages do not repeat.
const MIN_SECRET_CHARS: usize = 40;
/// Largest limit.
const MAX_LIMIT: u32 = 1_000_000;

#[derive(Deserialize)]
struct RawFile {
    #[serde(default)]
    key: Vec<RawKey>,
}

#[derive(Deserialize)]
struct RawKey {
    id: Spanned<String>,
    sha256: Spanned<String>,
    scopes: Spanned<Vec<Spanned<String>>>,
    requests_per_second: Option<Spanned<i64>>,
    burst: Option<Spanned<i64>>,
    max_concurrent: Option<Spanned<i64>>,
    expires: Option<Spanned<Value>>,
    /// For who keeps the file.
    #[serde(rename = "note")]
    _note: Option<String>,
}

/// Reads the file at `path`. One that others may write is refused, since they could let themselves in.
pub(super) fn load(path: &Path) -> Result<Keys, FileError> {
    let file = path.display().to_string();
    let (metadata, text) = fault::read(path)?;
    let mode = mode(&metadata);
    let parsed = parse(&file, &text);
    if mode & 0o022 != 0 {
        let message = format!(
            "others may write this file (mode {:o}) and so let themselves in; run `chmod go-w` on it",
            mode & 0o777
        );
        let mut faults = parsed.err().unwrap_or_else(|| Faults { file, faults: Vec::new() });
        faults.faults.insert(0, Fault { line: 1, message });
        return Err(faults.into());
    }
    if mode & 0o004 != 0 {
        tracing::warn!(file, "everybody on this machine may read who has keys; run `chmod o-r` on the file");
    }
    let keys = parsed?;
    tracing::info!(file, keys = keys.len(), "the file of keys was read");
    Ok(keys)
}

#[cfg(unix)]
fn mode(metadata: &Metadata) -> u32 {
    std::os::unix::fs::MetadataExt::mode(metadata)
}

#[cfg(not(unix))]
fn mode(_: &Metadata) -> u32 {
    0
}

/// Reads the text of a file that is called `file`.
pub(super) fn parse(file: &str, text: &str) -> Result<Keys, Faults> {
    read_keys(file, text).map_err(|mut faults| {
        for fault in &mut faults.faults {
            fault.message = redacted(&fault.message);
        }
        faults
    })
}

fn read_keys(file: &str, text: &str) -> Result<Keys, Faults> {
    let (raw, mut checker) = Checker::read::<RawFile>(file, text)?;
    if raw.key.is_empty() {
        return Err(checker.refuse(0..0, "there is no key, so nobody could call; add a `[[key]]`"));
    }
    let (mut ids, mut digests) = (LabelIndex::default(), HashMap::new());
    for key in &raw.key {
        ids.add(&mut checker, &key.id, []);
        if KeyDigest::from_hex(key.sha256.get_ref()).is_none() {
            continue;
        }
        let first = digests.entry(key.sha256.get_ref().to_ascii_lowercase()).or_insert(key.id.get_ref());
        if *first != key.id.get_ref() {
            let message = format!("key `{first}` has this `sha256` too; make each key anew");
            checker.fault(key.sha256.span(), message);
        }
    }
    let keys: Vec<_> = raw.key.iter().filter_map(|key| read_key(&mut checker, key)).collect();
    checker.finish()?;
    let now = SystemTime::now();
    for key in keys.iter().filter(|key| key.has_expired(now)) {
        tracing::warn!(file, key = %key.id, "this API key has expired; remove it");
    }
    Ok(Keys::new(keys))
}

/// None for a key with a fault that leaves nothing to go on with; the fault has been noted.
fn read_key(checker: &mut Checker<'_>, raw: &RawKey) -> Option<Key> {
    check_id(checker, &raw.id);
    let digest = KeyDigest::from_hex(raw.sha256.get_ref());
    if digest.is_none() {
        let message = "`sha256` is not 64 hexadecimal digits; write the SHA-256 of the key, not the key";
        checker.fault(raw.sha256.span(), message);
    }
    let scopes = read_scopes(checker, &raw.scopes);
    let limits = read_limits(checker, raw);
    let expires = raw.expires.as_ref().and_then(|expires| read_date(checker, expires));
    let id = KeyId::new(raw.id.get_ref());
    Some(Key { id, digest: digest?, scopes, expires, limiter: Limiter::new(limits) })
}

fn check_id(checker: &mut Checker<'_>, id: &Spanned<String>) {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
    let text = id.get_ref();
    if text.is_empty() || text.len() > MAX_ID_CHARS || !text.chars().all(allowed) {
        let message = format!(
            "id `{text}` is not 1 to {MAX_ID_CHARS} of `a-z`, `0-9`, `-`, `_` and `.`, such as `intake-1`"
        );
        checker.fault(id.span(), message);
    }
}

fn read_scopes(checker: &mut Checker<'_>, raw: &Spanned<Vec<Spanned<String>>>) -> BTreeSet<Scope> {
    let names = Scope::ALL.map(Scope::name);
    if raw.get_ref().is_empty() {
        let message =
            format!("a key without scopes is good for nothing; give it some of {}", names.join(", "));
        checker.fault(raw.span(), message);
    }
    let mut scopes = BTreeSet::new();
    for name in raw.get_ref() {
        let Some(scope) = Scope::from_name(name.get_ref()) else {
            let hint = closest(name.get_ref(), names.into_iter());
            let message = format!("unknown scope `{}`; there are {}{hint}", name.get_ref(), names.join(", "));
            checker.fault(name.span(), message);
            continue;
        };
        scopes.insert(scope);
    }
    scopes
}

fn read_limits(checker: &mut Checker<'_>, raw: &RawKey) -> Limits {
    let requests_per_second = read_limit(checker, "requests_per_second", raw.requests_per_second.as_ref());
    let burst = read_limit(checker, "burst", raw.burst.as_ref());
    let max_concurrent = read_limit(checker, "max_concurrent", raw.max_concurrent.as_ref());
    if let (Some(burst), None) = (&raw.burst, &raw.requests_per_second) {
        checker.fault(burst.span(), "`burst` without `requests_per_second` limits nothing; write both");
    }
    let rate = requests_per_second
        .map(|requests_per_second| Rate { requests_per_second, burst: burst.unwrap_or(requests_per_second) });
    Limits { rate, max_concurrent }
}

fn read_limit(checker: &mut Checker<'_>, what: &str, raw: Option<&Spanned<i64>>) -> Option<NonZeroU32> {
    let raw = raw?;
    let limit = u32::try_from(*raw.get_ref()).ok().filter(|limit| *limit <= MAX_LIMIT);
    let limit = limit.and_then(NonZeroU32::new);
    if limit.is_none() {
        let message = format!("`{what}` is not 1 to {MAX_LIMIT}; to close a key, remove it");
        checker.fault(raw.span(), message);
    }
    limit
}

/// The first moment of a day. It is written as a string or as TOML's own date.
fn read_date(checker: &mut Checker<'_>, raw: &Spanned<Value>) -> Option<SystemTime> {
    let text = raw.get_ref().as_str().map(str::to_owned);
    let text = text.or_else(|| raw.get_ref().as_datetime().map(ToString::to_string)).unwrap_or_default();
    let date = Date::parse(&text, format_description!("[year]-[month]-[day]")).ok();
    if date.is_none() {
        checker.fault(raw.span(), "`expires` is no day of the calendar, such as \"2027-01-01\"");
    }
    Some(date?.midnight().assume_utc().into())
}

/// A message without what may be a secret: long runs of the characters of hexadecimal digits and both kinds of Base64.
fn redacted(message: &str) -> String {
    let in_secret = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+' | '/' | '=');
    let runs = message.as_bytes().chunk_by(|a, b| in_secret(*a as char) == in_secret(*b as char));
    // Only ASCII characters divide runs, so each is whole; no message has a word this long of its own.
    runs.map(String::from_utf8_lossy)
        .map(|run| {
            if run.len() >= MIN_SECRET_CHARS && run.starts_with(in_secret) { "(hidden)".into() } else { run }
        })
        .collect()
}

#[cfg(test)]
mod tests;
