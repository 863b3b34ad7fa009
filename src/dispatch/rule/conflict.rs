//! Which rules can never do what they say: found before a request meets them.
//!
//! What a rule needs is compared with what another needs, condition by condition. The comparison is sound but not
//! complete: what it calls covered is covered (a test states that as a law), but two rules may also cover each other in
//! ways that only a reader sees, such as regular expressions that mean the same.

use std::cmp::Reverse;

use super::{Conditions, Rule};

/// Whether `first` chooses the lead whenever `second` holds: it binds, counts before it, and holds whenever it does.
/// `lies_in(a, b)` says whether area `a` is `b` or lies in it.
pub(in crate::dispatch) fn prevails(
    first: (usize, &Rule),
    second: (usize, &Rule),
    lies_in: impl Fn(&str, &str) -> bool,
) -> bool {
    let ((first_place, first), (second_place, second)) = (first, second);
    let before = (Reverse(first.then.priority), first_place) < (Reverse(second.then.priority), second_place);
    before && first.binds() && second.then.lead.is_some() && covers(&first.when, &second.when, lies_in)
}

/// Whether `a` holds for every request for which `b` holds.
pub(in crate::dispatch) fn covers(
    a: &Conditions,
    b: &Conditions,
    lies_in: impl Fn(&str, &str) -> bool,
) -> bool {
    let labels = a.labels.iter().all(|(aspect, wanted)| {
        b.labels.get(aspect).is_some_and(|narrower| narrower.iter().all(|label| wanted.contains(label)))
    });
    let area = a.area.as_ref().is_none_or(|a| b.area.as_ref().is_some_and(|b| lies_in(b, a)));
    labels && area && covers_words(a, b)
}

fn covers_words(a: &Conditions, b: &Conditions) -> bool {
    let has_words = |c: &Conditions| !(c.any.is_empty() && c.all.is_empty() && c.patterns.is_empty());
    // A word that the title must hold is not there because the text holds it; and the other way round, the text may hold
    // a word that only the title must not hold.
    if a.title_only != b.title_only && (a.title_only && has_words(a) || !a.none.is_empty()) {
        return false;
    }
    let some = || {
        let by_any = !(b.any.is_empty() && b.patterns.is_empty())
            && b.any.iter().all(|word| brings_one(word, &a.any))
            && b.patterns.iter().all(|pattern| a.patterns.contains(pattern));
        by_any || b.all.iter().any(|group| brings_each(group, &a.any))
    };
    let groups = a.all.iter().all(|group| {
        b.all.iter().any(|narrower| brings_each(narrower, group))
            || b.patterns.is_empty() && !b.any.is_empty() && brings_each(&b.any, group)
    });
    (a.any.is_empty() && a.patterns.is_empty() || some())
        && groups
        && a.none.iter().all(|word| b.none.iter().any(|excluded| word.contains(excluded.as_str())))
}

/// Whether a text that holds `word` holds one of `words`.
fn brings_one(word: &str, words: &[String]) -> bool {
    words.iter().any(|inner| word.contains(inner.as_str()))
}

/// Whether a text that holds any of `group` holds one of `words`.
fn brings_each(group: &[String], words: &[String]) -> bool {
    !group.is_empty() && group.iter().all(|word| brings_one(word, words))
}

/// Whether no text can fulfil the conditions: what must occur brings a word that must not.
pub(in crate::dispatch) fn never_holds(when: &Conditions) -> bool {
    let excluded = |words: &[String]| brings_each(words, &when.none);
    when.patterns.is_empty() && excluded(&when.any) || when.all.iter().any(|group| excluded(group))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::{Action, Aspect, Facts, RuleWords};
    use super::*;

    /// Areas of the tests: `a` lies in `a`, `ab` in `a` and `ab`.
    fn lies_in(inner: &str, outer: &str) -> bool {
        inner.starts_with(outer)
    }

    fn words() -> impl Strategy<Value = Vec<String>> {
        prop::collection::vec("[甲乙丙]{1,2}", 0..3)
    }

    fn conditions() -> impl Strategy<Value = Conditions> {
        let labels = prop::collection::btree_map(
            prop_oneof![Just(Aspect::Category), Just(Aspect::Risk)],
            prop::collection::vec("[xy]", 1..3),
            0..2,
        );
        let all = prop::collection::vec(prop::collection::vec("[甲乙丙]{1,2}", 1..3), 0..2);
        let patterns = prop::collection::vec("[甲乙]丙?", 0..2);
        let area = prop::option::of("ab?");
        (words(), all, words(), patterns, any::<bool>(), labels, area).prop_map(
            |(any, all, none, patterns, title_only, labels, area)| Conditions {
                any,
                all,
                none,
                patterns,
                title_only,
                labels,
                area,
            },
        )
    }

    fn rule(id: &str, when: Conditions) -> Rule {
        let then = Action { lead: Some(id.to_owned()), ..Action::default() };
        Rule { id: id.to_owned(), line: 1, when, then }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4096, ..ProptestConfig::default() })]
        #[test]
        fn a_rule_that_covers_another_holds_whenever_it_does(
            a in conditions(),
            mut b in conditions(),
            like in any::<bool>(),
            title in "[甲乙丙]{0,4}",
            text in "[甲乙丙]{0,6}",
            category in "[xyz]",
            risk in "[xyz]",
            area in 0_usize..3,
        ) {
            if like {
                // Two independent rules hardly ever cover each other.
                b = Conditions { labels: a.labels.clone(), title_only: a.title_only, none: a.none.clone(), ..b };
            }
            let covered = covers(&a, &b, lies_in);
            let impossible = never_holds(&b);
            let rules = [rule("a", a), rule("b", b)];
            let labels = [(Aspect::Category, category.as_str()), (Aspect::Risk, risk.as_str())];
            let areas: &[&str] = [&[][..], &["a"], &["ab", "a"]][area];
            let facts = Facts { title: &title, text: &text, labels: &labels, areas };
            let holding = RuleWords::new(&rules).unwrap().holding(&rules, &facts);
            let holds = |id: &str| holding.iter().any(|rule| rule.id == id);
            prop_assert!(!(covered && holds("b")) || holds("a"));
            prop_assert!(!(impossible && holds("b")));
        }
    }

    #[test]
    fn narrower_words_labels_and_areas_are_covered() {
        let when = |any: &[&str], category: &[&str], area: Option<&str>| Conditions {
            any: any.iter().map(|&word| word.to_owned()).collect(),
            labels: BTreeMap::from([(
                Aspect::Category,
                category.iter().map(|&label| label.to_owned()).collect(),
            )]),
            area: area.map(str::to_owned),
            ..Conditions::default()
        };
        let wide = when(&["燃气", "煤气"], &["utilities", "public_safety"], Some("a"));
        assert!(covers(&wide, &when(&["燃气泄漏"], &["utilities"], Some("ab")), lies_in));
        assert!(!covers(&wide, &when(&["燃气泄漏", "爆炸"], &["utilities"], Some("ab")), lies_in));
        assert!(!covers(&wide, &when(&["燃气泄漏"], &["housing"], Some("ab")), lies_in));
        assert!(!covers(&wide, &when(&["燃气泄漏"], &["utilities"], None), lies_in));
        assert!(covers(&Conditions::default(), &wide, lies_in));
    }
}
