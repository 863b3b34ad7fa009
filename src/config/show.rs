//! Shows the settings of a command as TOML, with where each comes from.

use std::ffi::OsString;
use std::fmt::Write;

use clap::{Arg, ArgMatches, Command};
use toml::Value;

use super::keys::{Leaf, built, flags, is_secret, leaves};
use super::settle::{Origin, Settled};
use super::typed::{Typed, last, leniently, place_after};
use super::value::{Kind, is_list};
use super::{ConfigError, file_of};

/// What stands for the value of a secret.
const MASK: &str = "***";

/// The settings that a command line would have: a table for its command, or for each command below what is typed. `args`
/// is that line, the program's name first, with the words `config show` before the command's.
///
/// `command` is what [`with_env`](super::with_env) gave. Nothing that is required need be there. But for the values of
/// secrets, which are masked, the text has the form of the file.
///
/// # Errors
/// As [`parse`](super::parse), but for what is missing.
pub fn show(
    command: &Command,
    args: impl IntoIterator<Item = impl Into<OsString>>,
) -> Result<String, ConfigError> {
    let args = without_own_words(command, args.into_iter().map(Into::into).collect());
    let so_far = leniently(command, &args)?;
    let (path, _) = last(&so_far);
    let root = built(command);
    let leaves = leaves(&root);
    let mut tables = Vec::new();
    for leaf in leaves.iter().filter(|leaf| leaf.path.starts_with(&path)) {
        let rest = leaf.path[path.len()..].iter().map(OsString::from);
        let args: Vec<OsString> = args.iter().cloned().chain(rest).collect();
        let typed = Typed::read(command, &args)?;
        let file = file_of(command, &typed)?;
        let settled = Settled::new(command, &typed, file.as_ref());
        tables.push(table(leaf, &settled, &settled.matches_so_far()?));
    }
    Ok(tables.join("\n"))
}

/// The line to show: global flags may stand before, between and after `config` and `show`.
fn without_own_words(command: &Command, mut args: Vec<OsString>) -> Vec<OsString> {
    for depth in [2, 1] {
        let place = place_after(command, &args, depth);
        args.remove(place - 1);
    }
    args
}

fn table(leaf: &Leaf<'_>, settled: &Settled, matches: &ArgMatches) -> String {
    let (_, matches) = last(matches);
    let mut lines = Vec::new();
    for arg in flags(leaf.command) {
        let key = arg.get_long().unwrap_or_default();
        let value = value(arg, matches);
        let setting = match &value {
            Some(_) if is_secret(arg) => format!("{key} = \"{MASK}\""),
            Some(value) => format!("{key} = {value}"),
            None => format!("# {key}"),
        };
        lines.push((setting, comment(arg, settled, value.is_some())));
    }
    let width = lines.iter().map(|(setting, _)| setting.chars().count()).max().unwrap_or(0);
    lines.iter().fold(format!("[{}]\n", leaf.table()), |mut text, (setting, comment)| {
        let _ = writeln!(text, "{setting:width$}  # {comment}");
        text
    })
}

fn comment(arg: &Arg, settled: &Settled, has_value: bool) -> String {
    let origin = match settled.origins.get(arg.get_id()) {
        Some(origin) => describe(origin),
        None if has_value => "default".to_owned(),
        None => "not set".to_owned(),
    };
    match settled.yielded.get(arg.get_id()) {
        Some((yielded, to)) => format!("{origin}; {} yields to `{to}`", describe(yielded)),
        None => origin,
    }
}

fn describe(origin: &Origin) -> String {
    match origin {
        Origin::CommandLine => "command line".to_owned(),
        Origin::Environment(name) => format!("environment {name}"),
        Origin::File { path, line } => format!("{path}:{line}"),
    }
}

/// The value of `arg` in TOML.
fn value(arg: &Arg, matches: &ArgMatches) -> Option<String> {
    let kind = Kind::of(arg);
    let id = arg.get_id().as_str();
    match kind {
        Kind::Flag => return Some(matches.get_flag(id).to_string()),
        Kind::Count => return Some(matches.get_count(id).to_string()),
        Kind::Boolean | Kind::Integer | Kind::Number | Kind::Choice(_) | Kind::Text | Kind::Other => {}
    }
    let values: Vec<String> =
        matches.get_raw(id)?.map(|value| literal(&kind, &value.to_string_lossy())).collect();
    if is_list(arg) { Some(format!("[{}]", values.join(", "))) } else { values.into_iter().next() }
}

/// `text` as a TOML value of a kind.
fn literal(kind: &Kind, text: &str) -> String {
    let quoted = || Value::String(text.to_owned()).to_string();
    match kind {
        Kind::Integer => text.parse::<i128>().map_or_else(|_| quoted(), |integer| integer.to_string()),
        Kind::Number => text.parse().map_or_else(|_| quoted(), |number| Value::Float(number).to_string()),
        Kind::Boolean => text.to_owned(),
        Kind::Flag | Kind::Count | Kind::Choice(_) | Kind::Text | Kind::Other => quoted(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use clap::{ArgAction, value_parser};

    use super::super::with_env;
    use super::*;

    fn command() -> Command {
        let flag = |long: &'static str| Arg::new(long).long(long);
        let switch = |long: &'static str| flag(long).action(ArgAction::SetTrue);
        let batch = Command::new("batch").args([
            Arg::new("input").required(true),
            flag("output").required(true),
            flag("keep").action(ArgAction::Append).default_value("all"),
            flag("limit").value_parser(value_parser!(u64)),
            flag("share").value_parser(value_parser!(f64)).default_value("0.5"),
            flag("api-token"),
            switch("resume"),
            switch("overwrite").conflicts_with("resume"),
            flag("verbose").action(ArgAction::Count),
        ]);
        let check = Command::new("check").arg(switch("json"));
        let config = flag("config").global(true).value_parser(value_parser!(std::path::PathBuf));
        let directory = Command::new("directory").subcommand(check);
        let line = Arg::new("line").num_args(0..).trailing_var_arg(true).allow_hyphen_values(true);
        let own = Command::new("config").subcommand(Command::new("show").arg(line));
        with_env(Command::new("app").arg(config).subcommands([batch, directory, own]))
    }

    fn shown(file: &str, args: &[&str]) -> String {
        let mut at = tempfile::NamedTempFile::new().unwrap();
        at.write_all(file.as_bytes()).unwrap();
        let path = at.path().to_str().unwrap();
        let args = ["app", "--config", path, "config", "show"].into_iter().chain(args.iter().copied());
        show(&command(), args).unwrap().replace(path, "app.toml")
    }

    #[test]
    fn each_setting_has_its_value_and_where_it_comes_from() {
        let file = "[batch]\nkeep = ['区', 'b\"']\nlimit = 9\noverwrite = true\n";
        let expected = r#"[batch]
# output            # not set
keep = ["区", 'b"']  # app.toml:2
limit = 10          # command line
share = 0.5         # default
# api-token         # not set
resume = true       # command line
overwrite = false   # default; app.toml:4 yields to `--resume`
verbose = 0         # default
"#;
        assert_eq!(shown(file, &["batch", "--limit", "10", "--resume"]), expected);
    }

    #[test]
    fn secrets_are_masked_wherever_they_come_from() {
        let text = shown("[batch]\napi-token = 'hush'\n", &["batch"]);
        assert!(text.contains("api-token = \"***\"") && !text.contains("hush"), "{text}");
        let text = shown("", &["batch", "--api-token", "hush"]);
        assert!(text.contains("api-token = \"***\"") && !text.contains("hush"), "{text}");
    }

    #[test]
    fn without_a_command_all_are_shown() {
        let text = shown("[directory.check]\njson = true\n", &[]);
        assert!(
            text.contains("[batch]\n") && text.contains("\n[directory.check]\njson = true  # app.toml:2")
        );
        assert_eq!(shown("", &["directory"]), "[directory.check]\njson = false  # default\n");
    }

    #[test]
    fn what_is_shown_has_the_form_of_the_file() {
        let text =
            shown("", &["batch", "-", "--output", "a'\"\\\n", "--keep=x,y", "--share=1e-7", "--verbose"]);
        let again = shown(&text, &["batch"]);
        let settings = |text: &str| toml::from_str::<toml::Table>(text).unwrap();
        assert_eq!(settings(&again), settings(&text));
        assert!(again.contains("app.toml:2"), "{again}");
    }
}
