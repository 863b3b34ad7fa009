//! What a rule's word is worth beside what the model has learned.
//!
//! Of the rules that hold, one speaks for the lead: the first that binds, or else the one of the highest precision q. A
//! binding rule's department leads, and [`DOUBT_OF_BINDING`] is left to the others together. Another rule is one more
//! expert beside the learned head, and the two are pooled as logarithms are (Genest and Zidek 1986, "Combining probability
//! distributions"), the rule's odds counting as far as they are better than chance among n departments:
//!
//! p'(department) ∝ p(department) · exp([`RULE_WEIGHT`] · max(0, logit q − logit 1/n)) for its department,
//! p'(department) ∝ p(department) for the others, with the same sum as before.
//!
//! Without a learned head, or where the head does not know the department, the rule knows more than the category does:
//!
//! p'(department) = q · [it is the rule's] + (1 − q) · p(department).

use super::candidate::{Candidate, Candidates};
use crate::dispatch::directory::{Department, Directory};
use crate::dispatch::rule::Rule;

/// How much a rule's odds count beside what the model has learned, which knows most of the rules' words too. Fitted on a
/// third of the annotated requests, with a model that had learned from the others.
const RULE_WEIGHT: f32 = 0.15;
/// How likely it is that another department leads than the one that a binding rule names.
const DOUBT_OF_BINDING: f32 = 0.02;

/// The rule that speaks for the lead, and the department that it names: the first that binds, or else the first of the
/// highest precision.
pub(super) fn speaker<'a>(
    directory: &'a Directory,
    rules: &[&'a Rule],
) -> Option<(&'a Rule, &'a Department)> {
    let mut naming =
        rules.iter().filter_map(|rule| Some((*rule, directory.department(rule.then.lead.as_deref()?)?)));
    let first = naming.next()?;
    Some(naming.fold(first, |best, other| {
        let better = !best.0.binds() && (other.0.binds() || other.0.then.precision > best.0.then.precision);
        if better { other } else { best }
    }))
}

impl<'a> Candidates<'a> {
    /// Weighs the probabilities against what the rule says that speaks for the lead.
    pub(super) fn weigh_against(&mut self, speaker: Option<(&'a Rule, &'a Department)>) {
        let Some((rule, department)) = speaker else { return };
        let before: f32 = self.all.iter().map(|candidate| candidate.probability).sum();
        let named = self.of(department).probability;
        let (weighed, total) = match (rule.then.precision, self.chance) {
            (None, _) => (1.0 - DOUBT_OF_BINDING, 1.0),
            (Some(precision), Some(chance)) if named > 0.0 => {
                let odds = named * (RULE_WEIGHT * (logit(precision) - logit(chance)).max(0.0)).exp();
                let total = before.min(1.0);
                (total * odds / (odds + before - named), total)
            }
            (Some(precision), _) => (precision + (1.0 - precision) * named, 1.0),
        };
        let others = self.all.iter_mut().filter(|candidate| candidate.department.id != department.id);
        scale(others.collect(), (total - weighed).max(0.0));
        self.of(department).probability = weighed.min(1.0);
        self.sort();
    }
}

fn logit(probability: f32) -> f32 {
    (probability / (1.0 - probability)).ln()
}

/// Makes the candidates' probabilities sum to `total`, unless they are all zero.
fn scale(candidates: Vec<&mut Candidate<'_>>, total: f32) {
    let sum: f32 = candidates.iter().map(|candidate| candidate.probability).sum();
    if sum > 0.0 {
        for candidate in candidates {
            candidate.probability *= total / sum;
        }
    }
}
