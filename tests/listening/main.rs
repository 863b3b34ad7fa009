//! Where connections come from: certificates, TLS and mutual TLS, Unix sockets, and clients that keep others waiting.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod certificates;
mod connections;
mod service;
mod tls;
