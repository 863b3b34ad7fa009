//! Words of any kind are read without a panic, and what is said of them holds: personal data lies in the words and
//! does not overlap, a mask covers just that and leaves nothing to mask, normalised words come from somewhere in the
//! original and stay as they are when they are normalised again, and what an answer quotes stands where it says.

#![no_main]

use std::ops::Range;

use jiesu::encoder::Threads;
use jiesu::pipeline::Assess;
use jiesu::privacy;
use jiesu::request::{Field, RequestText};
use jiesu_fuzz::PIPELINE;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let words = String::from_utf8_lossy(data);
    let (title, text) = words.split_once('\n').unwrap_or(("", &words));
    check_mask(text);
    if let Ok(request) = RequestText::new(title, text) {
        check_normalised(&request);
    }
    check_answer(title, text);
});

fn check_mask(words: &str) {
    let spans = privacy::find(words);
    let masked = privacy::mask(words, &spans);
    assert_eq!(words.chars().count(), masked.chars().count());
    let mut end = 0;
    for span in &spans {
        assert!(end <= span.chars.start && span.chars.start < span.chars.end, "{spans:?}");
        end = span.chars.end;
    }
    assert!(end <= words.chars().count());
    let is_covered = |place: usize| spans.iter().any(|span| span.chars.contains(&place));
    for (place, (before, after)) in words.chars().zip(masked.chars()).enumerate() {
        assert_eq!(after, if is_covered(place) { '*' } else { before });
    }
    assert_eq!(privacy::find(&masked), [], "{words:?} masked is {masked:?}");
}

fn check_normalised(request: &RequestText) {
    for field in [Field::Title, Field::Text] {
        let chars = request.original(field).chars().count();
        for (start, c) in request.normalized(field).char_indices() {
            let span = request.original_chars(field, start..start + c.len_utf8());
            let span = span.expect("every character comes from somewhere");
            assert!(span.start < span.end && span.end <= chars, "{span:?} of {chars}");
        }
        assert_eq!(privacy::find(request.normalized(field)), [], "{:?}", request.original(field));
    }
    let [title, text] = [Field::Title, Field::Text].map(|field| request.normalized(field));
    let again = RequestText::new(title, text).expect("what is normalised is a request");
    assert_eq!([Field::Title, Field::Text].map(|field| again.normalized(field)), [title, text]);
}

fn check_answer(title: &str, text: &str) {
    let Ok(mut request) = PIPELINE.request(title, text, "") else { return };
    (request.explain, request.mask, request.scores) = (true, true, true);
    let answers =
        PIPELINE.assess(std::slice::from_ref(&request), Threads::One).expect("the tiny model answers");
    let [answer] = &answers[..] else { panic!("{} answers", answers.len()) };
    let quoted = |field: Field, span: Range<usize>, quote: &str| {
        let words = request.text.masked(field);
        assert!(span.start < span.end && span.end <= words.chars().count(), "{span:?}");
        assert!(words.chars().skip(span.start).take(span.len()).eq(quote.chars()), "{quote} at {span:?}");
    };
    for evidence in &answer.evidence {
        quoted(evidence.field, evidence.start..evidence.end, &evidence.text);
    }
    for alarm in &answer.risk_alarms {
        quoted(alarm.field, alarm.start..alarm.end, &alarm.text);
    }
    let labels = answer.categories.iter().chain(&answer.risks);
    assert!(labels.into_iter().all(|label| (0.0..=1.0).contains(&label.probability)));
    assert_eq!(answer.masked_text.chars().count(), text.chars().count());
}
