//! Names of columns from a header: each has one, and no two have the same.

use std::collections::HashSet;

/// A longer cell is no name of a column.
const MAX_NAME_CHARS: usize = 30;

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
        for position in unnamed {
            let name = header.free_name(position);
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
        self.names.get(position).cloned().unwrap_or_else(|| self.free_name(position))
    }

    fn free_name(&self, position: usize) -> String {
        let given = self.names.get(position).filter(|name| !name.is_empty());
        let is_free = |name: &String| !self.taken.contains(name);
        let base = given.cloned().unwrap_or_else(|| format!("column_{}", position + 1));
        let unnumbered = Some(base.clone()).filter(is_free);
        let mut numbered = (2_u64..).map(|number| format!("{base}_{number}"));
        unnumbered.or_else(|| numbered.find(is_free)).unwrap_or(base)
    }
}

#[cfg(test)]
mod tests {
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
