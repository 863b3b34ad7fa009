//! The gRPC service: start, serve, and end without losing a call.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::server::TcpIncoming;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::batcher::{Batcher, BatcherConfig, Lane};
use crate::pb;
use crate::pb::dispatch_service_server::{DispatchServiceServer, SERVICE_NAME};
use crate::pipeline::{Assess, Pipeline};

mod cache;
mod call;
mod convert;
mod deadline;
mod service;
mod status;
mod trace;

pub use convert::{MAX_BATCH_SIZE, MAX_COUNT, MAX_REQUEST_ID_CHARS};
pub use service::Service;

/// Settings of the service.
#[derive(Debug, Clone, Copy)]
pub struct ServerConfig {
    /// Settings of the queue before the model.
    pub batcher: BatcherConfig,
    /// How much memory answers may take that are kept for when the same is asked again, in bytes; 0 keeps none.
    pub cache_bytes: u64,
    /// How long calls in flight may take once shutdown has begun.
    pub shutdown_grace: Duration,
}

/// Largest message that is accepted: a full batch of the longest texts fits.
const MAX_MESSAGE_BYTES: usize = 16 * 1024 * 1024;
/// What a stream may send before it is read. HTTP/2's own default: with more, a caller of `StreamClassifyTexts` whose texts
/// are short could fill the transport's budget for small frames, half of the connection's window, and lose the connection.
const STREAM_WINDOW_BYTES: u32 = 64 * 1024 - 1;
/// What all streams of a connection may.
const CONNECTION_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
/// The names that health is asked for: the whole server, and the service.
const HEALTH_NAMES: [&str; 2] = ["", SERVICE_NAME];

/// Serves until `shutdown` completes, then finishes the calls in flight, for `shutdown_grace` at most.
///
/// Health is `NOT_SERVING` until the model has answered a first request, and again as soon as shutdown begins. `model`
/// answers the requests that `pipeline` has checked; it is the pipeline itself but in tests.
///
/// # Errors
/// If the model's threads cannot be started, the model fails on the first request, or the socket fails.
pub async fn run(
    listener: TcpListener,
    pipeline: Arc<Pipeline>,
    model: Arc<dyn Assess>,
    config: ServerConfig,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let batcher = Batcher::start(&model, config.batcher)?;
    let (reporter, health) = tonic_health::server::health_reporter();
    report(&reporter, ServingStatus::NotServing).await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(pb::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    let service =
        DispatchServiceServer::new(Service::new(Arc::clone(&pipeline), batcher.clone(), config.cache_bytes))
            .max_decoding_message_size(MAX_MESSAGE_BYTES);
    let address = listener.local_addr()?;
    let (begin_drain, mut drain) = watch::channel(false);
    let mut server = tokio::spawn(
        tonic::transport::Server::builder()
            .http2_keepalive_interval(Some(Duration::from_secs(60)))
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .add_service(health)
            .add_service(reflection)
            .add_service(InterceptedService::new(service, deadline::stamp))
            .serve_with_incoming_shutdown(TcpIncoming::from(listener).with_nodelay(Some(true)), async move {
                // An error means that the sender is gone, which is a shutdown too.
                let _ = drain.wait_for(|begun| *begun).await;
            }),
    );
    let mut shutdown = pin!(shutdown);
    tokio::select! {
        ready = warm_up(&pipeline, &batcher) => {
            ready.context("the model failed on its first request")?;
            report(&reporter, ServingStatus::Serving).await;
            let (model, revision) = (pipeline.classifier().name(), pipeline.classifier().revision());
            tracing::info!(%address, model, revision, "serving");
            tokio::select! {
                () = &mut shutdown => {}
                ended = &mut server => {
                    ended??;
                    bail!("the server ended by itself");
                }
            }
        }
        () = &mut shutdown => {}
    }

    tracing::info!(
        grace_seconds = config.shutdown_grace.as_secs(),
        "shutting down, finishing calls in flight"
    );
    report(&reporter, ServingStatus::NotServing).await;
    begin_drain.send_replace(true);
    end_watches(reporter).await;
    if let Ok(ended) = tokio::time::timeout(config.shutdown_grace, &mut server).await {
        ended??;
        tracing::info!("shut down");
    } else {
        server.abort();
        tracing::warn!("shut down with calls still in flight: the grace period is over");
    }
    Ok(())
}

async fn report(reporter: &HealthReporter, status: ServingStatus) {
    for name in HEALTH_NAMES {
        reporter.set_service_status(name, status).await;
    }
}

/// Ends the streams of those who watch the health, which would hold up the shutdown; they have been told of it.
async fn end_watches(mut reporter: HealthReporter) {
    for name in HEALTH_NAMES {
        reporter.clear_service_status(name).await;
    }
}

async fn warm_up(pipeline: &Pipeline, batcher: &Batcher) -> anyhow::Result<()> {
    let request = pipeline.request("", "路灯不亮，请安排维修", "")?;
    batcher.submit(batcher.reserve(Lane::Interactive, 1, None)?, vec![request], None).await?;
    Ok(())
}
