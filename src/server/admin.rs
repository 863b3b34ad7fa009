//! The RPCs of `AdminService`: what operators ask of the service.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tonic::{Request, Response, Status};

use super::aside::aside;
use super::call::{Call, code};
use super::status;
use crate::live::Live;
use crate::pb::admin_service_server::{AdminService, SERVICE_NAME};
use crate::pb::{ReloadRequest, ReloadResponse};

/// The service for operators.
#[derive(Debug, Clone)]
pub(super) struct Admin {
    live: Arc<Live>,
    /// One at a time reads the files.
    turn: Arc<Semaphore>,
}

impl Admin {
    pub(super) fn new(live: Arc<Live>) -> Self {
        Self { live, turn: Arc::new(Semaphore::new(1)) }
    }

    async fn read_again(&self) -> Result<ReloadResponse, Status> {
        let _turn = self.turn.acquire().await;
        let live = Arc::clone(&self.live);
        let pipeline =
            aside("reload", move || live.reload()).await?.map_err(|error| status::from_reload(&error))?;
        Ok(ReloadResponse {
            taxonomy_version: pipeline.taxonomy().version.clone(),
            directory_version: pipeline.directory().version.clone(),
            risk_rules_version: pipeline.city().risk_rules.version.clone(),
        })
    }
}

#[tonic::async_trait]
impl AdminService for Admin {
    async fn reload(&self, request: Request<ReloadRequest>) -> Result<Response<ReloadResponse>, Status> {
        let call = Call::of(SERVICE_NAME, "Reload", &request);
        let reloaded = self.read_again().await;
        call.end(code(&reloaded));
        reloaded.map(Response::new)
    }
}
