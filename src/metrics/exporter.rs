//! The metrics on a port of their own, at `/metrics`.

use std::future::ready;
use std::net::SocketAddr;
use std::time::SystemTime;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use tokio::net::TcpListener;

use super::{METRICS, Metrics};

/// What Prometheus asks for.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Begins to record, and serves the metrics for as long as the runtime lives. Returns the address that was bound.
///
/// # Errors
/// If the address cannot be bound; then nothing is recorded.
pub async fn listen(address: SocketAddr) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    let metrics = METRICS.get_or_init(|| Metrics::new(SystemTime::now()));
    let page = get(move || ready(([(CONTENT_TYPE, OPEN_METRICS)], metrics.render())));
    tokio::spawn(async { axum::serve(listener, Router::new().route("/metrics", page)).await });
    Ok(address)
}
