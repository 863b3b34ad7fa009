//! Every figure that an evaluation may tell: its id for machines, its names for people, and what it says.

use super::metrics::Estimate;
use super::report::{self, Better, Figure, FigureGroup};
use crate::terms::DEPARTMENT_HEAD;

use Better::{Higher, Lower, Neither};
use FigureGroup::{Calibration, Classification, Conformal, Departments, Ranking, Risks, Selective};

/// What is known of a figure beside its value.
struct Entry {
    id: &'static str,
    group: FigureGroup,
    name: &'static str,
    name_zh: &'static str,
    better: Better,
    explanation: &'static str,
}

const fn entry(
    id: &'static str,
    group: FigureGroup,
    (name, name_zh): (&'static str, &'static str),
    better: Better,
    explanation: &'static str,
) -> Entry {
    Entry { id, group, name, name_zh, better, explanation }
}

const ENTRIES: [Entry; 36] = [
    entry("accuracy", Classification, ("accuracy", "准确率"), Higher, "Share of rows that are right."),
    entry(
        "exact_match",
        Classification,
        ("exact match", "完全匹配率"),
        Higher,
        "Share of rows whose whole list of labels is right; none for none is.",
    ),
    entry(
        "macro_f1",
        Classification,
        ("macro F1", "宏平均 F1"),
        Higher,
        "Mean F1 over the labels that occur in the rows or among the answers: rare labels count as much as frequent ones.",
    ),
    entry(
        "micro_f1",
        Classification,
        ("micro F1", "微平均 F1"),
        Higher,
        "F1 of the pooled counts of all labels; with one label a row it equals accuracy.",
    ),
    entry(
        "weighted_f1",
        Classification,
        ("weighted F1", "加权 F1"),
        Higher,
        "Mean F1 over labels, each with the weight of its rows.",
    ),
    entry(
        "matthews_correlation",
        Classification,
        ("Matthews correlation", "马修斯相关系数"),
        Higher,
        "Correlation of labels and answers (Gorodkin 2004), −1 to 1; guessing by shares has 0.",
    ),
    entry(
        "top_3_accuracy",
        Ranking,
        ("top-3 accuracy", "前三准确率"),
        Higher,
        "Share of rows whose label is among the three most probable ones.",
    ),
    entry(
        "top_5_accuracy",
        Ranking,
        ("top-5 accuracy", "前五准确率"),
        Higher,
        "Share of rows whose label is among the five most probable ones.",
    ),
    entry(
        "mean_average_precision",
        Ranking,
        ("mean average precision", "平均精度均值"),
        Higher,
        "Mean over labels of how well a label's probability ranks the rows that have it first.",
    ),
    entry(
        "expected_calibration_error",
        Calibration,
        ("expected calibration error", "期望校准误差"),
        Lower,
        "Mean distance of confidence and accuracy of the most probable label, whatever was decided, in 15 bins of equal width \
         (Guo et al. 2017).",
    ),
    entry(
        "adaptive_calibration_error",
        Calibration,
        ("adaptive calibration error", "自适应校准误差"),
        Lower,
        "Mean distance of confidence and accuracy of the most probable label in 15 bins of equal mass (Nguyen and O'Connor \
         2015).",
    ),
    entry(
        "brier_score",
        Calibration,
        ("Brier score", "布里尔分数"),
        Lower,
        "Mean squared distance of all probabilities from the truth, summed over labels (Brier 1950), 0 to 2.",
    ),
    entry(
        "log_loss",
        Calibration,
        ("log loss (NLL)", "负对数似然"),
        Lower,
        "Mean −ln of the probability of the right label, in nats.",
    ),
    entry(
        "top_label_brier_score",
        Calibration,
        ("Brier score of the top label", "首选标签布里尔分数"),
        Lower,
        "Mean (confidence − right)²; it is reliability − resolution + uncertainty + spread within bins (Murphy 1973).",
    ),
    entry(
        "reliability",
        Calibration,
        ("reliability", "可靠性分量"),
        Lower,
        "How far confidence is from accuracy, squared.",
    ),
    entry(
        "resolution",
        Calibration,
        ("resolution", "分辨度分量"),
        Higher,
        "How well confidence tells right rows from wrong ones.",
    ),
    entry(
        "uncertainty",
        Calibration,
        ("uncertainty", "不确定性分量"),
        Neither,
        "What the accuracy of the most probable label alone leaves open: accuracy·(1 − accuracy).",
    ),
    entry(
        "within_bins",
        Calibration,
        ("spread within bins", "箱内离散"),
        Neither,
        "What the decomposition misses since rows of a bin differ in confidence (Stephenson et al. 2008).",
    ),
    entry(
        "area_under_risk_coverage_curve",
        Selective,
        ("area under risk–coverage curve", "风险–覆盖率曲线下面积"),
        Lower,
        "AURC: mean risk over all coverages when the surest rows are taken first (Geifman et al. 2019).",
    ),
    entry(
        "coverage_at_precision_90",
        Selective,
        ("coverage at precision 0.90", "精确率 0.90 时覆盖率"),
        Higher,
        "Largest share of rows that can be taken by confidence so that 90 % of them are right.",
    ),
    entry(
        "coverage_at_precision_95",
        Selective,
        ("coverage at precision 0.95", "精确率 0.95 时覆盖率"),
        Higher,
        "Largest share of rows that can be taken by confidence so that 95 % of them are right.",
    ),
    entry(
        "coverage_at_precision_98",
        Selective,
        ("coverage at precision 0.98", "精确率 0.98 时覆盖率"),
        Higher,
        "Largest share of rows that can be taken by confidence so that 98 % of them are right.",
    ),
    entry(
        "acceptance_rate",
        Selective,
        ("accepted by machine", "自动派单率"),
        Higher,
        "Share of rows that a machine may dispatch alone, as the service decides.",
    ),
    entry(
        "precision_of_accepted",
        Selective,
        ("precision of accepted", "自动派单准确率"),
        Higher,
        "Of the accepted rows the share that is right in this head.",
    ),
    entry(
        "conformal_coverage_90",
        Conformal,
        ("coverage at level 0.90", "覆盖率（0.90）"),
        Higher,
        "Share of rows whose label is in its set; sets are made to hold it with 0.90 (split conformal; rows of labels that the head lacks are left out), one threshold for all labels.",
    ),
    entry(
        "conformal_set_size_90",
        Conformal,
        ("mean set size at level 0.90", "平均集合大小（0.90）"),
        Lower,
        "Mean number of labels in a set that holds the right one with 0.90, one threshold for all labels.",
    ),
    entry(
        "conformal_coverage_95",
        Conformal,
        ("coverage at level 0.95", "覆盖率（0.95）"),
        Higher,
        "Share of rows whose label is in its set; sets are made to hold it with 0.95 (split conformal; rows of labels that the head lacks are left out), one threshold for all labels.",
    ),
    entry(
        "conformal_set_size_95",
        Conformal,
        ("mean set size at level 0.95", "平均集合大小（0.95）"),
        Lower,
        "Mean number of labels in a set that holds the right one with 0.95, one threshold for all labels.",
    ),
    entry(
        "class_conditional_coverage_90",
        Conformal,
        ("coverage at level 0.90, a threshold a label", "按标签覆盖率（0.90）"),
        Higher,
        "Share of rows whose label is in its set; sets are made to hold it with 0.90 (split conformal; rows of labels that the head lacks are left out), a threshold for each label, so that rare labels are covered too.",
    ),
    entry(
        "class_conditional_set_size_90",
        Conformal,
        ("mean set size at level 0.90, a threshold a label", "按标签平均集合大小（0.90）"),
        Lower,
        "Mean number of labels in a set that holds the right one with 0.90, a threshold for each label, so that rare labels are covered too.",
    ),
    entry(
        "class_conditional_coverage_95",
        Conformal,
        ("coverage at level 0.95, a threshold a label", "按标签覆盖率（0.95）"),
        Higher,
        "Share of rows whose label is in its set; sets are made to hold it with 0.95 (split conformal; rows of labels that the head lacks are left out), a threshold for each label, so that rare labels are covered too.",
    ),
    entry(
        "class_conditional_set_size_95",
        Conformal,
        ("mean set size at level 0.95, a threshold a label", "按标签平均集合大小（0.95）"),
        Lower,
        "Mean number of labels in a set that holds the right one with 0.95, a threshold for each label, so that rare labels are covered too.",
    ),
    entry(
        "misroute_rate",
        Departments,
        ("misroutes among accepted", "自动派单误派率"),
        Lower,
        "Of the rows that a machine may dispatch alone the share whose lead is wrong.",
    ),
    entry(
        "supporting_recall",
        Departments,
        ("supporting departments found", "协办召回率"),
        Higher,
        "Of all departments that should help the share that the answers name as supporting.",
    ),
    entry(
        "missed_critical_rate",
        Risks,
        ("critical rows missed", "特急漏判率"),
        Lower,
        "Of the critical rows the share that was not answered as critical.",
    ),
    entry(
        "alert_recall",
        Risks,
        ("found in 15 %", "前 15 % 召回率"),
        Higher,
        "Of the rows that are not quiet the share among the 15 % that look the least quiet.",
    ),
];

/// Names of figures where the head is that of the leading department.
const OF_LEADS: [(&str, &str, &str); 2] = [
    ("accuracy", "lead right (top 1)", "主办单位命中率"),
    ("top_3_accuracy", "lead among the first three", "主办单位前三命中率"),
];

/// A figure by its id; none if there is no value, or no such figure.
pub(super) fn figure(id: &str, head: &str, estimate: Estimate) -> Option<Figure> {
    let known = ENTRIES.iter().find(|entry| entry.id == id)?;
    let of_lead = OF_LEADS.iter().find(|(of_lead, ..)| head == DEPARTMENT_HEAD && *of_lead == id);
    let (name, name_zh) = of_lead.map_or((known.name, known.name_zh), |(_, name, name_zh)| (*name, *name_zh));
    Some(Figure {
        id: id.to_owned(),
        group: known.group,
        name: name.to_owned(),
        name_zh: name_zh.to_owned(),
        estimate: told(estimate)?,
        rows: None,
        better: known.better,
        explanation: known.explanation.to_owned(),
    })
}

/// The accuracy of labels that are rolled up: read in another system (`accuracy_as_petition7`), or by their first levels.
pub(super) fn rolled_up(
    id: String,
    (name, name_zh): (String, String),
    explanation: String,
    estimate: Estimate,
) -> Option<Figure> {
    Some(Figure {
        id,
        group: Classification,
        name,
        name_zh,
        estimate: told(estimate)?,
        rows: None,
        better: Higher,
        explanation,
    })
}

/// An estimate as a report has it; none without a value.
pub(super) fn told(Estimate { value, low, high }: Estimate) -> Option<report::Estimate> {
    Some(report::Estimate { value: value?, low, high })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_two_figures_have_one_id() {
        let ids: HashSet<_> = ENTRIES.iter().map(|entry| entry.id).collect();
        assert_eq!(ids.len(), ENTRIES.len());
        for (id, ..) in OF_LEADS {
            assert!(ids.contains(id), "{id}");
        }
    }

    #[test]
    fn a_figure_without_a_value_is_not_told() {
        let none = Estimate { value: None, low: None, high: None };
        assert_eq!(figure("accuracy", "category", none), None);
        let some = Estimate { value: Some(0.5), low: None, high: None };
        assert_eq!(figure("accuracy", "department", some).unwrap().name, "lead right (top 1)");
        assert_eq!(figure("acuracy", "category", some), None);
    }
}
