//! Work that waits for a disk, a hub or a lock: on a thread of its own, so that nobody else waits for it.
//!
//! The runtime's own threads for blocking work are as many as there are processors; they check and tokenise what comes,
//! and a model that is being downloaded must not take one away.

use tokio::sync::oneshot;
use tonic::Status;

/// Does the work and waits for it. Callers bound how much of it goes on at a time.
pub(crate) async fn aside<T: Send + 'static>(
    name: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Status> {
    let (done, outcome) = oneshot::channel();
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        // Whoever waited may have gone.
        let _ = done.send(work());
    });
    thread.map_err(|error| {
        tracing::error!(%error, name, "no thread");
        Status::internal("the system gives no thread; the service's log says more")
    })?;
    outcome.await.map_err(|_| Status::internal("the service failed at this; its log says why"))
}
