//! How numbers, and the lines of tables, are written for people.

use super::{ComparedFigure, ComparedLabel, Example, System};
use crate::eval::metrics::Difference;
use crate::eval::predictions::Labels;

/// Below this a difference is rounding.
const ROUNDING: f64 = 1e-12;

/// Which of two models has the better figure, by the interval of the difference.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    A,
    B,
    /// The interval holds 0.
    Neither,
    /// There is no interval.
    Unknown,
}

impl System {
    pub(super) fn cells(&self, which: &str) -> [String; 6] {
        let Self { model, model_revision, taxonomy_version, directory_version, channel } = self.clone();
        [which.to_owned(), model, model_revision, channel, taxonomy_version, directory_version]
    }
}

impl ComparedFigure {
    pub(super) fn verdict(&self) -> Verdict {
        let Difference { low: Some(low), high: Some(high), .. } = self.difference else {
            return Verdict::Unknown;
        };
        if low <= ROUNDING && high >= -ROUNDING {
            Verdict::Neither
        } else if (low > 0.0) == self.higher_is_better {
            Verdict::B
        } else {
            Verdict::A
        }
    }

    pub(super) fn cells(&self) -> [String; 7] {
        let better = match self.verdict() {
            Verdict::A => "A",
            Verdict::B => "B",
            Verdict::Neither | Verdict::Unknown => "",
        };
        let [a, b] = [self.a, self.b].map(|value| value.map_or_else(none, |value| format!("{value:.3}")));
        let [difference, interval, p] = self.difference.cells();
        [self.name.to_owned(), better.to_owned(), a, b, difference, interval, p]
    }
}

impl ComparedLabel {
    /// Whether people may notice: a row of the label changed, or it was given to other rows.
    pub(super) fn is_changed(&self) -> bool {
        self.lost + self.gained + self.changed > 0 || (self.f1_a - self.f1_b).abs() > ROUNDING
    }

    pub(super) fn cells(&self) -> [String; 10] {
        let [support, lost, gained, changed] =
            [self.support as usize, self.lost, self.gained, self.changed].map(|count| count.to_string());
        let [a, b] = [self.f1_a, self.f1_b].map(|f1| format!("{f1:.3}"));
        let [difference, interval, p] = self.difference.cells();
        [self.label.clone(), support, lost, gained, changed, a, b, difference, interval, p]
    }
}

impl Example {
    pub(super) fn cells(&self) -> [String; 5] {
        let [gold, a, b] = [&self.gold, &self.a, &self.b].map(labels);
        [self.id.clone(), gold, a, b, format!("{:.3}", self.confidence)]
    }
}

impl Difference {
    pub(super) fn interval(&self) -> Option<String> {
        let (low, high) = self.low.zip(self.high)?;
        Some(format!("{} to {}", signed(low), signed(high)))
    }

    /// The difference, its interval and its p-value.
    pub(super) fn cells(&self) -> [String; 3] {
        let value = self.value.map_or_else(none, signed);
        [value, self.interval().unwrap_or_else(none), p_value(self.p_value)]
    }
}

/// A label, or several with commas between them.
fn labels(labels: &Labels) -> String {
    let told = labels.iter().collect::<Vec<_>>().join(", ");
    if told.is_empty() { none() } else { told }
}

/// Stands where there is nothing.
fn none() -> String {
    "-".to_owned()
}

pub(super) fn rows(count: usize) -> String {
    if count == 1 { "1 row".to_owned() } else { format!("{count} rows") }
}

/// A difference with its sign and three decimals, or with what it takes to be seen.
pub(super) fn signed(difference: f64) -> String {
    match difference.abs() {
        rounding if rounding < ROUNDING => "0.000".to_owned(),
        small if small < 5e-4 => format!("{difference:+.0e}"),
        _ => format!("{difference:+.3}"),
    }
}

pub(super) fn p_value(p: Option<f64>) -> String {
    match p {
        None => none(),
        Some(p) if p < 5e-4 => "<0.001".to_owned(),
        Some(p) => format!("{p:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_is_better_for_a_loss() {
        let difference = Difference { value: Some(-0.2), low: Some(-0.3), high: Some(-0.1), p_value: None };
        let figure = |higher_is_better| {
            let (a, b) = (Some(0.5), Some(0.3));
            ComparedFigure { id: "f", name: "f", higher_is_better, a, b, difference }.cells()[1].clone()
        };
        assert_eq!((figure(false), figure(true)), ("B".to_owned(), "A".to_owned()));
    }

    #[test]
    fn small_numbers_are_not_shown_as_none() {
        assert_eq!(
            [0.02, -0.02, 0.0, -0.0, 4.1e-4, -3e-5].map(signed).join(" "),
            "+0.020 -0.020 0.000 0.000 +4e-4 -3e-5"
        );
        assert_eq!([Some(1e-9), Some(0.0304), None].map(p_value).join(" "), "<0.001 0.030 -");
    }
}
