//! Reads the rules and policies of a directory, and finds those that can never do what they say.

use std::collections::BTreeMap;
use std::ops::Range;

use regex::RegexBuilder;
use serde::Deserialize;
use toml::Spanned;

use super::{Known, RawTimeLimits, read_time_limits};
use crate::dispatch::directory::LOCAL;
use crate::dispatch::policy::{Leadership, Policy};
use crate::dispatch::rule::{self, Action, Aspect, Clause, Conditions, Rule};
use crate::fault::{Checker, LabelIndex, closest};
use crate::request::{Requester, normalize_words};

#[derive(Deserialize)]
pub(super) struct RawRule {
    id: Spanned<String>,
    #[serde(default)]
    when: RawConditions,
    then: Spanned<RawAction>,
}

#[derive(Default, Deserialize)]
struct RawConditions {
    #[serde(default)]
    any: Vec<Spanned<String>>,
    #[serde(default)]
    all: Vec<Spanned<Vec<Spanned<String>>>>,
    #[serde(default)]
    none: Vec<Spanned<String>>,
    #[serde(default)]
    patterns: Vec<Spanned<String>>,
    #[serde(default)]
    title_only: bool,
    category: Option<Spanned<Vec<Spanned<String>>>>,
    kind: Option<Spanned<Vec<Spanned<String>>>>,
    urgency: Option<Spanned<Vec<Spanned<String>>>>,
    risk: Option<Spanned<Vec<Spanned<String>>>>,
    group: Option<Spanned<Vec<Spanned<String>>>>,
    requester: Option<Spanned<Vec<Spanned<String>>>>,
    area: Option<Spanned<String>>,
}

#[derive(Deserialize)]
struct RawAction {
    lead: Option<Spanned<String>>,
    #[serde(default)]
    supporting: Vec<Spanned<String>>,
    #[serde(default)]
    territorial: bool,
    #[serde(default)]
    whistle: bool,
    #[serde(default)]
    priority: i32,
    precision: Option<Spanned<f32>>,
    #[serde(default)]
    time_limit_hours: RawTimeLimits,
    clause: Option<RawClause>,
}

#[derive(Deserialize)]
struct RawClause {
    id: Spanned<String>,
    text: Spanned<String>,
}

#[derive(Deserialize)]
pub(super) struct RawPolicy {
    id: Spanned<String>,
    #[serde(default)]
    category: Vec<Spanned<String>>,
    area: Option<Spanned<String>>,
    lead: Leadership,
    clause: Option<RawClause>,
}

pub(super) fn read_rules(
    checker: &mut Checker<'_>,
    raw: &[Spanned<RawRule>],
    known: &Known<'_>,
) -> Vec<Rule> {
    let mut ids = LabelIndex::default();
    raw.iter()
        .map(|rule| {
            let RawRule { id, when, then } = rule.get_ref();
            ids.add(checker, id, []);
            let rule = Rule {
                id: checker.id(id),
                line: checker.line(&id.span()),
                when: read_conditions(checker, when, known),
                then: read_action(checker, id.get_ref(), then, known),
            };
            if rule::never_holds(&rule.when) {
                let message = format!(
                    "rule `{}` never holds: what must occur contains a word of `when.none`; remove that word",
                    rule.id
                );
                checker.fault(id.span(), message);
            }
            rule
        })
        .collect()
}

fn read_conditions(checker: &mut Checker<'_>, raw: &RawConditions, known: &Known<'_>) -> Conditions {
    for pattern in &raw.patterns {
        // As all of them are compiled together.
        let compiled = RegexBuilder::new(pattern.get_ref())
            .case_insensitive(true)
            .size_limit(rule::MAX_PATTERN_BYTES)
            .build();
        if let Err(error) = compiled {
            // The last line says what is wrong; those before draw the pattern.
            let error = error.to_string();
            let problem = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
            let message = format!(
                "pattern `{}` is no regular expression: {problem}; see https://docs.rs/regex/#syntax",
                pattern.get_ref()
            );
            checker.fault(pattern.span(), message);
        }
        let normalized = normalize_words(pattern.get_ref());
        if normalized.split_whitespace().ne(pattern.get_ref().split_whitespace()) {
            let message = format!(
                "pattern `{}` can never match: texts are read in simplified Chinese with plain punctuation; write `{normalized}`",
                pattern.get_ref()
            );
            checker.fault(pattern.span(), message);
        }
    }
    for group in raw.all.iter().filter(|group| group.get_ref().is_empty()) {
        checker
            .fault(group.span(), "a group of `when.all` without words never holds; add words or remove it");
    }
    let terms = |terms: &[crate::taxonomy::Term]| terms.iter().map(|term| term.id.clone()).collect();
    let taxonomy = known.taxonomy;
    let aspects: [(Aspect, &Option<_>, Vec<String>); 6] = [
        (
            Aspect::Category,
            &raw.category,
            taxonomy.categories.iter().map(|category| category.id.clone()).collect(),
        ),
        (Aspect::Kind, &raw.kind, terms(&taxonomy.kinds)),
        (Aspect::Urgency, &raw.urgency, terms(&taxonomy.urgencies)),
        (Aspect::Risk, &raw.risk, terms(&taxonomy.risks)),
        (Aspect::Group, &raw.group, terms(&taxonomy.groups)),
        (
            Aspect::Requester,
            &raw.requester,
            Requester::ALL.map(|requester| requester.name().to_owned()).into(),
        ),
    ];
    let mut labels = BTreeMap::new();
    for (aspect, wanted, ids) in aspects {
        let Some(wanted) = wanted else { continue };
        if wanted.get_ref().is_empty() {
            let message =
                format!("`when.{}` is empty and holds never; remove it or name a label", aspect.name());
            checker.fault(wanted.span(), message);
        }
        for label in wanted.get_ref().iter().filter(|label| !ids.contains(label.get_ref())) {
            let id = label.get_ref();
            let hint = closest(id, ids.iter().map(String::as_str));
            checker.fault(label.span(), format!("unknown {} `{id}`{hint}", aspect.name()));
        }
        labels.insert(aspect, wanted.get_ref().iter().map(|label| label.get_ref().clone()).collect());
    }
    if let Some(area) = &raw.area {
        known.check_area(checker, area);
    }
    let mut words = |raw: &[Spanned<String>]| raw.iter().map(|word| read_word(checker, word)).collect();
    Conditions {
        any: words(&raw.any),
        all: raw.all.iter().map(|group| words(group.get_ref())).collect(),
        none: words(&raw.none),
        patterns: raw.patterns.iter().map(|pattern| pattern.get_ref().clone()).collect(),
        title_only: raw.title_only,
        labels,
        area: raw.area.as_ref().map(|area| area.get_ref().clone()),
    }
}

/// A word as the words of requests are read.
fn read_word(checker: &mut Checker<'_>, word: &Spanned<String>) -> String {
    let normalized = normalize_words(word.get_ref()).to_lowercase();
    if normalized.is_empty() {
        checker.fault(word.span(), "word is empty and would occur everywhere; remove it");
    }
    normalized
}

fn read_action(checker: &mut Checker<'_>, id: &str, raw: &Spanned<RawAction>, known: &Known<'_>) -> Action {
    let (span, raw) = (raw.span(), raw.get_ref());
    known.check_departments(checker, id, raw.lead.iter().chain(&raw.supporting));
    if let Some(lead) = raw.lead.as_ref().filter(|lead| lead.get_ref() == LOCAL) {
        let message = format!(
            "`{LOCAL}` cannot lead: it is the territorial unit; name a functional department or set \
             `then.territorial = true`, and let a policy give the lead to the unit of the area"
        );
        checker.fault(lead.span(), message);
    }
    if let Some(precision) = &raw.precision {
        if *precision.get_ref() <= 0.0 || *precision.get_ref() >= 1.0 || precision.get_ref().is_nan() {
            let message = format!(
                "precision {} is not between 0 and 1; give the share of requests where the rule's lead was right, or \
                 leave it out for a rule that binds",
                precision.get_ref()
            );
            checker.fault(precision.span(), message);
        }
        if raw.lead.is_none() {
            checker.fault(precision.span(), "precision is that of a lead; name `then.lead` or remove it");
        }
    }
    let time_limits = read_time_limits(checker, &raw.time_limit_hours, known);
    let says_nothing = raw.lead.is_none() && raw.supporting.is_empty() && time_limits.is_empty();
    if says_nothing && !raw.territorial && !raw.whistle {
        let message = format!(
            "rule `{id}` says nothing; give `then` a `lead`, `supporting`, `territorial`, `whistle` or `time_limit_hours`"
        );
        checker.fault(span, message);
    }
    Action {
        lead: raw.lead.as_ref().map(|lead| lead.get_ref().clone()),
        supporting: raw.supporting.iter().map(|department| department.get_ref().clone()).collect(),
        territorial: raw.territorial,
        whistle: raw.whistle,
        priority: raw.priority,
        precision: raw.precision.as_ref().map(|precision| *precision.get_ref()),
        time_limits,
        clause: raw.clause.as_ref().map(|clause| read_clause(checker, clause)),
    }
}

fn read_clause(checker: &mut Checker<'_>, raw: &RawClause) -> Clause {
    Clause { id: checker.text("clause id", &raw.id), text: checker.text("clause text", &raw.text) }
}

pub(super) fn read_policies(checker: &mut Checker<'_>, raw: &[RawPolicy], known: &Known<'_>) -> Vec<Policy> {
    let mut ids = LabelIndex::default();
    raw.iter()
        .map(|policy| {
            ids.add(checker, &policy.id, []);
            for category in &policy.category {
                known.check_category(checker, category);
            }
            if let Some(area) = &policy.area {
                known.check_area(checker, area);
            }
            Policy {
                id: checker.id(&policy.id),
                categories: policy.category.iter().map(|category| category.get_ref().clone()).collect(),
                area: policy.area.as_ref().map(|area| area.get_ref().clone()),
                lead: policy.lead,
                clause: policy.clause.as_ref().map(|clause| read_clause(checker, clause)),
            }
        })
        .collect()
}

/// Notes rules and policies that can never do what they say since others come first. `lies_in(a, b)` says whether area
/// `a` is `b` or lies in it.
pub(super) fn check_rules(
    checker: &mut Checker<'_>,
    (raw_rules, rules): (&[Spanned<RawRule>], &[Rule]),
    (raw_policies, policies): (&[RawPolicy], &[Policy]),
    lies_in: impl Fn(&str, &str) -> bool + Copy,
) {
    let span = |place: usize| -> Range<usize> { raw_rules[place].get_ref().id.span() };
    for (place, rule) in rules.iter().enumerate() {
        let others = rules.iter().enumerate().filter(|(other, _)| *other != place);
        let Some((_, first)) =
            others.into_iter().find(|other| rule::prevails(*other, (place, rule), lies_in))
        else {
            continue;
        };
        let adds = !rule.then.supporting.is_empty()
            || rule.then.whistle
            || rule.then.territorial
            || !rule.then.time_limits.is_empty();
        if first.then.lead == rule.then.lead && adds {
            continue;
        }
        let Rule { id, line, .. } = first;
        let message = if first.then.priority == rule.then.priority && first.then.lead != rule.then.lead {
            format!(
                "rule `{}` conflicts with `{id}` (line {line}), which holds whenever it does and names another lead; \
                 narrow one, or give the one that should win a higher `then.priority`",
                rule.id
            )
        } else {
            format!(
                "rule `{}` never chooses the lead: `{id}` (line {line}) holds whenever it does and counts first; remove \
                 it or its `then.lead`, narrow `{id}`, or give this one a higher `then.priority`",
                rule.id
            )
        };
        checker.fault(span(place), message);
    }
    for (place, policy) in policies.iter().enumerate() {
        if let Some(first) = policies[..place].iter().find(|first| first.covers(policy, lies_in)) {
            let message = format!(
                "policy `{}` never applies: `{}` before it covers all that it is about; put the narrower one first",
                policy.id, first.id
            );
            checker.fault(raw_policies[place].id.span(), message);
        }
    }
}
