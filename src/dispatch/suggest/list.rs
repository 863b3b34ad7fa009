//! Who is listed beside the lead, and in which order.

use super::candidate::{Candidate, Candidates, Help, clause};
use super::{DepartmentRole, DepartmentSuggestion, DispatchInput, SUPPORTING_PROBABILITY};
use crate::dispatch::directory::{Assignment, Directory, LOCAL};
use crate::dispatch::policy::Leadership;
use crate::dispatch::rule::Rule;

/// The units in their order. `likeliest` is who the model finds likeliest to lead; `rules` are those that agree with the
/// lead.
pub(super) fn units<'a>(
    directory: &'a Directory,
    input: &DispatchInput<'a>,
    mut lead: Option<Candidate<'a>>,
    candidates: Candidates<'a>,
    (likeliest, rules): (Option<&str>, &[&'a Rule]),
) -> Vec<DepartmentSuggestion> {
    let assignment = input.categories.iter().find_map(|(category, _)| directory.assignment(category));
    let lead_id = lead.as_ref().map(|lead| lead.department.id.as_str());
    let mut others = listed(directory, lead_id, candidates, (likeliest, assignment));
    if let (Some(lead), Some(assignment)) = (&mut lead, assignment)
        && assignment.lead == lead.department.id
    {
        lead.category.get_or_insert(&assignment.category);
    }
    let local =
        others.iter().position(|other| !other.is_functional()).map(|position| others.remove(position));
    let asked_for = asked_for(directory, input, rules);
    let unit = territorial(input, local.as_ref().or(asked_for.as_ref()), rules);
    let leadership = input.policy.map_or(Leadership::Functional, |policy| policy.lead);
    in_order(lead.as_ref(), &others, unit, leadership, input.top_k)
}

/// Those of the candidates that are listed, and the supporting departments of the best category.
fn listed<'a>(
    directory: &'a Directory,
    lead: Option<&str>,
    candidates: Candidates<'a>,
    (likeliest, assignment): (Option<&str>, Option<&'a Assignment>),
) -> Vec<Candidate<'a>> {
    let worth_it = |other: &Candidate<'_>| {
        let likeliest = likeliest == Some(other.department.id.as_str());
        other.help > Help::Unsaid || likeliest || other.probability >= SUPPORTING_PROBABILITY
    };
    let (all, unlikely): (Vec<_>, Vec<_>) = candidates.all.into_iter().partition(worth_it);
    let mut listed = Candidates { all, chance: None };
    if let Some(assignment) = assignment {
        for other in listed.all.iter_mut().filter(|other| other.department.id == assignment.lead) {
            other.category.get_or_insert(&assignment.category);
        }
        for id in assignment.supporting.iter().filter(|id| Some(id.as_str()) != lead) {
            let Some(department) = directory.department(id) else { continue };
            let known = listed.all.iter().any(|other| other.department.id == *id);
            let other = listed.of(department);
            other.category.get_or_insert(&assignment.category);
            if !known {
                let estimate = unlikely.iter().find(|other| other.department.id == *id);
                other.probability = estimate.map_or(0.0, |estimate| estimate.probability);
            }
        }
    }
    listed.sort();
    // Whom a rule calls is not lost where a caller asks for few.
    listed.all.sort_by_key(|other| other.help != Help::Called);
    listed.all
}

/// [`LOCAL`], if a rule or the policy asks for the unit of the area though nothing else names it.
fn asked_for<'a>(
    directory: &'a Directory,
    input: &DispatchInput<'a>,
    rules: &[&'a Rule],
) -> Option<Candidate<'a>> {
    let by_policy = input.policy.is_some_and(|policy| policy.lead != Leadership::Functional);
    let asked = by_policy || rules.iter().any(|rule| rule.then.territorial);
    asked.then(|| directory.department(LOCAL).map(Candidate::new)).flatten()
}

/// The unit that acts for the area, merged with [`LOCAL`] if that is listed.
fn territorial(
    input: &DispatchInput<'_>,
    local: Option<&Candidate<'_>>,
    rules: &[&Rule],
) -> Option<DepartmentSuggestion> {
    let area = input.area.and_then(|area| Some((area, area.unit.as_ref()?)));
    if area.is_none() && local.is_none() {
        return None;
    }
    let rules: Vec<&Rule> = rules.iter().copied().filter(|rule| rule.then.territorial).collect();
    let policy = input.policy.filter(|policy| policy.lead != Leadership::Functional);
    let mut reasons: Vec<String> = rules.iter().map(|rule| format!("rule:{}", rule.id)).collect();
    reasons.extend(local.map(Candidate::reasons).unwrap_or_default());
    reasons.extend(policy.map(|policy| format!("policy:{}", policy.id)));
    reasons.extend(area.map(|(area, _)| format!("area:{}", area.id)));
    let by_policy = policy.and_then(|policy| policy.clause.as_ref());
    let clause = by_policy.map_or_else(|| clause(&rules), |clause| format!("{} {}", clause.id, clause.text));
    let (id, name, name_en) = match (area, local) {
        (Some((area, unit)), _) => (&area.id, unit, &area.name_en),
        (None, Some(local)) => (&local.department.id, &local.department.name, &local.department.name_en),
        (None, None) => return None,
    };
    Some(DepartmentSuggestion {
        id: id.clone(),
        name: name.clone(),
        name_en: name_en.clone(),
        role: DepartmentRole::Territorial,
        probability: local.map_or(0.0, |local| local.probability),
        reason: reasons.join("+"),
        clause,
    })
}

/// The units in the order in which they are listed.
fn in_order(
    lead: Option<&Candidate<'_>>,
    others: &[Candidate<'_>],
    unit: Option<DepartmentSuggestion>,
    leadership: Leadership,
    top_k: usize,
) -> Vec<DepartmentSuggestion> {
    let others = others.iter().map(|other| other.suggestion(DepartmentRole::Supporting));
    let others = others.take(top_k.saturating_sub(1));
    match (unit, leadership) {
        (Some(unit), Leadership::Territorial) => {
            let unit = DepartmentSuggestion { role: DepartmentRole::Lead, ..unit };
            let lead = lead.map(|lead| lead.suggestion(DepartmentRole::Supporting));
            std::iter::once(unit).chain(lead).chain(others).collect()
        }
        (unit, _) => {
            let lead = lead.map(|lead| lead.suggestion(DepartmentRole::Lead));
            lead.into_iter().chain(others).chain(unit).collect()
        }
    }
}
