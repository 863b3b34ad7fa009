//! The client: submits parts, fetches what is done, and submits again what was lost.
//!
//! As many parts are out as keep every executor busy, twice over. Results wait on the executors' disks: only
//! `FETCHES` parts are in memory at once, however slowly they are taken.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use ballista_core::extension::SessionConfigExt;
use ballista_core::ids::new_instance_id;
use ballista_core::serde::protobuf as pb;
use ballista_core::serde::protobuf::job_status::Status as JobState;
use ballista_core::serde::protobuf::scheduler_grpc_client::SchedulerGrpcClient;
use ballista_core::version::insert_version_header;
use datafusion::arrow::array::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::ScalarUDF;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion_proto::physical_plan::AsExecutionPlan;
use datafusion_proto::protobuf::PhysicalPlanNode;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use super::codec::Codec;
use super::fetch::{check, fetch, rows};
use super::front::executors;
use super::{ClusterUrl, MAX_MESSAGE, refusal};
use crate::batch::job::{BatchError, OpenJob};
use crate::batch::local;
use crate::batch::scan::{Part, Scan};
use crate::batch::stamp::Stamp;
use crate::message::explain;

/// How often a part may fail.
const ATTEMPTS: u32 = 5;

/// How many parts may be in memory.
const FETCHES: usize = 2;

/// How many parts are out for each executor.
const PARTS_PER_EXECUTOR: usize = 2;

/// How many parts are out at most: each is a stream of one connection, which takes 200.
const MOST_PARTS: usize = 160;

/// How many parts are out while no executor is there.
const FIRST_PARTS: usize = 2;

/// After how long without a finished part the client says what it waits for.
const SILENCE: Duration = Duration::from_secs(10);

/// How long nothing may be finished before the parts that are out are given out again: an executor may hang, or what it
/// says of a part be lost on the way.
const PATIENCE: Duration = Duration::from_secs(300);

/// A slow machine answers so many rows a second, and needs more patience for large parts.
const SLOWEST_ROWS_PER_S: u64 = 20;

/// Why a run ended early. Parts that were handed over stay done.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The scheduler cannot be reached, or went away.
    #[error(
        "the scheduler {cluster} does not answer ({message})\nhint: what is finished is kept; start the scheduler, and run the same command with \
         `--resume`"
    )]
    NoScheduler {
        /// The scheduler.
        cluster: ClusterUrl,
        /// What the connection says.
        message: String,
    },
    /// An executor will not do the work.
    #[error("{0}\nhint: what is finished is kept; once that is mended, run the same command with `--resume`")]
    Refused(String),
    /// A part failed again and again.
    #[error(
        "part {part} failed {ATTEMPTS} times, at last with: {message}\nhint: what is finished is kept; once that is mended, run the same command with `--resume`"
    )]
    Part {
        /// The part.
        part: u32,
        /// Why it failed the last time.
        message: String,
    },
    /// The work cannot be planned.
    #[error("the work cannot be planned: {0}")]
    Plan(#[from] DataFusionError),
    /// A part's rows cannot be written.
    #[error(transparent)]
    Write(#[from] BatchError),
    /// A task of this program failed.
    #[error("a part was given up: {0}")]
    Task(#[from] JoinError),
}

/// Why one attempt at a part came to nothing.
#[derive(Debug)]
enum Trouble {
    /// Worth another attempt.
    Lost(String),
    /// Nothing was finished for too long, whoever is to blame.
    Late,
    /// Not worth one.
    Fatal(ClusterError),
}

/// Has the missing parts of a job answered on a cluster; each is written when it is whole, in the order in which they are
/// finished. `seen` is told of rows that were written, and how many were rejected.
///
/// # Errors
/// If the scheduler is not there, an executor refuses, a part fails again and again, or cannot be written.
pub async fn run(
    job: &mut OpenJob,
    cluster: &ClusterUrl,
    function: &Arc<ScalarUDF>,
    mut seen: impl FnMut(u64, u64),
) -> Result<(), ClusterError> {
    let (executors, mut executors_seen) = watch::channel(0);
    let session = Arc::new(Session::connect(job, cluster, function, executors).await?);
    let mut waiting: VecDeque<(u32, u32)> = job.missing().into_iter().map(|part| (part, 1)).collect();
    let mut out = JoinSet::new();
    let mut silence = interval(SILENCE);
    silence.set_missed_tick_behavior(MissedTickBehavior::Delay);
    silence.tick().await;
    let patience = PATIENCE.max(Duration::from_secs(session.rows_of_part() / SLOWEST_ROWS_PER_S));
    let mut finished = Instant::now();
    loop {
        let executors = *executors_seen.borrow_and_update();
        let room = (executors * PARTS_PER_EXECUTOR).clamp(FIRST_PARTS, MOST_PARTS);
        while out.len() < room
            && let Some((part, attempt)) = waiting.pop_front()
        {
            out.spawn(attempt_part(Arc::clone(&session), part, attempt));
        }
        let ended = tokio::select! {
            ended = out.join_next() => ended,
            _ = executors_seen.changed() => continue,
            _ = silence.tick() => {
                session.report(out.len() + waiting.len()).await;
                if executors == 0 {
                    finished = Instant::now();
                } else if finished.elapsed() > patience {
                    finished = Instant::now();
                    session.too_late.notify_waiters();
                }
                continue;
            }
        };
        let Some(ended) = ended else { break };
        let (part, attempt, result) = ended?;
        match result {
            Ok(whole) => {
                silence.reset();
                finished = Instant::now();
                let (rows, rejected) = write(job, part, &whole.batches)?;
                seen(rows, rejected);
                session.forget(whole.job);
            }
            Err(Trouble::Fatal(error)) => return Err(error),
            Err(Trouble::Late) => {
                anstream::eprintln!("part {part} is given out again: nothing was finished for too long");
                waiting.push_front((part, attempt));
            }
            Err(Trouble::Lost(message)) if attempt >= ATTEMPTS => {
                return Err(ClusterError::Part { part, message });
            }
            Err(Trouble::Lost(message)) => {
                anstream::eprintln!("part {part} was lost, and is given out again: {message}");
                waiting.push_front((part, attempt + 1));
            }
        }
    }
    session.end().await;
    Ok(())
}

async fn attempt_part(session: Arc<Session>, part: u32, attempt: u32) -> (u32, u32, Result<Whole, Trouble>) {
    if attempt > 1 {
        sleep(Duration::from_secs(1 << (attempt - 2))).await;
    }
    let result = tokio::select! {
        result = session.part(part) => result,
        () = session.too_late.notified() => Err(Trouble::Late),
    };
    (part, attempt, result)
}

/// Writes the rows of a part; says how many there are, and how many of them were rejected.
fn write(job: &mut OpenJob, part: u32, batches: &[RecordBatch]) -> Result<(u64, u64), BatchError> {
    let mut work = job.begin(part)?;
    let mut rejected = 0;
    for batch in batches {
        rejected += work.write(batch)?;
    }
    job.keep(work.finish()?)?;
    Ok((rows(batches), rejected))
}

/// A part's whole result, and the right to have it in memory.
#[derive(Debug)]
struct Whole {
    batches: Vec<RecordBatch>,
    job: String,
    _room: OwnedSemaphorePermit,
}

/// One client's dealings with a scheduler.
struct Session {
    id: String,
    cluster: ClusterUrl,
    scheduler: SchedulerGrpcClient<Channel>,
    scan: Arc<Scan>,
    stamp: Stamp,
    function: Arc<ScalarUDF>,
    codec: Codec,
    /// How many executors there are.
    executors: watch::Sender<usize>,
    room: Arc<Semaphore>,
    /// Tells all parts that are out that they are waited for no longer.
    too_late: Notify,
}

impl Session {
    async fn connect(
        job: &OpenJob,
        cluster: &ClusterUrl,
        function: &Arc<ScalarUDF>,
        executors: watch::Sender<usize>,
    ) -> Result<Self, ClusterError> {
        let missing = |error: &(dyn std::error::Error + 'static)| ClusterError::NoScheduler {
            cluster: cluster.clone(),
            message: explain(error),
        };
        let channel = Endpoint::from_shared(cluster.http())
            .map_err(|error| missing(&error))?
            .connect_timeout(Duration::from_secs(5))
            .tcp_nodelay(true)
            .http2_keep_alive_interval(Duration::from_secs(10))
            .keep_alive_timeout(Duration::from_secs(20))
            .keep_alive_while_idle(true)
            .connect()
            .await
            .map_err(|error| missing(&error))?;
        let scheduler = SchedulerGrpcClient::new(channel)
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE);
        Ok(Self {
            id: new_instance_id(),
            cluster: cluster.clone(),
            scheduler,
            scan: Arc::clone(&job.scan),
            stamp: job.stamp().clone(),
            function: Arc::clone(function),
            codec: Codec::lenient(Arc::clone(function)),
            executors,
            room: Arc::new(Semaphore::new(FETCHES)),
            too_late: Notify::new(),
        })
    }

    /// How many rows a part has; the last may have fewer.
    fn rows_of_part(&self) -> u64 {
        self.scan.parts.first().map_or(0, Part::rows)
    }

    /// One attempt at a part, from the plan to the last batch.
    async fn part(&self, part: u32) -> Result<Whole, Trouble> {
        let (expected, plan) = self.plan(part).await.map_err(|error| Trouble::Fatal(error.into()))?;
        let (job, locations) = self.job(part, plan).await?;
        let Ok(room) = Arc::clone(&self.room).acquire_owned().await else {
            return Err(Trouble::Lost("the client is ending".to_owned()));
        };
        let mut batches = Vec::new();
        for location in locations {
            batches.extend(fetch(location).await.map_err(Trouble::Lost)?);
        }
        check(part, expected, &batches).map_err(Trouble::Lost)?;
        Ok(Whole { batches, job, _room: room })
    }

    /// How many rows a part has, and its plan: a single partition, so a single task.
    async fn plan(&self, part: u32) -> Result<(u64, Vec<u8>), DataFusionError> {
        let scan = self.scan.of_part(part as usize, &self.stamp);
        let scan = scan.ok_or_else(|| DataFusionError::Internal(format!("there is no part {part}")))?;
        let rows = scan.rows();
        let config = SessionConfig::new_with_ballista().with_target_partitions(1);
        let context = SessionContext::new_with_config(config);
        let plan = local::plan(&context, &Arc::new(scan), &self.function).await?;
        let mut bytes = Vec::new();
        PhysicalPlanNode::try_from_physical_plan(plan, &self.codec)?.try_encode(&mut bytes)?;
        Ok((rows, bytes))
    }

    /// Has the scheduler run a plan. Dropped, it ends the job.
    async fn job(&self, part: u32, plan: Vec<u8>) -> Result<(String, Vec<pb::PartitionLocation>), Trouble> {
        let setting = |key: &str, value: String| pb::KeyValuePair { key: key.to_owned(), value: Some(value) };
        let mut request = Request::new(pb::ExecuteQueryParams {
            query: Some(pb::execute_query_params::Query::PhysicalPlan(plan)),
            session_id: self.id.clone(),
            settings: vec![
                setting("ballista.job.name", format!("part {part}")),
                setting("datafusion.execution.target_partitions", "1".to_owned()),
            ],
            operation_id: String::new(),
        });
        insert_version_header(request.metadata_mut());
        let response = self
            .scheduler
            .clone()
            .execute_query_push(request)
            .await
            .map_err(|status| self.scheduler_trouble(&status))?;
        self.note_executors(executors(response.metadata()));
        let mut changes = response.into_inner();
        loop {
            let change = changes.message().await.map_err(|status| self.scheduler_trouble(&status))?;
            let Some(change) = change else {
                return Err(Trouble::Lost("the scheduler dropped the job".to_owned()));
            };
            let Some(pb::JobStatus { job_id, status: Some(status), .. }) = change.status else { continue };
            match status {
                JobState::Queued(_) | JobState::Running(_) => (),
                JobState::Successful(job) => return Ok((job_id, job.partition_location)),
                JobState::Failed(pb::FailedJob { error, .. }) => {
                    return Err(match refusal::find(&error) {
                        Some(message) => Trouble::Fatal(ClusterError::Refused(message.to_owned())),
                        None => Trouble::Lost(error),
                    });
                }
            }
        }
    }

    /// What a failed call to the scheduler means.
    #[expect(clippy::wildcard_enum_match_arm, reason = "a fault of the call, whatever its name")]
    fn scheduler_trouble(&self, status: &Status) -> Trouble {
        match status.code() {
            Code::Unavailable | Code::Unknown | Code::Cancelled | Code::DeadlineExceeded => {
                Trouble::Fatal(ClusterError::NoScheduler {
                    cluster: self.cluster.clone(),
                    message: explain(status),
                })
            }
            Code::FailedPrecondition | Code::InvalidArgument => {
                let message = status.message();
                let told = || format!("the scheduler refuses: {message}");
                Trouble::Fatal(ClusterError::Refused(refusal::find(message).map_or_else(told, str::to_owned)))
            }
            Code::Unimplemented => {
                let message = format!("{} is no scheduler; see `jiesu cluster scheduler`", self.cluster);
                Trouble::Fatal(ClusterError::Refused(message))
            }
            _ => Trouble::Lost(status.message().to_owned()),
        }
    }

    fn note_executors(&self, executors: Option<usize>) {
        let Some(executors) = executors else { return };
        self.executors.send_if_modified(|known| std::mem::replace(known, executors) != executors);
    }

    /// Says what is waited for.
    async fn report(&self, left: usize) {
        let question = pb::GetJobStatusParams { job_id: "none".to_owned() };
        let answer = timeout(SILENCE, self.scheduler.clone().get_job_status(question)).await;
        let executors = match answer {
            Ok(Ok(response)) => executors(response.metadata()),
            Ok(Err(status)) => executors(status.metadata()),
            Err(_) => None,
        };
        self.note_executors(executors);
        let scheduler = &self.cluster;
        match executors {
            None => anstream::eprintln!(
                "the scheduler {scheduler} does not answer; waiting, {left} parts are left"
            ),
            Some(0) => {
                anstream::eprintln!(
                    "no executor has joined the scheduler {scheduler}; waiting for one, {left} parts are left"
                );
            }
            Some(executors) => {
                anstream::eprintln!(
                    "no part was finished for a while; waiting for {executors} executors, {left} parts are left"
                );
            }
        }
    }

    /// Lets the executors drop a part's result.
    fn forget(self: &Arc<Self>, job: String) {
        let mut scheduler = self.scheduler.clone();
        tokio::spawn(async move {
            let params = pb::CleanJobDataParams { job_id: job, remove_stage_ids: Vec::new() };
            if let Err(status) = scheduler.clean_job_data(params).await {
                tracing::debug!(%status, "cannot drop a fetched result");
            }
        });
    }

    async fn end(&self) {
        let params = pb::RemoveSessionParams { session_id: self.id.clone() };
        if let Err(status) = self.scheduler.clone().remove_session(params).await {
            tracing::debug!(%status, "cannot end the session");
        }
    }
}
