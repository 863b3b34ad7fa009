//! How good a classifier is: figures on rows whose labels are known.
//!
//! [`rows`] reads the rows, [`evaluate()`] asks a classifier and counts [`figures`] with [`scores`] and [`confusion`],
//! [`report`] says them to people and machines. What a classifier is does not matter here: anything that answers texts
//! with probabilities.

pub mod channel;
pub mod confusion;
pub mod figures;
pub mod report;
pub mod rows;
pub mod scores;

use std::collections::HashMap;

use crate::classifier::{DecisionRule, alarm, ranked};
use crate::label::LabelSet;
use crate::request::RequestText;

pub use channel::Channel;
pub use confusion::ConfusionMatrix;
pub use figures::{Figures, LabelFigures, UnknownLabel};
pub use report::Report;
pub use rows::{Columns, GoldLabels, LabelledRows};

use scores::LabelCounts;

/// How many texts are handed to the classifier at a time.
const BATCH_TEXTS: usize = 64;
/// How many ranked labels `top_3_accuracy` looks at.
const TOP: usize = 3;
/// Rows with more labels than this for each one that the head has are not meant for the head. Two label sets often share
/// a word such as `other`, so that a wrong column may well hold a known label here and there.
const MOST_LABELS_A_KNOWN_ONE: usize = 10;
/// How many labels an error shows.
const SHOWN_LABELS: usize = 5;

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError<E> {
    /// The classifier failed.
    #[error(transparent)]
    Predict(E),
    /// Hardly any of the labels is one of the head's: most likely the wrong column, or the wrong head.
    #[error(
        "only {known} of the {labels} labels in the rows are known: the rows have {}; the known ones are {}\n\
         hint: check `--label-column`, `--head` and `--label-system`",
        some(found),
        some(expected)
    )]
    UnknownLabels {
        /// How many labels of the rows the head has.
        known: usize,
        /// How many labels the rows have in all.
        labels: usize,
        /// The labels that the head does not have, the most frequent first.
        found: Vec<String>,
        /// The labels of the head.
        expected: Vec<String>,
    },
    /// The classifier's answer has another shape than the question.
    #[error("the classifier answered with {got} {what} where {expected} were expected")]
    Answer {
        /// What was counted: answers or probabilities.
        what: &'static str,
        /// How many there are.
        got: usize,
        /// How many there should be.
        expected: usize,
    },
}

/// Asks `predict` about all rows, a batch at a time, and compares its answers with the rows' labels.
///
/// `predict` answers each text with the probabilities of `labels`, in that order; `rule` says which labels they stand for.
///
/// ```
/// use jiesu::eval::{Columns, LabelledRows, evaluate};
/// use jiesu::classifier::{DecisionRule, Problem};
/// use jiesu::label::LabelSet;
/// use jiesu::request::{Field, RequestText};
///
/// let folder = tempfile::tempdir()?;
/// let file = folder.path().join("rows.csv");
/// std::fs::write(&file, "text,label\n楼上漏水,housing\n公交总不来,transport\n停水三天,housing\n")?;
/// let columns = Columns { text: "text".into(), title: None, label: "label".into() };
/// let rows = LabelledRows::read(&file, &columns, Problem::SingleLabelClassification)?;
///
/// let bus_or_not = |text: &RequestText| match text.normalized(Field::Text).contains("公交") {
///     true => vec![0.1, 0.9],
///     false => vec![0.8, 0.2],
/// };
/// let figures = evaluate(&rows, &LabelSet::new(["housing", "transport"])?, DecisionRule::MostProbable, |texts| {
///     Ok::<_, std::io::Error>(texts.iter().map(bus_or_not).collect())
/// })?;
/// assert_eq!(figures.accuracy, 1.0);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If `predict` fails or answers in another shape, or `labels` has less than a tenth of the labels in the rows.
pub fn evaluate<E>(
    rows: &LabelledRows,
    labels: &LabelSet,
    rule: DecisionRule,
    mut predict: impl FnMut(&[RequestText]) -> Result<Vec<Vec<f32>>, E>,
) -> Result<Figures, EvaluateError<E>> {
    let mut gold = GoldIds::new(labels);
    let gold_ids: Vec<Vec<usize>> = match rows.gold() {
        GoldLabels::One(one) => one.iter().map(|label| vec![gold.id(label)]).collect(),
        GoldLabels::Many(many) => {
            many.iter().map(|set| set.iter().map(|label| gold.id(label)).collect()).collect()
        }
    };
    gold.check()?;
    let mut answers: Vec<Vec<f32>> = Vec::with_capacity(rows.texts().len());
    for texts in rows.texts().chunks(BATCH_TEXTS) {
        let batch = predict(texts).map_err(EvaluateError::Predict)?;
        expect("answers", batch.len(), texts.len())?;
        for answer in &batch {
            expect("probabilities", answer.len(), labels.len())?;
        }
        answers.extend(batch);
    }
    let decided: Vec<Vec<usize>> = answers.iter().map(|answer| rule.decide(answer)).collect();
    Ok(match rows.gold() {
        GoldLabels::One(_) => single_label_figures(&gold, &gold_ids.concat(), &answers, (rule, &decided)),
        GoldLabels::Many(_) => multi_label_figures(&gold, gold_ids, &decided),
    })
}

/// The ids of the rows' labels: those of the head, then those that it does not have.
struct GoldIds<'a> {
    known: &'a LabelSet,
    unknown: Vec<UnknownLabel>,
    unknown_ids: HashMap<&'a str, usize>,
    known_rows: usize,
}

impl<'a> GoldIds<'a> {
    fn new(known: &'a LabelSet) -> Self {
        Self { known, unknown: Vec::new(), unknown_ids: HashMap::new(), known_rows: 0 }
    }

    fn id(&mut self, label: &'a str) -> usize {
        if let Some(id) = self.known.id(label) {
            self.known_rows += 1;
            return id;
        }
        let position = *self.unknown_ids.entry(label).or_insert_with(|| {
            self.unknown.push(UnknownLabel { label: label.to_owned(), rows: 0 });
            self.unknown.len() - 1
        });
        self.unknown[position].rows += 1;
        self.known.len() + position
    }

    fn check<E>(&self) -> Result<(), EvaluateError<E>> {
        let labels = self.known_rows + self.unknown.iter().map(|unknown| unknown.rows).sum::<usize>();
        if self.known_rows * MOST_LABELS_A_KNOWN_ONE >= labels {
            return Ok(());
        }
        Err(EvaluateError::UnknownLabels {
            known: self.known_rows,
            labels,
            found: self.most_frequent_unknown().into_iter().map(|unknown| unknown.label).collect(),
            expected: self.known.iter().map(str::to_owned).collect(),
        })
    }

    fn names(&self) -> Vec<String> {
        self.known
            .iter()
            .chain(self.unknown.iter().map(|unknown| unknown.label.as_str()))
            .map(str::to_owned)
            .collect()
    }

    fn most_frequent_unknown(&self) -> Vec<UnknownLabel> {
        let mut unknown = self.unknown.clone();
        unknown.sort_by_key(|unknown| std::cmp::Reverse(unknown.rows));
        unknown
    }

    /// Figures that follow from the counts of the labels; the others are left for the caller.
    fn figures(&self, rows: usize, accuracy: f64, counts: &[LabelCounts]) -> Figures {
        let label_figures = |(label, counts): (String, &LabelCounts)| LabelFigures {
            name: label.clone(),
            label,
            precision: counts.precision(),
            recall: counts.recall(),
            f1: counts.f1(),
            support: counts.support,
            predicted: counts.predicted,
        };
        Figures {
            rows,
            accuracy,
            macro_f1: scores::mean_f1(counts),
            micro_f1: scores::micro_f1(counts),
            weighted_f1: scores::weighted_f1(counts),
            top_3_accuracy: None,
            alert_recall: None,
            labels: self.names().into_iter().zip(counts).map(label_figures).collect(),
            unknown_labels: self.most_frequent_unknown(),
            confusion_matrix: None,
        }
    }
}

fn single_label_figures(
    labels: &GoldIds<'_>,
    gold: &[usize],
    answers: &[Vec<f32>],
    (rule, decided): (DecisionRule, &[Vec<usize>]),
) -> Figures {
    // What is impossible is no answer, though rules leave most labels so.
    let possible =
        |answer: &Vec<f32>| ranked(answer).filter(|(_, p)| *p > 0.0).map(|(id, _)| id).take(TOP).collect();
    let ranked: Vec<Vec<usize>> = answers.iter().map(possible).collect();
    let predicted: Vec<usize> = decided.iter().map(|decided| decided[0]).collect();
    let alarms =
        || answers.iter().map(|answer| alarm(answer)).zip(gold.iter().map(|gold| *gold > 0)).collect();
    let names = labels.names();
    let counts = scores::count_labels(gold, &predicted, names.len());
    Figures {
        alert_recall: matches!(rule, DecisionRule::Alert { .. }).then(|| scores::alert_recall(alarms())),
        top_3_accuracy: (labels.known.len() > TOP).then(|| scores::top_k_accuracy(gold, &ranked, TOP)),
        confusion_matrix: Some(ConfusionMatrix::new(names, gold, &predicted)),
        ..labels.figures(gold.len(), scores::accuracy(gold, &predicted), &counts)
    }
}

fn multi_label_figures(labels: &GoldIds<'_>, gold: Vec<Vec<usize>>, decided: &[Vec<usize>]) -> Figures {
    let rows = gold.len();
    let mut counts = vec![LabelCounts::default(); labels.names().len()];
    let mut exact = 0;
    for (mut gold, predicted) in gold.into_iter().zip(decided) {
        gold.sort_unstable();
        gold.dedup();
        for &id in predicted {
            counts[id].predicted += 1;
            counts[id].hits += usize::from(gold.contains(&id));
        }
        for &id in &gold {
            counts[id].support += 1;
        }
        exact += usize::from(gold == *predicted);
    }
    labels.figures(rows, exact as f64 / rows.max(1) as f64, &counts)
}

fn expect<E>(what: &'static str, got: usize, expected: usize) -> Result<(), EvaluateError<E>> {
    if got == expected { Ok(()) } else { Err(EvaluateError::Answer { what, got, expected }) }
}

fn some(labels: &[String]) -> String {
    let shown: Vec<_> = labels.iter().take(SHOWN_LABELS).map(|label| format!("`{label}`")).collect();
    let more = if labels.len() > SHOWN_LABELS { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classifier::Problem;
    use std::convert::Infallible;

    pub(crate) const MOST_PROBABLE: DecisionRule = DecisionRule::MostProbable;
    pub(crate) const EVEN_ODDS: DecisionRule = DecisionRule::Every { threshold: 0.5 };

    /// Rows whose text is the place of the row, and whose label or labels are given as JSON.
    pub(crate) fn rows(problem: Problem, labels: &[&str]) -> LabelledRows {
        let lines = labels
            .iter()
            .enumerate()
            .map(|(row, label)| format!("{{\"text\":\"{row}\",\"label\":{label}}}\n"));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.jsonl");
        std::fs::write(&path, lines.collect::<String>()).unwrap();
        let columns = Columns { text: "text".into(), title: None, label: "label".into() };
        LabelledRows::read(&path, &columns, problem).unwrap()
    }

    pub(crate) fn single(labels: &[&str]) -> LabelledRows {
        let quoted: Vec<String> = labels.iter().map(|label| format!("{label:?}")).collect();
        rows(Problem::SingleLabelClassification, &quoted.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Answers the rows in turn.
    pub(crate) fn answering(
        answers: &[&[f32]],
    ) -> impl FnMut(&[RequestText]) -> Result<Vec<Vec<f32>>, Infallible> {
        let mut answers: Vec<Vec<f32>> = answers.iter().map(|answer| answer.to_vec()).collect();
        move |texts| Ok(answers.drain(..texts.len()).collect())
    }

    fn labels(names: &[&str]) -> LabelSet {
        LabelSet::new(names.iter().copied()).unwrap()
    }

    #[test]
    fn the_most_probable_label_is_the_prediction() {
        let rows = single(&["a", "b", "d", "b", "c"]);
        let answers: [&[f32]; 5] = [
            &[0.5, 0.2, 0.2, 0.1],
            &[0.1, 0.2, 0.3, 0.4],
            &[0.4, 0.3, 0.2, 0.1],
            &[0.1, 0.4, 0.3, 0.2],
            &[0.25, 0.35, 0.15, 0.3],
        ];
        let figures =
            evaluate(&rows, &labels(&["a", "b", "c", "d"]), MOST_PROBABLE, answering(&answers)).unwrap();
        assert_eq!(figures.rows, 5);
        assert!((figures.accuracy - 0.4).abs() < 1e-12);
        assert!((figures.top_3_accuracy.unwrap() - 0.6).abs() < 1e-12);
        let matrix = figures.confusion_matrix.unwrap();
        assert_eq!(matrix.counts(), [[1, 0, 0, 0], [0, 1, 0, 1], [0, 1, 0, 0], [1, 0, 0, 0]]);
        assert_eq!((figures.labels[0].support, figures.labels[0].predicted), (1, 2));
        assert_eq!(figures.unknown_labels, []);
    }

    #[test]
    fn labels_that_the_head_lacks_count_as_wrong_and_are_told() {
        let rows = single(&["a", "x", "y", "y"]);
        let answers: [&[f32]; 4] = [&[0.9, 0.1]; 4];
        let figures = evaluate(&rows, &labels(&["a", "b"]), MOST_PROBABLE, answering(&answers)).unwrap();
        assert!((figures.accuracy - 0.25).abs() < 1e-12);
        // f1_score(["a","x","y","y"], ["a"]*4, average="macro", zero_division=0) is 0.4 / 3
        assert!((figures.macro_f1 - 0.4 / 3.0).abs() < 1e-12);
        assert_eq!(figures.unknown_labels[0], UnknownLabel { label: "y".into(), rows: 2 });
        assert_eq!(figures.unknown_labels[1], UnknownLabel { label: "x".into(), rows: 1 });
        assert_eq!(figures.confusion_matrix.unwrap().labels(), ["a", "b", "x", "y"]);
        assert_eq!(figures.top_3_accuracy, None);
    }

    #[test]
    fn rows_with_hardly_a_known_label_are_refused_before_the_classifier_is_asked() {
        let never = |_: &[RequestText]| -> Result<Vec<Vec<f32>>, Infallible> { panic!("was asked") };
        let known = labels(&["a", "other"]);
        let error = evaluate(&single(&["x", "y", "y"]), &known, MOST_PROBABLE, never).unwrap_err();
        assert_eq!(
            error.to_string(),
            "only 0 of the 3 labels in the rows are known: the rows have `y`, `x`; the known ones are `a`, `other`\n\
             hint: check `--label-column`, `--head` and `--label-system`"
        );
        let mut one_in_ten = vec!["x"; 9];
        one_in_ten.push("other");
        assert!(
            evaluate(&single(&one_in_ten), &known, MOST_PROBABLE, |texts| Ok::<_, Infallible>(vec![
                vec![
                    0.5;
                    2
                ];
                texts
                    .len(
                    )
            ]))
            .is_ok()
        );
        one_in_ten.push("x");
        assert!(evaluate(&single(&one_in_ten), &known, MOST_PROBABLE, never).is_err());
    }

    #[test]
    fn lists_of_labels_are_compared_at_one_half() {
        /* Equivalent python code:
        gold = np.array([[1,1], [0,0], [0,1], [1,0], [0,0]])
        predicted = np.array([[1,0], [0,0], [0,1], [1,1], [1,0]])
        print(accuracy_score(gold, predicted))
        print([f1_score(gold, predicted, average=a) for a in ("macro", "micro", "weighted")])
        */
        let rows = rows(
            Problem::MultiLabelClassification,
            &[r#"["b", "a", "a"]"#, "[]", r#"["b"]"#, r#"["a"]"#, "[]"],
        );
        let answers: [&[f32]; 5] =
            [&[0.9, 0.4, 0.1], &[0.1, 0.1, 0.1], &[0.2, 0.5, 0.1], &[0.8, 0.7, 0.1], &[0.6, 0.1, 0.1]];
        let figures = evaluate(&rows, &labels(&["a", "b", "c"]), EVEN_ODDS, answering(&answers)).unwrap();
        assert!((figures.accuracy - 0.4).abs() < 1e-12);
        assert!((figures.macro_f1 - 0.65).abs() < 1e-12);
        assert!((figures.micro_f1 - 2.0 / 3.0).abs() < 1e-12);
        assert!((figures.weighted_f1 - 0.65).abs() < 1e-12);
        assert_eq!((figures.top_3_accuracy, figures.confusion_matrix), (None, None));
    }

    #[test]
    fn answers_of_another_shape_are_refused() {
        let rows = single(&["a", "b"]);
        let known = labels(&["a", "b"]);
        let error = evaluate(&rows, &known, MOST_PROBABLE, |_| Ok::<_, Infallible>(vec![vec![0.5, 0.5]]))
            .unwrap_err();
        assert!(matches!(error, EvaluateError::Answer { what: "answers", got: 1, expected: 2 }));
        let error =
            evaluate(&rows, &known, MOST_PROBABLE, |_| Ok::<_, Infallible>(vec![vec![1.0]; 2])).unwrap_err();
        assert!(matches!(error, EvaluateError::Answer { what: "probabilities", got: 1, expected: 2 }));
        let error = evaluate(&rows, &known, MOST_PROBABLE, |_| Err("no model")).unwrap_err();
        assert!(matches!(error, EvaluateError::Predict("no model")));
    }

    #[test]
    fn every_row_is_asked_about_once_and_in_order() {
        let rows = single(&vec!["a"; 2 * BATCH_TEXTS + 1]);
        let mut asked = Vec::new();
        let figures = evaluate(&rows, &labels(&["a", "b"]), MOST_PROBABLE, |texts| {
            asked.extend(texts.iter().map(|text| text.original(crate::request::Field::Text).to_owned()));
            Ok::<_, Infallible>(vec![vec![1.0, 0.0]; texts.len()])
        });
        assert_eq!(figures.unwrap().rows, 2 * BATCH_TEXTS + 1);
        assert!(asked.into_iter().eq((0..=2 * BATCH_TEXTS).map(|row| row.to_string())));
    }
}
