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
mod tests {
    use super::*;

    fn known(risk: &str) -> bool {
        ["fire", "flood", "fraud", "self_harm"].contains(&risk)
    }

    fn alarms(text: &str, words: &str) -> Vec<(String, String)> {
        let rules = RiskRules::parse("city.toml", text, known).unwrap_or_else(|faults| panic!("{faults}"));
        rules.find(words).into_iter().map(|alarm| (alarm.risk, alarm.rule)).collect()
    }

    #[test]
    fn every_fault_is_told_with_its_line() {
        let text = r#"version = ""
extends = "other_city"
colour = "red"

[[guards]]
id = "drill"
words = ["演练"]
before = 0
after = 0

[[guards]]
id = "empty"

[[variants]]
word = "火"
forms = []

[[rules]]
id = "fire"
risk = "earthquake"
any = ["着火", "", "救火。水"]
except = ["着火点", "火"]
unless = ["drill", "weather"]

[[rules]]
id = "fire"
risk = "fire"

[[rules]]
id = "flood"
risk = "flood"
patterns = ["(洪水", "水*"]
within = 3

[[rules]]
id = "drilled"
risk = "fire"
any = ["演练"]
unless = ["drill"]

[[rules]]
id = "unknown"
enabled = false

[[rules]]
id = "risky"
any = ["危险"]
"#;
        let faults = RiskRules::parse("r.toml", text, known).unwrap_err();
        let told = |line: usize, message: &str| {
            let found =
                faults.faults.iter().any(|fault| fault.line == line && fault.message.starts_with(message));
            assert!(found, "line {line}: {message}, in\n{faults}");
        };
        told(1, "version is empty");
        told(2, "cannot extend `other_city`; write `built_in`, or leave `extends` out");
        told(3, "unknown key `colour`");
        told(6, "guard `drill` looks nowhere; raise `before` or `after`, or leave one out");
        told(12, "guard `empty` has neither `words` nor `patterns`; add some");
        told(15, "word `火` has no `forms`; add some");
        told(20, "unknown risk `earthquake`; use the id of a risk of the taxonomy");
        told(21, "keyword is empty");
        told(21, "keyword `救火。水` reaches beyond a sentence and is never found; split it");
        told(21, "keyword `着火` of rule `fire` is also what cancels it; remove one of the two");
        told(23, "unknown guard `weather`; define it under `[[guards]]`");
        told(26, "id `fire` is given twice");
        told(26, "rule `fire` has neither keywords (`any`) nor `patterns`; add some");
        told(32, "pattern `(洪水` does not compile: unclosed group");
        told(32, "pattern `水*` matches no words at all; ask for some");
        told(33, "`within` of rule `flood` says how far the words of `near` may be; add `near`");
        told(38, "keyword `演练` of rule `drilled` is also what cancels it; remove one of the two");
        told(42, "rule `unknown` is switched off, but no built-in rule has this id; remove it");
        told(46, "rule `risky` has no `risk`; name the risk that it is for");
        // 19 above, the keyword `救火。水` that holds 火, and rule `flood` without a pattern that is left.
        assert_eq!(faults.faults.len(), 21, "{faults}");
    }

    #[test]
    fn a_city_adds_to_the_built_in_rules_overrides_them_and_switches_them_off() {
        let text = r#"version = "town 1"
extends = "built_in"
[[variants]]
word = "洪水"
forms = ["红水"]
[[rules]]
id = "flood"
risk = "flood"
any = ["洪水"]
unless = ["negation"]
[[rules]]
id = "fraud_named"
risk = "fraud"
any = ["非洲彩票"]
[[rules]]
id = "self_harm_named"
enabled = false
"#;
        let pair = |risk: &str, rule: &str| (risk.to_owned(), rule.to_owned());
        assert_eq!(alarms(text, "红水进村了"), [pair("flood", "flood")], "added, with a spelling of its own");
        assert!(alarms(text, "今年没有洪水").is_empty(), "a built-in guard");
        assert_eq!(alarms(text, "他卖非洲彩票"), [pair("fraud", "fraud_named")], "overridden");
        assert!(alarms(text, "他搞传销").is_empty(), "overridden");
        assert!(alarms(text, "他要跳楼").is_empty(), "switched off");
        assert_eq!(alarms(text, "他不想活了"), [pair("self_harm", "self_harm_said")], "kept");
        assert!(alarms(text, "小区停水三天").is_empty(), "a risk that the town does not know");
    }

    #[test]
    fn a_file_that_extends_nothing_stands_alone() {
        let text = "version = \"1\"\n[[rules]]\nid = \"fire\"\nrisk = \"fire\"\npatterns = ['着.{0,2}火']\n";
        assert_eq!(alarms(text, "着了大火,他要跳楼").len(), 1);
    }

    #[test]
    fn words_must_be_near_and_longer_words_mean_something_else() {
        let text = r#"version = "1"
[[rules]]
id = "fire"
risk = "fire"
any = ["火"]
near = ["楼", "房"]
within = 2
except = ["火车"]
"#;
        assert_eq!(alarms(text, "楼里着火").len(), 1);
        assert!(alarms(text, "楼里的人都看见火").is_empty(), "too far");
        assert!(alarms(text, "火。房").is_empty(), "in another sentence");
        assert!(alarms(text, "楼下火车").is_empty());
        assert_eq!(alarms(text, "火车旁楼着火").len(), 1, "the second fire");
    }

    fn first_fault(text: &str) -> String {
        RiskRules::parse("r.toml", text, known).unwrap_err().faults.remove(0).message
    }

    #[test]
    fn a_file_has_no_more_than_can_be_sought_in_every_text() {
        let rule =
            |fields: &str| format!("version = \"1\"\n[[rules]]\nid = \"fire\"\nrisk = \"fire\"\n{fields}\n");
        let words = format!("any = [{}]", "\"火\",".repeat(MAX_WORDS + 1));
        assert!(
            first_fault(&rule(&words)).contains("more than 50000 words; leave out"),
            "{}",
            first_fault(&rule(&words))
        );
        let patterns = format!("patterns = [{}]", "\"火\",".repeat(MAX_PATTERNS + 1));
        assert!(first_fault(&rule(&patterns)).contains("more than 2000 patterns"));
        let long = format!("any = [\"{}\"]", "火".repeat(1 << 20));
        assert_eq!(first_fault(&rule(&long)), "keyword is longer than 100 characters; shorten it");
    }

    #[test]
    fn a_pattern_that_would_take_much_memory_is_refused_before_it_does() {
        for pattern in
            ["(a{1000}){1000}", r"\w{5000}", &"(".repeat(100_000), &format!("火{}", "{1,1000}".repeat(20))]
        {
            let text = format!(
                "version = \"1\"\n[[rules]]\nid = \"fire\"\nrisk = \"fire\"\npatterns = ['{pattern}']\n"
            );
            let faults = RiskRules::parse("r.toml", &text, known).unwrap_err().to_string();
            assert!(faults.contains("does not compile"), "{faults}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = RiskRules::load(Path::new("nowhere/risks.toml"), known).unwrap_err();
        assert!(error.to_string().starts_with("cannot read `nowhere/risks.toml`: "), "{error}");
    }
}
