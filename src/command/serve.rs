//! `jiesu serve`: load, bind, serve until a signal.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::load;
use crate::batcher::BatcherConfig;
use crate::cli::serve::{LogFormat, ServeArgs};
use crate::encoder::Precision;
use crate::metrics;
use crate::server::{self, ServerConfig};

pub(super) fn run(args: &ServeArgs) -> anyhow::Result<ExitCode> {
    init_logging(args.log_format)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(rayon::current_num_threads())
        .enable_all()
        .build()?;
    if let Some(address) = args.metrics_listen {
        let bound = runtime.block_on(metrics::listen(address));
        let address = bound.with_context(|| format!("cannot listen on `{address}` for metrics"))?;
        tracing::info!(%address, "metrics");
    }
    let pipeline = Arc::new(load::pipeline(&args.model)?);
    let model = pipeline.classifier();
    metrics::model(model.name(), model.revision(), Precision::from(args.model.quantize).name());
    let config = ServerConfig {
        batcher: BatcherConfig {
            max_queued_texts: args.max_queued_texts,
            max_batch_tokens: args.max_batch_tokens,
        },
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
    // The model's thread may still be in a long batch that nobody waits for.
    runtime.shutdown_background();
    Ok(ExitCode::SUCCESS)
}

fn init_logging(format: LogFormat) -> anyhow::Result<()> {
    let filter = match std::env::var(EnvFilter::DEFAULT_ENV) {
        Ok(filter) => EnvFilter::try_new(&filter).with_context(|| format!("RUST_LOG is `{filter}`"))?,
        Err(_) => EnvFilter::new("info"),
    };
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
    // The message of a panic may quote the text that was worked on.
    std::panic::set_hook(Box::new(|panic| {
        metrics::panicked();
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, "a panic");
    }));
    Ok(())
}
