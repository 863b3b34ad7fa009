//! Reports for tests: one that has everything, one that has nothing.

use super::{
    Better, ConfusionMatrix, Duplicate, DuplicateLabel, Estimate, Figure, FigureGroup, GateOutcome,
    GateResult, LabelFigures, LabelNoise, PrecisionMark, ReliabilityBin, ReportData, RiskCoverage,
    RiskCoveragePoint, SCHEMA_VERSION, Slice, Span, WhatWasEvaluated, WorkedError,
};

/// A report without any section.
pub(in crate::eval) fn bare() -> ReportData {
    ReportData {
        schema_version: SCHEMA_VERSION,
        what: WhatWasEvaluated {
            head: "category".into(),
            label_system: None,
            channel: None,
            endpoint: None,
            files: vec!["rows.csv".into()],
            rows: 200,
            rows_without_label: 0,
            model: "default".into(),
            model_revision: "abc".into(),
            precision: Some("f32".into()),
            taxonomy_version: "1".into(),
            directory_version: Some("2".into()),
            program_version: "0.1.0".into(),
            seed: 7,
            resamples: 1_000,
            confidence_level: 0.95,
            created: "2026-01-31T09:30:00+08:00".into(),
        },
        figures: vec![],
        gates: vec![],
        labels: vec![],
        unknown_labels: vec![],
        confusion_matrix: None,
        reliability: vec![],
        risk_coverage: None,
        slices: vec![],
        errors: vec![],
        label_noise: vec![],
        duplicates: vec![],
    }
}

/// A report with every section.
pub(in crate::eval) fn full() -> ReportData {
    let accuracy = Figure {
        id: "accuracy".into(),
        group: FigureGroup::Classification,
        name: "accuracy".into(),
        name_zh: "准确率".into(),
        estimate: around(0.8),
        rows: None,
        better: Better::Higher,
        explanation: "Share of right answers.".into(),
    };
    let error = Figure {
        id: "expected_calibration_error".into(),
        group: FigureGroup::Calibration,
        name: "calibration error".into(),
        name_zh: "校准误差".into(),
        rows: None,
        better: Better::Lower,
        estimate: around(0.05),
        explanation: "Mean distance from the diagonal.".into(),
    };
    ReportData {
        figures: vec![accuracy, error],
        gates: vec![GateResult {
            figure: "accuracy".into(),
            label: None,
            slice: Some("district = 东区".into()),
            bound: "at least 0.85".into(),
            of: "low".into(),
            judged: Some(0.78),
            outcome: GateOutcome::Missed,
            reason: None,
        }],
        labels: vec![label("housing", "住房物业", 120, 0.9), label("transport", "交通出行", 80, 0.7)],
        confusion_matrix: Some(ConfusionMatrix {
            labels: vec!["住房物业".into(), "交通出行".into()],
            counts: vec![vec![100, 20], vec![20, 60]],
        }),
        reliability: vec![
            ReliabilityBin { confidence: 0.55, accuracy: 0.5, low: 0.4, high: 0.6, count: 60 },
            ReliabilityBin { confidence: 0.93, accuracy: 0.9, low: 0.85, high: 0.95, count: 140 },
        ],
        risk_coverage: Some(curve()),
        slices: vec![
            Slice { macro_f1: None, small: true, ..slice("district", "东区", 12, 0.6) },
            slice("district", "西区", 188, 0.81),
            slice("channel", "电话", 200, 0.8),
        ],
        ..with_rows()
    }
}

/// The sections that show texts.
fn with_rows() -> ReportData {
    let ids = |label: &str, id: &str| DuplicateLabel { label: label.into(), rows: 1, ids: vec![id.into()] };
    ReportData {
        errors: vec![WorkedError {
            id: "r17".into(),
            title: Some("电梯停运".into()),
            text: "小区电梯停运三天,老人下不了楼。".into(),
            spans: vec![Span { start: 2, end: 6, weight: 1.0 }, Span { start: 10, end: 12, weight: -0.3 }],
            gold: "住房物业".into(),
            predicted: "交通出行".into(),
            probability: 0.83,
            gold_probability: 0.1,
            reason: "sure and wrong".into(),
        }],
        label_noise: vec![LabelNoise {
            id: "r40".into(),
            text: "公交站牌被撞歪了。".into(),
            given: "住房物业".into(),
            suggested: "交通出行".into(),
            score: 0.97,
        }],
        duplicates: vec![Duplicate {
            text: "路灯不亮。".into(),
            labels: vec![ids("住房物业", "r3"), ids("交通出行", "r9")],
        }],
        ..bare()
    }
}

fn around(value: f64) -> Estimate {
    Estimate { value, low: Some(value - 0.02), high: Some(value + 0.02) }
}

fn label(id: &str, name: &str, support: u64, f1: f64) -> LabelFigures {
    let (id, name) = (id.into(), name.into());
    let (precision, recall, f1) = (around(f1), around(f1), around(f1));
    LabelFigures {
        id,
        name,
        name_en: None,
        support,
        predicted: support,
        precision,
        recall,
        f1,
        average_precision: None,
    }
}

fn slice(column: &str, value: &str, rows: u64, accuracy: f64) -> Slice {
    let accuracy = around(accuracy);
    Slice {
        column: column.into(),
        value: value.into(),
        rows,
        accuracy,
        macro_f1: Some(accuracy),
        small: false,
    }
}

fn curve() -> RiskCoverage {
    let point = |index: u32| {
        let coverage = f64::from(index) / 20.0;
        RiskCoveragePoint { coverage, risk: 0.2 * coverage * coverage }
    };
    let marks = vec![
        PrecisionMark { precision: 0.9, coverage: Some(0.7), threshold: Some(0.62) },
        PrecisionMark { precision: 0.99, coverage: None, threshold: None },
    ];
    RiskCoverage { points: (1..=20).map(point).collect(), aurc: 0.067, marks }
}
