//! Training.
#![allow(dead_code)]
mod ops;
