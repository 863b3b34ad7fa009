//! Who sets what: the layers of settings become one command line, which clap then reads as if all had been typed.

use std::collections::HashMap;
use std::ffi::OsString;

use clap::builder::{OsStr, Resettable, StyledStr};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, Id};

use super::ConfigFile;
use super::keys::{Leaf, SHARED, built, flags, is_shared, leaves};
use super::typed::{Typed, is_about_several, last, leniently, place_after};

/// Where a setting comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// It was typed.
    CommandLine,
    /// An environment variable, by name.
    Environment(String),
    /// A file.
    File {
        /// Its path.
        path: String,
        /// The line, counted from 1.
        line: usize,
    },
}

/// A command line that environment and file have been added to.
#[derive(Debug)]
pub(super) struct Settled {
    command: Command,
    args: Vec<OsString>,
    /// Where settings come from, by the flags' ids; those that are not here are defaults.
    pub(super) origins: HashMap<Id, Origin>,
    /// Settings put aside for a stronger one that they conflict with: where they stand, and what they yield to.
    pub(super) yielded: HashMap<Id, (Origin, String)>,
    /// What the file adds, for who wonders about an error.
    added: Vec<String>,
}

impl Settled {
    /// Adds `file` to what was `typed`.
    pub(super) fn new(command: &Command, typed: &Typed, file: Option<&ConfigFile>) -> Self {
        let mut settled = Self {
            command: command.clone(),
            args: typed.args.clone(),
            origins: HashMap::new(),
            yielded: HashMap::new(),
            added: Vec::new(),
        };
        let root = built(command);
        let leaves = leaves(&root);
        let (path, matches) = last(&typed.matches);
        let Some(leaf) = leaves.iter().find(|leaf| leaf.path == path) else { return settled };
        let mut set = settled.add_typed(leaf, typed, matches);
        settled.add_environment(leaf, matches, &mut set);
        if let Some(file) = file {
            let place = place_after(&settled.command, &settled.args, path.len());
            let own = flags(leaf.command).collect::<Vec<_>>();
            let shared = own.iter().copied().filter(|arg| is_shared(&leaves, arg)).collect();
            for (table, args) in [(leaf.table(), own), (SHARED.to_owned(), shared)] {
                settled.add_table(leaf, (file, &table), &args, place, &mut set);
            }
        }
        settled
    }

    /// What clap makes of all settings.
    pub(super) fn matches(&self) -> Result<ArgMatches, clap::Error> {
        let read = self.command.clone().try_get_matches_from(&self.args);
        read.map_err(|mut error| {
            if is_about_several(&error) && !self.added.is_empty() {
                let tips = self.added.iter().map(|added| StyledStr::from(added.clone())).collect();
                error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
            }
            error
        })
    }

    /// What clap makes of all settings where something else may be missing.
    pub(super) fn matches_so_far(&self) -> Result<ArgMatches, clap::Error> {
        match self.matches() {
            Err(error) if error.kind() == ErrorKind::MissingRequiredArgument => {
                leniently(&self.command, &self.args)
            }
            read => read,
        }
    }

    fn add_typed<'a>(&mut self, leaf: &Leaf<'a>, typed: &Typed, matches: &ArgMatches) -> Vec<&'a Arg> {
        let set: Vec<&Arg> = from(leaf.command, matches, ValueSource::CommandLine).collect();
        let ids = set.iter().map(|arg| arg.get_id()).chain(&typed.off);
        self.origins.extend(ids.map(|id| (id.clone(), Origin::CommandLine)));
        set
    }

    fn add_environment<'a>(&mut self, leaf: &Leaf<'a>, matches: &ArgMatches, set: &mut Vec<&'a Arg>) {
        let stronger = set.clone();
        let mut silenced = Vec::new();
        for arg in from(leaf.command, matches, ValueSource::EnvVariable) {
            let name = arg.get_env().unwrap_or_default().to_string_lossy().into_owned();
            let origin = Origin::Environment(name);
            let id = arg.get_id();
            // Turned off on the command line.
            if self.origins.contains_key(id) {
                silenced.push(id.clone());
                continue;
            }
            if let Some(other) = conflicting(leaf.command, arg, &stronger) {
                self.yielded.insert(id.clone(), (origin, other.to_string()));
                silenced.push(id.clone());
                continue;
            }
            self.origins.insert(id.clone(), origin);
            // To clap, a flag that the environment sets to `false` is there, and conflicts with others.
            if matches!(arg.get_action(), ArgAction::SetTrue) && !matches.get_flag(id.as_str()) {
                silenced.push(id.clone());
            } else {
                set.push(arg);
            }
        }
        self.command = silence(self.command.clone(), &leaf.path, &silenced);
    }

    /// Adds what a table of the file has for `args`, after the argument `place`.
    fn add_table<'a>(
        &mut self,
        leaf: &Leaf<'a>,
        (file, table): (&ConfigFile, &str),
        args: &[&'a Arg],
        place: usize,
        set: &mut Vec<&'a Arg>,
    ) {
        let stronger = set.clone();
        for &arg in args {
            let (id, long) = (arg.get_id(), arg.get_long().unwrap_or_default());
            let Some(setting) = file.setting(table, long) else { continue };
            if self.origins.contains_key(id) {
                continue;
            }
            let origin = Origin::File { path: file.path().to_owned(), line: setting.line };
            if setting.arguments.is_empty() {
                self.origins.insert(id.clone(), origin);
            } else if let Some(other) = conflicting(leaf.command, arg, &stronger) {
                self.yielded.entry(id.clone()).or_insert((origin, other.to_string()));
            } else {
                self.origins.insert(id.clone(), origin);
                self.added.push(format!("`{long}` is set in {}:{}", file.path(), setting.line));
                self.args.splice(place..place, setting.arguments.iter().map(OsString::from));
                set.push(arg);
            }
        }
    }
}

/// The arguments of `command` that were set by `source`.
fn from<'a>(
    command: &'a Command,
    matches: &ArgMatches,
    source: ValueSource,
) -> impl Iterator<Item = &'a Arg> {
    command.get_arguments().filter(move |arg| {
        let id = arg.get_id().as_str();
        matches.try_contains_id(id).is_ok() && matches.value_source(id) == Some(source)
    })
}

/// The first of `others` that cannot be set together with `arg`.
fn conflicting<'a>(command: &Command, arg: &Arg, others: &[&'a Arg]) -> Option<&'a Arg> {
    let excludes = |one: &Arg, other: &Arg| {
        command.get_arg_conflicts_with(one).iter().any(|named| named.get_id() == other.get_id())
    };
    let in_one_group = |other: &Arg| {
        command.get_groups().any(|group| {
            let has = |arg: &Arg| group.get_args().any(|id| id == arg.get_id());
            !group.clone().is_multiple() && has(arg) && has(other)
        })
    };
    let conflicts = |other: &&&Arg| {
        other.get_id() != arg.get_id()
            && (excludes(arg, other) || excludes(other, arg) || in_one_group(other))
    };
    others.iter().find(conflicts).copied()
}

/// Has the flags `ids` of the command at `path` not read their variables.
fn silence(command: Command, path: &[&str], ids: &[Id]) -> Command {
    let command = command
        .mut_args(|arg| if ids.contains(arg.get_id()) { arg.env(Resettable::<OsStr>::Reset) } else { arg });
    match path {
        [name, below @ ..] if !ids.is_empty() => {
            command.mut_subcommand(*name, |command| silence(command, below, ids))
        }
        _ => command,
    }
}

#[cfg(test)]
mod tests {
    use super::super::with_env;
    use super::*;

    /// A program that measures: `app [--threads N] bench FLAGS` and `app directory check --json`.
    fn command() -> Command {
        let flag = |long: &'static str| Arg::new(long).long(long);
        let switch = |long: &'static str| flag(long).action(ArgAction::SetTrue);
        let bench = Command::new("bench").args([
            switch("in-process").required_unless_present("endpoint").conflicts_with("endpoint"),
            flag("endpoint"),
            flag("concurrency").default_value("16").requires("endpoint"),
            flag("slice").action(ArgAction::Append),
            flag("output").required(true),
            Arg::new("input").num_args(0..),
        ]);
        let check = Command::new("check").arg(switch("json"));
        let command = Command::new("app")
            .arg(flag("threads").global(true))
            .subcommands([bench, Command::new("directory").subcommand(check)]);
        with_env(command)
    }

    fn settle(file: &str, args: &[&str]) -> Result<ArgMatches, clap::Error> {
        let args: Vec<OsString> = args.iter().map(OsString::from).collect();
        let file = ConfigFile::parse(&command(), "app.toml", file).unwrap();
        Settled::new(&command(), &Typed::read(&command(), &args)?, Some(&file)).matches()
    }

    fn text<'a>(matches: &'a ArgMatches, id: &str) -> Option<&'a str> {
        last(matches).1.get_one::<String>(id).map(String::as_str)
    }

    #[test]
    fn what_is_typed_is_stronger_than_the_file_and_the_file_than_defaults() {
        let file = "[bench]\noutput = 'a'\nendpoint = 'e'\nconcurrency = '3'\n";
        let matches = settle(file, &["app", "bench", "--output", "b"]).unwrap();
        assert_eq!(["output", "concurrency"].map(|id| text(&matches, id).unwrap()), ["b", "3"]);
    }

    #[test]
    fn the_table_of_the_command_is_stronger_than_the_shared_one() {
        let file = "[shared]\nthreads = '2'\n[bench]\nthreads = '3'\n";
        let matches = settle(file, &["app", "bench", "--output", "b", "--in-process"]).unwrap();
        assert_eq!(text(&matches, "threads"), Some("3"));
        let matches = settle(file, &["app", "directory", "check"]).unwrap();
        assert_eq!(text(&matches, "threads"), Some("2"));
        let matches = settle(file, &["app", "--threads", "4", "directory", "check"]).unwrap();
        assert_eq!(text(&matches, "threads"), Some("4"));
    }

    #[test]
    fn commands_of_commands_have_settings() {
        let matches = settle("[directory.check]\njson = true\n", &["app", "directory", "check"]).unwrap();
        assert!(last(&matches).1.get_flag("json"));
    }

    #[test]
    fn the_file_can_give_what_is_required() {
        let args = ["app", "bench", "--concurrency", "3"];
        assert!(settle("[bench]\noutput = 'a'\nendpoint = 'e'\n", &args).is_ok());
        let error = settle("[bench]\nendpoint = 'e'\n", &args).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::MissingRequiredArgument);
        assert!(error.to_string().contains("--output"), "{error}");
    }

    #[test]
    fn what_the_file_sets_requires_what_it_would_if_typed_and_the_error_says_where() {
        let error = settle("[bench]\nconcurrency = '3'\n", &["app", "bench", "--output", "b"])
            .unwrap_err()
            .to_string();
        assert!(error.contains("--endpoint"), "{error}");
        assert!(error.contains("`concurrency` is set in app.toml:2"), "{error}");
    }

    #[test]
    fn the_file_yields_to_what_is_typed_if_they_conflict() {
        let file = "[bench]\noutput = 'a'\nendpoint = 'e'\nconcurrency = '3'\n";
        let matches = settle(file, &["app", "bench", "--in-process"]).unwrap();
        assert_eq!(text(&matches, "endpoint"), None);
        assert!(last(&matches).1.get_flag("in-process"));
    }

    #[test]
    fn settings_of_one_table_that_conflict_are_an_error_that_names_both() {
        let file = "[bench]\noutput = 'a'\nendpoint = 'e'\nin-process = true\n";
        let error = settle(file, &["app", "bench"]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ArgumentConflict);
        let error = error.to_string();
        assert!(error.contains("app.toml:3") && error.contains("app.toml:4"), "{error}");
    }

    #[test]
    fn a_flag_set_to_false_conflicts_with_nothing() {
        let file = "[bench]\noutput = 'a'\nendpoint = 'e'\nin-process = false\n";
        let matches = settle(file, &["app", "bench"]).unwrap();
        assert!(!last(&matches).1.get_flag("in-process"));
        assert_eq!(text(&matches, "endpoint"), Some("e"));
    }

    #[test]
    fn a_flag_of_the_file_can_be_turned_off() {
        let file = "[bench]\noutput = 'a'\nendpoint = 'e'\nin-process = true\n";
        let matches = settle(file, &["app", "bench", "--in-process=false"]).unwrap();
        assert!(!last(&matches).1.get_flag("in-process"));
        assert_eq!(text(&matches, "endpoint"), Some("e"));
    }

    #[test]
    fn repeated_flags_take_the_place_of_the_list_in_the_file() {
        let file = "[bench]\noutput = 'a'\nin-process = true\nslice = ['x', 'y']\n";
        let slices = |args: &[&str]| {
            let matches = settle(file, args).unwrap();
            last(&matches).1.get_many::<String>("slice").unwrap().cloned().collect::<Vec<_>>()
        };
        assert_eq!(slices(&["app", "bench"]), ["x", "y"]);
        assert_eq!(slices(&["app", "bench", "--slice", "z"]), ["z"]);
    }

    #[test]
    fn arguments_that_look_like_commands_or_flags_stay_what_they_are() {
        let file = "[bench]\noutput = '--input'\nendpoint = '-e'\n";
        let matches =
            settle(file, &["app", "--threads", "directory", "bench", "--", "check", "--x"]).unwrap();
        let inputs: Vec<&String> = last(&matches).1.get_many("input").unwrap().collect();
        assert_eq!(inputs, ["check", "--x"]);
        assert_eq!(
            ["threads", "output", "endpoint"].map(|id| text(&matches, id).unwrap()),
            ["directory", "--input", "-e"]
        );
    }

    #[test]
    fn errors_of_what_is_typed_stay_clap_s() {
        let error = settle("[bench]\noutput = 'a'\n", &["app", "bench", "--outptu", "b"]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnknownArgument);
    }
}
