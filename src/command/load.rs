//! From the model arguments to a pipeline that is ready to answer.

use std::sync::Arc;

use crate::classifier::SequenceClassifier;
use crate::cli::model::ModelArgs;
use crate::dispatch::Directory;
use crate::error::{Error, Result};
use crate::pipeline::Pipeline;
use crate::registry::{ModelFiles, ModelSource};
use crate::taxonomy::Taxonomy;

// `BUILT_IN_FILES`: the files of `models/default`, by name.
include!(concat!(env!("OUT_DIR"), "/built_in_model.rs"));

/// Loads the model, the taxonomy and the directory, and joins them.
pub(super) fn pipeline(args: &ModelArgs) -> Result<Pipeline> {
    let taxonomy = taxonomy(args)?;
    let directory = directory(args, &taxonomy)?;
    Pipeline::new(classifier(args)?, taxonomy, directory)
}

/// Loads the model alone.
pub(super) fn classifier(args: &ModelArgs) -> Result<SequenceClassifier> {
    Ok(SequenceClassifier::load_in(&files(&args.model)?, args.quantize.into())?)
}

/// Finds the files of a model.
pub(super) fn files(model: &ModelSource) -> Result<ModelFiles> {
    Ok(model.open(|| ModelFiles::embedded("default", BUILT_IN_FILES))?)
}

/// Loads the taxonomy alone.
pub(super) fn taxonomy(args: &ModelArgs) -> Result<Arc<Taxonomy>> {
    Ok(match &args.taxonomy {
        Some(file) => Arc::new(Taxonomy::load(file)?),
        None => Taxonomy::built_in(),
    })
}

/// Loads the directory alone.
pub(super) fn directory(args: &ModelArgs, taxonomy: &Taxonomy) -> Result<Arc<Directory>> {
    Ok(match &args.directory {
        Some(file) => Arc::new(Directory::load(file, taxonomy)?),
        None => Arc::new(Directory::built_in_for(taxonomy).map_err(Error::BuiltInDirectory)?),
    })
}
