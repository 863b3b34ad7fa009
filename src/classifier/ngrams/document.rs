//! Which n-grams a text has, and where.

use crate::request::{Field, RequestText};
use crate::tokenizer::TokenSpan;

/// Characters that are read from the start of a long text.
const HEAD_CHARS: usize = 220;
/// Characters that are read from its end.
const TAIL_CHARS: usize = 80;
/// Longest n-gram, in characters.
const MAX_N: usize = 3;
/// Bits of a character in a key.
const CHAR_BITS: u32 = 21;
/// Marks n-grams of the title alone.
pub(super) const TITLE_KEY: u64 = 1 << 63;

/// One occurrence of an n-gram.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gram {
    /// Its characters and whether it is of the title's part; different n-grams have different keys.
    pub(super) key: u64,
    /// Place of its first character in [`NgramDocument::places`].
    pub(super) first: u32,
    /// Number of its characters.
    pub(super) len: u8,
}

/// The n-grams of a text.
#[derive(Debug, Clone)]
pub(crate) struct NgramDocument {
    /// Where each character stands; `None` for what separates title, head and tail.
    pub(super) places: Vec<Option<TokenSpan>>,
    pub(super) grams: Vec<Gram>,
}

impl NgramDocument {
    pub(crate) fn new(text: &RequestText) -> Self {
        let title = characters(text, Field::Title);
        let words = characters(text, Field::Text);
        let (head, tail) = if words.len() > HEAD_CHARS + TAIL_CHARS {
            (&words[..HEAD_CHARS], &words[words.len() - TAIL_CHARS..])
        } else {
            (&words[..], &[][..])
        };
        let mut document = Self { places: Vec::new(), grams: Vec::new() };
        document.add(&title, TITLE_KEY);
        document.add(&[&title, head, tail].join(&('\n', None)), 0);
        document
    }

    fn add(&mut self, characters: &[(char, Option<TokenSpan>)], part: u64) {
        let offset = self.places.len();
        self.places.extend(characters.iter().map(|(_, place)| place));
        for start in 0..characters.len() {
            let mut key = 0;
            for (len, (c, _)) in (1..).zip(characters[start..].iter().take(MAX_N)) {
                key = key << CHAR_BITS | u64::from(u32::from(*c));
                self.grams.push(Gram { key: key | part, first: (offset + start) as u32, len });
            }
        }
    }

    /// The keys of the n-grams, as often as they occur.
    pub(crate) fn keys(&self) -> impl Iterator<Item = u64> {
        self.grams.iter().map(|gram| gram.key)
    }
}

/// The visible characters of a field in lower case, with their places.
fn characters(text: &RequestText, field: Field) -> Vec<(char, Option<TokenSpan>)> {
    let words = text.normalized(field);
    words
        .char_indices()
        .filter(|(_, c)| !c.is_whitespace())
        .map(|(start, c)| {
            let place = TokenSpan { field, start, end: start + c.len_utf8() };
            // A few characters become two in lower case; the first will do.
            (c.to_lowercase().next().unwrap_or(c), Some(place))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(title: &str, text: &str) -> NgramDocument {
        NgramDocument::new(&RequestText::new(title, text).unwrap())
    }

    #[test]
    fn only_head_and_tail_of_a_long_text_are_read() {
        let long = format!("{}{}{}", "甲".repeat(220), "乙".repeat(500), "丙".repeat(80));
        let keys: Vec<u64> = document("", &long).keys().collect();
        let key = |c: char| u64::from(u32::from(c));
        assert!(keys.contains(&key('甲')) && keys.contains(&key('丙')) && !keys.contains(&key('乙')));
        let across = (key('甲') << CHAR_BITS) | key('丙');
        assert!(!keys.contains(&across), "head and tail are no neighbours");
    }

    #[test]
    fn traditional_characters_and_capitals_make_no_difference() {
        let keys = |text: &str| document("", text).keys().collect::<Vec<_>>();
        assert_eq!(keys("路燈 LED 壞了"), keys("路灯led坏了"));
    }
}
