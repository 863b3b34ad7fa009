//! The scheduler: keeps the jobs, gives their tasks to executors that ask, and notices executors that no longer do.
//!
//! It keeps all this in memory. When it dies the client ends; executors wait for it to come back.

use std::net::SocketAddr;
use std::sync::Arc;

use ballista_core::config::TaskSchedulingPolicy;
use ballista_core::serde::protobuf::scheduler_grpc_server::SchedulerGrpcServer;
use ballista_scheduler::cluster::BallistaCluster;
use ballista_scheduler::config::SchedulerConfig;
use ballista_scheduler::scheduler_process::create_scheduler;
use tokio::net::TcpListener;
use tonic::service::Routes;

use super::MAX_MESSAGE;
use super::codec::Codec;
use super::front::{Front, Names, Server};
use crate::batch::classify::Classify;

/// Seconds without a sign of life after which an executor's tasks are given to others. A busy executor asks for work
/// every 5 seconds all the same.
const EXECUTOR_TIMEOUT: u64 = 20;

/// How often, in seconds, the scheduler looks for executors that no longer answer.
const EXECUTOR_CHECK: u64 = 2;

/// Seconds that results are kept for the client, if it does not say that it has them.
const KEEP_RESULTS: u64 = 3600;

/// Seconds that an ended job is remembered.
const KEEP_JOBS: u64 = 60;

/// Seconds that jobs wait after the last executor has gone: as good as for ever. The client says what it waits for.
const WAIT_FOR_EXECUTORS: u64 = 365 * 24 * 3600;

/// A scheduler that has its port.
#[derive(Debug)]
pub struct Scheduler {
    listener: TcpListener,
    config: SchedulerConfigDebug,
}

/// Ballista's configuration has no `Debug`.
struct SchedulerConfigDebug(Arc<SchedulerConfig>);

impl std::fmt::Debug for SchedulerConfigDebug {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SchedulerConfig").finish_non_exhaustive()
    }
}

impl Scheduler {
    /// Takes the port.
    ///
    /// # Errors
    ///
    /// If the address cannot be listened at.
    pub async fn bind(listen: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let max_message = u32::try_from(MAX_MESSAGE).unwrap_or(u32::MAX);
        let config = SchedulerConfig {
            bind_host: address.ip().to_string(),
            bind_port: address.port(),
            scheduling_policy: TaskSchedulingPolicy::PullStaged,
            executor_timeout_seconds: EXECUTOR_TIMEOUT,
            expire_dead_executor_interval_seconds: EXECUTOR_CHECK,
            no_executors_grace_period_seconds: WAIT_FOR_EXECUTORS,
            finished_job_data_clean_up_interval_seconds: KEEP_RESULTS,
            finished_job_state_clean_up_interval_seconds: KEEP_JOBS,
            grpc_server_max_decoding_message_size: max_message,
            grpc_server_max_encoding_message_size: max_message,
            job_id_generator: Some(Arc::new(Names)),
            override_physical_codec: Some(Arc::new(Codec::lenient(Arc::new(
                Classify::stand_in().into_function(),
            )))),
            ..SchedulerConfig::default()
        };
        Ok(Self { listener, config: SchedulerConfigDebug(Arc::new(config)) })
    }

    /// Where it listens.
    ///
    /// # Errors
    ///
    /// If the system does not say.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop` is ready.
    ///
    /// # Errors
    ///
    /// If serving ends by itself.
    pub async fn serve(self, stop: impl Future<Output = ()> + Send + 'static) -> anyhow::Result<()> {
        let config = self.config.0;
        let cluster = BallistaCluster::new_from_config(&config).await?;
        let server: Server = create_scheduler(cluster, config).await?;
        let grpc = SchedulerGrpcServer::new(Front::new(server))
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE);
        let router = Routes::new(grpc).into_axum_router();
        // Ballista takes an executor's address from its connection.
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        tokio::select! {
            ended = axum::serve(self.listener, service) => Ok(ended?),
            () = stop => Ok(()),
        }
    }
}
