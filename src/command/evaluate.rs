//! `jiesu evaluate`: rows with known labels to figures.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{anyhow, bail};
use indicatif::{ProgressBar, ProgressStyle};

use super::load;
use crate::city::City;
use crate::classifier::{Classification, DecisionRule, HeadConfig, Problem, SequenceClassifier};
use crate::cli::evaluate::EvaluateArgs;
use crate::eval::{Channel, Columns, EvaluateError, Figures, LabelledRows, Report, evaluate};
use crate::label::LabelSet;
use crate::message::quoted;
use crate::pipeline::Pipeline;
use crate::request::RequestText;
use crate::taxonomy::{LabelSystem, Taxonomy};
use crate::terms::{CATEGORY_HEAD, DEPARTMENT_HEAD, Terms};

/// How many unknown labels a warning shows.
const SHOWN_LABELS: usize = 5;

pub(super) fn run(args: &EvaluateArgs) -> anyhow::Result<ExitCode> {
    let files = args.model.city.files();
    let taxonomy = files.load_taxonomy()?;
    let system = args.label_system.as_deref().map(|id| find_system(&taxonomy, id)).transpose()?;
    let classifier = Arc::new(load::classifier(&args.model)?);
    let head = find_head(&classifier, args)?;
    let channel = args.by.channel();
    if let Some(channel) = channel.filter(|channel| !channel.speaks_of(&head.name)) {
        bail!("`--by {}` says nothing of head `{}`\nhint: leave `--by` out", channel.name(), head.name);
    }
    // Only departments are of the directory; for others it need not fit the taxonomy.
    let departments = head.name == DEPARTMENT_HEAD;
    let directory = departments.then(|| files.load_directory(&taxonomy)).transpose()?;
    let terms = Terms { taxonomy: &taxonomy, directory: directory.as_deref() };
    let target = Target::new(head, system, terms)?;

    let columns = Columns {
        text: args.text_column.clone(),
        title: args.title_column.clone(),
        label: args.label_column.clone(),
    };
    let mut rows = LabelledRows::read(&args.file, &columns, head.problem)?;
    if system.is_none() {
        rows.replace_labels(|label| same_meaning(terms, head, label));
    }
    let figures = match channel {
        None => ask_model(&classifier, &rows, &target),
        Some(channel) => {
            let pipeline = Arc::new(Pipeline::new(Arc::clone(&classifier), City::load(&files)?)?);
            let rule = match head.problem {
                Problem::SingleLabelClassification => DecisionRule::MostProbable,
                Problem::MultiLabelClassification => DecisionRule::Every { threshold: 0.5 },
            };
            ask(&rows, &head.labels, rule, |texts| Ok(channel.probabilities(&pipeline, head, texts)?))
        }
    };
    let mut figures = figures?;
    if system.is_none() {
        figures.name_labels(|label| Some(terms.meaning(&head.name, label)?.name.to_owned()));
    }
    warn_of_unknown_labels(&figures, &target);
    let report = Report {
        head: head.name.clone(),
        label_system: system.map(|system| system.id.clone()),
        channel: channel.map(Channel::name),
        file: args.file.display().to_string(),
        rows_without_label: rows.without_label(),
        figures,
        model: classifier.name().to_owned(),
        model_revision: classifier.revision().to_owned(),
        taxonomy_version: taxonomy.version.clone(),
    };
    let mut out = anstream::stdout().lock();
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
    } else {
        write!(out, "{report}")?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// Which probabilities are compared with the rows' labels.
struct Target<'a> {
    head: &'a HeadConfig,
    /// The label system that they are read in, and the category of each label of the head.
    reading: Option<(&'a LabelSystem, Vec<&'a str>)>,
}

impl<'a> Target<'a> {
    fn new(head: &'a HeadConfig, system: Option<&'a LabelSystem>, terms: Terms<'a>) -> anyhow::Result<Self> {
        let category = |label| {
            terms.meaning(CATEGORY_HEAD, label).map(|category| category.id).ok_or_else(|| {
                anyhow!("label `{label}` of head `{}` is no category of the taxonomy", head.name)
            })
        };
        let reading = system
            .map(|system| {
                Ok::<_, anyhow::Error>((system, head.labels.iter().map(category).collect::<Result<_, _>>()?))
            })
            .transpose()?;
        Ok(Self { head, reading })
    }

    fn labels(&self) -> &LabelSet {
        self.reading.as_ref().map_or(&self.head.labels, |(system, _)| &system.labels)
    }

    /// The probabilities of [`labels`](Self::labels).
    fn probabilities(&self, answer: &Classification) -> Vec<f32> {
        let probabilities = answer.head(&self.head.name).unwrap_or_default();
        match &self.reading {
            None => probabilities.to_vec(),
            Some((system, categories)) => {
                let categories: Vec<_> =
                    categories.iter().copied().zip(probabilities.iter().copied()).collect();
                system.read(&categories)
            }
        }
    }
}

/// The label of a head that stands for the same as `label`, if another word does.
fn same_meaning(terms: Terms<'_>, head: &HeadConfig, label: &str) -> Option<String> {
    if head.labels.id(label).is_some() {
        return None;
    }
    let meaning = terms.meaning(&head.name, label)?;
    head.labels.iter().find(|known| terms.meaning(&head.name, known) == Some(meaning)).map(str::to_owned)
}

fn find_system<'a>(taxonomy: &'a Taxonomy, id: &str) -> anyhow::Result<&'a LabelSystem> {
    taxonomy.label_system(id).ok_or_else(|| {
        let known = quoted(taxonomy.label_systems.iter().map(|system| system.id.as_str()));
        anyhow!("the taxonomy has no label system `{id}`\nhint: it has {known}")
    })
}

/// The head that was asked for; without a name the only one, or `category` where it is read in a label system.
fn find_head<'a>(classifier: &'a SequenceClassifier, args: &EvaluateArgs) -> anyhow::Result<&'a HeadConfig> {
    let heads = classifier.heads();
    let known = || quoted(heads.iter().map(|head| head.name.as_str()));
    let name = match (&args.head, &args.label_system, heads) {
        (Some(name), Some(system), _) if name != CATEGORY_HEAD => {
            bail!("label system `{system}` is read from head `{CATEGORY_HEAD}`, not from `{name}`")
        }
        (Some(name), _, _) => name,
        (None, Some(_), _) => CATEGORY_HEAD,
        (None, None, [only]) => return Ok(only),
        (None, None, _) => {
            bail!(
                "model `{}` has several heads\nhint: choose one with `--head`: {}",
                classifier.name(),
                known()
            )
        }
    };
    let head = classifier.head(name).ok_or_else(|| {
        anyhow!("model `{}` has no head `{name}`\nhint: it has {}", classifier.name(), known())
    })?;
    if args.label_system.is_some() && head.problem != Problem::SingleLabelClassification {
        bail!(
            "head `{name}` of model `{}` has no single category a text to read in a label system",
            classifier.name()
        );
    }
    Ok(head)
}

fn ask_model(
    classifier: &SequenceClassifier,
    rows: &LabelledRows,
    target: &Target<'_>,
) -> anyhow::Result<Figures> {
    let rule = match target.reading {
        Some(_) => DecisionRule::MostProbable,
        None => classifier.decision_rule(target.head),
    };
    ask(rows, target.labels(), rule, |texts| {
        let answers = classifier.classify(texts)?;
        Ok(answers.iter().map(|answer| target.probabilities(answer)).collect())
    })
}

/// Asks about all rows, with a bar that shows how far it is.
fn ask(
    rows: &LabelledRows,
    labels: &LabelSet,
    rule: DecisionRule,
    mut predict: impl FnMut(&[RequestText]) -> anyhow::Result<Vec<Vec<f32>>>,
) -> anyhow::Result<Figures> {
    // Draws only if standard error is a terminal.
    let progress = ProgressBar::new(rows.texts().len() as u64);
    progress.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} rows, {eta} left")?);
    let figures = evaluate(rows, labels, rule, |texts| {
        let answers = predict(texts).map_err(Failed)?;
        progress.inc(texts.len() as u64);
        Ok(answers)
    });
    progress.finish_and_clear();
    figures.map_err(|error| match error {
        EvaluateError::Predict(Failed(error)) => error,
        error @ (EvaluateError::UnknownLabels { .. } | EvaluateError::Answer { .. }) => error.into(),
    })
}

/// Whatever made the answers fail.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Failed(anyhow::Error);

fn warn_of_unknown_labels(figures: &Figures, target: &Target<'_>) {
    let unknown = &figures.unknown_labels;
    if unknown.is_empty() {
        return;
    }
    let owner = match &target.reading {
        Some((system, _)) => format!("label system `{}`", system.id),
        None => format!("head `{}`", target.head.name),
    };
    let rows: usize = unknown.iter().map(|unknown| unknown.rows).sum();
    let shown: Vec<_> = unknown
        .iter()
        .take(SHOWN_LABELS)
        .map(|unknown| format!("`{}` ({})", unknown.label, unknown.rows))
        .collect();
    let more = if unknown.len() > SHOWN_LABELS { ", …" } else { "" };
    anstream::eprintln!(
        "warning: {rows} labels of {} rows are none of {owner} and count as wrong: {}{more}",
        figures.rows,
        shown.join(", ")
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::Directory;

    #[test]
    fn labels_may_be_ids_or_names_on_either_side() {
        let (taxonomy, directory) = (Taxonomy::built_in(), Directory::built_in());
        let terms = Terms { taxonomy: &taxonomy, directory: Some(&directory) };
        let same = |name: &str, known: &[&str], label| {
            let labels = LabelSet::new(known.iter().copied()).unwrap();
            let problem = Problem::SingleLabelClassification;
            same_meaning(terms, &HeadConfig { name: name.to_owned(), problem, labels }, label)
        };
        assert_eq!(same("category", &["health", "housing"], "住房物业"), Some("housing".into()));
        assert_eq!(same("category", &["医疗卫生", "住房物业"], "housing"), Some("住房物业".into()));
        assert_eq!(same("kind", &["consult", "complaint"], "投诉"), Some("complaint".into()));
        assert_eq!(same("category", &["health", "housing"], "housing"), None, "already the head's own");
        assert_eq!(same("category", &["health"], "住房物业"), None, "the head lacks it");
        assert_eq!(same("my_own_head", &["housing"], "住房物业"), None, "no terms are known for the head");
    }
}
