//! What a file of keys may say, and what is said of its faults.

use std::fs;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::access::key::ApiKey;
use crate::access::keys::Lookup;

fn entry(id: &str, key: &ApiKey, more: &str) -> String {
    format!("[[key]]\nid = \"{id}\"\nsha256 = \"{}\"\n{more}\n", key.digest().to_hex())
}

fn faults(text: &str) -> Vec<(usize, String)> {
    let faults = parse("keys.toml", text).unwrap_err().faults;
    faults.into_iter().map(|fault| (fault.line, fault.message)).collect()
}

fn find<'k>(keys: &'k Keys, key: &ApiKey, now: SystemTime) -> Option<&'k Key> {
    match keys.find(key.reveal().as_bytes(), now) {
        Lookup::Known(key) => Some(key),
        Lookup::Expired(_) | Lookup::Unknown => None,
    }
}

#[test]
fn a_full_entry_and_a_short_one_are_read() {
    let (full, short) = (ApiKey::generate().unwrap(), ApiKey::generate().unwrap());
    let more = "scopes = [\"classify\", \"admin\"]\nrequests_per_second = 50\nburst = 100\nmax_concurrent = 16\n\
                expires = \"2027-01-01\"\nnote = \"for the intake\"";
    let text = entry("intake-1", &full, more) + &entry("review.2", &short, "scopes = [\"correct\"]");
    let keys = parse("keys.toml", &text).unwrap();
    // 2027-01-01T00:00:00Z, by `date -u -d 2027-01-01 +%s`.
    let expires = SystemTime::UNIX_EPOCH + Duration::from_secs(1_798_761_600);
    let before = expires - Duration::from_secs(1);
    let key = find(&keys, &full, before).unwrap();
    assert_eq!(key.id.as_str(), "intake-1");
    assert_eq!(key.scopes, BTreeSet::from([Scope::Classify, Scope::Admin]));
    assert_eq!(key.expires, Some(expires));
    assert!(find(&keys, &full, expires).is_none());
    let key = find(&keys, &short, expires).unwrap();
    assert_eq!((key.scopes.len(), key.expires), (1, None));
}

#[test]
fn the_day_may_be_a_date_of_toml() {
    let key = ApiKey::generate().unwrap();
    let keys = parse("keys.toml", &entry("a", &key, "scopes = [\"admin\"]\nexpires = 2027-01-01")).unwrap();
    let expires = find(&keys, &key, SystemTime::UNIX_EPOCH).unwrap().expires.unwrap();
    assert_eq!(expires, SystemTime::UNIX_EPOCH + Duration::from_secs(1_798_761_600));
}

#[test]
fn every_fault_is_told_with_its_line_and_what_to_do() {
    let text = "[[key]]\nid = \"Intake 1\"\nsha256 = \"12ab\"\nscopes = [\"clasify\"]\nburst = 3\nburts = 4\n\
                [[key]]\nid = \"b\"\nsha256 = \"\"\nscopes = []\nrequests_per_second = 0\nmax_concurrent = 9999999\n\
                expires = \"2027-02-30\"\n[[key]]\nid = \"b\"\nsha256 = \"x\"\nscopes = [\"admin\"]\nexpires = 7\n";
    let told = faults(text);
    let lines: Vec<_> = told.iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, [2, 3, 4, 5, 6, 9, 10, 11, 12, 13, 15, 16, 18], "{told:#?}");
    let expected = [
        "id `Intake 1` is not",
        "write the SHA-256 of the key",
        "unknown scope `clasify`; there are classify, correct, admin; is `classify` meant?",
        "`burst` without `requests_per_second`",
        "unknown key `burts`",
        "write the SHA-256",
        "good for nothing",
        "`requests_per_second` is not 1 to 1000000",
        "`max_concurrent` is not 1 to",
        "no day of the calendar",
        "id `b` is given twice",
        "write the SHA-256",
        "no day of the calendar",
    ];
    for ((_, message), expected) in told.iter().zip(expected) {
        assert!(message.contains(expected), "{message} / {expected}");
    }
}

#[test]
fn a_file_without_keys_is_refused() {
    for text in ["", "# none yet\n", "[[keys]]\nid = \"a\"\n"] {
        assert!(faults(text).iter().any(|(_, message)| message.contains("there is no key")), "{text}");
    }
}

#[test]
fn one_secret_under_two_ids_is_refused() {
    let key = ApiKey::generate().unwrap();
    let scopes = "scopes = [\"admin\"]";
    let told = faults(&(entry("a", &key, scopes) + &entry("b", &key, scopes)));
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].0 == 7 && told[0].1.starts_with("key `a` has this `sha256` too"), "{told:?}");
}

#[test]
fn a_short_word_is_repeated_and_a_long_one_is_not() {
    let key = ApiKey::generate().unwrap();
    let message = format!("id `intake-1` 密钥 `{}`, `{}`", key.reveal(), key.digest().to_hex());
    assert_eq!(redacted(&message), "id `intake-1` 密钥 `(hidden)`, `(hidden)`");
}

#[cfg(unix)]
mod permissions {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn load_with(permissions: u32, more: &str) -> Result<Keys, FileError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(&file, entry("a", &ApiKey::generate().unwrap(), more)).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(permissions)).unwrap();
        load(file.path())
    }

    #[test]
    fn a_file_that_others_may_write_is_refused_beside_its_other_faults() {
        for mode in [0o600, 0o400, 0o440, 0o644] {
            load_with(mode, "scopes = [\"admin\"]").unwrap();
        }
        for mode in [0o660, 0o602, 0o666] {
            let FileError::Faults(faults) = load_with(mode, "scopes = []").unwrap_err() else { panic!() };
            let messages: Vec<_> = faults.faults.iter().map(|fault| fault.message.as_str()).collect();
            assert!(messages[0].contains(&format!("(mode {mode:o})")), "{messages:?}");
            assert!(
                messages[0].contains("chmod") && messages[1].contains("good for nothing"),
                "{messages:?}"
            );
        }
    }
}

#[test]
fn a_file_that_is_missing_is_named() {
    let error = load(Path::new("/nowhere/keys.toml")).unwrap_err();
    assert!(error.to_string().starts_with("cannot read `/nowhere/keys.toml`: "), "{error}");
}

/// The places of a file where somebody may put a key or a digest.
const PLACES: [&str; 9] = [
    "@ = 1",
    "\"@\" = 1",
    "id = \"@\"\nsha256 = \"@\"\nscopes = [\"@\"]",
    "id = \"a\"\nsha256 = \"a@\"\nscopes = [\"admin\"]\nexpires = \"@\"",
    "id = \"a\"\nsha256 = \"@ \"\nscopes = \"@\"",
    "id = [\"@\"]\nsha256 = 1",
    "id = \"a\"\nsha256 = \"1\"\nscopes = []\nburst = \"@\"",
    "id = @",
    "id = \"a\"\nsha256 = \"1\"\nscopes = []\n@ = 1",
];

proptest! {
    #[test]
    fn no_fault_repeats_a_secret(place in prop::sample::select(PLACES.to_vec()), digest in any::<bool>()) {
        let key = ApiKey::generate().unwrap();
        let secret = if digest { key.digest().to_hex() } else { key.reveal().to_owned() };
        let error = parse("keys.toml", &format!("[[key]]\n{}\n", place.replace('@', &secret))).unwrap_err();
        let told = format!("{error} {error:?}");
        prop_assert!(!told.contains(&secret), "{}", told);
    }

    #[test]
    fn whatever_the_file_says_it_is_read_or_refused(text in "(\\[\\[key\\]\\]\n)?(id|sha256|scopes|burst|expires) ?= ?.{0,40}\n?.{0,20}") {
        if let Err(faults) = parse("keys.toml", &text) {
            prop_assert!(!faults.faults.is_empty());
        }
    }
}
