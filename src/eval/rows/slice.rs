//! By what rows are sliced: the values of a column, the month of a date in it, or the length of the text.

use std::sync::LazyLock;

use regex::Regex;

use crate::message::shortened;
use crate::request::{Field, RequestText};
use crate::table::{Labels, Row};

/// The word behind a column's name that asks for the month of its dates.
const MONTH: &str = ":month";
/// The name that stands for the length of the text, where no column bears it.
const LENGTH: &str = "length";
/// What stands for a value that is missing.
const NONE: &str = "(none)";
/// Most characters of the texts of a slice by length; longer ones are in a last slice.
const LENGTHS: [usize; 5] = [50, 100, 200, 500, 1000];

/// By what rows are sliced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SliceColumn {
    /// The value of a column; of a list each of its values.
    Value(String),
    /// The month of the date in a column.
    Month(String),
    /// How many characters title and text have.
    Length,
}

impl SliceColumn {
    /// What a name asks for, in a file with these columns: `district`, `来电时间:month`, `length`.
    pub fn new(name: &str, columns: &[String]) -> Self {
        let is_column = columns.iter().any(|column| column == name);
        match name.strip_suffix(MONTH) {
            _ if is_column => Self::Value(name.to_owned()),
            Some(column) => Self::Month(column.to_owned()),
            None if name == LENGTH => Self::Length,
            None => Self::Value(name.to_owned()),
        }
    }

    /// The column of the file that it looks at.
    pub fn column(&self) -> Option<&str> {
        match self {
            Self::Value(column) | Self::Month(column) => Some(column),
            Self::Length => None,
        }
    }

    /// What a row has, at least one value.
    pub(super) fn values(&self, row: &Row, text: &RequestText) -> Result<Vec<String>, String> {
        Ok(match self {
            Self::Value(column) => match row.labels(column, false)?.map(Labels::into_list) {
                Some(values) if !values.is_empty() => values.iter().map(|value| shortened(value)).collect(),
                Some(_) | None => vec![NONE.to_owned()],
            },
            Self::Month(column) => {
                vec![row.value(column)?.and_then(|date| month(&date)).unwrap_or_else(|| NONE.to_owned())]
            }
            Self::Length => vec![length(text)],
        })
    }
}

/// The month of a date as `2024-05`.
fn month(date: &str) -> Option<String> {
    static DATE: LazyLock<Regex> = LazyLock::new(|| {
        let date = Regex::new(r"^\s*((?:19|20)\d\d)(?:\s*[-/.年]\s*(\d{1,2})|(\d\d)\d\d)(?:\D|$)");
        date.expect("the pattern is well-formed")
    });
    let found = DATE.captures(date)?;
    let month: u8 = found.get(2).or_else(|| found.get(3))?.as_str().parse().ok()?;
    (1..=12).contains(&month).then(|| format!("{}-{month:02}", &found[1]))
}

/// The range that the length of a text is in, as `101–200`.
fn length(text: &RequestText) -> String {
    let chars: usize =
        [Field::Title, Field::Text].map(|field| text.original(field).chars().count()).iter().sum();
    let mut least = 1;
    for most in LENGTHS {
        if chars <= most {
            return format!("{least}–{most}");
        }
        least = most + 1;
    }
    format!("{least}–")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_of_the_file_goes_before_a_word_with_a_meaning() {
        let columns = ["length".to_owned(), "时间".to_owned()];
        assert_eq!(SliceColumn::new("length", &columns), SliceColumn::Value("length".into()));
        assert_eq!(SliceColumn::new("length", &columns[1..]), SliceColumn::Length);
        assert_eq!(SliceColumn::new("时间:month", &columns), SliceColumn::Month("时间".into()));
        assert_eq!(SliceColumn::new("区", &columns), SliceColumn::Value("区".into()));
    }

    #[test]
    fn dates_are_read_as_people_write_them() {
        for date in
            ["2024-05-01", "2024/5/1 08:00", "2024年5月1日", "20240501", " 2024.05", "2024-05-01T08:00:00"]
        {
            assert_eq!(month(date).as_deref(), Some("2024-05"), "{date}");
        }
        for none in ["", "昨天", "2024", "2024-13-01", "20241301", "202405011200"] {
            assert_eq!(month(none), None, "{none}");
        }
    }

    #[test]
    fn lengths_are_in_ranges() {
        let of = |chars: usize| length(&RequestText::new("", &"灯".repeat(chars)).unwrap());
        assert_eq!([1, 50, 51, 1000, 1001].map(of), ["1–50", "1–50", "51–100", "501–1000", "1001–"]);
    }
}
