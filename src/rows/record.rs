//! Splits delimited text into records, on its bytes: lines, and the lines that a quoted cell holds together.
//!
//! One stray quote must not swallow the rest of a file. So a record of several lines has to hold what the header
//! promises; otherwise its first line stands alone, as a broken record, and splitting goes on with the second. What
//! the cells say is left to the caller.

use std::io;

use encoding_rs::Encoding;

use super::lines::{Found, Lines, MAX_LINE_BYTES};

/// A record of several lines is not longer than this.
const MAX_RECORD_BYTES: usize = 1 << 20;

/// A record does not have more lines than this.
const MAX_RECORD_LINES: u64 = 1000;

/// What keeps fields apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dialect {
    pub(super) delimiter: u8,
    pub(super) encoding: &'static Encoding,
}

/// What is wrong with a record as far as its bytes tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    /// A quote that is opened is not closed, or in a way that it cannot have been meant.
    OpenQuote,
    /// A record of several lines has this many fields, not those of the header.
    Fields(usize),
    /// A line is too long to be held.
    Long,
}

/// Where a record is: on the line `line` and those behind it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) line: u64,
    pub(super) flaw: Option<Flaw>,
    end: usize,
}

/// The records of a file, blank lines left out.
pub(super) struct Records {
    lines: Lines,
    dialect: Dialect,
    /// How many fields a record must have, if that is known.
    pub(super) fields: Option<usize>,
    /// Where the record that was found last ends, and how many lines it has.
    found: Option<(usize, u64)>,
}

impl Records {
    pub(super) fn new(lines: Lines, dialect: Dialect) -> Self {
        Self { lines, dialect, fields: None, found: None }
    }

    /// The bytes of the record that was found last, without its line end; of a line too long to be held its first.
    pub(super) fn bytes(&self, place: Place) -> &[u8] {
        self.lines.bytes(place.end)
    }

    /// Finds the next record.
    pub(super) fn next(&mut self) -> io::Result<Option<Place>> {
        match self.found.take() {
            Some((_, 0)) => self.lines.skip_line()?,
            Some((next, lines)) => self.lines.advance(next, lines),
            None => {}
        }
        loop {
            let line = self.lines.number();
            match self.lines.find(0, MAX_LINE_BYTES)? {
                Found::End => return Ok(None),
                Found::Long => {
                    self.found = Some((0, 0));
                    return Ok(Some(Place { line, flaw: Some(Flaw::Long), end: MAX_LINE_BYTES }));
                }
                Found::Line { end, next } if is_blank(self.lines.bytes(end)) => self.lines.advance(next, 1),
                Found::Line { end, next } => {
                    let scan = Scan::of(self.lines.bytes(end), self.dialect);
                    let (place, found) = match scan.filter(|scan| scan.is_open()) {
                        None => (Place { line, flaw: None, end }, (next, 1)),
                        Some(scan) => match self.several_lines(scan, next)? {
                            Ok((end, next, lines)) => (Place { line, flaw: None, end }, (next, lines)),
                            Err(flaw) => (Place { line, flaw: Some(flaw), end }, (next, 1)),
                        },
                    };
                    self.found = Some(found);
                    return Ok(Some(place));
                }
            }
        }
    }

    /// Follows a record whose first line leaves a quote open: its end, the start of the next one, and its lines.
    fn several_lines(
        &mut self,
        mut scan: Scan,
        mut next: usize,
    ) -> io::Result<Result<(usize, usize, u64), Flaw>> {
        for lines in 2..=MAX_RECORD_LINES {
            let from = next;
            let Found::Line { end, next: behind } = self.lines.find(from, MAX_RECORD_BYTES)? else {
                return Ok(Err(Flaw::OpenQuote));
            };
            scan.line(&self.lines.bytes(end)[from..], self.dialect);
            next = behind;
            if !scan.is_open() {
                let misses = |fields: usize| scan.fields < fields || scan.filled > fields;
                return Ok(if scan.misplaced {
                    Err(Flaw::OpenQuote)
                } else if self.fields.is_some_and(misses) {
                    Err(Flaw::Fields(scan.fields))
                } else {
                    Ok((end, next, lines))
                });
            }
        }
        Ok(Err(Flaw::OpenQuote))
    }
}

/// Whether nothing but white space stands in a line.
pub(super) fn is_blank(line: &[u8]) -> bool {
    line.iter().all(u8::is_ascii_whitespace)
}

/// Where a scan is within a field.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Start,
    Bare,
    Quoted,
    /// Behind a quote within quotes: it closes the field, or is the first of two that stand for one.
    Quote,
}

/// Counts fields as a CSV parser does: a quote means something only where a field starts.
#[derive(Debug, Clone, Copy, Default)]
struct Scan {
    state: State,
    /// The fields up to here; the last one that is not empty.
    fields: usize,
    filled: usize,
    /// Text stands behind a closing quote.
    misplaced: bool,
}

impl Scan {
    /// Scans the first line of a record, unless it holds no quote at all.
    fn of(line: &[u8], dialect: Dialect) -> Option<Self> {
        memchr::memchr(b'"', line)?;
        let mut scan = Self { fields: 1, ..Self::default() };
        scan.line(line, dialect);
        Some(scan)
    }

    fn is_open(self) -> bool {
        self.state == State::Quoted
    }

    fn line(&mut self, line: &[u8], dialect: Dialect) {
        let mut bytes = line.iter().copied().peekable();
        if self.state == State::Quoted {
            self.filled = self.fields;
        }
        while let Some(byte) = bytes.next() {
            let (quote, delimiter) = (byte == b'"', byte == dialect.delimiter);
            self.state = match self.state {
                State::Start | State::Quote if quote => State::Quoted,
                State::Quoted if !quote => State::Quoted,
                State::Quoted => State::Quote,
                State::Start | State::Bare | State::Quote if delimiter => {
                    self.fields += 1;
                    State::Start
                }
                State::Start | State::Bare => State::Bare,
                State::Quote => {
                    self.misplaced = true;
                    State::Bare
                }
            };
            if !quote && self.state != State::Start || quote && self.state == State::Bare {
                self.filled = self.fields;
            }
            // The second byte of a character may be that of `|`, but never one of a quote or a line end.
            if byte >= 0x81
                && is_lead(byte, dialect.encoding)
                && bytes.peek().is_some_and(|next| *next >= 0x30)
            {
                bytes.next();
            }
        }
        if self.state == State::Quote {
            self.state = State::Bare;
        }
    }
}

/// Whether a byte from 0x81 on is the first of a character of two bytes (or of one half of a character of four).
fn is_lead(byte: u8, encoding: &'static Encoding) -> bool {
    if encoding == encoding_rs::SHIFT_JIS {
        !(0xa1..=0xdf).contains(&byte)
    } else {
        byte < 0xff && [encoding_rs::GB18030, encoding_rs::BIG5, encoding_rs::EUC_KR].contains(&encoding)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use encoding_rs::{GB18030, UTF_8};

    fn records(
        content: impl Into<Vec<u8>>,
        delimiter: u8,
        fields: usize,
    ) -> Vec<(u64, Option<Flaw>, Vec<u8>)> {
        let encoding = if delimiter == b'|' { GB18030 } else { UTF_8 };
        let lines = Lines::new(Box::new(io::Cursor::new(content.into())));
        let mut records = Records::new(lines, Dialect { delimiter, encoding });
        records.fields = Some(fields);
        let mut found = Vec::new();
        while let Some(place) = records.next().unwrap() {
            found.push((place.line, place.flaw, records.bytes(place).to_vec()));
        }
        found
    }

    fn told(content: &str, fields: usize) -> Vec<(u64, Option<Flaw>, String)> {
        let text = |(line, flaw, bytes)| (line, flaw, String::from_utf8(bytes).unwrap());
        records(content, b',', fields).into_iter().map(text).collect()
    }

    #[test]
    fn keeps_the_lines_of_a_quoted_cell_together() {
        let found = told("1,\"灯\r\n\n不亮\"\r\n \r\n2,\"说\"\"好\"\"\n\"\n3,5\" 管", 2);
        let expected = [
            (1, None, "1,\"灯\r\n\n不亮\"".to_owned()),
            (5, None, "2,\"说\"\"好\"\"\n\"".to_owned()),
            (7, None, "3,5\" 管".to_owned()),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_stray_quote_costs_one_line() {
        let found = told("1,\"灯,x\n2,好,y\n3,好,\"z\"\n", 3);
        let flaws: Vec<_> = found.iter().map(|(line, flaw, _)| (*line, *flaw)).collect();
        assert_eq!(flaws, [(1, Some(Flaw::OpenQuote)), (2, None), (3, None)]);
        let found = told("1,\"灯,x\n2,\"好\n3,好,y,z", 4);
        let flaws: Vec<_> = found.iter().map(|(line, flaw, _)| (*line, *flaw)).collect();
        assert_eq!(flaws, [(1, Some(Flaw::OpenQuote)), (2, Some(Flaw::OpenQuote)), (3, None)]);
        let found = told("1,\"灯\n亮\"\n2,好,y,\n", 3);
        let flaws: Vec<_> = found.iter().map(|(line, flaw, _)| (*line, *flaw)).collect();
        assert_eq!(flaws, [(1, Some(Flaw::Fields(2))), (2, None), (3, None)]);
    }

    #[test]
    fn a_record_has_bounds() {
        let found = told(&format!("\"{}\"\n1\n", "x\n".repeat(1000)), 1);
        assert_eq!((found.len(), found[0].1), (1002, Some(Flaw::OpenQuote)));
        let found = told(&format!("\"x\n{}\"\n1\n", "x".repeat(MAX_RECORD_BYTES)), 1);
        assert_eq!((found.len(), found[0].1), (3, Some(Flaw::OpenQuote)));
        let found = told(&format!("{}\n1\n", "x".repeat(MAX_LINE_BYTES + 9)), 1);
        assert_eq!((found.len(), found[0].1, found[1].0), (2, Some(Flaw::Long), 2));
        assert_eq!(found[0].2.len(), MAX_LINE_BYTES);
    }

    #[test]
    fn a_bar_may_be_half_a_character() {
        let cells = |text: &str| GB18030.encode(text).0.into_owned();
        assert!(cells("莬").contains(&b'|'), "of 0xc7 0x7c");
        // Counted as fields, the half characters would make a record of several lines broken.
        let content = cells("莬|\"莬\n莬\"");
        assert_eq!(records(content.clone(), b'|', 2), [(1, None, content)]);
    }
}
