//! Reads the log of decisions: what was decided on a request, and how many decisions there were.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, Row, named_params};
use serde::{Deserialize, Serialize};

use super::database::{Care, Kind};
use super::decision::{Action, Decision, DecisionVersions, Outcome, TextDigest};
use super::error::RecordsError;
use super::table;

/// Most decisions that are told of one request.
const MAX_FOUND: i64 = 1_000;
/// Decisions that are counted at a time.
const COUNTED_AT_ONCE: i64 = 4_096;

/// The file of decisions: the last moments before a power cut may be lost.
pub(super) const DECISIONS: Kind = Kind {
    file_name: "decisions.sqlite",
    care: Care::GivesWay,
    schema: &["
        CREATE TABLE decisions (
            id INTEGER PRIMARY KEY,
            request_id TEXT NOT NULL,
            received_at INTEGER NOT NULL,
            digest BLOB NOT NULL,
            category TEXT NOT NULL,
            lead TEXT NOT NULL,
            action TEXT NOT NULL,
            rules TEXT NOT NULL,
            details TEXT NOT NULL
        ) STRICT;
        CREATE INDEX decisions_by_request ON decisions (request_id);
        CREATE INDEX decisions_by_time ON decisions (received_at);
    "],
};

/// What nobody filters on, as JSON in the column `details`.
#[derive(Serialize, Deserialize)]
struct Details {
    versions: DecisionVersions,
    supporting: Vec<String>,
    territorial: Option<String>,
    reasons: Vec<String>,
    risk_alarms: Vec<String>,
    degradations: Vec<String>,
}

/// How many decisions there were in a period.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct DecisionTotals {
    /// All decisions.
    pub decisions: u64,
    /// When the first of them came in, in milliseconds since 1970.
    pub oldest: Option<i64>,
    /// By dispatch rule that fired; a decision counts for each of its rules.
    pub by_rule: BTreeMap<String, u64>,
    /// By category.
    pub by_category: BTreeMap<String, u64>,
}

/// Reads the decisions of a folder. Each call has a connection of its own, so calls do not wait for each other.
#[derive(Debug, Clone)]
pub struct DecisionReader {
    dir: PathBuf,
}

impl DecisionReader {
    /// Reads the decisions in the folder `dir`, also of another process.
    ///
    /// # Errors
    /// If there is no log of decisions, or it has another schema version or cannot be read.
    pub fn open(dir: &Path) -> Result<Self, RecordsError> {
        DECISIONS.read(dir)?;
        Ok(Self::of(dir))
    }

    pub(super) fn of(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// The decisions on a request that are still in the log, the last written first, at most a thousand.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn find(&self, request_id: &str) -> Result<Vec<Decision>, RecordsError> {
        self.read(|connection| {
            let mut select = connection.prepare(
                "SELECT * FROM decisions WHERE request_id = :request_id ORDER BY id DESC LIMIT :limit",
            )?;
            let parameters = named_params! { ":request_id": request_id, ":limit": MAX_FOUND };
            select.query_map(parameters, read)?.collect()
        })
    }

    /// Counts the decisions that came in from `since` on and before `until`, in milliseconds since 1970.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn totals(&self, since: Option<i64>, until: Option<i64>) -> Result<DecisionTotals, RecordsError> {
        self.read(|connection| {
            let last: Option<i64> =
                connection.query_row("SELECT max(id) FROM decisions", [], |row| row.get(0))?;
            let mut totals = DecisionTotals::default();
            let mut after = Some((since.unwrap_or(i64::MIN), -1));
            // In pages, since a reader that stays on one state of the file keeps its log from being written back.
            while let Some(start) = after {
                after = totals.add_page(connection, start, until.unwrap_or(i64::MAX), last)?;
            }
            Ok(totals)
        })
    }

    fn read<T>(&self, query: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, RecordsError> {
        let connection = DECISIONS.read(&self.dir)?;
        query(&connection).map_err(|source| RecordsError::sqlite(&self.dir.join(DECISIONS.file_name), source))
    }
}

impl DecisionTotals {
    /// Counts a page of decisions that came after the time and the id of `after`; says after which the next page
    /// starts.
    fn add_page(
        &mut self,
        connection: &Connection,
        after: (i64, i64),
        until: i64,
        last: Option<i64>,
    ) -> rusqlite::Result<Option<(i64, i64)>> {
        let mut select = connection.prepare_cached(
            "SELECT received_at, id, category, rules FROM decisions
            WHERE (received_at, id) > (:time, :id) AND received_at < :until AND id <= :last
            ORDER BY received_at, id LIMIT :limit",
        )?;
        let (time, id) = after;
        let limit = COUNTED_AT_ONCE;
        let mut rows = select.query(named_params! {
            ":time": time, ":id": id, ":until": until, ":last": last, ":limit": limit
        })?;
        let mut end = None;
        while let Some(row) = rows.next()? {
            let received_at = row.get("received_at")?;
            self.decisions += 1;
            self.oldest.get_or_insert(received_at);
            *self.by_category.entry(row.get("category")?).or_default() += 1;
            for rule in table::ids(row, "rules")? {
                *self.by_rule.entry(rule).or_default() += 1;
            }
            end = Some((received_at, row.get("id")?));
        }
        Ok(end)
    }
}

/// Adds a decision.
pub(super) fn insert(connection: &Connection, decision: Decision) -> rusqlite::Result<()> {
    let Outcome { category, lead, supporting, territorial, action } = decision.outcome;
    let Decision { versions, reasons, risk_alarms, degradations, .. } = decision;
    let details = Details { versions, supporting, territorial, reasons, risk_alarms, degradations };
    let details = serde_json::to_string(&details)
        .map_err(|source| rusqlite::Error::ToSqlConversionFailure(source.into()))?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO decisions (request_id, received_at, digest, category, lead, action, rules, details)
        VALUES (:request_id, :received_at, :digest, :category, :lead, :action, :rules, :details)",
    )?;
    insert.execute(named_params! {
        ":request_id": decision.request_id,
        ":received_at": decision.received_at,
        ":digest": decision.digest.0,
        ":category": category,
        ":lead": lead,
        ":action": action.id(),
        ":rules": table::json(&decision.rules),
        ":details": details,
    })?;
    Ok(())
}

fn read(row: &Row<'_>) -> rusqlite::Result<Decision> {
    let details: String = row.get("details")?;
    let details: Details =
        serde_json::from_str(&details).map_err(|source| table::malformed(row, "details", source.into()))?;
    let action: String = row.get("action")?;
    let unknown = || table::malformed(row, "action", format!("unknown action `{action}`").into());
    let action = Action::from_id(&action).ok_or_else(unknown)?;
    Ok(Decision {
        request_id: row.get("request_id")?,
        received_at: row.get("received_at")?,
        digest: TextDigest(row.get("digest")?),
        versions: details.versions,
        outcome: Outcome {
            category: row.get("category")?,
            lead: row.get("lead")?,
            supporting: details.supporting,
            territorial: details.territorial,
            action,
        },
        reasons: details.reasons,
        rules: table::ids(row, "rules")?,
        risk_alarms: details.risk_alarms,
        degradations: details.degradations,
    })
}

#[cfg(test)]
mod tests {
    use super::super::decision::tests::burst_pipe;
    use super::*;

    fn filled(dir: &Path, decisions: &[Decision]) -> DecisionReader {
        let mut connection = DECISIONS.open(dir).unwrap();
        let transaction = connection.transaction().unwrap();
        for decision in decisions {
            insert(&transaction, decision.clone()).unwrap();
        }
        transaction.commit().unwrap();
        DecisionReader::open(dir).unwrap()
    }

    #[test]
    fn the_decisions_on_a_request_are_found_whole_and_the_last_first_even_if_the_clock_was_set_back() {
        let dir = tempfile::tempdir().unwrap();
        let decisions = [burst_pipe("r1", 5), burst_pipe("r2", 6), burst_pipe("r1", 9), burst_pipe("r1", 7)];
        let reader = filled(dir.path(), &decisions);
        assert_eq!(
            reader.find("r1").unwrap(),
            [burst_pipe("r1", 7), burst_pipe("r1", 9), burst_pipe("r1", 5)]
        );
        assert_eq!(reader.find("r3").unwrap(), []);
    }

    #[test]
    fn totals_count_rules_and_categories_of_the_period() {
        let dir = tempfile::tempdir().unwrap();
        let mut noise = burst_pipe("r2", 6);
        noise.outcome.category = "noise".to_owned();
        noise.rules = vec!["area".to_owned()];
        let reader = filled(dir.path(), &[burst_pipe("r1", 5), noise, burst_pipe("r3", 7)]);
        let totals = reader.totals(None, None).unwrap();
        assert_eq!((totals.decisions, totals.oldest), (3, Some(5)));
        assert_eq!(totals.by_rule, BTreeMap::from([("area".to_owned(), 3), ("water_first".to_owned(), 2)]));
        let totals = reader.totals(Some(6), Some(7)).unwrap();
        assert_eq!((totals.decisions, totals.oldest), (1, Some(6)));
        assert_eq!(totals.by_category, BTreeMap::from([("noise".to_owned(), 1)]));
        assert_eq!(reader.totals(Some(8), None).unwrap(), DecisionTotals::default());
    }

    #[test]
    fn totals_of_many_pages_count_each_decision_once() {
        let dir = tempfile::tempdir().unwrap();
        // More of one moment than a page has, between others.
        let times = std::iter::repeat_n(5, 5_000).chain([3, 4]).chain(6..4_500);
        let decisions: Vec<_> = times.map(|time| burst_pipe("r", time)).collect();
        let reader = filled(dir.path(), &decisions);
        let totals = reader.totals(Some(4), None).unwrap();
        assert_eq!((totals.decisions, totals.oldest), (5_000 + 1 + 4_494, Some(4)));
        assert_eq!(totals.by_rule["area"], totals.decisions);
    }
}
