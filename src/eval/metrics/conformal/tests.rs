use proptest::prelude::*;

use super::super::problem::tests::single_label;
use super::*;

fn close(left: f64, right: f64) -> bool {
    (left - right).abs() < 1e-12 || (left.is_nan() && right.is_nan())
}

/// The figures by their definition: every row as often as it counts, every set written out.
fn by_definition(
    problem: &SingleLabel,
    conformal: &Conformal,
    weights: &Weights,
    setting: usize,
) -> (f64, f64) {
    let (class_conditional, percent) = SETTINGS[setting];
    let copies = |row: u32| std::iter::repeat_n(row as usize, weights.as_slice()[row as usize] as usize);
    let of_splits: Vec<(f64, f64)> = (0..SPLITS)
        .filter_map(|split| {
            let testing = conformal.testing_rows(split);
            let known = (0..problem.rows() as u32).filter(|row| problem.is_known(*row as usize));
            let calibrating: Vec<usize> =
                known.filter(|row| !testing.contains(row)).flat_map(copies).collect();
            let thresholds: Vec<f64> = (0..problem.num_labels())
                .map(|label| {
                    let rows =
                        calibrating.iter().filter(|row| !class_conditional || problem.gold()[**row] == label);
                    let mut gold: Vec<f64> = rows.map(|row| problem.gold_probability(*row)).collect();
                    gold.sort_by(|a, b| b.total_cmp(a));
                    let rank = ((gold.len() as u64 + 1) * percent).div_ceil(100) as usize;
                    gold.get(rank - 1).copied().unwrap_or(f64::NEG_INFINITY)
                })
                .collect();
            let testing: Vec<usize> = testing.iter().copied().flat_map(copies).collect();
            let sets: Vec<Vec<usize>> = testing
                .iter()
                .map(|row| {
                    (0..thresholds.len())
                        .filter(|label| problem.probabilities(*row)[*label] >= thresholds[*label])
                })
                .map(Iterator::collect)
                .collect();
            let covered =
                testing.iter().zip(&sets).filter(|(row, set)| set.contains(&problem.gold()[**row])).count();
            let size: usize = sets.iter().map(Vec::len).sum();
            let rows = testing.len() as f64;
            (rows > 0.0).then(|| (covered as f64 / rows, size as f64 / rows))
        })
        .collect();
    let splits = of_splits.len() as f64;
    let mean = |figure: fn(&(f64, f64)) -> f64| of_splits.iter().map(figure).sum::<f64>() / splits;
    (mean(|split| split.0), mean(|split| split.1))
}

/// Rows whose gold label of two has a probability from 0.3 to 0.97, so that the top label is wrong for some.
fn two_labels(rows: usize) -> SingleLabel {
    let gold: Vec<usize> = (0..rows).map(|row| row % 2).collect();
    let probabilities = gold.iter().enumerate().flat_map(|(row, gold)| {
        let right = 0.3 + (row * 37 % rows) as f64 / rows as f64 * 0.67;
        if *gold == 0 { [right, 1.0 - right] } else { [1.0 - right, right] }
    });
    SingleLabel::new(2, gold.clone(), probabilities.collect(), vec![0; rows]).unwrap()
}

#[test]
fn sets_cover_what_they_promise() {
    let problem = two_labels(2000);
    let found = Conformal::new(&problem, 5).figures(&Weights::ones(2000));
    for (sets, level) in [
        (&found.marginal_90, 0.90),
        (&found.marginal_95, 0.95),
        (&found.class_conditional_90, 0.90),
        (&found.class_conditional_95, 0.95),
    ] {
        assert!((sets.coverage - level).abs() < 0.01, "{found:?}");
        assert!((1.0..=2.0).contains(&sets.mean_set_size), "{found:?}");
    }
}

#[test]
fn halves_keep_labels_even() {
    let problem = two_labels(101);
    let conformal = Conformal::new(&problem, 1);
    for split in 0..conformal.splits() {
        let testing = conformal.testing_rows(split);
        for label in 0..2 {
            let rows = testing.iter().filter(|row| problem.gold()[**row as usize] == label).count();
            assert!((25..=26).contains(&rows), "{rows}");
        }
    }
    assert_ne!(conformal.testing_rows(0), conformal.testing_rows(1));
    assert_ne!(conformal.testing_rows(0), Conformal::new(&problem, 2).testing_rows(0));
}

#[test]
fn too_few_rows_to_calibrate_give_sets_of_all_labels() {
    let problem = two_labels(12);
    let found = Conformal::new(&problem, 0).figures(&Weights::ones(12));
    assert!(close(found.class_conditional_90.mean_set_size, 2.0), "{found:?}");
    assert!(close(found.class_conditional_90.coverage, 1.0), "{found:?}");
}

#[test]
fn unknown_gold_labels_are_left_out() {
    let problem = SingleLabel::new(2, vec![2, 3], vec![0.5; 4], vec![0, 1]).unwrap();
    let found = Conformal::new(&problem, 0).figures(&Weights::ones(2));
    assert!(found.marginal_90.coverage.is_nan());
}

#[test]
fn large_resamples_are_counted_as_by_definition() {
    let problem = two_labels(400);
    let conformal = Conformal::new(&problem, 9);
    // Far from the rows as they are, so that thresholds move a lot.
    for step in [2, 3, 7] {
        let weights = Weights::new((0..400).map(|row| row * row / 50 % step).collect());
        let found = conformal.figures(&weights);
        let all =
            [found.marginal_90, found.marginal_95, found.class_conditional_90, found.class_conditional_95];
        for (setting, sets) in all.iter().enumerate() {
            let (coverage, size) = by_definition(&problem, &conformal, &weights, setting);
            assert!(close(sets.coverage, coverage) && close(sets.mean_set_size, size), "{setting} of {step}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn resamples_are_counted_as_by_definition(
        (problem, weights) in single_label().prop_flat_map(|problem| {
            let weights = prop::collection::vec(0_u32..4, problem.rows());
            (Just(problem), weights)
        })
    ) {
        let conformal = Conformal::new(&problem, 3);
        let weights = Weights::new(weights);
        let found = conformal.figures(&weights);
        let all = [found.marginal_90, found.marginal_95, found.class_conditional_90, found.class_conditional_95];
        for (setting, sets) in all.iter().enumerate() {
            let (coverage, size) = by_definition(&problem, &conformal, &weights, setting);
            prop_assert!(close(sets.coverage, coverage), "{} is not {coverage}", sets.coverage);
            prop_assert!(close(sets.mean_set_size, size), "{} is not {size}", sets.mean_set_size);
        }
    }
}
