//! `jiesu batch`: files of records to the same rows with their classification.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use datafusion::logical_expr::ScalarUDF;
use indicatif::{ProgressBar, ProgressStyle};

use super::{load, summary};
use crate::batch::{
    BatchJob, Classify, Content, Existing, InputTable, Inputs, NamedColumns, OpenJob, Opened, OutputFormat,
    Paths, Stamp, find, local,
};
use crate::cli::batch::{BatchArgs, ColumnArgs, Format};
use crate::rows::Layout;

/// How often a run that nobody watches says how far it is.
const TOLD_EVERY: Duration = Duration::from_secs(60);
/// Exit status of a run that was interrupted, as a shell has it.
const INTERRUPTED: u8 = 130;

pub(super) fn run(args: &BatchArgs) -> anyhow::Result<ExitCode> {
    let format = format(args)?;
    let paths = Paths::of(&args.output);
    if args.dry_run {
        // A run of the same name may be reading the copies beside the output.
        let copies = std::env::temp_dir().join(format!("jiesu-dry-run-{}", std::process::id()));
        let surveyed = survey(args, &paths, &copies);
        if copies.exists() {
            std::fs::remove_dir_all(&copies)?;
        }
        return surveyed.map(|_| ExitCode::SUCCESS);
    }
    paths.check(existing(args))?;
    let inputs = survey(args, &paths, &paths.copies)?;
    let pipeline = load::pipeline(&args.model)?;
    let job = BatchJob {
        output: args.output.clone(),
        format,
        keep: (args.keep != ["all"]).then(|| args.keep.clone()),
        part_rows: args.part_rows,
        limit: args.limit,
        stamp: Stamp::new(&pipeline, &args.model.city.files())?,
        existing: existing(args),
        inputs,
    };
    let outcome = match job.open()? {
        Opened::Finished(outcome) => {
            anstream::eprintln!("this run was finished before; nothing is left to do");
            *outcome
        }
        Opened::Open(mut job) => {
            if !answer(&mut job, Classify::new(pipeline).into_function(), args)? {
                return Ok(ExitCode::from(INTERRUPTED));
            }
            // From now on whoever presses Ctrl-C is obeyed at once: joining the parts can begin again.
            std::thread::spawn(exit_if_interrupted);
            job.finish()?
        }
    };
    let mut out = anstream::stdout().lock();
    summary::write(&mut out, &outcome, &args.output, &paths.rejects)?;
    out.flush()?;
    Ok(if outcome.rejects.is_none() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn format(args: &BatchArgs) -> anyhow::Result<OutputFormat> {
    let named = args.format.map(|format| match format {
        Format::Parquet => OutputFormat::Parquet,
        Format::Csv => OutputFormat::Csv,
        Format::Jsonl => OutputFormat::JsonLines,
    });
    named.or_else(|| OutputFormat::from_path(&args.output)).with_context(|| {
        format!(
            "`{}` does not say which format it should have\nhint: end it in .parquet, .csv or .jsonl, or add `--format`",
            args.output.display()
        )
    })
}

fn existing(args: &BatchArgs) -> Existing {
    if args.resume {
        Existing::Resume { allow_changes: args.allow_changes }
    } else if args.overwrite {
        Existing::Overwrite
    } else {
        Existing::Refuse
    }
}

fn named(columns: &ColumnArgs) -> NamedColumns {
    let ColumnArgs { text_column, title_column, area_column, id_column, label_column } = columns.clone();
    NamedColumns {
        text: text_column,
        title: title_column,
        area: area_column,
        id: id_column,
        label: label_column,
    }
}

/// Reads all files once, and tells what they are.
fn survey(args: &BatchArgs, paths: &Paths, copies: &Path) -> anyhow::Result<Inputs> {
    let files = find(&args.inputs, copies, |file| paths.is_own(file))?;
    if let Some(file) = files.iter().find(|file| paths.writes(&file.path)) {
        bail!("`{}` is both input and output\nhint: name another output", file.name);
    }
    let bar = ProgressBar::new(files.len() as u64);
    bar.set_style(ProgressStyle::with_template("reading {bar:30} {pos}/{len} files  {elapsed}")?);
    let inputs = Inputs::survey(&files, &named(&args.columns), |_| bar.inc(1))?;
    bar.finish_and_clear();
    for table in &inputs.tables {
        anstream::eprintln!("{}", described(table));
    }
    for reason in &inputs.left_out {
        anstream::eprintln!("left out: {reason}");
    }
    Ok(inputs)
}

fn described(table: &InputTable) -> String {
    let how = match &table.content {
        Content::Parquet => "Parquet".to_owned(),
        Content::Rows(Layout::JsonLines { encoding }) => format!("JSON lines in {encoding}"),
        Content::Rows(Layout::Sheet { name }) => format!("sheet `{name}`"),
        Content::Rows(Layout::Delimited { encoding, delimiter }) => {
            let delimiter = if *delimiter == '\t' { "tabs".to_owned() } else { format!("`{delimiter}`") };
            format!("{encoding} with {delimiter}")
        }
    };
    let roles = &table.roles;
    let others = [("title", &roles.title), ("area", &roles.area), ("id", &roles.id), ("label", &roles.label)];
    let others = others.iter().filter_map(|(role, column)| Some(format!("{role} `{}`", column.as_ref()?)));
    let roles: Vec<String> = [format!("text `{}`", roles.text)].into_iter().chain(others).collect();
    format!("{}: {how}, {} rows; {}", table.name, table.rows, roles.join(", "))
}

/// Answers what is missing; says whether that was done to the end.
fn answer(job: &mut OpenJob, function: ScalarUDF, args: &BatchArgs) -> anyhow::Result<bool> {
    let before = job.tally();
    let mut progress = Progress::new(job.rows(), before.answered, before.rejects())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(async {
        tokio::select! {
            done = run_parts(job, function, args, |rows, rejected| progress.advance(rows, rejected)) => done.map(|()| true),
            _ = tokio::signal::ctrl_c() => Ok(false),
        }
    })?;
    progress.end();
    if !done {
        let missing = job.missing().len();
        anstream::eprintln!(
            "stopped; {missing} parts are missing\nhint: the same command with `--resume` goes on"
        );
    }
    Ok(done)
}

async fn run_parts(
    job: &mut OpenJob,
    function: ScalarUDF,
    #[cfg_attr(not(feature = "cluster"), expect(unused_variables, reason = "there is no cluster"))]
    args: &BatchArgs,
    seen: impl FnMut(u64, u64),
) -> anyhow::Result<()> {
    #[cfg(feature = "cluster")]
    if let Some(cluster) = &args.cluster {
        return Ok(crate::batch::cluster::run(job, cluster, &function.into(), seen).await?);
    }
    Ok(local::run(job, &function, seen).await?)
}

/// Ends the process when it is interrupted; the runtime that listened before has taken the signal over for good.
fn exit_if_interrupted() {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    if runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
        std::process::exit(INTERRUPTED.into());
    }
}

/// How far a run is: a bar on a terminal, a line a minute elsewhere.
struct Progress {
    bar: ProgressBar,
    watched: bool,
    begin: Instant,
    told: Instant,
    /// Rows that an earlier run went through.
    before: u64,
    rejected: u64,
}

impl Progress {
    fn new(rows: u64, answered: u64, rejected: u64) -> anyhow::Result<Self> {
        let before = answered + rejected;
        let bar = ProgressBar::new(rows).with_position(before);
        bar.reset_eta();
        bar.set_style(ProgressStyle::with_template(
            "{bar:30} {percent:>3}%  {human_pos}/{human_len} rows  {per_sec}  {eta} left  {msg}",
        )?);
        let now = Instant::now();
        Ok(Self { bar, watched: std::io::stderr().is_terminal(), begin: now, told: now, before, rejected })
    }

    fn advance(&mut self, rows: u64, rejected: u64) {
        self.rejected += rejected;
        self.bar.inc(rows);
        self.bar.set_message(format!("{} rejected", self.rejected));
        if self.watched || self.told.elapsed() < TOLD_EVERY {
            return;
        }
        self.told = Instant::now();
        let (done, all) = (self.bar.position(), self.bar.length().unwrap_or_default());
        let rate = (done - self.before) as f64 / self.begin.elapsed().as_secs_f64();
        let left = Duration::from_secs_f64(all.saturating_sub(done) as f64 / rate.max(1e-3));
        let share = 100.0 * done as f64 / all.max(1) as f64;
        anstream::eprintln!(
            "{done} of {all} rows ({share:.1} %), {rate:.0} rows/s, {} s left, {} rejected",
            left.as_secs(),
            self.rejected
        );
    }

    fn end(&self) {
        self.bar.finish_and_clear();
    }
}
