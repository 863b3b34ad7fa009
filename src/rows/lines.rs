//! The lines of a file in a buffer of bounded size, with a view of the lines that follow.
//!
//! A line ends with `\n`, `\r\n` or `\r`; none of the two bytes is ever part of a character of several bytes in the
//! encodings that are read here. What lines mean is left to the caller.

use std::io::{self, ErrorKind, Read};

/// A longer line is not held.
pub(super) const MAX_LINE_BYTES: usize = 16 << 20;

/// What is told of such a line.
pub(super) const TOO_LONG: &str = "is longer than 16 MiB, and is not read";

/// How much is read at once.
const CHUNK_BYTES: usize = 256 << 10;

/// What begins at some place behind the current line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// A line up to `end`; the next one begins at `next`. Both count from the start of the current line.
    Line {
        /// Where its content ends.
        end: usize,
        /// Where the next line begins.
        next: usize,
    },
    /// A line that does not end within the limit.
    Long,
    /// Nothing.
    End,
}

/// A file's bytes from the start of the current line on.
pub(super) struct Lines {
    source: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    /// The current line begins here.
    start: usize,
    /// Behind this nothing is read yet.
    filled: usize,
    ended: bool,
    /// The current line, counted from 1.
    number: u64,
}

impl Lines {
    pub(super) fn new(source: Box<dyn Read + Send>) -> Self {
        Self { source, buffer: Vec::new(), start: 0, filled: 0, ended: false, number: 1 }
    }

    /// The number of the current line, counted from 1.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Bytes from the start of the current line to `end`, which must have been found.
    pub(super) fn bytes(&self, end: usize) -> &[u8] {
        &self.buffer[self.start..(self.start + end).min(self.filled)]
    }

    /// What begins `from` bytes behind the start of the current line, if its end is within `limit` bytes of that.
    pub(super) fn find(&mut self, from: usize, limit: usize) -> io::Result<Found> {
        let mut searched = from;
        loop {
            let held = &self.buffer[self.start..self.filled];
            let end = memchr::memchr2(b'\n', b'\r', held.get(searched..).unwrap_or_default());
            match end.map(|end| searched + end) {
                Some(end) if end > limit => return Ok(Found::Long),
                // Whether `\n` follows a `\r` at the end of the buffer is not known yet.
                Some(end) if held[end] == b'\r' && end + 1 == held.len() && !self.ended => searched = end,
                Some(end) => {
                    let pair = held[end..].starts_with(b"\r\n");
                    return Ok(Found::Line { end, next: end + if pair { 2 } else { 1 } });
                }
                None if held.len() > limit => return Ok(Found::Long),
                None if self.ended && held.len() > from => {
                    return Ok(Found::Line { end: held.len(), next: held.len() });
                }
                None if self.ended => return Ok(Found::End),
                None => searched = held.len().max(from),
            }
            self.fill()?;
        }
    }

    /// Goes on to the line that begins at `next`, which is `lines` further on.
    pub(super) fn advance(&mut self, next: usize, lines: u64) {
        self.start += next;
        self.number += lines;
    }

    /// Goes on behind the current line without holding it.
    pub(super) fn skip_line(&mut self) -> io::Result<()> {
        loop {
            let held = &self.buffer[self.start..self.filled];
            if let Some(end) = memchr::memchr2(b'\n', b'\r', held) {
                self.start += end;
                break;
            }
            self.start = self.filled;
            if self.ended {
                return Ok(());
            }
            self.fill()?;
        }
        if let Found::Line { next, .. } = self.find(0, 0)? {
            self.advance(next, 1);
        }
        Ok(())
    }

    fn fill(&mut self) -> io::Result<()> {
        if self.filled + CHUNK_BYTES > self.buffer.len() {
            self.buffer.copy_within(self.start..self.filled, 0);
            self.filled -= self.start;
            self.start = 0;
            if self.filled + CHUNK_BYTES > self.buffer.len() {
                self.buffer.resize((self.filled + CHUNK_BYTES).max(2 * self.buffer.len()), 0);
            }
        }
        loop {
            match self.source.read(&mut self.buffer[self.filled..]) {
                Ok(count) => {
                    self.filled += count;
                    self.ended = count == 0;
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its bytes one by one.
    struct Drops(Vec<u8>);

    impl Read for Drops {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() {
                return Ok(0);
            }
            buffer[0] = self.0.remove(0);
            Ok(1)
        }
    }

    fn lines(content: &str) -> Vec<(u64, String)> {
        let mut lines = Lines::new(Box::new(Drops(content.into())));
        let mut found = Vec::new();
        while let Found::Line { end, next } = lines.find(0, 100).unwrap() {
            found.push((lines.number(), String::from_utf8(lines.bytes(end).to_vec()).unwrap()));
            lines.advance(next, 1);
        }
        found
    }

    #[test]
    fn knows_every_line_end() {
        let expected = ["a", "b", "", "c", "d"].map(str::to_owned);
        assert_eq!(lines("a\nb\r\n\rc\rd"), (1..).zip(expected.clone()).collect::<Vec<_>>());
        assert_eq!(lines("a\nb\r\n\rc\rd\r"), (1..).zip(expected).collect::<Vec<_>>());
        assert!(lines("").is_empty());
    }

    #[test]
    fn goes_on_behind_a_line_that_is_too_long() {
        for end in ["\n", "\r\n", "\r"] {
            let content = format!("{}{end}好", "x".repeat(3 * CHUNK_BYTES));
            let mut lines = Lines::new(Box::new(io::Cursor::new(content)));
            assert_eq!(lines.find(0, 1000).unwrap(), Found::Long);
            lines.skip_line().unwrap();
            assert_eq!(lines.find(0, 1000).unwrap(), Found::Line { end: 3, next: 3 });
            assert_eq!((lines.bytes(3), lines.number()), ("好".as_bytes(), 2));
        }
    }

    #[test]
    fn looks_ahead_without_going_on() {
        let mut lines = Lines::new(Box::new(Drops(b"ab\ncd\nef".to_vec())));
        assert_eq!(lines.find(3, 100).unwrap(), Found::Line { end: 5, next: 6 });
        assert_eq!(lines.find(6, 100).unwrap(), Found::Line { end: 8, next: 8 });
        assert_eq!(lines.find(8, 100).unwrap(), Found::End);
        assert_eq!(lines.find(0, 1).unwrap(), Found::Long);
        assert_eq!((lines.bytes(2), lines.number()), (b"ab".as_slice(), 1));
    }
}
