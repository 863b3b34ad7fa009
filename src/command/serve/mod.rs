//! `jiesu serve`: load, bind, serve until a signal.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

use super::{load, report};
use crate::batcher::BatcherConfig;
use crate::cli::model::ModelArgs;
use crate::cli::serve::ServeArgs;
use crate::live::Live;
use crate::metrics;
use crate::records::{DecisionLimits, Records};
use crate::server::{self, ServerConfig, Serving};
use crate::shadow::Shadow;

mod protect;
mod reload;

use protect::Protected;
use reload::Reloads;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

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
    // From here on: by default a hangup ends a process.
    let hangup = runtime.block_on(async { signal(SignalKind::hangup()) })?;
    let live = Arc::new(Live::load(load::Named::new(args.model.clone()))?);
    let records = args.records.as_ref().map(|folder| Records::open(folder, limits(args))).transpose()?;
    let shadow = args.shadow_model.clone().map(|model| {
        let source = load::Named::new(ModelArgs { model, ..args.model.clone() });
        Shadow::start(Arc::clone(&live), source).context("cannot start the thread of the shadow model")
    });
    let shadow = shadow.transpose()?.map(Arc::new);
    let protected = Protected::load(&args.protect)?;
    let serving = Serving {
        live: Arc::clone(&live),
        model: shadow.clone().map_or(Arc::clone(&live) as _, |shadow| shadow as _),
        shadow: shadow.clone(),
        access: protected.access.clone(),
        records: records.map(Arc::new),
    };
    let config = ServerConfig {
        batcher: BatcherConfig {
            max_queued_texts: args.max_queued_texts,
            max_batch_tokens: args.max_batch_tokens,
        },
        cache_bytes: u64::from(args.cache_mib) * (1 << 20),
        shutdown_grace: Duration::from_secs(args.shutdown_grace),
    };
    runtime.block_on(async {
        let listeners = protected.listen(&args.listen, &args.protect).await?;
        let reloads = Arc::new(Reloads { live, shadow, protected });
        tokio::spawn(reload::on_hangup(hangup, Arc::clone(&reloads)));
        tokio::spawn(reload::on_change(reloads));
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let shutdown = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        server::run(listeners, serving, config, shutdown).await
    })?;
    drop(report);
    // The model's threads may still be in long batches that nobody waits for.
    runtime.shutdown_background();
    Ok(ExitCode::SUCCESS)
}

fn limits(args: &ServeArgs) -> DecisionLimits {
    DecisionLimits {
        max_age: DAY * args.decision_days.get(),
        max_bytes: u64::from(args.decision_mib.get()) * (1 << 20),
    }
}
