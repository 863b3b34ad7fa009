//! The one path that all commands share: words → classification and risk alarms → departments → decision.
//!
//! Without a model, or where it fails, risk rules and the directory's rules still answer; see [`Pipeline::by_rules`].

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crate::assessment::{
    AreaReference, Assessment, Degradation, Evidence, EvidenceTarget, FiredRule, Label, RiskAlarm,
};
use crate::city::City;
use crate::classifier::{Classification, ClassifierInput, EvidenceSpan, ModelError, SequenceClassifier};
use crate::dispatch::{
    Area, AreaSource, Aspect, Directory, DispatchInput, Facts, Placement, Policy, Rule, Suggestion, suggest,
};
use crate::encoder::Threads;
use crate::error::Result;
use crate::request::{Field, RequestError, RequestText, Requester, Violation};
use crate::taxonomy::Taxonomy;
use crate::terms::{
    CATEGORY_HEAD, DEPARTMENT_HEAD, GROUPS_HEAD, KIND_HEAD, RISKS_HEAD, SUPPORTING_HEAD, Terms, URGENCY_HEAD,
};
use crate::tokenizer::EncodedText;

mod check;
mod decide;
mod labels;

/// Most characters of an unknown area that the answer repeats.
const MAX_SHOWN_HINT: usize = 32;
/// Most functional departments of an answer.
const MAX_DEPARTMENTS: usize = 20;
/// The heads whose evidence is shown.
const EXPLAINED_HEADS: [&str; 2] = [CATEGORY_HEAD, DEPARTMENT_HEAD];

/// A request that passed all checks.
#[derive(Debug, Clone)]
pub struct CitizenRequest {
    /// The words.
    pub text: RequestText,
    /// Who asks, if the caller said so.
    pub requester: Option<Requester>,
    /// Whether the answer shows which words carried it.
    pub explain: bool,
    /// Whether the answer holds the words with personal data masked.
    pub mask: bool,
    /// Whether the answer holds what each head says of all its labels.
    pub scores: bool,
    /// The words as the model reads them, if there is a model.
    pub encoded: Option<EncodedText>,
    /// What it was checked against, and will be answered by: another may be in use by then.
    pub pipeline: Arc<Pipeline>,
    /// Where it is about, in the directory of the pipeline.
    placement: Placement,
}

impl CitizenRequest {
    /// How many tokens the model reads.
    pub fn tokens(&self) -> usize {
        self.encoded.as_ref().map_or(1, EncodedText::len)
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

/// A model, if there is one, and the city that its labels belong to.
#[derive(Debug)]
pub struct Pipeline {
    model: Option<Arc<SequenceClassifier>>,
    /// What the labels of each head stand for, by the head's name; without a probability yet.
    meanings: HashMap<String, Vec<Option<Label>>>,
    city: City,
}

impl Pipeline {
    /// Joins the two after checking that they speak of the same things.
    ///
    /// # Errors
    /// If the model has no category head, or a label that the taxonomy or the directory does not know.
    pub fn new(model: impl Into<Arc<SequenceClassifier>>, city: City) -> Result<Self> {
        let model = model.into();
        let terms = Terms { taxonomy: &city.taxonomy, directory: Some(&city.directory) };
        check::labels(&model, terms)?;
        Ok(Self { meanings: labels::meanings(&model, terms), model: Some(model), city })
    }

    /// A pipeline that answers by rules alone until there is a model.
    pub fn without_model(city: City) -> Self {
        Self { model: None, meanings: HashMap::new(), city }
    }

    /// The model, if there is one.
    pub fn model(&self) -> Option<&Arc<SequenceClassifier>> {
        self.model.as_ref()
    }

    /// The city.
    pub fn city(&self) -> &City {
        &self.city
    }

    /// The taxonomy.
    pub fn taxonomy(&self) -> &Taxonomy {
        &self.city.taxonomy
    }

    /// The directory.
    pub fn directory(&self) -> &Directory {
        &self.city.directory
    }

    /// What the model's labels stand for.
    pub fn terms(&self) -> Terms<'_> {
        Terms { taxonomy: &self.city.taxonomy, directory: Some(&self.city.directory) }
    }

    /// Checks a request's words and its area, which may be empty, and reads the words as the model does.
    ///
    /// # Errors
    /// Every violation at once.
    pub fn request(
        self: &Arc<Self>,
        title: &str,
        text: &str,
        area: &str,
    ) -> std::result::Result<CitizenRequest, RequestError> {
        let words = RequestText::new(title, text);
        let fields = words.as_ref().map_or(["", ""], fields);
        let placement = match self.directory().place(area, &fields) {
            Some(placement) => Ok(placement),
            None => Err(self.unknown_area(area.trim())),
        };
        let (text, placement) = match (words, placement) {
            (Ok(text), Ok(placement)) => (text, placement),
            (Err(mut error), placement) => {
                error.violations.extend(placement.err());
                return Err(error);
            }
            (Ok(_), Err(violation)) => return Err(RequestError { violations: vec![violation] }),
        };
        let encoded = self.model.as_ref().map(|model| model.encode(&text)).transpose();
        let encoded = encoded.map_err(|error| RequestError {
            violations: vec![Violation { field: "text", problem: error.to_string() }],
        })?;
        let pipeline = Arc::clone(self);
        Ok(CitizenRequest {
            text,
            requester: None,
            explain: false,
            mask: false,
            scores: false,
            encoded,
            pipeline,
            placement,
        })
    }

    /// A request of another pipeline with the same city, as this one's model reads it.
    ///
    /// # Errors
    /// If the tokenizer fails.
    pub fn read_again(self: &Arc<Self>, request: &CitizenRequest) -> Result<CitizenRequest> {
        let encoded = self.model.as_ref().map(|model| model.encode(&request.text)).transpose();
        let encoded = encoded.map_err(ModelError::from)?;
        Ok(CitizenRequest { encoded, pipeline: Arc::clone(self), ..request.clone() })
    }

    fn unknown_area(&self, hint: &str) -> Violation {
        let city = self.directory().areas_called(&self.directory().city);
        let city = city.first().map_or("this city", |city| &city.name);
        // Somebody may have put a whole address, or the request itself, into the field.
        let shown: String = hint.chars().take(MAX_SHOWN_HINT).collect();
        let problem =
            format!("`{shown}` is no area of the directory ({city}); see `GetTaxonomy` for those there are");
        Violation { field: "area", problem }
    }

    /// Answers requests without asking the model: what risk rules and the directory's rules say of the words, and what
    /// is missing.
    pub fn by_rules(&self, requests: &[CitizenRequest], missing: Degradation) -> Vec<Assessment> {
        let answer = |request: &CitizenRequest| {
            let mut answer = self.assessment(request, None);
            answer.degradations.push(missing);
            answer
        };
        requests.iter().map(answer).collect()
    }

    fn assessment(&self, request: &CitizenRequest, classification: Option<&Classification>) -> Assessment {
        let categories = self.labels(classification, CATEGORY_HEAD);
        let single = |head| self.holding(classification, head).into_iter().next();
        let (kind, urgency) = (single(KIND_HEAD), single(URGENCY_HEAD));
        let groups = self.holding(classification, GROUPS_HEAD);
        let alarms = self.alarms(request);
        let risks = self.risks(classification, &alarms);

        let known = known(request, [categories.first(), kind.as_ref(), urgency.as_ref()], [&risks, &groups]);
        let areas = self.areas_around(request);
        let rules = self.directory().holding(&facts(request, &known, &areas));
        let suggestion = self.suggestion(request, classification, &categories, &rules, urgency.as_ref());

        let area = |place: usize, source| AreaReference::new(&self.directory().areas[place], source);
        let source = request.placement.area.map_or(AreaSource::Text, |(_, source)| source);
        let answered = self.model.as_ref().filter(|_| classification.is_some());
        Assessment {
            decision: self.decision(&categories, urgency.as_ref(), &risks, &suggestion.doubts),
            category: categories.first().cloned(),
            categories,
            kind,
            urgency,
            risks,
            groups,
            departments: suggestion.departments,
            leadership: suggestion.leadership,
            whistle: suggestion.whistle,
            time_limit: suggestion.time_limit_hours.map(|hours| Duration::from_secs(u64::from(hours) * 3600)),
            rules: rules.into_iter().map(FiredRule::from).collect(),
            risk_alarms: alarms,
            evidence: evidence(request, classification),
            model: answered.map(|model| model.name().to_owned()).unwrap_or_default(),
            model_revision: answered.map(|model| model.revision().to_owned()).unwrap_or_default(),
            taxonomy_version: self.taxonomy().version.clone(),
            directory_version: self.directory().version.clone(),
            risk_rules_version: self.city.risk_rules.version.clone(),
            masked_title: masked(request, Field::Title),
            masked_text: masked(request, Field::Text),
            warnings: Vec::new(),
            heads: if request.scores { self.scores(classification) } else { Vec::new() },
            area: request.placement.area.map(|(place, source)| area(place, source)),
            area_candidates: request.placement.candidates.iter().map(|&place| area(place, source)).collect(),
            degradations: Vec::new(),
        }
    }

    /// The directory's rules that hold for an answered request, each with why it does, in the order in which they count.
    pub fn why(&self, request: &CitizenRequest, answer: &Assessment) -> Vec<(&Rule, Vec<String>)> {
        let single = [answer.category.as_ref(), answer.kind.as_ref(), answer.urgency.as_ref()];
        let known = known(request, single, [&answer.risks, &answer.groups]);
        let areas = self.areas_around(request);
        let facts = facts(request, &known, &areas);
        self.directory().holding(&facts).into_iter().map(|rule| (rule, rule.why(&facts))).collect()
    }

    /// The policy that applies to an answered request.
    pub fn policy(&self, request: &CitizenRequest, answer: &Assessment) -> Option<&Policy> {
        let category = answer.category.as_ref().map(|category| category.id.as_str());
        self.directory().policy(category, &self.areas_around(request))
    }

    fn areas_around(&self, request: &CitizenRequest) -> Vec<&str> {
        request.placement.area.map(|(place, _)| self.directory().ids_around(place)).unwrap_or_default()
    }

    fn suggestion(
        &self,
        request: &CitizenRequest,
        classification: Option<&Classification>,
        categories: &[Label],
        rules: &[&Rule],
        urgency: Option<&Label>,
    ) -> Suggestion {
        let departments = classification.and_then(|classification| classification.ranked(DEPARTMENT_HEAD));
        let supporting = self.holding(classification, SUPPORTING_HEAD);
        let supporting: Vec<(&str, f32)> =
            supporting.iter().map(|label| (label.id.as_str(), label.probability)).collect();
        let ranked: Vec<(&str, f32)> =
            categories.iter().map(|label| (label.id.as_str(), label.probability)).collect();
        let category = ranked.first().map(|(id, _)| *id);
        let area: Option<&Area> = request.placement.area.map(|(place, _)| &self.directory().areas[place]);
        suggest(
            self.directory(),
            &DispatchInput {
                categories: &ranked,
                departments: departments.as_deref(),
                supporting: &supporting,
                rules,
                policy: self.directory().policy(category, &self.areas_around(request)),
                area,
                urgency: urgency.map(|urgency| urgency.id.as_str()),
                top_k: MAX_DEPARTMENTS,
            },
        )
    }

    /// What the risk rules find in the words.
    fn alarms(&self, request: &CitizenRequest) -> Vec<RiskAlarm> {
        let in_field = |field: Field| {
            let found = self.city.risk_rules.find(request.text.normalized(field));
            found.into_iter().filter_map(move |alarm| {
                let chars = request.text.original_chars(field, alarm.span)?;
                let (start, end) = (chars.start, chars.end);
                let text = quote(request, field, chars);
                Some(RiskAlarm { risk: alarm.risk, rule: alarm.rule, field, start, end, text })
            })
        };
        [Field::Title, Field::Text].into_iter().flat_map(in_field).collect()
    }

    /// The risks that the model sees or a rule raised an alarm for, most probable first.
    fn risks(&self, classification: Option<&Classification>, alarms: &[RiskAlarm]) -> Vec<Label> {
        let mut risks = self.holding(classification, RISKS_HEAD);
        let estimates = if alarms.is_empty() { Vec::new() } else { self.labels(classification, RISKS_HEAD) };
        for alarm in alarms {
            if risks.iter().any(|risk| risk.id == alarm.risk) {
                continue;
            }
            let estimate = estimates.iter().find(|estimate| estimate.id == alarm.risk).cloned();
            let unestimated = || self.taxonomy().risk_by_label(&alarm.risk).map(|risk| Label::new(risk, 0.0));
            risks.extend(estimate.or_else(unestimated));
        }
        risks.sort_by(|a, b| b.probability.total_cmp(&a.probability));
        risks
    }

    /// Answers requests as [`Assess::assess`] does; what `each` makes of an answer is kept, the answer is not.
    ///
    /// # Errors
    /// If the model fails; then no request of the call has an answer.
    pub fn assess_each<T: Send>(
        &self,
        requests: &[CitizenRequest],
        threads: Threads,
        each: impl Fn(Assessment) -> T + Send + Sync,
    ) -> Result<Vec<T>> {
        let by_rules = || self.by_rules(requests, Degradation::ModelMissing).into_iter().map(&each).collect();
        let Some(model) = &self.model else { return Ok(by_rules()) };
        let inputs: Option<Vec<_>> = requests
            .iter()
            .map(|request| {
                let explain: &[&str] = if request.explain { &EXPLAINED_HEADS } else { &[] };
                Some(ClassifierInput { text: &request.text, encoded: request.encoded.as_ref()?, explain })
            })
            .collect();
        // A request that was checked against a pipeline without a model was not read as this one's model reads.
        let Some(inputs) = inputs else { return Ok(by_rules()) };
        let classifications = model.classify_encoded(&inputs, threads)?;
        let classified: Vec<_> = requests.iter().zip(&classifications).collect();
        Ok(threads.map(classified, |(request, classification)| {
            each(self.assessment(request, Some(classification)))
        }))
    }
}

impl Assess for Pipeline {
    fn assess(&self, requests: &[CitizenRequest], threads: Threads) -> Result<Vec<Assessment>> {
        self.assess_each(requests, threads, |assessment| assessment)
    }
}

/// What is known about a request, for the conditions of rules: category, kind and urgency, then risks and groups.
fn known<'a>(
    request: &CitizenRequest,
    single: [Option<&'a Label>; 3],
    many: [&'a [Label]; 2],
) -> Vec<(Aspect, &'a str)> {
    let single = [Aspect::Category, Aspect::Kind, Aspect::Urgency].into_iter().zip(single);
    let single = single.filter_map(|(aspect, label)| Some((aspect, label?.id.as_str())));
    let many = [Aspect::Risk, Aspect::Group].into_iter().zip(many);
    let many = many.flat_map(|(aspect, labels)| labels.iter().map(move |label| (aspect, label.id.as_str())));
    let requester = request.requester.map(|requester| (Aspect::Requester, requester.name()));
    single.chain(many).chain(requester).collect()
}

fn facts<'a>(
    request: &'a CitizenRequest,
    labels: &'a [(Aspect, &'a str)],
    areas: &'a [&'a str],
) -> Facts<'a> {
    let [title, text] = fields(&request.text);
    Facts { title, text, labels, areas }
}

/// The normalised title and text.
fn fields(text: &RequestText) -> [&str; 2] {
    [Field::Title, Field::Text].map(|field| text.normalized(field))
}

/// The words of a field with personal data masked, if that is asked for.
fn masked(request: &CitizenRequest, field: Field) -> String {
    if request.mask { request.text.masked(field) } else { String::new() }
}

/// The spans that carried the category and the lead that the model has learned.
fn evidence(request: &CitizenRequest, classification: Option<&Classification>) -> Vec<Evidence> {
    let Some(classification) = classification else { return Vec::new() };
    let targets = [(CATEGORY_HEAD, EvidenceTarget::Category), (DEPARTMENT_HEAD, EvidenceTarget::Lead)];
    let of_head = |(head, target)| {
        classification.evidence(head).iter().map(move |EvidenceSpan { field, chars, weight }| Evidence {
            field: *field,
            start: chars.start,
            end: chars.end,
            text: quote(request, *field, chars.clone()),
            weight: *weight,
            target,
        })
    };
    targets.into_iter().flat_map(of_head).collect()
}

/// These characters of the words, masked if the caller wants none that are not.
fn quote(request: &CitizenRequest, field: Field, chars: Range<usize>) -> String {
    let words = if request.mask {
        Cow::Owned(request.text.masked(field))
    } else {
        Cow::Borrowed(request.text.original(field))
    };
    words.chars().skip(chars.start).take(chars.len()).collect()
}
