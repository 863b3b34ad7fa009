//! The RPCs of `AdminService`: what operators ask of the service.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tonic::{Request, Response, Status};

use super::aside::aside;
use super::call::{Call, code};
use super::status;
use crate::error::{Error, Result as LoadResult};
use crate::live::Live;
use crate::message::explain;
use crate::metrics;
use crate::pb::admin_service_server::{AdminService, SERVICE_NAME};
use crate::pb::{
    ListModelsRequest, ListModelsResponse, LoadedModel, ReloadModelRequest, ReloadModelResponse,
    ReloadRequest, ReloadResponse,
};
use crate::shadow::Shadow;

mod models;

/// The service for operators.
#[derive(Debug, Clone)]
pub(super) struct Admin {
    live: Arc<Live>,
    shadow: Option<Arc<Shadow>>,
    /// One at a time reads the city's files.
    city: Arc<Semaphore>,
    /// One at a time loads models, which may take as long as a download.
    model: Arc<Semaphore>,
}

impl Admin {
    pub(super) fn new(live: Arc<Live>, shadow: Option<Arc<Shadow>>) -> Self {
        let turn = || Arc::new(Semaphore::new(1));
        Self { live, shadow, city: turn(), model: turn() }
    }

    /// Does what takes a while, when it is its turn.
    async fn load<T: Send + 'static>(
        &self,
        turn: &Arc<Semaphore>,
        load: impl FnOnce(&Self) -> LoadResult<T> + Send + 'static,
    ) -> Result<T, Status> {
        let turn = Arc::clone(turn).acquire_owned().await;
        let admin = self.clone();
        // The turn ends with the work, not with a caller who does not wait for it.
        let loaded = aside("reload", move || {
            let loaded = load(&admin);
            drop(turn);
            loaded
        });
        loaded.await?.map_err(|error| {
            // A revision that was not expected is no fault of the files.
            if !matches!(error, Error::UnexpectedRevision { .. }) {
                metrics::reload_failed("pipeline");
            }
            status::from_reload(&error)
        })
    }

    fn models(&self) -> Vec<LoadedModel> {
        let shadow = self.shadow.as_ref().map(|shadow| models::shadow(&shadow.status()));
        [models::active(&self.live)].into_iter().chain(shadow).collect()
    }
}

#[tonic::async_trait]
impl AdminService for Admin {
    async fn reload(&self, request: Request<ReloadRequest>) -> Result<Response<ReloadResponse>, Status> {
        let call = Call::of(SERVICE_NAME, "Reload", &request);
        let reloaded = self.load(&self.city, |admin| admin.live.reload_city()).await;
        call.end(code(&reloaded));
        let pipeline = reloaded?;
        Ok(Response::new(ReloadResponse {
            taxonomy_version: pipeline.taxonomy().version.clone(),
            directory_version: pipeline.directory().version.clone(),
            risk_rules_version: pipeline.city().risk_rules.version.clone(),
        }))
    }

    async fn reload_model(
        &self,
        request: Request<ReloadModelRequest>,
    ) -> Result<Response<ReloadModelResponse>, Status> {
        let call = Call::of(SERVICE_NAME, "ReloadModel", &request);
        let expected = request.into_inner().expected_revision;
        let reloaded = self.load(&self.model, move |admin| {
            admin.live.reload_model((!expected.is_empty()).then_some(&expected))?;
            // Its own failure is told with the models: the one that answers was replaced all the same.
            if let Some(Err(error)) = admin.shadow.as_ref().map(|shadow| shadow.reload()) {
                metrics::reload_failed("shadow");
                tracing::error!(error = %explain(&error), "the shadow model was not loaded again");
            }
            Ok(())
        });
        let reloaded = reloaded.await;
        call.end(code(&reloaded));
        reloaded?;
        Ok(Response::new(ReloadModelResponse { models: self.models() }))
    }

    async fn list_models(
        &self,
        request: Request<ListModelsRequest>,
    ) -> Result<Response<ListModelsResponse>, Status> {
        Call::of(SERVICE_NAME, "ListModels", &request).end(tonic::Code::Ok);
        Ok(Response::new(ListModelsResponse { models: self.models() }))
    }
}
