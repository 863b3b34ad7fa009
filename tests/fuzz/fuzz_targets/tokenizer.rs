//! Any words become at most as many tokens as asked for, each known to the vocabulary and from a place in the words. A
//! vocabulary or a `tokenizer.json` of any content is used or refused.
//!
//! The library that reads `tokenizer.json`, which is not ours, panics on some damage; loading turns that into an error.

#![no_main]

use std::sync::LazyLock;

use jiesu::registry::ModelFiles;
use jiesu::request::{Field, RequestText};
use jiesu::tokenizer::{MIN_TOKENS, TextTokenizer};
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

static TOKENIZER: LazyLock<TextTokenizer> = LazyLock::new(|| {
    let tokenizer = TextTokenizer::load(&ModelFiles::embedded("tiny", &jiesu_fuzz::MODEL));
    tokenizer.expect("the tiny model has a tokenizer")
});

static FOLDER: LazyLock<TempDir> = LazyLock::new(jiesu_fuzz::folder);

/// What every tokenizer is asked to read.
static REQUEST: LazyLock<RequestText> = LazyLock::new(|| {
    RequestText::new("路灯", "小区路灯不亮 Lamp\u{301} aab [SEP] 😀 ㍿").expect("it is a request")
});

fuzz_target!(|data: &[u8]| {
    jiesu_fuzz::forgive_panics_in("tokenizers");
    let (what, data) = jiesu_fuzz::choice(data, 4);
    let file = match what {
        0 => {
            let (max_tokens, words) = jiesu_fuzz::choice(data, u8::MAX);
            let words = String::from_utf8_lossy(words);
            let (title, text) = words.split_once('\n').unwrap_or(("", &words));
            if let Ok(request) = RequestText::new(title, text) {
                check(&TOKENIZER, &request, max_tokens.into());
            }
            return;
        }
        1 => "vocab.txt",
        2 => "tokenizer_config.json",
        _ => "tokenizer.json",
    };
    let folder = FOLDER.path();
    for name in ["tokenizer_config.json", "tokenizer.json"] {
        let _ = std::fs::remove_file(folder.join(name));
    }
    let vocabulary = include_bytes!("../model/vocab.txt");
    std::fs::write(folder.join("vocab.txt"), vocabulary).expect("there is room in memory");
    std::fs::write(folder.join(file), data).expect("there is room in memory");
    let files = ModelFiles::folder(folder).expect("the folder is there");
    match TextTokenizer::load(&files) {
        Ok(tokenizer) => check(&tokenizer, &REQUEST, 24),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});

fn check(tokenizer: &TextTokenizer, request: &RequestText, max_tokens: usize) {
    let Ok(encoded) = tokenizer.encode(request, max_tokens) else { return };
    assert!((2..=max_tokens.max(MIN_TOKENS)).contains(&encoded.len()), "{} of {max_tokens}", encoded.len());
    assert_eq!(encoded.len(), encoded.token_type_ids.len());
    assert_eq!(encoded.len(), encoded.spans.len());
    assert!(encoded.token_type_ids.is_sorted() && encoded.token_type_ids.iter().all(|kind| *kind < 2));
    let largest = encoded.input_ids.iter().max().expect("there are tokens");
    assert!(tokenizer.check_vocab_size("fuzz", *largest as usize).is_err(), "a token beyond the vocabulary");
    for span in encoded.spans.iter().flatten() {
        let words = request.normalized(span.field);
        assert!(words.get(span.start..span.end).is_some(), "{span:?} of {words:?}");
    }
    assert_eq!(
        encoded.spans.iter().filter(|span| span.is_none()).count(),
        2 + usize::from(has_title(request))
    );
}

fn has_title(request: &RequestText) -> bool {
    !request.normalized(Field::Title).is_empty()
}
