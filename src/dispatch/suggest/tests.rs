//! What is suggested, case by case, and what holds for every suggestion.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::dispatch::LOCAL;
use crate::dispatch::rule::{Action, Clause, Conditions, TimeLimits};

type Ranked<'a> = &'a [(&'a str, f32)];

/// Id, role and reason of each unit, with the probability in percent.
fn units(categories: Ranked<'_>, departments: Option<Ranked<'_>>, area: &str, top_k: usize) -> Vec<String> {
    let directory = Directory::built_in();
    let area = directory.areas_called(area).pop();
    let input = DispatchInput { categories, departments, area, top_k, ..DispatchInput::default() };
    suggest(&directory, &input)
        .departments
        .iter()
        .map(|unit| format!("{:?} {} {:.0} {}", unit.role, unit.id, 100.0 * unit.probability, unit.reason))
        .collect()
}

#[test]
fn departments_that_a_learned_head_names_as_helping_are_listed() {
    let directory = Directory::built_in();
    let departments = [("ecology", 0.9), ("justice", 0.01)];
    let input = DispatchInput {
        categories: &[("environment", 0.9)],
        departments: Some(&departments),
        supporting: &[("justice", 0.2), ("ecology", 0.2), ("nobody", 0.9)],
        top_k: 9,
        ..DispatchInput::default()
    };
    let units = suggest(&directory, &input).departments;
    let justice = units.iter().find(|unit| unit.id == "justice").unwrap();
    assert_eq!((justice.role, justice.reason.as_str()), (DepartmentRole::Supporting, "learned"));
    assert!((justice.probability - 0.01).abs() < 1e-6, "helping says nothing about leading");
    assert_eq!(units[0].id, "ecology");
    assert_eq!(units.iter().filter(|unit| unit.id == "ecology").count(), 1);
}

#[test]
fn without_a_head_the_categories_weigh_their_leads() {
    let categories = [("housing", 0.4), ("finance", 0.3), ("urban_construction", 0.25), ("health", 0.01)];
    let expected = [
        "Lead housing_construction 65 directory:housing",
        "Supporting financial_regulation 30 directory:finance",
        "Supporting natural_resources 0 directory:housing",
        "Supporting market_regulation 0 directory:housing",
    ];
    assert_eq!(units(&categories, None, "", 10), expected);
}

#[test]
fn two_lesser_categories_outweigh_the_best() {
    let categories = [("public_safety", 0.4), ("housing", 0.35), ("urban_construction", 0.25)];
    let units = units(&categories, None, "", 2);
    assert_eq!(
        units,
        ["Lead housing_construction 60 directory:housing", "Supporting emergency 40 directory:public_safety"]
    );
}

#[test]
fn the_head_leads_and_the_directory_adds() {
    let departments = [
        ("住建", 0.7),
        ("market_regulation", 0.2),
        ("fire", 0.06),
        ("natural_resources", 0.02),
        ("tax", 0.01),
    ];
    let expected = [
        "Lead housing_construction 70 learned+directory:housing",
        "Supporting market_regulation 20 learned+directory:housing",
        "Supporting fire 6 learned",
        "Supporting natural_resources 2 directory:housing",
        "Territorial beijing.haidian 0 area:beijing.haidian",
    ];
    assert_eq!(units(&[("housing", 0.9)], Some(&departments), "海淀区", 5), expected);
    assert_eq!(units(&[("housing", 0.9)], Some(&departments), "", 2), expected[..2]);
    assert_eq!(units(&[("housing", 0.9)], Some(&departments), "", 0), expected[..1]);
}

#[test]
fn a_head_that_disagrees_with_the_directory_prevails_and_shows_it() {
    let departments = [("fire", 0.6), ("housing_construction", 0.4)];
    let expected = ["Lead fire 60 learned", "Supporting housing_construction 40 learned+directory:housing"];
    assert_eq!(units(&[("housing", 0.9)], Some(&departments), "", 2), expected);
}

#[test]
fn local_is_territorial_and_becomes_the_unit_of_the_area() {
    let departments = [("local", 0.7), ("civil_affairs", 0.3)];
    let functional = "Lead civil_affairs 30 learned";
    let unit = "Territorial beijing.miyun 70 learned+area:beijing.miyun";
    assert_eq!(units(&[], Some(&departments), "密云", 3), [functional, unit]);
    assert_eq!(units(&[], Some(&departments), "", 3), [functional, "Territorial local 70 learned"]);
    assert_eq!(units(&[], Some(&departments), "北京市", 3), [functional, "Territorial local 70 learned"]);
}

#[test]
fn a_head_without_a_functional_department_leaves_the_lead_to_the_categories() {
    let departments = [("unheard_of", 0.6), ("local", 0.4)];
    let expected = ["Lead education 90 directory:education", "Territorial local 40 learned"];
    assert_eq!(units(&[("education", 0.9)], Some(&departments), "", 1), expected);
}

#[test]
fn where_nobody_fits_only_the_unit_of_the_area_is_left() {
    let departments = [("unheard_of", 1.0), ("local", 0.5)];
    let unit = "Territorial beijing.haidian 50 learned+area:beijing.haidian";
    assert_eq!(units(&[("weather", 1.0)], Some(&departments), "海淀", 3), [unit]);
    let directory = Directory::built_in();
    assert_eq!(suggest(&directory, &DispatchInput::default()).doubts, [Doubt::NobodyFits]);
}

/// A rule that holds for every request.
fn rule(id: &str, lead: Option<&str>, precision: Option<f32>) -> Rule {
    let lead = lead.map(str::to_owned);
    let then = Action { lead, precision, ..Action::default() };
    Rule { id: id.to_owned(), line: 1, when: Conditions::default(), then }
}

/// What is suggested on a request for which these rules hold, if the model finds the fire brigade likeliest.
fn with_rules(rules: &[&Rule], policy: Option<&Policy>) -> Suggestion {
    let directory = Directory::built_in();
    let area = directory.areas_called("海淀区").pop();
    let departments = [("fire", 0.5), ("housing_construction", 0.3), ("local", 0.2)];
    let input = DispatchInput {
        categories: &[("public_safety", 0.9)],
        departments: Some(&departments),
        rules,
        policy,
        area,
        urgency: Some("urgent"),
        top_k: 4,
        ..DispatchInput::default()
    };
    suggest(&directory, &input)
}

#[test]
fn a_binding_rule_leads_and_the_disagreement_is_told() {
    let gas = rule("gas", Some("gas_company"), None);
    let suggestion = with_rules(&[&gas], None);
    let lead = &suggestion.departments[0];
    assert_eq!((lead.id.as_str(), lead.reason.as_str()), ("gas_company", "rule:gas"));
    assert!((lead.probability - 0.98).abs() < 1e-6);
    let disagreement = Doubt::RuleAgainstModel {
        rule: "gas".to_owned(),
        rule_lead: "gas_company".to_owned(),
        model_lead: "fire".to_owned(),
    };
    assert_eq!(suggestion.doubts, [disagreement]);
    let fire = rule("hydrant", Some("fire"), None);
    let agreed = with_rules(&[&fire], None);
    assert_eq!((agreed.departments[0].reason.as_str(), agreed.doubts), ("rule:hydrant+learned", vec![]));
    assert_eq!(with_rules(&[&fire, &gas], None).departments[0].id, "fire", "the first that binds");
}

#[test]
fn a_rule_of_known_precision_is_weighed_against_the_model() {
    let lead = |precision| {
        let rule = rule("property", Some("housing_construction"), Some(precision));
        with_rules(&[&rule], None).departments[0].id.clone()
    };
    assert_eq!(lead(0.3), "fire");
    assert_eq!(lead(0.9), "housing_construction");
    let sum = |rules: &[&Rule]| -> f32 {
        with_rules(rules, None).departments.iter().map(|unit| unit.probability).sum()
    };
    let property = rule("property", Some("housing_construction"), Some(0.9));
    assert!((sum(&[&property]) - sum(&[])).abs() < 1e-6, "the mass stays");
    // 0.3·exp(0.15·(ln 9 + ln 43)) = 0.3·2.444 = 0.733; 0.733 / (0.733 + 0.7) = 0.512
    let weighed = with_rules(&[&property], None).departments[0].probability;
    assert!((weighed - 0.512).abs() < 1e-3, "{weighed}");
}

#[test]
fn the_rule_of_the_highest_precision_speaks_unless_one_binds() {
    let rules = [
        rule("a", Some("fire"), Some(0.6)),
        rule("b", Some("gas_company"), Some(0.7)),
        rule("c", Some("emergency"), None),
    ];
    let doubts = |rules: &[&Rule]| with_rules(rules, None).doubts;
    let against = |rule: &str, rule_lead: &str| Doubt::RuleAgainstModel {
        rule: rule.to_owned(),
        rule_lead: rule_lead.to_owned(),
        model_lead: "fire".to_owned(),
    };
    assert_eq!(doubts(&[&rules[0]]), []);
    assert_eq!(doubts(&[&rules[0], &rules[1]]), [against("b", "gas_company")]);
    assert_eq!(doubts(&[&rules[1], &rules[2]]), [against("c", "emergency")]);
}

#[test]
fn rules_alone_are_as_likely_as_they_have_been_right() {
    let directory = Directory::built_in();
    let gas = rule("gas", Some("gas_company"), Some(0.8));
    let input = DispatchInput { rules: &[&gas], top_k: 3, ..DispatchInput::default() };
    let suggestion = suggest(&directory, &input);
    assert!((suggestion.departments[0].probability - 0.8).abs() < 1e-6);
    assert_eq!(suggestion.doubts, []);
    let category = [("public_safety", 1.0)];
    let input = DispatchInput { categories: &category, rules: &[&gas], top_k: 9, ..input };
    let units = suggest(&directory, &input).departments;
    let probability = |id: &str| units.iter().find(|unit| unit.id == id).unwrap().probability;
    assert!((probability("gas_company") - 0.8).abs() < 1e-6);
    assert!((probability("emergency") - 0.2).abs() < 1e-6, "the category's lead has the rest");
}

#[test]
fn a_rule_calls_supporting_departments_together_and_sets_the_time() {
    let mut gas = rule("gas", Some("gas_company"), None);
    gas.then.supporting = vec!["fire".into(), "emergency".into()];
    gas.then.time_limits = TimeLimits::from([("urgent".to_owned(), 2)]);
    gas.then.clause = Some(Clause { id: "7.1".into(), text: "燃气泄漏".into() });
    gas.then.whistle = true;
    let suggestion = with_rules(&[&gas], None);
    assert!(suggestion.whistle);
    assert_eq!(suggestion.time_limit_hours, Some(2));
    assert_eq!(suggestion.departments[0].clause, "7.1 燃气泄漏");
    let fire = suggestion.departments.iter().find(|unit| unit.id == "fire").unwrap();
    assert_eq!(
        (fire.role, fire.reason.as_str()),
        (DepartmentRole::Supporting, "rule:gas+learned+directory:public_safety")
    );
    let order: Vec<&str> = suggestion.departments.iter().map(|unit| unit.id.as_str()).collect();
    assert_eq!(
        order[..4],
        ["gas_company", "fire", "emergency", "housing_construction"],
        "who is called first"
    );
    assert!(!with_rules(&[], None).whistle);
    let other = rule("other", Some("fire"), None);
    let suggestion = with_rules(&[&other, &gas], None);
    assert!(!suggestion.whistle, "a rule for another lead adds nothing");
    let all = rule("all", None, None);
    let all = Rule { then: Action { whistle: true, ..all.then.clone() }, ..all };
    assert!(with_rules(&[&all], None).whistle);
}

fn policy(lead: Leadership) -> Policy {
    let clause = Some(Clause { id: "1".into(), text: "属地管理".into() });
    Policy { id: "streets".to_owned(), categories: vec![], area: None, lead, clause }
}

#[test]
fn a_policy_gives_the_lead_to_the_unit_of_the_area() {
    let suggestion = with_rules(&[], Some(&policy(Leadership::Territorial)));
    let units: Vec<_> = suggestion
        .departments
        .iter()
        .map(|unit| (unit.role, unit.id.as_str(), unit.reason.as_str(), unit.clause.as_str()))
        .collect();
    let reason = "learned+policy:streets+area:beijing.haidian";
    assert_eq!(units[0], (DepartmentRole::Lead, "beijing.haidian", reason, "1 属地管理"));
    assert_eq!(units[1], (DepartmentRole::Supporting, "fire", "learned", ""));
    assert_eq!(suggestion.doubts, []);
    let both = with_rules(&[], Some(&policy(Leadership::Both)));
    let roles: Vec<_> = both.departments.iter().map(|unit| unit.role).collect();
    assert_eq!((roles[0], roles[roles.len() - 1]), (DepartmentRole::Lead, DepartmentRole::Territorial));
    assert_eq!(both.leadership, Leadership::Both);
}

#[test]
fn a_policy_and_rules_count_also_where_nobody_fits() {
    let directory = Directory::built_in();
    let area = directory.areas_called("海淀区").pop();
    let mut all = rule("all", None, None);
    all.then.supporting = vec!["emergency".into()];
    all.then.whistle = true;
    let streets = policy(Leadership::Territorial);
    let input =
        DispatchInput { rules: &[&all], policy: Some(&streets), area, top_k: 3, ..DispatchInput::default() };
    let suggestion = suggest(&directory, &input);
    let units: Vec<_> = suggestion.departments.iter().map(|unit| (unit.role, unit.id.as_str())).collect();
    let expected = [(DepartmentRole::Lead, "beijing.haidian"), (DepartmentRole::Supporting, "emergency")];
    assert_eq!(units, expected);
    assert!(suggestion.whistle);
    assert_eq!((suggestion.leadership, suggestion.doubts), (Leadership::Territorial, vec![]));
}

#[test]
fn two_departments_that_help_are_called_together_but_not_the_lead_itself() {
    let directory = Directory::built_in();
    let whistle = |supporting: &[(&str, f32)]| {
        let departments = [("ecology", 0.9)];
        let input = DispatchInput {
            departments: Some(&departments),
            supporting,
            top_k: 9,
            ..DispatchInput::default()
        };
        suggest(&directory, &input).whistle
    };
    assert!(!whistle(&[("ecology", 0.9), ("justice", 0.9), ("local", 0.9)]));
    assert!(!whistle(&[("fire", 0.3), ("justice", 0.9)]));
    assert!(whistle(&[("ecology", 0.9), ("justice", 0.9), ("fire", 0.6)]));
}

#[test]
fn what_the_model_finds_likeliest_stays_in_sight_where_a_rule_leads_elsewhere() {
    let gas = rule("gas", Some("gas_company"), None);
    let units = with_rules(&[&gas], None).departments;
    let fire = units.iter().find(|unit| unit.id == "fire").unwrap();
    assert!(fire.probability < SUPPORTING_PROBABILITY);
}

#[test]
fn a_department_that_the_model_never_learned_can_lead_by_rule() {
    let gas = rule("gas", Some("gas_company"), Some(0.95));
    let lead = &with_rules(&[&gas], None).departments[0];
    assert_eq!(lead.id, "gas_company");
    assert!((lead.probability - 0.95).abs() < 1e-6);
}

#[test]
fn a_territorial_lead_without_an_area_is_for_a_person_to_place() {
    let directory = Directory::built_in();
    let policy = policy(Leadership::Territorial);
    let input = DispatchInput {
        categories: &[("urban_management", 0.9)],
        policy: Some(&policy),
        ..DispatchInput::default()
    };
    let suggestion = suggest(&directory, &input);
    assert_eq!(suggestion.departments[0].id, LOCAL);
    assert_eq!(suggestion.doubts, [Doubt::NoArea { policy: "streets".to_owned() }]);
}

#[test]
fn roles_are_written_in_snake_case() {
    assert_eq!(serde_json::to_string(&DepartmentRole::Territorial).unwrap(), "\"territorial\"");
}

fn probability() -> impl Strategy<Value = f32> {
    prop_oneof![8 => 0.0_f32..=1.0, 1 => any::<f32>()]
}

proptest! {
    #[test]
    fn a_suggestion_is_well_formed(
        categories in prop::collection::vec((0_usize..22, probability()), 1..22),
        departments in prop::option::of(prop::collection::vec((0_usize..46, probability()), 0..46)),
        area in 0_usize..18,
        rules in prop::collection::vec((0_usize..44, prop::option::of(0.01_f32..0.99)), 0..4),
        lead in prop::sample::select(vec![Leadership::Functional, Leadership::Territorial, Leadership::Both]),
        top_k in 0_usize..10,
    ) {
        let directory = Directory::built_in();
        // One past the end stands for a name that the directory does not know.
        let category = |position: usize| directory.assignments.get(position).map_or("?", |a| a.category.as_str());
        let department = |position: usize| directory.departments.get(position).map_or("?", |d| d.id.as_str());
        let mut categories: Vec<_> = categories.into_iter().map(|(c, p)| (category(c), p)).collect();
        categories.push(("other", 0.0));
        let departments: Option<Vec<_>> = departments
            .map(|departments| departments.into_iter().map(|(d, p)| (department(d), p)).collect());
        let area = directory.areas.get(area);
        let named: Vec<Rule> = rules.iter().map(|&(lead, precision)| {
            rule("r", Some(department(lead)).filter(|&lead| lead != LOCAL), precision)
        }).collect();
        let rules: Vec<&Rule> = named.iter().collect();
        let policy = policy(lead);
        let input = DispatchInput {
            categories: &categories,
            departments: departments.as_deref(),
            rules: &rules,
            policy: Some(&policy),
            area,
            top_k,
            ..DispatchInput::default()
        };
        let units = suggest(&directory, &input).departments;

        let of_role = |role| units.iter().filter(move |unit| unit.role == role);
        prop_assert_eq!(of_role(DepartmentRole::Lead).count(), 1);
        let supporting = top_k.max(1) - usize::from(lead != Leadership::Territorial);
        prop_assert!(of_role(DepartmentRole::Supporting).count() <= supporting);
        prop_assert!(of_role(DepartmentRole::Territorial).count() <= 1);
        prop_assert_eq!(units.iter().map(|unit| &unit.id).collect::<HashSet<_>>().len(), units.len());
        prop_assert!(units.is_sorted_by_key(|unit| unit.role), "lead, supporting, territorial");
        let functional = units.iter().filter(|unit| directory.department(&unit.id).is_some_and(|d| d.id != LOCAL));
        let by_probability = functional.is_sorted_by(|a, b| a.probability >= b.probability);
        prop_assert!(by_probability);
        prop_assert!(units.iter().all(|unit| (0.0..=1.0).contains(&unit.probability)));
        prop_assert!(units.iter().all(|unit| !unit.reason.is_empty()));
        prop_assert!(area.and_then(|area| area.unit.as_ref()).is_none_or(|unit| units.iter().any(|u| &u.name == unit)));
    }
}
