//! Reads a gate's file, and tells all that is wrong with it at once, each fault with its line and what to do.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::reader::{Reader, Value, kind};
use super::{Bound, End, Gate, GateError, Limit, Slice};
use crate::fault::{self, Fault, Faults, FileError, closest};

/// The keys of a bound.
const KEYS: [&str; 7] = ["figure", "label", "slice", "at_least", "at_most", "of", "min_rows"];
/// Figures without an upper end. All others lie between 0 and 1, save some whose worst values lie outside; to bound those
/// there would ask for nothing.
const UNLIMITED: [&str; 5] = [
    "log_loss",
    "conformal_set_size_90",
    "conformal_set_size_95",
    "class_conditional_set_size_90",
    "class_conditional_set_size_95",
];

impl Gate {
    /// Reads the gate in the file at `path`.
    ///
    /// # Errors
    /// If the file cannot be read or does not hold together; all faults at once.
    pub fn load(path: &Path) -> Result<Self, FileError> {
        fault::load(path, |file, text| Self::from_toml(text, file))
    }

    /// Reads a gate from `text`; faults name the file `path`.
    ///
    /// # Errors
    /// If the text does not hold together: it has no bounds, a bound is incomplete, out of range, always kept or given
    /// twice, or a key is unknown; all faults at once. Errors of syntax come first, by themselves.
    pub fn from_toml(text: &str, path: &str) -> Result<Self, GateError> {
        let mut reader = Reader { text, faults: Vec::new() };
        let (root, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            let hint = if error.message().contains("unquoted key") {
                "; a Chinese key stands in quotes"
            } else {
                ""
            };
            reader.fault(error.span().unwrap_or_default(), format!("{}{hint}", error.message()));
        }
        let bounds = if errors.is_empty() { reader.bounds(root.get_ref()) } else { Vec::new() };
        let mut faults = reader.faults;
        if faults.is_empty() {
            return Ok(Self { file: path.to_owned(), bounds });
        }
        faults.sort_by_key(|fault| fault.line);
        Err(Faults { file: path.to_owned(), faults })
    }
}

impl Reader<'_> {
    fn bounds(&mut self, root: &DeTable<'_>) -> Vec<Bound> {
        self.known_keys(root, &["bound"]);
        let bounds = match root.get("bound").map(|bounds| (bounds.span(), bounds.get_ref())) {
            Some((_, DeValue::Array(bounds))) if !bounds.is_empty() => bounds,
            Some((span, other)) if !other.is_array() => {
                let message = format!("`bound` is {}; write `[[bound]]` above the keys of each", kind(other));
                self.fault(span, message);
                return Vec::new();
            }
            // Where another key was unknown, the bounds most likely stand under it.
            Some(_) | None if self.faults.is_empty() => {
                self.fault(0..0, "there is no bound, so that any model would pass; write a `[[bound]]`");
                return Vec::new();
            }
            Some(_) | None => return Vec::new(),
        };
        let mut read = Vec::new();
        for bound in bounds {
            if let Some(table) = bound.get_ref().as_table() {
                read.extend(self.bound(table, &bound.span()));
            } else {
                self.fault(bound.span(), format!("a bound is a table, not {}", kind(bound.get_ref())));
            }
        }
        self.refuse_duplicates(&read);
        read
    }

    /// Reads a bound; none if something is wrong with it.
    fn bound(&mut self, table: &DeTable<'_>, span: &Range<usize>) -> Option<Bound> {
        let faults = self.faults.len();
        self.known_keys(table, &KEYS);
        let text = |reader: &mut Self, key| table.get(key).and_then(|value| reader.word(key, value));
        let figure = text(self, "figure");
        let label = text(self, "label");
        let slice = table.get("slice").and_then(|slice| self.slice(slice));
        let limit = self.limit(table, figure.as_deref(), span);
        let of = limit.and_then(|limit| self.end(table.get("of"), limit));
        let min_rows = table.get("min_rows").and_then(|rows| self.count("min_rows", rows));
        if !table.contains_key("figure") {
            self.fault(span.clone(), "`figure` is missing; write the id of a figure, such as \"accuracy\"");
        }
        if self.faults.len() > faults {
            return None;
        }
        Some(Bound { line: self.line(span), figure: figure?, label, slice, limit: limit?, of: of?, min_rows })
    }

    fn limit(&mut self, table: &DeTable<'_>, figure: Option<&str>, span: &Range<usize>) -> Option<Limit> {
        match (table.get("at_least"), table.get("at_most")) {
            (Some(least), None) => {
                let number = self.number("at_least", least, 1.0)?;
                if number == 0.0 {
                    self.fault(least.span(), "`at_least` is 0, which any model reaches; raise it");
                }
                Some(Limit::AtLeast(number))
            }
            (None, Some(most)) => {
                let unlimited = figure.is_some_and(|figure| UNLIMITED.contains(&figure));
                let number = self.number("at_most", most, if unlimited { f64::MAX } else { 1.0 })?;
                if !unlimited && number >= 1.0 {
                    self.fault(most.span(), "`at_most` is 1, which no model exceeds; lower it");
                }
                Some(Limit::AtMost(number))
            }
            (Some(_), Some(most)) => {
                let message = "`at_least` and `at_most` exclude each other; keep `at_least` where more is better, \
                               `at_most` where less is";
                self.fault(most.span(), message);
                None
            }
            (None, None) => {
                let message = "neither `at_least` nor `at_most` is given; write `at_least` where more is better, \
                               `at_most` where less is";
                self.fault(span.clone(), message);
                None
            }
        }
    }

    fn end(&mut self, of: Option<Value<'_, '_>>, limit: Limit) -> Option<End> {
        let (worse, end) = match limit {
            Limit::AtLeast(_) => ("low", End::Low),
            Limit::AtMost(_) => ("high", End::High),
        };
        let Some(of) = of else { return Some(end) };
        match self.word("of", of)?.as_str() {
            "value" => return Some(End::Value),
            word if word == worse => return Some(end),
            word @ ("low" | "high") => {
                let message = format!("`{word}` is the better end here; write `{worse}`, or `value`");
                self.fault(of.span(), message);
            }
            word => {
                let meant = closest(word, [worse, "value"].into_iter());
                let message =
                    format!("`of` is `{word}`, which is neither `{worse}` (the default) nor `value`{meant}");
                self.fault(of.span(), message);
            }
        }
        None
    }

    fn slice(&mut self, slice: Value<'_, '_>) -> Option<Slice> {
        let columns = slice.get_ref().as_table().map(|columns| columns.iter().collect::<Vec<_>>());
        let Some(&[(column, value)]) = columns.as_deref() else {
            let message = "`slice` names one column and its value, such as { district = \"东城区\" }";
            self.fault(slice.span(), message);
            return None;
        };
        let column = column.get_ref().clone().into_owned();
        let value = self.word(&column, value)?;
        Some(Slice { column, value })
    }

    fn refuse_duplicates(&mut self, bounds: &[Bound]) {
        let mut first = HashMap::new();
        for (place, bound) in bounds.iter().enumerate() {
            let side = matches!(bound.limit, Limit::AtLeast(_));
            let slice = bound.slice.as_ref().map(|slice| (&slice.column, &slice.value));
            let (earlier, line) = *first
                .entry((&bound.figure, &bound.label, slice, side, bound.of == End::Value))
                .or_insert((place, bound.line));
            if earlier != place {
                let message = format!("this bound is given on line {line} already; remove one of them");
                self.faults.push(Fault { line: bound.line, message });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<(usize, String)> {
        let refused = Gate::from_toml(text, "gate.toml").unwrap_err();
        refused.faults.into_iter().map(|fault| (fault.line, fault.message)).collect()
    }

    /// Expects one fault of a bound on the accuracy, on the line of `wrong`.
    #[track_caller]
    fn assert_refused(wrong: &str, message: &str) {
        let text = format!("[[bound]]\nfigure = 'accuracy'\n{wrong}\n");
        assert_eq!(faults(&text), [(3, message.to_owned())]);
    }

    #[test]
    fn every_key_is_read() {
        let text = "
            [[bound]]
            figure = 'recall'
            label = 'social_risk'
            slice = { district = '东城区' }
            at_least = 0.8
            of = 'value'
            min_rows = 30

            [[bound]]
            figure = 'log_loss'
            at_most = 2
        ";
        let gate = Gate::from_toml(text, "gate.toml").unwrap();
        let recall = Bound {
            line: 2,
            figure: "recall".into(),
            label: Some("social_risk".into()),
            slice: Some(Slice { column: "district".into(), value: "东城区".into() }),
            limit: Limit::AtLeast(0.8),
            of: End::Value,
            min_rows: Some(30),
        };
        let log_loss = Bound {
            line: 10,
            figure: "log_loss".into(),
            label: None,
            slice: None,
            limit: Limit::AtMost(2.0),
            of: End::High,
            min_rows: None,
        };
        assert_eq!(gate.bounds(), [recall, log_loss]);
    }

    #[test]
    fn the_example_of_the_docs_is_read() {
        let docs = include_str!("mod.rs").lines().map_while(|line| line.strip_prefix("//!"));
        let example = docs.skip_while(|line| *line != " ```toml").skip(1).take_while(|line| *line != " ```");
        let gate = Gate::from_toml(&example.collect::<Vec<_>>().join("\n"), "docs").unwrap();
        assert_eq!(gate.bounds().len(), 4);
    }

    #[test]
    fn the_worse_end_is_the_default_and_may_be_written() {
        let of = |bound: &str| {
            Gate::from_toml(&format!("[[bound]]\nfigure = 'f'\n{bound}"), "").unwrap().bounds[0].of
        };
        assert_eq!(of("at_least = 0.5"), End::Low);
        assert_eq!(of("at_least = 0.5\nof = 'low'"), End::Low);
        assert_eq!(of("at_most = 0.5"), End::High);
        assert_eq!(of("at_most = 0.5\nof = 'high'"), End::High);
    }

    #[test]
    fn all_faults_are_told_at_once_with_file_and_line() {
        let text = "\
[[bound]]
figure = 7
at_least = 82
minrows = 30

[[bound]]
at_most = 0.05
of = 'low'

[[bonud]]
";
        assert_eq!(
            Gate::from_toml(text, "gate.toml").unwrap_err().to_string(),
            "\
gate.toml:2: `figure` is a number; write it in quotes
gate.toml:3: `at_least` is not between 0 and 1; write 82 % as 0.82
gate.toml:4: unknown key `minrows`; is `min_rows` meant?
gate.toml:6: `figure` is missing; write the id of a figure, such as \"accuracy\"
gate.toml:8: `low` is the better end here; write `high`, or `value`
gate.toml:10: unknown key `bonud`; is `bound` meant?"
        );
    }

    #[test]
    fn a_gate_without_bounds_is_refused() {
        let none = "there is no bound, so that any model would pass; write a `[[bound]]`";
        for text in ["", "# nothing yet\n", "bound = []"] {
            assert_eq!(faults(text), [(1, none.to_owned())]);
        }
        assert_eq!(
            faults("\n[[bounds]]\nfigure = 'accuracy'"),
            [(2, "unknown key `bounds`; is `bound` meant?".to_owned())]
        );
        assert_eq!(
            faults("\n[bound]\nfigure = 'accuracy'"),
            [(2, "`bound` is a table; write `[[bound]]` above the keys of each".to_owned())]
        );
        assert_eq!(faults("bound = [1]"), [(1, "a bound is a table, not a number".to_owned())]);
    }

    #[test]
    fn syntax_errors_are_told_with_their_lines() {
        let faults = faults("[[bound]]\nfigure = accuracy\nat_least = \n");
        assert_eq!(faults.iter().map(|fault| fault.0).collect::<Vec<_>>(), [2, 3], "{faults:?}");
    }

    #[test]
    fn numbers_that_are_no_bounds_are_refused() {
        for word in ["nan", "inf", "-0.1", "101", "1e999", "0x1_000"] {
            assert_refused(
                &format!("at_least = {word}"),
                "`at_least` is not a number between 0 and 1; correct it",
            );
        }
        assert_refused("at_most = 5.5", "`at_most` is not between 0 and 1; write 5.5 % as 0.055");
        assert_refused(
            "at_least = '82 %'",
            "`at_least` is a text; write a number between 0 and 1, such as 0.82",
        );
        assert_refused("at_least = 0", "`at_least` is 0, which any model reaches; raise it");
        assert_refused("at_most = 1.0", "`at_most` is 1, which no model exceeds; lower it");
        let log_loss = faults("[[bound]]\nfigure = 'log_loss'\nat_most = -1");
        assert_eq!(log_loss, [(3, "`at_most` is not a number from 0 upwards; correct it".to_owned())]);
    }

    #[test]
    fn a_bound_has_one_side() {
        let bound = "[[bound]]\nfigure = 'accuracy'\n";
        let both = "`at_least` and `at_most` exclude each other; keep `at_least` where more is better, \
                    `at_most` where less is";
        assert_eq!(faults(&format!("{bound}at_least = 0.8\nat_most = 0.9")), [(4, both.to_owned())]);
        let neither = "neither `at_least` nor `at_most` is given; write `at_least` where more is better, \
                       `at_most` where less is";
        assert_eq!(faults(bound), [(1, neither.to_owned())]);
    }

    #[test]
    fn ends_are_words() {
        assert_refused(
            "of = 'high'\nat_least = 0.8",
            "`high` is the better end here; write `low`, or `value`",
        );
        assert_refused(
            "of = 'vlaue'\nat_least = 0.8",
            "`of` is `vlaue`, which is neither `low` (the default) nor `value`; is `value` meant?",
        );
        assert_refused("of = true\nat_least = 0.8", "`of` is true or false; write it in quotes");
    }

    #[test]
    fn a_slice_is_one_column_and_its_value() {
        let message = "`slice` names one column and its value, such as { district = \"东城区\" }";
        for slice in ["{}", "{a = 'x', b = 'y'}", "'东城区'", "[]"] {
            assert_refused(&format!("slice = {slice}\nat_least = 0.8"), message);
        }
        assert_refused("slice = {year = 2024}\nat_least = 0.8", "`year` is a number; write it in quotes");
        assert_refused("slice = {year = ' '}\nat_least = 0.8", "`year` is empty; write it or remove it");
    }

    #[test]
    fn min_rows_is_a_whole_number() {
        for rows in ["0", "-1", "30.0", "'30'"] {
            assert_refused(
                &format!("min_rows = {rows}\nat_least = 0.8"),
                "`min_rows` is not a whole number from 1 upwards; correct it",
            );
        }
    }

    #[test]
    fn unknown_keys_that_nothing_is_like_are_told_what_there_is() {
        assert_refused(
            "xyz = 1\nat_least = 0.8",
            "unknown key `xyz`; remove it, or write one of \
             `figure`, `label`, `slice`, `at_least`, `at_most`, `of`, `min_rows`",
        );
    }

    #[test]
    fn a_bound_given_twice_is_refused() {
        let text = "
            [[bound]]
            figure = 'f1'
            at_least = 0.8
            [[bound]]
            figure = 'f1'
            at_least = 0.9
            [[bound]]
            figure = 'f1'
            at_least = 0.9
            of = 'value'
            [[bound]]
            figure = 'f1'
            label = 'noise'
            at_least = 0.9
        ";
        let message = "this bound is given on line 2 already; remove one of them";
        assert_eq!(faults(text), [(5, message.to_owned())]);
        let bound = "{figure = 'f', at_most = 0.1}";
        let message = "this bound is given on line 1 already; remove one of them";
        assert_eq!(faults(&format!("bound = [{bound}, {bound}]")), [(1, message.to_owned())]);
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = Gate::load(Path::new("/nowhere/gate.toml")).unwrap_err();
        assert!(error.to_string().starts_with("cannot read `/nowhere/gate.toml`: "), "{error}");
    }
}
