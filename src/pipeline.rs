//! The one path that all commands share: words → classification → decision → departments.

use std::collections::HashMap;
use std::sync::Arc;

use crate::assessment::{
    AreaReference, Assessment, Decision, DecisionAction, DecisionReason, Evidence, Label,
};
use crate::classifier::{Classification, EvidenceSpan, HeadConfig, Problem, SequenceClassifier};
use crate::dispatch::{Area, Directory, DispatchInput, suggest};
use crate::encoder::Threads;
use crate::error::{Error, Result};
use crate::request::{RequestError, RequestText, Violation};
use crate::taxonomy::Taxonomy;
use crate::terms::{
    CATEGORY_HEAD, DEPARTMENT_HEAD, GROUPS_HEAD, KIND_HEAD, RISKS_HEAD, SUPPORTING_HEAD, Terms, URGENCY_HEAD,
};
use crate::tokenizer::EncodedText;

/// Precision that an answer must be certified for to be accepted.
const REQUIRED_PRECISION: f64 = 0.95;
/// Most unknown labels that an error shows.
const MAX_SHOWN_LABELS: usize = 5;
/// Most characters of an unknown area that the answer repeats.
const MAX_SHOWN_HINT: usize = 32;
/// Most functional departments of an answer.
const MAX_DEPARTMENTS: usize = 20;
/// Risks that a person must see before anything is sent.
const HIGH_RISKS: [&str; 3] = ["life_safety", "self_harm", "threat"];

/// A request that passed all checks.
#[derive(Debug, Clone)]
pub struct CitizenRequest {
    /// The words.
    pub text: RequestText,
    /// Where it is about, if the caller said so.
    pub area: Option<Area>,
    /// The words as the model reads them.
    pub encoded: EncodedText,
}

impl CitizenRequest {
    /// How many tokens the model reads.
    pub fn tokens(&self) -> usize {
        self.encoded.len()
    }
}

/// Answers requests; what the server and the commands need of the pipeline.
pub trait Assess: Send + Sync + 'static {
    /// Answers requests, in their order, on so many threads.
    ///
    /// # Errors
    /// If the model fails; then no request of the call has an answer.
    fn assess(&self, requests: &[CitizenRequest], threads: Threads) -> Result<Vec<Assessment>>;
}

/// A model, the taxonomy that its labels belong to, and the directory of who acts.
#[derive(Debug)]
pub struct Pipeline {
    classifier: SequenceClassifier,
    taxonomy: Arc<Taxonomy>,
    directory: Arc<Directory>,
}

impl Pipeline {
    /// Joins the three after checking that they speak of the same things.
    ///
    /// # Errors
    /// If the model has no category head, or a label that the taxonomy or the directory does not know.
    pub fn new(
        classifier: SequenceClassifier,
        taxonomy: Arc<Taxonomy>,
        directory: Arc<Directory>,
    ) -> Result<Self> {
        let pipeline = Self { classifier, taxonomy, directory };
        pipeline.check_labels()?;
        Ok(pipeline)
    }

    /// The model.
    pub fn classifier(&self) -> &SequenceClassifier {
        &self.classifier
    }

    /// The taxonomy.
    pub fn taxonomy(&self) -> &Taxonomy {
        &self.taxonomy
    }

    /// The directory.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Checks a request's words and its area, which may be empty, and reads the words as the model does.
    ///
    /// # Errors
    /// Every violation at once.
    pub fn request(
        &self,
        title: &str,
        text: &str,
        area: &str,
    ) -> std::result::Result<CitizenRequest, RequestError> {
        let words = RequestText::new(title, text);
        let place = match (area.trim(), self.directory.area(area)) {
            ("", _) => Ok(None),
            (_, Some(area)) => Ok(Some(area.clone())),
            (hint, None) => Err(self.unknown_area(hint)),
        };
        match (words, place) {
            (Ok(text), Ok(area)) => match self.classifier.encode(&text) {
                Ok(encoded) => Ok(CitizenRequest { text, area, encoded }),
                Err(error) => Err(RequestError {
                    violations: vec![Violation { field: "text", problem: error.to_string() }],
                }),
            },
            (Err(error), Ok(_)) => Err(error),
            (Ok(_), Err(violation)) => Err(RequestError { violations: vec![violation] }),
            (Err(mut error), Err(violation)) => {
                error.violations.push(violation);
                Err(error)
            }
        }
    }

    fn unknown_area(&self, hint: &str) -> Violation {
        let city = self.directory.area(&self.directory.city).map_or("this city", |city| &city.name);
        // Somebody may have put a whole address, or the request itself, into the field.
        let shown: String = hint.chars().take(MAX_SHOWN_HINT).collect();
        let problem = format!("`{shown}` is no area of the directory ({city}), or the name of several");
        Violation { field: "area", problem }
    }

    fn assessment(&self, request: &CitizenRequest, classification: &Classification) -> Assessment {
        let categories = self.labels(classification, CATEGORY_HEAD);
        let single = |head| self.holding(classification, head).into_iter().next();
        let (urgency, risks) = (single(URGENCY_HEAD), self.holding(classification, RISKS_HEAD));
        let department_labels = classification.ranked(DEPARTMENT_HEAD);
        let supporting = self.holding(classification, SUPPORTING_HEAD);
        let supporting: Vec<&str> = supporting.iter().map(|label| label.id.as_str()).collect();
        let ranked: Vec<(&str, f32)> =
            categories.iter().map(|label| (label.id.as_str(), label.probability)).collect();
        let departments = suggest(
            &self.directory,
            &DispatchInput {
                categories: &ranked,
                departments: department_labels.as_deref(),
                supporting: &supporting,
                area: request.area.as_ref(),
                top_k: MAX_DEPARTMENTS,
            },
        );
        Assessment {
            category: categories[0].clone(),
            decision: self.decision(&categories[0], urgency.as_ref(), &risks),
            categories,
            kind: single(KIND_HEAD),
            urgency,
            risks,
            groups: self.holding(classification, GROUPS_HEAD),
            departments,
            evidence: classification.evidence.iter().map(|span| quote(&request.text, span)).collect(),
            model: self.classifier.name().to_owned(),
            model_revision: self.classifier.revision().to_owned(),
            taxonomy_version: self.taxonomy.version.clone(),
            directory_version: self.directory.version.clone(),
            area: request
                .area
                .as_ref()
                .map(|area| AreaReference { id: area.id.clone(), name: area.name.clone() }),
            degradations: Vec::new(),
        }
    }

    /// A head's labels, most probable first; empty if the model has no such head.
    fn labels(&self, classification: &Classification, head: &str) -> Vec<Label> {
        let ranked = classification.ranked(head).unwrap_or_default();
        ranked
            .into_iter()
            .filter_map(|(label, probability)| {
                let meaning = self.terms().meaning(head, label)?;
                Some(Label {
                    id: meaning.id.to_owned(),
                    name: meaning.name.to_owned(),
                    name_en: meaning.name_en.to_owned(),
                    probability,
                })
            })
            .collect()
    }

    /// The labels of a head that hold, most probable first; empty if the model has no such head.
    fn holding(&self, classification: &Classification, name: &str) -> Vec<Label> {
        let (Some(head), Some(probabilities)) = (self.classifier.head(name), classification.head(name))
        else {
            return Vec::new();
        };
        let decided = self.classifier.decision_rule(head).decide(probabilities);
        let holding: Vec<_> = decided
            .into_iter()
            .filter_map(|label| Some(self.terms().meaning(name, head.labels.name(label))?.id))
            .collect();
        let mut labels = self.labels(classification, name);
        labels.retain(|label| holding.contains(&label.id.as_str()));
        labels
    }

    /// What the model's labels stand for.
    pub fn terms(&self) -> Terms<'_> {
        Terms { taxonomy: &self.taxonomy, directory: Some(&self.directory) }
    }

    fn decision(&self, top: &Label, urgency: Option<&Label>, risks: &[Label]) -> Decision {
        let certified = self
            .classifier
            .calibration()
            .head(CATEGORY_HEAD)
            .and_then(|head| head.accept_at(REQUIRED_PRECISION));
        let confidence = top.probability;
        let mut doubts = Vec::new();
        let mut doubt = |code, message| doubts.push(DecisionReason { code, message });
        match certified {
            None => {
                doubt(
                    "uncertified",
                    format!("the model is not certified for precision {REQUIRED_PRECISION}"),
                );
            }
            Some(certified) if confidence < certified.threshold => doubt(
                "below_threshold",
                format!(
                    "confidence {confidence:.2} is below the certified threshold {:.2}",
                    certified.threshold
                ),
            ),
            Some(_) => {}
        }
        if urgency.is_some_and(|urgency| urgency.id == "critical") {
            doubt("critical", "the request is critical: a person should see it at once".to_owned());
        }
        for risk in risks.iter().filter(|risk| HIGH_RISKS.contains(&risk.id.as_str())) {
            doubt("high_risk", format!("the request shows the risk `{}`: a person should see it", risk.id));
        }
        let (action, reasons) = match (doubts.is_empty(), certified) {
            (true, Some(certified)) => {
                let message = format!(
                    "confidence {confidence:.2} reaches the certified threshold {:.2}",
                    certified.threshold
                );
                (DecisionAction::Accept, vec![DecisionReason { code: "confident", message }])
            }
            _ => (DecisionAction::Review, doubts),
        };
        Decision {
            action,
            reasons,
            confidence,
            threshold: certified.map(|certified| certified.threshold),
            certified_precision: certified.map(|certified| certified.precision),
        }
    }

    fn check_labels(&self) -> Result<()> {
        let classifier = &self.classifier;
        let model = || classifier.name().to_owned();
        match classifier.head(CATEGORY_HEAD).map(|head| head.problem) {
            Some(Problem::SingleLabelClassification) => {}
            Some(Problem::MultiLabelClassification) => return Err(Error::ManyCategories { model: model() }),
            None => {
                let heads: Vec<&str> = classifier.heads().iter().map(|head| head.name.as_str()).collect();
                return Err(Error::NoCategoryHead { model: model(), heads: heads.join(", ") });
            }
        }
        let (taxonomy, directory) = (
            ("the taxonomy", "pass the taxonomy that these labels belong to: `--taxonomy FILE`"),
            ("the directory", "pass the directory that these departments belong to: `--directory FILE`"),
        );
        for head in [CATEGORY_HEAD, KIND_HEAD, URGENCY_HEAD, RISKS_HEAD, GROUPS_HEAD] {
            self.check_head(head, taxonomy)?;
        }
        self.check_head(DEPARTMENT_HEAD, directory)?;
        self.check_head(SUPPORTING_HEAD, directory)
    }

    fn check_head(&self, name: &str, (where_missing, hint): (&'static str, &'static str)) -> Result<()> {
        let Some(head) = self.classifier.head(name) else { return Ok(()) };
        let unknown: Vec<String> = head
            .labels
            .iter()
            .filter(|label| self.terms().meaning(name, label).is_none())
            .map(|label| format!("`{label}`"))
            .collect();
        if unknown.is_empty() {
            return self.check_twins(head);
        }
        Err(Error::UnknownLabels {
            model: self.classifier.name().to_owned(),
            head: name.to_owned(),
            where_missing,
            labels: shortened(&unknown),
            hint,
        })
    }

    /// Refuses a head with two labels for one thing, such as an id and the name that goes with it.
    fn check_twins(&self, head: &HeadConfig) -> Result<()> {
        let mut seen = HashMap::new();
        for label in head.labels.iter() {
            let meaning = self.terms().meaning(&head.name, label).map(|meaning| meaning.id);
            if let Some(first) = seen.insert(meaning, label) {
                return Err(Error::TwinLabels {
                    model: self.classifier.name().to_owned(),
                    head: head.name.clone(),
                    labels: [first.to_owned(), label.to_owned()],
                });
            }
        }
        Ok(())
    }
}

impl Assess for Pipeline {
    fn assess(&self, requests: &[CitizenRequest], threads: Threads) -> Result<Vec<Assessment>> {
        let texts: Vec<_> = requests.iter().map(|request| (&request.text, &request.encoded)).collect();
        let classifications = self.classifier.classify_encoded(&texts, threads)?;
        let assessments: Vec<_> = requests.iter().zip(&classifications).collect();
        Ok(threads.map(assessments, |(request, classification)| self.assessment(request, classification)))
    }
}

/// The first of many labels, and how many more there are.
fn shortened(labels: &[String]) -> String {
    let shown = labels.iter().take(MAX_SHOWN_LABELS).cloned().collect::<Vec<_>>().join(", ");
    match labels.len().saturating_sub(MAX_SHOWN_LABELS) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn quote(text: &RequestText, span: &EvidenceSpan) -> Evidence {
    let words = text.original(span.field).chars().skip(span.chars.start).take(span.chars.len()).collect();
    Evidence {
        field: span.field,
        start: span.chars.start,
        end: span.chars.end,
        text: words,
        weight: span.weight,
    }
}
