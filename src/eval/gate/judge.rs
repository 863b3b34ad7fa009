//! Holds a figure against its bound.

use super::{Bound, End, Figures, Found, Limit, Missing, Outcome};

/// With fewer rows than this an interval says nothing: that of ten rows that are all right has no width.
const MIN_INTERVAL_ROWS: usize = 30;

impl Bound {
    /// The figure that the bound is on, if there is one, and what came of it.
    pub(super) fn judge(&self, figures: &dyn Figures) -> (Option<Found>, Outcome) {
        let slice = self.slice.as_ref().map(|slice| (slice.column.as_str(), slice.value.as_str()));
        match figures.figure(&self.figure, self.label.as_deref(), slice) {
            Ok(found) => (Some(found), self.compare(found)),
            // A value that no row has is one with too few rows.
            Err(Missing::Slice { .. }) if self.min_rows.is_some() => (None, Outcome::TooFewRows),
            Err(missing) => (None, Outcome::CannotJudge { reason: missing.told(self) }),
        }
    }

    fn compare(&self, found: Found) -> Outcome {
        let cannot = |reason| Outcome::CannotJudge { reason };
        let figure = &self.figure;
        let seen = found.end(self.of);
        match (self.limit, found.higher_is_better) {
            (Limit::AtLeast(_), false) => {
                return cannot(format!("less of `{figure}` is better; write `at_most` for `at_least`"));
            }
            (Limit::AtMost(_), true) => {
                return cannot(format!("more of `{figure}` is better; write `at_least` for `at_most`"));
            }
            (Limit::AtLeast(_), true) | (Limit::AtMost(_), false) => {}
        }
        match self.min_rows {
            Some(min_rows) if found.rows < min_rows => return Outcome::TooFewRows,
            None if found.rows == 0 => {
                return cannot(format!(
                    "`{figure}` has no rows here; evaluate on more of them, or set `min_rows`"
                ));
            }
            None if self.of != End::Value && found.rows < MIN_INTERVAL_ROWS => {
                return cannot(format!(
                    "`{figure}` has {} rows here, too few for an interval; evaluate on more of them, set `min_rows`, or \
                     write `of = \"value\"`",
                    found.rows
                ));
            }
            Some(_) | None => {}
        }
        if seen.is_nan() {
            return cannot(if self.of == End::Value || found.value.is_nan() {
                format!("`{figure}` is not a number on these rows; remove the bound, or evaluate on others")
            } else {
                format!("`{figure}` has no interval here; write `of = \"value\"`")
            });
        }
        match self.limit.missed_by(seen) {
            by if by > 0.0 => Outcome::Missed { by },
            _ => Outcome::Met,
        }
    }
}

impl Limit {
    /// How far a number is on the wrong side; not above 0 if it is on the right one.
    fn missed_by(self, seen: f64) -> f64 {
        match self {
            Self::AtLeast(least) => least - seen,
            Self::AtMost(most) => seen - most,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Gate;
    use super::*;

    /// Figures with intervals that reach 0.02 to each side.
    struct Few;

    impl Figures for Few {
        fn figure(
            &self,
            id: &str,
            label: Option<&str>,
            slice: Option<(&str, &str)>,
        ) -> Result<Found, Missing> {
            let known = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
            let (value, higher_is_better) = match (id, label) {
                ("accuracy", None) => (0.84, true),
                ("recall", Some("social_risk")) => (0.75, true),
                ("recall", None) => return Err(Missing::NeedsLabel { known: known(&["social_risk"]) }),
                ("recall", Some(_)) => return Err(Missing::Label { known: known(&["social_risk"]) }),
                ("accuracy", Some(_)) => return Err(Missing::NotOfLabels),
                ("expected_calibration_error", None) => (0.04, false),
                ("roc_auc", None) => (f64::NAN, true),
                _ => return Err(Missing::Figure { known: known(&["accuracy", "recall"]) }),
            };
            let rows = match slice {
                None => 500,
                Some(("district", "东城区")) => 29,
                Some(("district", "西城区")) => 0,
                Some(("district", _)) => {
                    return Err(Missing::Slice { known: known(&["东城区", "西城区"]) });
                }
                Some(_) => return Err(Missing::Column { known: known(&["district"]) }),
            };
            let margin = if rows == 29 { f64::NAN } else { 0.02 };
            Ok(Found { value, low: value - margin, high: value + margin, rows, higher_is_better })
        }
    }

    fn outcome(bound: &str) -> Outcome {
        let gate = Gate::from_toml(&format!("[[bound]]\n{bound}"), "gate.toml").unwrap();
        gate.check(&Few).judgements.remove(0).outcome
    }

    #[track_caller]
    fn assert_missed(bound: &str, expected: f64) {
        let Outcome::Missed { by } = outcome(bound) else { panic!("{bound} gives {:?}", outcome(bound)) };
        assert!((by - expected).abs() < 1e-12, "{by}");
    }

    #[track_caller]
    fn assert_cannot(bound: &str, expected: &str) {
        assert_eq!(outcome(bound), Outcome::CannotJudge { reason: expected.into() });
    }

    #[test]
    fn the_lower_end_is_held_against_what_must_at_least_be() {
        assert_eq!(outcome("figure = 'accuracy'\nat_least = 0.819"), Outcome::Met);
        assert_missed("figure = 'accuracy'\nat_least = 0.83", 0.01);
        assert_eq!(outcome("figure = 'accuracy'\nat_least = 0.84\nof = 'value'"), Outcome::Met);
        assert_missed("figure = 'accuracy'\nat_least = 0.85\nof = 'value'", 0.01);
    }

    #[test]
    fn the_upper_end_is_held_against_what_may_at_most_be() {
        let figure = "figure = 'expected_calibration_error'\n";
        assert_eq!(outcome(&format!("{figure}at_most = 0.0601")), Outcome::Met);
        assert_missed(&format!("{figure}at_most = 0.05"), 0.01);
        assert_eq!(outcome(&format!("{figure}at_most = 0.04\nof = 'value'")), Outcome::Met);
    }

    #[test]
    fn figures_of_a_label_are_judged() {
        assert_missed("figure = 'recall'\nlabel = 'social_risk'\nat_least = 0.8", 0.07);
    }

    #[test]
    fn too_few_rows_are_not_judged() {
        let bound = "figure = 'accuracy'\nslice = {district = '东城区'}\nat_least = 0.9\nof = 'value'\n";
        assert_eq!(outcome(&format!("{bound}min_rows = 30")), Outcome::TooFewRows);
        let nobody = "figure = 'accuracy'\nslice = {district = '海淀区'}\nat_least = 0.8\nmin_rows = 30";
        assert_eq!(outcome(nobody), Outcome::TooFewRows);
        assert_missed(&format!("{bound}min_rows = 29"), 0.06);
        assert_missed(bound, 0.06);
    }

    #[test]
    fn what_does_not_exist_cannot_be_judged() {
        assert_cannot(
            "figure = 'acuracy'\nat_least = 0.8",
            "there is no figure `acuracy`; is `accuracy` meant? There is `accuracy`, `recall`",
        );
        assert_cannot(
            "figure = 'recall'\nlabel = 'fraud'\nat_least = 0.8",
            "there is no label `fraud`; there is `social_risk`",
        );
        assert_cannot(
            "figure = 'recall'\nat_least = 0.8",
            "`recall` is of one label; name it with `label`; there is `social_risk`",
        );
        assert_cannot(
            "figure = 'accuracy'\nlabel = 'fraud'\nat_least = 0.8",
            "`accuracy` is not of one label; remove `label`",
        );
        assert_cannot(
            "figure = 'accuracy'\nslice = {distrct = '东城区'}\nat_least = 0.8",
            "there is no slice by column `distrct`; is `district` meant? There is `district`",
        );
        assert_cannot(
            "figure = 'accuracy'\nslice = {district = '海淀区'}\nat_least = 0.8",
            "there is no row whose `district` is `海淀区`; there is `东城区`, `西城区`",
        );
    }

    #[test]
    fn what_is_not_known_cannot_be_judged() {
        assert_cannot(
            "figure = 'accuracy'\nslice = {district = '西城区'}\nat_least = 0.8",
            "`accuracy` has no rows here; evaluate on more of them, or set `min_rows`",
        );
        assert_cannot(
            "figure = 'accuracy'\nslice = {district = '东城区'}\nat_least = 0.8\nmin_rows = 1",
            "`accuracy` has no interval here; write `of = \"value\"`",
        );
        assert_cannot(
            "figure = 'roc_auc'\nat_least = 0.8",
            "`roc_auc` is not a number on these rows; remove the bound, or evaluate on others",
        );
    }

    #[test]
    fn an_interval_of_a_few_rows_is_not_trusted() {
        assert_cannot(
            "figure = 'accuracy'\nslice = {district = '东城区'}\nat_least = 0.8",
            "`accuracy` has 29 rows here, too few for an interval; evaluate on more of them, set `min_rows`, or write \
             `of = \"value\"`",
        );
    }

    #[test]
    fn a_bound_on_the_wrong_side_cannot_be_judged() {
        assert_cannot(
            "figure = 'expected_calibration_error'\nat_least = 0.05",
            "less of `expected_calibration_error` is better; write `at_most` for `at_least`",
        );
        assert_cannot(
            "figure = 'accuracy'\nat_most = 0.9",
            "more of `accuracy` is better; write `at_least` for `at_most`",
        );
    }
}
