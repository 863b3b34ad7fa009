//! Opens the SQLite files: how they are kept, which schema they have, whether they are whole.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::error::RecordsError;

/// How long to wait for another connection; readers and the writer hold each other up for moments only.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// What the log of a file may keep of the disk once it was written back.
pub(super) const WAL_BYTES: u32 = 4 << 20;

/// What a file holds, and how safely.
#[derive(Debug)]
pub(super) struct Kind {
    /// The name of the file.
    pub(super) file_name: &'static str,
    /// The value of `PRAGMA synchronous`: `FULL` brings each commit to the disk, `NORMAL` each checkpoint.
    pub(super) synchronous: &'static str,
    /// One script for each version of the schema, which makes it out of the version before.
    pub(super) schema: &'static [&'static str],
}

impl Kind {
    /// The newest version of the schema.
    fn version(&self) -> i64 {
        i64::try_from(self.schema.len()).unwrap_or(i64::MAX)
    }

    /// Opens the file in the folder `dir` for writing, makes or migrates it, and checks that it is whole.
    pub(super) fn open(&self, dir: &Path) -> Result<Connection, RecordsError> {
        let file = dir.join(self.file_name);
        let open = || {
            let mut connection = Connection::open(&file)?;
            connection.busy_timeout(BUSY_TIMEOUT)?;
            // Only a file without tables takes this; it lets `PRAGMA incremental_vacuum` give pages back.
            connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", self.synchronous)?;
            connection.pragma_update(None, "journal_size_limit", WAL_BYTES)?;
            let found = schema_version(&connection)?;
            if found <= self.version() {
                self.migrate(&mut connection, found)?;
            }
            let problem: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
            Ok((connection, found, problem))
        };
        let (connection, found, problem) = open().map_err(|source| RecordsError::sqlite(&file, source))?;
        if found > self.version() {
            return Err(RecordsError::Schema { file, found, known: self.version() });
        }
        if problem != "ok" {
            return Err(RecordsError::Damaged { file, problem });
        }
        Ok(connection)
    }

    /// Opens the file in the folder `dir` for reading.
    pub(super) fn read(&self, dir: &Path) -> Result<Connection, RecordsError> {
        let file = dir.join(self.file_name);
        if !file.exists() {
            return Err(RecordsError::Missing { file });
        }
        let open = || {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(&file, flags)?;
            connection.busy_timeout(BUSY_TIMEOUT)?;
            let found = schema_version(&connection)?;
            Ok((connection, found))
        };
        let (connection, found) = open().map_err(|source| RecordsError::sqlite(&file, source))?;
        if found != self.version() {
            return Err(RecordsError::Schema { file, found, known: self.version() });
        }
        Ok(connection)
    }

    fn migrate(&self, connection: &mut Connection, found: i64) -> rusqlite::Result<()> {
        for (version, script) in (1_i64..).zip(self.schema).filter(|(version, _)| *version > found) {
            let transaction = connection.transaction()?;
            transaction.execute_batch(script)?;
            transaction.pragma_update(None, "user_version", version)?;
            transaction.commit()?;
        }
        Ok(())
    }
}

fn schema_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHELF: Kind = Kind {
        file_name: "shelf.sqlite",
        synchronous: "FULL",
        schema: &["CREATE TABLE shelf (id INTEGER PRIMARY KEY, label TEXT NOT NULL) STRICT"],
    };
    const WIDER_SHELF: Kind =
        Kind { schema: &[SHELF.schema[0], "ALTER TABLE shelf ADD COLUMN width INTEGER"], ..SHELF };

    fn fill(dir: &Path) {
        let connection = SHELF.open(dir).unwrap();
        let mut insert = connection.prepare("INSERT INTO shelf (label) VALUES (?1)").unwrap();
        for row in 0..2_000 {
            insert.execute([format!("row {row} of a shelf that fills several pages")]).unwrap();
        }
    }

    #[test]
    fn an_older_file_is_migrated_and_a_newer_one_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fill(dir.path());
        assert!(matches!(WIDER_SHELF.read(dir.path()), Err(RecordsError::Schema { found: 1, known: 2, .. })));
        let wider = WIDER_SHELF.open(dir.path()).unwrap();
        let rows: i64 =
            wider.query_row("SELECT count(*) FROM shelf WHERE width IS NULL", [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 2_000);
        drop(wider);
        for error in [SHELF.open(dir.path()).unwrap_err(), SHELF.read(dir.path()).unwrap_err()] {
            assert!(matches!(error, RecordsError::Schema { found: 2, known: 1, .. }), "{error}");
            assert!(error.to_string().contains("hint: "), "{error}");
        }
    }

    #[test]
    fn a_damaged_file_is_refused_with_a_hint() {
        let dir = tempfile::tempdir().unwrap();
        fill(dir.path());
        let file = dir.path().join(SHELF.file_name);
        let mut bytes = std::fs::read(&file).unwrap();
        bytes[3 * 4096..5 * 4096].fill(0x5a);
        std::fs::write(&file, &bytes).unwrap();
        let inside = SHELF.open(dir.path()).unwrap_err();
        std::fs::write(
            &file,
            "these are no pages of a database, and more of them than a header has; ".repeat(9),
        )
        .unwrap();
        let whole = SHELF.open(dir.path()).unwrap_err();
        for error in [inside, whole] {
            assert!(matches!(error, RecordsError::Damaged { .. }), "{error:?}");
            assert!(error.to_string().contains("hint: move it away"), "{error}");
        }
    }

    #[test]
    fn readers_need_a_file_and_cannot_write_it() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(SHELF.read(dir.path()), Err(RecordsError::Missing { .. })));
        fill(dir.path());
        let reader = SHELF.read(dir.path()).unwrap();
        assert!(reader.execute("DELETE FROM shelf", []).is_err());
    }
}
