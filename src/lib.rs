//! jiesu (接诉) reads a citizen's request, says what it is about, and suggests who must act.
//!
//! The path of a request, each step a module:
//!
//! ```text
//! words ─▶ request    checked and normalised: NFKC, 繁→简, whitespace
//!       ─▶ tokenizer  title and text as token ids, head and tail of what is too long
//!       ─▶ encoder    BERT: hidden states, one a token
//!       ─▶ classifier heads, calibrated probabilities, evidence
//!       ─▶ pipeline   the decision, accept or review
//!       ─▶ dispatch   lead, supporting and territorial units with their reasons
//! ```
//!
//! Beside that path: [`risk`] (words that a hotline must not miss, model or not), [`privacy`] (personal data, found and
//! masked). Below it: [`label`], [`taxonomy`] (what labels mean), [`city`] (what a city owns), [`registry`] (where models
//! come from), [`rows`] (tabular files), [`table`] (files of labelled requests). Above it: [`live`] (what answers now),
//! [`shadow`] (what would), [`batcher`], [`listen`] and [`access`] (who may call) and [`server`] (gRPC), what they count
//! ([`metrics`]) and keep ([`records`]), [`client`] (how to reach one), `batch` (years of records), [`eval`], [`trial`] (a city's own examples), [`train`],
//! [`quantize`], and the program's
//! [`cli`] and [`command`]s, whose settings also come from the environment and a file ([`config`]). Imports point downwards only.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use jiesu::city::City;
//! use jiesu::classifier::SequenceClassifier;
//! use jiesu::encoder::Threads;
//! use jiesu::pipeline::{Assess, Pipeline};
//! use jiesu::registry::ModelFiles;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let model = SequenceClassifier::load(&ModelFiles::folder("models/default")?)?;
//! let pipeline = Arc::new(Pipeline::new(model, City::built_in())?);
//! let request = pipeline.request("", "小区物业乱收停车费，业委会也不管", "朝阳区")?;
//! let answers = pipeline.assess(&[request], Threads::All)?;
//! println!("{:?}: {}", answers[0].category, answers[0].departments[0].name);
//! # Ok(())
//! # }
//! ```

pub mod access;
mod again;
pub mod assessment;
#[cfg(feature = "batch")]
pub mod batch;
pub mod batcher;
pub mod bench;
pub mod city;
pub mod classifier;
pub mod cli;
pub mod client;
pub mod command;
pub mod config;
pub mod dispatch;
pub mod encoder;
pub mod error;
pub mod eval;
pub mod fault;
pub mod label;
pub mod listen;
pub mod live;
pub mod message;
pub mod metrics;
pub mod pb;
pub mod pipeline;
mod plain_file;
pub mod privacy;
pub mod quantize;
pub mod records;
pub mod registry;
pub mod request;
pub mod risk;
pub mod rows;
pub mod server;
pub mod shadow;
pub mod table;
pub mod taxonomy;
pub mod terms;
pub mod tokenizer;
pub mod train;
pub mod trial;
mod whole_file;
