//! The risk channel: rules that raise an alarm at words which a hotline must not miss, whatever a model thinks of them.
//!
//! The rules are data (`risks.toml`), built in, and a city can add to them. They need no model, so they go on working
//! when it is missing, and they ask for recall before precision: an alarm sends a request to a person, it decides
//! nothing. How words are normalised before is left to the caller; what an alarm leads to, too.

mod definition;
#[cfg(test)]
mod examples;
mod fold;
mod load;
mod matcher;
mod variants;
mod words;

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use definition::Definitions;
use matcher::Matcher;

const BUILT_IN_FILE: &str = "risks.toml";
const BUILT_IN_TEXT: &str = include_str!("risks.toml");

static BUILT_IN_DEFINITIONS: LazyLock<Definitions> = LazyLock::new(|| {
    Definitions::read(BUILT_IN_FILE, BUILT_IN_TEXT, &|_| true).expect("the tests load the built-in rules")
});

static BUILT_IN: LazyLock<Arc<RiskRules>> =
    LazyLock::new(|| Arc::new(RiskRules::new(BUILT_IN_DEFINITIONS.clone())));

/// A rule that fired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RiskAlarm {
    /// Id of the risk.
    pub risk: String,
    /// Id of the rule.
    pub rule: String,
    /// The first words that fired it, as bytes of the text.
    pub span: Range<usize>,
}

/// All rules, ready to read texts.
pub struct RiskRules {
    /// Version of the file they come from.
    pub version: String,
    matcher: Matcher,
}

impl RiskRules {
    /// The rules that are built in.
    ///
    /// # Panics
    /// Never: the file is part of the program, and tested.
    pub fn built_in() -> Arc<Self> {
        Arc::clone(&BUILT_IN)
    }

    /// Those of the built-in rules whose risks are known.
    pub fn built_in_for(known_risks: impl Fn(&str) -> bool) -> Arc<Self> {
        let mut definitions = BUILT_IN_DEFINITIONS.clone();
        definitions.rules.retain(|rule| known_risks(&rule.risk));
        Arc::new(Self::new(definitions))
    }

    /// Reads a text that is normalised already: NFKC, simplified characters, one space for whitespace, no control
    /// characters.
    ///
    /// Each rule raises at most one alarm, at the first place that fired it; alarms come in the order of the rules.
    pub fn find(&self, text: &str) -> Vec<RiskAlarm> {
        self.matcher.find(text)
    }

    fn new(definitions: Definitions) -> Self {
        Self { version: definitions.version.clone(), matcher: Matcher::new(definitions) }
    }
}

impl fmt::Debug for RiskRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RiskRules").field("version", &self.version).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RISKS: [&str; 8] = [
        "life_safety",
        "self_harm",
        "group_incident",
        "wage_arrears",
        "threat",
        "fraud",
        "utility_outage",
        "public_hazard",
    ];

    /// Words that the rules know, between words that they do not, so that random texts come near the rules.
    fn texts() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            proptest::sample::select(vec![
                "跳楼",
                "跳 lou",
                "自*杀",
                "欠薪",
                "工资",
                "拖欠",
                "传销",
                "停水",
                "三天",
                "电梯",
                "坠落",
                "没有",
                "未",
                "小说",
                "演练",
                "炸",
                "我要",
                "不给钱就",
                "全体业主",
                "上访",
                "井盖",
                "塌陷",
                "骗",
                ",",
                "。",
                " ",
                "!",
                "?",
                ".",
                "*",
                "的",
                "了",
                "不想活",
                "煤气泄漏",
                "20户",
                "再",
                "价",
            ])
            .prop_map(str::to_owned),
            "\\PC{0,3}",
        ];
        proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
    }

    #[test]
    fn the_built_in_rules_hold_together_and_cover_every_risk() {
        let rules = RiskRules::parse(BUILT_IN_FILE, BUILT_IN_TEXT, |risk| RISKS.contains(&risk));
        let rules = rules.unwrap_or_else(|faults| panic!("{faults}"));
        assert_eq!(rules.version, RiskRules::built_in().version);
        for risk in RISKS {
            assert!(BUILT_IN_DEFINITIONS.rules.iter().any(|rule| rule.risk == risk), "{risk}");
        }
    }

    #[test]
    fn an_alarm_names_the_words_as_they_stand_in_the_text() {
        let text = "再不解决我就跳 楼";
        let alarms = RiskRules::built_in().find(text);
        let alarm = alarms.iter().find(|alarm| alarm.risk == "self_harm").unwrap();
        assert!(text[alarm.span.clone()].contains("跳 楼"), "{alarm:?}");
    }

    proptest! {
        #[test]
        fn any_text_is_read_and_spans_cut_no_character(text in texts()) {
            for alarm in RiskRules::built_in().find(&text) {
                prop_assert!(text.get(alarm.span.clone()).is_some_and(|words| !words.is_empty()), "{:?}", alarm);
            }
        }

        #[test]
        fn another_sentence_never_removes_an_alarm(text in texts(), more in texts()) {
            let rules = RiskRules::built_in();
            let longer = rules.find(&format!("{text}。{more}"));
            for alarm in rules.find(&text) {
                prop_assert!(longer.contains(&alarm), "{:?}", alarm);
            }
        }
    }
}
