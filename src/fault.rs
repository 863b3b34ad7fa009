//! Faults in the TOML files that a deployment owns: which file, which line, what is wrong.
//!
//! Whoever edits a taxonomy or a directory wants to hear of every mistake at once, so a loader reads the file with
//! `Checker::read`, notes what it finds and goes on, and refuses the file at the end. Syntax and type errors end the
//! reading early, since nothing sensible can be said about the rest. What a file means is left to its loader.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;

use serde::de::DeserializeOwned;
use serde_ignored::Path as KeyPath;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer};

mod file;

pub use file::FileError;
pub(crate) use file::{load, read};

/// So many faults are told of a file; nobody reads more at once.
const MAX_FAULTS: usize = 1000;
/// How alike two ids are, from 0 to 1, if one may be a misspelling of the other.
const MIN_LIKENESS: f64 = 0.8;

/// One thing that is wrong in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong there.
    pub message: String,
}

/// All that is wrong with one file, in the order of its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults {
    /// The file's name, as the reader was told it.
    pub file: String,
    /// At least one fault.
    pub faults: Vec<Fault>,
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, Fault { line, message }) in self.faults.iter().enumerate() {
            let separator = if position == 0 { "" } else { "\n" };
            write!(f, "{separator}{}:{line}: {message}", self.file)?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// Reads the text of a file and gathers what is wrong with it.
#[derive(Debug)]
pub(crate) struct Checker<'a> {
    file: &'a str,
    /// Where each line but the first begins.
    line_starts: Vec<usize>,
    faults: Vec<Fault>,
}

impl<'a> Checker<'a> {
    /// Reads `text` as a `T`. Keys that `T` does not know are noted as faults.
    pub(crate) fn read<T: DeserializeOwned>(file: &'a str, text: &'a str) -> Result<(T, Self), Faults> {
        let line_starts = memchr::memchr_iter(b'\n', text.as_bytes()).map(|end| end + 1).collect();
        let mut checker = Self { file, line_starts, faults: Vec::new() };
        let (root, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            for error in &errors {
                checker.toml_error(error);
            }
            return Err(checker.into_faults());
        }
        let mut unknown = Vec::new();
        let read = serde_ignored::deserialize(Deserializer::from(root.clone()), |path| {
            unknown.push(Key::resolve(root.get_ref(), &path));
        });
        for Key { name, span } in unknown {
            checker.fault(span, format!("unknown key `{name}`; remove it or correct its spelling"));
        }
        match read {
            Ok(value) => Ok((value, checker)),
            Err(error) => {
                checker.toml_error(&error);
                Err(checker.into_faults())
            }
        }
    }

    /// Notes a fault that stands at the bytes `span`.
    pub(crate) fn fault(&mut self, span: Range<usize>, message: impl Into<String>) {
        if self.faults.len() == MAX_FAULTS {
            return;
        }
        self.faults.push(Fault { line: self.line(&span), message: message.into() });
    }

    /// The line that the bytes `span` begin in, counted from 1.
    pub(crate) fn line(&self, span: &Range<usize>) -> usize {
        self.line_starts.partition_point(|start| *start <= span.start) + 1
    }

    /// Takes a text that must not be blank; `what` names it in the fault.
    pub(crate) fn text(&mut self, what: &str, text: &Spanned<String>) -> String {
        if text.get_ref().trim().is_empty() {
            self.fault(text.span(), format!("{what} is empty; write it"));
        }
        text.get_ref().clone()
    }

    /// Takes an identifier: a lower-case ASCII word, or several joined by `_`.
    pub(crate) fn id(&mut self, id: &Spanned<String>) -> String {
        if !is_snake_case(id.get_ref()) {
            let id_text = id.get_ref();
            let message =
                format!("id `{id_text}` is not in lower snake case ASCII, such as `labor_social_security`");
            self.fault(id.span(), message);
        }
        id.get_ref().clone()
    }

    /// Takes an identifier that names a place in a tree: words as in [`id`](Self::id), joined by `.`.
    pub(crate) fn path_id(&mut self, id: &Spanned<String>) -> String {
        if !id.get_ref().split('.').all(is_snake_case) {
            let id_text = id.get_ref();
            let message = format!(
                "id `{id_text}` is not made of lower snake case ASCII words, such as `beijing.chaoyang`"
            );
            self.fault(id.span(), message);
        }
        id.get_ref().clone()
    }

    /// Goes on only if there is no fault yet: for work that makes sense only with what holds together so far.
    pub(crate) fn checkpoint(self) -> Result<Self, Faults> {
        if self.faults.is_empty() { Ok(self) } else { Err(self.into_faults()) }
    }

    /// Ends the checking with one more fault.
    pub(crate) fn refuse(mut self, span: Range<usize>, message: impl Into<String>) -> Faults {
        self.fault(span, message);
        self.into_faults()
    }

    /// Ends the checking.
    pub(crate) fn finish(self) -> Result<(), Faults> {
        if self.faults.is_empty() { Ok(()) } else { Err(self.into_faults()) }
    }

    fn toml_error(&mut self, error: &toml::de::Error) {
        self.fault(error.span().unwrap_or_default(), error.message());
    }

    fn into_faults(mut self) -> Faults {
        self.faults.sort_by_key(|fault| fault.line);
        Faults { file: self.file.to_owned(), faults: self.faults }
    }
}

/// What to say after an unknown id: which known one is meant, if one is close.
pub(crate) fn closest<'a>(id: &str, known: impl Iterator<Item = &'a str>) -> String {
    let nearest =
        known.map(|known| (strsim::jaro_winkler(id, known), known)).max_by(|a, b| a.0.total_cmp(&b.0));
    match nearest {
        Some((likeness, known)) if likeness >= MIN_LIKENESS => format!("; is `{known}` meant?"),
        _ => String::new(),
    }
}

fn is_snake_case(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_lowercase())
        && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// What labels stand for: finds an entry by any of its names, whatever their case, and sees when two entries share one.
#[derive(Debug, Clone, Default)]
pub(crate) struct LabelIndex {
    ids: Vec<String>,
    positions: HashMap<String, usize>,
}

impl LabelIndex {
    /// Adds the next entry. An id or label that stands for an earlier entry is noted as a fault and stays with that one.
    pub(crate) fn add<'s>(
        &mut self,
        checker: &mut Checker<'_>,
        id: &'s Spanned<String>,
        labels: impl IntoIterator<Item = &'s Spanned<String>>,
    ) {
        let position = self.ids.len();
        self.ids.push(id.get_ref().clone());
        for label in std::iter::once(id).chain(labels) {
            let first = *self.positions.entry(Self::key(label.get_ref())).or_insert(position);
            if first == position {
                continue;
            }
            let (label_text, other) = (label.get_ref(), &self.ids[first]);
            let message = if label_text == other {
                format!("id `{other}` is given twice; rename or remove one")
            } else {
                format!("`{label_text}` already stands for `{other}`; remove it from one of them")
            };
            checker.fault(label.span(), message);
        }
    }

    /// The position of the entry that `label` stands for.
    pub(crate) fn get(&self, label: &str) -> Option<usize> {
        self.positions.get(&Self::key(label)).copied()
    }

    fn key(label: &str) -> String {
        label.trim().to_ascii_lowercase()
    }
}

/// A key that nobody asked for.
struct Key {
    name: String,
    span: Range<usize>,
}

impl Key {
    /// Finds where the last part of `path` stands.
    fn resolve(root: &DeTable<'_>, path: &KeyPath<'_>) -> Self {
        match path {
            KeyPath::Map { parent, key } => {
                let found = Self::table(root, parent).and_then(|table| table.get_key_value(key.as_str()));
                let span = found.map_or(0..0, |(key, _)| key.span());
                Self { name: key.clone(), span }
            }
            KeyPath::Some { parent }
            | KeyPath::NewtypeStruct { parent }
            | KeyPath::NewtypeVariant { parent } => Self::resolve(root, parent),
            KeyPath::Root | KeyPath::Seq { .. } => Self { name: path.to_string(), span: 0..0 },
        }
    }

    /// The table at `path`.
    fn table<'t, 'i>(root: &'t DeTable<'i>, path: &KeyPath<'_>) -> Option<&'t DeTable<'i>> {
        if let KeyPath::Root = path {
            return Some(root);
        }
        let DeValue::Table(table) = Self::value(root, path)? else { return None };
        Some(table)
    }

    /// The value at `path`, which is not the root.
    fn value<'t, 'i>(root: &'t DeTable<'i>, path: &KeyPath<'_>) -> Option<&'t DeValue<'i>> {
        match path {
            KeyPath::Root => None,
            KeyPath::Map { parent, key } => Some(Self::table(root, parent)?.get(key.as_str())?.get_ref()),
            KeyPath::Seq { parent, index } => {
                let DeValue::Array(array) = Self::value(root, parent)? else { return None };
                Some(array.get(*index)?.get_ref())
            }
            KeyPath::Some { parent }
            | KeyPath::NewtypeStruct { parent }
            | KeyPath::NewtypeVariant { parent } => Self::value(root, parent),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    struct Shop {
        name: Spanned<String>,
        #[serde(default)]
        shelves: Vec<Shelf>,
    }

    #[derive(Debug, Deserialize)]
    struct Shelf {
        id: Spanned<String>,
    }

    fn lines(faults: &Faults) -> Vec<usize> {
        faults.faults.iter().map(|fault| fault.line).collect()
    }

    #[test]
    fn every_syntax_error_is_told() {
        let faults = Checker::read::<Shop>("shop.toml", "name = \nopen = maybe\n").unwrap_err();
        assert_eq!(lines(&faults), [1, 2], "{faults}");
        assert!(faults.to_string().starts_with("shop.toml:1: "));
    }

    #[test]
    fn unknown_keys_are_told_with_their_lines_beside_other_faults() {
        let text = "nmae = 1\nname = \" \"\n[[shelves]]\nid = \"a\"\n[[shelves]]\nid = \"B c\"\nwidth = 3\n";
        let (shop, mut checker) = Checker::read::<Shop>("shop.toml", text).unwrap();
        checker.text("name", &shop.name);
        for shelf in &shop.shelves {
            checker.id(&shelf.id);
        }
        let faults = checker.finish().unwrap_err();
        assert_eq!(lines(&faults), [1, 2, 6, 7], "{faults}");
        assert!(faults.faults[0].message.starts_with("unknown key `nmae`"));
        assert!(faults.faults[3].message.starts_with("unknown key `width`"));
    }

    #[test]
    fn errors_of_type_and_missing_keys_are_told_with_their_lines() {
        let faults = Checker::read::<Shop>("shop.toml", "\nname = 2\n").unwrap_err();
        assert_eq!(lines(&faults), [2], "{faults}");
        let faults =
            Checker::read::<Shop>("shop.toml", "name = \"a\"\n\n[[shelves]]\nwidth = 2\n").unwrap_err();
        assert_eq!(lines(&faults), [3, 4], "{faults}");
        assert_eq!(faults.faults[0].message, "missing field `id`");
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_text() {
        let (shop, _) = Checker::read::<Shop>("shop.toml", "\u{feff}name = \"a\"").unwrap();
        assert_eq!(shop.name.get_ref(), "a");
    }

    #[test]
    fn values_that_are_nested_without_end_are_refused() {
        for (open, close) in [("[", "]"), ("{ a = ", "}")] {
            let text = format!("name = {}1{}", open.repeat(100_000), close.repeat(100_000));
            let faults = Checker::read::<Shop>("shop.toml", &text).unwrap_err();
            assert_eq!(faults.faults[0].line, 1);
        }
    }

    #[test]
    fn keys_that_are_given_twice_are_refused() {
        let faults = Checker::read::<Shop>("shop.toml", "name = \"a\"\nname = \"b\"\n").unwrap_err();
        assert_eq!(lines(&faults), [2], "{faults}");
    }

    #[test]
    fn of_faults_without_end_some_are_told() {
        let keys: Vec<_> = (0..2 * MAX_FAULTS).map(|number| format!("key{number} = 1")).collect();
        let keys = keys.join("\n");
        let faults = Checker::read::<Shop>("shop.toml", &keys).unwrap_err();
        assert_eq!(faults.faults.len(), MAX_FAULTS);
    }
}
