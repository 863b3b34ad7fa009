//! `jiesu train`: settings from arguments, and the figures at the end.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use unicode_width::UnicodeWidthStr;

use crate::classifier::{CertifiedThreshold, HeadCalibration, Pooling};
use crate::cli::train::{PoolingArg, StartArgs, TrainArgs};
use crate::encoder::BertConfig;
use crate::taxonomy::{Category, Taxonomy, Term};
use crate::terms::URGENCY_HEAD;
use crate::train::{
    AuxiliaryData, ClassWeights, Crosswalk, CrosswalkData, HeadColumn, HeadFigures, OptimizerSettings,
    Outcome, Start, TextColumns, TrainReport, TrainSettings, train,
};

/// Trains and prints the dev figures.
pub(super) fn run(args: &TrainArgs) -> anyhow::Result<ExitCode> {
    let taxonomy = match &args.data.taxonomy {
        Some(file) => Arc::new(Taxonomy::load(file)?),
        None => Taxonomy::built_in(),
    };
    match train(&settings(args, &taxonomy)?)? {
        Outcome::Finished(report) => print(args, &report),
        Outcome::Paused { step, total_steps } => {
            anstream::eprintln!("paused after step {step} of {total_steps}; `--resume` goes on");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn settings(args: &TrainArgs, taxonomy: &Taxonomy) -> anyhow::Result<TrainSettings> {
    let (data, course) = (&args.data, &args.course);
    let mut heads = vec![head_column(&data.head_name, &data.label_column)];
    for head in &data.heads {
        let (name, column) =
            head.split_once('=').ok_or_else(|| anyhow!("`--head {head}` is not of the form NAME=COLUMN"))?;
        if heads.iter().any(|head| head.head == name) {
            bail!("head `{name}` is given twice");
        }
        heads.push(head_column(name, column));
    }
    Ok(TrainSettings {
        dev: data.dev.clone(),
        dev_share: data.dev_share,
        exclude_ids: data.exclude_ids.clone(),
        columns: TextColumns {
            text: data.text_column.clone(),
            title: data.title_column.clone(),
            id: data.id_column.clone(),
        },
        other_heads_weight: course.other_heads_weight,
        auxiliary: data.auxiliary.iter().map(|text| auxiliary(text)).collect::<anyhow::Result<_>>()?,
        crosswalks: data
            .crosswalk
            .iter()
            .map(|text| crosswalk(text, taxonomy))
            .collect::<anyhow::Result<_>>()?,
        label_orders: label_orders(taxonomy),
        pooling: match course.pooling {
            PoolingArg::Mean => Pooling::Mean,
            PoolingArg::ClsPooler => Pooling::ClsPooler,
        },
        max_tokens: course.max_tokens,
        batch_size: course.batch_size,
        epochs: course.epochs,
        patience: course.patience,
        optimizer: OptimizerSettings {
            learning_rate: course.learning_rate,
            head_learning_rate: course.head_learning_rate,
            weight_decay: course.weight_decay,
            warmup_share: course.warmup_share,
            ..OptimizerSettings::default()
        },
        dropout: course.dropout,
        label_smoothing: course.label_smoothing as f32,
        class_weights: if course.class_weights { ClassWeights::SquareRoot } else { ClassWeights::Equal },
        seed: course.seed,
        resume: args.resume,
        checkpoint_minutes: course.checkpoint_minutes,
        pause_after_steps: course.pause_after_steps,
        alert_heads: vec![URGENCY_HEAD.to_owned()],
        ngrams: course.ngrams,
        half: course.half,
        ..TrainSettings::new(args.train.clone(), heads, start(&args.start)?, args.output.clone())
    })
}

fn head_column(head: &str, column: &str) -> HeadColumn {
    let (column, also) = match column.split_once('+') {
        Some((column, also)) => (column, Some(also.to_owned())),
        None => (column, None),
    };
    let (column, list) = match column.strip_suffix("[]") {
        Some(column) => (column, true),
        None => (column, false),
    };
    HeadColumn { list, also, ..HeadColumn::new(head, column) }
}

fn start(args: &StartArgs) -> anyhow::Result<Start> {
    if let Some(base) = &args.base {
        return Ok(Start::Base(base.clone()));
    }
    let vocabulary = args.vocab.clone().context("name a `--base` or a `--vocab`")?;
    let shape = BertConfig::new(
        // Counted from the vocabulary.
        0,
        args.hidden_layers,
        args.hidden_size,
        args.attention_heads,
        args.intermediate_size.unwrap_or(4 * args.hidden_size),
    );
    Ok(Start::Fresh { vocabulary, vectors: args.vectors.clone(), shape })
}

/// `NAME` or `NAME*WEIGHT`.
fn weighted(text: &str) -> anyhow::Result<(&str, f64)> {
    let Some((name, weight)) = text.rsplit_once('*') else { return Ok((text, 1.0)) };
    match weight.parse() {
        Ok(weight) if f64::is_finite(weight) && weight > 0.0 => Ok((name, weight)),
        Ok(_) | Err(_) => bail!("`{weight}` in `{text}` is no weight above 0"),
    }
}

fn auxiliary(text: &str) -> anyhow::Result<AuxiliaryData> {
    let (name, weight) = weighted(text)?;
    let (path, column) = name
        .rsplit_once(':')
        .ok_or_else(|| anyhow!("`--auxiliary {text}` is not of the form FILE:COLUMN"))?;
    Ok(AuxiliaryData { path: path.into(), column: column.to_owned(), weight })
}

fn crosswalk(text: &str, taxonomy: &Taxonomy) -> anyhow::Result<CrosswalkData> {
    let (name, weight) = weighted(text)?;
    let parts = name.rsplit_once(':').and_then(|(rest, id)| Some((rest.rsplit_once(':')?, id)));
    let ((path, column), id) =
        parts.ok_or_else(|| anyhow!("`--crosswalk {text}` is not of the form FILE:COLUMN:SYSTEM"))?;
    let system = taxonomy.label_system(id).ok_or_else(|| {
        let known: Vec<_> = taxonomy.label_systems.iter().map(|system| system.id.as_str()).collect();
        anyhow!("the taxonomy has no label system `{id}`\nhint: it has {}", known.join(", "))
    })?;
    let row = |category: &Category| Some((category.id.clone(), system.row(&category.id)?.to_vec()));
    let rows = taxonomy.categories.iter().filter_map(row).collect();
    let crosswalk = Crosswalk { labels: system.labels.clone(), rows };
    Ok(CrosswalkData { path: path.into(), column: column.to_owned(), crosswalk, weight })
}

/// The orders in which the taxonomy lists things.
fn label_orders(taxonomy: &Taxonomy) -> Vec<Vec<String>> {
    let ids = |terms: &[Term]| terms.iter().map(|term| term.id.clone()).collect::<Vec<_>>();
    let mut orders = vec![taxonomy.categories.iter().map(|category| category.id.clone()).collect()];
    orders.extend(
        [&taxonomy.kinds, &taxonomy.urgencies, &taxonomy.risks, &taxonomy.groups].map(|terms| ids(terms)),
    );
    orders
}

fn print(args: &TrainArgs, report: &TrainReport) {
    let output = args.output.display();
    anstream::println!(
        "{output}: epoch {} of {}, {} steps",
        report.epoch,
        report.history.len(),
        report.steps
    );
    if report.heads.is_empty() {
        return;
    }
    let width = report.heads.iter().map(|head| head.head.width()).max().unwrap_or(0).max(4);
    anstream::println!("{:width$}  dev rows  accuracy  macro-F1  micro-F1", "head");
    for HeadFigures { head, rows, accuracy, macro_f1, micro_f1 } in &report.heads {
        let padding = " ".repeat(width - head.width());
        anstream::println!("{head}{padding}  {rows:8}  {accuracy:8.4}  {macro_f1:8.4}  {micro_f1:8.4}");
    }
    for (head, HeadCalibration { accept, sample_size, expected_calibration_error, .. }) in
        &report.calibration.heads
    {
        if let Some(error) = expected_calibration_error {
            anstream::println!("{head}: confidences are off by {error:.3} on average");
        }
        for CertifiedThreshold { precision, threshold, accepted, .. } in accept {
            let share = 100.0 * *accepted as f64 / *sample_size as f64;
            anstream::println!(
                "{head}: precision {precision:.2} is certified from confidence {threshold:.3} on, {share:.0} % of the rows"
            );
        }
    }
}
