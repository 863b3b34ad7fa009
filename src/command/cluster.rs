//! `jiesu cluster`: this machine as a scheduler or an executor.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use tokio::signal::unix::{SignalKind, signal};

use super::load;
use crate::batch::cluster::{Executor, ExecutorOptions, Scheduler};
use crate::batch::{Classify, Stamp};
use crate::cli::cluster::{ClusterArgs, ClusterCommand, ExecutorArgs, SchedulerArgs};

/// What is logged unless `RUST_LOG` says otherwise: Ballista tells each turn of its loops.
const LOGGED: &str = "info,ballista_core=off,ballista_executor=off,ballista_scheduler=warn,ballista_scheduler::state::executor_manager=off";

pub(super) fn run(args: &ClusterArgs) -> anyhow::Result<ExitCode> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| LOGGED.into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match &args.command {
            ClusterCommand::Scheduler(args) => schedule(args).await,
            ClusterCommand::Executor(args) => execute(args).await,
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn schedule(args: &SchedulerArgs) -> anyhow::Result<()> {
    let scheduler = Scheduler::bind(args.listen).await;
    let scheduler = scheduler.with_context(|| format!("cannot listen at {}", args.listen))?;
    tracing::info!(address = %scheduler.address()?, "scheduling");
    scheduler.serve(stopped()).await
}

async fn execute(args: &ExecutorArgs) -> anyhow::Result<()> {
    if args.listen.ip().is_loopback() && !args.scheduler.is_loopback() {
        bail!(
            "{} is reached from this machine alone, but the scheduler {} is on another\nhint: `--listen ADDRESS:0`, with an address of this machine that clients reach",
            args.listen,
            args.scheduler
        );
    }
    let pipeline = load::pipeline(&args.model)?;
    let options = ExecutorOptions {
        cluster: args.scheduler.clone(),
        listen: args.listen,
        work_dir: args.work_dir.clone(),
        stamp: Stamp::new(&pipeline, &args.model.city.files())?,
    };
    let function = Arc::new(Classify::new(pipeline).into_function());
    let executor = Executor::bind(options, function).await;
    let executor = executor.with_context(|| format!("cannot listen at {}", args.listen))?;
    tracing::info!(address = %executor.address()?, "executing");
    // Whoever asks twice is in a hurry.
    executor.serve(stopped(), stopped()).await
}

/// Waits for SIGTERM or SIGINT.
async fn stopped() {
    let (Ok(mut terminated), Ok(mut interrupted)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminated.recv() => (),
        _ = interrupted.recv() => (),
    }
}
