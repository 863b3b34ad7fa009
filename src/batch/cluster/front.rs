//! The scheduler's gRPC face: Ballista's own, and two things that it lacks.
//!
//! A client that goes away, killed or not, takes its jobs with it: otherwise the executors would go on with work that
//! nobody fetches, and whoever starts again would wait behind it. And each answer to a client says how many executors
//! and threads there are, so that the client can keep them busy, and say so if there are none.

use std::pin::Pin;
use std::task::{Context, Poll};

use async_trait::async_trait;
use ballista_core::ids::new_instance_id;
use ballista_core::serde::protobuf as pb;
use ballista_core::serde::protobuf::job_status::Status as JobState;
use ballista_core::serde::protobuf::scheduler_grpc_server::SchedulerGrpc;
use ballista_scheduler::scheduler_server::{JobIdGenerator, SchedulerServer};
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use futures_util::Stream;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

/// Ballista's scheduler, for plans of DataFusion.
pub(super) type Server = SchedulerServer<LogicalPlanNode, PhysicalPlanNode>;

const EXECUTORS: &str = "jiesu-executors";
const THREADS: &str = "jiesu-threads";

tokio::task_local! {
    /// The id of the job that is being submitted.
    static JOB: String;
}

/// Names jobs as the front says: Ballista tells the id only when a job ends, which is late for ending it.
pub(super) struct Names;

#[async_trait]
impl JobIdGenerator for Names {
    async fn next_id(&self) -> String {
        JOB.try_with(Clone::clone).unwrap_or_else(|_| new_instance_id())
    }
}

/// Who is there to work.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Crew {
    pub(super) executors: u32,
    pub(super) threads: u32,
}

impl Crew {
    /// What a scheduler's answer says, if it is one of ours.
    pub(super) fn of(metadata: &MetadataMap) -> Option<Self> {
        let number = |key: &str| -> Option<u32> { metadata.get(key)?.to_str().ok()?.parse().ok() };
        Some(Self { executors: number(EXECUTORS)?, threads: number(THREADS)? })
    }

    fn write(self, metadata: &mut MetadataMap) {
        metadata.insert(EXECUTORS, self.executors.into());
        metadata.insert(THREADS, self.threads.into());
    }
}

/// Ballista's scheduler with our additions.
pub(super) struct Front {
    server: Server,
}

impl Front {
    pub(super) fn new(server: Server) -> Self {
        Self { server }
    }

    async fn crew(&self) -> Crew {
        let executors = self.server.state.executor_manager.get_executors_state().await.unwrap_or_default();
        let threads = executors.iter().map(|(executor, _, _)| executor.specification.vcores).sum();
        Crew { executors: u32::try_from(executors.len()).unwrap_or(u32::MAX), threads }
    }
}

/// A job's states as they change. Dropped before the job's end, it ends the job.
pub(super) struct Watched {
    states: Pin<Box<dyn Stream<Item = Result<pb::GetJobStatusResult, Status>> + Send>>,
    server: Server,
    job: Option<String>,
}

impl Stream for Watched {
    type Item = Result<pb::GetJobStatusResult, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = self.states.as_mut().poll_next(context);
        if let Poll::Ready(Some(Ok(pb::GetJobStatusResult { status: Some(status), .. }))) = &next
            && let Some(JobState::Successful(_) | JobState::Failed(_)) = status.status
        {
            self.job = None;
        }
        next
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let Some(job) = self.job.take() else { return };
        let server = self.server.clone();
        tokio::spawn(async move {
            if let Err(error) = server.cancel_job(job.into()).await {
                tracing::warn!(%error, "cannot end the job of a client that went away");
            }
        });
    }
}

#[async_trait]
impl SchedulerGrpc for Front {
    type ExecuteQueryPushStream = Watched;

    async fn execute_query_push(
        &self,
        request: Request<pb::ExecuteQueryParams>,
    ) -> Result<Response<Watched>, Status> {
        let crew = self.crew().await;
        let job = new_instance_id();
        let submission = SchedulerGrpc::execute_query_push(&self.server, request);
        let response = JOB.scope(job.clone(), submission).await?;
        let mut response =
            response.map(|states| Watched { states, server: self.server.clone(), job: Some(job) });
        crew.write(response.metadata_mut());
        Ok(response)
    }

    async fn get_job_status(
        &self,
        request: Request<pb::GetJobStatusParams>,
    ) -> Result<Response<pb::GetJobStatusResult>, Status> {
        let mut answer = SchedulerGrpc::get_job_status(&self.server, request).await;
        let crew = self.crew().await;
        match &mut answer {
            Ok(response) => crew.write(response.metadata_mut()),
            Err(status) => crew.write(status.metadata_mut()),
        }
        answer
    }

    async fn poll_work(
        &self,
        request: Request<pb::PollWorkParams>,
    ) -> Result<Response<pb::PollWorkResult>, Status> {
        SchedulerGrpc::poll_work(&self.server, request).await
    }

    async fn register_executor(
        &self,
        request: Request<pb::RegisterExecutorParams>,
    ) -> Result<Response<pb::RegisterExecutorResult>, Status> {
        SchedulerGrpc::register_executor(&self.server, request).await
    }

    async fn heart_beat_from_executor(
        &self,
        request: Request<pb::HeartBeatParams>,
    ) -> Result<Response<pb::HeartBeatResult>, Status> {
        SchedulerGrpc::heart_beat_from_executor(&self.server, request).await
    }

    async fn update_task_status(
        &self,
        request: Request<pb::UpdateTaskStatusParams>,
    ) -> Result<Response<pb::UpdateTaskStatusResult>, Status> {
        SchedulerGrpc::update_task_status(&self.server, request).await
    }

    async fn create_update_session(
        &self,
        request: Request<pb::CreateUpdateSessionParams>,
    ) -> Result<Response<pb::CreateUpdateSessionResult>, Status> {
        SchedulerGrpc::create_update_session(&self.server, request).await
    }

    async fn remove_session(
        &self,
        request: Request<pb::RemoveSessionParams>,
    ) -> Result<Response<pb::RemoveSessionResult>, Status> {
        SchedulerGrpc::remove_session(&self.server, request).await
    }

    async fn execute_query(
        &self,
        request: Request<pb::ExecuteQueryParams>,
    ) -> Result<Response<pb::ExecuteQueryResult>, Status> {
        SchedulerGrpc::execute_query(&self.server, request).await
    }

    async fn get_job_metrics(
        &self,
        request: Request<pb::GetJobMetricsParams>,
    ) -> Result<Response<pb::GetJobMetricsResult>, Status> {
        SchedulerGrpc::get_job_metrics(&self.server, request).await
    }

    async fn executor_stopped(
        &self,
        request: Request<pb::ExecutorStoppedParams>,
    ) -> Result<Response<pb::ExecutorStoppedResult>, Status> {
        SchedulerGrpc::executor_stopped(&self.server, request).await
    }

    async fn cancel_job(
        &self,
        request: Request<pb::CancelJobParams>,
    ) -> Result<Response<pb::CancelJobResult>, Status> {
        SchedulerGrpc::cancel_job(&self.server, request).await
    }

    async fn clean_job_data(
        &self,
        request: Request<pb::CleanJobDataParams>,
    ) -> Result<Response<pb::CleanJobDataResult>, Status> {
        SchedulerGrpc::clean_job_data(&self.server, request).await
    }
}
