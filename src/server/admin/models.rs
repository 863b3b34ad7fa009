//! The models that are loaded, as operators see them.

use crate::classifier::SequenceClassifier;
use crate::live::{FailedReload, Live, ModelState};
use crate::pb;
use crate::server::status;
use crate::shadow::ShadowStatus;

/// The model that answers, or that there is none.
pub(super) fn active(live: &Live) -> pb::LoadedModel {
    let (pipeline, _) = live.pipeline();
    let model = pipeline.model().map(|model| outline(model));
    let state = match live.model_state() {
        ModelState::Works => pb::ModelState::Works,
        ModelState::FilesMissing => pb::ModelState::FilesMissing,
        ModelState::Failed => pb::ModelState::Failed,
        ModelState::Missing => pb::ModelState::Missing,
    };
    pb::LoadedModel {
        role: pb::ModelRole::Active.into(),
        state: state.into(),
        source: live.model_name(),
        since: model.is_some().then(|| live.since().into()),
        model,
        failed_reload: live.failed_reload().map(failed_reload),
        comparison: None,
    }
}

/// A model that answers unheard.
pub(super) fn shadow(shadow: &ShadowStatus) -> pb::LoadedModel {
    let state = match (&shadow.model, shadow.failing) {
        (None, _) => pb::ModelState::Missing,
        (Some(_), true) => pb::ModelState::Failed,
        (Some(_), false) => pb::ModelState::Works,
    };
    pb::LoadedModel {
        role: pb::ModelRole::Shadow.into(),
        state: state.into(),
        source: shadow.source.clone(),
        model: shadow.model.as_ref().map(|(model, _)| outline(model)),
        since: shadow.model.as_ref().map(|(_, since)| (*since).into()),
        failed_reload: shadow.failed_reload.clone().map(failed_reload),
        comparison: Some(pb::ShadowComparison {
            compared: (shadow.same + shadow.different).cast_signed(),
            different: shadow.different.cast_signed(),
            dropped: shadow.dropped.cast_signed(),
            failed: shadow.failed.cast_signed(),
        }),
    }
}

fn failed_reload(FailedReload { at, problem }: FailedReload) -> pb::FailedReload {
    pb::FailedReload { at: Some(at.into()), problem: status::cut(&problem) }
}

/// A model without its heads.
fn outline(model: &SequenceClassifier) -> pb::Model {
    pb::Model {
        name: model.name().to_owned(),
        revision: model.revision().to_owned(),
        heads: Vec::new(),
        max_tokens: i32::try_from(model.max_tokens()).unwrap_or(i32::MAX),
    }
}
