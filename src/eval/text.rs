//! Plain text for people at a terminal: aligned columns.

use std::fmt;

use unicode_width::UnicodeWidthStr;

/// Columns under their headings: the first `words` of them flush left, the others, numbers, flush right.
pub(super) struct Table<'a, const COLUMNS: usize> {
    headings: [&'a str; COLUMNS],
    words: usize,
    pub(super) rows: Vec<[String; COLUMNS]>,
}

impl<'a, const COLUMNS: usize> Table<'a, COLUMNS> {
    pub(super) fn new(headings: [&'a str; COLUMNS], words: usize) -> Self {
        Self { headings, words, rows: Vec::new() }
    }

    fn write_line(
        &self,
        f: &mut fmt::Formatter<'_>,
        cells: [&str; COLUMNS],
        widths: [usize; COLUMNS],
    ) -> fmt::Result {
        let mut line = String::new();
        for (column, (cell, width)) in cells.into_iter().zip(widths).enumerate() {
            let space = " ".repeat(width - cell.width());
            let gap = if column == 0 { "" } else { "  " };
            let (before, after) =
                if column < self.words { ("", space) } else { (space.as_str(), String::new()) };
            line.extend([gap, before, cell, &after]);
        }
        writeln!(f, "{}", line.trim_end())
    }
}

impl<const COLUMNS: usize> fmt::Display for Table<'_, COLUMNS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = std::array::from_fn(|column| {
            let cells = self.rows.iter().map(|row| row[column].width());
            cells.max().unwrap_or(0).max(self.headings[column].width())
        });
        self.write_line(f, self.headings, widths)?;
        self.rows.iter().try_for_each(|row| self.write_line(f, row.each_ref().map(String::as_str), widths))
    }
}
