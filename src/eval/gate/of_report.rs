//! A report as the figures that a gate is held against.

use super::{Figures, Found, Judgement, Missing, Outcome, Verdict};
use crate::eval::report::{
    Better, Estimate, Figure, GateOutcome, GateResult, LabelFigures, ReportData, Slice,
};

/// The figures of one label.
const OF_LABELS: [&str; 4] = ["precision", "recall", "f1", "average_precision"];

impl Figures for ReportData {
    fn figure(&self, id: &str, label: Option<&str>, slice: Option<(&str, &str)>) -> Result<Found, Missing> {
        match (slice, label) {
            (Some((column, value)), None) => self.of_slice(id, column, value),
            (Some(_), Some(_)) => Err(Missing::LabelInSlice),
            (None, Some(label)) => self.of_label(id, label),
            (None, None) => self.of_all(id),
        }
    }
}

impl ReportData {
    fn of_all(&self, id: &str) -> Result<Found, Missing> {
        if OF_LABELS.contains(&id) {
            return Err(Missing::NeedsLabel { known: self.label_ids() });
        }
        let of_all = self.figures.iter().find(|figure| figure.id == id && figure.better != Better::Neither);
        let Figure { estimate, rows, better, .. } =
            of_all.ok_or_else(|| Missing::Figure { known: self.figure_ids() })?;
        Ok(found(*estimate, rows.unwrap_or(self.what.rows), *better == Better::Higher))
    }

    fn of_label(&self, id: &str, label: &str) -> Result<Found, Missing> {
        if self.figures.iter().any(|figure| figure.id == id) {
            return Err(Missing::NotOfLabels);
        }
        let named = |figures: &&LabelFigures| figures.id == label || figures.name == label;
        let of_label = self.labels.iter().find(named);
        let LabelFigures { support, predicted, precision, recall, f1, average_precision, .. } =
            of_label.ok_or_else(|| Missing::Label { known: self.label_ids() })?;
        let (estimate, rows) = match id {
            "precision" => (Some(*precision), *predicted),
            "recall" => (Some(*recall), *support),
            "f1" => (Some(*f1), *support),
            "average_precision" => (*average_precision, *support),
            _ => (None, 0),
        };
        let estimate = estimate.ok_or_else(|| Missing::Figure { known: self.figure_ids() })?;
        Ok(found(estimate, rows, true))
    }

    fn of_slice(&self, id: &str, column: &str, value: &str) -> Result<Found, Missing> {
        let of_column = || self.slices.iter().filter(|slice| slice.column == column);
        if of_column().next().is_none() {
            let mut known: Vec<String> = self.slices.iter().map(|slice| slice.column.clone()).collect();
            known.dedup();
            return Err(Missing::Column { known });
        }
        let known = || of_column().map(|slice| slice.value.clone()).collect();
        let Slice { rows, accuracy, macro_f1, .. } = of_column()
            .find(|slice| slice.value == value)
            .ok_or_else(|| Missing::Slice { known: known() })?;
        let right = if self.confusion_matrix.is_some() { "accuracy" } else { "exact_match" };
        let estimate = match id {
            _ if id == right => Some(*accuracy),
            "macro_f1" => *macro_f1,
            _ => None,
        };
        let known = || vec![right.to_owned(), "macro_f1".to_owned()];
        Ok(found(estimate.ok_or_else(|| Missing::Figure { known: known() })?, *rows, true))
    }

    fn figure_ids(&self) -> Vec<String> {
        let judged = self.figures.iter().filter(|figure| figure.better != Better::Neither);
        let ids = judged.map(|figure| figure.id.clone());
        let ranks = self.labels.iter().any(|label| label.average_precision.is_some());
        let of_labels = OF_LABELS.into_iter().filter(|id| ranks || *id != "average_precision");
        ids.chain(of_labels.map(str::to_owned)).collect()
    }

    fn label_ids(&self) -> Vec<String> {
        self.labels.iter().map(|label| label.id.clone()).collect()
    }
}

fn found(Estimate { value, low, high }: Estimate, rows: u64, higher_is_better: bool) -> Found {
    let or_unknown = |end: Option<f64>| end.unwrap_or(f64::NAN);
    Found { value, low: or_unknown(low), high: or_unknown(high), rows: rows as usize, higher_is_better }
}

impl Verdict {
    /// What came of the bounds, for a report.
    pub fn results(&self) -> Vec<GateResult> {
        self.judgements.iter().map(result).collect()
    }
}

fn result(Judgement { bound, found, outcome }: &Judgement) -> GateResult {
    let (outcome, reason) = match outcome {
        Outcome::Met => (GateOutcome::Met, None),
        Outcome::Missed { .. } => (GateOutcome::Missed, None),
        Outcome::TooFewRows => (GateOutcome::TooFewRows, None),
        Outcome::CannotJudge { reason } => (GateOutcome::CannotJudge, Some(reason.clone())),
    };
    let judged = found.map(|found| found.end(bound.of)).filter(|judged| judged.is_finite());
    GateResult {
        figure: bound.figure.clone(),
        label: bound.label.clone(),
        slice: bound.slice.as_ref().map(|slice| format!("{} = {}", slice.column, slice.value)),
        bound: bound.limit.to_string(),
        of: bound.of.name().to_owned(),
        judged,
        outcome,
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Gate;
    use crate::eval::report::GateOutcome::{CannotJudge, Met, Missed};
    use crate::eval::report::sample::full;

    #[test]
    fn figures_of_all_of_labels_and_of_slices_are_found() {
        let bounds = "[[bound]]\nfigure = 'accuracy'\nat_least = 0.7\n\
            [[bound]]\nfigure = 'recall'\nlabel = 'housing'\nat_least = 0.95\n\
            [[bound]]\nfigure = 'f1'\nlabel = '交通出行'\nat_least = 0.5\n\
            [[bound]]\nfigure = 'macro_f1'\nslice = { district = '西区' }\nat_least = 0.5\n\
            [[bound]]\nfigure = 'recall'\nat_least = 0.5\n\
            [[bound]]\nfigure = 'accuracy'\nslice = { distrct = '西区' }\nat_least = 0.5\n\
            [[bound]]\nfigure = 'log_loss'\nslice = { district = '西区' }\nat_most = 0.5\n";
        let verdict = Gate::from_toml(bounds, "gate.toml").unwrap().check(&full());
        let results = verdict.results();
        let outcomes: Vec<_> = results.iter().map(|result| result.outcome).collect();
        assert_eq!(outcomes, [Met, Missed, Met, Met, CannotJudge, CannotJudge, CannotJudge]);
        assert!(results[4].reason.as_ref().unwrap().contains("name it with `label`"));
        assert!(results[5].reason.as_ref().unwrap().contains("is `district` meant?"));
        assert!(
            results[6].reason.as_ref().unwrap().contains("there is `accuracy`, `macro_f1`"),
            "{results:?}"
        );
        assert_eq!(results[3].slice.as_deref(), Some("district = 西区"));
    }
}
