//! The words and regular expressions of a file of rules, checked.

use regex::{Regex, RegexBuilder};
use toml::Spanned;

use super::fold::{Folded, ends_sentence};
use crate::fault::Checker;

/// Most memory that one compiled pattern may take, in bytes.
const MAX_PATTERN_BYTES: usize = 1 << 20;
/// Longest word that is sought; longer than any sentence that two citizens write alike.
const MAX_WORD_CHARS: usize = 100;

/// Takes words as texts are read: folded.
pub(super) fn read_words(checker: &mut Checker<'_>, what: &str, words: &[Spanned<String>]) -> Vec<String> {
    words.iter().map(|word| read_word(checker, what, word)).collect()
}

/// Takes a word, likewise; `what` names it in a fault.
pub(super) fn read_word(checker: &mut Checker<'_>, what: &str, word: &Spanned<String>) -> String {
    let text = checker.text(what, word);
    if text.chars().count() > MAX_WORD_CHARS {
        checker.fault(word.span(), format!("{what} is longer than {MAX_WORD_CHARS} characters; shorten it"));
    }
    if text.contains(ends_sentence) {
        let message = format!("{what} `{text}` reaches beyond a sentence and is never found; split it");
        checker.fault(word.span(), message);
    }
    Folded::new(&text).text().to_owned()
}

/// Takes regular expressions, whose letters match in either case, as texts are folded; those that are at fault are left
/// out.
pub(super) fn read_patterns(checker: &mut Checker<'_>, patterns: &[Spanned<String>]) -> Vec<Regex> {
    patterns.iter().filter_map(|pattern| read_pattern(checker, pattern)).collect()
}

fn read_pattern(checker: &mut Checker<'_>, pattern: &Spanned<String>) -> Option<Regex> {
    let text = checker.text("pattern", pattern);
    match RegexBuilder::new(&text).case_insensitive(true).size_limit(MAX_PATTERN_BYTES).build() {
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

#[cfg(test)]
mod tests {
    use crate::risk::RiskRules;

    #[test]
    fn capital_letters_match_in_either_case() {
        let text = r#"version = "1"
[[rules]]
id = "by_keyword"
risk = "fraud"
any = ["ICO"]
[[rules]]
id = "by_pattern"
risk = "fraud"
patterns = ['P2P\S?平台', '[A-Z]{2}币']
"#;
        let rules = RiskRules::parse("city.toml", text, |_| true).unwrap();
        for (words, rule) in [
            ("听说ICO很赚钱", "by_keyword"),
            ("ico", "by_keyword"),
            ("P2P平台跑了", "by_pattern"),
            ("p2p大平台", "by_pattern"),
            ("买了GS币", "by_pattern"),
        ] {
            assert_eq!(
                rules.find(words).iter().map(|alarm| alarm.rule.as_str()).collect::<Vec<_>>(),
                [rule],
                "{words}"
            );
        }
    }
}
