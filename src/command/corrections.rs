//! `jiesu corrections`: what people decided otherwise, for training and for a look at the rules.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use serde_json::to_string_pretty;

use crate::cli::corrections::{CorrectionsArgs, CorrectionsTask, ExportArgs, ReportArgs};
use crate::privacy;
use crate::records::{
    CorrectionCounts, CorrectionReader, CorrectionReport, DecisionReader, ExportSummary, RequestWords,
};
use crate::table::Table;

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
            let file =
                File::create_new(path).with_context(|| format!("cannot write `{}`", path.display()))?;
            let mut out = BufWriter::new(file);
            let summary = reader.export(&words, &mut out)?;
            out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
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
        Ok((id, RequestWords { title: privacy::masked(title), text: privacy::masked(text) }))
    })?;
    Ok(rows.into_iter().collect())
}

fn report(args: &ReportArgs) -> anyhow::Result<ExitCode> {
    let since = args.days.map(|days| {
        let begin = SystemTime::now() - Duration::from_secs(u64::from(days) * 24 * 60 * 60);
        begin
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    });
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
