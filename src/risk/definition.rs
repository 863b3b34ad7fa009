//! What a file of rules says, once it is known to hold together.

use regex::Regex;

use super::fold::Scope;

/// The rules of a file and of those it extends.
#[derive(Debug, Clone, Default)]
pub(super) struct Definitions {
    pub(super) version: String,
    pub(super) guards: Vec<Guard>,
    pub(super) variants: Vec<Variant>,
    pub(super) rules: Vec<Rule>,
}

/// Words near a match that take the alarm back: a negation, a story, a drill.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    pub(super) id: String,
    pub(super) words: Vec<String>,
    pub(super) patterns: Vec<Regex>,
    /// Characters to look at before the match; all of the scope if none is given.
    pub(super) before: Option<usize>,
    /// Characters to look at after the match, likewise.
    pub(super) after: Option<usize>,
    pub(super) scope: Scope,
}

/// Other spellings of a word.
#[derive(Debug, Clone)]
pub(super) struct Variant {
    pub(super) word: String,
    pub(super) forms: Vec<String>,
}

/// When to raise an alarm.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) id: String,
    pub(super) risk: String,
    pub(super) any: Vec<String>,
    pub(super) patterns: Vec<Regex>,
    /// If there is any, one of them must stand in the same sentence.
    pub(super) near: Vec<String>,
    /// Most characters between a match and a word of `near`.
    pub(super) within: Option<usize>,
    /// Words that mean something else where they overlap a match: 跳楼价, where 跳楼 fires.
    pub(super) except: Vec<String>,
    /// Ids of guards.
    pub(super) unless: Vec<String>,
}
