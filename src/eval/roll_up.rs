//! Labels seen from afar: in somebody else's label system, or by their first levels.

use super::catalogue::rolled_up;
use super::metrics::{Estimate, Ratio, SingleLabel};
use super::question::Question;
use super::report::Figure;
use crate::classifier::top;
use crate::taxonomy::{LabelSystem, Taxonomy};
use crate::terms::CATEGORY_HEAD;

/// What keeps the levels of a label apart: `教育/学前教育`.
const LEVELS: char = '/';

/// Accuracy in a coarser view of the labels.
pub(super) struct RolledUp {
    id: String,
    name: (String, String),
    explanation: String,
    pub(super) right: Ratio,
}

impl RolledUp {
    /// Takes labels for the same that look the same from afar; a label that cannot be seen from there is wrong.
    fn new(problem: &SingleLabel, view: impl Fn(usize) -> Option<String>) -> Self {
        let rows = problem.gold().iter().zip(problem.decided());
        let right = Ratio::share(rows.map(|(gold, decided)| {
            Some(view(*gold).is_some_and(|gold| view(*decided).as_ref() == Some(&gold)))
        }));
        Self { id: String::new(), name: <_>::default(), explanation: String::new(), right }
    }

    fn in_system(self, system: &LabelSystem) -> Self {
        let id = &system.id;
        Self {
            id: format!("accuracy_as_{id}"),
            name: (format!("accuracy as {id}"), format!("按{}的准确率", system.name)),
            explanation: format!(
                "Share of rows whose label and answer mostly fall under the same label of {id}, by the taxonomy's crosswalk."
            ),
            ..self
        }
    }

    fn at_level(self, level: usize) -> Self {
        Self {
            id: format!("accuracy_at_level_{level}"),
            name: (format!("accuracy at level {level}"), format!("第 {level} 级准确率")),
            explanation: format!("Share of rows that are right up to level {level} of their label."),
            ..self
        }
    }

    pub(super) fn told(self, estimate: Estimate) -> Option<Figure> {
        rolled_up(self.id, self.name, self.explanation, estimate)
    }
}

/// The label of a system that most of a category falls under.
fn mostly(system: &LabelSystem, category: &str) -> Option<usize> {
    system.row(category).map(top)
}

/// How often the answer is right in a coarser view: in each label system, if the labels are categories, and by the
/// first levels of labels that have levels.
pub(super) fn roll_ups(
    problem: &SingleLabel,
    question: &Question,
    labels: &[String],
    taxonomy: &Taxonomy,
) -> Vec<RolledUp> {
    let mut all = Vec::new();
    if question.head == CATEGORY_HEAD && question.system().is_none() {
        let systems = taxonomy.label_systems.iter();
        all.extend(systems.map(|system| {
            RolledUp::new(problem, |label| mostly(system, &labels[label]).map(|place| place.to_string()))
                .in_system(system)
        }));
    }
    let levels = question.labels.iter().map(|label| label.split(LEVELS).count()).max().unwrap_or(1);
    all.extend((1..levels).map(|level| {
        let first = |label: usize| labels[label].split(LEVELS).take(level).collect::<Vec<_>>().join("/");
        RolledUp::new(problem, |label| Some(first(label))).at_level(level)
    }));
    all
}
