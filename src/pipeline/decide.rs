//! Whether a machine may dispatch a request alone, and why not.

use super::Pipeline;
use crate::assessment::{Decision, DecisionAction, DecisionReason, Label};
use crate::classifier::CertifiedThreshold;
use crate::dispatch::Doubt;
use crate::terms::CATEGORY_HEAD;

/// Precision that an answer must be certified for to be accepted.
const REQUIRED_PRECISION: f64 = 0.95;
/// Risks that a person must see before anything is sent.
const HIGH_RISKS: [&str; 3] = ["life_safety", "self_harm", "threat"];

impl Pipeline {
    pub(super) fn decision(
        &self,
        categories: &[Label],
        urgency: Option<&Label>,
        risks: &[Label],
        doubts: &[Doubt],
    ) -> Decision {
        let certified = self.model().and_then(|model| {
            model.calibration().head(CATEGORY_HEAD).and_then(|head| head.accept_at(REQUIRED_PRECISION))
        });
        let confidence = categories.first().map_or(0.0, |top| top.probability);
        let mut reasons: Vec<DecisionReason> =
            doubt_of_category(categories.first(), certified).into_iter().collect();
        let mut add = |code, message| reasons.push(DecisionReason { code, message });
        if urgency.is_some_and(|urgency| urgency.id == "critical") {
            add("critical", "the request is critical: a person should see it at once".to_owned());
        }
        for risk in risks.iter().filter(|risk| HIGH_RISKS.contains(&risk.id.as_str())) {
            add("high_risk", format!("the request shows the risk `{}`: a person should see it", risk.id));
        }
        for doubt in doubts {
            add(code(doubt), message(doubt));
        }
        let action = match (certified, reasons.is_empty()) {
            (Some(certified), true) => {
                let threshold = certified.threshold;
                let message =
                    format!("confidence {confidence:.2} reaches the certified threshold {threshold:.2}");
                reasons.push(DecisionReason { code: "confident", message });
                DecisionAction::Accept
            }
            _ => DecisionAction::Review,
        };
        Decision {
            action,
            reasons,
            confidence,
            threshold: certified.map(|certified| certified.threshold),
            certified_precision: certified.map(|certified| certified.precision),
        }
    }
}

fn doubt_of_category(
    category: Option<&Label>,
    certified: Option<&CertifiedThreshold>,
) -> Option<DecisionReason> {
    let (code, message) = match (category, certified) {
        (None, _) => ("no_model", "no model has read the request; rules alone answered".to_owned()),
        (Some(_), None) => {
            ("uncertified", format!("the model is not certified for precision {REQUIRED_PRECISION}"))
        }
        (Some(category), Some(certified)) if category.probability < certified.threshold => {
            let (confidence, threshold) = (category.probability, certified.threshold);
            let message =
                format!("confidence {confidence:.2} is below the certified threshold {threshold:.2}");
            ("below_threshold", message)
        }
        (Some(_), Some(_)) => return None,
    };
    Some(DecisionReason { code, message })
}

/// The stable code of a doubt.
fn code(doubt: &Doubt) -> &'static str {
    match doubt {
        Doubt::RuleAgainstModel { .. } => "rule_against_model",
        Doubt::NobodyFits => "nobody_fits",
        Doubt::NoArea { .. } => "no_area",
    }
}

fn message(doubt: &Doubt) -> String {
    match doubt {
        Doubt::RuleAgainstModel { rule, rule_lead, model_lead } => {
            format!("rule `{rule}` names `{rule_lead}` as the lead, the model finds `{model_lead}` likeliest")
        }
        Doubt::NobodyFits => "no rule holds and no department is known to fit".to_owned(),
        Doubt::NoArea { policy } => {
            format!("policy `{policy}` gives the lead to the unit of the area, and no such area is known")
        }
    }
}
