//! The model's head alone, in this process. No city is needed: any classifier can be evaluated.

use std::sync::Arc;

use super::{Answer, AnswerError, Answers, BATCH_TEXTS, EvidenceWords, is_explained};
use crate::classifier::{Classification, ClassifierInput, EvidenceSpan, ModelError, SequenceClassifier};
use crate::encoder::Threads;
use crate::error::Error;
use crate::eval::question::Question;
use crate::request::RequestText;

/// Asks a head of a model.
#[derive(Debug)]
pub struct ModelAnswers {
    model: Arc<SequenceClassifier>,
}

impl ModelAnswers {
    /// Asks a model.
    pub fn new(model: Arc<SequenceClassifier>) -> Self {
        Self { model }
    }

    fn classify(
        &self,
        head: &str,
        texts: &[RequestText],
        explain: bool,
    ) -> Result<Vec<Classification>, ModelError> {
        let encoded = texts.iter().map(|text| self.model.encode(text)).collect::<Result<Vec<_>, _>>()?;
        let head = [head];
        let explain: &[&str] = if explain && is_explained(head[0]) { &head } else { &[] };
        let input = |(text, encoded)| ClassifierInput { text, encoded, explain };
        let inputs: Vec<_> = texts.iter().zip(&encoded).map(input).collect();
        self.model.classify_encoded(&inputs, Threads::All)
    }
}

impl Answers for ModelAnswers {
    fn answers(
        &self,
        question: &Question,
        texts: &[RequestText],
        explain: bool,
        seen: &mut dyn FnMut(usize),
    ) -> Result<Vec<Answer>, AnswerError> {
        let none = || AnswerError::NoScores { head: question.head.clone() };
        let head = self.model.head(&question.head).ok_or_else(none)?;
        let rule = self.model.decision_rule(head);
        let answer = |classification: &Classification| {
            let said = classification.head(&head.name).unwrap_or_default();
            let (probabilities, decided) = question.read(said, rule.decide(said));
            let evidence = classification.evidence(&head.name).iter();
            let evidence = evidence.map(|EvidenceSpan { field, chars, weight }| EvidenceWords {
                field: *field,
                start: chars.start,
                end: chars.end,
                weight: *weight,
            });
            Answer { probabilities, decided, dispatch: None, evidence: evidence.collect() }
        };
        let mut answers = Vec::with_capacity(texts.len());
        for texts in texts.chunks(BATCH_TEXTS) {
            let classified = self.classify(&head.name, texts, explain).map_err(Error::from)?;
            answers.extend(classified.iter().map(answer));
            seen(texts.len());
        }
        Ok(answers)
    }
}
