//! BERT for inference.
mod config;

pub use config::{BertConfig, BertConfigError, HiddenAct};
