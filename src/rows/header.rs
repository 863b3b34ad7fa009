//! Names of columns from a header: each has one, and no two have the same.

use std::collections::{HashMap, HashSet};

/// A longer cell is no name of a column.
const MAX_NAME_CHARS: usize = 30;

/// What the second column of a name is told apart by.
const FIRST_NUMBER: u64 = 2;

/// Whether the cells of a row may be names of columns, so that what stands above them may be a title: several that are
/// filled, all of them short, and none a number or a date.
pub(super) fn looks_like_header<'a>(cells: impl IntoIterator<Item = &'a str>) -> bool {
    let is_name =
        |cell: &str| cell.chars().any(char::is_alphabetic) && cell.chars().count() <= MAX_NAME_CHARS;
    let filled: Vec<&str> = cells.into_iter().map(str::trim).filter(|cell| !cell.is_empty()).collect();
    filled.len() > 1 && filled.into_iter().all(is_name)
}

/// The names that a header gives.
#[derive(Debug)]
pub(super) struct Header {
    names: Vec<String>,
    taken: HashSet<String>,
}

impl Header {
    /// Names trimmed; an empty one is `column_3` after its position, a repeated one `name_2`, `name_3` and so on.
    pub(super) fn new(cells: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let mut header = Self { names: Vec::new(), taken: HashSet::new() };
        let mut unnamed = Vec::new();
        for (position, cell) in cells.into_iter().enumerate() {
            let name =
                cell.as_ref().trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}' || c == '\0');
            // The first of its name has it, even if an unnamed one before it would be given the same.
            if name.is_empty() || !header.taken.insert(name.to_owned()) {
                unnamed.push(position);
            }
            header.names.push(name.to_owned());
        }
        // Where the search for a free number goes on: a header may repeat one name ten thousand times.
        let mut next: HashMap<String, u64> = HashMap::new();
        for position in unnamed {
            let base = header.base(position);
            let first = next.entry(base.clone()).or_insert(FIRST_NUMBER);
            let name = header.free_name(&base, first);
            header.taken.insert(name.clone());
            header.names[position] = name;
        }
        header
    }

    /// How many names the header has.
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// The name of the column at a position, which may be beyond the header.
    pub(super) fn name(&self, position: usize) -> String {
        let free = || self.free_name(&self.base(position), &mut { FIRST_NUMBER });
        self.names.get(position).cloned().unwrap_or_else(free)
    }

    /// What a column is called before a number makes it another than those before.
    fn base(&self, position: usize) -> String {
        let given = self.names.get(position).filter(|name| !name.is_empty());
        given.cloned().unwrap_or_else(|| format!("column_{}", position + 1))
    }

    /// A name that is not taken; no number below `next` is free, and afterwards none up to the one that was found.
    fn free_name(&self, base: &str, next: &mut u64) -> String {
        let is_free = |name: &String| !self.taken.contains(name);
        let mut numbered = (*next..).map(|number| {
            *next = number;
            format!("{base}_{number}")
        });
        Some(base.to_owned()).filter(is_free).or_else(|| numbered.find(is_free)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn names(cells: &[&str]) -> Vec<String> {
        Header::new(cells).names
    }

    #[test]
    fn every_column_has_a_name_of_its_own() {
        assert_eq!(
            names(&["\u{feff} 编号", "标题　", "", "标题", "标题"]),
            ["编号", "标题", "column_3", "标题_2", "标题_3"]
        );
        assert_eq!(names(&["", "a", "a", "a_2", "column_1"]), ["column_1_2", "a", "a_3", "a_2", "column_1"]);
    }

    #[test]
    fn a_name_may_be_repeated_as_often_as_there_are_columns() {
        let begin = Instant::now();
        let names = Header::new(vec!["a"; 10_000]).names;
        assert_eq!((names[1].as_str(), names[9_999].as_str()), ("a_2", "a_10000"));
        assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    }

    #[test]
    fn a_header_is_told_from_a_row() {
        assert!(looks_like_header(["工单编号", "", "主要内容"]));
        for row in [
            &["工单台账", ""][..],
            &["灯坏了", "朝阳区", "2024"],
            &["编号", "2024-05-01"],
            &["编号", &"灯".repeat(31)],
        ] {
            assert!(!looks_like_header(row.iter().copied()), "{row:?}");
        }
    }

    #[test]
    fn names_columns_beyond_the_header() {
        let header = Header::new(["a", "column_4"]);
        assert_eq!([1, 2, 3].map(|position| header.name(position)), ["column_4", "column_3", "column_4_2"]);
    }
}
