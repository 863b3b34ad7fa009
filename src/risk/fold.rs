//! A text as the rules read it: ASCII in lower case, without the separators that stand between the characters of a
//! word (跳 楼, 自*杀). Where a stretch of it stands in the text as given is never lost.

use std::borrow::Cow;
use std::ops::Range;

/// Longest run of separators that is read over; longer ones are masks (`****`), rulers and ellipses.
const MAX_SEPARATORS: usize = 2;

/// How far a guard or a neighbour may look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Scope {
    /// To the next comma or the end of the sentence.
    #[default]
    Clause,
    /// To the end of the sentence.
    Sentence,
}

/// A folded text.
#[derive(Debug)]
pub(super) struct Folded<'t> {
    text: Cow<'t, str>,
    /// Where bytes were left out: the byte of the folded text that follows, and how many are missing up to there.
    gaps: Vec<(usize, usize)>,
}

impl<'t> Folded<'t> {
    /// Folds a text.
    pub(super) fn new(text: &'t str) -> Self {
        let is_plain = |c: char| !c.is_ascii_uppercase() && !is_separator(c);
        if text.chars().all(is_plain) {
            return Self { text: Cow::Borrowed(text), gaps: Vec::new() };
        }
        let mut folded = String::with_capacity(text.len());
        let mut gaps = Vec::new();
        let mut missing = 0;
        let mut before = None;
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let length = if is_separator(c) {
                let run = rest.find(|c| !is_separator(c)).unwrap_or(rest.len());
                let after = rest[run..].chars().next();
                if joins(before, &rest[..run], after) {
                    missing += run;
                    gaps.push((folded.len(), missing));
                } else {
                    folded.push_str(&rest[..run]);
                }
                run
            } else {
                folded.push(c.to_ascii_lowercase());
                c.len_utf8()
            };
            before = Some(c);
            rest = &rest[length..];
        }
        Self { text: Cow::Owned(folded), gaps }
    }

    /// The folded text.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Where bytes of the folded text, which are not none, stand in the text as given.
    pub(super) fn original(&self, span: &Range<usize>) -> Range<usize> {
        let original = |byte: usize| {
            let gaps = self.gaps.partition_point(|&(after, _)| after <= byte);
            byte + gaps.checked_sub(1).map_or(0, |last| self.gaps[last].1)
        };
        original(span.start)..original(span.end - 1) + 1
    }

    /// The sentences, without what ends them.
    pub(super) fn sentences(&self) -> impl Iterator<Item = Range<usize>> {
        let mut start = 0;
        self.text.split(ends_sentence).map(move |sentence| {
            let span = start..start + sentence.len();
            // Every end of a sentence is one character, of which the text tells the length.
            start = span.end + self.text[span.end..].chars().next().map_or(0, char::len_utf8);
            span
        })
    }

    /// What stands before `at`: at most `chars` characters, none of them beyond the scope.
    pub(super) fn before(&self, at: usize, scope: Scope, chars: Option<usize>) -> Range<usize> {
        let inside = |&(_, c): &(usize, char)| !scope.ends_at(c);
        let start = self.text[..at].char_indices().rev().take(chars.unwrap_or(usize::MAX)).take_while(inside);
        start.last().map_or(at, |(start, _)| start)..at
    }

    /// What stands after `at`, likewise.
    pub(super) fn after(&self, at: usize, scope: Scope, chars: Option<usize>) -> Range<usize> {
        let inside = |&c: &char| !scope.ends_at(c);
        let length = self.text[at..].chars().take(chars.unwrap_or(usize::MAX)).take_while(inside);
        at..at + length.map(char::len_utf8).sum::<usize>()
    }
}

impl Scope {
    fn ends_at(self, c: char) -> bool {
        match self {
            Self::Clause => ends_clause(c),
            Self::Sentence => ends_sentence(c),
        }
    }
}

/// Whether a character ends a sentence.
pub(super) fn ends_sentence(c: char) -> bool {
    matches!(c, '。' | '!' | '?' | ';' | '\u{ff01}' | '\u{ff1f}' | '\u{ff1b}')
}

fn ends_clause(c: char) -> bool {
    ends_sentence(c) || matches!(c, ',' | ':' | '\u{ff0c}' | '\u{ff1a}')
}

fn is_separator(c: char) -> bool {
    matches!(
        c,
        ' ' | '*' | '.' | '-' | '_' | '·' | '|' | '/' | '\\' | '+' | '~' | '^' | '=' | '#' | '&' | '•' | '●'
    )
}

/// Whether a run of separators stands inside a word. Between ASCII characters it does not: `1.5`, `2-3`, `www.a.b`.
fn joins(before: Option<char>, run: &str, after: Option<char>) -> bool {
    let (Some(before), Some(after)) = (before, after) else { return false };
    run.chars().count() <= MAX_SEPARATORS
        && before.is_alphanumeric()
        && after.is_alphanumeric()
        && !(before.is_ascii() && after.is_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_inside_words_are_read_over_and_spans_point_into_the_text_as_given() {
        let text = "他要跳 楼,自*·杀,也要TIAO楼";
        let folded = Folded::new(text);
        assert_eq!(folded.text(), "他要跳楼,自杀,也要tiao楼");
        for (word, original) in
            [("跳楼", "跳 楼"), ("自杀", "自*·杀"), ("tiao楼", "TIAO楼"), ("楼,自", "楼,自")]
        {
            let start = folded.text().find(word).unwrap();
            assert_eq!(&text[folded.original(&(start..start + word.len()))], original);
        }
    }

    #[test]
    fn numbers_masks_and_ellipses_stay() {
        for text in ["1.5万元", "电话****无人接", "我想...算了", "www.a.b", " 开头", "结尾 "] {
            assert_eq!(Folded::new(text).text(), text);
        }
    }

    #[test]
    fn windows_end_with_the_clause_the_sentence_or_their_length() {
        let folded = Folded::new("甲乙。丙丁,戊己庚,辛!壬");
        let at = folded.text().find('己').unwrap();
        let slice = |span: Range<usize>| folded.text()[span].to_owned();
        assert_eq!(slice(folded.before(at, Scope::Clause, None)), "戊");
        assert_eq!(slice(folded.before(at, Scope::Sentence, None)), "丙丁,戊");
        assert_eq!(slice(folded.before(at, Scope::Sentence, Some(2))), ",戊");
        assert_eq!(slice(folded.after(at, Scope::Clause, Some(9))), "己庚");
        assert_eq!(slice(folded.after(at, Scope::Sentence, None)), "己庚,辛");
        let sentences: Vec<_> = folded.sentences().map(slice).collect();
        assert_eq!(sentences, ["甲乙", "丙丁,戊己庚,辛", "壬"]);
    }
}
