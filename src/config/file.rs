//! The file of settings: where it is, what stands in it, and whether the command knows all that.
//!
//! ```toml
//! [shared]                # flags that are global, or that several commands read from one variable
//! model = "models/city"
//!
//! [serve]                 # flags of `jiesu serve`, as they are typed; stronger than `shared`
//! listen = "0.0.0.0:50051"
//!
//! [directory.test]        # flags of `jiesu directory test`
//! json = true
//! ```
//!
//! Shared flags have a table of their own because a flag and a command may have the same name, as `--directory` and
//! `jiesu directory` do, and a key cannot be both. Paths are taken as they would be if typed.

use std::io::ErrorKind;
use std::ops::Range;
use std::path::{Path, PathBuf};

use clap::{Arg, Command};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{Leaf, SHARED, built, commands, flags, is_shared, leaves};
use super::value::arguments;
use crate::fault::{Fault, Faults, FileError, closest};

/// A file of settings that holds together with a command.
#[derive(Debug, Clone)]
pub struct ConfigFile {
    /// Its path, as the reader was told it.
    path: String,
    /// What it sets.
    settings: Vec<Setting>,
}

/// One key of a file.
#[derive(Debug, Clone)]
pub(super) struct Setting {
    /// The table that it stands in.
    table: String,
    /// The flag's long name.
    key: String,
    /// The line, counted from 1.
    pub(super) line: usize,
    /// What it is on the command line; nothing for a flag that is not set.
    pub(super) arguments: Vec<String>,
}

impl ConfigFile {
    /// Reads the file that was `named`, which must be there, or the first of the usual ones, if there is one.
    ///
    /// # Errors
    /// If the file cannot be read, or anything is wrong in it.
    pub fn find(command: &Command, named: Option<&Path>) -> Result<Option<Self>, FileError> {
        let name = command.get_name();
        let usual =
            [PathBuf::from(format!("{name}.toml")), PathBuf::from(format!("/etc/{name}/{name}.toml"))];
        let paths = named.map_or(usual.to_vec(), |path| vec![path.to_owned()]);
        for path in paths {
            let file = path.display().to_string();
            match std::fs::read(&path) {
                Ok(bytes) => return Ok(Some(Self::parse(command, &file, text(&file, &bytes)?)?)),
                Err(source) if source.kind() == ErrorKind::NotFound && named.is_none() => {}
                Err(source) if source.kind() == ErrorKind::PermissionDenied && named.is_none() => {
                    return Err(FileError::Denied { file });
                }
                Err(source) => return Err(FileError::Read { file, source }),
            }
        }
        Ok(None)
    }

    /// Reads the `text` of the file `path`.
    ///
    /// # Errors
    /// If anything is wrong in it: with all faults, unless it is not TOML.
    pub fn parse(command: &Command, path: &str, text: &str) -> Result<Self, Faults> {
        let root = built(command);
        let mut reader = Reader { text, leaves: leaves(&root), settings: Vec::new(), faults: Vec::new() };
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            reader.fault(&error.span().unwrap_or_default(), error.message().to_owned());
        }
        if errors.is_empty() {
            reader.root(&root, table.get_ref());
        }
        let Reader { settings, mut faults, .. } = reader;
        if faults.is_empty() {
            return Ok(Self { path: path.to_owned(), settings });
        }
        faults.sort_by_key(|fault| fault.line);
        Err(Faults { file: path.to_owned(), faults })
    }

    /// Its path, as the reader was told it.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// What the table `table` has for the flag `long`.
    pub(super) fn setting(&self, table: &str, long: &str) -> Option<&Setting> {
        self.settings.iter().find(|setting| setting.table == table && setting.key == long)
    }
}

/// What stands in `file`, which must be UTF-8.
fn text<'a>(file: &str, bytes: &'a [u8]) -> Result<&'a str, Faults> {
    std::str::from_utf8(bytes).map_err(|error| {
        let message = "is not UTF-8; save the file in that encoding".to_owned();
        let fault = Fault { line: line(bytes, error.valid_up_to()), message };
        Faults { file: file.to_owned(), faults: vec![fault] }
    })
}

/// The line of the byte at `place`, counted from 1.
fn line(text: &[u8], place: usize) -> usize {
    text[..place.min(text.len())].split(|&byte| byte == b'\n').count()
}

/// Holds a file against the command.
struct Reader<'a> {
    text: &'a str,
    leaves: Vec<Leaf<'a>>,
    settings: Vec<Setting>,
    faults: Vec<Fault>,
}

impl<'a> Reader<'a> {
    fn root(&mut self, root: &'a Command, table: &DeTable<'_>) {
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            let below = commands(root, true).find(|below| below.get_name() == name);
            match (below, value.get_ref()) {
                (_, DeValue::Table(table)) if name == SHARED => self.shared(table),
                (Some(below), DeValue::Table(table)) => self.command(&[name], below, table),
                (None, DeValue::Table(_)) => {
                    let known = commands(root, true).map(Command::get_name).chain([SHARED]);
                    let message = format!(
                        "this build of `{}` has no command `{name}`{}",
                        root.get_name(),
                        closest(name, known)
                    );
                    self.fault(&key.span(), message);
                }
                _ => {
                    let message = self.elsewhere(name, "outside of tables");
                    self.fault(&key.span(), message);
                }
            }
        }
    }

    fn command(&mut self, path: &[&str], command: &'a Command, table: &DeTable<'_>) {
        if !command.has_subcommands() {
            return self.leaf(&path.join("."), table);
        }
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            let below = commands(command, false).find(|below| below.get_name() == name);
            if let (Some(below), DeValue::Table(table)) = (below, value.get_ref()) {
                self.command(&[path, &[name]].concat(), below, table);
            } else {
                let tables: Vec<String> = commands(command, false)
                    .map(|below| format!("`[{}.{}]`", path.join("."), below.get_name()))
                    .collect();
                let message = format!(
                    "`{name}` cannot stand in `[{}]`; its tables are {}",
                    path.join("."),
                    tables.join(", ")
                );
                self.fault(&key.span(), message);
            }
        }
    }

    fn leaf(&mut self, name: &str, table: &DeTable<'_>) {
        let Some(leaf) = self.leaves.iter().find(|leaf| leaf.table() == name).cloned() else { return };
        for (key, value) in table {
            if let Some(arg) = leaf.flag(key.get_ref()) {
                self.setting(name, arg, key.span(), value);
            } else {
                let known = flags(leaf.command).filter_map(Arg::get_long);
                let message = format!(
                    "unknown key `{0}` in `[{name}]`{1}",
                    key.get_ref(),
                    closest(key.get_ref(), known)
                );
                self.fault(&key.span(), message);
            }
        }
    }

    fn shared(&mut self, table: &DeTable<'_>) {
        for (key, value) in table {
            let found = self.leaves.iter().filter_map(|leaf| leaf.flag(key.get_ref()));
            let shared: Vec<&Arg> = found.filter(|arg| is_shared(&self.leaves, arg)).collect();
            if shared.is_empty() {
                let message = self.elsewhere(key.get_ref(), "in `[shared]`");
                self.fault(&key.span(), message);
            }
            for arg in shared {
                self.setting(SHARED, arg, key.span(), value);
            }
        }
    }

    /// What to say of a key that cannot stand where it does.
    fn elsewhere(&self, key: &str, place: &str) -> String {
        let homes = self.leaves.iter().filter_map(|leaf| leaf.flag(key).map(|arg| (leaf, arg)));
        let (shared, own): (Vec<_>, Vec<_>) = homes.partition(|(_, arg)| is_shared(&self.leaves, arg));
        let mut tables: Vec<String> = own.iter().map(|(leaf, _)| format!("`[{}]`", leaf.table())).collect();
        if !shared.is_empty() {
            tables.insert(0, format!("`[{SHARED}]`"));
        }
        if tables.is_empty() {
            let all = self.leaves.iter().flat_map(|leaf| flags(leaf.command)).filter_map(Arg::get_long);
            return format!("unknown key `{key}` {place}{}", closest(key, all));
        }
        format!("`{key}` cannot stand {place}; it belongs in {}", tables.join(" or "))
    }

    fn setting(&mut self, table: &str, arg: &Arg, span: Range<usize>, value: &Spanned<DeValue<'_>>) {
        match arguments(arg, value) {
            Ok(arguments) => {
                let key = arg.get_long().unwrap_or_default().to_owned();
                let line = self.line(&span);
                self.settings.push(Setting { table: table.to_owned(), key, line, arguments });
            }
            Err(refusals) => {
                for (span, message) in refusals {
                    self.fault(&span, message);
                }
            }
        }
    }

    /// Notes a fault, unless it is known: commands that share a flag all have it.
    fn fault(&mut self, span: &Range<usize>, message: String) {
        let fault = Fault { line: self.line(span), message };
        if !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
    }

    fn line(&self, span: &Range<usize>) -> usize {
        line(self.text.as_bytes(), span.start)
    }
}

#[cfg(test)]
mod tests {
    use super::super::with_env;
    use super::*;

    fn command() -> Command {
        let flag = |long: &'static str| Arg::new(long).long(long);
        let model = || flag("model").env("APP_MODEL");
        let directory = || flag("directory").env("APP_DIRECTORY");
        let serve = Command::new("serve").args([model(), directory(), flag("listen"), flag("max-texts")]);
        let check = Command::new("check").args([model(), directory(), flag("limit")]);
        let command = Command::new("app")
            .arg(flag("config").global(true))
            .subcommands([serve, Command::new("directory").subcommand(check)]);
        with_env(command)
    }

    fn faults(text: &str) -> Vec<String> {
        let faults = ConfigFile::parse(&command(), "app.toml", text).unwrap_err();
        faults.to_string().lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_flag_and_a_command_of_one_name_can_both_be_set() {
        let text = "[shared]\ndirectory = 'a.toml'\n[directory.check]\nlimit = '3'\n";
        let file = ConfigFile::parse(&command(), "app.toml", text).unwrap();
        let line = |table, key| file.setting(table, key).map(|setting| setting.line);
        assert_eq!(line("shared", "directory"), Some(2));
        assert_eq!(line("directory.check", "limit"), Some(4));
        assert_eq!(line("serve", "directory"), None);
    }

    #[test]
    fn all_unknown_keys_and_tables_are_told_at_once_with_the_nearest() {
        let text = "[serve]\nlistne = 'a'\nmax_texts = '1'\nzzz = 1\n[srve]\n[shared]\nmodle = 'a'\n[directory.chek]\n";
        assert_eq!(
            faults(text),
            [
                "app.toml:2: unknown key `listne` in `[serve]`; is `listen` meant?",
                "app.toml:3: unknown key `max_texts` in `[serve]`; is `max-texts` meant?",
                "app.toml:4: unknown key `zzz` in `[serve]`",
                "app.toml:5: this build of `app` has no command `srve`; is `serve` meant?",
                "app.toml:7: unknown key `modle` in `[shared]`; is `model` meant?",
                "app.toml:8: `chek` cannot stand in `[directory]`; its tables are `[directory.check]`",
            ]
        );
    }

    #[test]
    fn a_key_in_the_wrong_place_is_told_where_it_belongs() {
        assert_eq!(
            faults("model = 'a'\ndirectory = 'b'\n[shared]\nlisten = 'c'\n"),
            [
                "app.toml:1: `model` cannot stand outside of tables; it belongs in `[shared]`",
                "app.toml:2: `directory` cannot stand outside of tables; it belongs in `[shared]`",
                "app.toml:4: `listen` cannot stand in `[shared]`; it belongs in `[serve]`",
            ]
        );
    }

    #[test]
    fn a_fault_of_a_shared_flag_is_told_once() {
        assert_eq!(
            faults("[shared]\nmodel = 3\n"),
            ["app.toml:2: `model` expects a text in quotes, not a whole number"]
        );
    }

    #[test]
    fn the_file_cannot_name_another() {
        assert_eq!(
            faults("[shared]\nconfig = 'b.toml'\n"),
            ["app.toml:2: unknown key `config` in `[shared]`"]
        );
    }

    #[test]
    fn syntax_errors_are_told_with_their_lines() {
        let faults = faults("[serve]\nlisten = \nmax-texts = maybe\n");
        assert!(faults[0].starts_with("app.toml:2: ") && faults[1].starts_with("app.toml:3: "), "{faults:?}");
    }

    #[test]
    fn a_named_file_must_be_there_and_a_usual_one_need_not() {
        let missing = Path::new("no/such/folder/app.toml");
        assert!(matches!(ConfigFile::find(&command(), Some(missing)), Err(FileError::Read { .. })));
        assert!(ConfigFile::find(&command(), None).unwrap().is_none());
    }
}
