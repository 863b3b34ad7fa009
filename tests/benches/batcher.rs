//! What the queue costs a text: the model behind it answers at once.
#![allow(clippy::unwrap_used, reason = "a bench may panic")]

use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use jiesu::assessment::{Assessment, Degradation};
use jiesu::batcher::{Batcher, BatcherConfig, Lane};
use jiesu::city::City;
use jiesu::encoder::Threads;
use jiesu::error::Result;
use jiesu::pipeline::{Assess, CitizenRequest, Pipeline};
use jiesu::tokenizer::EncodedText;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

/// Tokens of a text.
const TOKENS: usize = 90;

/// Answers at once, and the same to all.
struct Prompt(Assessment);

impl Prompt {
    /// Answers with what rules say of words without any risk, so that hardly anything is spent on it.
    fn new() -> Self {
        let answer = pipeline().by_rules(&[request()], Degradation::ModelMissing).pop().unwrap();
        Self(Assessment { departments: Vec::new(), rules: Vec::new(), ..answer })
    }
}

impl Assess for Prompt {
    fn assess(&self, requests: &[CitizenRequest], _: Threads) -> Result<Vec<Assessment>> {
        Ok(vec![self.0.clone(); requests.len()])
    }
}

fn pipeline() -> Arc<Pipeline> {
    static PIPELINE: LazyLock<Arc<Pipeline>> =
        LazyLock::new(|| Arc::new(Pipeline::without_model(City::built_in())));
    Arc::clone(&PIPELINE)
}

fn request() -> CitizenRequest {
    let mut request = pipeline().request("", "路灯不亮", "").unwrap();
    request.encoded = Some(EncodedText {
        input_ids: vec![0; TOKENS],
        token_type_ids: vec![0; TOKENS],
        spans: vec![None; TOKENS],
    });
    request
}

/// Who asks at a time, and for how much.
#[derive(Clone, Copy)]
struct Load {
    lane: Lane,
    /// How many ask at a time, each again as soon as it has its answer.
    callers: u64,
    /// Texts a call.
    texts: usize,
}

/// How long `calls` calls take, shared out among the callers; requests are made before the clock starts.
async fn time(batcher: &Batcher, Load { lane, callers, texts }: Load, calls: u64) -> Duration {
    let asks: Vec<Vec<Vec<CitizenRequest>>> = (0..callers)
        .map(|caller| {
            let calls = calls / callers + u64::from(caller < calls % callers);
            (0..calls).map(|_| vec![request(); texts]).collect()
        })
        .collect();
    let mut tasks = JoinSet::new();
    let begin = Instant::now();
    for ask in asks {
        let batcher = batcher.clone();
        tasks.spawn(async move {
            for requests in ask {
                let place = batcher.reserve(lane, requests.len(), None).unwrap();
                batcher.submit(place, requests, None).await.unwrap();
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    begin.elapsed()
}

fn batcher(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let config = BatcherConfig {
        max_queued_texts: NonZeroU32::new(1024).unwrap(),
        max_batch_tokens: NonZeroUsize::new(256).unwrap(),
    };
    let model: Arc<dyn Assess> = Arc::new(Prompt::new());
    let batcher = Batcher::start(&model, config).unwrap();
    let mut group = criterion.benchmark_group("batcher");
    for (name, load) in [
        ("1 caller", Load { lane: Lane::Interactive, callers: 1, texts: 1 }),
        ("64 callers", Load { lane: Lane::Interactive, callers: 64, texts: 1 }),
        ("1 caller of 64 texts", Load { lane: Lane::Bulk, callers: 1, texts: 64 }),
    ] {
        group.throughput(Throughput::Elements(load.texts as u64));
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter_custom(|calls| runtime.block_on(time(&batcher, load, calls)));
        });
    }
    group.finish();
}

criterion_group!(benches, batcher);
criterion_main!(benches);
