//! A text has the same answer alone and among a thousand others, with the built-in model.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::texts;
use jiesu::classifier::{Classification, SequenceClassifier, top};
use jiesu::encoder::Precision;
use jiesu::registry::ModelFiles;
use jiesu::request::RequestText;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

const TEXTS: usize = 1000;

/// Texts of all lengths, most of them short so that the test is; one in 25 may be longer than what the model reads.
fn texts() -> Vec<RequestText> {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let longest = (0..TEXTS).map(|number| match (number / 25, number % 25) {
        (round, 0) => 4096 >> (round % 5),
        (_, place) => 2 << (place % 6),
    });
    let texts = longest.map(|longest| {
        let chars = random.random_range(1..=longest);
        RequestText::new("", &texts::text(&mut random, chars)).unwrap()
    });
    texts.collect()
}

/// Compares each head's logits of every text, given alone and with all others.
fn compare(precision: Precision, agree: impl Fn(&[f32], &[f32]) -> bool) {
    let files = ModelFiles::folder(concat!(env!("CARGO_MANIFEST_DIR"), "/models/default")).unwrap();
    let model = SequenceClassifier::load_in(&files, precision).unwrap();
    let texts = texts();
    let together = model.classify(&texts).unwrap();
    assert_eq!(together.len(), TEXTS);
    for (text, together) in texts.iter().zip(&together) {
        let alone = &model.classify([text]).unwrap()[0];
        for head in model.heads() {
            let logits = |answer: &Classification| answer.logits(&head.name).unwrap().to_vec();
            let (alone, together) = (logits(alone), logits(together));
            assert!(agree(&alone, &together), "{text:?}, {}: {alone:?} is not {together:?}", head.name);
            assert_eq!(top(&alone), top(&together), "{text:?}, {}", head.name);
        }
    }
}

#[test]
fn logits_in_floats_agree_to_four_digits() {
    compare(Precision::F32, |alone, together| {
        alone.iter().zip(together).all(|(alone, together)| (alone - together).abs() < 1e-4)
    });
}

#[test]
fn logits_in_8_bits_agree_to_the_last_bit() {
    compare(Precision::Int8, |alone, together| {
        alone.iter().zip(together).all(|(alone, together)| alone.to_bits() == together.to_bits())
    });
}
