//! Every figure of an evaluation is that of scikit-learn and its kin, to 1e-9. Golden numbers stand beside the figures
//! themselves; this compares hundreds of random problems, with the references installed from PyPI, where that is asked for.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};
use std::process::Command;

use jiesu::eval::metrics::{
    Alerts, Calibration, Classification, Conformal, MultiLabel, PreparedMultiLabel, PreparedSingleLabel,
    Ratio, Resamples, Selective, SingleLabel, Weights, differences, find_label_noise, interval, mcnemar,
};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Problem {
    Single {
        num_labels: usize,
        gold: Vec<usize>,
        probabilities: Vec<f64>,
        decided: Vec<usize>,
        weights: Vec<u32>,
        seed: u64,
    },
    Multi {
        num_labels: usize,
        gold: Vec<Vec<usize>>,
        probabilities: Vec<f64>,
        decided: Vec<Vec<usize>>,
        weights: Vec<u32>,
    },
    McNemar {
        first: Vec<bool>,
        second: Vec<bool>,
    },
    Interval {
        values: Vec<Option<f64>>,
    },
    Paired {
        values: Vec<f64>,
        strata: Vec<usize>,
        resamples: usize,
        seed: u64,
    },
    Ratio {
        rows: Vec<(u32, u32)>,
        weights: Vec<u32>,
    },
    Alerts {
        alarm: Vec<f64>,
        matters: Vec<bool>,
        weights: Vec<u32>,
    },
}

fn answer(problem: Problem) -> Value {
    match problem {
        Problem::Single { num_labels, gold, probabilities, decided, weights, seed } => {
            let problem = SingleLabel::new(num_labels, gold, probabilities, decided).unwrap();
            single(&problem, &Weights::new(weights), seed)
        }
        Problem::Multi { num_labels, gold, probabilities, decided, weights } => {
            let problem = MultiLabel::new(num_labels, gold, probabilities, decided).unwrap();
            json!(PreparedMultiLabel::new(&problem).figures(&Weights::new(weights)))
        }
        Problem::McNemar { first, second } => json!(mcnemar(&first, &second)),
        Problem::Interval { values } => {
            let found = interval(values.into_iter().map(|value| value.unwrap_or(f64::NAN)));
            json!(found.map(|interval| [interval.low, interval.high]))
        }
        Problem::Paired { values, strata, resamples, seed } => {
            let draws = Resamples::new(&strata, resamples, seed);
            let weights = |draw| draws.weights(draw).as_slice().to_vec();
            json!({
                "weights": (0..resamples).map(weights).collect::<Vec<_>>(),
                "difference": differences(&draws, |weights| vec![weights.mean(&values)])[0],
            })
        }
        Problem::Ratio { rows, weights } => json!(Ratio::new(rows).figure(&Weights::new(weights))),
        Problem::Alerts { alarm, matters, weights } => {
            let alarms: Vec<_> = alarm.into_iter().zip(matters).collect();
            json!(Alerts::new(&alarms).recall(&Weights::new(weights)))
        }
    }
}

fn single(problem: &SingleLabel, weights: &Weights, seed: u64) -> Value {
    let calibration = Calibration::new(problem);
    let conformal = Conformal::new(problem, seed);
    let classification = Classification::new(problem);
    let top_k: Vec<f64> = (1..=6).map(|k| classification.top_k_accuracy(k, weights)).collect();
    let testing: Vec<_> = (0..conformal.splits()).map(|split| conformal.testing_rows(split)).collect();
    json!({
        "figures": PreparedSingleLabel::new(problem, seed).figures(weights),
        "top_k": top_k,
        "equal_width_bins": calibration.equal_width_bins(weights),
        "equal_mass_bins": calibration.equal_mass_bins(weights),
        "risk_coverage": Selective::new(problem).curve(weights),
        "noise": find_label_noise(problem),
        "testing": testing,
    })
}

/// A Python with the references, made where it is not there yet.
fn python() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("reference");
    let python = folder.join("bin/python");
    let run = |command: &mut Command| assert!(command.status().unwrap().success(), "{command:?}");
    if !python.exists() {
        // What is there already, torch above all, need not be fetched.
        run(Command::new("python3").args(["-m", "venv", "--system-site-packages"]).arg(&folder));
    }
    run(Command::new(&python).args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "-r",
        "tests/reference/requirements.txt",
    ]));
    python
}

#[test]
#[ignore = "installs scikit-learn, torch and others from PyPI: about 1 GB"]
fn every_figure_is_that_of_the_references() {
    let python = python();
    let script = "tests/reference/check_metrics.py";
    let asked = Command::new(&python).args([script, "ask"]).output().unwrap();
    assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
    let problems: Vec<Problem> = serde_json::from_slice(&asked.stdout).unwrap();
    assert!(problems.len() > 400);
    let answers: Vec<Value> = problems.into_iter().map(answer).collect();
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("answers.json");
    std::fs::write(&file, serde_json::to_vec(&answers).unwrap()).unwrap();
    let checked = Command::new(&python).args([script, "check"]).arg(&file).status().unwrap();
    assert!(checked.success());
}
