//! An API key, its digest, and its name. What a key may do is left to the file that lists it.

use std::fmt;
use std::io;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::TryRngCore;
use rand::rngs::OsRng;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// What every key begins with, so that scanners for leaked secrets know one when they see it.
const PREFIX: &str = "jiesu_";
/// 256 bits: nobody guesses them.
const SECRET_BYTES: usize = 32;
/// Six bits a character, without padding.
const SECRET_CHARS: usize = (SECRET_BYTES * 8).div_ceil(6);

/// A key as its holder sends it. It is shown once, when it is made; its digest is all that is kept.
#[derive(Clone)]
pub struct ApiKey(String);

impl ApiKey {
    /// Makes a new key of 256 random bits: `jiesu_` and 43 characters of URL-safe Base64.
    ///
    /// # Errors
    /// If the system has no randomness to give.
    pub fn generate() -> io::Result<Self> {
        let mut secret = [0; SECRET_BYTES];
        OsRng.try_fill_bytes(&mut secret).map_err(io::Error::other)?;
        Ok(Self(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(secret))))
    }

    /// What a caller presents, if it looks like a key. A password that somebody has put through SHA-256 does not.
    pub(super) fn presented(text: &[u8]) -> Option<Self> {
        let secret = text.strip_prefix(PREFIX.as_bytes())?;
        let fits = |c: &u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_');
        let is_key = secret.len() == SECRET_CHARS && secret.iter().all(fits);
        is_key.then(|| Self(String::from_utf8_lossy(text).into_owned()))
    }

    /// The key itself, for its holder's eyes only.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What the file of keys holds of it.
    pub fn digest(&self) -> KeyDigest {
        KeyDigest(Sha256::digest(&self.0).into())
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(hidden)")
    }
}

/// The SHA-256 of a key.
///
/// A plain digest without salt or stretching is enough, since keys are random and not chosen: those make the guessing of
/// weak passwords dear, and 256 random bits cannot be guessed at any price. NIST SP 800-63B asks no more of secrets with
/// 112 bits and above (section 5.1.2.2, look-up secrets: an approved one-way function). The slow functions of OWASP's
/// Password Storage Cheat Sheet are for passwords; here they would let anybody burden the service with wrong keys.
#[derive(Clone)]
pub struct KeyDigest([u8; 32]);

impl KeyDigest {
    /// Reads 64 hexadecimal digits.
    pub(super) fn from_hex(digits: &str) -> Option<Self> {
        let mut digest = [0; 32];
        hex::decode_to_slice(digits, &mut digest).ok()?;
        Some(Self(digest))
    }

    /// The digest as the file of keys has it: 64 lower-case hexadecimal digits.
    pub fn to_hex(&self) -> String {
        hex::encode(self.0)
    }
}

impl ConstantTimeEq for KeyDigest {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyDigest(hidden)")
    }
}

/// The name of a key, which is no secret: logs and answers use it. A call that was let in by a key carries it among its
/// extensions.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeyId(Arc<str>);

impl KeyId {
    pub(super) fn new(id: &str) -> Self {
        Self(id.into())
    }

    /// The name as the file of keys has it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_long_printable_and_never_the_same() {
        let keys: std::collections::HashSet<_> =
            (0..100).map(|_| ApiKey::generate().unwrap().reveal().to_owned()).collect();
        assert_eq!(keys.len(), 100);
        for key in keys {
            assert!(ApiKey::presented(key.as_bytes()).is_some(), "{key}");
            let secret = key.strip_prefix("jiesu_").unwrap();
            assert_eq!(URL_SAFE_NO_PAD.decode(secret).unwrap().len(), 32);
        }
    }

    #[test]
    fn a_digest_is_what_other_tools_say_it_is() {
        // FIPS 180-2, appendix B.1.
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let digest = ApiKey("abc".to_owned()).digest();
        assert_eq!(digest.to_hex(), expected);
        let read = KeyDigest::from_hex(&expected.to_uppercase()).unwrap();
        assert!(bool::from(read.ct_eq(&digest)));
        assert!(KeyDigest::from_hex(&expected[1..]).is_none());
    }

    #[test]
    fn what_is_shorter_longer_or_of_other_characters_is_no_key() {
        let key = ApiKey::generate().unwrap().reveal().to_owned();
        let others =
            [&key[1..], &key[..48], &format!("{key}A"), &key.replace("jiesu_", "Jiesu_"), "hunter2", ""];
        for other in others {
            assert!(ApiKey::presented(other.as_bytes()).is_none(), "{other}");
        }
        assert!(ApiKey::presented(format!("{}=", &key[..48]).as_bytes()).is_none());
    }

    #[test]
    fn debug_output_hides_keys_and_digests() {
        let key = ApiKey::generate().unwrap();
        assert_eq!(format!("{key:?} {:?}", key.digest()), "ApiKey(hidden) KeyDigest(hidden)");
    }
}
