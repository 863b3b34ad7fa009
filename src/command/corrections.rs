//! `jiesu corrections`: what people decided otherwise, for training and for a look at the rules.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, ensure};
use serde_json::to_string_pretty;

use crate::cli::corrections::{CorrectionsArgs, CorrectionsTask, ExportArgs, ReportArgs};
use crate::records::{
    CorrectionCounts, CorrectionReader, CorrectionReport, DecisionReader, ExportSummary, RequestWords,
    unix_millis,
};
use crate::request::masked_words;
use crate::table::Table;
use crate::whole_file;

const DAY_MILLIS: i64 = 24 * 60 * 60 * 1000;

pub(super) fn run(args: &CorrectionsArgs) -> anyhow::Result<ExitCode> {
    match &args.task {
        CorrectionsTask::Export(args) => export(args),
        CorrectionsTask::Report(args) => report(args),
    }
}

fn export(args: &ExportArgs) -> anyhow::Result<ExitCode> {
    let reader = CorrectionReader::open(&args.records)?;
    let words = args.texts.as_deref().map(read_words).transpose()?.unwrap_or_default();
    let ExportSummary { rows, without_text } = match &args.output {
        Some(path) => {
            ensure!(!path.exists(), "`{}` exists\nhint: remove it or name another file", path.display());
            let mut summary = ExportSummary::default();
            let written = whole_file::write(path, |file| {
                summary = reader.export(&words, file).map_err(io::Error::other)?;
                Ok(())
            });
            written.with_context(|| format!("cannot write `{}`", path.display()))?;
            summary
        }
        None => reader.export(&words, &mut anstream::stdout().lock())?,
    };
    anstream::eprintln!("{rows} rows, {without_text} corrections left out whose words nobody has");
    if without_text > 0 {
        anstream::eprintln!("hint: name a file with their words: `--texts FILE`");
    }
    Ok(ExitCode::SUCCESS)
}

/// The words of requests by their ids, masked.
fn read_words(path: &Path) -> anyhow::Result<HashMap<String, RequestWords>> {
    let table = Table::read(path)?;
    table.require_columns(["id", "text"])?;
    let rows = table.map_rows(|row| {
        let id = row.value("id")?.ok_or("id is empty")?;
        let (title, text) = row.title_and_text("title", "text")?;
        Ok((id, RequestWords { title: masked_words(title), text: masked_words(text) }))
    })?;
    let mut words = HashMap::new();
    for (id, row) in rows {
        let twice = words.insert(id.clone(), row).is_some();
        ensure!(!twice, "`{}` has several rows with the id `{id}`\nhint: leave one", path.display());
    }
    Ok(words)
}

fn report(args: &ReportArgs) -> anyhow::Result<ExitCode> {
    let since = args.days.map(|days| unix_millis() - i64::from(days) * DAY_MILLIS);
    let totals = DecisionReader::open(&args.records).and_then(|reader| reader.totals(since, None));
    if let Err(error) = &totals {
        anstream::eprintln!("warning: there are no rates: {error}");
    }
    let report = CorrectionReader::open(&args.records)?.report(since, None, totals.ok().as_ref())?;
    let mut out = anstream::stdout().lock();
    if args.json {
        writeln!(out, "{}", to_string_pretty(&report)?)?;
    } else {
        write_report(&mut out, &report)?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn write_report(out: &mut impl Write, report: &CorrectionReport) -> io::Result<()> {
    writeln!(out, "{} corrections", report.corrections)?;
    for (heading, counts) in [("rule", &report.by_rule), ("category", &report.by_category)] {
        writeln!(out, "\n{heading:<32}corrections      of  rate  instead")?;
        counts.iter().try_for_each(|counts| write_counts(out, counts))?;
    }
    Ok(())
}

fn write_counts(out: &mut impl Write, counts: &CorrectionCounts) -> io::Result<()> {
    let CorrectionCounts { id, corrections, by_reason, instead, decisions } = counts;
    let decisions = decisions.map_or_else(|| "?".to_owned(), |decisions| decisions.to_string());
    let rate = counts.rate().map_or_else(|| "?".to_owned(), |rate| format!("{:.0} %", 100.0 * rate));
    let instead = instead.as_ref().map_or_else(String::new, |(lead, times)| format!("{lead} ({times})"));
    let reasons: Vec<_> =
        by_reason.iter().map(|(reason, times)| format!("{} {times}", reason.name())).collect();
    writeln!(out, "{id:<32}{corrections:>11}{decisions:>8}{rate:>6}  {instead}  {}", reasons.join(", "))
}
