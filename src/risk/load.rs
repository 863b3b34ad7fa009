//! Reads a file of rules and checks that it holds together.

use std::collections::HashSet;
use std::path::Path;

use serde::Deserialize;
use toml::Spanned;

use super::definition::{Definitions, Guard, Rule, Variant};
use super::fold::Scope;
use super::words::{read_patterns, read_word, read_words};
use super::{BUILT_IN_DEFINITIONS, RiskRules};
use crate::fault::{self, Checker, Faults, FileError, LabelIndex};

/// What `extends` can name.
const BUILT_IN: &str = "built_in";
/// Most words of a file, other spellings included; the built-in rules have 1,400.
const MAX_WORDS: usize = 50_000;
/// Most patterns of a file, each of which is tried on every sentence; the built-in rules have 62.
const MAX_PATTERNS: usize = 2_000;

#[derive(Deserialize)]
struct RawFile {
    version: Spanned<String>,
    extends: Option<Spanned<String>>,
    #[serde(default)]
    guards: Vec<RawGuard>,
    #[serde(default)]
    variants: Vec<RawVariant>,
    #[serde(default)]
    rules: Vec<RawRule>,
}

#[derive(Deserialize)]
struct RawGuard {
    id: Spanned<String>,
    #[serde(default)]
    words: Vec<Spanned<String>>,
    #[serde(default)]
    patterns: Vec<Spanned<String>>,
    before: Option<usize>,
    after: Option<usize>,
    #[serde(default)]
    scope: Scope,
}

#[derive(Deserialize)]
struct RawVariant {
    word: Spanned<String>,
    forms: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
struct RawRule {
    id: Spanned<String>,
    #[serde(default = "enabled")]
    enabled: bool,
    risk: Option<Spanned<String>>,
    #[serde(default)]
    any: Vec<Spanned<String>>,
    #[serde(default)]
    patterns: Vec<Spanned<String>>,
    #[serde(default)]
    near: Vec<Spanned<String>>,
    within: Option<Spanned<usize>>,
    #[serde(default)]
    except: Vec<Spanned<String>>,
    #[serde(default)]
    unless: Vec<Spanned<String>>,
}

fn enabled() -> bool {
    true
}

impl RiskRules {
    /// Reads the rules in the file at `path`; `known_risks` says which ids of risks there are.
    ///
    /// # Errors
    /// If the file cannot be read or does not hold together; all faults at once.
    pub fn load(path: &Path, known_risks: impl Fn(&str) -> bool) -> Result<Self, FileError> {
        fault::load(path, |file, text| Self::parse(file, text, known_risks))
    }

    /// Reads rules from `text`; faults name the file `file_name`.
    ///
    /// A file that extends the built-in rules adds to them: a guard or a rule with the id of a built-in one takes its
    /// place, a rule with `enabled = false` switches it off. Built-in rules for risks that are not known are left out.
    ///
    /// # Errors
    /// If the text does not hold together: an unknown risk or guard, an id given twice, a rule without any keyword or
    /// pattern, a word that is empty or can never be found, a pattern that does not compile, a rule switched off that
    /// does not exist; all faults at once. Errors of syntax or type come first, by themselves.
    pub fn parse(file_name: &str, text: &str, known_risks: impl Fn(&str) -> bool) -> Result<Self, Faults> {
        let mut definitions = Definitions::read(file_name, text, &known_risks)?;
        definitions.rules.retain(|rule| known_risks(&rule.risk));
        Ok(Self::new(definitions))
    }
}

impl Definitions {
    /// Reads what a file says.
    pub(super) fn read(
        file_name: &str,
        text: &str,
        known_risks: &impl Fn(&str) -> bool,
    ) -> Result<Self, Faults> {
        let (raw, mut checker) = Checker::read::<RawFile>(file_name, text)?;
        let version = checker.text("version", &raw.version);
        if let Some(problem) = raw.too_much() {
            return Err(checker.refuse(raw.version.span(), problem));
        }
        let mut definitions = base(&mut checker, raw.extends.as_ref());
        definitions.version = version;
        let mut labels = LabelIndex::default();
        for guard in &raw.guards {
            labels.add(&mut checker, &guard.id, []);
            let guard = read_guard(&mut checker, guard);
            definitions.guards.retain(|base| base.id != guard.id);
            definitions.guards.push(guard);
        }
        definitions.variants.extend(raw.variants.iter().map(|variant| read_variant(&mut checker, variant)));
        let mut labels = LabelIndex::default();
        for rule in &raw.rules {
            labels.add(&mut checker, &rule.id, []);
            read_rule(&mut checker, rule, &mut definitions, known_risks);
        }
        checker.finish()?;
        Ok(definitions)
    }
}

impl RawFile {
    /// What there is so much of that it would take too much memory, or too long on every text.
    fn too_much(&self) -> Option<String> {
        let words = self.guards.iter().map(|guard| guard.words.len()).sum::<usize>()
            + self.variants.iter().map(|variant| variant.forms.len()).sum::<usize>()
            + self
                .rules
                .iter()
                .map(|rule| rule.any.len() + rule.near.len() + rule.except.len())
                .sum::<usize>();
        let patterns = self.guards.iter().map(|guard| guard.patterns.len()).sum::<usize>()
            + self.rules.iter().map(|rule| rule.patterns.len()).sum::<usize>();
        let (max, what) = match (words > MAX_WORDS, patterns > MAX_PATTERNS) {
            (true, _) => (MAX_WORDS, "words"),
            (false, true) => (MAX_PATTERNS, "patterns"),
            (false, false) => return None,
        };
        Some(format!("the file has more than {max} {what}; leave out those that seldom help"))
    }
}

/// What the file builds on.
fn base(checker: &mut Checker<'_>, extends: Option<&Spanned<String>>) -> Definitions {
    match extends {
        Some(name) if name.get_ref() == BUILT_IN => BUILT_IN_DEFINITIONS.clone(),
        Some(name) => {
            let message =
                format!("cannot extend `{}`; write `{BUILT_IN}`, or leave `extends` out", name.get_ref());
            checker.fault(name.span(), message);
            // The faults of rules that count on the built-in ones would say nothing new.
            BUILT_IN_DEFINITIONS.clone()
        }
        None => Definitions::default(),
    }
}

fn read_guard(checker: &mut Checker<'_>, raw: &RawGuard) -> Guard {
    let id = checker.id(&raw.id);
    if raw.words.is_empty() && raw.patterns.is_empty() {
        checker.fault(raw.id.span(), format!("guard `{id}` has neither `words` nor `patterns`; add some"));
    }
    if raw.before == Some(0) && raw.after == Some(0) {
        let message = format!("guard `{id}` looks nowhere; raise `before` or `after`, or leave one out");
        checker.fault(raw.id.span(), message);
    }
    Guard {
        id,
        words: read_words(checker, "word", &raw.words),
        patterns: read_patterns(checker, &raw.patterns),
        before: raw.before,
        after: raw.after,
        scope: raw.scope,
    }
}

fn read_variant(checker: &mut Checker<'_>, raw: &RawVariant) -> Variant {
    if raw.forms.is_empty() {
        let word = raw.word.get_ref();
        checker.fault(raw.word.span(), format!("word `{word}` has no `forms`; add some"));
    }
    Variant { word: read_word(checker, "word", &raw.word), forms: read_words(checker, "form", &raw.forms) }
}

/// Reads a rule into the place of one with the same id, or switches that one off.
fn read_rule(
    checker: &mut Checker<'_>,
    raw: &RawRule,
    definitions: &mut Definitions,
    known_risks: &impl Fn(&str) -> bool,
) {
    let id = checker.id(&raw.id);
    let rules = definitions.rules.len();
    if !raw.enabled {
        definitions.rules.retain(|base| base.id != id);
        if definitions.rules.len() == rules {
            let message = format!("rule `{id}` is switched off, but no built-in rule has this id; remove it");
            checker.fault(raw.id.span(), message);
        }
        return;
    }
    let rule = Rule {
        risk: read_risk(checker, raw, known_risks),
        any: read_words(checker, "keyword", &raw.any),
        patterns: read_patterns(checker, &raw.patterns),
        near: read_words(checker, "word of `near`", &raw.near),
        within: raw.within.as_ref().map(|within| *within.get_ref()),
        except: read_words(checker, "exception", &raw.except),
        unless: raw.unless.iter().map(|guard| guard.get_ref().clone()).collect(),
        id,
    };
    check_rule(checker, raw, &rule, &definitions.guards);
    definitions.rules.retain(|base| base.id != rule.id);
    definitions.rules.push(rule);
}

fn read_risk(checker: &mut Checker<'_>, raw: &RawRule, known_risks: &impl Fn(&str) -> bool) -> String {
    let Some(risk) = &raw.risk else {
        let message = format!("rule `{}` has no `risk`; name the risk that it is for", raw.id.get_ref());
        checker.fault(raw.id.span(), message);
        return String::new();
    };
    let id = risk.get_ref();
    if !known_risks(id) {
        checker.fault(risk.span(), format!("unknown risk `{id}`; use the id of a risk of the taxonomy"));
    }
    id.clone()
}

fn check_rule(checker: &mut Checker<'_>, raw: &RawRule, rule: &Rule, guards: &[Guard]) {
    let id = &rule.id;
    if rule.any.is_empty() && rule.patterns.is_empty() {
        let message = format!("rule `{id}` has neither keywords (`any`) nor `patterns`; add some");
        checker.fault(raw.id.span(), message);
    }
    if let (Some(within), true) = (&raw.within, rule.near.is_empty()) {
        let message = format!("`within` of rule `{id}` says how far the words of `near` may be; add `near`");
        checker.fault(within.span(), message);
    }
    let mut cancelling = HashSet::new();
    for name in &raw.unless {
        if let Some(guard) = guards.iter().find(|guard| guard.id == *name.get_ref()) {
            cancelling.extend(guard.words.iter().map(String::as_str));
        } else {
            let message = format!("unknown guard `{}`; define it under `[[guards]]`", name.get_ref());
            checker.fault(name.span(), message);
        }
    }
    for (keyword, raw) in rule.any.iter().zip(&raw.any) {
        let cancels_itself = rule.except.iter().any(|word| keyword.contains(word.as_str()));
        if !keyword.is_empty() && (cancels_itself || cancelling.contains(keyword.as_str())) {
            let message =
                format!("keyword `{keyword}` of rule `{id}` is also what cancels it; remove one of the two");
            checker.fault(raw.span(), message);
        }
    }
}

#[cfg(test)]
mod tests;
