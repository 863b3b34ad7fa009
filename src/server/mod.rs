//! The gRPC service: start, serve, and end without losing a call.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic_health::ServingStatus;

use crate::batcher::{Batcher, BatcherConfig};
use crate::pb;
use crate::pb::dispatch_service_server::DispatchServiceServer;
use crate::pipeline::{Assess, Pipeline};

mod convert;
mod service;
mod status;

pub use convert::{MAX_BATCH_SIZE, MAX_COUNT, MAX_REQUEST_ID_CHARS};
pub use service::Service;

/// Settings of the service.
#[derive(Debug, Clone, Copy)]
pub struct ServerConfig {
    /// Settings of the queue before the model.
    pub batcher: BatcherConfig,
    /// How long calls in flight may take once shutdown has begun.
    pub shutdown_grace: Duration,
}

/// Largest message that is accepted: a full batch of the longest texts fits.
const MAX_MESSAGE_BYTES: usize = 16 * 1024 * 1024;

/// Serves until `shutdown` completes, then finishes the calls in flight, for `shutdown_grace` at most.
///
/// Health is `NOT_SERVING` until the model has answered a first request, and again as soon as shutdown begins.
///
/// # Errors
/// If the model's thread cannot be started, the model fails on the first request, or the socket fails.
pub async fn run(
    listener: TcpListener,
    pipeline: Arc<Pipeline>,
    config: ServerConfig,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let model: Arc<dyn Assess> = Arc::clone(&pipeline) as _;
    run_with_model(listener, pipeline, model, config, shutdown).await
}

/// [`run`] with another model in the pipeline's place: what tests use to make the model slow or broken.
///
/// # Errors
/// As [`run`].
pub async fn run_with_model(
    listener: TcpListener,
    pipeline: Arc<Pipeline>,
    model: Arc<dyn Assess>,
    config: ServerConfig,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let batcher = Batcher::start(model, config.batcher)?;
    let (reporter, health) = tonic_health::server::health_reporter();
    let health_name = <DispatchServiceServer<Service> as tonic::server::NamedService>::NAME;
    for name in ["", health_name] {
        reporter.set_service_status(name, ServingStatus::NotServing).await;
    }
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(pb::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    let service = DispatchServiceServer::new(Service::new(Arc::clone(&pipeline), batcher.clone()))
        .max_decoding_message_size(MAX_MESSAGE_BYTES);
    let (begin_drain, mut drained) = tokio::sync::watch::channel(false);
    let address = listener.local_addr()?;
    let server = tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(Duration::from_secs(60)))
        .add_service(health)
        .add_service(reflection)
        .add_service(service)
        .serve_with_incoming_shutdown(TcpListenerStream::new(listener), async move {
            // An error means that the sender is gone, which is a shutdown too.
            let _ = drained.wait_for(|begun| *begun).await;
        });
    let server = tokio::spawn(server);

    warm_up(&pipeline, &batcher).await?;
    for name in ["", health_name] {
        reporter.set_service_status(name, ServingStatus::Serving).await;
    }
    tracing::info!(%address, model = pipeline.classifier().name(), revision = pipeline.classifier().revision(), "serving");

    shutdown.await;
    tracing::info!(
        grace_seconds = config.shutdown_grace.as_secs(),
        "shutting down, finishing calls in flight"
    );
    for name in ["", health_name] {
        reporter.set_service_status(name, ServingStatus::NotServing).await;
    }
    begin_drain.send_replace(true);
    let abort = server.abort_handle();
    if let Ok(ended) = tokio::time::timeout(config.shutdown_grace, server).await {
        ended??;
        // Every call has ended, so nothing is queued and the thread ends at once.
        tokio::task::spawn_blocking(|| batcher.finish()).await?;
        tracing::info!("shut down");
    } else {
        abort.abort();
        tracing::warn!("shut down with calls still in flight: the grace period is over");
    }
    Ok(())
}

async fn warm_up(pipeline: &Pipeline, batcher: &Batcher) -> anyhow::Result<()> {
    let request = pipeline.request("", "路灯不亮，请安排维修", "")?;
    batcher.submit(vec![request], None).await?;
    Ok(())
}
