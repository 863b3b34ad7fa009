//! jiesu.
pub mod classifier;
pub mod encoder;
pub mod label;
pub mod request;
pub mod tokenizer;
