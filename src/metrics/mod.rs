//! What the service counts and times, for [Prometheus]. The only place that spells the names.
//!
//! | name | kind | labels | what |
//! |---|---|---|---|
//! | `jiesu_calls_total` | counter | `method`, `code` | calls that ended, by gRPC status code |
//! | `jiesu_call_duration_seconds` | histogram | `method` | a call, from its message to its answer; a stream, from its headers to its end |
//! | `jiesu_texts_total` | counter | `outcome` | texts by what became of them, see [`Outcome`] |
//! | `jiesu_tokenize_duration_seconds` | histogram | | checking and tokenising the texts of a call, or one of a stream |
//! | `jiesu_queued_texts` | gauge | `lane` | texts that wait for the model |
//! | `jiesu_queue_wait_seconds` | histogram | `lane` | how long a text waited before its batch was formed |
//! | `jiesu_skipped_texts_total` | counter | `reason` | texts that were queued and never reached the model, see [`Skip`] |
//! | `jiesu_batch_texts` | histogram | | texts of a batch |
//! | `jiesu_batch_tokens` | histogram | | tokens of a batch |
//! | `jiesu_encode_duration_seconds` | histogram | | the model on a batch |
//! | `jiesu_cache_hits_total` | counter | | texts whose answer was known |
//! | `jiesu_cache_misses_total` | counter | | texts that were looked up in vain |
//! | `jiesu_panics_total` | counter | | panics |
//! | `jiesu_model_info` | gauge, 1 | `model`, `revision`, `precision` | the model that answers |
//! | `jiesu_model_state` | gauge, 0 or 1 | `state` | how the model does: `works`, `files_missing`, `failed`, `missing` |
//! | `jiesu_denials_total` | counter | `reason` | calls that were refused at the door: `no_key`, `unknown_key`, `expired_key`, `wrong_scope`, `too_fast`, `too_many` |
//! | `jiesu_certificate_not_after_seconds` | gauge | `file` | when the first certificate of the service's chain expires, seconds since 1970 |
//! | `jiesu_failed_reloads_total` | counter | `what` | reloads that failed: `pipeline`, `shadow`, `keys`, `certificates` |
//! | `jiesu_shadow_texts_total` | counter | `outcome` | texts that the shadow model was to answer, see [`Compared`] |
//! | `jiesu_shadow_differences_total` | counter | `what` | what it would have answered otherwise: `category`, `urgency`, `lead`, `decision` |
//! | `jiesu_grassroots_share` | gauge | | share of the latest requests that the grass roots lead, if the directory has a cap |
//! | `jiesu_dropped_decisions` | gauge | | answers since the start that the log of decisions had no time or room for |
//! | `jiesu_start_time_seconds` | gauge | | when the service started, seconds since 1970 |
//!
//! Labels are names and codes, never the citizens' words. Nothing is recorded until [`listen`] has been called: then a
//! record costs an atomic load. Afterwards it costs some tens of nanoseconds, and memory does not grow with the records.
//!
//! [Prometheus]: https://prometheus.io

use std::borrow::Cow;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime};

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Metric, Registry};

mod exporter;
mod labels;

pub use exporter::listen;
pub use labels::{Compared, Outcome, Skip};

use labels::{DENIALS, DIFFERENCES, MODEL_STATES, RELOADS};

/// Counts a call that ended with `code` after `duration`.
pub fn call(method: &'static str, code: String, duration: Duration) {
    record(|metrics| {
        let labels = [("method", method.into()), ("code", code.into())];
        metrics.calls.get_or_create(&labels).inc();
        metrics.call_duration.get_or_create(&label("method", method)).observe(duration.as_secs_f64());
    });
}

/// Counts texts of one outcome.
pub fn texts(outcome: Outcome, texts: usize) {
    record(|metrics| {
        metrics.texts.get_or_create(&label("outcome", outcome.name())).inc_by(texts as u64);
    });
}

/// Times the checking and tokenising of a call's texts.
pub fn tokenized(duration: Duration) {
    record(|metrics| metrics.tokenize_duration.observe(duration.as_secs_f64()));
}

/// Says how many texts wait in a lane.
pub fn queued(lane: &'static str, texts: usize) {
    record(|metrics| {
        metrics.queued.get_or_create(&label("lane", lane)).set(texts.cast_signed() as i64);
    });
}

/// Times a text's wait in a lane.
pub fn waited(lane: &'static str, duration: Duration) {
    record(|metrics| {
        metrics.queue_wait.get_or_create(&label("lane", lane)).observe(duration.as_secs_f64());
    });
}

/// Counts a queued text that is not worth the model's time any more.
pub fn skipped(reason: Skip) {
    record(|metrics| {
        metrics.skipped.get_or_create(&label("reason", reason.name())).inc();
    });
}

/// Counts the texts and tokens of a batch.
pub fn batch(texts: usize, tokens: usize) {
    record(|metrics| {
        metrics.batch_texts.observe(texts as f64);
        metrics.batch_tokens.observe(tokens as f64);
    });
}

/// Times the model on a batch.
pub fn encoded(duration: Duration) {
    record(|metrics| metrics.encode_duration.observe(duration.as_secs_f64()));
}

/// Counts a text whose answer was known.
pub fn cache_hit() {
    record(|metrics| {
        metrics.cache_hits.inc();
    });
}

/// Counts a text that was looked up in vain.
pub fn cache_miss() {
    record(|metrics| {
        metrics.cache_misses.inc();
    });
}

/// Counts a panic.
pub fn panicked() {
    record(|metrics| {
        metrics.panics.inc();
    });
}

/// Says which model answers, and in which numbers its encoder computes.
pub fn model(name: &str, revision: &str, precision: &'static str) {
    record(|metrics| {
        let labels = [
            ("model", name.to_owned().into()),
            ("revision", revision.to_owned().into()),
            ("precision", precision.into()),
        ];
        // The one before answers no more.
        metrics.model.clear();
        metrics.model.get_or_create(&labels).set(1);
    });
}

/// Says how the model does.
pub fn model_state(state: &'static str) {
    record(|metrics| {
        for other in MODEL_STATES {
            metrics.model_state.get_or_create(&label("state", other)).set(i64::from(other == state));
        }
    });
}

/// Counts a call that was refused at the door.
pub fn denied(reason: &'static str) {
    record(|metrics| {
        metrics.denials.get_or_create(&label("reason", reason)).inc();
    });
}

/// Says until when the certificates in a file are valid, in seconds since 1970.
pub fn certificate_not_after(file: String, seconds: i64) {
    record(|metrics| {
        metrics.certificate_not_after.get_or_create(&[("file", file.into())]).set(seconds);
    });
}

/// Counts a reload that failed.
pub fn reload_failed(what: &'static str) {
    record(|metrics| {
        metrics.failed_reloads.get_or_create(&label("what", what)).inc();
    });
}

/// Counts texts by what became of them in the comparison with a shadow model.
pub fn compared(compared: Compared, texts: usize) {
    record(|metrics| {
        metrics.shadow_texts.get_or_create(&label("outcome", compared.name())).inc_by(texts as u64);
    });
}

/// Counts something that a shadow model would have answered otherwise.
pub fn difference(what: &'static str) {
    record(|metrics| {
        metrics.shadow_differences.get_or_create(&label("what", what)).inc();
    });
}

/// Says which share of the latest requests is led by the grass roots.
pub fn grassroots_share(share: f64) {
    record(|metrics| {
        metrics.grassroots_share.set(share);
    });
}

/// Says how many answers the log of decisions lacks.
pub fn decisions_dropped(decisions: u64) {
    record(|metrics| {
        metrics.dropped_decisions.set(decisions.cast_signed());
    });
}

static METRICS: OnceLock<Metrics> = OnceLock::new();

fn record(record: impl FnOnce(&Metrics)) {
    if let Some(metrics) = METRICS.get() {
        record(metrics);
    }
}

type Labels<const N: usize> = [(&'static str, Cow<'static, str>); N];
type Histograms = Family<Labels<1>, Histogram, fn() -> Histogram>;

fn label(name: &'static str, value: &'static str) -> Labels<1> {
    [(name, Cow::Borrowed(value))]
}

#[derive(Debug)]
struct Metrics {
    registry: Registry,
    calls: Family<Labels<2>, Counter>,
    call_duration: Histograms,
    texts: Family<Labels<1>, Counter>,
    tokenize_duration: Histogram,
    queued: Family<Labels<1>, Gauge>,
    queue_wait: Histograms,
    skipped: Family<Labels<1>, Counter>,
    batch_texts: Histogram,
    batch_tokens: Histogram,
    encode_duration: Histogram,
    cache_hits: Counter,
    cache_misses: Counter,
    panics: Counter,
    model: Family<Labels<3>, Gauge>,
    model_state: Family<Labels<1>, Gauge>,
    denials: Family<Labels<1>, Counter>,
    certificate_not_after: Family<Labels<1>, Gauge>,
    failed_reloads: Family<Labels<1>, Counter>,
    shadow_texts: Family<Labels<1>, Counter>,
    shadow_differences: Family<Labels<1>, Counter>,
    grassroots_share: Gauge<f64, AtomicU64>,
    dropped_decisions: Gauge,
}

impl Metrics {
    /// Registers every metric; `_total` is added to the names of counters when they are written.
    #[rustfmt::skip] // One metric a line.
    fn new(start: SystemTime) -> Self {
        let mut registry = Registry::default();
        let durations = || Family::new_with_constructor(seconds as fn() -> Histogram);
        let start_time: Gauge = add(&mut registry, "jiesu_start_time_seconds", "When the service started, in seconds since 1970", Gauge::default());
        start_time.set(start.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs().cast_signed()));
        let metrics = Self {
            calls: add(&mut registry, "jiesu_calls", "Calls that ended, by gRPC status code", Family::default()),
            call_duration: add(&mut registry, "jiesu_call_duration_seconds", "A call, from its message to its answer", durations()),
            texts: add(&mut registry, "jiesu_texts", "Texts by what became of them", Family::default()),
            tokenize_duration: add(&mut registry, "jiesu_tokenize_duration_seconds", "Checking and tokenising the texts of a call", seconds()),
            queued: add(&mut registry, "jiesu_queued_texts", "Texts that wait for the model", Family::default()),
            queue_wait: add(&mut registry, "jiesu_queue_wait_seconds", "How long a text waited before its batch was formed", durations()),
            skipped: add(&mut registry, "jiesu_skipped_texts", "Texts that were queued and never reached the model", Family::default()),
            batch_texts: add(&mut registry, "jiesu_batch_texts", "Texts of a batch", Histogram::new(exponential_buckets(1.0, 2.0, 8))),
            batch_tokens: add(&mut registry, "jiesu_batch_tokens", "Tokens of a batch", Histogram::new(exponential_buckets(16.0, 2.0, 9))),
            encode_duration: add(&mut registry, "jiesu_encode_duration_seconds", "The model on a batch", seconds()),
            cache_hits: add(&mut registry, "jiesu_cache_hits", "Texts whose answer was known", Counter::default()),
            cache_misses: add(&mut registry, "jiesu_cache_misses", "Texts that were looked up in vain", Counter::default()),
            panics: add(&mut registry, "jiesu_panics", "Panics", Counter::default()),
            model: add(&mut registry, "jiesu_model_info", "The model that answers", Family::default()),
            model_state: add(&mut registry, "jiesu_model_state", "How the model does", Family::default()),
            denials: add(&mut registry, "jiesu_denials", "Calls that were refused at the door", Family::default()),
            certificate_not_after: add(&mut registry, "jiesu_certificate_not_after_seconds", "When the certificate expires, in seconds since 1970", Family::default()),
            failed_reloads: add(&mut registry, "jiesu_failed_reloads", "Reloads that failed", Family::default()),
            shadow_texts: add(&mut registry, "jiesu_shadow_texts", "Texts that the shadow model was to answer", Family::default()),
            shadow_differences: add(&mut registry, "jiesu_shadow_differences", "What the shadow model would have answered otherwise", Family::default()),
            grassroots_share: add(&mut registry, "jiesu_grassroots_share", "Share of the latest requests that the grass roots lead", Gauge::default()),
            dropped_decisions: add(&mut registry, "jiesu_dropped_decisions", "Answers that the log of decisions lacks", Gauge::default()),
            registry,
        };
        // What has not happened yet is 0, not absent: rates then see the first time.
        for outcome in Outcome::ALL {
            drop(metrics.texts.get_or_create(&label("outcome", outcome.name())));
        }
        for reason in Skip::ALL {
            drop(metrics.skipped.get_or_create(&label("reason", reason.name())));
        }
        for reason in DENIALS {
            drop(metrics.denials.get_or_create(&label("reason", reason)));
        }
        for what in RELOADS {
            drop(metrics.failed_reloads.get_or_create(&label("what", what)));
        }
        for outcome in Compared::ALL {
            drop(metrics.shadow_texts.get_or_create(&label("outcome", outcome.name())));
        }
        for what in DIFFERENCES {
            drop(metrics.shadow_differences.get_or_create(&label("what", what)));
        }
        metrics
    }

    /// All metrics as OpenMetrics text.
    fn render(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("a string takes all that is written to it");
        text
    }
}

fn add<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}

/// A histogram of times, from a tenth of a millisecond to ten seconds.
fn seconds() -> Histogram {
    Histogram::new([
        0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0,
    ])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    /// The names of all metrics, as the exporter writes them; none is without a record.
    fn exported() -> BTreeSet<String> {
        METRICS.get_or_init(|| Metrics::new(SystemTime::now()));
        call("ClassifyText", "Ok".to_owned(), Duration::ZERO);
        queued("bulk", 1);
        waited("bulk", Duration::ZERO);
        model("default", "1", "float32");
        model_state("works");
        denied("no_key");
        certificate_not_after("server.pem".to_owned(), 1);
        reload_failed("keys");
        compared(Compared::Same, 1);
        difference("lead");
        let text = METRICS.get().unwrap().render();
        text.lines().filter(|line| !line.starts_with('#')).filter_map(name).collect()
    }

    /// The first name of a metric in `text`, without what tells the parts of a histogram apart.
    fn name(text: &str) -> Option<String> {
        let begin = text.find("jiesu_")?;
        let is_part = |c: char| c.is_ascii_lowercase() || c == '_';
        let name = text[begin..].split(|c| !is_part(c)).next()?;
        let suffixes = ["_bucket", "_sum", "_count"];
        let plain = suffixes.iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
        Some(plain.to_owned())
    }

    #[test]
    fn the_module_documents_exactly_the_metrics_that_are_exported() {
        let documented: BTreeSet<String> = include_str!("mod.rs")
            .lines()
            .filter_map(|line| name(line.strip_prefix("//! | `").filter(|row| row.starts_with("jiesu_"))?))
            .collect();
        assert_eq!(documented, exported());
    }

    #[test]
    fn what_has_not_happened_yet_is_0_and_not_absent() {
        let text = Metrics::new(SystemTime::now()).render();
        for name in [
            r#"jiesu_texts_total{outcome="failed"} 0"#,
            r#"jiesu_denials_total{reason="unknown_key"} 0"#,
            r#"jiesu_failed_reloads_total{what="keys"} 0"#,
            r#"jiesu_shadow_texts_total{outcome="different"} 0"#,
            r#"jiesu_shadow_differences_total{what="lead"} 0"#,
        ] {
            assert!(text.contains(name), "{name} is not in {text}");
        }
    }

    #[test]
    fn the_dashboard_shows_every_metric_and_no_other() {
        let dashboard: Value = serde_json::from_str(include_str!("../../.grafana/jiesu.json")).unwrap();
        let mut shown = BTreeSet::new();
        for panel in dashboard["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let query = target["expr"].as_str().unwrap();
                shown.extend(query.match_indices("jiesu_").filter_map(|(begin, _)| name(&query[begin..])));
            }
        }
        assert_eq!(shown, exported());
    }
}
