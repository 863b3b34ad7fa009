//! The answers of two models as problems of `metrics`, and the figures in which they are compared.
//!
//! Both models have the same gold labels, so that each has the same figures, in the same order.

use std::collections::HashMap;

use crate::eval::metrics::{
    Calibration, Classification, LabelFigures, MultiLabel, PreparedMultiLabel, Scoring, Selective,
    SingleLabel, Weights,
};
use crate::eval::predictions::{Labels, Pairs, Prediction, Predictions};

use crate::eval::problem::is_distribution;

/// How many labels a head must have for its three most probable ones to say something.
const TOP: usize = 3;

/// A figure that models are compared in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Figure {
    /// The name of its field in `metrics`.
    pub(super) id: &'static str,
    /// What people call it.
    pub(super) name: &'static str,
    /// Whether more is better.
    pub(super) higher_is_better: bool,
    pub(super) value: f64,
}

/// Two models on the same rows, in the order of A's.
#[derive(Debug)]
pub(super) struct Problems {
    /// The labels by their ids: the head's, then the gold labels that it does not have, as they first occur.
    pub(super) labels: Vec<String>,
    /// Which rows are alike, and so are resampled among themselves.
    pub(super) strata: Vec<usize>,
    /// Of A.
    pub(super) a: Prepared,
    /// Of B.
    pub(super) b: Prepared,
}

/// The answers of one model, ready for figures of any weights.
#[derive(Debug)]
pub(super) enum Prepared {
    SingleLabel(Box<PreparedSingleLabel>),
    MultiLabel(PreparedMultiLabel),
}

/// The figures of `metrics` save conformal prediction, which takes longer than the others together.
#[derive(Debug)]
pub(super) struct PreparedSingleLabel {
    num_labels: usize,
    classification: Classification,
    scoring: Option<Scoring>,
    calibration: Calibration,
    selective: Selective,
}

/// What the answers of two models have in common.
#[derive(Clone, Copy)]
struct Shape {
    single_label: bool,
    num_labels: usize,
    /// Whether the probabilities of each row sum to one.
    are_distributions: bool,
}

impl Problems {
    /// Takes the answers of two models to rows that were paired.
    pub(super) fn new(a: &Predictions, b: &Predictions, pairs: &Pairs) -> Self {
        let of_a: Vec<_> = pairs.rows.iter().map(|(row, _)| &a.rows()[*row]).collect();
        let of_b: Vec<_> = pairs.rows.iter().map(|(_, row)| &b.rows()[*row]).collect();
        let mut ids = LabelIds::new(&a.header().labels);
        let gold: Vec<Vec<usize>> = of_a.iter().map(|row| ids.of(&row.gold)).collect();
        // Without rows nothing tells the two kinds apart, and all figures are undefined.
        let single_label = of_a.iter().all(|row| matches!(row.gold, Labels::One(_)));
        let strata = |gold: &Vec<usize>| if single_label { gold[0] } else { gold.len().min(2) };
        let num_labels = a.header().labels.len();
        // Both are scored, or neither is: a figure is compared where both have it.
        let are_distributions = of_a.iter().chain(&of_b).all(|row| is_distribution(&row.probabilities));
        let mut prepare = |rows: &[&Prediction]| {
            let decided = rows.iter().map(|row| ids.of(&row.decided)).collect();
            let shape = Shape { single_label, num_labels, are_distributions };
            Prepared::new(shape, gold.clone(), rows, decided)
        };
        Self {
            strata: gold.iter().map(strata).collect(),
            a: prepare(&of_a),
            b: prepare(&of_b),
            labels: ids.labels,
        }
    }

    /// The figures, then F1 of each label, B less A.
    pub(super) fn differences(&self, weights: &Weights) -> Vec<f64> {
        let [a, b] = [&self.a, &self.b].map(|model| {
            let (figures, labels) = model.figures(weights);
            figures.into_iter().map(|figure| figure.value).chain(labels.into_iter().map(|label| label.f1))
        });
        b.zip(a).map(|(b, a)| b - a).collect()
    }
}

impl Prepared {
    fn new(
        Shape { single_label, num_labels, are_distributions }: Shape,
        gold: Vec<Vec<usize>>,
        rows: &[&Prediction],
        decided: Vec<Vec<usize>>,
    ) -> Self {
        let probabilities = rows.iter().flat_map(|row| row.probabilities.iter().copied().map(f64::from));
        let probabilities = probabilities.collect();
        let fits = "predictions have a probability for each label, and decisions in labels of the head";
        if !single_label {
            let problem = MultiLabel::new(num_labels, gold, probabilities, decided).expect(fits);
            return Self::MultiLabel(PreparedMultiLabel::new(&problem));
        }
        let problem =
            SingleLabel::new(num_labels, gold.concat(), probabilities, decided.concat()).expect(fits);
        Self::SingleLabel(Box::new(PreparedSingleLabel {
            num_labels,
            classification: Classification::new(&problem),
            scoring: are_distributions.then(|| Scoring::new(&problem)),
            calibration: Calibration::new(&problem),
            selective: Selective::new(&problem),
        }))
    }

    /// The figures of weighted rows, the one that a verdict is on first, and those of each label.
    pub(super) fn figures(&self, weights: &Weights) -> (Vec<Figure>, Vec<LabelFigures<f64>>) {
        match self {
            Self::SingleLabel(prepared) => prepared.figures(weights),
            Self::MultiLabel(prepared) => multi_label(prepared, weights),
        }
    }
}

impl PreparedSingleLabel {
    fn figures(&self, weights: &Weights) -> (Vec<Figure>, Vec<LabelFigures<f64>>) {
        let classification = self.classification.figures(weights);
        let calibration = self.calibration.figures(weights);
        let selective = self.selective.figures(weights);
        let mut figures = vec![
            higher("accuracy", "accuracy", classification.accuracy),
            higher("macro_f1", "macro F1", classification.macro_f1),
            higher("weighted_f1", "weighted F1", classification.weighted_f1),
            higher("matthews_correlation", "Matthews correlation", classification.matthews_correlation),
        ];
        if self.num_labels > TOP {
            figures.push(higher("top_3_accuracy", "top-3 accuracy", classification.top_3_accuracy));
        }
        let (by_width, by_mass) =
            (calibration.expected_calibration_error, calibration.adaptive_calibration_error);
        let area = selective.area_under_risk_coverage_curve;
        // Of numbers that do not sum to one these would say nothing.
        if let Some(scoring) = &self.scoring {
            let scoring = scoring.figures(weights);
            figures.push(lower("log_loss", "log loss", scoring.log_loss));
            figures.push(lower("brier_score", "Brier score", scoring.brier_score));
        }
        figures.extend([
            lower("expected_calibration_error", "expected calibration error", by_width),
            lower("adaptive_calibration_error", "adaptive calibration error", by_mass),
            lower("area_under_risk_coverage_curve", "area under risk-coverage curve", area),
            higher(
                "coverage_at_precision_90",
                "coverage at precision 90 %",
                selective.coverage_at_precision_90,
            ),
            higher(
                "coverage_at_precision_95",
                "coverage at precision 95 %",
                selective.coverage_at_precision_95,
            ),
            higher(
                "coverage_at_precision_98",
                "coverage at precision 98 %",
                selective.coverage_at_precision_98,
            ),
        ]);
        (figures, classification.labels)
    }
}

fn multi_label(prepared: &PreparedMultiLabel, weights: &Weights) -> (Vec<Figure>, Vec<LabelFigures<f64>>) {
    let found = prepared.figures(weights);
    let figures = vec![
        higher("exact_match", "exact match", found.exact_match),
        higher("micro_f1", "micro F1", found.micro_f1),
        higher("macro_f1", "macro F1", found.macro_f1),
        higher("mean_average_precision", "mean average precision", found.mean_average_precision),
    ];
    (figures, found.labels.into_iter().map(|label| label.decisions).collect())
}

fn higher(id: &'static str, name: &'static str, value: f64) -> Figure {
    Figure { id, name, higher_is_better: true, value }
}

fn lower(id: &'static str, name: &'static str, value: f64) -> Figure {
    Figure { id, name, higher_is_better: false, value }
}

/// Numbers labels: the head's from 0, others from there on as they come.
struct LabelIds {
    labels: Vec<String>,
    ids: HashMap<String, usize>,
}

impl LabelIds {
    fn new(of_head: &[String]) -> Self {
        let ids = of_head.iter().cloned().enumerate().map(|(id, label)| (label, id)).collect();
        Self { labels: of_head.to_vec(), ids }
    }

    fn of(&mut self, labels: &Labels) -> Vec<usize> {
        labels.iter().map(|label| self.id(label)).collect()
    }

    fn id(&mut self, label: &str) -> usize {
        if let Some(id) = self.ids.get(label) {
            return *id;
        }
        let id = self.labels.len();
        self.labels.push(label.to_owned());
        self.ids.insert(label.to_owned(), id);
        id
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::eval::metrics::{evaluate_multi_label, evaluate_single_label};
    use crate::eval::predictions::pair;
    use crate::eval::predictions::tests::{header, many, one, row};

    fn predictions(labels: &[&str], rows: Vec<Prediction>) -> Predictions {
        Predictions::new(header(labels), rows).unwrap()
    }

    fn problems(a: &Predictions, b: &Predictions) -> Problems {
        Problems::new(a, b, &pair(a, b).unwrap())
    }

    fn single(labels: &[&str]) -> Predictions {
        let rows = [("噪声", "噪声", 0.75), ("x", "噪声", 0.5), ("路灯", "噪声", 0.25), ("y", "路灯", 1.0)];
        let row = |(place, (gold, decided, p)): (usize, &(&str, &str, f32))| {
            let others = (1.0 - p) / (labels.len() - 1) as f32;
            let probabilities: Vec<f32> =
                labels.iter().map(|label| if label == decided { *p } else { others }).collect();
            row(&place.to_string(), &one(gold), &probabilities, &one(decided))
        };
        predictions(labels, rows.iter().enumerate().map(row).collect())
    }

    fn multi() -> Predictions {
        let rows = vec![
            row("1", &many(&["a", "x"]), &[0.9, 0.2], &many(&["a"])),
            row("2", &many(&[]), &[0.1, 0.2], &many(&[])),
            row("3", &many(&["b"]), &[0.6, 0.7], &many(&["a", "b"])),
            row("4", &many(&["a", "b", "w"]), &[0.6, 0.7], &many(&["a", "b"])),
        ];
        predictions(&["b", "a"], rows)
    }

    /// Every figure with its value is a field of the evaluation of the same name.
    fn assert_fields_of(evaluation: &Value, figures: &[Figure]) {
        let field = |id: &str| {
            let groups = ["", "/calibration", "/selective"];
            groups.iter().find_map(|group| evaluation.pointer(&format!("{group}/{id}/value"))).cloned()
        };
        for Figure { id, value, .. } in figures {
            assert_eq!(field(id), Some(Value::from(*value)), "{id}");
        }
    }

    #[test]
    fn unknown_gold_labels_come_after_those_of_the_head() {
        let (a, b) = (single(&["路灯", "噪声"]), single(&["路灯", "噪声"]));
        let found = problems(&a, &b);
        assert_eq!(found.labels, ["路灯", "噪声", "x", "y"]);
        assert_eq!(found.strata, [1, 2, 0, 3]);
    }

    #[test]
    fn rows_of_many_labels_are_alike_by_their_number() {
        let found = problems(&multi(), &multi());
        assert_eq!(found.labels, ["b", "a", "x", "w"]);
        assert_eq!(found.strata, [2, 0, 1, 2]);
    }

    #[test]
    fn figures_of_single_labels_are_those_of_an_evaluation() {
        let a = single(&["路灯", "噪声", "供暖", "物业"]);
        let (figures, labels) = problems(&a, &a).a.figures(&Weights::ones(4));
        let probabilities = a.rows().iter().flat_map(|row| row.probabilities.iter().copied().map(f64::from));
        let problem =
            SingleLabel::new(4, vec![1, 4, 0, 5], probabilities.collect(), vec![1, 1, 1, 0]).unwrap();
        let evaluation = evaluate_single_label(&problem, &[0; 4], 2, 1);
        assert_fields_of(&serde_json::to_value(evaluation).unwrap(), &figures);
        assert_eq!((figures.len(), labels.len()), (13, 6));
    }

    #[test]
    fn figures_of_many_labels_are_those_of_an_evaluation() {
        let (figures, labels) = problems(&multi(), &multi()).b.figures(&Weights::ones(4));
        let gold = vec![vec![1, 2], vec![], vec![0], vec![0, 1, 3]];
        let probabilities =
            multi().rows().iter().flat_map(|row| row.probabilities.clone()).collect::<Vec<_>>();
        let decided = vec![vec![1], vec![], vec![0, 1], vec![0, 1]];
        let problem =
            MultiLabel::new(2, gold, probabilities.into_iter().map(f64::from).collect(), decided).unwrap();
        let evaluation = evaluate_multi_label(&problem, &[0; 4], 2, 1);
        assert_fields_of(&serde_json::to_value(evaluation).unwrap(), &figures);
        assert_eq!(labels.len(), 4);
    }

    #[test]
    fn three_most_probable_labels_of_three_say_nothing() {
        let top = |labels: &[&str]| {
            let a = single(labels);
            let (figures, _) = problems(&a, &a).a.figures(&Weights::ones(4));
            figures.iter().any(|figure| figure.id == "top_3_accuracy")
        };
        assert!(!top(&["路灯", "噪声", "供暖"]));
        assert!(top(&["路灯", "噪声", "供暖", "物业"]));
    }
}
