//! Which settings there are, read off the [`Command`]: flags with a long name, of commands that do something.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Arg, ArgAction, Command};

/// The table of the flags that several commands share.
pub(super) const SHARED: &str = "shared";

/// The flag that names the file, and the command that shows settings; neither stands in the file.
pub(super) const CONFIG: &str = "config";

/// Ends of the names of flags whose values are never shown; others are marked by [`Arg::hide_env_values`].
const SECRET_ENDS: [&str; 5] = ["key", "keys", "token", "password", "secret"];

/// A command without commands of its own: it has a table in the file.
#[derive(Debug, Clone)]
pub(super) struct Leaf<'a> {
    /// The names that are typed after the program's.
    pub(super) path: Vec<&'a str>,
    /// The command.
    pub(super) command: &'a Command,
}

impl<'a> Leaf<'a> {
    /// The table's name.
    pub(super) fn table(&self) -> String {
        self.path.join(".")
    }

    /// The flag that the key `key` of the table stands for.
    pub(super) fn flag(&self, key: &str) -> Option<&'a Arg> {
        flags(self.command).find(|arg| arg.get_long() == Some(key))
    }
}

/// The command with the global flags at each command that has them.
pub(super) fn built(command: &Command) -> Command {
    let mut command = command.clone();
    command.build();
    command
}

/// All leaves of a command that is [`built`], but those that show settings.
pub(super) fn leaves(root: &Command) -> Vec<Leaf<'_>> {
    let mut leaves = Vec::new();
    collect(root, &[], &mut leaves);
    leaves
}

fn collect<'a>(command: &'a Command, path: &[&'a str], leaves: &mut Vec<Leaf<'a>>) {
    for below in commands(command, path.is_empty()) {
        let path = [path, &[below.get_name()]].concat();
        if below.has_subcommands() {
            collect(below, &path, leaves);
        } else {
            leaves.push(Leaf { path, command: below });
        }
    }
}

/// The commands right below `command` that can have tables.
pub(super) fn commands(command: &Command, is_root: bool) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(move |below| {
        let name = below.get_name();
        name != "help" && !(is_root && name == CONFIG)
    })
}

/// The flags of a command that a file can set.
pub(super) fn flags(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|arg| is_settable(arg) && arg.get_id() != CONFIG)
}

/// Whether environment and file can set `arg`.
pub(super) fn is_settable(arg: &Arg) -> bool {
    let acts = matches!(
        arg.get_action(),
        ArgAction::Set | ArgAction::Append | ArgAction::SetTrue | ArgAction::SetFalse | ArgAction::Count
    );
    acts && arg.get_long().is_some()
}

/// Whether `arg` means the same wherever it is: it is global, or other commands read it from the same variable.
pub(super) fn is_shared(leaves: &[Leaf<'_>], arg: &Arg) -> bool {
    let is_same = |other: &Arg| other.get_long() == arg.get_long() && other.get_env() == arg.get_env();
    let places = leaves.iter().filter(|leaf| flags(leaf.command).any(is_same)).count();
    arg.is_global_set() || (arg.get_env().is_some() && places > 1)
}

/// Whether the value of `arg` must not be shown. Where a secret lies is none: `--tls-key FILE`.
pub(super) fn is_secret(arg: &Arg) -> bool {
    let last_word = arg.get_long().and_then(|long| long.rsplit('-').next());
    let is_path = arg.get_value_parser().type_id() == TypeId::of::<PathBuf>();
    let is_named_so = !is_path && last_word.is_some_and(|word| SECRET_ENDS.contains(&word));
    arg.is_hide_env_values_set() || is_named_so
}

/// What keeps flags of `command` from being set by environment and file, a sentence each; for a test of the program.
///
/// `command` is what [`with_env`](super::with_env) gave.
pub fn uncovered(command: &Command) -> Vec<String> {
    let root = built(command);
    let mut gaps = Vec::new();
    if root.find_subcommand(SHARED).is_some() {
        gaps.push(format!("the command `{SHARED}` has the name of the table of shared flags"));
    }
    gaps_below(&root, root.get_name(), true, &mut gaps);
    let mut names: BTreeMap<_, &str> = BTreeMap::new();
    for arg in leaves(&root).iter().flat_map(|leaf| flags(leaf.command)) {
        let (Some(env), Some(long)) = (arg.get_env(), arg.get_long()) else { continue };
        let first = *names.entry(env).or_insert(long);
        if first != long {
            gaps.push(format!("{} stands for both `--{first}` and `--{long}`", env.display()));
        }
    }
    gaps
}

fn gaps_below(command: &Command, typed: &str, is_root: bool, gaps: &mut Vec<String>) {
    for arg in command.get_arguments().filter(|arg| !arg.is_positional()) {
        let many = arg.get_num_args().is_some_and(|count| count.max_values() > 1);
        let is_help = matches!(
            arg.get_action(),
            ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong | ArgAction::Version
        );
        let gap = if is_help {
            continue;
        } else if !is_settable(arg) {
            "has no long name or an action that cannot be set"
        } else if arg.get_env().is_none() {
            "has no environment variable"
        } else if command.has_subcommands() && !arg.is_global_set() {
            "is a flag of a command with commands below, and not global"
        } else if many {
            "takes several values at once"
        } else {
            continue;
        };
        gaps.push(format!("`{typed} {arg}` {gap}"));
    }
    for below in commands(command, is_root) {
        gaps_below(below, &format!("{typed} {}", below.get_name()), false, gaps);
    }
}

#[cfg(test)]
mod tests {
    use clap::value_parser;

    use super::super::with_env;
    use super::*;

    fn flag(long: &'static str) -> Arg {
        Arg::new(long).long(long)
    }

    #[test]
    fn every_flag_of_every_command_can_be_set() {
        let check = Command::new("check").arg(flag("json").action(ArgAction::SetTrue)).arg(Arg::new("file"));
        let command = Command::new("app")
            .arg(flag("threads").global(true))
            .subcommand(Command::new("serve").arg(flag("listen").env("APP_LISTEN")))
            .subcommand(Command::new("directory").subcommand(check));
        assert_eq!(uncovered(&with_env(command)), Vec::<String>::new());
    }

    #[test]
    fn flags_that_cannot_be_set_are_told() {
        let serve = Command::new("serve")
            .arg(Arg::new("short").short('s').action(ArgAction::SetTrue))
            .arg(flag("pair").num_args(2))
            .arg(flag("port").env("APP_LISTEN"));
        let command = Command::new("app")
            .arg(flag("own"))
            .subcommand(serve)
            .subcommand(Command::new("probe").arg(flag("listen").env("APP_LISTEN")));
        assert_eq!(
            uncovered(&with_env(command)),
            [
                "`app --own <own>` is a flag of a command with commands below, and not global",
                "`app serve -s` has no long name or an action that cannot be set",
                "`app serve --pair <pair> <pair>` takes several values at once",
                "APP_LISTEN stands for both `--port` and `--listen`",
            ]
        );
    }

    #[test]
    fn a_flag_is_shared_if_commands_read_it_from_one_variable() {
        let command = Command::new("app")
            .arg(flag("threads").global(true))
            .subcommand(Command::new("serve").arg(flag("model").env("APP_MODEL")).arg(flag("output")))
            .subcommand(Command::new("bench").arg(flag("model").env("APP_MODEL")).arg(flag("output")))
            .subcommand(Command::new("round").arg(flag("model")).arg(flag("output")));
        let root = built(&with_env(command));
        let leaves = leaves(&root);
        let shared = |leaf: usize, key| is_shared(&leaves, leaves[leaf].flag(key).unwrap());
        assert!(shared(0, "model") && shared(1, "model") && shared(2, "threads"));
        assert!(!shared(2, "model") && !shared(0, "output"));
    }

    #[test]
    fn secrets_are_known_by_their_last_word_or_by_a_mark_and_paths_are_none() {
        assert!(["api-key", "token", "s3-password"].iter().all(|long| is_secret(&flag(long))));
        assert!(!["keyboard", "max-tokens", "key-file"].iter().any(|long| is_secret(&flag(long))));
        assert!(is_secret(&flag("endpoint").hide_env_values(true)));
        assert!(!is_secret(&flag("tls-key").value_parser(value_parser!(PathBuf))));
    }
}
