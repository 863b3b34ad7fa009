//! `jiesu compare`: whether one model, directory or file of predictions is better than another.

use std::borrow::Cow;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, ensure};

use super::ask::Asked;
use super::evaluate::PREDICTIONS;
use crate::cli::ask::{AskArgs, By};
use crate::cli::compare::CompareArgs;
use crate::cli::model::ModelArgs;
use crate::eval::Bootstrap;
use crate::eval::comparison::compare;
use crate::eval::predictions::Predictions;
use crate::registry::ModelSource;
use crate::terms::DEPARTMENT_HEAD;

/// Something that answers rows, or has answered them.
enum System {
    /// What was answered once.
    Saved(Predictions),
    /// A model, or a directory with a model, that answers now.
    Live(Box<ModelArgs>),
}

pub(super) fn run(args: &CompareArgs) -> anyhow::Result<ExitCode> {
    // Both before the long part, since either may be refused.
    let (a, b) = (System::new(&args.a, args)?, System::new(&args.b, args)?);
    if let (System::Saved(_), System::Saved(_)) = (&a, &b) {
        let AskArgs { head, label_system, by, .. } = &args.ask;
        ensure!(
            args.inputs.is_empty() && head.is_none() && label_system.is_none() && *by == By::Model,
            "both were answered already, so that no row is read and no head asked\n\
             hint: leave `--input`, `--head`, `--label-system` and `--by` out"
        );
    }
    let Bootstrap { resamples, seed } = args.bootstrap.into();
    let comparison = compare(a.answers(args)?.as_ref(), b.answers(args)?.as_ref(), resamples, seed)?;
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
            return Ok(Self::Saved(Predictions::read(path)?));
        }
        if in_folder.is_file() {
            return Ok(Self::Saved(Predictions::read(&in_folder)?));
        }
        let mut model = args.model.clone();
        if has_extension(path, "toml") {
            ensure!(
                args.ask.by != By::Model && args.ask.head.as_deref() == Some(DEPARTMENT_HEAD),
                "`{named}` is a directory, which has a say in the lead alone, and not where the model answers alone\n\
                 hint: write `--head department --by all`"
            );
            model.city.directory = Some(path.to_owned());
        } else {
            model.model = named.parse::<ModelSource>()?;
        }
        ensure!(
            !args.inputs.is_empty(),
            "`{named}` is no folder of a report and no file of predictions, so it must answer rows\n\
             hint: name them, `--input FILE --label-column COLUMN`"
        );
        Ok(Self::Live(Box::new(model)))
    }

    fn answers(&self, args: &CompareArgs) -> anyhow::Result<Cow<'_, Predictions>> {
        match self {
            Self::Saved(predictions) => Ok(Cow::Borrowed(predictions)),
            Self::Live(model) => {
                let label = args.label_column.as_deref().context("`--input` needs `--label-column`")?;
                let columns = args.ask.columns(label);
                let asked = Asked::new(&args.inputs, &columns, &args.ask, model, None)?;
                Ok(Cow::Owned(asked.evaluation()?.predictions(&asked.what(args.bootstrap.into()))?))
            }
        }
    }
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|found| found.eq_ignore_ascii_case(extension))
}
