//! The RPCs of `AdminService`: what operators ask of the service.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::call::Call;
use super::status;
use crate::live::Live;
use crate::pb::admin_service_server::AdminService;
use crate::pb::{ReloadRequest, ReloadResponse};

/// The service for operators.
#[derive(Debug, Clone)]
pub(super) struct Admin {
    pub(super) live: Arc<Live>,
}

#[tonic::async_trait]
impl AdminService for Admin {
    async fn reload(&self, request: Request<ReloadRequest>) -> Result<Response<ReloadResponse>, Status> {
        let call = Call::begin("Reload", &request);
        let live = Arc::clone(&self.live);
        let reloaded = tokio::task::spawn_blocking(move || live.reload()).await;
        let reloaded = reloaded.map_err(|_| Status::internal("the files could not be read"));
        let pipeline = reloaded.and_then(|pipeline| pipeline.map_err(|error| status::from_reload(&error)));
        call.end(pipeline.as_ref().err().map_or(tonic::Code::Ok, Status::code));
        let pipeline = pipeline?;
        Ok(Response::new(ReloadResponse {
            taxonomy_version: pipeline.taxonomy().version.clone(),
            directory_version: pipeline.directory().version.clone(),
            risk_rules_version: pipeline.city().risk_rules.version.clone(),
        }))
    }
}
