//! What holds for every comparison.

use proptest::prelude::*;

use super::*;
use crate::eval::metrics::{PreparedSingleLabel, SingleLabel};
use crate::eval::predictions::Prediction;
use crate::eval::predictions::tests::{header, many, one, row};

const LABELS: [&str; 4] = ["供暖", "噪声", "物业", "路灯"];

fn predictions(revision: &str, rows: Vec<Prediction>) -> Predictions {
    let header = Header { model_revision: revision.into(), ..header(&LABELS) };
    Predictions::new(header, rows).unwrap()
}

/// A row that gets the probability for the label that is decided, the others what is left.
fn single(id: &str, gold: &str, decided: &str, probability: f32) -> Prediction {
    let others = (1.0 - probability) / 3.0;
    let of = |label: &&str| if *label == decided { probability } else { others };
    row(id, &one(gold), &LABELS.iter().map(of).collect::<Vec<_>>(), &one(decided))
}

/// 200 rows of which `right` were right; a label of each tenth row is none of the head's.
pub(super) fn model(revision: &str, right: impl Fn(usize) -> bool) -> Predictions {
    let of_row = |place: usize| {
        let gold = if place % 10 == 9 { "公交" } else { LABELS[place % 4] };
        let decided = if right(place) && place % 10 != 9 { gold } else { LABELS[(place + 1) % 4] };
        single(&format!("r{place:03}"), gold, decided, 0.4 + 0.5 * place as f32 / 200.0)
    };
    predictions(revision, (0..200).map(of_row).collect())
}

/// 60 rows of no, one or two labels.
pub(super) fn multi_label_model(revision: &str, right: impl Fn(usize) -> bool) -> Predictions {
    let of_row = |place: usize| {
        let gold = &[&LABELS[..0], &LABELS[1..2], &LABELS[2..4]][place % 3];
        let decided = if right(place) { gold } else { &LABELS[..1] };
        let of = |label: &&str| if decided.contains(label) { 0.8 } else { 0.2 };
        row(&place.to_string(), &many(gold), &LABELS.iter().map(of).collect::<Vec<_>>(), &many(decided))
    };
    predictions(revision, (0..60).map(of_row).collect())
}

fn values(comparison: &Comparison) -> Vec<(String, Difference)> {
    let figures = comparison.figures.iter().map(|figure| (figure.id.to_owned(), figure.difference));
    let labels = comparison.labels.iter().map(|label| (label.label.clone(), label.difference));
    let mut values: Vec<_> = figures.chain(labels).collect();
    values.sort_by(|left, right| left.0.cmp(&right.0));
    values
}

fn opposite(left: Option<f64>, right: Option<f64>) -> bool {
    match (left, right) {
        (Some(left), Some(right)) => (left + right).abs() < 1e-9,
        (left, right) => left == right,
    }
}

/// The answers of two models to the same rows, of either kind.
fn two_models() -> impl Strategy<Value = (Predictions, Predictions)> {
    let row_of_one = (0_usize..5, 0_usize..4, 0_usize..4, 0_u8..=8, 0_u8..=8);
    let singles = prop::collection::vec(row_of_one, 0..30).prop_map(|rows| {
        let gold = ["供暖", "噪声", "物业", "路灯", "公交"];
        let of = |rows: Vec<(usize, usize, u8)>| {
            let rows = rows.into_iter().enumerate().map(|(place, (of_gold, decided, eighths))| {
                single(&place.to_string(), gold[of_gold], LABELS[decided], f32::from(eighths) / 8.0)
            });
            predictions("1", rows.collect())
        };
        let a = rows.iter().map(|row| (row.0, row.1, row.3)).collect();
        (of(a), of(rows.iter().map(|row| (row.0, row.2, row.4)).collect()))
    });
    let set = || prop::collection::vec(0_usize..4, 0..3);
    let answers = || (set(), prop::collection::vec((0_u8..=8).prop_map(|p| f32::from(p) / 8.0), 4));
    let lists = prop::collection::vec((set(), answers(), answers()), 1..20).prop_map(|rows| {
        let names = |ids: &[usize]| many(&ids.iter().map(|id| LABELS[*id]).collect::<Vec<_>>());
        let of = |which: fn(&(Vec<usize>, Answers, Answers)) -> &Answers| {
            let rows = rows.iter().enumerate().map(|(place, all)| {
                let (decided, probabilities) = which(all);
                row(&place.to_string(), &names(&all.0), probabilities, &names(decided))
            });
            predictions("1", rows.collect())
        };
        (of(|row| &row.1), of(|row| &row.2))
    });
    prop_oneof![singles, lists]
}

type Answers = (Vec<usize>, Vec<f32>);

#[test]
fn better_model_is_told_from_a_worse_one() {
    let (worse, better) = (model("1", |place| place % 4 > 1), model("2", |place| place % 8 > 0));
    let found = compare(&worse, &better, 200, 1).unwrap();
    assert_eq!(
        (found.rows, found.a.model_revision.as_str(), found.b.model_revision.as_str()),
        (200, "1", "2")
    );
    let accuracy = found.figures[0];
    assert_eq!(accuracy.id, "accuracy");
    assert!(accuracy.difference.low.unwrap() > 0.0, "{accuracy:?}");
    assert_eq!((found.mcnemar.only_first, found.mcnemar.only_second), (0, found.gained_rows as u64));
    let gained: usize = found.labels.iter().map(|label| label.gained).sum();
    assert_eq!(gained, found.gained_rows);
    assert_eq!((found.gained.len(), found.lost.len()), (20, 0));
    assert!(found.gained.is_sorted_by(|left, right| left.confidence >= right.confidence));
}

#[test]
fn rows_of_b_are_brought_into_the_order_of_a() {
    let (a, b) = (model("1", |place| place % 3 > 0), model("2", |place| place % 5 > 0));
    let backwards = predictions("2", b.rows().iter().rev().cloned().collect());
    assert_eq!(compare(&a, &b, 100, 7).unwrap(), compare(&a, &backwards, 100, 7).unwrap());
}

#[test]
fn differences_are_those_of_metrics() {
    let (a, b) = (model("1", |place| place % 3 > 0), model("2", |place| place % 5 > 0));
    let found = compare(&a, &b, 100, 7).unwrap();
    let id =
        |label: &Labels| LABELS.iter().position(|known| label.iter().eq([*known])).unwrap_or(LABELS.len());
    let [of_a, of_b] = [a, b].map(|model| {
        let rows = model.rows();
        let probabilities = rows.iter().flat_map(|row| row.probabilities.iter().copied().map(f64::from));
        let gold = rows.iter().map(|row| id(&row.gold)).collect();
        let decided = rows.iter().map(|row| id(&row.decided)).collect();
        SingleLabel::new(LABELS.len(), gold, probabilities.collect(), decided).unwrap()
    });
    let prepared = [&of_a, &of_b].map(|problem| PreparedSingleLabel::new(problem, 7));
    let expected = differences(&Resamples::new(of_a.gold(), 100, 7), |weights| {
        let [a, b] = prepared.each_ref().map(|prepared| {
            let figures = prepared.figures(weights);
            vec![
                figures.classification.macro_f1,
                figures.scoring.log_loss,
                figures.calibration.adaptive_calibration_error,
                figures.selective.coverage_at_precision_90,
                figures.classification.labels[0].f1,
            ]
        });
        b.into_iter().zip(a).map(|(b, a)| b - a).collect()
    });
    let of = |id: &str| found.figures.iter().find(|figure| figure.id == id).unwrap().difference;
    let ids = ["macro_f1", "log_loss", "adaptive_calibration_error", "coverage_at_precision_90"];
    assert_eq!(ids.map(of), expected[..4]);
    let first = found.labels.iter().find(|label| label.label == LABELS[0]).unwrap();
    assert_eq!(first.difference, expected[4]);
}

#[test]
fn labels_that_nobody_named_are_left_out() {
    let rows = vec![single("1", "噪声", "物业", 0.5), single("2", "公交", "物业", 0.5)];
    let a = predictions("1", rows.clone());
    let found = compare(&a, &a, 20, 1).unwrap();
    let labels: Vec<_> = found.labels.iter().map(|label| (label.label.as_str(), label.support)).collect();
    assert_eq!(labels, [("噪声", 1), ("物业", 0), ("公交", 1)]);
}

#[test]
fn other_rows_and_heads_are_refused() {
    let a = model("1", |_| true);
    let fewer = predictions("2", a.rows()[1..].to_vec());
    let error = compare(&a, &fewer, 10, 1).unwrap_err();
    assert!(error.to_string().starts_with("the rows differ: only A has 1 row (`r000`)"), "{error}");
    let risk = Header { head: "risk".into(), ..a.header().clone() };
    let risk = Predictions::new(risk, a.rows().to_vec()).unwrap();
    let heads = PairError::Heads { a: "category".into(), b: "risk".into() };
    assert_eq!(compare(&a, &risk, 10, 1).unwrap_err(), heads);
}

#[test]
fn rows_that_were_relabelled_are_refused() {
    let a = model("1", |_| true);
    let mut rows = a.rows().to_vec();
    rows[3].gold = one("供暖");
    let error = compare(&a, &predictions("2", rows), 10, 1).unwrap_err();
    assert_eq!(error, PairError::Gold { ids: vec!["r003".into()] });
    let listed = Prediction { gold: many(&["噪声"]), decided: many(&["噪声"]), ..a.rows()[1].clone() };
    let (a, listed) = (predictions("1", a.rows()[1..2].to_vec()), predictions("2", vec![listed]));
    assert_eq!(compare(&a, &listed, 10, 1).unwrap_err(), PairError::Gold { ids: vec!["r001".into()] });
}

#[test]
fn machines_read_json_with_these_names() {
    let rows = |decided| vec![single("1", "噪声", decided, 0.75), single("2", "物业", "物业", 1.0)];
    let (a, b) = (predictions("1", rows("噪声")), predictions("2", rows("物业")));
    let json = serde_json::to_value(compare(&a, &b, 0, 42).unwrap()).unwrap();
    let names: Vec<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = "a b head rows seed resamples figures mcnemar labels \
                    gained_rows lost_rows changed_rows gained lost changed";
    assert_eq!(names.join(" "), expected);
    let none = serde_json::json!({ "value": -0.5, "low": null, "high": null, "p_value": null });
    let accuracy = serde_json::json!({
        "id": "accuracy", "name": "accuracy", "higher_is_better": true, "a": 1.0, "b": 0.5, "difference": none,
    });
    assert_eq!(json["figures"][0], accuracy);
    let lost = serde_json::json!([{
        "id": "1", "gold": "噪声", "a": "噪声", "b": "物业", "confidence": 0.75,
    }]);
    assert_eq!(json["lost"], lost);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_model_does_not_differ_from_itself((a, _) in two_models(), seed in 0..9_u64) {
        let found = compare(&a, &a, 25, seed).unwrap();
        for (name, difference) in values(&found) {
            prop_assert!(difference.value.is_none_or(|value| value == 0.0), "{name}");
            prop_assert!(difference.p_value.is_none_or(|p_value| p_value >= 1.0), "{name}");
        }
        prop_assert_eq!((found.gained_rows, found.lost_rows, found.changed_rows), (0, 0, 0));
        prop_assert_eq!(found.mcnemar.exact_p_value.to_bits(), 1.0_f64.to_bits());
    }

    #[test]
    fn swapping_the_models_turns_every_difference_around((a, b) in two_models()) {
        let (there, back) = (compare(&a, &b, 25, 1).unwrap(), compare(&b, &a, 25, 1).unwrap());
        for ((name, there), (_, back)) in values(&there).into_iter().zip(values(&back)) {
            prop_assert!(opposite(there.value, back.value), "{name}: {there:?}, {back:?}");
            prop_assert!(opposite(there.low, back.high), "{name}: {there:?}, {back:?}");
            prop_assert!(opposite(there.high, back.low), "{name}: {there:?}, {back:?}");
            prop_assert_eq!(there.p_value, back.p_value);
        }
        prop_assert_eq!((there.gained_rows, there.lost_rows), (back.lost_rows, back.gained_rows));
        prop_assert_eq!(there.changed_rows, back.changed_rows);
    }

    #[test]
    fn gained_less_lost_rows_are_the_difference_of_the_first_figure((a, b) in two_models()) {
        let found = compare(&a, &b, 0, 1).unwrap();
        let gained = found.gained_rows as f64 - found.lost_rows as f64;
        let difference = found.figures[0].difference.value;
        prop_assert!(difference.is_none_or(|value| (value * found.rows as f64 - gained).abs() < 1e-9));
        prop_assert_eq!(found.mcnemar.only_first as usize, found.lost_rows);
        prop_assert_eq!(found.mcnemar.only_second as usize, found.gained_rows);
    }
}
