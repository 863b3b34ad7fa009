//! Where the service may listen, by the rule of safe defaults: whatever others can reach has TLS and keys.

use std::fmt;
use std::net::SocketAddr;

/// The flag that lets operators say they know better.
pub const ALLOW_INSECURE_LISTEN: &str = "--allow-insecure-listen";

/// What stands between callers and the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protection {
    /// Whether what is said is encrypted.
    pub tls: bool,
    /// Whether callers need keys.
    pub keys: bool,
}

/// A service that others can reach, without all of its protection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unprotected {
    address: SocketAddr,
    protection: Protection,
}

impl fmt::Display for Unprotected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, protection } = self;
        let lack = match protection {
            Protection { tls: false, keys: false } => {
                "without TLS and API keys: whoever reaches it may call, and what citizens say travels in the clear"
            }
            Protection { tls: false, .. } => "without TLS: keys and what citizens say travel in the clear",
            Protection { .. } => "without API keys: whoever reaches it may call",
        };
        write!(f, "`{address}` can be reached from other machines, {lack}")
    }
}

/// A service that is not started as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0}\nhint: give {missing}; or listen on 127.0.0.1; or pass `{ALLOW_INSECURE_LISTEN}` \
     (`JIESU_ALLOW_INSECURE_LISTEN=true`) if a proxy or a mesh in front of the service sees to it",
    missing = .0.missing()
)]
pub struct RefusedListen(pub Unprotected);

impl Unprotected {
    /// What to set up.
    fn missing(&self) -> &'static str {
        match self.protection {
            Protection { tls: false, keys: false } => {
                "`--tls-cert` and `--tls-key`, and `--keys` (`jiesu keys add` makes one) or `--tls-client-ca`"
            }
            Protection { tls: false, .. } => "`--tls-cert` and `--tls-key`",
            Protection { .. } => "`--keys` (`jiesu keys add` makes one) or `--tls-client-ca`",
        }
    }
}

/// Whether the service may listen at an address: a loopback one needs no protection, any other needs all, unless
/// operators `allow_insecure` listening. What they allowed is returned, to be told in the log.
///
/// # Errors
/// If there is protection missing that nobody has allowed to be missing.
pub fn check_listen(
    address: SocketAddr,
    protection: Protection,
    allow_insecure: bool,
) -> Result<Option<Unprotected>, RefusedListen> {
    // `::ffff:127.0.0.1` is a loopback address too.
    if address.ip().to_canonical().is_loopback() || protection == (Protection { tls: true, keys: true }) {
        return Ok(None);
    }
    let unprotected = Unprotected { address, protection };
    if allow_insecure { Ok(Some(unprotected)) } else { Err(RefusedListen(unprotected)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FULL: Protection = Protection { tls: true, keys: true };
    const NONE: Protection = Protection { tls: false, keys: false };

    fn check(address: &str, protection: Protection) -> Result<Option<Unprotected>, RefusedListen> {
        check_listen(address.parse().unwrap(), protection, false)
    }

    #[test]
    fn on_this_machine_nothing_is_needed() {
        for address in ["127.0.0.1:1", "127.8.9.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert_eq!(check(address, NONE), Ok(None), "{address}");
        }
    }

    #[test]
    fn elsewhere_both_are_needed() {
        for address in
            ["0.0.0.0:1", "[::]:1", "10.0.0.7:1", "192.168.1.1:1", "[::ffff:10.0.0.7]:1", "[fe80::1]:1"]
        {
            assert_eq!(check(address, FULL), Ok(None), "{address}");
            for protection in [NONE, Protection { tls: true, ..NONE }, Protection { keys: true, ..NONE }] {
                assert!(check(address, protection).is_err(), "{address} {protection:?}");
            }
        }
    }

    #[test]
    fn an_error_says_what_is_missing_and_what_to_do() {
        let told = |protection| check("0.0.0.0:50051", protection).unwrap_err().to_string();
        assert!(told(NONE).contains("`0.0.0.0:50051`") && told(NONE).contains("without TLS and API keys"));
        assert!(told(Protection { tls: true, keys: false }).contains("without API keys"));
        assert!(told(Protection { tls: false, keys: true }).contains("without TLS: keys"));
        assert!(told(NONE).contains("127.0.0.1") && told(NONE).contains(ALLOW_INSECURE_LISTEN));
    }

    proptest! {
        #[test]
        fn the_flag_only_ever_turns_a_refusal_into_a_warning(
            address in any::<SocketAddr>(), tls in any::<bool>(), keys in any::<bool>(),
        ) {
            let protection = Protection { tls, keys };
            let allowed = check_listen(address, protection, true).unwrap();
            match check_listen(address, protection, false) {
                Ok(warning) => prop_assert_eq!((warning, allowed), (None, None)),
                Err(RefusedListen(refused)) => prop_assert_eq!(allowed, Some(refused)),
            }
        }
    }
}
