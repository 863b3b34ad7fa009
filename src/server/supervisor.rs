//! Whoever supervises the process, systemd or what speaks its protocol (`sd_notify(3)`), is told how the service does.
//! Where nobody asked to be told, nothing happens.

use std::time::Duration;

use sd_notify::NotifyState;

/// The service answers.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The service ends, and finishes the calls in flight.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Says again and again that the runtime still runs, twice as often as the supervisor wants to hear it. A runtime that is
/// stuck says nothing, and is restarted.
pub(super) async fn watchdog() {
    let mut microseconds = 0;
    if !sd_notify::watchdog_enabled(false, &mut microseconds) {
        return;
    }
    let mut next = tokio::time::interval(Duration::from_micros(microseconds) / 2);
    loop {
        next.tick().await;
        tell(&[NotifyState::Watchdog]);
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(false, state) {
        tracing::warn!(%error, "the supervisor cannot be told how the service does");
    }
}
