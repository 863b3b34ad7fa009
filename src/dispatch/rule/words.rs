//! The words of all rules, sought in one pass over a text.

use std::collections::HashMap;

use aho_corasick::{AhoCorasick, MatchKind};
use regex::RegexSet;

use super::{Facts, Rule};

/// Largest compiled pattern, in bytes.
pub(in crate::dispatch) const MAX_PATTERN_BYTES: usize = 1 << 20;
/// Largest compiled set of patterns, in bytes.
const MAX_PATTERNS_BYTES: usize = 32 * 1024 * 1024;

const IN_TITLE: u8 = 1;
const IN_TEXT: u8 = 2;

/// An automaton for the words of a directory's rules, and the rules in the order in which they count.
#[derive(Debug, Clone)]
pub(in crate::dispatch) struct RuleWords {
    words: AhoCorasick,
    patterns: RegexSet,
    rules: Vec<Needs>,
}

/// The words of one rule, by their places in the automaton.
#[derive(Debug, Clone)]
struct Needs {
    /// The rule's place in the directory.
    rule: usize,
    any: Vec<usize>,
    all: Vec<Vec<usize>>,
    none: Vec<usize>,
    patterns: Vec<usize>,
    /// Where the words may stand.
    places: u8,
}

/// Where the words and patterns occur in one request.
struct Found {
    words: Vec<u8>,
    patterns: Vec<u8>,
}

impl RuleWords {
    /// Builds the automaton.
    ///
    /// # Errors
    /// If there are more words or larger patterns than it can hold.
    pub(in crate::dispatch) fn new(rules: &[Rule]) -> Result<Self, String> {
        let mut words = Places::default();
        let mut patterns = Places::default();
        let mut needs: Vec<Needs> = rules
            .iter()
            .enumerate()
            .map(|(place, rule)| Needs {
                rule: place,
                any: words.places(&rule.when.any),
                all: rule.when.all.iter().map(|group| words.places(group)).collect(),
                none: words.places(&rule.when.none),
                patterns: patterns.places(&rule.when.patterns),
                places: if rule.when.title_only { IN_TITLE } else { IN_TITLE | IN_TEXT },
            })
            .collect();
        needs.sort_by_key(|needs| std::cmp::Reverse(rules[needs.rule].then.priority));
        Ok(Self {
            words: AhoCorasick::builder()
                .match_kind(MatchKind::Standard)
                .build(&words.items)
                .map_err(|error| error.to_string())?,
            patterns: regex::RegexSetBuilder::new(&patterns.items)
                .case_insensitive(true)
                .size_limit(MAX_PATTERNS_BYTES)
                .build()
                .map_err(|error| error.to_string())?,
            rules: needs,
        })
    }

    /// The rules that hold, in the order in which they count.
    pub(in crate::dispatch) fn holding<'r>(&self, rules: &'r [Rule], facts: &Facts<'_>) -> Vec<&'r Rule> {
        let found = self.find(facts);
        let holding = self.rules.iter().filter(|needs| needs.met(&found));
        let holding = holding.map(|needs| &rules[needs.rule]);
        holding.filter(|rule| rule.when.labels_hold(facts)).collect()
    }

    fn find(&self, facts: &Facts<'_>) -> Found {
        let mut found =
            Found { words: vec![0; self.words.patterns_len()], patterns: vec![0; self.patterns.len()] };
        for (field, place) in [(facts.title, IN_TITLE), (facts.text, IN_TEXT)] {
            let field = field.to_lowercase();
            for word in self.words.find_overlapping_iter(&field) {
                found.words[word.pattern().as_usize()] |= place;
            }
            for pattern in self.patterns.matches(&field) {
                found.patterns[pattern] |= place;
            }
        }
        found
    }
}

impl Needs {
    fn met(&self, found: &Found) -> bool {
        let word = |&word: &usize| found.words[word] & self.places != 0;
        let pattern = |&pattern: &usize| found.patterns[pattern] & self.places != 0;
        (self.any.is_empty() && self.patterns.is_empty()
            || self.any.iter().any(word)
            || self.patterns.iter().any(pattern))
            && self.all.iter().all(|group| group.iter().any(word))
            && !self.none.iter().any(word)
    }
}

/// Distinct words, in the order in which they were met.
#[derive(Default)]
struct Places {
    items: Vec<String>,
    known: HashMap<String, usize>,
}

impl Places {
    fn places(&mut self, words: &[String]) -> Vec<usize> {
        let place = |word: &String| {
            *self.known.entry(word.clone()).or_insert_with(|| {
                self.items.push(word.clone());
                self.items.len() - 1
            })
        };
        words.iter().map(place).collect()
    }
}

impl Rule {
    /// Why the rule holds, as short phrases: which words occur, which labels hold.
    pub fn why(&self, facts: &Facts<'_>) -> Vec<String> {
        let title = facts.title.to_lowercase();
        let text = if self.when.title_only { String::new() } else { facts.text.to_lowercase() };
        let occurs = |word: &&String| title.contains(word.as_str()) || text.contains(word.as_str());
        let words = self.when.any.iter().chain(self.when.all.iter().flatten()).filter(occurs);
        let mut why: Vec<String> = words.map(|word| format!("`{word}` occurs")).collect();
        for pattern in &self.when.patterns {
            // A set tells which patterns match, not where; this is asked for seldom.
            let Ok(regex) = regex::RegexBuilder::new(pattern).case_insensitive(true).build() else {
                continue;
            };
            if let Some(found) = regex.find(&title).or_else(|| regex.find(&text)) {
                why.push(format!("`{pattern}` matches `{}`", found.as_str()));
            }
        }
        for (aspect, wanted) in &self.when.labels {
            if let Some(label) = facts.label_among(*aspect, wanted) {
                why.push(format!("{} is `{label}`", aspect.name()));
            }
        }
        if let Some(area) = &self.when.area {
            why.push(format!("the area lies in `{area}`"));
        }
        why
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Action, Aspect, Conditions};
    use super::*;

    fn rule(id: &str, priority: i32, when: Conditions) -> Rule {
        let then = Action { priority, lead: Some("fire".to_owned()), ..Action::default() };
        Rule { id: id.to_owned(), line: 1, when, then }
    }

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    fn facts<'a>(title: &'a str, text: &'a str, labels: &'a [(Aspect, &'a str)]) -> Facts<'a> {
        Facts { title, text, labels, areas: &[] }
    }

    fn holding(rules: &[Rule], facts: &Facts<'_>) -> Vec<String> {
        let holding = RuleWords::new(rules).unwrap().holding(rules, facts);
        holding.into_iter().map(|rule| rule.id.clone()).collect()
    }

    #[test]
    fn rules_count_by_priority_and_then_by_their_place() {
        let rules = ["a", "b", "c", "d"].map(|id| rule(id, i32::from(id == "c"), Conditions::default()));
        assert_eq!(holding(&rules, &facts("", "路灯", &[])), ["c", "a", "b", "d"]);
    }

    #[test]
    fn a_rule_for_the_title_reads_nothing_else() {
        let any = Conditions { any: words(&["ktv"]), title_only: true, ..Conditions::default() };
        let pattern =
            Conditions { patterns: words(&["第\\d+号"]), title_only: true, ..Conditions::default() };
        let rules = [rule("any", 0, any), rule("pattern", 0, pattern)];
        assert_eq!(holding(&rules, &facts("KTV扰民", "第3号", &[])), ["any"], "in any case");
        assert_eq!(holding(&rules, &facts("第3号", "ktv", &[])), ["pattern"]);
    }

    #[test]
    fn a_rule_says_which_words_and_labels_it_holds_for() {
        let when = Conditions {
            any: words(&["停水", "爆管"]),
            patterns: words(&["没水.{0,3}天"]),
            labels: [(Aspect::Urgency, words(&["urgent", "critical"]))].into(),
            ..Conditions::default()
        };
        let rule = rule("water", 0, when);
        let labels = [(Aspect::Urgency, "urgent")];
        let why = rule.why(&facts("爆管", "没水三天了", &labels));
        assert_eq!(why, ["`爆管` occurs", "`没水.{0,3}天` matches `没水三天`", "urgency is `urgent`"]);
    }
}
