//! Rows whose given label may be wrong: confident learning (Northcutt, Jiang and Chuang 2021).
//!
//! A label's threshold is the mean probability that rows given it have for it. A row is confidently of the most probable
//! label among those that reach their thresholds; the confident joint counts rows by given and confident label. Rows off
//! its diagonal are suspects, ranked by their normalized margin, the most suspicious first.
//!
//! The probabilities must come from a model that was not trained on the rows (cross-validation), else it has learnt
//! their errors. Rows whose label the head does not have are left out.

use serde::Serialize;

use super::problem::SingleLabel;

/// A probability this little below a threshold reaches it, as in cleanlab: a mean of equal numbers may be rounded up.
const ROUNDING: f64 = 1e-6;

/// What is found about the given labels.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LabelNoise {
    /// The threshold of each label; `None` if no row was given it.
    pub thresholds: Vec<Option<f64>>,
    /// Rows by given label, then by confident label. Rows that reach no threshold are not counted.
    pub confident_joint: Vec<Vec<u64>>,
    /// The rows whose confident label is not the given one, the most suspicious first.
    pub suspects: Vec<Suspect>,
    /// Rows left out, since the head does not have their label.
    pub excluded_rows: usize,
}

/// A row whose given label may be wrong.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Suspect {
    /// The row, from 0.
    pub row: usize,
    /// The label it was given.
    pub given: usize,
    /// The label it confidently has.
    pub suggested: usize,
    /// Normalized margin: (probability of the given label - the highest of another + 1) / 2, in 0..=1; the less the more
    /// suspicious.
    pub score: f64,
    /// The probability of the given label, which ranks rows with one score.
    pub self_confidence: f64,
}

/// Finds the rows of a problem whose gold label may be wrong.
pub fn find_label_noise(problem: &SingleLabel) -> LabelNoise {
    let labels = problem.num_labels();
    let known: Vec<usize> = (0..problem.rows()).filter(|row| problem.is_known(*row)).collect();
    let thresholds = thresholds(problem, &known);
    let mut confident_joint = vec![vec![0; labels]; labels];
    let mut suspects = Vec::new();
    for row in &known {
        let Some(confident) = confident_label(problem.probabilities(*row), &thresholds) else {
            continue;
        };
        let given = problem.gold()[*row];
        confident_joint[given][confident] += 1;
        if given != confident {
            suspects.push(suspect(problem, *row, confident));
        }
    }
    suspects
        .sort_by(|a, b| a.score.total_cmp(&b.score).then(a.self_confidence.total_cmp(&b.self_confidence)));
    LabelNoise { thresholds, confident_joint, suspects, excluded_rows: problem.rows() - known.len() }
}

fn thresholds(problem: &SingleLabel, known: &[usize]) -> Vec<Option<f64>> {
    let mut sums = vec![(0.0, 0_usize); problem.num_labels()];
    for row in known {
        let (sum, rows) = &mut sums[problem.gold()[*row]];
        *sum += problem.gold_probability(*row);
        *rows += 1;
    }
    sums.into_iter().map(|(sum, rows)| (rows > 0).then(|| sum / rows as f64)).collect()
}

/// The most probable of the labels that reach their thresholds, the first of several.
fn confident_label(probabilities: &[f64], thresholds: &[Option<f64>]) -> Option<usize> {
    let labels = probabilities.iter().zip(thresholds).enumerate();
    let confident = labels.filter_map(|(label, (probability, threshold))| {
        threshold.filter(|threshold| *probability >= threshold - ROUNDING).map(|_| (label, *probability))
    });
    confident.reduce(|top, next| if next.1 > top.1 { next } else { top }).map(|(label, _)| label)
}

fn suspect(problem: &SingleLabel, row: usize, suggested: usize) -> Suspect {
    let given = problem.gold()[row];
    let others = problem.probabilities(row).iter().enumerate().filter(|(label, _)| *label != given);
    let highest = others.fold(0.0_f64, |highest, (_, probability)| highest.max(*probability));
    let self_confidence = problem.gold_probability(row);
    Suspect { row, given, suggested, score: (self_confidence - highest + 1.0) * 0.5, self_confidence }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(gold: &[usize], probabilities: &[[f64; 3]]) -> LabelNoise {
        let decided = vec![0; gold.len()];
        find_label_noise(&SingleLabel::new(3, gold.to_vec(), probabilities.concat(), decided).unwrap())
    }

    #[test]
    fn joint_and_margins_are_those_of_the_paper() {
        // Thresholds by hand: (0.9 + 0.7 + 0.2) / 3 = 0.6, (0.8 + 0.6) / 2 = 0.7, none for label 2.
        let probabilities = [
            [0.9, 0.1, 0.0],
            [0.7, 0.2, 0.1],
            [0.2, 0.75, 0.05],
            [0.1, 0.8, 0.1],
            [0.2, 0.6, 0.2],
            [0.0, 0.0, 1.0],
        ];
        let found = noise(&[0, 0, 0, 1, 1, 7], &probabilities);
        assert!((found.thresholds[0].unwrap() - 0.6).abs() < 1e-12);
        assert!((found.thresholds[1].unwrap() - 0.7).abs() < 1e-12);
        assert_eq!(found.thresholds[2], None);
        // The fifth row reaches no threshold, the last has no label of the head.
        assert_eq!(found.confident_joint, [[2, 1, 0], [0, 1, 0], [0, 0, 0]]);
        assert_eq!(found.excluded_rows, 1);
        let [suspect] = found.suspects.as_slice() else { panic!("{found:?}") };
        assert_eq!((suspect.row, suspect.given, suspect.suggested), (2, 0, 1));
        assert!((suspect.score - 0.225).abs() < 1e-12);
        assert!((suspect.self_confidence - 0.2).abs() < 1e-12);
    }

    #[test]
    fn most_suspicious_rows_come_first() {
        let mut gold = vec![0, 0, 1, 1];
        let mut probabilities = vec![[0.6, 0.4, 0.0]; 2];
        probabilities.extend([[0.4, 0.6, 0.0]; 2]);
        gold.extend([0, 0, 0]);
        probabilities.extend([[0.3, 0.6, 0.1], [0.0, 1.0, 0.0], [0.3, 0.6, 0.1]]);
        let rows: Vec<usize> =
            noise(&gold, &probabilities).suspects.iter().map(|suspect| suspect.row).collect();
        assert_eq!(rows, [5, 4, 6]);
    }

    #[test]
    fn equal_rows_reach_their_mean() {
        // The mean of three times 0.1 is rounded above 0.1.
        let found = noise(&[0, 0, 0], &[[0.1, 0.9, 0.0]; 3]);
        assert_eq!(found.confident_joint[0][0], 3);
        assert_eq!(found.suspects, []);
    }

    #[test]
    fn no_rows_are_no_suspects() {
        assert_eq!(noise(&[], &[]).suspects, []);
    }
}
