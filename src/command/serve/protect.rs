//! From the arguments to sockets, certificates and keys; what is not safe is refused.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::Context;

use crate::access::{Access, Denial, KeyId};
use crate::cli::protect::ProtectArgs;
use crate::listen::{
    CertificateFiles, Certificates, ListenAddress, Listener, Peer, Protection, Throttle, check_listen,
};
use crate::metrics;

/// Who may connect to a Unix socket: its owner and its group.
const SOCKET_MODE: u32 = 0o660;

/// What stands between callers and the service.
pub(super) struct Protected {
    pub(super) access: Option<Arc<Access>>,
    pub(super) certificates: Option<Arc<Certificates>>,
}

impl Protected {
    /// Reads keys and certificates.
    pub(super) fn load(args: &ProtectArgs) -> anyhow::Result<Self> {
        let files = args.tls_cert.clone().zip(args.tls_key.clone()).map(|(chain, key)| CertificateFiles {
            chain,
            key,
            client_ca: args.tls_client_ca.clone(),
        });
        let certificates = files.map(Certificates::load).transpose()?.map(Arc::new);
        let throttle = Mutex::new(Throttle::default());
        let access = args.keys.as_ref().map(|file| {
            Access::load(file, move |denial, extensions| {
                note(denial, extensions.get(), &throttle);
            })
        });
        let protected = Self { access: access.transpose()?.map(Arc::new), certificates };
        protected.tell_expiry();
        Ok(protected)
    }

    /// Listens at all addresses, or at none.
    pub(super) async fn listen(
        &self,
        addresses: &[ListenAddress],
        args: &ProtectArgs,
    ) -> anyhow::Result<Vec<Listener>> {
        let protection = Protection {
            tls: self.certificates.is_some(),
            keys: self.access.is_some() || args.tls_client_ca.is_some(),
        };
        let mut listeners = Vec::new();
        for address in addresses {
            listeners.push(match address {
                ListenAddress::Tcp(address) => {
                    if let Some(unprotected) = check_listen(*address, protection, args.allow_insecure_listen)?
                    {
                        tracing::warn!("{unprotected}");
                    }
                    let listener = Listener::tcp(*address, self.certificates.clone()).await;
                    listener.with_context(|| format!("cannot listen on `{address}`"))?
                }
                ListenAddress::Unix(path) => Listener::unix(path, Some(SOCKET_MODE)).await?,
            });
        }
        Ok(listeners)
    }

    /// Says in the metrics until when the certificates are valid.
    pub(super) fn tell_expiry(&self) {
        if let Some(certificates) = &self.certificates {
            metrics::certificate_not_after(
                certificates.files().chain.display().to_string(),
                certificates.not_after(),
            );
        }
    }
}

/// Counts a call that is refused; of many at once the log names some.
fn note(denial: &Denial, peer: Option<&Peer>, throttle: &Mutex<Throttle>) {
    metrics::denied(denial.name());
    let mut throttle = throttle.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(hidden) = throttle.admit(Instant::now()) {
        let origin = peer.map(|peer| peer.origin.to_string());
        let key = denial.key().map(KeyId::as_str);
        tracing::warn!(origin, reason = denial.name(), key, more_before = hidden, "a call was refused");
    }
}
