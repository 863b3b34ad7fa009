//! What came of a gate's bounds: an exit code, and for people a sentence and an aligned table.

use std::fmt;

use super::{Bound, Found};
use crate::eval::text::Table;

/// What came of every bound of a gate.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The gate's file.
    pub file: String,
    /// One for each bound, in the order of the file.
    pub judgements: Vec<Judgement>,
}

/// What came of one bound.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// The bound.
    pub bound: Bound,
    /// The figure that it is on, if there is one.
    pub found: Option<Found>,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of one bound.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The figure keeps the bound.
    Met,
    /// The figure does not keep the bound.
    Missed {
        /// How far it is on the wrong side, above 0.
        by: f64,
    },
    /// There are fewer rows than the bound asks for; this fails nobody.
    TooFewRows,
    /// There is no such figure, or the bound does not fit it.
    CannotJudge {
        /// Why, and what to do.
        reason: String,
    },
}

/// How many bounds had which outcome.
#[derive(Default)]
struct Counts {
    met: usize,
    missed: usize,
    too_few_rows: usize,
    cannot_judge: usize,
}

impl Verdict {
    /// 0 if the model passes: every bound is met, save those with too few rows. 1 if a bound is missed. 2 if there is no
    /// verdict: a bound cannot be judged, whatever became of the others, or all have too few rows.
    pub fn exit_code(&self) -> u8 {
        match self.counts() {
            Counts { cannot_judge: 1.., .. } | Counts { met: 0, missed: 0, .. } => 2,
            Counts { missed: 1.., .. } => 1,
            Counts { .. } => 0,
        }
    }

    fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for Judgement { outcome, .. } in &self.judgements {
            *match outcome {
                Outcome::Met => &mut counts.met,
                Outcome::Missed { .. } => &mut counts.missed,
                Outcome::TooFewRows => &mut counts.too_few_rows,
                Outcome::CannotJudge { .. } => &mut counts.cannot_judge,
            } += 1;
        }
        counts
    }

    /// The sentence that says it all.
    fn sentence(&self) -> String {
        let Counts { met, missed, too_few_rows, cannot_judge } = self.counts();
        let all = self.judgements.len();
        let bounds = if all == 1 { "bound" } else { "bounds" };
        let are = |count| if count == 1 { "is" } else { "are" };
        let also = match too_few_rows {
            0 => String::new(),
            1 => "; 1 has too few rows to be judged".to_owned(),
            few => format!("; {few} have too few rows to be judged"),
        };
        if cannot_judge > 0 {
            let missed =
                if missed > 0 { format!(", {missed} {} missed", are(missed)) } else { String::new() };
            let file = &self.file;
            format!("no verdict: {cannot_judge} of {all} {bounds} cannot be judged{missed}; correct {file}")
        } else if missed > 0 {
            format!("not passed: {missed} of {all} {bounds} {} missed{also}", are(missed))
        } else if met > 0 {
            format!("passed: {met} of {all} {bounds} {} met{also}", are(met))
        } else {
            format!(
                "no verdict: {all} of {all} {bounds} {} too few rows to be judged",
                if all == 1 { "has" } else { "have" }
            )
        }
    }
}

impl fmt::Display for Verdict {
    /// Writes a sentence, the bounds as a table, the troubles first, and why some cannot be judged.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.sentence())?;
        let mut judgements: Vec<_> = self.judgements.iter().collect();
        judgements.sort_by_key(|judgement| judgement.outcome.rank());
        let headings = ["line", "outcome", "figure", "of", "bound", "judged", "by", "value", "rows"];
        let mut table = Table::new(headings, 5);
        table.rows.extend(judgements.iter().map(|judgement| judgement.cells()));
        write!(f, "{table}")?;
        let mut separator = "\n";
        for Judgement { bound, outcome, .. } in &self.judgements {
            if let Outcome::CannotJudge { reason } = outcome {
                writeln!(f, "{separator}{}:{}: {reason}", self.file, bound.line)?;
                separator = "";
            }
        }
        Ok(())
    }
}

impl Outcome {
    /// The place in the table.
    fn rank(&self) -> usize {
        match self {
            Self::CannotJudge { .. } => 0,
            Self::Missed { .. } => 1,
            Self::TooFewRows => 2,
            Self::Met => 3,
        }
    }
}

impl Judgement {
    fn cells(&self) -> [String; 9] {
        let Self { bound, found, outcome } = self;
        let (outcome, by) = match outcome {
            Outcome::Met => ("met".to_owned(), String::new()),
            Outcome::Missed { by } => ("missed".to_owned(), small(*by)),
            Outcome::TooFewRows => {
                (format!("under {} rows", bound.min_rows.unwrap_or_default()), String::new())
            }
            Outcome::CannotJudge { .. } => ("cannot judge".to_owned(), String::new()),
        };
        let (limit, end) = (bound.limit.to_string(), bound.of.name());
        let number = |number: f64| if number.is_nan() { "-".to_owned() } else { format!("{number:.4}") };
        let [judged, value, rows] = found.map_or_else(Default::default, |found| {
            let judged = format!("{end} {}", number(found.end(bound.of)));
            [judged, number(found.value), found.rows.to_string()]
        });
        [bound.line.to_string(), outcome, bound.figure.clone(), bound.which(), limit, judged, by, value, rows]
    }
}

impl Bound {
    /// What the figure is of, if not of everything.
    fn which(&self) -> String {
        let slice = self.slice.as_ref().map(|slice| format!("{} = {}", slice.column, slice.value));
        self.label.iter().cloned().chain(slice).collect::<Vec<_>>().join(", ")
    }
}

/// A distance with four places, or with what it takes to be seen.
fn small(by: f64) -> String {
    if by < 5e-5 { format!("{by:.0e}") } else { format!("{by:.4}") }
}

#[cfg(test)]
mod tests {
    use super::super::{End, Limit, Slice};
    use super::*;

    fn judgement(line: usize, outcome: Outcome) -> Judgement {
        let bound = Bound {
            line,
            figure: "accuracy".into(),
            label: None,
            slice: None,
            limit: Limit::AtLeast(0.82),
            of: End::Low,
            min_rows: None,
        };
        let found = Found { value: 0.84, low: 0.825, high: 0.8551, rows: 5000, higher_is_better: true };
        Judgement { bound, found: Some(found), outcome }
    }

    fn verdict(outcomes: impl IntoIterator<Item = Outcome>) -> Verdict {
        let judgements = outcomes.into_iter().enumerate();
        let judgements = judgements.map(|(place, outcome)| judgement(3 * place + 1, outcome)).collect();
        Verdict { file: "gate.toml".into(), judgements }
    }

    fn missed() -> Outcome {
        Outcome::Missed { by: 0.01 }
    }

    fn cannot() -> Outcome {
        Outcome::CannotJudge { reason: "there is no figure `acuracy`".into() }
    }

    #[test]
    fn people_read_an_aligned_table_with_the_troubles_first() {
        let mut verdict = verdict([Outcome::Met, missed(), Outcome::TooFewRows, missed(), cannot()]);
        let district = Slice { column: "district".into(), value: "东城区".into() };
        let recall = &mut verdict.judgements[1];
        recall.bound.label = Some("social_risk".into());
        recall.bound.figure = "recall".into();
        let few = &mut verdict.judgements[2];
        few.bound.slice = Some(district.clone());
        few.bound.min_rows = Some(30);
        few.found = few.found.map(|found| Found { low: f64::NAN, rows: 29, ..found });
        let error = &mut verdict.judgements[3];
        error.bound.limit = Limit::AtMost(0.05);
        error.bound.of = End::High;
        error.bound.label = Some("噪声".into());
        error.bound.slice = Some(district);
        verdict.judgements[4].bound.figure = "acuracy".into();
        verdict.judgements[4].found = None;
        insta::assert_snapshot!(verdict.to_string(), @"
        no verdict: 1 of 5 bounds cannot be judged, 2 are missed; correct gate.toml

        line  outcome        figure    of                       bound               judged      by   value  rows
        13    cannot judge   acuracy                            at least 0.82
        4     missed         recall    social_risk              at least 0.82   low 0.8250  0.0100  0.8400  5000
        10    missed         accuracy  噪声, district = 东城区  at most 0.05   high 0.8551  0.0100  0.8400  5000
        7     under 30 rows  accuracy  district = 东城区        at least 0.82        low -          0.8400    29
        1     met            accuracy                           at least 0.82   low 0.8250          0.8400  5000

        gate.toml:13: there is no figure `acuracy`
        ");
    }

    #[test]
    fn a_sentence_says_it_all() {
        let first = |outcomes: Vec<Outcome>| verdict(outcomes).to_string().lines().next().unwrap().to_owned();
        let few = || Outcome::TooFewRows;
        assert_eq!(first(vec![Outcome::Met]), "passed: 1 of 1 bound is met");
        assert_eq!(first(vec![Outcome::Met; 7]), "passed: 7 of 7 bounds are met");
        assert_eq!(
            first(vec![Outcome::Met, Outcome::Met, few()]),
            "passed: 2 of 3 bounds are met; 1 has too few rows to be judged"
        );
        assert_eq!(first(vec![missed(), Outcome::Met]), "not passed: 1 of 2 bounds is missed");
        assert_eq!(
            first(vec![missed(), missed(), few(), few()]),
            "not passed: 2 of 4 bounds are missed; 2 have too few rows to be judged"
        );
        assert_eq!(
            first(vec![cannot(), Outcome::Met]),
            "no verdict: 1 of 2 bounds cannot be judged; correct gate.toml"
        );
        assert_eq!(
            first(vec![cannot(), missed(), few()]),
            "no verdict: 1 of 3 bounds cannot be judged, 1 is missed; correct gate.toml"
        );
        assert_eq!(first(vec![few(), few()]), "no verdict: 2 of 2 bounds have too few rows to be judged");
        assert_eq!(first(vec![few()]), "no verdict: 1 of 1 bound has too few rows to be judged");
    }

    #[test]
    fn the_exit_code_is_0_1_or_2() {
        let code = |outcomes: Vec<Outcome>| verdict(outcomes).exit_code();
        assert_eq!(code(vec![Outcome::Met, Outcome::TooFewRows]), 0);
        assert_eq!(code(vec![Outcome::Met, missed(), Outcome::TooFewRows]), 1);
        assert_eq!(code(vec![Outcome::Met, missed(), cannot()]), 2);
        assert_eq!(code(vec![Outcome::TooFewRows]), 2);
    }

    #[test]
    fn a_narrow_miss_is_not_shown_as_none() {
        assert_eq!(small(0.012_34), "0.0123");
        assert_eq!(small(0.000_012), "1e-5");
    }
}
