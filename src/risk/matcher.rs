//! Reads a text once for all words of all rules, then decides which matches raise an alarm.

use std::collections::HashMap;
use std::ops::Range;

use aho_corasick::AhoCorasick;
use regex::Regex;

use super::RiskAlarm;
use super::definition::{Definitions, Guard, Rule};
use super::fold::{Folded, Scope};
use super::variants::spellings;

/// Most matches of a pattern in a sentence that are looked at, so that no text takes long.
const MAX_TRIES: usize = 32;

/// The rules, compiled.
pub(super) struct Matcher {
    words: AhoCorasick,
    /// What each word of the automaton is for.
    uses: Vec<Vec<Use>>,
    guards: Vec<Guard>,
    rules: Vec<CompiledRule>,
}

struct CompiledRule {
    rule: Rule,
    /// Positions of the guards that the rule names.
    guards: Vec<usize>,
}

/// What a word does when it is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Use {
    /// It fires a rule, by position.
    Fire(usize),
    /// A rule asks for it near what fires it.
    Near(usize),
    /// It overlaps what fires a rule, and means something else.
    Except(usize),
    /// It belongs to a guard, by position.
    Guard(usize),
}

/// All words that were found in a text, by what they are for.
struct Found {
    places: Vec<(Use, Range<usize>)>,
}

impl Matcher {
    /// Compiles rules that hold together.
    pub(super) fn new(definitions: Definitions) -> Self {
        let Definitions { guards, variants, rules, .. } = definitions;
        let mut words: HashMap<String, Vec<Use>> = HashMap::new();
        let mut add = |word: String, used: Use| words.entry(word).or_default().push(used);
        for (position, rule) in rules.iter().enumerate() {
            for keyword in rule.any.iter().flat_map(|keyword| spellings(keyword, &variants)) {
                add(keyword, Use::Fire(position));
            }
            rule.near.iter().for_each(|word| add(word.clone(), Use::Near(position)));
            rule.except.iter().for_each(|word| add(word.clone(), Use::Except(position)));
        }
        for (position, guard) in guards.iter().enumerate() {
            guard.words.iter().for_each(|word| add(word.clone(), Use::Guard(position)));
        }
        let (words, uses): (Vec<_>, Vec<_>) = words.into_iter().unzip();
        let position = |id: &String| guards.iter().position(|guard| guard.id == *id);
        let rules = rules
            .into_iter()
            .map(|rule| CompiledRule { guards: rule.unless.iter().filter_map(position).collect(), rule })
            .collect();
        let words = AhoCorasick::new(words).expect("far fewer words than an automaton holds");
        Self { words, uses, guards, rules }
    }

    /// The alarms of a text, in the order of the rules.
    pub(super) fn find(&self, text: &str) -> Vec<RiskAlarm> {
        let text = Folded::new(text);
        let found = self.words_in(&text);
        let sentences: Vec<_> = text.sentences().collect();
        let mut alarms = Vec::new();
        for (position, CompiledRule { rule, .. }) in self.rules.iter().enumerate() {
            if !rule.near.is_empty() && found.places(Use::Near(position)).next().is_none() {
                continue;
            }
            let fires = |span: &Range<usize>| self.fires(&text, &found, position, span);
            let mut keywords: Vec<_> = found.places(Use::Fire(position)).collect();
            keywords.sort_unstable_by_key(place);
            let keyword = keywords.into_iter().find(fires);
            let pattern = sentences.iter().find_map(|sentence| {
                let words = &text.text()[sentence.clone()];
                let shift = |span: Range<usize>| sentence.start + span.start..sentence.start + span.end;
                let first = |pattern| first_match(pattern, words, |span| fires(&shift(span)));
                rule.patterns.iter().filter_map(first).map(shift).min_by_key(place)
            });
            if let Some(span) = keyword.into_iter().chain(pattern).min_by_key(place) {
                let span = text.original(&span);
                alarms.push(RiskAlarm { risk: rule.risk.clone(), rule: rule.id.clone(), span });
            }
        }
        alarms
    }

    fn words_in(&self, text: &Folded<'_>) -> Found {
        let mut places = Vec::new();
        for word in self.words.find_overlapping_iter(text.text()) {
            places.extend(self.uses[word.pattern().as_usize()].iter().map(|&used| (used, word.range())));
        }
        places.sort_by_key(|&(used, _)| used);
        Found { places }
    }

    /// Whether a match of a rule raises its alarm.
    fn fires(&self, text: &Folded<'_>, found: &Found, position: usize, span: &Range<usize>) -> bool {
        let CompiledRule { rule, guards } = &self.rules[position];
        let overlaps = |word: Range<usize>| word.start < span.end && span.start < word.end;
        let near = || {
            let window = text.before(span.start, Scope::Sentence, rule.within).start
                ..text.after(span.end, Scope::Sentence, rule.within).end;
            let touches = |word: Range<usize>| window.start <= word.end && word.start <= window.end;
            found.places(Use::Near(position)).any(touches)
        };
        !found.places(Use::Except(position)).any(overlaps)
            && (rule.near.is_empty() || near())
            && !guards.iter().any(|&guard| self.cancels(text, found, guard, span))
    }

    /// Whether a guard takes a match back.
    fn cancels(&self, text: &Folded<'_>, found: &Found, position: usize, span: &Range<usize>) -> bool {
        let guard = &self.guards[position];
        let before = text.before(span.start, guard.scope, guard.before);
        let after = text.after(span.end, guard.scope, guard.after);
        [before, after].into_iter().any(|window| {
            let holds = |word: Range<usize>| window.start <= word.start && word.end <= window.end;
            found.places(Use::Guard(position)).any(holds)
                || guard.patterns.iter().any(|pattern| pattern.is_match(&text.text()[window.clone()]))
        })
    }
}

impl Found {
    /// Where words of one use stand.
    fn places(&self, used: Use) -> impl Iterator<Item = Range<usize>> {
        let start = self.places.partition_point(|(other, _)| *other < used);
        let same = self.places[start..].iter().take_while(move |(other, _)| *other == used);
        same.map(|(_, place)| place.clone())
    }
}

/// The first match of a pattern that fires. One that does not may overlap one that does (不得克扣,却拖欠工资), so the
/// search goes on behind its first character.
fn first_match(pattern: &Regex, words: &str, fires: impl Fn(Range<usize>) -> bool) -> Option<Range<usize>> {
    let mut start = 0;
    for _ in 0..MAX_TRIES {
        let span = pattern.find_at(words, start)?.range();
        if !span.is_empty() && fires(span.clone()) {
            return Some(span);
        }
        start = span.start + words[span.start..].chars().next()?.len_utf8();
    }
    None
}

/// Where a match stands among others.
fn place(span: &Range<usize>) -> (usize, usize) {
    (span.start, span.end)
}
