//! `jiesu serve`: load, bind, serve until a signal.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::{load, report};
use crate::batcher::BatcherConfig;
use crate::cli::serve::ServeArgs;
use crate::metrics;
use crate::server::{self, ServerConfig};

pub(super) fn run(args: &ServeArgs) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(rayon::current_num_threads())
        // They check and tokenise what comes.
        .max_blocking_threads(rayon::current_num_threads())
        .enable_all()
        .build()?;
    let report = runtime.block_on(async { report::begin(args.log_format) })?;
    if let Some(address) = args.metrics_listen {
        let bound = runtime.block_on(metrics::listen(address));
        let address = bound.with_context(|| format!("cannot listen on `{address}` for metrics"))?;
        tracing::info!(%address, "metrics");
    }
    let pipeline = Arc::new(load::pipeline(&args.model)?);
    let model = pipeline.classifier();
    metrics::model(model.name(), model.revision(), model.precision().name());
    let config = ServerConfig {
        batcher: BatcherConfig {
            max_queued_texts: args.max_queued_texts,
            max_batch_tokens: args.max_batch_tokens,
        },
        cache_bytes: u64::from(args.cache_mib) * (1 << 20),
        shutdown_grace: Duration::from_secs(args.shutdown_grace),
    };
    runtime.block_on(async {
        let listener = TcpListener::bind(args.listen)
            .await
            .with_context(|| format!("cannot listen on `{}`", args.listen))?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let shutdown = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        server::run(listener, Arc::clone(&pipeline), pipeline, config, shutdown).await
    })?;
    drop(report);
    // The model's threads may still be in long batches that nobody waits for.
    runtime.shutdown_background();
    Ok(ExitCode::SUCCESS)
}
