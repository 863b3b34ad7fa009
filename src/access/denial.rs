//! Why a call is refused, and what its caller is told: never the key, and never whose key it might have been.

use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::key::KeyId;
use super::limit::Refusal;
use super::scope::Scope;

/// When a caller with too many calls in flight should come back: nobody knows when one will end.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Why a call is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// It has no key.
    #[error("this call needs an API key; send it in the metadata `authorization: Bearer <key>`")]
    NoKey,
    /// Its key is not in the file.
    #[error("this API key is not known; the operators of the service give out keys")]
    UnknownKey,
    /// Its key was good once.
    #[error("the API key `{id}` has expired; the operators of the service give out new ones")]
    ExpiredKey {
        /// The key's name.
        id: KeyId,
    },
    /// Its key is good for other calls.
    #[error("this call needs the scope `{}`, which the API key `{id}` does not have", scope.name())]
    WrongScope {
        /// The key's name.
        id: KeyId,
        /// What the call needs.
        scope: Scope,
    },
    /// Its key is used too often.
    #[error("the API key `{id}` calls more often than it may; come back in {:.3} s", wait.as_secs_f64())]
    TooFast {
        /// The key's name.
        id: KeyId,
        /// When there is room for the next call.
        wait: Duration,
    },
    /// Its key has as many calls in flight as it may.
    #[error("the API key `{id}` has as many calls in flight as it may; let one end before the next")]
    TooMany {
        /// The key's name.
        id: KeyId,
    },
}

impl Denial {
    pub(super) fn limit(id: KeyId, refusal: Refusal) -> Self {
        match refusal {
            Refusal::TooFast(wait) => Self::TooFast { id, wait },
            Refusal::TooMany => Self::TooMany { id },
        }
    }

    /// The name of the key, if it has one that is known.
    pub fn key(&self) -> Option<&KeyId> {
        match self {
            Self::NoKey | Self::UnknownKey => None,
            Self::ExpiredKey { id }
            | Self::WrongScope { id, .. }
            | Self::TooFast { id, .. }
            | Self::TooMany { id } => Some(id),
        }
    }

    /// Its name in metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::NoKey => "no_key",
            Self::UnknownKey => "unknown_key",
            Self::ExpiredKey { .. } => "expired_key",
            Self::WrongScope { .. } => "wrong_scope",
            Self::TooFast { .. } => "too_fast",
            Self::TooMany { .. } => "too_many",
        }
    }

    /// What the caller is told.
    pub(super) fn status(&self) -> Status {
        let message = self.to_string();
        let exhausted = |message, wait| {
            let details = ErrorDetails::with_retry_info(Some(wait));
            Status::with_error_details(Code::ResourceExhausted, message, details)
        };
        match self {
            Self::NoKey | Self::UnknownKey | Self::ExpiredKey { .. } => Status::unauthenticated(message),
            Self::WrongScope { .. } => Status::permission_denied(message),
            Self::TooFast { wait, .. } => exhausted(message, *wait),
            Self::TooMany { .. } => exhausted(message, RETRY_DELAY),
        }
    }
}
