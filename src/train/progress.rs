//! Tells a person how training gets on: a bar on a terminal, else a line every half minute.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};

use super::HeadFigures;

const LINE_EVERY: Duration = Duration::from_secs(30);
/// Weight of the past in the loss that is shown.
const SMOOTHING: f64 = 0.95;

/// Progress of one epoch.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    epoch: usize,
    start: Instant,
    last_line: Instant,
    loss: Option<f64>,
    rows: usize,
    tokens: usize,
    first_step: usize,
    step: usize,
    /// Steps until the last epoch would end.
    total_steps: usize,
}

impl Progress {
    /// Starts an epoch at `step` of `total_steps`; it has `batches` of which `done` are done.
    pub(crate) fn new(
        epoch: usize,
        (done, batches): (usize, usize),
        (step, total_steps): (usize, usize),
    ) -> Self {
        let bar = if std::io::stderr().is_terminal() {
            ProgressBar::new(batches as u64)
        } else {
            ProgressBar::hidden()
        };
        if let Ok(style) = ProgressStyle::with_template("{prefix} {bar:24} {pos}/{len} {msg}") {
            bar.set_style(style);
        }
        bar.set_prefix(format!("epoch {epoch}"));
        bar.set_position(done as u64);
        let now = Instant::now();
        Self {
            bar,
            epoch,
            start: now,
            last_line: now,
            loss: None,
            rows: 0,
            tokens: 0,
            first_step: step,
            step,
            total_steps,
        }
    }

    /// A batch is done.
    pub(crate) fn batch(&mut self, loss: f64, rows: usize, tokens: usize) {
        self.loss = Some(self.loss.map_or(loss, |past| SMOOTHING * past + (1.0 - SMOOTHING) * loss));
        self.rows += rows;
        self.tokens += tokens;
        self.step += 1;
        self.bar.set_message(self.message());
        self.bar.inc(1);
        if self.bar.is_hidden() && self.last_line.elapsed() >= LINE_EVERY {
            self.last_line = Instant::now();
            self.line();
        }
    }

    /// The epoch is over.
    pub(crate) fn finish(&self) {
        if self.bar.is_hidden() && self.rows > 0 {
            self.line();
        }
        self.bar.finish_and_clear();
    }

    fn line(&self) {
        let Self { epoch, step, total_steps, .. } = self;
        anstream::eprintln!("epoch {epoch}, step {step}/{total_steps}: {}", self.message());
    }

    fn message(&self) -> String {
        let seconds = self.start.elapsed().as_secs_f64().max(1e-9);
        let steps_left = self.total_steps.saturating_sub(self.step) as f64;
        let left = seconds / (self.step - self.first_step).max(1) as f64 * steps_left;
        format!(
            "loss {:.4}, {:.1} rows/s, {:.0} tokens/s, at most {} left",
            self.loss.unwrap_or_default(),
            self.rows as f64 / seconds,
            self.tokens as f64 / seconds,
            HumanDuration(Duration::from_secs_f64(left)),
        )
    }
}

/// Says what the run has to work with.
pub(super) fn announce(prepared: &super::prepare::Prepared) {
    for ((name, counts), set) in prepared.counts.iter().zip(&prepared.sets) {
        let left_out = [
            (counts.excluded_by_id, "excluded by id"),
            (counts.excluded_by_text, "with the words of a dev row"),
            (counts.without_label, "without a label"),
            (counts.in_training_set, "read with the training set"),
            (counts.cut, "too long, cut in the middle"),
        ];
        let notes: Vec<String> = left_out
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        let notes = if notes.is_empty() { String::new() } else { format!(" ({})", notes.join(", ")) };
        anstream::eprintln!("{name}: {} of {} rows{notes}", set.examples.len(), counts.read);
    }
    anstream::eprintln!("dev: {} rows", prepared.dev.len());
    for head in &prepared.config.heads {
        anstream::eprintln!("head `{}`: {} labels", head.name, head.labels.len());
    }
    let parameters: usize = prepared.model.parameters().iter().map(|(_, var)| var.elem_count()).sum();
    let fresh = prepared.fresh_weights.len();
    let epochs = prepared.epochs;
    anstream::eprintln!(
        "{:.1} M parameters; {fresh} weights are new; at most {epochs} epochs",
        parameters as f64 / 1e6
    );
}

/// Says how good the model is after an epoch.
pub(super) fn announce_epoch(figures: &super::EpochFigures) {
    anstream::eprintln!("epoch {}: loss {:.4}; {}", figures.epoch, figures.loss, listed(&figures.heads));
}

/// Says how good the n-grams are without the encoder.
pub(super) fn announce_ngrams(heads: &[HeadFigures]) {
    anstream::eprintln!("n-grams alone: {}", listed(heads));
}

fn listed(heads: &[HeadFigures]) -> String {
    let figures = |head: &HeadFigures| {
        format!("{} accuracy {:.3} macro-F1 {:.3}", head.head, head.accuracy, head.macro_f1)
    };
    heads.iter().map(figures).collect::<Vec<_>>().join("; ")
}
