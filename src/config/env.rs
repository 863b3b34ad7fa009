//! Names of environment variables for flags that have none.

use clap::builder::BoolishValueParser;
use clap::{Arg, ArgAction, Command};

use super::keys::{is_secret, is_settable};

/// Gives each flag without an environment variable one: `JIESU_BATCH_OUTPUT` for `jiesu batch --output`.
///
/// The commands' names are always in it, so that a new command never changes what a variable means. Help, which would
/// become twice as long, names only the variables that were there, and never the values of secrets. Flags without a value
/// take what [`BoolishValueParser`] does, such as `true` or `0`.
pub fn with_env(command: Command) -> Command {
    let name = command.get_name().to_owned();
    name_below(command, &name)
}

fn name_below(command: Command, prefix: &str) -> Command {
    command.mut_args(|arg| name(arg, prefix)).mut_subcommands(|below| {
        let prefix = format!("{prefix}-{}", below.get_name());
        name_below(below, &prefix)
    })
}

fn name(arg: Arg, prefix: &str) -> Arg {
    let secret = is_secret(&arg);
    let arg = arg.hide_env_values(secret);
    let Some(long) = arg.get_long().filter(|_| is_settable(&arg) && arg.get_env().is_none()) else {
        return arg;
    };
    let name = format!("{prefix}-{long}").to_uppercase().replace('-', "_");
    let is_flag = matches!(arg.get_action(), ArgAction::SetTrue | ArgAction::SetFalse);
    let arg = if is_flag { arg.value_parser(BoolishValueParser::new()) } else { arg };
    arg.env(name).hide_env(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable<'a>(command: &'a Command, path: &[&str], id: &str) -> &'a Arg {
        let command = path.iter().fold(command, |command, name| command.find_subcommand(name).unwrap());
        command.get_arguments().find(|arg| arg.get_id() == id).unwrap()
    }

    #[test]
    fn variables_carry_the_names_of_the_commands() {
        let test = Command::new("test").arg(Arg::new("top-k").long("top-k"));
        let command = Command::new("app")
            .arg(Arg::new("threads").long("threads").global(true))
            .subcommand(Command::new("directory").subcommand(test));
        let command = with_env(command);
        assert_eq!(variable(&command, &[], "threads").get_env().unwrap(), "APP_THREADS");
        assert_eq!(
            variable(&command, &["directory", "test"], "top-k").get_env().unwrap(),
            "APP_DIRECTORY_TEST_TOP_K"
        );
    }

    #[test]
    fn names_that_are_given_stay() {
        let serve = Command::new("serve").arg(Arg::new("listen").long("listen").env("APP_LISTEN"));
        let command = with_env(Command::new("app").subcommand(serve));
        assert_eq!(variable(&command, &["serve"], "listen").get_env().unwrap(), "APP_LISTEN");
    }

    #[test]
    fn help_does_not_show_the_values_of_secrets() {
        let command = Command::new("app").arg(Arg::new("api-token").long("api-token").env("APP_TOKEN"));
        assert!(variable(&with_env(command), &[], "api-token").is_hide_env_values_set());
    }
}
