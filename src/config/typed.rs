//! What was typed, and what the environment says, read as far as that goes without the file.

use std::ffi::{OsStr, OsString};

use clap::builder::{BoolishValueParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{ArgAction, ArgMatches, Command, Id};

use super::keys::{built, leaves};

/// A command line.
#[derive(Debug)]
pub(super) struct Typed {
    /// The arguments, the program's name first, without flags that are turned off.
    pub(super) args: Vec<OsString>,
    /// Flags that are turned off, as by `--resume=false`.
    pub(super) off: Vec<Id>,
    /// What was read.
    pub(super) matches: ArgMatches,
    /// Whether nothing is missing, and all goes together: a file is not needed.
    pub(super) is_whole: bool,
}

impl Typed {
    /// Reads `args` and the environment. Whether all is there that is required, and whether settings go together, cannot
    /// be said before the file is read.
    pub(super) fn read(command: &Command, args: &[OsString]) -> Result<Self, clap::Error> {
        let (args, off) = turned_off(command, args);
        let (matches, is_whole) = match command.clone().try_get_matches_from(&args) {
            Err(error) if is_about_several(&error) => (leniently(command, &args)?, false),
            read => (read?, true),
        };
        Ok(Self { args, off, matches, is_whole })
    }
}

/// Reads arguments as far as they go.
pub(super) fn leniently(command: &Command, args: &[OsString]) -> Result<ArgMatches, clap::Error> {
    command.clone().ignore_errors(true).try_get_matches_from(args)
}

/// Whether an error can come from a setting that stands elsewhere.
pub(super) fn is_about_several(error: &clap::Error) -> bool {
    matches!(error.kind(), ErrorKind::MissingRequiredArgument | ErrorKind::ArgumentConflict)
}

/// The names of the commands that were typed, and what was read for the last of them.
pub(super) fn last(matches: &ArgMatches) -> (Vec<&str>, &ArgMatches) {
    let mut path = Vec::new();
    let mut last = matches;
    while let Some((name, below)) = last.subcommand() {
        path.push(name);
        last = below;
    }
    (path, last)
}

/// How many arguments it takes to name a command at `depth`: what comes after them is the command's own.
pub(super) fn place_after(command: &Command, args: &[OsString], depth: usize) -> usize {
    let names_it =
        |&end: &usize| leniently(command, &args[..end]).is_ok_and(|read| last(&read).0.len() == depth);
    (1..args.len()).find(names_it).unwrap_or(args.len())
}

/// Takes `--resume=false` for a flag that is not set, and `--resume=true` for `--resume`; the last one counts. To clap such a
/// flag has no value, and while it is there it conflicts with others and requires others.
fn turned_off(command: &Command, args: &[OsString]) -> (Vec<OsString>, Vec<Id>) {
    let unchanged = (args.to_vec(), Vec::new());
    if !args.iter().any(|arg| switched(arg).is_some()) {
        return unchanged;
    }
    let root = built(command);
    let read = leniently(command, args);
    let path = read.as_ref().map(|read| last(read).0).unwrap_or_default();
    let Some(leaf) = leaves(&root).into_iter().find(|leaf| leaf.path == path) else { return unchanged };
    let (before, rest) = args.split_at(place_after(command, args, path.len()));
    let (own, after) = rest.split_at(rest.iter().position(|arg| arg == "--").unwrap_or(rest.len()));
    let (mut kept, mut off) = (before.to_vec(), Vec::new());
    for arg in own {
        let typed = arg.to_str().and_then(|arg| arg.strip_prefix("--"));
        let (long, is_on) = switched(arg).or(typed.map(|long| (long, true))).unwrap_or_default();
        let Some(flag) = leaf.flag(long).filter(|flag| matches!(flag.get_action(), ArgAction::SetTrue))
        else {
            kept.push(arg.clone());
            continue;
        };
        let typed = OsString::from(format!("--{long}"));
        off.retain(|id| id != flag.get_id());
        if is_on {
            kept.push(typed);
        } else {
            kept.retain(|kept| *kept != typed);
            off.push(flag.get_id().clone());
        }
    }
    kept.extend_from_slice(after);
    (kept, off)
}

/// The name and the value of `--resume=false`, and of what looks like it.
fn switched(arg: &OsStr) -> Option<(&str, bool)> {
    let (long, value) = arg.to_str()?.strip_prefix("--")?.split_once('=')?;
    let read = BoolishValueParser::new().parse_ref(&Command::default(), None, OsStr::new(value));
    Some((long, read.ok()?))
}

#[cfg(test)]
mod tests {
    use clap::Arg;

    use super::super::with_env;
    use super::*;

    fn command() -> Command {
        let switch = |long: &'static str| Arg::new(long).long(long).action(ArgAction::SetTrue);
        let batch = Command::new("batch").args([
            switch("resume"),
            switch("overwrite").conflicts_with("resume"),
            switch("changes").requires("resume"),
            Arg::new("title").long("title"),
            Arg::new("input").num_args(0..),
        ]);
        with_env(Command::new("app").subcommand(batch))
    }

    fn read(args: &[&str]) -> (Vec<OsString>, Vec<String>) {
        let args: Vec<OsString> = ["app", "batch"].iter().chain(args).map(OsString::from).collect();
        let Typed { args, off, .. } = Typed::read(&command(), &args).unwrap();
        (args[2..].to_vec(), off.iter().map(Id::to_string).collect())
    }

    #[test]
    fn a_flag_that_is_turned_off_is_not_there() {
        let (args, off) = read(&["--resume=false", "--overwrite", "--changes=no"]);
        assert_eq!(args, ["--overwrite"]);
        assert_eq!(off, ["resume", "changes"]);
    }

    #[test]
    fn the_last_one_counts() {
        assert_eq!(read(&["--resume", "x", "--resume=off"]), (vec!["x".into()], vec!["resume".to_owned()]));
        assert_eq!(read(&["--resume=0", "--resume"]), (vec!["--resume".into()], Vec::new()));
        assert_eq!(read(&["--resume=false", "--resume=yes"]), (vec!["--resume".into()], Vec::new()));
    }

    #[test]
    fn what_only_looks_like_it_stays() {
        let typed = ["--title=false", "--", "--resume=false"];
        assert_eq!(read(&typed), (typed.map(OsString::from).to_vec(), Vec::new()));
        let args = ["app", "batch", "--resume=maybe"].map(OsString::from);
        assert!(Typed::read(&command(), &args).unwrap_err().to_string().contains("maybe"));
    }
}
