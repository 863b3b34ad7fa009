//! From words to token ids with the built-in model's vocabulary: what is spent on a text before the model sees it.
#![allow(clippy::unwrap_used, reason = "a bench may panic")]

#[path = "../common/mod.rs"]
mod common;

use common::texts;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use jiesu::classifier::ModelConfig;
use jiesu::registry::{CONFIG_FILE, ModelFiles};
use jiesu::request::RequestText;
use jiesu::tokenizer::TextTokenizer;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

/// Characters of a text: a short one, one as half of all requests are, one that the tokenizer must cut.
const LENGTHS: [usize; 3] = [20, 215, 2000];
/// Texts that are taken in turn, so that none is always in the cache.
const TEXTS: usize = 64;

fn tokenizer(criterion: &mut Criterion) {
    let files = ModelFiles::folder(concat!(env!("CARGO_MANIFEST_DIR"), "/models/default")).unwrap();
    let config = ModelConfig::from_json(&files.read_to_string(CONFIG_FILE).unwrap()).unwrap();
    let tokenizer = TextTokenizer::load(&files).unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut group = criterion.benchmark_group("tokenizer");
    for chars in LENGTHS {
        let texts: Vec<String> = (0..TEXTS).map(|_| texts::text(&mut random, chars)).collect();
        let requests: Vec<RequestText> =
            texts.iter().map(|text| RequestText::new("", text).unwrap()).collect();
        group.throughput(Throughput::Elements(chars as u64));
        group.bench_function(BenchmarkId::new("normalise", chars), |bencher| {
            let mut texts = texts.iter().cycle();
            bencher.iter(|| RequestText::new("", texts.next().unwrap()).unwrap());
        });
        group.bench_function(BenchmarkId::new("encode", chars), |bencher| {
            let mut requests = requests.iter().cycle();
            bencher.iter(|| tokenizer.encode(requests.next().unwrap(), config.max_tokens).unwrap());
        });
    }
    group.finish();
}

criterion_group!(benches, tokenizer);
criterion_main!(benches);
