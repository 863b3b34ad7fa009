//! jiesu.
pub mod classifier;
pub mod cli;
pub mod command;
pub mod encoder;
pub mod eval;
pub mod label;
pub mod request;
pub mod tokenizer;
