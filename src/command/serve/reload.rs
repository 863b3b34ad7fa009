//! What is read again while the service runs: all of it when the process is told to (SIGHUP), keys and certificates when
//! their files change, since who replaces those on a cluster cannot send signals.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::signal::unix::Signal;
use tokio::time::MissedTickBehavior;

use super::protect::Protected;
use crate::live::Live;
use crate::message::explain;
use crate::metrics;
use crate::server::aside;
use crate::shadow::Shadow;

/// How often the files of keys and certificates are looked at.
const LOOK: Duration = Duration::from_secs(5);
/// How long to wait before files that could not be used are tried again although they have not changed: a certificate may
/// not be valid yet.
const RETRY: Duration = Duration::from_secs(60);

/// What can be read again.
pub(super) struct Reloads {
    pub(super) live: Arc<Live>,
    pub(super) shadow: Option<Arc<Shadow>>,
    pub(super) protected: Protected,
}

/// What tells one version of a file from the next: its inode, size, and the last change of content or permissions.
type Stamp = Option<(u64, u64, i64, i64)>;

impl Reloads {
    /// Reads all again. What does not hold together stays as it was, and the log says why.
    fn all(&self) {
        self.protection();
        if let Err(error) = self.live.reload() {
            failed("pipeline", &error);
        }
        if let Some(Err(error)) = self.shadow.as_ref().map(|shadow| shadow.reload()) {
            failed("shadow", &error);
        }
    }

    /// Whether keys and certificates could be used.
    fn protection(&self) -> bool {
        let Protected { access, certificates } = &self.protected;
        let keys = access.as_ref().map_or(Ok(()), |access| access.reload());
        let keys = keys.inspect_err(|error| failed("keys", error)).is_ok();
        let certificates = certificates.as_ref().map_or(Ok(()), |certificates| certificates.reload());
        let certificates = certificates.inspect_err(|error| failed("certificates", error)).is_ok();
        self.protected.tell_expiry();
        keys && certificates
    }

    fn stamps(&self) -> Vec<Stamp> {
        let Protected { access, certificates } = &self.protected;
        let certificates = certificates.iter().flat_map(|certificates| certificates.files().all());
        access.iter().map(|access| access.file()).chain(certificates).map(stamp).collect()
    }
}

/// Reads all again whenever the process is told to.
pub(super) async fn on_hangup(mut hangup: Signal, reloads: Arc<Reloads>) {
    while hangup.recv().await.is_some() {
        read("reload", &reloads, Reloads::all).await;
    }
}

/// Reads keys and certificates again whenever one of their files has changed.
pub(super) async fn on_change(reloads: Arc<Reloads>) {
    let mut before = reloads.stamps();
    if before.is_empty() {
        return;
    }
    let mut failed: Option<Instant> = None;
    let mut next = tokio::time::interval(LOOK);
    next.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        next.tick().await;
        // What changes while it is read is read once more.
        let now = reloads.stamps();
        if now != before || failed.is_some_and(|failed| failed.elapsed() >= RETRY) {
            before = now;
            let used = read("protection", &reloads, Reloads::protection).await;
            failed = (used != Some(true)).then(Instant::now);
        }
    }
}

/// Reads on a thread of its own: those of the runtime check and tokenise what comes.
async fn read<T: Send + 'static>(
    name: &'static str,
    reloads: &Arc<Reloads>,
    read: fn(&Reloads) -> T,
) -> Option<T> {
    let reloads = Arc::clone(reloads);
    // It has told the log if it failed.
    aside(name, move || read(&reloads)).await.ok()
}

fn failed(what: &'static str, error: &(dyn std::error::Error + 'static)) {
    metrics::reload_failed(what);
    tracing::error!(what, error = %explain(error), "the reload failed; what was in use stays");
}

fn stamp(file: &Path) -> Stamp {
    let file = std::fs::metadata(file).ok()?;
    Some((file.ino(), file.len(), file.ctime(), file.ctime_nsec()))
}
