//! What people read of a comparison: a sentence that says which model is better, then what it rests on.

use std::fmt;

use super::cells::{Verdict, p_value, rows, signed};
use super::{ComparedFigure, Comparison, Example};
use crate::eval::metrics::McNemar;
use crate::eval::text::Table;

/// How many labels are shown.
const SHOWN_LABELS: usize = 15;
/// How many rows of each kind of change are shown.
const SHOWN_EXAMPLES: usize = 5;
/// From how many rows on that one model alone has right the chi-square of McNemar's test is good.
const ROWS_FOR_CHI_SQUARE: u64 = 25;
/// From which p-value on a test does not exclude chance.
const SIGNIFICANCE: f64 = 0.05;

impl fmt::Display for Comparison {
    /// Writes a sentence, the models, the figures, McNemar's test, the labels and some rows.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.sentence())?;
        if let Some(caution) = self.caution() {
            writeln!(f, "{caution}")?;
        }
        writeln!(f)?;
        self.write_models(f)?;
        self.write_figures(f)?;
        self.write_labels(f)?;
        self.write_examples(f)
    }
}

impl Comparison {
    /// The sentence that says it all.
    fn sentence(&self) -> String {
        let ComparedFigure { name, difference, .. } = &self.figures[0];
        let Some(value) = difference.value else {
            return "no verdict: there are no rows".to_owned();
        };
        let verdict = self.figures[0].verdict();
        let (verdict, it) = match verdict {
            Verdict::A => ("B is worse", "it"),
            Verdict::B => ("B is better", "it"),
            Verdict::Neither => ("no difference beyond chance", "B"),
            Verdict::Unknown => ("no verdict", "B"),
        };
        let chance = match difference.interval() {
            Some(interval) => format!("95 % interval {interval}, p {}", p_value(difference.p_value)),
            None => "without an interval, for it was not resampled".to_owned(),
        };
        let (gained, lost) = (rows(self.gained_rows), self.lost_rows);
        format!("{verdict}: {name} {} ({chance}); {it} gains {gained} and loses {lost}", signed(value))
    }

    fn write_models(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut models = Table::new(["", "model", "revision", "by", "taxonomy", "directory"], 6);
        models.rows.extend([("A", &self.a), ("B", &self.b)].map(|(which, model)| model.cells(which)));
        let Self { head, resamples, seed, .. } = self;
        let rows = rows(self.rows);
        writeln!(f, "{models}\nhead {head}, {rows}, {resamples} resamples with the seed {seed}\n")
    }

    fn write_figures(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headings = ["figure", "better", "A", "B", "difference", "95 % interval", "p"];
        let mut table = Table::new(headings, 2);
        table.rows.extend(self.figures.iter().map(ComparedFigure::cells));
        writeln!(f, "{table}")?;
        writeln!(
            f,
            "p-values are not corrected for the number of figures and labels: some are small by chance"
        )?;
        let (p, form) = self.mcnemar_p_value();
        let (only_a, only_b) = (rows(self.lost_rows), self.gained_rows);
        writeln!(
            f,
            "McNemar's test: p {} ({form}); A alone has {only_a} right, B alone {only_b}",
            p_value(Some(p))
        )
    }

    /// The p-value of McNemar's test, and which of its two forms it is of.
    fn mcnemar_p_value(&self) -> (f64, &'static str) {
        let McNemar { only_first, only_second, exact_p_value, chi_square_p_value, .. } = self.mcnemar;
        match only_first + only_second {
            ..ROWS_FOR_CHI_SQUARE => (exact_p_value, "exact"),
            ROWS_FOR_CHI_SQUARE.. => (chi_square_p_value, "chi-square"),
        }
    }

    /// A word to whoever reads no further than the verdict, if McNemar's test does not bear it out: where few rows differ,
    /// the interval of a bootstrap is too narrow.
    fn caution(&self) -> Option<String> {
        let (p, _) = self.mcnemar_p_value();
        let decided = matches!(self.figures[0].verdict(), Verdict::A | Verdict::B);
        let told = || format!("caution: McNemar's test (p {}) does not exclude chance", p_value(Some(p)));
        (decided && p >= SIGNIFICANCE).then(told)
    }

    fn write_labels(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let changed: Vec<_> = self.labels.iter().filter(|label| label.is_changed()).collect();
        if changed.is_empty() {
            return Ok(());
        }
        let headings = [
            "label",
            "rows",
            "lost",
            "gained",
            "changed",
            "F1 of A",
            "of B",
            "difference",
            "95 % interval",
            "p",
        ];
        let mut table = Table::new(headings, 1);
        table.rows.extend(changed.iter().take(SHOWN_LABELS).map(|label| label.cells()));
        write!(f, "\n{table}")?;
        match changed.len().saturating_sub(SHOWN_LABELS) {
            0 => Ok(()),
            1 => writeln!(f, "and 1 more label"),
            more => writeln!(f, "and {more} more labels"),
        }
    }

    fn write_examples(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = [
            ("lost", "A right, B wrong", self.lost_rows, &self.lost),
            ("gained", "A wrong, B right", self.gained_rows, &self.gained),
            ("changed", "both wrong, each in its own way", self.changed_rows, &self.changed),
        ];
        for (kind, meaning, count, examples) in kinds {
            if examples.is_empty() {
                continue;
            }
            let shown = examples.len().min(SHOWN_EXAMPLES);
            let surest =
                if count > shown { format!(", the {shown} that B was surest of") } else { String::new() };
            let mut table = Table::new(["id", "gold", "A", "B", "confidence of B"], 4);
            table.rows.extend(examples.iter().take(SHOWN_EXAMPLES).map(Example::cells));
            write!(f, "\n{} {kind} ({meaning}){surest}:\n{table}", rows(count))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::compare;
    use super::super::tests::{model, multi_label_model};
    use super::*;

    fn sentence(comparison: &Comparison) -> String {
        comparison.to_string().lines().next().unwrap().to_owned()
    }

    #[test]
    fn people_read_a_sentence_then_figures_labels_and_rows() {
        let (a, b) = (model("9f2c", |place| place % 4 > 0), model("a0b1", |place| place % 11 > 0));
        insta::assert_snapshot!(compare(&a, &b, 500, 42).unwrap().to_string(), @"
        B is better: accuracy +0.160 (95 % interval +0.120 to +0.195, p 0.004); it gains 45 rows and loses 13

           model    revision  by     taxonomy  directory
        A  default  9f2c      model  3         7
        B  default  a0b1      model  3         7

        head category, 200 rows, 500 resamples with the seed 42

        figure                          better      A      B  difference     95 % interval      p
        accuracy                        B       0.650  0.810      +0.160  +0.120 to +0.195  0.004
        macro F1                        B       0.505  0.686      +0.181  +0.146 to +0.213  0.004
        weighted F1                     B       0.550  0.768      +0.218  +0.179 to +0.253  0.004
        Matthews correlation            B       0.599  0.761      +0.162  +0.107 to +0.209  0.004
        top-3 accuracy                  A       0.900  0.855      -0.045  -0.073 to -0.020  0.004
        log loss                        B       4.461  4.181      -0.281  -0.360 to -0.191  0.004
        Brier score                     B       0.588  0.420      -0.168  -0.213 to -0.115  0.004
        expected calibration error              0.129  0.186      +0.057  -0.013 to +0.114  0.096
        adaptive calibration error              0.129  0.188      +0.059  -0.015 to +0.108  0.144
        area under risk-coverage curve  B       0.356  0.215      -0.141  -0.222 to -0.063  0.004
        coverage at precision 90 %              0.000  0.000       0.000  -0.048 to +0.210  1.000
        coverage at precision 95 %              0.000  0.000       0.000  -0.035 to +0.095  1.000
        coverage at precision 98 %              0.000  0.000       0.000  -0.035 to +0.055  1.000

        p-values are not corrected for the number of figures and labels: some are small by chance
        McNemar's test: p <0.001 (chi-square); A alone has 13 rows right, B alone 45

        label  rows  lost  gained  changed  F1 of A   of B  difference     95 % interval      p
        物业     50     5       0        0    0.909  0.826      -0.083  -0.139 to -0.040  0.004
        噪声     40     4       0        0    0.615  0.889      +0.274  +0.197 to +0.335  0.004
        路灯     40     4       0        0    1.000  0.889      -0.111  -0.176 to -0.049  0.004
        供暖     50     0      45        0    0.000  0.826      +0.826  +0.766 to +0.887  0.004

        13 rows lost (A right, B wrong), the 5 that B was surest of:
        id    gold  A     B     confidence of B
        r198  物业  物业  路灯            0.895
        r187  路灯  路灯  供暖            0.868
        r165  噪声  噪声  物业            0.812
        r154  物业  物业  路灯            0.785
        r143  路灯  路灯  供暖            0.757

        45 rows gained (A wrong, B right), the 5 that B was surest of:
        id    gold  A     B     confidence of B
        r196  供暖  噪声  供暖            0.890
        r192  供暖  噪声  供暖            0.880
        r188  供暖  噪声  供暖            0.870
        r184  供暖  噪声  供暖            0.860
        r180  供暖  噪声  供暖            0.850
        ");
    }

    #[test]
    fn people_read_of_heads_with_several_labels() {
        let (a, b) = (
            multi_label_model("9f2c", |place| place % 4 > 0),
            multi_label_model("a0b1", |place| place % 7 > 2),
        );
        insta::assert_snapshot!(compare(&a, &b, 500, 42).unwrap().to_string(), @"
        B is worse: exact match -0.200 (95 % interval -0.367 to -0.033, p 0.024); it gains 8 rows and loses 20

           model    revision  by     taxonomy  directory
        A  default  9f2c      model  3         7
        B  default  a0b1      model  3         7

        head category, 60 rows, 500 resamples with the seed 42

        figure                  better      A      B  difference     95 % interval      p
        exact match             A       0.750  0.550      -0.200  -0.367 to -0.033  0.024
        micro F1                A       0.750  0.550      -0.200  -0.371 to -0.029  0.032
        macro F1                A       0.643  0.532      -0.111  -0.228 to -0.005  0.048
        mean average precision  A       0.833  0.700      -0.133  -0.256 to -0.005  0.056

        p-values are not corrected for the number of figures and labels: some are small by chance
        McNemar's test: p 0.038 (chi-square); A alone has 20 rows right, B alone 8

        label  rows  lost  gained  changed  F1 of A   of B  difference     95 % interval      p
        噪声     20     7       3        0    0.857  0.710      -0.147  -0.376 to +0.042  0.275
        物业     20     6       2        0    0.857  0.710      -0.147  -0.370 to +0.036  0.184
        路灯     20     6       2        0    0.857  0.710      -0.147  -0.370 to +0.036  0.184

        20 rows lost (A right, B wrong), the 5 that B was surest of:
        id  gold        A           B     confidence of B
        1   噪声        噪声        供暖            0.800
        2   物业, 路灯  物业, 路灯  供暖            0.800
        7   噪声        噪声        供暖            0.800
        9   -           -           供暖            0.800
        14  物业, 路灯  物业, 路灯  供暖            0.800

        8 rows gained (A wrong, B right), the 5 that B was surest of:
        id  gold        A     B           confidence of B
        4   噪声        供暖  噪声                  0.800
        12  -           供暖  -                     0.800
        20  物业, 路灯  供暖  物业, 路灯            0.800
        24  -           供暖  -                     0.800
        32  物业, 路灯  供暖  物业, 路灯            0.800
        ");
    }

    #[test]
    fn a_sentence_says_which_is_better() {
        let told = |a: usize, b: usize, resamples| {
            let (a, b) = (model("1", |place| place >= a), model("2", |place| place >= b));
            sentence(&compare(&a, &b, resamples, 42).unwrap())
        };
        insta::assert_snapshot!(told(60, 20, 500), @"B is better: accuracy +0.180 (95 % interval +0.130 to +0.240, p 0.004); it gains 36 rows and loses 0");
        insta::assert_snapshot!(told(20, 60, 500), @"B is worse: accuracy -0.180 (95 % interval -0.240 to -0.130, p 0.004); it gains 0 rows and loses 36");
        insta::assert_snapshot!(told(20, 21, 500), @"no difference beyond chance: accuracy -0.005 (95 % interval -0.015 to 0.000, p 0.723); B gains 0 rows and loses 1");
        insta::assert_snapshot!(told(20, 20, 500), @"no difference beyond chance: accuracy 0.000 (95 % interval 0.000 to 0.000, p 1.000); B gains 0 rows and loses 0");
        insta::assert_snapshot!(told(20, 60, 0), @"no verdict: accuracy -0.180 (without an interval, for it was not resampled); B gains 0 rows and loses 36");
    }

    #[test]
    fn without_rows_there_is_no_verdict() {
        let none = model("1", |_| true);
        let none = crate::eval::predictions::Predictions::new(none.header().clone(), vec![]).unwrap();
        let comparison = compare(&none, &none, 20, 1).unwrap();
        assert_eq!(sentence(&comparison), "no verdict: there are no rows");
        assert!(!comparison.to_string().contains("NaN"), "{comparison}");
    }

    #[test]
    fn few_rows_that_differ_ask_for_caution() {
        // Five rows of one label, all better: no resample without one of them is likely, and yet five are few.
        let (a, b) = (model("1", |place| place >= 20 || place % 4 > 0), model("2", |_| true));
        let told = compare(&a, &b, 500, 42).unwrap().to_string();
        let first: Vec<_> = told.lines().take(2).collect();
        insta::assert_snapshot!(first.join("\n"), @"
        B is better: accuracy +0.025 (95 % interval +0.005 to +0.050, p 0.016); it gains 5 rows and loses 0
        caution: McNemar's test (p 0.062) does not exclude chance
        ");
        assert!(told.contains("McNemar's test: p 0.062 (exact); A alone has 0 rows right, B alone 5\n"));
    }

    #[test]
    fn many_labels_are_cut() {
        let mut comparison = compare(&model("1", |_| true), &model("2", |_| false), 20, 1).unwrap();
        let label = comparison.labels[0].clone();
        comparison.labels = vec![label.clone(); 16];
        assert!(comparison.to_string().contains("\nand 1 more label\n"));
        comparison.labels.push(label);
        assert!(comparison.to_string().contains("\nand 2 more labels\n"));
    }
}
