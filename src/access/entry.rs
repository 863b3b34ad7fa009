//! The file of keys as those who keep it see it: a key is added, all are listed. The file stays theirs: what they wrote is
//! kept word for word.

use std::fmt;
use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind, Write};
use std::num::NonZeroU32;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Serialize;
use time::OffsetDateTime;

use super::file;
use super::key::ApiKey;
use super::keys::Key;
use super::limit::{Limits, Rate};
use super::scope::Scope;
use crate::fault::FileError;
use crate::whole_file;

/// Of a new file: its owner alone may read it.
const MODE: u32 = 0o600;

/// A file of keys.
#[derive(Debug, Clone)]
pub struct KeyFile {
    path: PathBuf,
}

/// A key to be, as the file has it.
#[derive(Debug, Clone)]
pub struct KeyEntry {
    /// Its name, which no other has.
    pub id: String,
    /// What it is good for; at least one.
    pub scopes: Vec<Scope>,
    /// Calls a second, over time.
    pub requests_per_second: Option<NonZeroU32>,
    /// Calls at once after a rest; only with a rate.
    pub burst: Option<NonZeroU32>,
    /// Calls in flight.
    pub max_concurrent: Option<NonZeroU32>,
    /// The day from which it is refused, as `2027-01-01`.
    pub expires: Option<String>,
    /// For who keeps the file.
    pub note: Option<String>,
}

/// Why a key was not added.
#[derive(Debug, thiserror::Error)]
pub enum AddKeyError {
    /// The file does not hold together.
    #[error(transparent)]
    File(#[from] FileError),
    /// The new key does not.
    #[error("no key was made: {}", problems.join("; "))]
    Entry {
        /// What is wrong with it.
        problems: Vec<String>,
    },
    /// It would be refused from the start.
    #[error("no key was made: it would have expired already; give a later `--expires`")]
    Expired,
    /// Another key has that name.
    #[error("`{}` has a key `{id}` already; choose another `--id`", path.display())]
    Taken {
        /// The file.
        path: PathBuf,
        /// The name.
        id: String,
    },
    /// The file cannot be written.
    #[error("cannot write `{}`: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The system has no randomness to give.
    #[error("cannot make a key: {0}")]
    Random(#[source] io::Error),
}

/// A key of the file as one line: its name, what it is good for, its limits, and until when.
#[derive(Debug, Clone)]
pub struct KeySummary {
    id: String,
    scopes: Vec<&'static str>,
    limits: Limits,
    expires: Option<SystemTime>,
}

#[derive(Serialize)]
struct RawFile<'a> {
    key: [RawKey<'a>; 1],
}

#[derive(Serialize)]
struct RawKey<'a> {
    id: &'a str,
    sha256: String,
    scopes: Vec<&'static str>,
    requests_per_second: Option<u32>,
    burst: Option<u32>,
    max_concurrent: Option<u32>,
    expires: Option<&'a str>,
    note: Option<&'a str>,
}

impl KeyFile {
    /// The file at a path, which need not be there yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Makes a key and adds its digest to the file; the key itself is kept nowhere.
    ///
    /// # Errors
    /// If the file or the key does not hold together, or the key's name is taken; then the file stays as it is.
    pub fn add(&self, entry: &KeyEntry) -> Result<ApiKey, AddKeyError> {
        let key = ApiKey::generate().map_err(AddKeyError::Random)?;
        let rendered = entry.render(&key);
        let new = file::parse("", &rendered).map_err(|faults| AddKeyError::Entry {
            problems: faults.faults.into_iter().map(|fault| fault.message).collect(),
        })?;
        if new.iter().any(|key| key.has_expired(SystemTime::now())) {
            return Err(AddKeyError::Expired);
        }
        // Of two who add a key at once each must see the other's.
        let _folder = self.lock_folder();
        let mut text = self.text()?;
        if !text.is_empty() {
            if file::load(&self.path)?.iter().any(|key| key.id.as_str() == entry.id) {
                return Err(AddKeyError::Taken { path: self.path.clone(), id: entry.id.clone() });
            }
            text.push_str(if text.ends_with('\n') { "\n" } else { "\n\n" });
        }
        text.push_str(&rendered);
        let written = whole_file::write(&self.path, |file| {
            keep_owner(&self.path, file.get_ref())?;
            file.write_all(text.as_bytes())
        });
        written.map_err(|source| AddKeyError::Write { path: self.path.clone(), source })?;
        Ok(key)
    }

    /// All keys, in the order of the file.
    ///
    /// # Errors
    /// As for a service that reads the file.
    pub fn list(&self) -> Result<Vec<KeySummary>, FileError> {
        Ok(file::load(&self.path)?.iter().map(KeySummary::of).collect())
    }

    /// Keeps others that do so out until it is dropped. Who may not read the folder goes without.
    fn lock_folder(&self) -> Option<File> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = File::open(folder.unwrap_or(Path::new("."))).ok()?;
        folder.lock().ok().map(|()| folder)
    }

    fn text(&self) -> Result<String, FileError> {
        match fs::read_to_string(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
            read => read.map_err(|source| FileError::Read { file: self.path.display().to_string(), source }),
        }
    }
}

impl KeyEntry {
    fn render(&self, key: &ApiKey) -> String {
        let raw = RawKey {
            id: &self.id,
            sha256: key.digest().to_hex(),
            scopes: self.scopes.iter().map(|scope| scope.name()).collect(),
            requests_per_second: self.requests_per_second.map(NonZeroU32::get),
            burst: self.burst.map(NonZeroU32::get),
            max_concurrent: self.max_concurrent.map(NonZeroU32::get),
            expires: self.expires.as_deref(),
            note: self.note.as_deref(),
        };
        toml::to_string(&RawFile { key: [raw] }).expect("strings and numbers are TOML")
    }
}

impl KeySummary {
    fn of(key: &Key) -> Self {
        Self {
            id: key.id.to_string(),
            scopes: key.scopes.iter().map(|scope| scope.name()).collect(),
            limits: key.limiter.limits(),
            expires: key.expires,
        }
    }
}

impl fmt::Display for KeySummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, scopes, limits: Limits { rate, max_concurrent }, expires } = self;
        write!(f, "{id:<20} {}", scopes.join(", "))?;
        if let Some(Rate { requests_per_second, burst }) = rate {
            write!(f, "; {requests_per_second} calls/s, {burst} at once")?;
        }
        if let Some(calls) = max_concurrent {
            write!(f, "; {calls} in flight")?;
        }
        if let Some(expires) = expires {
            let verb = if *expires <= SystemTime::now() { "expired on" } else { "until" };
            write!(f, "; {verb} {}", OffsetDateTime::from(*expires).date())?;
        }
        Ok(())
    }
}

/// Gives a new file the owner and the mode of the one that it replaces: a service that runs as somebody else must be able
/// to go on reading it.
fn keep_owner(path: &Path, file: &File) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(before) => {
            let now = file.metadata()?;
            if (now.uid(), now.gid()) != (before.uid(), before.gid()) {
                fchown(file, Some(before.uid()), Some(before.gid()))?;
            }
            file.set_permissions(Permissions::from_mode(before.mode() & 0o7777))
        }
        Err(_) => file.set_permissions(Permissions::from_mode(MODE)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: &str) -> KeyEntry {
        KeyEntry {
            id: id.to_owned(),
            scopes: vec![Scope::Classify],
            requests_per_second: NonZeroU32::new(50),
            burst: None,
            max_concurrent: NonZeroU32::new(4),
            expires: Some("2100-01-01".to_owned()),
            note: Some("the \"intake\"".to_owned()),
        }
    }

    #[test]
    fn what_is_added_is_listed_and_what_was_there_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.toml");
        let file = KeyFile::new(&path);
        let key = file.add(&entry("intake-1")).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, MODE);
        let first = fs::read_to_string(&path).unwrap();
        assert!(!first.contains(key.reveal()), "the key itself is in the file");
        let commented = format!("# ours\n{}", first.trim_end());
        fs::write(&path, &commented).unwrap();
        file.add(&entry("intake-2")).unwrap();
        assert!(fs::read_to_string(&path).unwrap().starts_with(&commented));
        let listed: Vec<_> = file.list().unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(
            listed[1],
            "intake-2             classify; 50 calls/s, 50 at once; 4 in flight; until 2100-01-01"
        );
        assert_eq!(listed.len(), 2);
    }

    #[test]
    fn a_key_that_does_not_hold_together_leaves_the_file_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.toml");
        let file = KeyFile::new(&path);
        file.add(&entry("intake-1")).unwrap();
        let before = fs::read_to_string(&path).unwrap();
        let no_day = KeyEntry { expires: Some("tomorrow".to_owned()), ..entry("b") };
        for wrong in
            [entry("intake-1"), entry("Intake 1"), KeyEntry { scopes: Vec::new(), ..entry("b") }, no_day]
        {
            assert!(file.add(&wrong).is_err(), "{wrong:?}");
        }
        let expired = KeyEntry { expires: Some("2020-01-01".to_owned()), ..entry("b") };
        assert!(matches!(file.add(&expired), Err(AddKeyError::Expired)));
        assert!(matches!(file.add(&entry("intake-1")), Err(AddKeyError::Taken { .. })));
        let told = file.add(&entry("Intake 1")).unwrap_err().to_string();
        assert!(told.starts_with("no key was made: id `Intake 1` is not 1 to 32 of"), "{told}");
        assert_eq!(fs::read_to_string(&path).unwrap(), before);
    }
}
