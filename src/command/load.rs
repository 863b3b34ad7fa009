//! From the model arguments to a pipeline that is ready to answer.

use std::sync::{Arc, Mutex, PoisonError};

use crate::city::City;
use crate::classifier::SequenceClassifier;
use crate::cli::model::ModelArgs;
use crate::error::Result;
use crate::live::Source;
use crate::pipeline::Pipeline;
use crate::registry::{ModelFiles, ModelSource};

// `BUILT_IN_FILES`: the files of `models/default`, by name.
include!(concat!(env!("OUT_DIR"), "/built_in_model.rs"));

/// Loads the model and the city's files, and joins them.
pub(super) fn pipeline(args: &ModelArgs) -> Result<Arc<Pipeline>> {
    let city = City::load(&args.city.files())?;
    Ok(Arc::new(Pipeline::new(classifier(args)?, city)?))
}

/// Loads the model alone.
pub(super) fn classifier(args: &ModelArgs) -> Result<SequenceClassifier> {
    Ok(SequenceClassifier::load_in(&files(&args.model)?, args.quantize.into())?)
}

/// Finds the files of a model.
pub(super) fn files(model: &ModelSource) -> Result<ModelFiles> {
    Ok(model.open(|| ModelFiles::embedded("default", BUILT_IN_FILES))?)
}

/// What the arguments name, to be loaded again and again.
pub(super) struct Named {
    args: ModelArgs,
    /// The files that the model was last loaded from.
    files: Mutex<Option<ModelFiles>>,
}

impl Named {
    pub(super) fn new(args: ModelArgs) -> Self {
        Self { args, files: Mutex::default() }
    }
}

impl Source for Named {
    fn load_model(&self) -> Result<SequenceClassifier> {
        let files = files(&self.args.model)?;
        let model = SequenceClassifier::load_in(&files, self.args.quantize.into())?;
        files.check_unchanged()?;
        *self.files.lock().unwrap_or_else(PoisonError::into_inner) = Some(files);
        Ok(model)
    }

    fn load_city(&self) -> Result<City> {
        City::load(&self.args.city.files())
    }

    fn has_model(&self) -> bool {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).as_ref().is_some_and(ModelFiles::are_there)
    }

    fn model_name(&self) -> String {
        self.args.model.to_string()
    }
}
