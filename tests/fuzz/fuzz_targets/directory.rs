//! A directory or a file of risk rules never brings its loader down, whatever stands in it, and one that is accepted
//! reads a long text in good time: no pattern takes more than linear time (`-timeout` says what is too long). What the
//! rules find are places in the text.

#![no_main]

use std::sync::LazyLock;

use jiesu::dispatch::{Aspect, Directory, Facts};
use jiesu::fault::Faults;
use jiesu::risk::RiskRules;
use jiesu::taxonomy::Taxonomy;
use libfuzzer_sys::fuzz_target;

/// Two categories, so that a directory need not be long.
static TAXONOMY: LazyLock<Taxonomy> = LazyLock::new(|| {
    let taxonomy = Taxonomy::parse("taxonomy.toml", include_str!("../seeds/taxonomy/small.toml"));
    taxonomy.expect("the small taxonomy holds together")
});

/// Words that rules are likely to know, again and again.
static TEXT: LazyLock<String> = LazyLock::new(|| {
    "东城区和平街路灯不亮，没有水，aaaaaaaaaaaaaaaaaaaaaaaa!P2P平台跑了。 未着火 ".repeat(20)
});

fuzz_target!(|data: &[u8]| {
    let (what, data) = jiesu_fuzz::choice(data, 3);
    let file = String::from_utf8_lossy(data);
    // Without a line of its own for a text, the file is both.
    let text = file.lines().last().unwrap_or_default();
    match what {
        0 => match Directory::parse("fuzz.toml", &file, &TAXONOMY) {
            Ok(directory) => [text, &TEXT].into_iter().for_each(|text| ask(&directory, text)),
            Err(faults) => check(&faults, &file),
        },
        1 => match RiskRules::parse("fuzz.toml", &file, |_| true) {
            Ok(rules) => [text, &TEXT].into_iter().for_each(|text| find(&rules, text)),
            Err(faults) => check(&faults, &file),
        },
        _ => find(&RiskRules::built_in(), &file),
    }
});

fn ask(directory: &Directory, text: &str) {
    assert!(directory.areas.iter().any(|area| area.id == directory.city));
    for department in &directory.departments {
        assert_eq!(directory.department(&department.id), Some(department));
    }
    for category in &TAXONOMY.categories {
        let lead = &directory.assignment(&category.id).expect("every category is assigned").lead;
        assert!(directory.department(lead).is_some());
    }
    for hint in ["", text, &directory.areas[0].name] {
        let Some(placement) = directory.place(hint, &["路灯", text]) else { continue };
        let places = placement.area.iter().map(|(place, _)| place).chain(&placement.candidates);
        for &place in places {
            assert!(
                directory.ids_around(place).contains(&directory.city.as_str()),
                "every area lies in the city"
            );
        }
    }
    let labels = [(Aspect::Category, "housing"), (Aspect::Urgency, "urgent")];
    let areas: Vec<&str> = directory.areas.iter().map(|area| area.id.as_str()).collect();
    let facts = Facts { title: "路灯", text, labels: &labels, areas: &areas };
    for rule in directory.holding(&facts) {
        rule.why(&facts);
    }
    directory.policy(Some("housing"), &areas);
}

fn find(rules: &RiskRules, text: &str) {
    for alarm in rules.find(text) {
        assert!(text.get(alarm.span.clone()).is_some_and(|words| !words.is_empty()), "{alarm:?}");
    }
}

fn check(faults: &Faults, file: &str) {
    let lines = file.split('\n').count();
    assert!(!faults.faults.is_empty());
    assert!(faults.faults.iter().all(|fault| (1..=lines).contains(&fault.line)), "{faults}");
}
