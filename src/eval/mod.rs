//! How good a classifier is: figures on rows whose labels are known.
pub mod scores;
