//! Whether a model and a city speak of the same things.

use std::collections::HashMap;

use crate::classifier::{HeadConfig, Problem, SequenceClassifier};
use crate::error::{Error, Result};
use crate::terms::{
    CATEGORY_HEAD, DEPARTMENT_HEAD, GROUPS_HEAD, KIND_HEAD, RISKS_HEAD, SUPPORTING_HEAD, Terms, URGENCY_HEAD,
};

/// Most unknown labels that an error shows.
const MAX_SHOWN_LABELS: usize = 5;

/// Checks that the model says what a request is about, and that its labels are known.
pub(super) fn labels(model: &SequenceClassifier, terms: Terms<'_>) -> Result<()> {
    let name = || model.name().to_owned();
    match model.head(CATEGORY_HEAD).map(|head| head.problem) {
        Some(Problem::SingleLabelClassification) => {}
        Some(Problem::MultiLabelClassification) => return Err(Error::ManyCategories { model: name() }),
        None => {
            let heads: Vec<&str> = model.heads().iter().map(|head| head.name.as_str()).collect();
            return Err(Error::NoCategoryHead { model: name(), heads: heads.join(", ") });
        }
    }
    let (taxonomy, directory) = (
        ("the taxonomy", "pass the taxonomy that these labels belong to: `--taxonomy FILE`"),
        ("the directory", "pass the directory that these departments belong to: `--directory FILE`"),
    );
    for head in [CATEGORY_HEAD, KIND_HEAD, URGENCY_HEAD, RISKS_HEAD, GROUPS_HEAD] {
        check_head(model, terms, head, taxonomy)?;
    }
    check_head(model, terms, DEPARTMENT_HEAD, directory)?;
    check_head(model, terms, SUPPORTING_HEAD, directory)
}

fn check_head(
    model: &SequenceClassifier,
    terms: Terms<'_>,
    name: &str,
    (where_missing, hint): (&'static str, &'static str),
) -> Result<()> {
    let Some(head) = model.head(name) else { return Ok(()) };
    let unknown: Vec<String> = head
        .labels
        .iter()
        .filter(|label| terms.meaning(name, label).is_none())
        .map(|label| format!("`{label}`"))
        .collect();
    if unknown.is_empty() {
        return check_twins(model, terms, head);
    }
    Err(Error::UnknownLabels {
        model: model.name().to_owned(),
        head: name.to_owned(),
        where_missing,
        labels: shortened(&unknown),
        hint,
    })
}

/// Refuses a head with two labels for one thing, such as an id and the name that goes with it.
fn check_twins(model: &SequenceClassifier, terms: Terms<'_>, head: &HeadConfig) -> Result<()> {
    let mut seen = HashMap::new();
    for label in head.labels.iter() {
        let meaning = terms.meaning(&head.name, label).map(|meaning| meaning.id);
        if let Some(first) = seen.insert(meaning, label) {
            return Err(Error::TwinLabels {
                model: model.name().to_owned(),
                head: head.name.clone(),
                labels: [first.to_owned(), label.to_owned()],
            });
        }
    }
    Ok(())
}

/// The first of many labels, and how many more there are.
fn shortened(labels: &[String]) -> String {
    let shown = labels.iter().take(MAX_SHOWN_LABELS).cloned().collect::<Vec<_>>().join(", ");
    match labels.len().saturating_sub(MAX_SHOWN_LABELS) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
