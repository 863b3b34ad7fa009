//! `jiesu sql`: a question in SQL to a table.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use datafusion::arrow::csv::WriterBuilder;
use datafusion::arrow::json::LineDelimitedWriter;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::physical_plan::SendableRecordBatchStream;
use futures_util::StreamExt;

use super::load;
use crate::batch::{Classify, FUNCTION, OutputFormat, SingleFile, sql};
use crate::cli::sql::{SqlArgs, SqlFormat};

pub(super) fn run(args: &SqlArgs) -> anyhow::Result<ExitCode> {
    let format = args.output.as_deref().map(format_of).transpose()?;
    // Most questions are about what has been classified already.
    let function = if args.query.to_lowercase().contains(FUNCTION) {
        Classify::new(load::pipeline(&args.model)?)
    } else {
        Classify::stand_in()
    };
    let session = sql::session(function.into_function())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let answer = session.sql(&args.query).await?.execute_stream().await?;
        match args.output.as_deref().zip(format) {
            Some((file, format)) => write_file(file, format, answer).await,
            None => print(args.format, answer).await,
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

fn format_of(file: &Path) -> anyhow::Result<OutputFormat> {
    OutputFormat::from_path(file).with_context(|| {
        format!(
            "`{}` does not say which format it should have\nhint: end it in .parquet, .csv or .jsonl",
            file.display()
        )
    })
}

async fn write_file(
    file: &Path,
    format: OutputFormat,
    mut answer: SendableRecordBatchStream,
) -> anyhow::Result<()> {
    let mut writer = SingleFile::create(format, file, answer.schema())?;
    while let Some(batch) = answer.next().await {
        writer.write(&batch?)?;
    }
    let written = writer.finish()?;
    anstream::eprintln!("{} rows in `{}`", written.rows, file.display());
    Ok(())
}

async fn print(format: SqlFormat, mut answer: SendableRecordBatchStream) -> anyhow::Result<()> {
    let mut out = anstream::stdout().lock();
    match format {
        SqlFormat::Table => {
            let schema = answer.schema();
            let mut batches = vec![RecordBatch::new_empty(schema)];
            while let Some(batch) = answer.next().await {
                batches.push(batch?);
            }
            writeln!(out, "{}", pretty_format_batches(&batches)?)?;
        }
        SqlFormat::Csv => {
            let mut writer = WriterBuilder::new().with_header(true).build(Lines(&mut out));
            writer.write(&RecordBatch::new_empty(answer.schema()))?;
            while let Some(batch) = answer.next().await {
                writer.write(&batch?)?;
            }
        }
        SqlFormat::Json => {
            let mut writer = LineDelimitedWriter::new(Lines(&mut out));
            while let Some(batch) = answer.next().await {
                writer.write(&batch?)?;
            }
            writer.finish()?;
        }
    }
    Ok(out.flush()?)
}

/// Arrow's writers own what they write to.
struct Lines<'a, W>(&'a mut W);

impl<W: Write> Write for Lines<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
