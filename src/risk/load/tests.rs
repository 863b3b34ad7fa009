//! What a file of risk rules may say, and what is said of its faults.

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
        let text =
            format!("version = \"1\"\n[[rules]]\nid = \"fire\"\nrisk = \"fire\"\npatterns = ['{pattern}']\n");
        let faults = RiskRules::parse("r.toml", &text, known).unwrap_err().to_string();
        assert!(faults.contains("does not compile"), "{faults}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = RiskRules::load(Path::new("nowhere/risks.toml"), known).unwrap_err();
    assert!(error.to_string().starts_with("cannot read `nowhere/risks.toml`: "), "{error}");
}
