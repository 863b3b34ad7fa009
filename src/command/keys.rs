//! `jiesu keys`: who may call a service.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use crate::access::{KeyEntry, KeyFile, Scope};
use crate::cli::keys::{AddArgs, KeysArgs, KeysTask};

pub(super) fn run(args: &KeysArgs) -> anyhow::Result<ExitCode> {
    match &args.task {
        KeysTask::Add(args) => add(args),
        KeysTask::List { file } => list(file),
    }
}

fn add(args: &AddArgs) -> anyhow::Result<ExitCode> {
    let entry = KeyEntry {
        id: args.id.clone(),
        scopes: args.scopes.iter().copied().map(Scope::from).collect(),
        requests_per_second: args.requests_per_second,
        burst: args.burst,
        max_concurrent: args.max_concurrent,
        expires: args.expires.clone(),
        note: args.note.clone(),
    };
    let key = KeyFile::new(&args.file).add(&entry)?;
    anstream::eprintln!(
        "`{}` lets `{}` in; this is the key, which is shown this once:",
        args.file.display(),
        args.id
    );
    writeln!(anstream::stdout(), "{}", key.reveal())?;
    Ok(ExitCode::SUCCESS)
}

fn list(file: &Path) -> anyhow::Result<ExitCode> {
    let mut out = anstream::stdout().lock();
    for key in KeyFile::new(file).list()? {
        writeln!(out, "{key}")?;
    }
    Ok(ExitCode::SUCCESS)
}
