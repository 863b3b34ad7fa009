//! Which words carried the answer: tokens' shares of the top label's logit, gathered by clause.

use std::ops::Range;

use crate::request::{Field, RequestText};
use crate::tokenizer::{EncodedText, TokenSpan};

/// Most spans that are shown.
const MAX_SPANS: usize = 3;
/// A span is shown if it carries at least this share of what the strongest one does.
const MIN_SHARE: f32 = 0.4;

/// A span of the words as the citizen wrote them.
#[derive(Debug, Clone, PartialEq)]
pub struct EvidenceSpan {
    /// The field that the span lies in.
    pub field: Field,
    /// Characters of the original words.
    pub chars: Range<usize>,
    /// Share of the logit above the labels' mean, in logits; greater than 0.
    pub weight: f32,
}

/// Gathers the tokens' `contributions` by clause and keeps the strongest clauses, strongest first.
///
/// A span holds only words that the model has read: where the middle of a text was cut out, a clause ends.
pub(super) fn spans(text: &RequestText, encoded: &EncodedText, contributions: &[f32]) -> Vec<EvidenceSpan> {
    let mut clauses = clauses(text, encoded, contributions);
    clauses.retain(|(_, weight)| *weight > 0.0);
    clauses.sort_by(|a, b| b.1.total_cmp(&a.1));
    let least = clauses.first().map_or(0.0, |(_, strongest)| strongest * MIN_SHARE);
    clauses
        .into_iter()
        .take(MAX_SPANS)
        .take_while(|(_, weight)| *weight >= least)
        .filter_map(|(TokenSpan { field, start, end }, weight)| {
            Some(EvidenceSpan { field, chars: text.original_chars(field, start..end)?, weight })
        })
        .collect()
}

/// Adds what characters contribute to the tokens that they belong to. Characters that no token holds are left out: the
/// encoder reads less of a long text than the n-grams do, or more.
pub(super) fn add_by_place(
    contributions: &mut [f32],
    encoded: &EncodedText,
    characters: impl IntoIterator<Item = (TokenSpan, f32)>,
) {
    let mut tokens: Vec<(TokenSpan, usize)> =
        encoded.spans.iter().zip(0..).filter_map(|(span, token)| Some(((*span)?, token))).collect();
    tokens.sort_by_key(|(span, _)| (span.field, span.start));
    for (place, share) in characters {
        let after =
            tokens.partition_point(|(span, _)| (span.field, span.start) <= (place.field, place.start));
        if let Some((span, token)) = after.checked_sub(1).map(|index| tokens[index])
            && span.field == place.field
            && place.start < span.end
        {
            contributions[token] += share;
        }
    }
}

/// Runs of neighbouring tokens without a punctuation mark, with the sum of their contributions.
fn clauses(text: &RequestText, encoded: &EncodedText, contributions: &[f32]) -> Vec<(TokenSpan, f32)> {
    let mut clauses: Vec<(TokenSpan, f32)> = Vec::new();
    let mut open = false;
    for (span, contribution) in encoded.spans.iter().zip(contributions) {
        let Some(span) = span else {
            open = false;
            continue;
        };
        let words = text.normalized(span.field);
        if words.get(span.start..span.end).is_some_and(|token| token.contains(is_clause_end)) {
            open = false;
            continue;
        }
        match clauses.last_mut() {
            Some((clause, weight)) if open && is_gapless(words, clause.end, span.start) => {
                clause.end = clause.end.max(span.end);
                *weight += contribution;
            }
            _ => clauses.push((*span, *contribution)),
        }
        open = true;
    }
    clauses
}

/// Whether only spaces stand between two tokens. They may overlap: one character can become two pieces (İ → i, ̇).
fn is_gapless(words: &str, end: usize, start: usize) -> bool {
    start <= end || words.get(end..start).is_some_and(|between| between.trim().is_empty())
}

fn is_clause_end(c: char) -> bool {
    matches!(c, ',' | '.' | '!' | '?' | ';' | '、' | '。' | '…')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every character of the text but those in `left_out` as a token of its own.
    fn encoded(request: &RequestText, left_out: Range<usize>) -> EncodedText {
        let spans: Vec<_> = request
            .normalized(Field::Text)
            .char_indices()
            .enumerate()
            .filter(|(position, _)| !left_out.contains(position))
            .map(|(_, (start, c))| Some(TokenSpan { field: Field::Text, start, end: start + c.len_utf8() }))
            .collect();
        EncodedText { input_ids: vec![0; spans.len()], token_type_ids: vec![0; spans.len()], spans }
    }

    #[test]
    fn the_strongest_clause_comes_first_and_points_into_the_original() {
        let request = RequestText::new("", "您好，路燈壞了").unwrap();
        let contributions = [0.1, 0.1, 0.0, 0.5, 0.5, 0.4, 0.2];
        let evidence = spans(&request, &encoded(&request, 0..0), &contributions);
        assert_eq!(evidence.len(), 1);
        assert_eq!(evidence[0].chars, 3..7);
        assert!((evidence[0].weight - 1.6).abs() < 1e-6);
    }

    #[test]
    fn words_that_the_model_has_not_read_are_no_evidence() {
        let request = RequestText::new("", "路灯坏了很久请尽快修").unwrap();
        let evidence = spans(&request, &encoded(&request, 4..7), &[0.5; 7]);
        let chars: Vec<_> = evidence.into_iter().map(|span| span.chars).collect();
        assert_eq!(chars, [0..4, 7..10]);
    }

    #[test]
    fn two_pieces_of_one_character_are_one_clause() {
        let request = RequestText::new("", "İ路灯").unwrap();
        let span = |start, end| Some(TokenSpan { field: Field::Text, start, end });
        let spans = vec![span(0, 2), span(0, 2), span(2, 5), span(5, 8)];
        let encoded = EncodedText { input_ids: vec![0; 4], token_type_ids: vec![0; 4], spans };
        let evidence = super::spans(&request, &encoded, &[0.5; 4]);
        assert_eq!(evidence.len(), 1);
        assert_eq!(evidence[0].chars, 0..3);
    }
}
