//! Texts to labels.
mod config;

pub use config::{HeadConfig, ModelConfig, ModelConfigError, PRIMARY_HEAD, Pooling, Problem};
