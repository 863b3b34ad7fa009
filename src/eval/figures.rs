//! The figures of an evaluation with their intervals, in the form of a report.

use std::collections::BTreeMap;

use super::answers::{Answer, Dispatch};
use super::catalogue::{figure, told};
use super::curves::{reliability_bin, risk_coverage};
use super::metrics::{
    self, Alerts, Estimate, LabelCounts, MultiLabelFigures, Ratio, Resamples, SingleLabel,
    SingleLabelEvaluation, SingleLabelFigures, Weights, evaluate_multi_label, evaluate_single_label,
};
use super::problem::{EvaluatedProblem, are_distributions};
use super::question::Question;
use super::report::{self, ConfusionMatrix, Figure, LabelFigures, ReliabilityBin, RiskCoverage};
use super::roll_up::{RolledUp, roll_ups};
use crate::taxonomy::Taxonomy;
use crate::terms::DEPARTMENT_HEAD;

/// How intervals come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bootstrap {
    /// How many resamples are drawn.
    pub resamples: usize,
    /// What they are drawn by.
    pub seed: u64,
}

/// All that is measured of the rows together.
#[derive(Debug, Default)]
pub(super) struct Measured {
    pub(super) figures: Vec<Figure>,
    pub(super) labels: Vec<LabelFigures>,
    pub(super) confusion_matrix: Option<ConfusionMatrix>,
    pub(super) reliability: Vec<ReliabilityBin>,
    pub(super) risk_coverage: Option<RiskCoverage>,
}

/// What figures are taken of.
pub(super) struct Measuring<'a> {
    pub(super) question: &'a Question,
    /// Ids of all labels, those that the question lacks too.
    pub(super) labels: &'a [String],
    pub(super) answers: &'a [Answer],
    /// Ids of the departments that should help with each row.
    pub(super) supporting: Option<&'a [Vec<String>]>,
    pub(super) taxonomy: &'a Taxonomy,
    pub(super) bootstrap: Bootstrap,
}

impl Measuring<'_> {
    pub(super) fn measure(&self, problem: &EvaluatedProblem) -> Measured {
        let Bootstrap { resamples, seed } = self.bootstrap;
        let mut measured = match problem {
            EvaluatedProblem::Single(problem) => {
                let evaluation = evaluate_single_label(problem, problem.gold(), resamples, seed);
                self.single(problem, evaluation)
            }
            EvaluatedProblem::Multi(multi) => {
                self.multi(evaluate_multi_label(multi, &problem.strata(), resamples, seed))
            }
        };
        measured.figures.extend(self.ratios(problem));
        measured
    }

    fn figure(&self, (id, estimate): (&str, Estimate)) -> Option<Figure> {
        figure(id, &self.question.head, estimate)
    }

    fn single(&self, problem: &SingleLabel, evaluation: SingleLabelEvaluation) -> Measured {
        let SingleLabelEvaluation { figures, equal_width_bins, .. } = evaluation;
        let listed = listed(problem.num_labels(), &figures, are_distributions(self.answers));
        let labels = figures.classification.labels.into_iter();
        Measured {
            figures: listed.into_iter().filter_map(|figure| self.figure(figure)).collect(),
            labels: labels.filter_map(|label| self.label(&label, None)).collect(),
            confusion_matrix: Some(self.confusion_matrix(problem)),
            reliability: equal_width_bins.iter().map(reliability_bin).collect(),
            risk_coverage: Some(risk_coverage(problem, &figures.selective)),
        }
    }

    fn multi(&self, figures: MultiLabelFigures<Estimate>) -> Measured {
        let mut listed = vec![
            ("exact_match", figures.exact_match),
            ("macro_f1", figures.macro_f1),
            ("micro_f1", figures.micro_f1),
        ];
        // Rules say yes or no, which ranks nothing.
        let ranks =
            self.answers.iter().flat_map(|answer| &answer.probabilities).any(|p| *p > 0.0 && *p < 1.0);
        listed.extend(ranks.then_some(("mean_average_precision", figures.mean_average_precision)));
        let labels = figures.labels.into_iter();
        Measured {
            figures: listed.into_iter().filter_map(|figure| self.figure(figure)).collect(),
            labels: labels
                .filter_map(|label| {
                    self.label(&label.decisions, Some(label.average_precision).filter(|_| ranks))
                })
                .collect(),
            ..Measured::default()
        }
    }

    fn label(
        &self,
        label: &metrics::LabelFigures<Estimate>,
        average_precision: Option<Estimate>,
    ) -> Option<LabelFigures> {
        let metrics::LabelFigures { label, counts, precision, recall, f1 } = *label;
        let LabelCounts { support, predicted, .. } = counts;
        let name = self.question.name(label);
        Some(LabelFigures {
            id: self.labels[label].clone(),
            name: name.map_or(&self.labels[label], |name| &name.name).clone(),
            name_en: name.and_then(|name| name.name_en.clone()),
            support,
            predicted,
            precision: told(precision)?,
            recall: told(recall)?,
            f1: told(f1)?,
            average_precision: average_precision.and_then(told),
        })
    }

    /// Which labels were taken for which, of those that occur.
    fn confusion_matrix(&self, problem: &SingleLabel) -> ConfusionMatrix {
        let mut counts: BTreeMap<(usize, usize), u64> = BTreeMap::new();
        for (gold, decided) in problem.gold().iter().zip(problem.decided()) {
            *counts.entry((*gold, *decided)).or_default() += 1;
        }
        let mut occurring: Vec<usize> = counts.keys().flat_map(|(gold, decided)| [*gold, *decided]).collect();
        occurring.sort_unstable();
        occurring.dedup();
        let name =
            |label: usize| self.question.name(label).map_or(&self.labels[label], |name| &name.name).clone();
        let count = |gold: usize, decided: usize| counts.get(&(gold, decided)).copied().unwrap_or(0);
        let row = |gold: &usize| occurring.iter().map(|decided| count(*gold, *decided)).collect();
        ConfusionMatrix {
            labels: occurring.iter().map(|label| name(*label)).collect(),
            counts: occurring.iter().map(row).collect(),
        }
    }

    /// The figures that are ratios of rows: of what the whole pipeline did, of rows that must not be missed, and of labels
    /// that are rolled up.
    fn ratios(&self, problem: &EvaluatedProblem) -> Vec<Figure> {
        let mut ratios: Vec<(&'static str, Ratio)> = self.of_dispatch(problem);
        let alerts = match problem {
            EvaluatedProblem::Single(problem) => {
                ratios.extend(self.missed_critical(problem));
                self.question.quiet.map(|quiet| alerts(problem, quiet))
            }
            EvaluatedProblem::Multi(_) => None,
        };
        let rolled: Vec<RolledUp> = match problem {
            EvaluatedProblem::Single(problem) => roll_ups(problem, self.question, self.labels, self.taxonomy),
            EvaluatedProblem::Multi(_) => Vec::new(),
        };
        if ratios.is_empty() && rolled.is_empty() && alerts.is_none() {
            return Vec::new();
        }
        let all = ratios.iter().map(|(_, ratio)| ratio).chain(rolled.iter().map(|rolled| &rolled.right));
        let all: Vec<&Ratio> = all.collect();
        let of = |weights: &Weights| {
            let alerts = alerts.iter().map(|alerts| alerts.recall(weights));
            all.iter().map(|ratio| ratio.figure(weights)).chain(alerts).collect()
        };
        let Bootstrap { resamples, seed } = self.bootstrap;
        let estimates = Resamples::new(&problem.strata(), resamples, seed).estimates(of);
        let (of_ratios, rest) = estimates.split_at(ratios.len());
        let (of_rolled, of_alerts) = rest.split_at(rolled.len());
        let of_some = |(id, estimate): (&str, Estimate), rows: usize| {
            Some(Figure { rows: Some(rows as u64), ..self.figure((id, estimate))? })
        };
        let counted = ratios.iter().zip(of_ratios);
        let mut figures: Vec<Figure> =
            counted.filter_map(|((id, ratio), estimate)| of_some((id, *estimate), ratio.rows())).collect();
        figures.extend(
            rolled.into_iter().zip(of_rolled).filter_map(|(rolled, estimate)| rolled.told(*estimate)),
        );
        let matter = alerts.iter().map(Alerts::rows_that_matter).zip(of_alerts);
        figures.extend(matter.filter_map(|(rows, estimate)| of_some(("alert_recall", *estimate), rows)));
        figures
    }

    /// What the whole pipeline did with the rows, if it was asked.
    fn of_dispatch(&self, problem: &EvaluatedProblem) -> Vec<(&'static str, Ratio)> {
        let dispatches: Option<Vec<&Dispatch>> =
            self.answers.iter().map(|answer| answer.dispatch.as_ref()).collect();
        let Some(dispatches) = dispatches.filter(|dispatches| !dispatches.is_empty()) else {
            return Vec::new();
        };
        let accepted = || dispatches.iter().map(|dispatch| dispatch.accepted);
        let right = |is_right: bool| {
            Ratio::share(
                accepted()
                    .enumerate()
                    .map(|(row, accepted)| accepted.then(|| problem.is_right(row) == is_right)),
            )
        };
        let mut ratios = vec![("acceptance_rate", Ratio::share(accepted().map(Some)))];
        if self.question.head == DEPARTMENT_HEAD {
            ratios.push(("misroute_rate", right(false)));
        } else {
            ratios.push(("precision_of_accepted", right(true)));
        }
        if let Some(expected) = self.supporting {
            let found = expected.iter().zip(&dispatches).map(|(expected, dispatch)| {
                let found = expected.iter().filter(|unit| dispatch.supporting.contains(unit)).count();
                (found as u32, expected.len() as u32)
            });
            ratios.push(("supporting_recall", Ratio::new(found)));
        }
        ratios
    }

    fn missed_critical(&self, problem: &SingleLabel) -> Option<(&'static str, Ratio)> {
        let critical = self.question.critical?;
        let missed = problem
            .gold()
            .iter()
            .zip(problem.decided())
            .map(|(gold, decided)| (*gold == critical).then_some(*decided != critical));
        Some(("missed_critical_rate", Ratio::share(missed)))
    }
}

/// The figures that say something here, in the order of a report.
fn listed(
    labels: usize,
    figures: &SingleLabelFigures<Estimate>,
    are_distributions: bool,
) -> Vec<(&'static str, Estimate)> {
    let SingleLabelFigures { classification, scoring, calibration, selective, conformal } = figures;
    let mut listed = vec![
        ("accuracy", classification.accuracy),
        ("macro_f1", classification.macro_f1),
        ("micro_f1", classification.micro_f1),
        ("weighted_f1", classification.weighted_f1),
        ("matthews_correlation", classification.matthews_correlation),
    ];
    listed.extend((labels > 3).then_some(("top_3_accuracy", classification.top_3_accuracy)));
    listed.extend((labels > 5).then_some(("top_5_accuracy", classification.top_5_accuracy)));
    listed.extend([
        ("expected_calibration_error", calibration.expected_calibration_error),
        ("adaptive_calibration_error", calibration.adaptive_calibration_error),
        ("top_label_brier_score", calibration.top_label_brier_score),
        ("reliability", calibration.reliability),
        ("resolution", calibration.resolution),
        ("uncertainty", calibration.uncertainty),
        ("within_bins", calibration.within_bins),
        ("area_under_risk_coverage_curve", selective.area_under_risk_coverage_curve),
        ("coverage_at_precision_90", selective.coverage_at_precision_90),
        ("coverage_at_precision_95", selective.coverage_at_precision_95),
        ("coverage_at_precision_98", selective.coverage_at_precision_98),
    ]);
    // Of numbers that do not sum to one these would say nothing.
    if are_distributions {
        listed.extend([
            ("brier_score", scoring.brier_score),
            ("log_loss", scoring.log_loss),
            ("conformal_coverage_90", conformal.marginal_90.coverage),
            ("conformal_set_size_90", conformal.marginal_90.mean_set_size),
            ("conformal_coverage_95", conformal.marginal_95.coverage),
            ("conformal_set_size_95", conformal.marginal_95.mean_set_size),
            ("class_conditional_coverage_90", conformal.class_conditional_90.coverage),
            ("class_conditional_set_size_90", conformal.class_conditional_90.mean_set_size),
            ("class_conditional_coverage_95", conformal.class_conditional_95.coverage),
            ("class_conditional_set_size_95", conformal.class_conditional_95.mean_set_size),
        ]);
    }
    listed
}

fn alerts(problem: &SingleLabel, quiet: usize) -> Alerts {
    let alarm = |row: usize| 1.0 - problem.probabilities(row)[quiet];
    let alarms: Vec<(f64, bool)> =
        problem.gold().iter().enumerate().map(|(row, gold)| (alarm(row), *gold != quiet)).collect();
    Alerts::new(&alarms)
}

/// Accuracy, or exact match, and macro F1 of some of the rows.
pub(super) fn of_rows(
    problem: &EvaluatedProblem,
    rows: &[usize],
    Bootstrap { resamples, seed }: Bootstrap,
) -> [Option<report::Estimate>; 2] {
    let part = match problem {
        EvaluatedProblem::Single(problem) => EvaluatedProblem::Single(problem.subset(rows)),
        EvaluatedProblem::Multi(problem) => EvaluatedProblem::Multi(problem.subset(rows)),
    };
    let resamples = Resamples::new(&part.strata(), resamples, seed);
    let estimates = match &part {
        EvaluatedProblem::Single(problem) => {
            let decisions = metrics::Classification::new(problem);
            resamples.estimates(|weights| decisions.accuracy_and_macro_f1(weights).to_vec())
        }
        EvaluatedProblem::Multi(problem) => {
            let decisions = metrics::PreparedMultiLabel::new(problem);
            resamples.estimates(|weights| decisions.exact_match_and_macro_f1(weights).to_vec())
        }
    };
    [told(estimates[0]), told(estimates[1])]
}
