//! The gRPC service: start, serve, and end without losing a call.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use futures_util::stream::select_all;
use tokio::sync::watch;
use tonic::service::interceptor::InterceptedService;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::access::{Access, AccessLayer};
use crate::batcher::{Batcher, BatcherConfig, Lane};
use crate::listen::{Limits, Listener};
use crate::live::{Live, ModelState};
use crate::metrics;
use crate::pb;
use crate::pb::admin_service_server::AdminServiceServer;
use crate::pb::dispatch_service_server::{DispatchServiceServer, SERVICE_NAME};
use crate::pb::record_service_server::RecordServiceServer;
use crate::pipeline::Assess;
use crate::records::Records;
use crate::shadow::Shadow;

mod admin;
mod aside;
mod cache;
mod call;
mod convert;
mod deadline;
mod journal;
mod record;
mod service;
mod status;
mod supervisor;
mod trace;

pub use crate::assessment::MAX_COUNT;
pub(crate) use aside::aside;
pub use convert::{MAX_BATCH_SIZE, MAX_REQUEST_ID_CHARS};
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
/// Most calls of a connection at a time; the next waits at its caller. Each may hold a message in memory.
const MAX_CALLS_OF_A_CONNECTION: u32 = 200;
/// Longest that a call may take which answers at once, whatever its caller's deadline: who sends half a message, and no
/// more, holds a call no longer.
const MAX_CALL: Duration = Duration::from_secs(300);
/// The names that health is asked for: the whole server, and the service. They answer by rules when the model does not.
const HEALTH_NAMES: [&str; 2] = ["", SERVICE_NAME];
/// The name that the model's own health is asked for.
const MODEL_HEALTH: &str = "model";
/// How often the model is looked after.
const MODEL_CARE: Duration = Duration::from_secs(1);

/// What a server serves.
#[expect(missing_debug_implementations, reason = "what answers is any type")]
#[derive(Clone)]
pub struct Serving {
    /// What requests are checked against.
    pub live: Arc<Live>,
    /// What answers them: `live` itself, or a shadow model around it.
    pub model: Arc<dyn Assess>,
    /// The model that answers unheard, if there is one.
    pub shadow: Option<Arc<Shadow>>,
    /// Who may call; everybody, if there are no keys.
    pub access: Option<Arc<Access>>,
    /// Where corrections and decisions are kept, if they are.
    pub records: Option<Arc<Records>>,
}

/// Serves until `shutdown` completes, then finishes the calls in flight, for `shutdown_grace` at most.
///
/// Health is `NOT_SERVING` until a first request has been answered, and again as soon as shutdown begins; that of
/// `model` says whether the model answers too.
///
/// # Errors
/// If the model's threads cannot be started, or the first request is not answered.
pub async fn run(
    listeners: Vec<Listener>,
    serving: Serving,
    config: ServerConfig,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let Serving { live, model, shadow, access, records } = serving;
    let batcher = Batcher::start(&model, config.batcher)?;
    let (reporter, health) = tonic_health::server::health_reporter();
    report(&reporter, ServingStatus::NotServing).await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(pb::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    let service = Service::new(Arc::clone(&live), batcher.clone(), config.cache_bytes, records.clone());
    let service = DispatchServiceServer::new(service).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let keeper = RecordServiceServer::new(record::RecordKeeper::new(Arc::clone(&live), records));
    let admin = AdminServiceServer::new(admin::Admin::new(Arc::clone(&live), shadow));
    let addresses = listeners.iter().map(Listener::address).collect::<std::io::Result<Vec<_>>>()?;
    let incoming = select_all(listeners.into_iter().map(|listener| listener.incoming(Limits::default())));
    let (begin_drain, mut drain) = watch::channel(false);
    let mut server = tokio::spawn(
        tonic::transport::Server::builder()
            .http2_keepalive_interval(Some(Duration::from_secs(60)))
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_concurrent_streams(MAX_CALLS_OF_A_CONNECTION)
            .timeout(MAX_CALL)
            .layer(AccessLayer::new(access))
            .add_service(health)
            .add_service(reflection)
            .add_service(InterceptedService::new(service, deadline::stamp))
            .add_service(keeper)
            .add_service(admin)
            .serve_with_incoming_shutdown(incoming, async move {
                // An error means that the sender is gone, which is a shutdown too.
                let _ = drain.wait_for(|begun| *begun).await;
            }),
    );
    let mut shutdown = pin!(shutdown);
    let mut care = tokio::spawn(care_for_model(Arc::clone(&live), reporter.clone()));
    let watchdog = tokio::spawn(supervisor::watchdog());
    tokio::select! {
        ready = warm_up(&live, &batcher) => {
            ready.context("the first request was not answered")?;
            report(&reporter, ServingStatus::Serving).await;
            let (pipeline, _) = live.pipeline();
            let model = pipeline.model().map_or(("none", ""), |model| (model.name(), model.revision()));
            for address in addresses {
                tracing::info!(%address, model = model.0, revision = model.1, "serving");
            }
            supervisor::ready();
            tokio::select! {
                () = &mut shutdown => {}
                ended = &mut server => {
                    ended??;
                    bail!("the server ended by itself");
                }
                // It never ends but by a panic, and then nobody would see the model fail.
                _ = &mut care => bail!("nobody looks after the model any more; the log says why"),
            }
        }
        () = &mut shutdown => {}
    }

    tracing::info!(
        grace_seconds = config.shutdown_grace.as_secs(),
        "shutting down, finishing calls in flight"
    );
    supervisor::stopping();
    care.abort();
    report(&reporter, ServingStatus::NotServing).await;
    reporter.set_service_status(MODEL_HEALTH, ServingStatus::NotServing).await;
    begin_drain.send_replace(true);
    end_watches(reporter).await;
    if let Ok(ended) = tokio::time::timeout(config.shutdown_grace, &mut server).await {
        ended??;
        tracing::info!("shut down");
    } else {
        server.abort();
        tracing::warn!("shut down with calls still in flight: the grace period is over");
    }
    watchdog.abort();
    Ok(())
}

async fn report(reporter: &HealthReporter, status: ServingStatus) {
    for name in HEALTH_NAMES {
        reporter.set_service_status(name, status).await;
    }
}

/// Ends the streams of those who watch the health, which would hold up the shutdown; they have been told of it.
async fn end_watches(mut reporter: HealthReporter) {
    for name in HEALTH_NAMES.into_iter().chain([MODEL_HEALTH]) {
        reporter.clear_service_status(name).await;
    }
}

/// Looks after the model again and again, and says how it does.
async fn care_for_model(live: Arc<Live>, reporter: HealthReporter) {
    let mut next = tokio::time::interval(MODEL_CARE);
    next.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut before = None;
    loop {
        let now = (live.model_state(), live.pipeline().1);
        if before != Some(now) {
            tell_of_model(&live, now.0, &reporter).await;
            before = Some(now);
        }
        next.tick().await;
        let live = Arc::clone(&live);
        // It has told the log if it failed.
        let _ = aside("mend", move || live.mend()).await;
    }
}

async fn tell_of_model(live: &Live, state: ModelState, reporter: &HealthReporter) {
    let status = match state {
        ModelState::Works | ModelState::FilesMissing => ServingStatus::Serving,
        ModelState::Failed | ModelState::Missing => ServingStatus::NotServing,
    };
    metrics::model_state(state.name());
    if let Some(model) = live.pipeline().0.model() {
        metrics::model(model.name(), model.revision(), model.precision().name());
    }
    reporter.set_service_status(MODEL_HEALTH, status).await;
}

async fn warm_up(live: &Live, batcher: &Batcher) -> anyhow::Result<()> {
    batcher.submit(batcher.reserve(Lane::Interactive, 1, None)?, vec![live.probe()?], None).await?;
    Ok(())
}
