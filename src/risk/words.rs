//! The words and regular expressions of a file of rules, checked.

use regex::{Regex, RegexBuilder};
use toml::Spanned;

use super::fold::{Folded, ends_sentence};
use crate::fault::Checker;

/// Most memory that one compiled pattern may take, in bytes.
const MAX_PATTERN_BYTES: usize = 1 << 20;

/// Takes words as texts are read: folded.
pub(super) fn read_words(checker: &mut Checker<'_>, what: &str, words: &[Spanned<String>]) -> Vec<String> {
    words.iter().map(|word| read_word(checker, what, word)).collect()
}

/// Takes a word, likewise; `what` names it in a fault.
pub(super) fn read_word(checker: &mut Checker<'_>, what: &str, word: &Spanned<String>) -> String {
    let text = checker.text(what, word);
    if text.contains(ends_sentence) {
        let message = format!("{what} `{text}` reaches beyond a sentence and is never found; split it");
        checker.fault(word.span(), message);
    }
    Folded::new(&text).text().to_owned()
}

/// Takes regular expressions; those that are at fault are left out.
pub(super) fn read_patterns(checker: &mut Checker<'_>, patterns: &[Spanned<String>]) -> Vec<Regex> {
    patterns.iter().filter_map(|pattern| read_pattern(checker, pattern)).collect()
}

fn read_pattern(checker: &mut Checker<'_>, pattern: &Spanned<String>) -> Option<Regex> {
    let text = checker.text("pattern", pattern);
    match RegexBuilder::new(&text).size_limit(MAX_PATTERN_BYTES).build() {
        Ok(regex) if !text.trim().is_empty() && regex.is_match("") => {
            checker.fault(pattern.span(), format!("pattern `{text}` matches no words at all; ask for some"));
            None
        }
        Ok(regex) => Some(regex),
        Err(error) => {
            checker.fault(pattern.span(), format!("pattern `{text}` does not compile: {}", one_line(&error)));
            None
        }
    }
}

/// What a pattern's error says, without the drawing of the place.
fn one_line(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.trim_start_matches("error: ").to_owned()
}
