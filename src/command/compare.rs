//! `jiesu compare`: whether one model, directory or file of predictions is better than another.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};

use super::ask::Asked;
use super::evaluate::PREDICTIONS;
use crate::cli::compare::CompareArgs;
use crate::cli::model::ModelArgs;
use crate::eval::Bootstrap;
use crate::eval::comparison::compare;
use crate::eval::predictions::Predictions;
use crate::registry::ModelSource;

/// Something that answers rows, or has answered them.
enum System {
    /// What was answered once.
    Saved(PathBuf),
    /// A model, or a directory with a model, that answers now.
    Live(Box<ModelArgs>),
}

pub(super) fn run(args: &CompareArgs) -> anyhow::Result<ExitCode> {
    // Both before the long part, since either may be refused.
    let systems = [System::new(&args.a, args)?, System::new(&args.b, args)?];
    let [a, b] = systems.each_ref().map(|system| system.predictions(args));
    let comparison = compare(&a?, &b?, args.resamples as usize, args.seed)?;
    let mut out = anstream::stdout().lock();
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&comparison)?)?;
    } else {
        write!(out, "{comparison}")?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

impl System {
    fn new(named: &str, args: &CompareArgs) -> anyhow::Result<Self> {
        let path = Path::new(named);
        let in_folder = path.join(PREDICTIONS);
        if has_extension(path, "jsonl") {
            return Ok(Self::Saved(path.to_owned()));
        }
        if in_folder.is_file() {
            return Ok(Self::Saved(in_folder));
        }
        let mut model = args.model.clone();
        if has_extension(path, "toml") {
            model.city.directory = Some(path.to_owned());
        } else {
            model.model = named.parse::<ModelSource>()?;
        }
        if args.inputs.is_empty() {
            bail!(
                "`{named}` is no folder of a report and no file of predictions, so it must answer rows\n\
                 hint: name them, `--input FILE --label-column COLUMN`"
            );
        }
        Ok(Self::Live(Box::new(model)))
    }

    fn predictions(&self, args: &CompareArgs) -> anyhow::Result<Predictions> {
        match self {
            Self::Saved(path) => Ok(Predictions::read(path)?),
            Self::Live(model) => {
                let label = args.label_column.as_deref().context("`--input` needs `--label-column`")?;
                let columns = args.ask.columns(label);
                let asked = Asked::new(&args.inputs, &columns, &args.ask, model, None)?;
                let bootstrap = Bootstrap { resamples: args.resamples as usize, seed: args.seed };
                Ok(asked.evaluation()?.predictions(&asked.what(bootstrap))?)
            }
        }
    }
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|found| found.eq_ignore_ascii_case(extension))
}
