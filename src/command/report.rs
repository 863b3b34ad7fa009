//! What a running service says of itself: the log and, with the feature `otel`, traces.

use std::io::IsTerminal;

use anyhow::Context;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::cli::serve::LogFormat;
use crate::metrics;

/// What must be sent before the program ends; it is when this is dropped, while the runtime still runs.
#[must_use]
#[derive(Debug)]
pub(super) struct Report {
    #[cfg(feature = "otel")]
    traces: Option<traces::Provider>,
}

/// Begins to report, from within the runtime. The one place where the program is told to log.
///
/// # Errors
/// If the environment asks for what cannot be done.
pub(super) fn begin(format: LogFormat) -> anyhow::Result<Report> {
    let filter = match std::env::var(EnvFilter::DEFAULT_ENV) {
        Ok(filter) => EnvFilter::try_new(&filter).with_context(|| format!("RUST_LOG is `{filter}`"))?,
        Err(_) => EnvFilter::new("info"),
    };
    let log = tracing_subscriber::fmt::layer()
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let log = match format {
        LogFormat::Text => log.boxed(),
        LogFormat::Json => log.json().boxed(),
    };
    let reports = tracing_subscriber::registry().with(log.with_filter(filter));
    #[cfg(feature = "otel")]
    let (traces, reports) = {
        let traces = traces::provider()?;
        let layer = traces.as_ref().map(traces::layer);
        (traces, reports.with(layer))
    };
    reports.init();
    // The message of a panic may quote the text that was worked on.
    std::panic::set_hook(Box::new(|panic| {
        metrics::panicked();
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, "a panic");
    }));
    Ok(Report {
        #[cfg(feature = "otel")]
        traces,
    })
}

impl Drop for Report {
    fn drop(&mut self) {
        #[cfg(feature = "otel")]
        if let Some(Err(error)) = self.traces.as_ref().map(traces::Provider::shutdown) {
            tracing::warn!(%error, "the last traces could not be sent");
        }
    }
}

/// Traces over OTLP, as the environment variables of OpenTelemetry say.
#[cfg(feature = "otel")]
mod traces {
    use anyhow::Context;
    use opentelemetry::trace::TracerProvider;
    use opentelemetry::{Key, KeyValue};
    use opentelemetry_otlp::SpanExporter;
    use opentelemetry_sdk::Resource;
    pub(super) use opentelemetry_sdk::trace::SdkTracerProvider as Provider;
    use tracing::Subscriber;
    use tracing_subscriber::Layer;
    use tracing_subscriber::filter::filter_fn;
    use tracing_subscriber::registry::LookupSpan;

    /// Either turns traces on.
    const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];

    /// None where no endpoint is set.
    pub(super) fn provider() -> anyhow::Result<Option<Provider>> {
        if !ENDPOINTS.iter().any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty())) {
            return Ok(None);
        }
        let exporter = SpanExporter::builder().with_tonic().build().context("cannot send traces")?;
        Ok(Some(Provider::builder().with_batch_exporter(exporter).with_resource(resource()).build()))
    }

    /// Who sends: `jiesu` unless the environment has another name.
    fn resource() -> Resource {
        let resource =
            Resource::builder().with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
        let name = Resource::builder().build().get(&Key::new("service.name"));
        let named = name.is_some_and(|name| !name.as_str().starts_with("unknown_service"));
        if named { resource } else { resource.with_service_name("jiesu") }.build()
    }

    /// Sends the spans of this crate; what others do at their debug level is not ours to show.
    pub(super) fn layer<S>(provider: &Provider) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("jiesu"))
            .with_location(false)
            .with_threads(false)
            .with_filter(filter_fn(|metadata| metadata.is_span() && metadata.target().starts_with("jiesu::")))
    }
}
