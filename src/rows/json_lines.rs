//! JSON lines: an object a row.
//!
//! A column whose values are all texts gives its cells as texts. Any other gives JSON exactly as it is written, so that
//! `1.0` stays `1.0` and a long number keeps its digits.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;

use super::encoding::Charset;
use super::error::ReadError;
use super::lines::{Found, Lines, MAX_LINE_BYTES, TOO_LONG};
use super::record::is_blank;
use super::{BrokenRow, Column, Entry, Layout, MAX_COLUMNS, Rows, Source, Survey, until_error};

/// Reads a file from end to end.
pub(super) fn survey(path: &Path) -> Result<Survey, ReadError> {
    let charset = Charset::detect(path)?;
    let mut lines = charset.lines(path)?;
    let mut columns: Vec<Column> = Vec::new();
    let mut positions: HashMap<String, usize> = HashMap::new();
    let mut rows = 0;
    while let Some(line) = next(&mut lines).map_err(|source| ReadError::reading(path, source))? {
        rows += 1;
        let text = line.end.and_then(|end| charset.decode(lines.bytes(end)));
        if let Some(Object(pairs)) = text.as_deref().and_then(|text| serde_json::from_str(text).ok()) {
            for (key, value) in pairs {
                let position = match positions.get(key.as_ref()) {
                    Some(position) => *position,
                    None if columns.len() == MAX_COLUMNS => {
                        return Err(ReadError::TooManyColumns { path: path.to_owned(), max: MAX_COLUMNS });
                    }
                    None => {
                        columns.push(Column { name: key.clone().into_owned(), json: false });
                        positions.insert(key.into_owned(), columns.len() - 1);
                        columns.len() - 1
                    }
                };
                columns[position].json |= !value.get().starts_with('"') && value.get() != "null";
            }
        }
        line.pass(&mut lines).map_err(|source| ReadError::reading(path, source))?;
    }
    let layout = Layout::JsonLines { encoding: charset.name().to_owned() };
    Ok(Survey { source: Source { path: path.to_owned(), layout }, columns, rows, title_rows: 0 })
}

/// The rows of a file.
pub(super) fn read(path: &Path, encoding: &str, columns: &[Column]) -> Result<Rows, ReadError> {
    let charset = Charset::named(encoding);
    let charset =
        charset.ok_or_else(|| ReadError::changed(path, format!("no encoding is named `{encoding}`")))?;
    let mut lines = charset.lines(path)?;
    let columns = columns.to_vec();
    let names = columns.iter().map(|column| column.name.clone());
    let positions: HashMap<String, usize> = names.zip(0..).collect();
    let path = path.to_owned();
    Ok(until_error(move || {
        let line = match next(&mut lines) {
            Ok(line) => line?,
            Err(source) => return Some(Err(ReadError::reading(&path, source))),
        };
        let bytes = lines.bytes(line.end.unwrap_or(MAX_LINE_BYTES));
        let row = match (line.end, charset.decode(bytes)) {
            (None, _) => Err(Problem::Row(TOO_LONG.to_owned())),
            (Some(_), None) => Err(Problem::Row(format!("holds bytes that are not {}", charset.name()))),
            (Some(_), Some(text)) => cells(&text, &columns, &positions),
        };
        let row = match row {
            Ok(cells) => Ok(cells),
            Err(Problem::Row(problem)) => Err(BrokenRow { problem, raw: charset.raw(bytes) }),
            Err(Problem::NewColumn) => return Some(Err(ReadError::changed(&path, "it has other columns"))),
        };
        let entry = Entry { line: line.number, row };
        Some(line.pass(&mut lines).map(|()| entry).map_err(|source| ReadError::reading(&path, source)))
    }))
}

/// A line that is not blank; one without an end is too long to be held.
struct Line {
    number: u64,
    end: Option<usize>,
    next: usize,
}

impl Line {
    fn pass(self, lines: &mut Lines) -> std::io::Result<()> {
        if self.end.is_some() {
            lines.advance(self.next, 1);
            Ok(())
        } else {
            lines.skip_line()
        }
    }
}

fn next(lines: &mut Lines) -> std::io::Result<Option<Line>> {
    loop {
        let number = lines.number();
        match lines.find(0, MAX_LINE_BYTES)? {
            Found::End => return Ok(None),
            Found::Long => return Ok(Some(Line { number, end: None, next: 0 })),
            Found::Line { end, next } if is_blank(lines.bytes(end)) => lines.advance(next, 1),
            Found::Line { end, next } => return Ok(Some(Line { number, end: Some(end), next })),
        }
    }
}

/// Why a line gives no cells.
enum Problem {
    Row(String),
    NewColumn,
}

fn cells(
    text: &str,
    columns: &[Column],
    positions: &HashMap<String, usize>,
) -> Result<Vec<Option<String>>, Problem> {
    let Object(pairs) = serde_json::from_str(text).map_err(|error| not_json(&error))?;
    let mut cells = vec![None; columns.len()];
    for (key, value) in pairs {
        let position = *positions.get(key.as_ref()).ok_or(Problem::NewColumn)?;
        cells[position] = match value.get() {
            "null" => None,
            raw if columns[position].json => Some(raw.to_owned()),
            raw if raw.starts_with('"') => {
                // The column of the error is one within the value.
                let offset = raw.as_ptr() as usize - text.as_ptr() as usize;
                let words = serde_json::from_str(raw).map_err(|error| told(&error, offset));
                Some(words.map_err(Problem::Row)?)
            }
            _ => return Err(Problem::NewColumn),
        };
    }
    Ok(cells)
}

fn not_json(error: &serde_json::Error) -> Problem {
    Problem::Row(match error.classify() {
        Category::Data => "is not a JSON object".to_owned(),
        Category::Io | Category::Syntax | Category::Eof => told(error, 0),
    })
}

/// What is wrong with a line, without its words.
fn told(error: &serde_json::Error, offset: usize) -> String {
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or_default();
    format!("is not JSON: {message} at column {}", error.column() + offset)
}

/// The keys and values of an object in the order of the file, repeated ones included.
struct Object<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

/// A key, borrowed from the line unless something is escaped in it.
#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;

        impl<'de> Visitor<'de> for Pairs {
            type Value = Object<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some((Key(key), value)) = map.next_entry()? {
                    pairs.push((key, value));
                }
                Ok(Object(pairs))
            }
        }

        deserializer.deserialize_map(Pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{columns, entries, problems};

    #[test]
    fn columns_come_in_the_order_of_their_first_occurrence() {
        let content = "{\"b\": \"1\"}\r\n\r\n{\"a\": null, \"b\": \"x\"}\n{\"n\": 1.0, \"a\": \"\"}";
        assert_eq!(
            columns("a.jsonl", content),
            [("b", false), ("a", false), ("n", true)].map(|(n, j)| (n.to_owned(), j))
        );
    }

    #[test]
    fn cells_are_texts_or_json_as_written() {
        let content = "\u{feff}{\"a\": \"路\\u706f\", \"b\": \"x\"}\n{\"a\": null, \"b\": 250331144260109001.50, \"b\": [1,  2.0]}\n{}\n";
        let expected = [vec![Some("路灯"), Some("\"x\"")], vec![None, Some("[1,  2.0]")], vec![None, None]];
        assert_eq!(
            entries("a.jsonl", content),
            expected.map(|row| row.into_iter().map(|cell| cell.map(str::to_owned)).collect::<Vec<_>>())
        );
    }

    #[test]
    fn tells_what_is_wrong_without_the_words() {
        let content = b"{\"a\": \"\xe7\x81\xaf\"}\n{\"a\": \"x\n[\"a\"]\n{\"a\": \"\xff\"}\n{\"a\": \"\\ud800.\"}\n{\"a\": 1e999}x\n\"a\"\n";
        let told = problems("a.ndjson", content);
        assert_eq!(
            told[0],
            (2, "is not JSON: EOF while parsing a string at column 8".to_owned(), b"{\"a\": \"x".to_vec())
        );
        let told: Vec<_> = told.into_iter().skip(1).map(|(line, problem, _)| (line, problem)).collect();
        let expected = [
            (3, "is not a JSON object"),
            (4, "holds bytes that are not UTF-8"),
            (5, "is not JSON: unexpected end of hex escape at column 14"),
            (6, "is not JSON: trailing characters at column 13"),
            (7, "is not a JSON object"),
        ];
        assert_eq!(told, expected.map(|(line, problem)| (line, problem.to_owned())));
    }
}
