//! A process that has no file descriptors left. By itself, since the limit is the whole process's.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs::File;
use std::time::Duration;

use jiesu::listen::{Limits, Listener};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpStream;

use crate::service::{Served, ask, channel, connect_and_ask};

#[path = "listening/service.rs"]
mod service;

#[tokio::test]
async fn goes_on_when_there_are_descriptors_again() {
    let served = Served::start(Listener::tcp("127.0.0.1:0", None).await.unwrap(), Limits::default());
    let kept = channel(served.address(), None).await.unwrap();
    // Only then has it been accepted.
    ask(kept.clone()).await.unwrap();
    let limits = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(64), maximum: limits.maximum }).unwrap();
    let mut files: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    assert!(!files.is_empty());
    // One for the client: none is left for the server's side.
    files.pop();
    let waiting = TcpStream::connect(served.address()).await.unwrap();
    assert!(File::open("/dev/null").is_err());
    tokio::time::sleep(Duration::from_millis(500)).await;
    ask(kept.clone()).await.unwrap();
    files.clear();
    drop(waiting);
    connect_and_ask(served.address(), None).await.unwrap();
    ask(kept).await.unwrap();
}
