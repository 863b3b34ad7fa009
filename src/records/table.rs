//! How a correction lies in its table.

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::correction::{
    Correction, CorrectionReason, CorrectionVersions, DecidedDispatch, RecordedCorrection, SuggestedDispatch,
};
use super::database::{Care, Kind};

/// The file of corrections: what is acknowledged is on the disk, and stays as it is.
pub(super) const CORRECTIONS: Kind = Kind {
    file_name: "corrections.sqlite",
    care: Care::Promised,
    schema: &["
        CREATE TABLE corrections (
            id INTEGER PRIMARY KEY,
            recorded_at INTEGER NOT NULL,
            request_id TEXT NOT NULL UNIQUE,
            suggested_category TEXT NOT NULL,
            suggested_lead TEXT NOT NULL,
            suggested_supporting TEXT NOT NULL,
            suggested_territorial TEXT,
            rules TEXT NOT NULL,
            decided_category TEXT NOT NULL,
            decided_lead TEXT NOT NULL,
            decided_supporting TEXT NOT NULL,
            decided_territorial TEXT,
            decided_by TEXT NOT NULL,
            reason TEXT NOT NULL,
            note TEXT,
            title TEXT,
            text TEXT,
            model TEXT,
            model_revision TEXT,
            taxonomy_version TEXT,
            directory_version TEXT
        ) STRICT;
        CREATE INDEX corrections_by_time ON corrections (recorded_at);
        CREATE TRIGGER corrections_stay BEFORE UPDATE ON corrections
        BEGIN SELECT raise(ABORT, 'a recorded correction is never changed'); END;
        CREATE TRIGGER corrections_remain BEFORE DELETE ON corrections
        BEGIN SELECT raise(ABORT, 'a recorded correction is never deleted'); END;
        -- `INSERT OR REPLACE` deletes without asking the trigger above.
        CREATE TRIGGER corrections_hold BEFORE INSERT ON corrections
        WHEN EXISTS (SELECT 1 FROM corrections WHERE request_id = NEW.request_id OR id = NEW.id)
        BEGIN SELECT raise(ABORT, 'a recorded correction is never replaced'); END;
    "],
};

/// Adds a correction; gives its id.
pub(super) fn insert(
    connection: &Connection,
    recorded_at: i64,
    correction: &Correction,
) -> rusqlite::Result<i64> {
    let Correction { request_id, suggested, decided, decided_by, reason, note, title, text, versions } =
        correction;
    let mut insert = connection.prepare_cached(
        "INSERT INTO corrections (
            recorded_at, request_id, suggested_category, suggested_lead, suggested_supporting,
            suggested_territorial, rules, decided_category, decided_lead, decided_supporting,
            decided_territorial, decided_by, reason, note, title, text,
            model, model_revision, taxonomy_version, directory_version
        ) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)",
    )?;
    insert.insert(params![
        recorded_at,
        request_id,
        suggested.category,
        suggested.lead,
        json(&suggested.supporting),
        suggested.territorial,
        json(&suggested.rules),
        decided.category,
        decided.lead,
        json(&decided.supporting),
        decided.territorial,
        decided_by,
        reason.id(),
        note,
        title,
        text,
        versions.model,
        versions.model_revision,
        versions.taxonomy,
        versions.directory,
    ])
}

/// The correction of a request, where there is one.
pub(super) fn find(
    connection: &Connection,
    request_id: &str,
) -> rusqlite::Result<Option<RecordedCorrection>> {
    let mut find = connection.prepare_cached("SELECT * FROM corrections WHERE request_id = ?1")?;
    find.query_row([request_id], read).optional()
}

/// Reads a row with all columns.
pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<RecordedCorrection> {
    let correction = Correction {
        request_id: row.get("request_id")?,
        suggested: SuggestedDispatch {
            category: row.get("suggested_category")?,
            lead: row.get("suggested_lead")?,
            supporting: ids(row, "suggested_supporting")?,
            territorial: row.get("suggested_territorial")?,
            rules: ids(row, "rules")?,
        },
        decided: DecidedDispatch {
            category: row.get("decided_category")?,
            lead: row.get("decided_lead")?,
            supporting: ids(row, "decided_supporting")?,
            territorial: row.get("decided_territorial")?,
        },
        decided_by: row.get("decided_by")?,
        reason: reason(row, "reason")?,
        note: row.get("note")?,
        title: row.get("title")?,
        text: row.get("text")?,
        versions: CorrectionVersions {
            model: row.get("model")?,
            model_revision: row.get("model_revision")?,
            taxonomy: row.get("taxonomy_version")?,
            directory: row.get("directory_version")?,
        },
    };
    Ok(RecordedCorrection { id: row.get("id")?, recorded_at: row.get("recorded_at")?, correction })
}

/// Reads a column that holds a reason.
pub(super) fn reason(row: &Row<'_>, column: &str) -> rusqlite::Result<CorrectionReason> {
    let id: String = row.get(column)?;
    CorrectionReason::from_id(&id)
        .ok_or_else(|| malformed(row, column, format!("unknown reason `{id}`").into()))
}

/// Ids as the JSON array that a column holds.
pub(super) fn json(ids: &[String]) -> String {
    serde_json::Value::from(ids).to_string()
}

/// Reads a column that holds a JSON array of ids.
pub(super) fn ids(row: &Row<'_>, column: &str) -> rusqlite::Result<Vec<String>> {
    let json: String = row.get(column)?;
    serde_json::from_str(&json).map_err(|source| malformed(row, column, source.into()))
}

/// The error for a column whose text does not mean anything.
pub(super) fn malformed(
    row: &Row<'_>,
    column: &str,
    source: Box<dyn std::error::Error + Send + Sync>,
) -> rusqlite::Error {
    let position = row.as_ref().column_index(column).unwrap_or_default();
    rusqlite::Error::FromSqlConversionFailure(position, Type::Text, source)
}

#[cfg(test)]
mod tests {
    use super::super::correction::tests::street_lamp;
    use super::*;

    #[test]
    fn what_is_read_is_what_was_inserted() {
        let dir = tempfile::tempdir().unwrap();
        let connection = CORRECTIONS.open(dir.path()).unwrap();
        let mut bare = street_lamp("bare");
        (bare.note, bare.title, bare.text) = (None, None, None);
        for correction in [street_lamp("full"), bare] {
            let id = insert(&connection, 5, &correction).unwrap();
            let found = find(&connection, &correction.request_id).unwrap().unwrap();
            assert_eq!(found, RecordedCorrection { id, recorded_at: 5, correction });
        }
        assert_eq!(find(&connection, "other").unwrap(), None);
    }

    #[test]
    fn rows_can_be_neither_changed_nor_deleted_nor_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let connection = CORRECTIONS.open(dir.path()).unwrap();
        insert(&connection, 5, &street_lamp("r1")).unwrap();
        for forbidden in [
            "UPDATE corrections SET decided_lead = 'police'",
            "DELETE FROM corrections",
            "INSERT OR REPLACE INTO corrections SELECT * FROM corrections",
        ] {
            let error = connection.execute(forbidden, []).unwrap_err();
            assert!(error.to_string().contains("never"), "{forbidden}: {error}");
        }
        assert_eq!(find(&connection, "r1").unwrap().unwrap().correction, street_lamp("r1"));
    }
}
