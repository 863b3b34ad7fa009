//! A citizen's words, checked and normalised once, at the door.
//!
//! Normalisation masks personal data, then is NFKC, then traditional to simplified Chinese (OpenCC `t2s`), then
//! whitespace: control and zero-width characters go, runs of whitespace become one space. Each normalised character
//! remembers where it came from, so that a span of the normalised text points into the words as they were written.

use std::cell::Cell;
use std::fmt;
use std::ops::Range;
use std::sync::LazyLock;

use ferrous_opencc::OpenCC;
use ferrous_opencc::config::BuiltinConfig;
use tokenizers::NormalizedString;
use tokenizers::normalizer;

use crate::privacy::{self, PersonalSpan};

/// Longest text that is accepted, in characters.
pub const MAX_TEXT_CHARS: usize = 10_000;
/// Longest title that is accepted, in characters.
pub const MAX_TITLE_CHARS: usize = 500;

/// The parts of a request that a span can lie in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// The title that the citizen or the operator gave.
    Title,
    /// The words themselves.
    Text,
}

impl Field {
    /// The field's name in the protocol.
    pub fn name(self) -> &'static str {
        match self {
            Self::Title => "title",
            Self::Text => "text",
        }
    }
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Requester {
    /// A citizen.
    Individual,
    /// An enterprise or a trader.
    Enterprise,
    /// Another organisation: a school, a residents' committee, an owners' committee.
    Organization,
}

impl Requester {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Individual, Self::Enterprise, Self::Organization];

    /// The name in the protocol and in directories.
    pub fn name(self) -> &'static str {
        match self {
            Self::Individual => "individual",
            Self::Enterprise => "enterprise",
            Self::Organization => "organization",
        }
    }
}

/// One thing wrong with one field of a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct Violation {
    /// The field's name in the protocol, such as `text` or `area`.
    pub field: &'static str,
    /// What is wrong, as a sentence for the caller.
    pub problem: String,
}

/// All that is wrong with one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestError {
    /// At least one violation.
    pub violations: Vec<Violation>,
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, violation) in self.violations.iter().enumerate() {
            if position > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{violation}")?;
        }
        Ok(())
    }
}

impl std::error::Error for RequestError {}

/// A citizen's words: not empty, not too long, normalised.
///
/// `Debug` shows lengths only, so that nobody logs the words by accident.
#[derive(Clone)]
pub struct RequestText {
    title: Words,
    text: Words,
}

/// The words of a field.
#[derive(Clone)]
struct Words {
    normalized: NormalizedString,
    /// Where personal data stands in the original.
    personal: Vec<PersonalSpan>,
}

impl RequestText {
    /// Checks and normalises a title, which may be empty, and a text, which may not.
    ///
    /// # Errors
    /// If the text holds no visible character, or one of the two is too long; all violations at once.
    pub fn new(title: &str, text: &str) -> Result<Self, RequestError> {
        let mut violations = Vec::new();
        let title = normalized("title", title, MAX_TITLE_CHARS, &mut violations);
        let text = normalized("text", text, MAX_TEXT_CHARS, &mut violations);
        if text.as_ref().is_some_and(|text| text.normalized.is_empty()) {
            let problem = "is empty; pass the citizen's words".to_owned();
            violations.push(Violation { field: "text", problem });
        }
        match (title, text) {
            (Some(title), Some(text)) if violations.is_empty() => Ok(Self { title, text }),
            _ => Err(RequestError { violations }),
        }
    }

    /// The normalised words of a field.
    pub fn normalized(&self, field: Field) -> &str {
        self.field(field).normalized.get()
    }

    /// The words of a field as they were written, but for personal data, which is masked character for character.
    pub fn masked(&self, field: Field) -> String {
        privacy::mask(self.original(field), &self.field(field).personal)
    }

    /// The words of a field as they were written.
    pub fn original(&self, field: Field) -> &str {
        self.field(field).normalized.get_original()
    }

    /// Where the bytes `span` of a field's normalised words stand in the original, in characters.
    ///
    /// Returns `None` if `span` is empty, out of bounds, or cuts a character.
    pub fn original_chars(&self, field: Field, span: Range<usize>) -> Option<Range<usize>> {
        self.field(field).original_chars(span)
    }

    fn field(&self, field: Field) -> &Words {
        match field {
            Field::Title => &self.title,
            Field::Text => &self.text,
        }
    }
}

impl Words {
    /// Reads a field; personal data is masked in its normalised words, and known in its original.
    fn read(original: &str) -> Self {
        let mut words = Self::masked(original, privacy::find(original));
        for _ in 0..MAX_MASKINGS {
            let uncovered = words.uncovered();
            if uncovered.is_empty() {
                break;
            }
            let mut personal = [words.personal, uncovered].concat();
            personal.sort_by_key(|span| span.chars.start);
            words = Self::masked(original, personal);
        }
        words
    }

    fn masked(original: &str, personal: Vec<PersonalSpan>) -> Self {
        Self { normalized: normalize(original, &personal), personal }
    }

    /// Personal data that only normalising has made legible, as where a line broke inside a number.
    fn uncovered(&self) -> Vec<PersonalSpan> {
        let normalized = self.normalized.get();
        // Most words read as before, and looking for personal data takes long.
        if privacy::read_alike(&privacy::mask(self.normalized.get_original(), &self.personal), normalized) {
            return Vec::new();
        }
        let bytes: Vec<_> =
            normalized.char_indices().map(|(byte, _)| byte).chain([normalized.len()]).collect();
        let found = privacy::find(normalized).into_iter().filter_map(|PersonalSpan { kind, chars }| {
            let chars = self.original_chars(bytes[chars.start]..bytes[chars.end])?;
            Some(PersonalSpan { kind, chars })
        });
        found.collect()
    }

    /// See [`RequestText::original_chars`].
    fn original_chars(&self, span: Range<usize>) -> Option<Range<usize>> {
        let words = &self.normalized;
        if span.is_empty() || words.get().get(span.clone()).is_none() {
            return None;
        }
        let bytes = words.convert_offsets(normalizer::Range::Normalized(span))?;
        let original = words.get_original();
        let start = original.get(..bytes.start)?.chars().count();
        let inside = original.get(bytes)?.chars().count();
        Some(start..start + inside)
    }
}

impl fmt::Debug for RequestText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestText")
            .field("title_chars", &self.title.normalized.get().chars().count())
            .field("text_chars", &self.text.normalized.get().chars().count())
            .finish()
    }
}

/// Most rounds of masking what the one before has uncovered; two are needed.
const MAX_MASKINGS: usize = 4;
/// Most rounds of simplification; two are needed.
const MAX_SIMPLIFICATIONS: usize = 4;

static TO_SIMPLIFIED: LazyLock<OpenCC> = LazyLock::new(|| {
    OpenCC::from_config(BuiltinConfig::T2s).expect("the t2s dictionary is built into ferrous-opencc")
});

/// Normalises a field that is not too long; some characters grow on the way (㍿ → 株式会社), so both sides are counted.
fn normalized(
    field: &'static str,
    words: &str,
    max: usize,
    violations: &mut Vec<Violation>,
) -> Option<Words> {
    let mut chars = words.chars().count();
    if chars <= max {
        let words = Words::read(words);
        chars = words.normalized.get().chars().count();
        if chars <= max {
            return Some(words);
        }
    }
    let problem = format!("has {chars} characters; at most {max} are accepted");
    violations.push(Violation { field, problem });
    None
}

fn normalize(original: &str, personal: &[PersonalSpan]) -> NormalizedString {
    let mut words = NormalizedString::from(original);
    if !personal.is_empty() {
        let masked = privacy::mask(original, personal);
        words.transform(masked.chars().map(|c| (c, 0)), 0);
    }
    words.map(plain_space);
    // Before NFKC, since a mark that stands between two characters keeps them from being composed.
    words.filter(|c| !is_dropped(c));
    words.nfkc();
    // A few characters take two steps (薴 → 苧 → 苎), and simplifying can bring compatibility characters back.
    for _ in 0..MAX_SIMPLIFICATIONS {
        if !simplify(&mut words) {
            break;
        }
        words.nfkc();
    }
    words.map(plain_space);
    let after_space = Cell::new(true);
    words.filter(|c| !(after_space.replace(c == ' ') && c == ' '));
    words.rstrip();
    words
}

/// Words as they were written, but for personal data, which is masked character for character.
///
/// What only comes out when the words are normalised is masked too.
pub fn masked_words(words: &str) -> String {
    privacy::mask(words, &Words::read(words).personal)
}

/// Words as those of a request are read: NFKC, simplified Chinese, plain spaces.
pub(crate) fn normalize_words(words: &str) -> String {
    normalize(words, &[]).get().to_owned()
}

fn plain_space(c: char) -> char {
    if c.is_whitespace() { ' ' } else { c }
}

/// Turns traditional characters into simplified ones; says whether there was any.
fn simplify(words: &mut NormalizedString) -> bool {
    let converted = TO_SIMPLIFIED.convert(words.get());
    if converted == words.get() {
        return false;
    }
    if converted.chars().count() == words.get().chars().count() {
        words.transform(converted.chars().map(|c| (c, 0)), 0);
    } else {
        // A phrase changed its length: character by character keeps every offset exact.
        words.map(|c| {
            let converted = TO_SIMPLIFIED.convert(c.encode_utf8(&mut [0; 4]));
            let mut chars = converted.chars();
            chars.next().filter(|_| chars.next().is_none()).unwrap_or(c)
        });
    }
    true
}

/// Control characters (line breaks are spaces by now), and what privacy reads past too.
fn is_dropped(c: char) -> bool {
    c.is_control() || privacy::is_invisible(c)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(words: &str) -> RequestText {
        RequestText::new("", words).unwrap()
    }

    #[test]
    fn traditional_full_width_and_ragged_words_become_plain_ones() {
        assert_eq!(text("小區物業亂收停車費").normalized(Field::Text), "小区物业乱收停车费");
        assert_eq!(text("ＡＢＣ１２３，㎡").normalized(Field::Text), "ABC123,m2");
        assert_eq!(text(" \u{feff}路灯\r\n\t 不亮\u{200b}了 ").normalized(Field::Text), "路灯 不亮了");
    }

    #[test]
    fn refuses_what_holds_no_word_or_too_many_and_names_every_field() {
        for empty in ["", "  \n", "\u{200b}\u{feff}"] {
            let error = RequestText::new("标题", empty).unwrap_err();
            assert_eq!(error.violations.len(), 1);
            assert_eq!(error.violations[0].field, "text");
        }
        let error = RequestText::new(&"长".repeat(MAX_TITLE_CHARS + 1), &"长".repeat(MAX_TEXT_CHARS + 1))
            .unwrap_err();
        let fields: Vec<_> = error.violations.iter().map(|violation| violation.field).collect();
        assert_eq!(fields, ["title", "text"]);
        assert!(RequestText::new("", &"长".repeat(MAX_TEXT_CHARS)).is_ok());
    }

    #[test]
    fn spans_point_into_the_words_as_written() {
        let request = text("　　😀小區  物業㎡");
        let normalized = request.normalized(Field::Text);
        let start = normalized.find("物业").unwrap();
        let span = request.original_chars(Field::Text, start..start + "物业".len()).unwrap();
        let original: String =
            request.original(Field::Text).chars().collect::<Vec<_>>()[span].iter().collect();
        assert_eq!(original, "物業");
        assert_eq!(request.original_chars(Field::Text, 0..1), None, "a cut character");
        assert_eq!(request.original_chars(Field::Text, 0..9_999), None, "out of bounds");
    }

    #[test]
    fn nobody_after_the_door_reads_personal_data() {
        let request = text("😀請打１３８００１３８０００，路燈壞了");
        assert_eq!(request.normalized(Field::Text), "😀请打***********,路灯坏了");
        assert_eq!(request.masked(Field::Text), "😀請打***********，路燈壞了");
        let start = request.normalized(Field::Text).find("路灯").unwrap();
        assert_eq!(request.original_chars(Field::Text, start..start + "路灯".len()), Some(15..17));
    }

    #[test]
    fn what_normalising_makes_legible_is_masked() {
        for (written, masked) in [
            ("打138\u{fffd}0013\u{fffd}8000", "打*************"),
            ("我叫王\u{1}小明,路灯坏了", "我叫****,路灯坏了"),
            ("我叫顏小明", "我叫***"),
        ] {
            let request = text(written);
            assert_eq!(request.normalized(Field::Text), masked);
            assert_eq!(request.masked(Field::Text), masked);
            assert_eq!(masked_words(written), masked);
        }
    }

    #[test]
    fn debug_output_hides_the_words() {
        assert!(!format!("{:?}", text("我叫张三")).contains('张'));
    }

    proptest! {
        #[test]
        fn normalising_twice_equals_once(words in "[一-龥A-Za-z0-9 　Ａ-Ｚ０-９，。！？㎡①\u{300}\u{200b}\n]{0,60}") {
            let once = normalize(&words, &[]);
            let twice = normalize(once.get(), &[]);
            prop_assert_eq!(twice.get(), once.get());
        }

        #[test]
        fn every_normalised_character_maps_into_the_original(words in any::<String>()) {
            if let Ok(request) = RequestText::new("", &words) {
                let normalized = request.normalized(Field::Text).to_owned();
                for (start, c) in normalized.char_indices() {
                    let span = request.original_chars(Field::Text, start..start + c.len_utf8());
                    prop_assert!(span.is_some_and(|span| span.end <= words.chars().count()));
                }
            }
        }
    }
}
