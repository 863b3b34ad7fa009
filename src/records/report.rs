//! Counts corrections by rule and by category, to find what suggests wrongly most often.

use std::collections::{BTreeMap, HashMap};

use rusqlite::Connection;
use serde::Serialize;

use super::audit::DecisionTotals;
use super::correction::CorrectionReason;
use super::error::RecordsError;
use super::history::{CorrectionReader, ids_between};
use super::table;

/// The corrections of a period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CorrectionReport {
    /// How many there are.
    pub corrections: u64,
    /// By dispatch rule that fired, most corrected first. A correction counts for each of its rules.
    pub by_rule: Vec<CorrectionCounts>,
    /// By suggested category, most corrected first.
    pub by_category: Vec<CorrectionCounts>,
    /// When the first decision was made that the rates count, in milliseconds since 1970. Where this is well after the
    /// period's start, the log has lost older decisions and the rates are too high.
    pub decisions_from: Option<i64>,
}

/// The corrections of a rule or a category.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CorrectionCounts {
    /// The id of the rule or category.
    pub id: String,
    /// How many corrections.
    pub corrections: u64,
    /// How many for each reason.
    pub by_reason: BTreeMap<CorrectionReason, u64>,
    /// The lead that people chose most often instead of the suggested one, and how often.
    pub instead: Option<(String, u64)>,
    /// How many decisions there were with this rule or category, where a log says so.
    pub decisions: Option<u64>,
}

impl CorrectionCounts {
    /// Corrections for each decision; none where no decisions are known.
    pub fn rate(&self) -> Option<f64> {
        let decisions = self.decisions.filter(|&decisions| decisions > 0)?;
        Some(self.corrections as f64 / decisions as f64)
    }
}

impl CorrectionReader {
    /// Counts the corrections recorded from `since` on and before `until`, in milliseconds since 1970.
    ///
    /// `totals` are the decisions of the same period.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn report(
        &self,
        since: Option<i64>,
        until: Option<i64>,
        totals: Option<&DecisionTotals>,
    ) -> Result<CorrectionReport, RecordsError> {
        self.read(|connection| {
            // So that all counts are of one state of the file.
            let transaction = connection.unchecked_transaction()?;
            let ids = ids_between(&transaction, since, until)?;
            let bounds = [ids.start, ids.end];
            let count = |row: &rusqlite::Row<'_>| row.get(0).map(i64::cast_unsigned);
            let corrections = transaction.query_row(
                "SELECT count(*) FROM corrections WHERE id >= ?1 AND id < ?2",
                bounds,
                count,
            )?;
            let by_rule = "SELECT value AS key, reason, decided_lead, decided_lead <> suggested_lead AS other, count(*) AS corrections
                FROM corrections, json_each(rules) WHERE corrections.id >= ?1 AND corrections.id < ?2 GROUP BY 1, 2, 3, 4";
            let by_category = "SELECT suggested_category AS key, reason, decided_lead, decided_lead <> suggested_lead AS other, count(*) AS corrections
                FROM corrections WHERE id >= ?1 AND id < ?2 GROUP BY 1, 2, 3, 4";
            Ok(CorrectionReport {
                corrections,
                by_rule: counts(&transaction, by_rule, bounds, totals.map(|totals| &totals.by_rule))?,
                by_category: counts(&transaction, by_category, bounds, totals.map(|totals| &totals.by_category))?,
                decisions_from: totals.and_then(|totals| totals.oldest),
            })
        })
    }
}

/// Sums up the groups that a query gives, most corrected first.
fn counts(
    connection: &Connection,
    query: &str,
    bounds: [i64; 2],
    decisions: Option<&BTreeMap<String, u64>>,
) -> rusqlite::Result<Vec<CorrectionCounts>> {
    let mut sums: HashMap<String, Sums> = HashMap::new();
    let mut select = connection.prepare(query)?;
    let mut rows = select.query(bounds)?;
    while let Some(row) = rows.next()? {
        let corrections = row.get::<_, i64>("corrections")?.cast_unsigned();
        let sums = sums.entry(row.get("key")?).or_default();
        *sums.by_reason.entry(table::reason(row, "reason")?).or_default() += corrections;
        if row.get("other")? {
            *sums.instead.entry(row.get("decided_lead")?).or_default() += corrections;
        }
    }
    let mut counts: Vec<_> = sums
        .into_iter()
        .map(|(id, Sums { by_reason, instead })| CorrectionCounts {
            corrections: by_reason.values().sum(),
            decisions: decisions.map(|decisions| decisions.get(&id).copied().unwrap_or(0)),
            // Of two as frequent, the first by id.
            instead: instead.into_iter().rev().max_by_key(|(_, corrections)| *corrections),
            by_reason,
            id,
        })
        .collect();
    counts.sort_by(|a, b| b.corrections.cmp(&a.corrections).then_with(|| a.id.cmp(&b.id)));
    Ok(counts)
}

#[derive(Default)]
struct Sums {
    by_reason: BTreeMap<CorrectionReason, u64>,
    instead: BTreeMap<String, u64>,
}

#[cfg(test)]
mod tests {
    use super::super::correction::tests::street_lamp;
    use super::super::table::CORRECTIONS;
    use super::*;

    #[test]
    fn rules_and_categories_are_told_with_what_was_decided_instead() {
        let dir = tempfile::tempdir().unwrap();
        let connection = CORRECTIONS.open(dir.path()).unwrap();
        for (time, (rules, lead, reason)) in (0..).zip([
            (&["estate_first", "area"][..], "city_management", CorrectionReason::DutyMismatch),
            (&["estate_first"], "city_management", CorrectionReason::AreaMismatch),
            (&["estate_first"], "police", CorrectionReason::DutyMismatch),
            (&[], "housing_bureau", CorrectionReason::Duplicate),
        ]) {
            let mut correction = street_lamp(&format!("r{time}"));
            correction.suggested.rules = rules.iter().map(ToString::to_string).collect();
            correction.decided.lead = lead.to_owned();
            correction.reason = reason;
            table::insert(&connection, time, &correction).unwrap();
        }
        let totals = DecisionTotals {
            decisions: 20,
            oldest: Some(0),
            by_rule: BTreeMap::from([("estate_first".to_owned(), 12)]),
            by_category: BTreeMap::from([("housing".to_owned(), 16)]),
        };
        let reader = CorrectionReader::open(dir.path()).unwrap();
        let report = reader.report(None, None, Some(&totals)).unwrap();
        assert_eq!(report.corrections, 4);
        let [estate_first, area] = &report.by_rule[..] else { panic!("{report:?}") };
        assert_eq!((estate_first.id.as_str(), estate_first.corrections), ("estate_first", 3));
        assert_eq!(estate_first.by_reason[&CorrectionReason::DutyMismatch], 2);
        assert_eq!(estate_first.instead, Some(("city_management".to_owned(), 2)));
        assert_eq!(estate_first.rate(), Some(0.25));
        assert_eq!((area.id.as_str(), area.corrections, area.rate()), ("area", 1, None));
        let [housing] = &report.by_category[..] else { panic!("{report:?}") };
        assert_eq!((housing.corrections, housing.rate()), (4, Some(0.25)));
        assert_eq!(housing.by_reason.len(), 3);

        let later = reader.report(Some(3), Some(4), None).unwrap();
        assert_eq!((later.corrections, later.by_rule.len()), (1, 0));
        assert_eq!(later.by_category[0].instead, None, "the suggested lead was kept");
        assert_eq!(later.by_category[0].decisions, None);
    }
}
