//! `jiesu evaluate`: rows with known labels to figures, a report and a verdict.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, ensure};

use super::ask::Asked;
use crate::cli::ask::By;
use crate::cli::evaluate::EvaluateArgs;
use crate::eval::Bootstrap;
use crate::eval::gate::{Gate, Verdict};
use crate::eval::html;
use crate::eval::predictions::Predictions;
use crate::eval::report::ReportData;
use crate::eval::rows::Columns;
use crate::whole_file;

/// What a report's folder holds.
const PAGE: &str = "report.html";
const DATA: &str = "report.json";
pub(super) const PREDICTIONS: &str = "predictions.jsonl";

pub(super) fn run(args: &EvaluateArgs) -> anyhow::Result<ExitCode> {
    // Before the long part, since they may be refused.
    let gate = args.gate.as_deref().map(Gate::load).transpose()?;
    gate.as_ref().map_or(Ok(()), |gate| check_slices(gate, args))?;
    args.report.as_deref().map(make_folder).transpose()?;
    ensure!(
        args.supporting_column.is_none() || args.ask.by == By::All,
        "supporting departments are what the whole pipeline names\nhint: write `--by all`"
    );
    let columns = Columns {
        supporting: args.supporting_column.clone(),
        slices: args.slices.clone(),
        ..args.ask.columns(&args.label_column)
    };
    let service = args.endpoint.as_ref().map(|uri| args.connect.connector(uri)).transpose()?;
    let asked = Asked::new(&args.inputs, &columns, &args.ask, &args.model, service.as_ref())?;
    let bootstrap = Bootstrap::from(args.bootstrap);
    let (mut report, predictions) = measure(args, &asked, bootstrap)?;
    let verdict = gate.map(|gate| gate.check(&report));
    report.gates = verdict.as_ref().map(Verdict::results).unwrap_or_default();
    // What was measured is shown before anything else can fail.
    write_report(args, &report)?;
    if let Some(verdict) = &verdict {
        // Beside the report, so that either can be sent where it is wanted.
        anstream::eprint!("\n{verdict}");
    }
    if let Some(folder) = &args.report {
        write_folder(folder, &report, &predictions)?;
        anstream::eprintln!("\nthe report is {}", folder.join(PAGE).display());
    }
    Ok(verdict.map_or(ExitCode::SUCCESS, |verdict| ExitCode::from(verdict.exit_code())))
}

/// Refuses bounds on slices that are not measured.
fn check_slices(gate: &Gate, args: &EvaluateArgs) -> anyhow::Result<()> {
    let columns = gate.bounds().iter().filter_map(|bound| bound.slice.as_ref().map(|slice| &slice.column));
    let missing: BTreeSet<&String> = columns.filter(|column| !args.slices.contains(column)).collect();
    ensure!(
        missing.is_empty(),
        "the gate has bounds on slices that are not measured\nhint: add {}",
        missing.iter().map(|column| format!("`--slice {column}`")).collect::<Vec<_>>().join(", ")
    );
    Ok(())
}

fn measure(
    args: &EvaluateArgs,
    asked: &Asked,
    bootstrap: Bootstrap,
) -> anyhow::Result<(ReportData, Predictions)> {
    let evaluation = asked.evaluation()?;
    // Only a page shows the words that errors rest on, and can do without.
    let evidence = args.report.as_ref().map(|_| asked.explained(&evaluation.rows_of_errors()));
    let evidence = evidence.unwrap_or_else(|| Ok(Vec::new())).unwrap_or_else(|error| {
        anstream::eprintln!("warning: the words that errors rest on are not marked: {error}");
        Vec::new()
    });
    let what = asked.what(bootstrap);
    let predictions = evaluation.predictions(&what)?;
    let report = evaluation.report(what, (&asked.taxonomy, &args.slices), &evidence, bootstrap);
    report.check()?;
    Ok((report, predictions))
}

fn make_folder(folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make the folder `{}`", folder.display()))
}

fn write_folder(folder: &Path, report: &ReportData, predictions: &Predictions) -> anyhow::Result<()> {
    let page = html::render(report)?;
    let json = serde_json::to_string_pretty(report)?;
    write_file(&folder.join(PREDICTIONS), |file| predictions.write(file))?;
    write_file(&folder.join(DATA), |file| writeln!(file, "{json}"))?;
    write_file(&folder.join(PAGE), |file| file.write_all(page.as_bytes()))
}

fn write_file(
    path: &Path,
    content: impl FnOnce(&mut io::BufWriter<fs::File>) -> io::Result<()>,
) -> anyhow::Result<()> {
    whole_file::write(path, content).with_context(|| format!("cannot write `{}`", path.display()))
}

/// Writes the report to standard output. Whoever has seen enough, as `head` has, does not change what comes of the gate.
fn write_report(args: &EvaluateArgs, report: &ReportData) -> anyhow::Result<()> {
    let json = args.json.then(|| serde_json::to_string_pretty(report)).transpose()?;
    let mut out = anstream::stdout().lock();
    let written = match json {
        Some(json) => writeln!(out, "{json}"),
        None => write!(out, "{report}"),
    };
    match written.and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}
