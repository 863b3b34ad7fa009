//! `jiesu directory`: check a city's directory, explain what it does, try it.

use std::io::{self, Write};
use std::process::ExitCode;

use serde_json::to_string_pretty;

use super::{card, load};
use crate::city::CityFiles;
use crate::cli::directory::{CheckArgs, DirectoryArgs, DirectoryTask, ExplainArgs, TestArgs};
use crate::dispatch::Leadership;
use crate::encoder::Threads;
use crate::error::Error;
use crate::fault::FileError;
use crate::pipeline::{Assess, CitizenRequest, Pipeline};
use crate::trial::{self, RuleRecord, Trial};

pub(super) fn run(args: &DirectoryArgs) -> anyhow::Result<ExitCode> {
    match &args.task {
        DirectoryTask::Check(args) => check(args),
        DirectoryTask::Explain(args) => explain(args),
        DirectoryTask::Test(args) => test(args),
    }
}

fn check(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let files = CityFiles { taxonomy: args.taxonomy.clone(), directory: args.file.clone(), risk_rules: None };
    let taxonomy = files.load_taxonomy()?;
    let directory = match files.load_directory(&taxonomy) {
        Ok(directory) => directory,
        Err(Error::File(FileError::Faults(faults))) => {
            anstream::println!("{faults}");
            anstream::eprintln!("faults: {}", faults.faults.len());
            return Ok(ExitCode::from(1));
        }
        Err(error) => return Err(error.into()),
    };
    let file =
        args.file.as_ref().map_or_else(|| "built-in directory".to_owned(), |file| file.display().to_string());
    anstream::println!(
        "{file}: no fault; version {}, {} departments, {} areas, {} rules, {} policies",
        directory.version,
        directory.departments.len(),
        directory.areas.len(),
        directory.rules.len(),
        directory.policies.len()
    );
    Ok(ExitCode::SUCCESS)
}

fn explain(args: &ExplainArgs) -> anyhow::Result<ExitCode> {
    let pipeline = load::pipeline(&args.model)?;
    let mut request = pipeline.request(&args.title, &args.text, &args.area)?;
    request.explain = true;
    let answers = pipeline.assess(std::slice::from_ref(&request), Threads::All)?;
    let mut out = anstream::stdout().lock();
    for answer in answers {
        explain_rules(&mut out, &pipeline, &request, &answer)?;
        card::write(&mut out, &request.text, &answer.with_counts(3, 5))?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// Writes each rule that holds, what it says and why it holds, and the policy that applies.
fn explain_rules(
    out: &mut impl Write,
    pipeline: &Pipeline,
    request: &CitizenRequest,
    answer: &crate::assessment::Assessment,
) -> io::Result<()> {
    let holding = pipeline.why(request, answer);
    if holding.is_empty() {
        writeln!(out, "no rule holds")?;
    }
    for (rule, why) in holding {
        let lead = rule.then.lead.as_deref().unwrap_or("no lead");
        let weight = match rule.then.precision {
            Some(precision) => format!("right in {:.0} %", 100.0 * precision),
            None if rule.binds() => "binding".to_owned(),
            None => "adds to others".to_owned(),
        };
        writeln!(out, "rule `{}` (line {}): {lead}, {weight}", rule.id, rule.line)?;
        let why = if why.is_empty() { "nothing that it excludes occurs".to_owned() } else { why.join(", ") };
        writeln!(out, "    since {why}")?;
        if let Some(clause) = &rule.then.clause {
            writeln!(out, "    clause {} {}", clause.id, clause.text)?;
        }
    }
    if let Some(policy) = pipeline.policy(request, answer) {
        let lead = match policy.lead {
            Leadership::Functional => "the functional department leads",
            Leadership::Territorial => "the unit of the area leads",
            Leadership::Both => "the functional department and the unit of the area are both sent it",
        };
        writeln!(out, "policy `{}`: {lead}", policy.id)?;
    }
    writeln!(out)
}

fn test(args: &TestArgs) -> anyhow::Result<ExitCode> {
    let pipeline = load::pipeline(&args.model)?;
    let trial = trial::run(&pipeline, &args.file)?;
    let mut out = anstream::stdout().lock();
    if args.json {
        writeln!(out, "{}", to_string_pretty(&trial)?)?;
    } else {
        write_trial(&mut out, &args.file.display().to_string(), &trial)?;
    }
    out.flush()?;
    Ok(if trial.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn write_trial(out: &mut impl Write, file: &str, trial: &Trial) -> io::Result<()> {
    for failure in &trial.failures {
        let got = if failure.got.is_empty() { "nobody" } else { &failure.got };
        writeln!(
            out,
            "{file}: row {}: {} `{}` expected, got {got}",
            failure.row, failure.column, failure.expected
        )?;
    }
    for (id, RuleRecord { held, right }) in &trial.rules {
        writeln!(out, "rule `{id}` held for {held}, its lead was right for {right}")?;
    }
    let mut rows: Vec<usize> = trial.failures.iter().map(|failure| failure.row).collect();
    rows.dedup();
    writeln!(out, "{} of {} examples went as expected", trial.rows - rows.len(), trial.rows)
}
