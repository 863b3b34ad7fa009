//! How fast texts are classified: the model in this process, or a service over its protocol.

use hdrhistogram::Histogram;
use serde::Serialize;

mod in_process;
mod service;

pub use in_process::{ModelFigures, measure_model};
pub use service::{Load, Pace, ServiceFigures, measure_service};

/// Latencies in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LatencyFigures {
    /// Latencies measured.
    pub count: u64,
    /// Their mean.
    pub mean: f64,
    /// Half are at most this.
    pub p50: f64,
    /// Nine of ten are at most this.
    pub p90: f64,
    /// 99 of 100 are at most this.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

/// Counts latencies from a microsecond to an hour, three digits each.
fn latencies() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 3_600_000_000, 3).expect("the bounds are in order")
}

impl From<&Histogram<u64>> for LatencyFigures {
    fn from(microseconds: &Histogram<u64>) -> Self {
        let milliseconds = |microseconds: u64| microseconds as f64 / 1e3;
        let quantile = |quantile| milliseconds(microseconds.value_at_quantile(quantile));
        Self {
            count: microseconds.len(),
            mean: microseconds.mean() / 1e3,
            p50: quantile(0.5),
            p90: quantile(0.9),
            p99: quantile(0.99),
            max: milliseconds(microseconds.max()),
        }
    }
}
