//! `jiesu bench`: how fast the model is here, or a service there.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::ensure;
use serde::Serialize;

use super::load;
use crate::bench::{
    LatencyFigures, Load, ModelFigures, Pace, ServiceFigures, measure_model, measure_service,
};
use crate::cli::bench::BenchArgs;
use crate::client::ServiceUri;
use crate::request::RequestText;
use crate::server::MAX_BATCH_SIZE;
use crate::table::Table;

/// What the figures are of, and the figures.
#[derive(Serialize)]
struct Report<F> {
    #[serde(flatten)]
    figures: F,
    /// Threads that compute; of this process.
    threads: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    precision: Option<String>,
    file: String,
}

pub(super) fn run(args: &BenchArgs) -> anyhow::Result<ExitCode> {
    let texts = read_texts(args)?;
    let threads = rayon::current_num_threads();
    let file = args.file.display().to_string();
    let mut out = anstream::stdout().lock();
    if let Some(uri) = &args.endpoint {
        let figures = service(args, uri, &texts)?;
        let report = Report { figures, threads, model: None, precision: None, file };
        write_report(&mut out, args.json, &report, |out| write_service(out, &report.figures))?;
    } else {
        let classifier = load::classifier(&args.model)?;
        let figures = measure_model(&classifier, &texts, args.rounds)?;
        let (model, precision) = (classifier.name().to_owned(), classifier.precision().name().to_owned());
        let report = Report { figures, threads, model: Some(model), precision: Some(precision), file };
        write_report(&mut out, args.json, &report, |out| write_model(out, &report))?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn read_texts(args: &BenchArgs) -> anyhow::Result<Vec<String>> {
    let table = Table::read(&args.file)?;
    table.require_columns([&args.text_column])?;
    let text = |row: &crate::table::Row| {
        let words = row.words(&args.text_column)?;
        RequestText::new("", words).map_err(|error| error.to_string())?;
        Ok(words.to_owned())
    };
    Ok(table.map_rows(text)?)
}

fn service(args: &BenchArgs, uri: &ServiceUri, texts: &[String]) -> anyhow::Result<ServiceFigures> {
    ensure!(args.batch_size.get() <= MAX_BATCH_SIZE, "a call has at most {MAX_BATCH_SIZE} texts");
    ensure!(args.rate.is_none_or(|rate| rate > 0.0 && rate.is_finite()), "a rate is above 0");
    ensure!(args.duration > 0.0 && args.duration.is_finite(), "a duration is above 0");
    let load = Load {
        connector: args.connect.connector(uri)?,
        texts: texts.to_vec(),
        batch_size: args.batch_size,
        pace: args.rate.map_or(Pace::Concurrency(args.concurrency), Pace::Rate),
        duration: Duration::from_secs_f64(args.duration),
        timeout: Duration::from_millis(args.timeout),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    Ok(runtime.block_on(measure_service(load))?)
}

fn write_report<F: Serialize>(
    out: &mut impl Write,
    json: bool,
    report: &Report<F>,
    text: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> anyhow::Result<()> {
    if json {
        writeln!(out, "{}", serde_json::to_string(report)?)?;
    } else {
        text(out)?;
    }
    Ok(())
}

fn write_model(out: &mut dyn Write, report: &Report<ModelFigures>) -> std::io::Result<()> {
    let Report { figures, threads, model, precision, .. } = report;
    let (model, precision) = (model.as_deref().unwrap_or_default(), precision.as_deref().unwrap_or_default());
    writeln!(out, "model       {model}, {precision}, {threads} threads, {} texts", figures.texts)?;
    let rounds: Vec<String> = figures.rounds.iter().map(|speed| format!("{speed:.1}")).collect();
    writeln!(out, "all at once {:.1} texts/s (rounds: {})", figures.texts_per_s, rounds.join(", "))?;
    write_latency(out, "one by one ", &figures.single_ms)
}

fn write_service(out: &mut dyn Write, figures: &ServiceFigures) -> std::io::Result<()> {
    writeln!(out, "answered    {:.1} texts/s", figures.texts_per_s)?;
    for (outcome, calls) in &figures.outcomes {
        writeln!(out, "            {calls} of {} calls: {outcome}", figures.calls)?;
    }
    write_latency(out, "answered   ", &figures.answered_ms)?;
    if figures.failed_ms.count > 0 {
        write_latency(out, "failed     ", &figures.failed_ms)?;
    }
    Ok(())
}

fn write_latency(out: &mut dyn Write, what: &str, latency: &LatencyFigures) -> std::io::Result<()> {
    let LatencyFigures { p50, p90, p99, max, .. } = latency;
    writeln!(out, "{what} p50 {p50:.2} ms, p90 {p90:.2} ms, p99 {p99:.2} ms, max {max:.2} ms")
}
