//! Who may call (访问控制): API keys with scopes and limits, checked before a call reaches its service.
//!
//! A deployment keeps a file of keys, each with what it may do and how much. Of a key the file holds the SHA-256 alone, so
//! that who reads it cannot call. [`AccessLayer`] asks [`Access`] about each call, and [`Access::reload`] takes what the
//! file says now, while calls go on. Encryption is left to TLS, and [`check_listen`](crate::listen::check_listen) sees to
//! it that it is not forgotten; who is behind a key, and what became of each call, is left to the log.

mod denial;
mod entry;
mod file;
mod key;
mod keys;
mod layer;
mod limit;
mod scope;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::SystemTime;

use http::header::AUTHORIZATION;
use http::{Extensions, HeaderMap, Request};

pub use denial::Denial;
pub use entry::{AddKeyError, KeyEntry, KeyFile, KeySummary};
pub use key::{ApiKey, KeyDigest, KeyId};
pub use layer::{AccessLayer, AccessService, PermitBody};
pub use scope::Scope;

use crate::fault::FileError;
use keys::{Keys, Lookup};
use limit::Permit;
use scope::Need;

/// The keys in use, and where they come from.
pub struct Access {
    path: PathBuf,
    keys: RwLock<Arc<Keys>>,
    /// Held while the file is read and put in place: one change at a time.
    changing: Mutex<()>,
    on_denial: Box<OnDenial>,
}

/// What is told of a call that is refused, with the extensions of its request.
type OnDenial = dyn Fn(&Denial, &Extensions) + Send + Sync;

/// A call that may go on. It counts as in flight until this is dropped.
#[derive(Debug)]
struct Admitted {
    id: KeyId,
    permit: Permit,
}

impl Access {
    /// Reads the file of keys; `on_denial` is told of every call that is refused, with the extensions of its request, as to
    /// count it and to say where it comes from.
    ///
    /// # Errors
    /// If the file cannot be read, does not hold together, or may be written by others than its owner.
    pub fn load(
        path: &Path,
        on_denial: impl Fn(&Denial, &Extensions) + Send + Sync + 'static,
    ) -> Result<Self, FileError> {
        Ok(Self {
            path: path.to_owned(),
            keys: RwLock::new(Arc::new(file::load(path)?)),
            changing: Mutex::default(),
            on_denial: Box::new(on_denial),
        })
    }

    /// The file of keys.
    pub fn file(&self) -> &Path {
        &self.path
    }

    /// Reads the file again. Blocks as long as that takes.
    ///
    /// Calls that were let in go on, even if their key is gone. A key that stays, by its id, keeps count of its calls in
    /// flight, and of its rate unless that was changed.
    ///
    /// # Errors
    /// As [`load`](Self::load); the keys in use stay.
    pub fn reload(&self) -> Result<(), FileError> {
        let _one_at_a_time = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let keys = file::load(&self.path)?.continuing(&self.keys());
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
        Ok(())
    }

    /// Whether a call may go on; none is what needs no key.
    fn admit<T>(&self, request: &Request<T>, now: SystemTime) -> Result<Option<Admitted>, Denial> {
        let headers = request.headers();
        let admitted = match Need::of(request.uri().path()) {
            Need::Nothing => return Ok(None),
            Need::AnyKey => self.admit_key(None, headers, now),
            Need::Scope(scope) => self.admit_key(Some(scope), headers, now),
        };
        admitted.map(Some).inspect_err(|denial| (self.on_denial)(denial, request.extensions()))
    }

    fn admit_key(
        &self,
        scope: Option<Scope>,
        headers: &HeaderMap,
        now: SystemTime,
    ) -> Result<Admitted, Denial> {
        let presented = bearer(headers).ok_or(Denial::NoKey)?;
        let keys = self.keys();
        let key = match keys.find(presented, now) {
            Lookup::Known(key) => key,
            Lookup::Expired(key) => return Err(Denial::ExpiredKey { id: key.id.clone() }),
            Lookup::Unknown => return Err(Denial::UnknownKey),
        };
        if let Some(scope) = scope.filter(|scope| !key.scopes.contains(scope)) {
            return Err(Denial::WrongScope { id: key.id.clone(), scope });
        }
        let permit = key.limiter.admit().map_err(|refusal| Denial::limit(key.id.clone(), refusal))?;
        Ok(Admitted { id: key.id.clone(), permit })
    }

    fn keys(&self) -> Arc<Keys> {
        // Nothing panics while it holds the lock.
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("path", &self.path).field("keys", &self.keys()).finish_non_exhaustive()
    }
}

/// The key in a call's headers: RFC 6750, section 2.1. The scheme's case is of no matter (RFC 9110, section 11.1).
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, rest) = value.split_at_checked("bearer ".len())?;
    let key = rest.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"bearer ") && !key.is_empty()).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_from_the_bearer_scheme_alone() {
        let read = |value: &str| {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())]);
            bearer(&headers).map(|key| String::from_utf8_lossy(key).into_owned())
        };
        assert_eq!(read("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(read("bearer  abc ").as_deref(), Some("abc"));
        for other in ["abc", "Basic abc", "Bearer", "Bearer ", "Bearerabc", ""] {
            assert_eq!(read(other), None, "{other:?}");
        }
        assert_eq!(bearer(&HeaderMap::new()), None);
    }
}
