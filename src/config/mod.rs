//! Settings: what is typed, the environment and a file `jiesu.toml`, in this order of strength, then the defaults.
//!
//! The one list of settings is the [`clap::Command`]: [`with_env`] names an environment variable for each flag that
//! has none, and [`parse`] finds the file, holds it against the command and adds its settings to what was typed.
//! What a setting means is left to the commands.
//!
//! Settings of the file are put into the command line before clap reads it, each as `--flag=value`, where neither the
//! command line nor the environment has the flag. Clap has a way to change defaults instead, but to clap a default is
//! not there: with `records` in the file, `--decision-days 30`, which requires `--records`, would be refused, and two
//! flags that exclude each other would both pass. Put into the command line, `requires`, `conflicts_with`, `required`
//! and groups hold for settings wherever they come from.
//!
//! A setting yields to a stronger one that it conflicts with: `--in-process` on the command line puts aside `endpoint`
//! in the file or the environment, as if it were not set. Settings of one and the same strength that conflict are an
//! error. A flag that environment or file turn on is turned off by `--resume=false`, as if it were nowhere.

mod env;
mod file;
mod keys;
mod settle;
mod show;
mod typed;
mod value;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgMatches, Command};

use crate::fault::FileError;
use settle::Settled;
use typed::Typed;

pub use env::with_env;
pub use file::ConfigFile;
pub use keys::uncovered;
pub use show::show;

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read, or does not hold together.
    #[error(transparent)]
    File(#[from] FileError),
    /// Clap refuses the settings, or was asked for help; [`clap::Error::exit`] prints that as ever.
    #[error(transparent)]
    Arguments(#[from] clap::Error),
}

/// Reads `args`, the program's name first, with what environment and file add to them.
///
/// `command` is what [`with_env`] gave. The file is the one that its global flag `--config` names; else the first that
/// there is of `jiesu.toml` in the working directory and `/etc/jiesu/jiesu.toml`, where `jiesu` is the command's name.
///
/// # Errors
/// If the arguments are refused, the file cannot be read, or anything is wrong in it. Help comes before the file.
pub fn parse(
    command: &Command,
    args: impl IntoIterator<Item = impl Into<OsString>>,
) -> Result<ArgMatches, ConfigError> {
    let args: Vec<OsString> = args.into_iter().map(Into::into).collect();
    let typed = Typed::read(command, &args)?;
    let file = file_of(command, &typed)?;
    if file.is_none() && typed.is_whole && typed.off.is_empty() {
        return Ok(typed.matches);
    }
    Ok(Settled::new(command, &typed, file.as_ref()).matches()?)
}

/// The file that `typed` names, or else the usual one.
fn file_of(command: &Command, typed: &Typed) -> Result<Option<ConfigFile>, ConfigError> {
    let named = typed.matches.try_get_one::<PathBuf>(keys::CONFIG).ok().flatten();
    Ok(ConfigFile::find(command, named.map(PathBuf::as_path))?)
}
