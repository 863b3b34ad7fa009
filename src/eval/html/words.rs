//! How numbers, headings and texts are written on the page.

use std::iter;

use maud::{Markup, html};

use crate::eval::report::{Estimate, Span};

/// English with the Chinese beside it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Term {
    /// English.
    pub(super) en: &'static str,
    /// Chinese.
    pub(super) zh: &'static str,
}

/// A term.
pub(super) const fn term(en: &'static str, zh: &'static str) -> Term {
    Term { en, zh }
}

impl maud::Render for Term {
    fn render(&self) -> Markup {
        html! { (self.en) " " span.zh lang="zh-Hans" { (self.zh) } }
    }
}

/// Three decimals, with a true minus sign.
pub(super) fn decimal(figure: f64) -> String {
    let written = format!("{figure:.3}");
    // A figure just below 0 would read as minus nothing.
    let written = if written == "-0.000" { "0.000".to_owned() } else { written };
    written.replace('-', "\u{2212}")
}

/// A share as per cent, without decimals where there are none: `95 %`, `92.5 %`.
pub(super) fn percent(share: f64) -> String {
    let tenths = (share * 1_000.0).round() / 10.0;
    format!("{tenths}\u{a0}%")
}

/// A count with thin spaces between the thousands: `12 345`.
pub(super) fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut written = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            written.push('\u{202f}');
        }
        written.push(digit);
    }
    written
}

/// Both ends of an interval, or nothing.
pub(super) fn interval(estimate: Estimate) -> Markup {
    html! {
        @if let Some((low, high)) = estimate.interval() {
            (decimal(low)) "\u{2009}–\u{2009}" (decimal(high))
        }
    }
}

/// A text from outside, kept from reordering what stands around it.
pub(super) fn text(text: &str) -> Markup {
    html! { bdi.text lang="zh-Hans" { (text) } }
}

/// A text with the spans marked: the more an answer rests on the words, the stronger. The spans lie in order.
pub(super) fn marked(text: &str, spans: &[Span]) -> Markup {
    let characters: Vec<char> = text.chars().collect();
    let piece = |start: usize, end: usize| characters[start..end].iter().collect::<String>();
    let mut ends = spans.iter().map(|span| span.end);
    let plain_starts = iter::once(0).chain(ends.clone());
    html! {
        bdi.text lang="zh-Hans" {
            @for (plain_start, span) in plain_starts.zip(spans) {
                (piece(plain_start, span.start))
                mark class=(strength(span.weight)) { (piece(span.start, span.end)) }
            }
            (piece(ends.next_back().unwrap_or(0), characters.len()))
        }
    }
}

/// One of three strengths for words that speak for an answer, one for those that speak against it.
fn strength(weight: f64) -> &'static str {
    match weight {
        ..0.0 => "against",
        0.0..0.34 => "for1",
        0.34..0.67 => "for2",
        _ => "for3",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_have_three_decimals_and_a_true_minus() {
        assert_eq!(decimal(0.8), "0.800");
        assert_eq!(decimal(-0.25), "\u{2212}0.250");
        assert_eq!(decimal(-0.0001), "0.000");
    }

    #[test]
    fn counts_are_grouped_by_thousands() {
        assert_eq!(count(7), "7");
        assert_eq!(count(123_456), "123\u{202f}456");
        assert_eq!(count(1_234_567), "1\u{202f}234\u{202f}567");
    }

    #[test]
    fn per_cent_have_decimals_only_where_needed() {
        assert_eq!(percent(0.95), "95\u{a0}%");
        assert_eq!(percent(0.925), "92.5\u{a0}%");
    }

    #[test]
    fn spans_count_characters_not_bytes() {
        let spans = [Span { start: 2, end: 4, weight: 0.9 }, Span { start: 5, end: 6, weight: -0.2 }];
        let marked = marked("小区停水<两>天", &spans).into_string();
        assert!(
            marked.contains(r#"小区<mark class="for3">停水</mark>&lt;<mark class="against">两</mark>&gt;天"#)
        );
    }

    proptest! {
        #[test]
        fn no_text_brings_markup_of_its_own(hostile in any::<String>()) {
            let shown = text(&hostile).into_string();
            let inner = &shown[shown.find('>').unwrap() + 1..shown.len() - "</bdi>".len()];
            prop_assert!(!inner.contains(['<', '>', '"']));
        }
    }
}
