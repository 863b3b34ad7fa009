//! Rows with known labels, and what is answered to them: by a model of this process, or by a service.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, anyhow, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};

use super::load;
use crate::city::{City, CityFiles};
use crate::classifier::{Problem, SequenceClassifier};
use crate::cli::ask::{AskArgs, By};
use crate::cli::model::ModelArgs;
use crate::client::{Connector, ServiceUri};
use crate::dispatch::Directory;
use crate::eval::answers::{
    Answer, AnswerError, Answers, Channel, ModelAnswers, PipelineAnswers, Service, ServiceError,
};
use crate::eval::gold::Gold;
use crate::eval::question::Question;
use crate::eval::report::WhatWasEvaluated;
use crate::eval::rows::{Columns, LabelledRows};
use crate::eval::{Bootstrap, Evaluation};
use crate::message::{quoted, shortened};
use crate::pipeline::Pipeline;
use crate::request::RequestText;
use crate::taxonomy::Taxonomy;
use crate::terms::{CATEGORY_HEAD, DEPARTMENT_HEAD, SUPPORTING_HEAD, Terms};

/// How many unknown labels a warning shows.
const SHOWN_LABELS: usize = 5;

/// Rows, their labels, and what was answered to them.
pub(super) struct Asked {
    pub(super) question: Question,
    pub(super) rows: LabelledRows,
    pub(super) gold: Gold,
    pub(super) answers: Vec<Answer>,
    pub(super) taxonomy: Arc<Taxonomy>,
    answerer: Answerer,
    channel: Channel,
    endpoint: Option<ServiceUri>,
    files: Vec<PathBuf>,
}

/// Who answers, and who that is.
struct Answerer {
    answers: Box<dyn Answers>,
    model: String,
    revision: String,
    precision: Option<&'static str>,
    directory_version: Option<String>,
}

/// A head as whoever answers tells it.
struct Head {
    name: String,
    problem: Problem,
    labels: Vec<String>,
}

impl Asked {
    /// Reads the rows and has them answered.
    pub(super) fn new(
        files: &[PathBuf],
        columns: &Columns,
        args: &AskArgs,
        model: &ModelArgs,
        service: Option<&Connector>,
    ) -> anyhow::Result<Self> {
        let channel = Channel::from(args.by);
        let city = model.city.files();
        let taxonomy = city.load_taxonomy()?;
        let (answerer, heads) = match service {
            Some(connector) => {
                let of_departments = args.head.as_deref() == Some(DEPARTMENT_HEAD);
                at_service(connector, channel, (&city, of_departments), &taxonomy)?
            }
            None => in_process(model, channel, &city)?,
        };
        let head = find_head(&heads, &answerer.model, args)?;
        if !channel.speaks_of(&head.name, head.problem) {
            bail!("`--by {}` says nothing of head `{}`\nhint: leave `--by` out", channel.name(), head.name);
        }
        // Only departments are of the directory; for others it need not fit the taxonomy.
        let of_departments = head.name == DEPARTMENT_HEAD || columns.supporting.is_some();
        let directory = of_departments.then(|| city.load_directory(&taxonomy)).transpose()?;
        let terms = Terms { taxonomy: &taxonomy, directory: directory.as_deref() };
        let question = ask_head(head, args, terms)?;
        let rows = read_rows(files, columns, &question, terms)?;
        let gold = Gold::new(&rows, &question)?;
        warn_of_unknown_labels(&gold, &question, rows.texts().len());
        let answers = answer(answerer.answers.as_ref(), &question, &rows)?;
        Ok(Self {
            question,
            rows,
            gold,
            answers,
            answerer: with_directory(answerer, directory.as_deref()),
            channel,
            endpoint: service.map(|connector| connector.uri().clone()),
            files: files.to_vec(),
            taxonomy,
        })
    }

    /// Rows and answers, ready to be measured.
    pub(super) fn evaluation(&self) -> anyhow::Result<Evaluation<'_>> {
        let evaluation = Evaluation::new(&self.question, &self.rows, &self.gold, &self.answers);
        evaluation.context("the answers are not those of a classifier")
    }

    /// The answers to some rows again, with the words that they rest on.
    pub(super) fn explained(&self, rows: &[usize]) -> anyhow::Result<Vec<Answer>> {
        let texts: Vec<RequestText> = rows.iter().map(|row| self.rows.texts()[*row].clone()).collect();
        Ok(self.answerer.answers.answers(&self.question, &texts, true, &mut |_| ())?)
    }

    /// What was evaluated, on what and by what.
    pub(super) fn what(&self, bootstrap: Bootstrap) -> WhatWasEvaluated {
        let Answerer { model, revision, precision, directory_version, .. } = &self.answerer;
        let now = prost_types::Timestamp::from(std::time::SystemTime::now());
        WhatWasEvaluated {
            head: self.question.head.clone(),
            label_system: self.question.system().map(|system| system.id.clone()),
            channel: (self.channel != Channel::Model).then(|| self.channel.name().to_owned()),
            endpoint: self.endpoint.as_ref().map(ToString::to_string),
            files: self.files.iter().map(|file| file.display().to_string()).collect(),
            rows: self.rows.texts().len() as u64,
            rows_without_label: self.rows.without_label() as u64,
            model: model.clone(),
            model_revision: revision.clone(),
            precision: precision.map(str::to_owned),
            taxonomy_version: self.taxonomy.version.clone(),
            directory_version: directory_version.clone(),
            program_version: env!("CARGO_PKG_VERSION").to_owned(),
            seed: bootstrap.seed,
            resamples: bootstrap.resamples as u64,
            confidence_level: 0.95,
            // To the second.
            created: prost_types::Timestamp { nanos: 0, ..now }.to_string(),
        }
    }
}

/// The model of this process, or the pipeline around it.
fn in_process(args: &ModelArgs, channel: Channel, city: &CityFiles) -> anyhow::Result<(Answerer, Vec<Head>)> {
    let model = Arc::new(load::classifier(args)?);
    let heads = model.heads().iter().map(|head| Head {
        name: head.name.clone(),
        problem: head.problem,
        labels: head.labels.iter().map(str::to_owned).collect(),
    });
    let heads = heads.collect();
    let described = |answers: Box<dyn Answers>, model: &SequenceClassifier, directory_version| Answerer {
        answers,
        model: model.name().to_owned(),
        revision: model.revision().to_owned(),
        precision: Some(model.precision().name()),
        directory_version,
    };
    if channel == Channel::Model {
        return Ok((described(Box::new(ModelAnswers::new(Arc::clone(&model))), &model, None), heads));
    }
    let pipeline = Arc::new(Pipeline::new(Arc::clone(&model), City::load(city)?)?);
    let version = Some(pipeline.directory().version.clone());
    Ok((described(Box::new(PipelineAnswers::new(pipeline, channel)), &model, version), heads))
}

/// A service, whose labels must be those of the files of the city that are used here.
fn at_service(
    connector: &Connector,
    channel: Channel,
    (city, of_departments): (&CityFiles, bool),
    taxonomy: &Taxonomy,
) -> anyhow::Result<(Answerer, Vec<Head>)> {
    ensure!(
        matches!(channel, Channel::Model | Channel::All),
        "a service does not answer by `{}` alone\nhint: leave `--endpoint` out, or write `--by all`",
        channel.name()
    );
    let service = Service::connect(connector, channel)?;
    let uri = connector.uri();
    let theirs = &service.taxonomy;
    ensure!(
        theirs.taxonomy_version == taxonomy.version,
        "`{uri}` speaks of taxonomy {}, and this is {}\nhint: name the service's file with `--taxonomy`",
        theirs.taxonomy_version,
        taxonomy.version
    );
    if channel == Channel::All || of_departments {
        let directory = city.load_directory(taxonomy)?;
        ensure!(
            theirs.directory_version == directory.version,
            "`{uri}` speaks of directory {}, and this is {}\nhint: name the service's file with `--directory`",
            theirs.directory_version,
            directory.version
        );
    }
    let heads = service.model.heads.iter().map(|head| Head {
        name: head.name.clone(),
        problem: if head.multi_label {
            Problem::MultiLabelClassification
        } else {
            Problem::SingleLabelClassification
        },
        labels: head.labels.clone(),
    });
    let heads = heads.collect();
    let answerer = Answerer {
        model: service.model.name.clone(),
        revision: service.model.revision.clone(),
        precision: None,
        directory_version: (channel == Channel::All).then(|| theirs.directory_version.clone()),
        answers: Box::new(service),
    };
    Ok((answerer, heads))
}

/// The directory whose departments the labels are, where it had no other say.
fn with_directory(answerer: Answerer, directory: Option<&Directory>) -> Answerer {
    let version = directory.map(|directory| directory.version.clone());
    Answerer { directory_version: answerer.directory_version.or(version), ..answerer }
}

/// The head that was asked for; without a name the only one, or `category` where it is read in a label system.
fn find_head<'a>(heads: &'a [Head], model: &str, args: &AskArgs) -> anyhow::Result<&'a Head> {
    let known = || quoted(heads.iter().map(|head| &head.name));
    let name = match (&args.head, &args.label_system, heads) {
        (Some(name), _, _) => name,
        (None, Some(_), _) => CATEGORY_HEAD,
        (None, None, [only]) => return Ok(only),
        (None, None, _) => {
            bail!("model `{model}` has several heads\nhint: choose one with `--head`: {}", known())
        }
    };
    let head = heads.iter().find(|head| head.name == name);
    head.with_context(|| format!("model `{model}` has no head `{name}`\nhint: it has {}", known()))
}

fn ask_head(head: &Head, args: &AskArgs, terms: Terms<'_>) -> anyhow::Result<Question> {
    let find = |id: &String| {
        terms.taxonomy.label_system(id).with_context(|| {
            let known = quoted(terms.taxonomy.label_systems.iter().map(|system| &system.id));
            format!("the taxonomy has no label system `{id}`\nhint: it has {known}")
        })
    };
    let system = args.label_system.as_ref().map(find).transpose()?;
    let labels = head.labels.iter().map(String::as_str).chain(unlearned_departments(head, args, terms));
    Ok(Question::new(&head.name, head.problem, labels, terms, system)?)
}

/// The departments of the directory that the head has not learned: rules may name them as well.
fn unlearned_departments<'a>(head: &Head, args: &AskArgs, terms: Terms<'a>) -> Vec<&'a str> {
    let directory = terms.directory.filter(|_| args.by != By::Model && head.name == DEPARTMENT_HEAD);
    let learned = |id: &str| {
        let stands_for =
            |label: &String| terms.meaning(DEPARTMENT_HEAD, label).is_some_and(|known| known.id == id);
        head.labels.iter().any(stands_for)
    };
    let ids = directory.into_iter().flat_map(|directory| &directory.departments).map(|unit| unit.id.as_str());
    ids.filter(|id| !learned(id)).collect()
}

fn read_rows(
    files: &[PathBuf],
    columns: &Columns,
    question: &Question,
    terms: Terms<'_>,
) -> anyhow::Result<LabelledRows> {
    let mut rows = LabelledRows::read(files, columns, question.problem)?;
    rows.replace_labels(|label| question.label_of(label, terms));
    rows.replace_supporting(|unit| Some(terms.meaning(SUPPORTING_HEAD, unit)?.id.to_owned()));
    let unknown = rows.supporting().into_iter().flatten().flatten();
    let unknown: Vec<&String> =
        unknown.filter(|unit| terms.meaning(SUPPORTING_HEAD, unit).is_none()).collect();
    if let Some(first) = unknown.first() {
        anstream::eprintln!(
            "warning: {} supporting departments are none of the directory and count as not found, such as `{}`",
            unknown.len(),
            shortened(first)
        );
    }
    Ok(rows)
}

/// Has all rows answered, with a bar that shows how far it is.
fn answer(answers: &dyn Answers, question: &Question, rows: &LabelledRows) -> anyhow::Result<Vec<Answer>> {
    let texts = rows.texts();
    // Draws only if standard error is a terminal.
    let progress = ProgressBar::new(texts.len() as u64);
    progress.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} rows, {eta} left")?);
    let answers = answers.answers(question, texts, false, &mut |rows| progress.inc(rows as u64));
    progress.finish_and_clear();
    answers.map_err(|error| match error {
        AnswerError::Service(ServiceError::Refused { uri, row, problem }) => {
            anyhow!("`{uri}` refused the row `{}`: {problem}", rows.ids()[row])
        }
        error @ (AnswerError::Model(_) | AnswerError::Service(_) | AnswerError::NoScores { .. }) => {
            error.into()
        }
    })
}

fn warn_of_unknown_labels(gold: &Gold, question: &Question, rows: usize) {
    let unknown = gold.most_frequent_unknown();
    if unknown.is_empty() {
        return;
    }
    let owner = match question.system() {
        Some(system) => format!("label system `{}`", system.id),
        None => format!("head `{}`", question.head),
    };
    let labels: u64 = unknown.iter().map(|unknown| unknown.rows).sum();
    let shown: Vec<_> = unknown
        .iter()
        .take(SHOWN_LABELS)
        .map(|unknown| format!("`{}` ({})", unknown.label, unknown.rows))
        .collect();
    let more = if unknown.len() > SHOWN_LABELS { ", …" } else { "" };
    anstream::eprintln!(
        "warning: {labels} labels of {rows} rows are none of {owner} and count as wrong: {}{more}",
        shown.join(", ")
    );
}
