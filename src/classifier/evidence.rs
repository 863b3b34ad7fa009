//! Which words carried the answer: tokens' shares of the top label's logit, gathered by clause.

use std::ops::Range;

use crate::request::{Field, RequestText};
use crate::tokenizer::EncodedText;

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
pub(super) fn spans(text: &RequestText, encoded: &EncodedText, contributions: &[f32]) -> Vec<EvidenceSpan> {
    let mut spans: Vec<EvidenceSpan> = [Field::Title, Field::Text]
        .into_iter()
        .flat_map(|field| {
            clauses(text.normalized(field)).into_iter().filter_map(move |clause| {
                let weight = encoded
                    .spans
                    .iter()
                    .zip(contributions)
                    .filter(|(span, _)| {
                        span.is_some_and(|span| span.field == field && clause.contains(&span.start))
                    })
                    .map(|(_, contribution)| contribution)
                    .sum();
                Some(EvidenceSpan { field, chars: text.original_chars(field, clause.clone())?, weight })
            })
        })
        .filter(|span| span.weight > 0.0)
        .collect();
    spans.sort_by(|a, b| b.weight.total_cmp(&a.weight));
    let least = spans.first().map_or(0.0, |strongest| strongest.weight * MIN_SHARE);
    spans.truncate(MAX_SPANS);
    spans.retain(|span| span.weight >= least);
    spans
}

/// The byte ranges between punctuation marks, trimmed of spaces.
fn clauses(words: &str) -> Vec<Range<usize>> {
    let mut clauses = Vec::new();
    let mut start = 0;
    for (end, mark) in words.match_indices(is_clause_end).chain([(words.len(), "")]) {
        let clause = &words[start..end];
        let trimmed = clause.trim();
        if !trimmed.is_empty() {
            let first = start + (clause.len() - clause.trim_start().len());
            clauses.push(first..first + trimmed.len());
        }
        start = end + mark.len();
    }
    clauses
}

fn is_clause_end(c: char) -> bool {
    matches!(c, ',' | '.' | '!' | '?' | ';' | '、' | '。' | '…')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::TokenSpan;

    #[test]
    fn clauses_lie_between_punctuation_marks() {
        let words = "路灯坏了, 晚上很黑。 ";
        let clauses: Vec<&str> = clauses(words).into_iter().map(|clause| &words[clause]).collect();
        assert_eq!(clauses, ["路灯坏了", "晚上很黑"]);
    }

    #[test]
    fn the_strongest_clause_comes_first_and_points_into_the_original() {
        let request = RequestText::new("", "您好，路燈壞了").unwrap();
        let normalized = request.normalized(Field::Text).to_owned();
        let spans = normalized
            .char_indices()
            .map(|(start, c)| Some(TokenSpan { field: Field::Text, start, end: start + c.len_utf8() }))
            .collect::<Vec<_>>();
        let encoded =
            EncodedText { input_ids: vec![0; spans.len()], token_type_ids: vec![0; spans.len()], spans };
        let contributions = [0.1, 0.1, 0.0, 0.5, 0.5, 0.4, 0.2];
        let evidence = super::spans(&request, &encoded, &contributions);
        assert_eq!(evidence.len(), 1);
        assert_eq!(evidence[0].chars, 3..7);
        assert!((evidence[0].weight - 1.6).abs() < 1e-6);
    }
}
