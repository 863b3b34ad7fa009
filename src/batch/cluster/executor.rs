//! An executor: asks the scheduler for work, does it, and keeps the results until they are fetched.
//!
//! Ballista's own process is not used: it cannot listen on port 0, goes on asking for work after it was told to stop,
//! and leaves its files behind.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow_flight::flight_service_server::FlightServiceServer;
use ballista_core::extension::SessionConfigExt;
use ballista_core::ids::new_instance_id;
use ballista_core::registry::BallistaFunctionRegistry;
use ballista_core::serde::protobuf::scheduler_grpc_client::SchedulerGrpcClient;
use ballista_core::serde::protobuf::{ExecutorRegistration, ExecutorStoppedParams};
use ballista_core::serde::scheduler::{ExecutorOperatingSystemSpecification, ExecutorSpecification};
use ballista_core::serde::{BallistaCodec, BallistaLogicalExtensionCodec};
use ballista_core::{BALLISTA_PROTOCOL_VERSION, RuntimeProducer};
use ballista_executor::execution_loop;
use ballista_executor::executor::Executor as BallistaExecutor;
use ballista_executor::flight_service::BallistaFlightService;
use ballista_executor::health::ExecutorHealth;
use ballista_executor::metrics::LoggingMetricsCollector;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::logical_expr::ScalarUDF;
use datafusion::prelude::SessionConfig;
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};

use super::codec::{Codec, Holder};
use super::{ClusterUrl, MAX_MESSAGE};
use crate::batch::stamp::Stamp;

/// How long results stay after the last task: an executor at rest reports every 5 seconds, then the client fetches.
const LINGER: Duration = Duration::from_secs(10);

/// Parts in hand at once: all threads work on one.
const PARTS_AT_ONCE: u8 = 1;

/// What the folders of results are called.
const FOLDER: &str = "jiesu-executor-";

/// A file in such a folder that is locked while the executor lives.
const LOCK: &str = "lock";

/// In so long an executor has made its folder and locked it.
const MADE_WITHIN: Duration = Duration::from_secs(60);

/// How an executor is set up.
#[derive(Debug)]
pub struct ExecutorOptions {
    /// The scheduler.
    pub cluster: ClusterUrl,
    /// Where clients fetch results. They must reach it under the address from which the scheduler sees this executor.
    pub listen: SocketAddr,
    /// Where results are kept until they are fetched; in a folder of its own that goes with the executor.
    pub work_dir: Option<PathBuf>,
    /// What it answers with.
    pub stamp: Stamp,
}

/// An executor that has its port.
#[derive(Debug)]
pub struct Executor {
    listener: TcpListener,
    options: ExecutorOptions,
    function: Arc<ScalarUDF>,
    work_dir: TempDir,
    /// Held while the folder is of use.
    _lock: File,
}

impl Executor {
    /// Takes the port and makes the folder for results.
    ///
    /// # Errors
    ///
    /// If the address cannot be listened at, or the folder cannot be made.
    pub async fn bind(options: ExecutorOptions, function: Arc<ScalarUDF>) -> std::io::Result<Self> {
        let listener = TcpListener::bind(options.listen).await?;
        let parent = options.work_dir.clone().unwrap_or_else(std::env::temp_dir);
        remove_orphans(&parent)?;
        let work_dir = tempfile::Builder::new().prefix(FOLDER).tempdir_in(parent)?;
        let lock = File::create(work_dir.path().join(LOCK))?;
        lock.try_lock()?;
        Ok(Self { listener, options, function, work_dir, _lock: lock })
    }

    /// Where it listens.
    ///
    /// # Errors
    ///
    /// If the system does not say.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Works until `stop` is ready; then finishes the parts in hand and leaves. If `hurry` is ready too, leaves at once.
    ///
    /// # Errors
    ///
    /// If the results cannot be served.
    pub async fn serve(
        self,
        stop: impl Future<Output = ()>,
        hurry: impl Future<Output = ()>,
    ) -> anyhow::Result<()> {
        let address = self.address()?;
        let work_dir = self.work_dir.path().to_string_lossy().into_owned();
        let id = new_instance_id();
        let scheduler = connect(&self.options.cluster)?;
        let holder = Holder { address: address.to_string(), stamp: self.options.stamp };
        let codec: BallistaCodec<LogicalPlanNode, PhysicalPlanNode> = BallistaCodec::new(
            Arc::new(BallistaLogicalExtensionCodec::default()),
            Arc::new(Codec::strict(self.function, holder)),
        );
        let executor = Arc::new(ballista(&id, address, &work_dir)?);
        let free = Arc::new(Semaphore::new(PARTS_AT_ONCE.into()));
        let health = ExecutorHealth::new();
        let mut asking = tokio::spawn(execution_loop::poll_loop(
            scheduler.clone(),
            executor,
            codec,
            None,
            Some(Arc::clone(&free)),
            health.clone(),
        ));
        let flight = FlightServiceServer::new(BallistaFlightService::new(work_dir))
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE);
        let serving = Server::builder()
            .add_service(flight)
            .serve_with_incoming(TcpIncoming::from(self.listener).with_nodelay(Some(true)));
        let work = async {
            stop.await;
            tracing::info!("finishing the parts in hand");
            // Where all places are held, no new part is begun.
            let finish = async {
                let held = free.acquire_many(PARTS_AT_ONCE.into()).await;
                tokio::time::sleep(LINGER).await;
                drop(held);
            };
            tokio::select! {
                () = finish => (),
                () = hurry => (),
            }
        };
        let served = tokio::select! {
            served = serving => served.map_err(anyhow::Error::from),
            ended = &mut asking => Err(anyhow::anyhow!("nothing asks for work any more: {ended:?}")),
            () = report_health(&health, &self.options.cluster) => Ok(()),
            () = work => Ok(()),
        };
        asking.abort();
        leave(scheduler, id).await;
        served
    }
}

/// A client that connects when it is first needed, and again whenever it must.
fn connect(cluster: &ClusterUrl) -> anyhow::Result<SchedulerGrpcClient<Channel>> {
    let channel = Endpoint::from_shared(cluster.http())?
        .connect_timeout(Duration::from_secs(5))
        .timeout(Duration::from_secs(20))
        .tcp_nodelay(true)
        .http2_keep_alive_interval(Duration::from_secs(10))
        .keep_alive_timeout(Duration::from_secs(10))
        .keep_alive_while_idle(true)
        .connect_lazy();
    Ok(SchedulerGrpcClient::new(channel)
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE))
}

fn ballista(id: &str, address: SocketAddr, work_dir: &str) -> anyhow::Result<BallistaExecutor> {
    let registration = ExecutorRegistration {
        id: id.to_owned(),
        // The scheduler takes it from the connection.
        host: None,
        port: address.port().into(),
        // Only an executor that is pushed work has one.
        grpc_port: 0,
        specification: Some(ExecutorSpecification::default().with_vcores(PARTS_AT_ONCE.into()).into()),
        os_info: Some(ExecutorOperatingSystemSpecification::default().into()),
        ballista_protocol_version: BALLISTA_PROTOCOL_VERSION,
    };
    let runtime = RuntimeEnvBuilder::new().with_temp_file_path(work_dir).build_arc()?;
    let runtime_producer: RuntimeProducer = Arc::new(move |_| Ok(Arc::clone(&runtime)));
    Ok(BallistaExecutor::with_default_execution_engine(
        registration,
        work_dir,
        runtime_producer,
        Arc::new(SessionConfig::new_with_ballista),
        Arc::new(BallistaFunctionRegistry::default()),
        Arc::new(LoggingMetricsCollector::default()),
        PARTS_AT_ONCE.into(),
    ))
}

/// Removes the results of executors that were killed: they hold citizens' words.
fn remove_orphans(parent: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(parent)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with(FOLDER) {
            continue;
        }
        // Another user's cannot be opened, and one that is not there any more need not be removed.
        let made = entry.metadata().and_then(|metadata| metadata.modified());
        if made.map_or(true, |made| made.elapsed().is_ok_and(|age| age < MADE_WITHIN)) {
            continue;
        }
        let Ok(lock) = File::open(entry.path().join(LOCK)) else { continue };
        if lock.try_lock().is_ok()
            && let Err(error) = std::fs::remove_dir_all(entry.path())
        {
            tracing::warn!(folder = %entry.path().display(), %error, "cannot remove what a killed executor left");
        }
    }
    Ok(())
}

/// Says when the scheduler is found and lost. Ballista itself says so 20 times a second.
async fn report_health(health: &ExecutorHealth, cluster: &ClusterUrl) {
    let mut joined = false;
    let mut since = tokio::time::Instant::now();
    loop {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let joins = health.is_ready();
        match (joined, joins) {
            (false, true) => tracing::info!(scheduler = %cluster, "joined the scheduler"),
            (true, false) => {
                tracing::warn!(scheduler = %cluster, "the scheduler does not answer; waiting for it");
            }
            (false, false) if since.elapsed() > Duration::from_secs(10) => {
                tracing::warn!(scheduler = %cluster, "no scheduler answers, or it refuses; waiting for it (RUST_LOG=ballista_executor=warn says why)");
            }
            (false, false) | (true, true) => continue,
        }
        (joined, since) = (joins, tokio::time::Instant::now());
    }
}

/// Tells the scheduler, so that it need not wait for the timeout.
async fn leave(mut scheduler: SchedulerGrpcClient<Channel>, id: String) {
    let stopped = ExecutorStoppedParams { executor_id: id, reason: "told to stop".to_owned() };
    let told = tokio::time::timeout(Duration::from_secs(2), scheduler.executor_stopped(stopped)).await;
    if !matches!(told, Ok(Ok(_))) {
        tracing::warn!("could not tell the scheduler of leaving");
    }
}
