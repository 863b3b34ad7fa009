//! The labels of a model's answer as those of the city.

use std::collections::HashMap;

use super::Pipeline;
use crate::assessment::{HeadScores, Label};
use crate::classifier::{Classification, HeadConfig, SequenceClassifier, ranked};
use crate::terms::Terms;

impl Pipeline {
    /// A head's labels, most probable first; empty without a model or if it has no such head.
    pub(super) fn labels(&self, classification: Option<&Classification>, head: &str) -> Vec<Label> {
        self.labels_if(classification, head, |_| true)
    }

    /// The labels of a head that hold, most probable first; empty without a model or if it has no such head.
    pub(super) fn holding(&self, classification: Option<&Classification>, head: &str) -> Vec<Label> {
        let decided = || {
            let (model, probabilities) = (self.model.as_ref()?, classification?.head(head)?);
            Some(model.decision_rule(model.head(head)?).decide(probabilities))
        };
        let decided = decided().unwrap_or_default();
        self.labels_if(classification, head, |label| decided.contains(&label))
    }

    /// What each head says of all its labels; nothing without a model.
    pub(super) fn scores(&self, classification: Option<&Classification>) -> Vec<HeadScores> {
        let (Some(model), Some(classification)) = (&self.model, classification) else { return Vec::new() };
        let of_head = |head: &HeadConfig| {
            let probabilities = classification.head(&head.name)?.to_vec();
            let decided = model.decision_rule(head).decide(&probabilities);
            Some(HeadScores { head: head.name.clone(), probabilities, decided })
        };
        model.heads().iter().filter_map(of_head).collect()
    }

    fn labels_if(
        &self,
        classification: Option<&Classification>,
        head: &str,
        is_wanted: impl Fn(usize) -> bool,
    ) -> Vec<Label> {
        let probabilities = classification.and_then(|classification| classification.head(head));
        let (Some(probabilities), Some(meanings)) = (probabilities, self.meanings.get(head)) else {
            return Vec::new();
        };
        let wanted = ranked(probabilities).filter(|(label, _)| is_wanted(*label));
        wanted
            .filter_map(|(label, probability)| Some(Label { probability, ..meanings[label].clone()? }))
            .collect()
    }
}

/// What the labels of a model's heads stand for: looked up once, since each answer asks for all of them.
pub(super) fn meanings(model: &SequenceClassifier, terms: Terms<'_>) -> HashMap<String, Vec<Option<Label>>> {
    let of_head = |head: &HeadConfig| {
        let label = |label: &str| {
            let meaning = terms.meaning(&head.name, label)?;
            Some(Label {
                id: meaning.id.to_owned(),
                name: meaning.name.to_owned(),
                name_en: meaning.name_en.to_owned(),
                probability: 0.0,
            })
        };
        (head.name.clone(), head.labels.iter().map(label).collect())
    };
    model.heads().iter().map(of_head).collect()
}
