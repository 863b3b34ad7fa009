//! A service under load, at a given concurrency ("closed loop") or rate ("open loop").
//!
//! In an open loop a latency counts from when the call was due, not from when it was sent: what is called coordinated
//! omission otherwise hides every stall (Tene, "How NOT to Measure Latency", 2013).

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;
use tokio::task::JoinSet;
use tonic::{Code, Request};

use super::{LatencyFigures, latencies};
use crate::client::{ConnectError, Connection, Connector};
use crate::pb::dispatch_service_client::DispatchServiceClient;
use crate::pb::{BatchClassifyTextsRequest, ClassifyTextRequest, GetModelRequest};

/// HTTP/2 connections that calls are spread over.
const CONNECTIONS: usize = 4;

/// What is asked of the service, and how often.
#[derive(Debug, Clone)]
pub struct Load {
    /// What reaches it.
    pub connector: Connector,
    /// The words; they are sent in turn, again and again.
    pub texts: Vec<String>,
    /// Texts a call.
    pub batch_size: NonZeroUsize,
    /// When calls are sent.
    pub pace: Pace,
    /// How long.
    pub duration: Duration,
    /// Deadline of a call.
    pub timeout: Duration,
}

/// When calls are sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// So many are in flight.
    Concurrency(NonZeroUsize),
    /// So many are due a second.
    Rate(f64),
}

/// What a service reached.
#[derive(Debug, Clone, Serialize)]
pub struct ServiceFigures {
    /// Calls that were sent.
    pub calls: u64,
    /// Texts of answered calls, a second.
    pub texts_per_s: f64,
    /// Calls by how they ended, as gRPC codes.
    pub outcomes: BTreeMap<String, u64>,
    /// Latency of answered calls, in milliseconds.
    pub answered_ms: LatencyFigures,
    /// Latency of all other calls, in milliseconds.
    pub failed_ms: LatencyFigures,
}

/// Counts of calls by outcome.
struct Tally {
    outcomes: BTreeMap<String, u64>,
    answered: Histogram<u64>,
    failed: Histogram<u64>,
}

/// Sends calls until the time is up and waits for their answers.
///
/// # Errors
/// If the service cannot be reached at all.
pub async fn measure_service(load: Load) -> Result<ServiceFigures, ConnectError> {
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        clients.push(DispatchServiceClient::new(load.connector.connect().await?));
    }
    // Who is not let in need not send thousands of calls to find out.
    if let Err(status) = clients[0].get_model(GetModelRequest {}).await
        && let Some(refusal) = load.connector.refusal(&status)
    {
        return Err(refusal);
    }
    let caller = Arc::new(Caller { clients, load, next: AtomicUsize::new(0) });
    let begin = Instant::now();
    let tally = match caller.load.pace {
        Pace::Concurrency(calls) => closed_loop(&caller, calls.get(), begin).await,
        Pace::Rate(rate) => open_loop(&caller, rate, begin).await,
    };
    let answered = tally.outcomes.get(&name(Code::Ok)).copied().unwrap_or(0);
    let texts = answered * caller.load.batch_size.get() as u64;
    Ok(ServiceFigures {
        calls: tally.outcomes.values().sum(),
        texts_per_s: texts as f64 / begin.elapsed().as_secs_f64(),
        outcomes: tally.outcomes,
        answered_ms: LatencyFigures::from(&tally.answered),
        failed_ms: LatencyFigures::from(&tally.failed),
    })
}

async fn closed_loop(caller: &Arc<Caller>, calls: usize, begin: Instant) -> Tally {
    let mut loops = JoinSet::new();
    for _ in 0..calls {
        let caller = Arc::clone(caller);
        loops.spawn(async move {
            let mut tally = Tally::new();
            while begin.elapsed() < caller.load.duration {
                let sent = Instant::now();
                tally.add(caller.call().await, sent.elapsed());
            }
            tally
        });
    }
    sum(loops).await
}

async fn open_loop(caller: &Arc<Caller>, rate: f64, begin: Instant) -> Tally {
    let mut calls = JoinSet::new();
    let mut total = Tally::new();
    for number in 0.. {
        let due = Duration::from_secs_f64(f64::from(number) / rate);
        if due >= caller.load.duration {
            break;
        }
        tokio::time::sleep_until((begin + due).into()).await;
        let caller = Arc::clone(caller);
        calls.spawn(async move {
            let code = caller.call().await;
            (code, begin.elapsed().saturating_sub(due))
        });
        while let Some(Ok((code, latency))) = calls.try_join_next() {
            total.add(code, latency);
        }
    }
    while let Some(Ok((code, latency))) = calls.join_next().await {
        total.add(code, latency);
    }
    total
}

async fn sum(mut loops: JoinSet<Tally>) -> Tally {
    let mut total = Tally::new();
    while let Some(Ok(tally)) = loops.join_next().await {
        for (outcome, calls) in tally.outcomes {
            *total.outcomes.entry(outcome).or_default() += calls;
        }
        for (total, part) in [(&mut total.answered, tally.answered), (&mut total.failed, tally.failed)] {
            total.add(part).expect("all histograms have the same bounds");
        }
    }
    total
}

impl Tally {
    fn new() -> Self {
        Self { outcomes: BTreeMap::new(), answered: latencies(), failed: latencies() }
    }

    fn add(&mut self, code: Code, latency: Duration) {
        *self.outcomes.entry(name(code)).or_default() += 1;
        let latencies = if code == Code::Ok { &mut self.answered } else { &mut self.failed };
        latencies.saturating_record(latency.as_micros() as u64);
    }
}

fn name(code: Code) -> String {
    format!("{code:?}")
}

/// Sends one call after the other.
struct Caller {
    clients: Vec<DispatchServiceClient<Connection>>,
    load: Load,
    next: AtomicUsize,
}

impl Caller {
    async fn call(&self) -> Code {
        let size = self.load.batch_size.get();
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let texts = self.load.texts.iter().cycle().skip(number * size % self.load.texts.len()).take(size);
        let mut requests: Vec<_> =
            texts.map(|text| ClassifyTextRequest { text: text.clone(), ..Default::default() }).collect();
        let mut client = self.clients[number % self.clients.len()].clone();
        let ended = if size == 1 {
            client.classify_text(self.timed(requests.remove(0))).await.err()
        } else {
            client.batch_classify_texts(self.timed(BatchClassifyTextsRequest { requests })).await.err()
        };
        ended.map_or(Code::Ok, |status| status.code())
    }

    fn timed<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(self.load.timeout);
        request
    }
}
