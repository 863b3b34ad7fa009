//! The protocol `jiesu.v1` as Rust types, generated from `proto/jiesu/v1/jiesu.proto` when the crate is built.
#![allow(clippy::all, clippy::pedantic, clippy::use_self, unreachable_pub, reason = "generated")]

tonic::include_proto!("jiesu.v1");

/// The descriptors of the protocol, for server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/jiesu.v1.bin"));
