//! The keys in use, and which of them a caller presents. Reading them is left to the file.

use std::collections::BTreeSet;
use std::time::SystemTime;

use subtle::{ConditionallySelectable, ConstantTimeEq};

use super::key::{ApiKey, KeyDigest, KeyId};
use super::limit::Limiter;
use super::scope::Scope;

/// A key, what it may do, and how much.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) id: KeyId,
    pub(super) digest: KeyDigest,
    pub(super) scopes: BTreeSet<Scope>,
    /// The moment from which it is refused.
    pub(super) expires: Option<SystemTime>,
    pub(super) limiter: Limiter,
}

impl Key {
    pub(super) fn has_expired(&self, now: SystemTime) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

/// All keys of a file. No two have the same id or digest.
#[derive(Debug)]
pub(super) struct Keys {
    keys: Vec<Key>,
}

/// What became of a search.
#[derive(Debug)]
pub(super) enum Lookup<'k> {
    Known(&'k Key),
    Expired(&'k Key),
    Unknown,
}

impl Keys {
    pub(super) fn new(keys: Vec<Key>) -> Self {
        Self { keys }
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, Key> {
        self.keys.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// These keys; those that were there `before`, by their ids, go on counting.
    pub(super) fn continuing(mut self, before: &Self) -> Self {
        for key in &mut self.keys {
            if let Some(old) = before.keys.iter().find(|old| old.id == key.id) {
                key.limiter = key.limiter.clone().continuing(&old.limiter);
            }
        }
        self
    }

    /// Finds the key that a caller presents. How long that takes depends on how many keys there are, and not on whether,
    /// where or how nearly one matches.
    pub(super) fn find(&self, presented: &[u8], now: SystemTime) -> Lookup<'_> {
        let Some(presented) = ApiKey::presented(presented) else { return Lookup::Unknown };
        let digest = presented.digest();
        let mut found = u64::MAX;
        for (position, key) in (0_u64..).zip(&self.keys) {
            found.conditional_assign(&position, key.digest.ct_eq(&digest));
        }
        match usize::try_from(found).ok().and_then(|position| self.keys.get(position)) {
            Some(key) if key.has_expired(now) => Lookup::Expired(key),
            Some(key) => Lookup::Known(key),
            None => Lookup::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::limit::Limits;
    use proptest::prelude::*;
    use std::time::Duration;

    fn keys(secrets: &[ApiKey], expires: Option<SystemTime>) -> Keys {
        let key = |(position, secret): (usize, &ApiKey)| Key {
            id: KeyId::new(&position.to_string()),
            digest: secret.digest(),
            scopes: BTreeSet::new(),
            expires,
            limiter: Limiter::new(Limits::default()),
        };
        Keys::new(secrets.iter().enumerate().map(key).collect())
    }

    proptest! {
        #[test]
        fn a_key_is_found_if_and_only_if_it_is_there(count in 0_usize..20, changed in 0_usize..49) {
            let secrets: Vec<_> = (0..count).map(|_| ApiKey::generate().unwrap()).collect();
            let keys = keys(&secrets, None);
            let now = SystemTime::now();
            for (position, secret) in secrets.iter().enumerate() {
                let mut presented = secret.reveal().as_bytes().to_vec();
                let Lookup::Known(found) = keys.find(&presented, now) else { panic!("not found") };
                prop_assert_eq!(found.id.as_str(), position.to_string());
                presented[changed] ^= 1;
                prop_assert!(matches!(keys.find(&presented, now), Lookup::Unknown));
            }
            let other = ApiKey::generate().unwrap();
            prop_assert!(matches!(keys.find(other.reveal().as_bytes(), now), Lookup::Unknown));
        }
    }

    #[test]
    fn the_digest_of_a_key_is_no_key() {
        let secret = ApiKey::generate().unwrap();
        let keys = keys(std::slice::from_ref(&secret), None);
        assert!(matches!(keys.find(secret.digest().to_hex().as_bytes(), SystemTime::now()), Lookup::Unknown));
    }

    #[test]
    fn a_key_is_refused_from_the_moment_it_expires() {
        let secret = ApiKey::generate().unwrap();
        let expires = SystemTime::now();
        let keys = keys(std::slice::from_ref(&secret), Some(expires));
        let find = |now| keys.find(secret.reveal().as_bytes(), now);
        assert!(matches!(find(expires - Duration::from_nanos(1)), Lookup::Known(_)));
        assert!(matches!(find(expires), Lookup::Expired(_)));
    }

    #[test]
    fn debug_output_holds_neither_key_nor_digest() {
        let secret = ApiKey::generate().unwrap();
        let debug = format!("{:#?}", keys(std::slice::from_ref(&secret), None));
        assert!(debug.contains("KeyDigest(hidden)"), "{debug}");
        assert!(!debug.contains(secret.reveal()) && !debug.contains(&secret.digest().to_hex()), "{debug}");
    }
}
