//! The text of a sheet's cell: numbers in full, dates and times as in ISO 8601.

use calamine::{DataRef, ExcelDateTime};

/// The last day that a date can be, 9999-12-31, as a serial number; what is later was never meant as a date.
const MAX_DATE: f64 = 2_958_466.0;

const DAY_SECONDS: f64 = 86_400.0;

/// What a cell that is not empty holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// A text, or a value written as one.
    Text(String),
    /// The error that a formula has come to, such as `#N/A`.
    Error(String),
    /// Something that is no value.
    Unreadable,
}

impl Content {
    /// The content of a cell, unless it is empty.
    pub(super) fn of(value: &DataRef<'_>) -> Option<Self> {
        let text = match value {
            DataRef::Int(number) => number.to_string(),
            DataRef::Float(number) => number_text(*number),
            DataRef::String(text) => text.clone(),
            DataRef::SharedString(text) => (*text).to_owned(),
            DataRef::Bool(truth) => if *truth { "TRUE" } else { "FALSE" }.to_owned(),
            DataRef::DateTime(time) => time_text(*time),
            DataRef::DateTimeIso(time) => iso_text(time),
            DataRef::DurationIso(duration) => duration.clone(),
            DataRef::Error(error) => return Some(Self::Error(error.to_string())),
            DataRef::Empty => return None,
        };
        Some(Self::Text(text)).filter(|content| *content != Self::Text(String::new()))
    }

    /// The text that stands in the cell.
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Error(text) => text,
            Self::Unreadable => "",
        }
    }
}

/// The name of a cell such as `C7`; both numbers are counted from 0.
pub(super) fn cell_name(row: u64, column: usize) -> String {
    let mut letters = Vec::new();
    let mut rest = column + 1;
    while rest > 0 {
        letters.push(char::from(b'A' + ((rest - 1) % 26) as u8));
        rest = (rest - 1) / 26;
    }
    format!("{}{}", letters.iter().rev().collect::<String>(), row + 1)
}

/// A number with the fewest digits that tell it from others, and never with an exponent.
fn number_text(number: f64) -> String {
    // There is no minus zero in a sheet.
    if number == 0.0 { "0".to_owned() } else { number.to_string() }
}

fn time_text(time: ExcelDateTime) -> String {
    let days = time.as_f64();
    if time.is_duration() {
        return duration_text(days);
    }
    if !(0.0..MAX_DATE).contains(&days) {
        return number_text(days);
    }
    let (year, month, day, hour, minute, second, milli) = time.to_ymd_hms_milli();
    let date = format!("{year:04}-{month:02}-{day:02}");
    let fraction = if milli > 0 { format!(".{milli:03}") } else { String::new() };
    let clock = format!("{hour:02}:{minute:02}:{second:02}{fraction}");
    match (days < 1.0, clock.as_str()) {
        // A time of the day without a date.
        (true, _) => clock,
        (false, "00:00:00") => date,
        (false, _) => format!("{date} {clock}"),
    }
}

/// Hours, minutes and seconds; there may be more than 24 hours.
fn duration_text(days: f64) -> String {
    let seconds = (days.abs() * DAY_SECONDS).round();
    if seconds > i64::MAX as f64 {
        return number_text(days);
    }
    let seconds = seconds as i64;
    let sign = if days < 0.0 && seconds > 0 { "-" } else { "" };
    format!("{sign}{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// A date written as ISO 8601 in the form of the others.
fn iso_text(time: &str) -> String {
    let (date, clock) = time.split_once('T').unwrap_or((time, ""));
    let clock = clock.strip_suffix('Z').unwrap_or(clock);
    let clock = clock
        .split_once('.')
        .filter(|(_, rest)| rest.bytes().all(|digit| digit == b'0'))
        .map_or(clock, |(whole, _)| whole);
    match clock {
        "" | "00:00:00" => date.to_owned(),
        _ if date.is_empty() => clock.to_owned(),
        _ => format!("{date} {clock}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use calamine::{CellErrorType, ExcelDateTimeType};

    fn text(value: &DataRef<'_>) -> String {
        Content::of(value).map(|content| content.text().to_owned()).unwrap_or_default()
    }

    fn time(days: f64, kind: ExcelDateTimeType) -> String {
        text(&DataRef::DateTime(ExcelDateTime::new(days, kind, false)))
    }

    #[test]
    fn numbers_keep_their_digits() {
        let expected = [
            (250_331_144_260_109.0, "250331144260109"),
            (1e18, "1000000000000000000"),
            (0.1, "0.1"),
            (1e-7, "0.0000001"),
            (-0.0, "0"),
            (3.0, "3"),
        ];
        for (number, expected) in expected {
            assert_eq!(text(&DataRef::Float(number)), expected);
        }
    }

    #[test]
    fn dates_and_times_are_those_of_the_sheet() {
        let date = |days| time(days, ExcelDateTimeType::DateTime);
        assert_eq!(date(46352.0), "2026-11-26");
        assert_eq!(date(46_352.354_166_666_664), "2026-11-26 08:30:00");
        assert_eq!(date(0.354_166_666_666_667), "08:30:00");
        assert_eq!(date(250_331_144_260_109.0), "250331144260109", "no date");
        assert_eq!(date(-1.5), "-1.5", "no date");
        let duration = |days| time(days, ExcelDateTimeType::TimeDelta);
        assert_eq!((duration(1.5), duration(-0.25)), ("36:00:00".into(), "-06:00:00".into()));
        let iso = |time: &str| text(&DataRef::DateTimeIso(time.into()));
        assert_eq!(iso("2026-11-26T00:00:00.000"), "2026-11-26");
        assert_eq!(iso("2026-11-26T08:30:00Z"), "2026-11-26 08:30:00");
    }

    #[test]
    fn other_values_are_written_as_a_sheet_shows_them() {
        assert_eq!(text(&DataRef::Bool(true)), "TRUE");
        assert_eq!(Content::of(&DataRef::Error(CellErrorType::NA)), Some(Content::Error("#N/A".into())));
        assert_eq!(Content::of(&DataRef::SharedString("")), None);
        assert_eq!(Content::of(&DataRef::Empty), None);
    }

    #[test]
    fn cells_are_named_as_in_a_sheet() {
        let names =
            [(6, 2), (0, 25), (0, 26), (1, 701), (1, 702)].map(|(row, column)| cell_name(row, column));
        assert_eq!(names, ["C7", "Z1", "AA1", "ZZ2", "AAA2"]);
    }
}
