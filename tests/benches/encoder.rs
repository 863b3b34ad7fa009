//! Hidden states a second: one text, 32 texts of one length, and many texts of the lengths that come in.
//!
//! The weights are made from a formula: the arithmetic takes as long whatever the numbers are.
#![allow(clippy::unwrap_used, reason = "a bench may panic")]

#[path = "../common/mod.rs"]
mod common;

use std::time::Duration;

use common::{head, write_bundle};
use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use jiesu::classifier::{ModelConfig, Pooling};
use jiesu::encoder::{BertConfig, Encoder as _, FusedEncoder, Precision, Threads, WantedStates, Weights};
use jiesu::registry::ModelFiles;
use jiesu::tokenizer::EncodedText;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rand_distr::LogNormal;

/// Texts of so many tokens each.
const SHAPES: [(usize, usize); 6] = [(1, 32), (1, 128), (1, 256), (32, 32), (32, 128), (32, 256)];
/// Texts of the mix.
const MIXED: usize = 256;
/// Tokens of a text of the mix: the median, the spread of their logarithm, and where longer texts are cut.
const MIXED_TOKENS: (f64, f64, usize) = (90.0, 0.7, 256);
/// Most tokens of a batch, as in the classifier.
const MAX_BATCH_TOKENS: usize = 1024;

fn shape() -> BertConfig {
    BertConfig::new(21_128, 4, 312, 12, 1248)
}

fn weights() -> Weights {
    let folder = tempfile::tempdir().unwrap();
    let config = ModelConfig {
        bert: shape(),
        pooling: Pooling::Mean,
        max_tokens: 256,
        heads: vec![head("category", ["a", "b"])],
    };
    write_bundle(folder.path(), &config);
    Weights::load(&ModelFiles::folder(folder.path()).unwrap()).unwrap()
}

fn text(random: &mut ChaCha8Rng, tokens: usize) -> EncodedText {
    let vocabulary = shape().vocab_size as u32;
    EncodedText {
        input_ids: (0..tokens).map(|_| random.random_range(0..vocabulary)).collect(),
        token_type_ids: vec![0; tokens],
        spans: vec![None; tokens],
    }
}

#[expect(clippy::cast_sign_loss, reason = "a lognormal number is positive")]
fn mixed_lengths(random: &mut ChaCha8Rng) -> Vec<usize> {
    let (median, spread, longest) = MIXED_TOKENS;
    let lengths = LogNormal::new(median.ln(), spread).unwrap();
    let mut lengths: Vec<usize> =
        random.sample_iter(lengths).map(|tokens| (tokens as usize).clamp(2, longest)).take(MIXED).collect();
    lengths.sort_unstable();
    lengths
}

/// Names of workloads with the tokens of their texts.
fn workloads(random: &mut ChaCha8Rng) -> Vec<(String, Vec<usize>)> {
    let even = SHAPES.map(|(texts, tokens)| (format!("{texts}x{tokens}"), vec![tokens; texts]));
    let mut workloads = Vec::from(even);
    workloads.push((format!("{MIXED} mixed"), mixed_lengths(random)));
    workloads
}

/// Cuts texts into batches, none of more tokens than the classifier's are.
fn batches(texts: &[EncodedText]) -> Vec<Vec<&EncodedText>> {
    let mut batches = vec![Vec::new()];
    let mut tokens = 0;
    for text in texts {
        if tokens + text.len() > MAX_BATCH_TOKENS {
            batches.push(Vec::new());
            tokens = 0;
        }
        tokens += text.len();
        batches.last_mut().unwrap().push(text);
    }
    batches
}

fn encoder(criterion: &mut Criterion) {
    let (config, weights) = (shape(), weights());
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let workloads = workloads(&mut random);
    for precision in [Precision::F32, Precision::Int8] {
        let encoder = FusedEncoder::new(&config, &weights, precision).unwrap();
        for (threads, name) in [(Threads::One, "one thread"), (Threads::All, "all threads")] {
            let mut group = criterion.benchmark_group(format!("encoder/{}/{name}", precision.name()));
            group.sample_size(20).sampling_mode(SamplingMode::Flat).warm_up_time(Duration::from_secs(1));
            for (workload, lengths) in &workloads {
                let texts: Vec<EncodedText> =
                    lengths.iter().map(|tokens| text(&mut random, *tokens)).collect();
                let batches = batches(&texts);
                // Tokens.
                group.throughput(Throughput::Elements(lengths.iter().sum::<usize>() as u64));
                group.bench_function(BenchmarkId::from_parameter(workload), |bencher| {
                    bencher.iter(|| {
                        for batch in &batches {
                            std::hint::black_box(encoder.encode(batch, WantedStates::All, threads).unwrap());
                        }
                    });
                });
            }
            group.finish();
        }
    }
}

criterion_group!(benches, encoder);
criterion_main!(benches);
