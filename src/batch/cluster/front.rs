//! The scheduler's gRPC face: Ballista's own, and two things that it lacks.
//!
//! A client that goes away, killed or not, takes its jobs with it, but for the parts in hand: otherwise the executors would
//! go on with work that nobody fetches, and whoever starts again would wait behind it. And each answer to a client says
//! how many executors there are, so that the client can keep them busy, and say so if there are none. Of the ways to hand
//! in a plan only the client's is open.

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

/// The name in an answer's metadata of how many executors there are.
const EXECUTORS: &str = "jiesu-executors";

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

/// How many executors a scheduler's answer says there are, if it is one of ours.
pub(super) fn executors(metadata: &MetadataMap) -> Option<usize> {
    metadata.get(EXECUTORS)?.to_str().ok()?.parse().ok()
}

/// Ballista's scheduler with our additions.
pub(super) struct Front {
    server: Server,
}

impl Front {
    pub(super) fn new(server: Server) -> Self {
        Self { server }
    }

    async fn tell_executors(&self, metadata: &mut MetadataMap) {
        let executors = self.server.state.executor_manager.get_executors_state().await.unwrap_or_default();
        metadata.insert(EXECUTORS, executors.len().into());
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
        if !matches!(request.get_ref().query, Some(pb::execute_query_params::Query::PhysicalPlan(_))) {
            return Err(Status::unimplemented("only physical plans are taken"));
        }
        let job = new_instance_id();
        let submission = SchedulerGrpc::execute_query_push(&self.server, request);
        let response = JOB.scope(job.clone(), submission).await?;
        let mut response =
            response.map(|states| Watched { states, server: self.server.clone(), job: Some(job) });
        self.tell_executors(response.metadata_mut()).await;
        Ok(response)
    }

    async fn get_job_status(
        &self,
        request: Request<pb::GetJobStatusParams>,
    ) -> Result<Response<pb::GetJobStatusResult>, Status> {
        let mut answer = SchedulerGrpc::get_job_status(&self.server, request).await;
        let metadata = match &mut answer {
            Ok(response) => response.metadata_mut(),
            Err(status) => status.metadata_mut(),
        };
        self.tell_executors(metadata).await;
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
        _: Request<pb::ExecuteQueryParams>,
    ) -> Result<Response<pb::ExecuteQueryResult>, Status> {
        Err(Status::unimplemented("plans are taken by `ExecuteQueryPush`"))
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
