//! Opens the SQLite files: how they are kept, which schema they have, whether they are whole.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::error::RecordsError;
use super::folder::{failed, make_file};
use super::unix_millis;

/// How long to wait for another connection; readers and the writer hold each other up for moments only.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// What the log of a file may keep of the disk once it was written back.
pub(super) const WAL_BYTES: u32 = 4 << 20;

/// What a file holds, and how safely.
#[derive(Debug)]
pub(super) struct Kind {
    /// The name of the file.
    pub(super) file_name: &'static str,
    /// How safely.
    pub(super) care: Care,
    /// One script for each version of the schema, which makes it out of the version before.
    pub(super) schema: &'static [&'static str],
}

/// How safely a file is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Care {
    /// Each commit is on the disk, and the file is checked when it is opened.
    Promised,
    /// Each checkpoint is on the disk, and damage shows only where it is met.
    GivesWay,
}

impl Care {
    /// The value of `PRAGMA synchronous`.
    fn synchronous(self) -> &'static str {
        match self {
            Self::Promised => "FULL",
            Self::GivesWay => "NORMAL",
        }
    }
}

impl Kind {
    /// The newest version of the schema.
    fn version(&self) -> i64 {
        i64::try_from(self.schema.len()).unwrap_or(i64::MAX)
    }

    /// Opens the file in the folder `dir` for writing, and makes or migrates it.
    pub(super) fn open(&self, dir: &Path) -> Result<Connection, RecordsError> {
        let file = dir.join(self.file_name);
        // SQLite gives the files beside it the mode of this one.
        make_file(&file).map_err(|source| failed(&file, source))?;
        let sqlite = |source| RecordsError::sqlite(&file, source);
        let (mut connection, found) = look(&file).map_err(sqlite)?;
        if found > self.version() {
            return Err(RecordsError::Schema { file, found, known: self.version() });
        }
        self.prepare(&mut connection, found).map_err(sqlite)?;
        if self.care == Care::Promised {
            let check = "PRAGMA quick_check(1)";
            let problem: String = connection.query_row(check, [], |row| row.get(0)).map_err(sqlite)?;
            if problem != "ok" {
                return Err(RecordsError::Damaged { file, problem });
            }
        }
        Ok(connection)
    }

    fn prepare(&self, connection: &mut Connection, found: i64) -> rusqlite::Result<()> {
        // Only a file without tables takes this; it lets `PRAGMA incremental_vacuum` give pages back.
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", self.care.synchronous())?;
        connection.pragma_update(None, "journal_size_limit", WAL_BYTES)?;
        self.migrate(connection, found)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
        Ok(())
    }

    /// Gives the file in the folder `dir`, which nobody may have open for writing, a name that says that it is
    /// damaged; so the files beside it. Gives the name.
    pub(super) fn move_aside(&self, dir: &Path) -> Result<PathBuf, RecordsError> {
        let name = |seconds| dir.join(format!("{}.damaged-{seconds}", self.file_name));
        let mut seconds = unix_millis() / 1_000;
        while name(seconds).exists() {
            seconds += 1;
        }
        let aside = name(seconds);
        for beside in ["", "-wal", "-shm"] {
            let [mut from, mut to] = [dir.join(self.file_name), aside.clone()].map(PathBuf::into_os_string);
            from.push(beside);
            to.push(beside);
            match std::fs::rename(&from, to) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(failed(Path::new(&from), error));
                }
                Ok(()) | Err(_) => {}
            }
        }
        Ok(aside)
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

/// Opens a file for writing, and reads which schema it has; as long as nothing is written, it stays as it is.
fn look(file: &Path) -> rusqlite::Result<(Connection, i64)> {
    let connection = Connection::open(file)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // To close it is to write back what lies beside it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    let found = schema_version(&connection)?;
    Ok((connection, found))
}

fn schema_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHELF: Kind = Kind {
        file_name: "shelf.sqlite",
        care: Care::Promised,
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
    fn a_newer_file_is_not_changed() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(SHELF.file_name);
        let wal = dir.path().join("shelf.sqlite-wal");
        let newer = Connection::open(&file).unwrap();
        newer.execute_batch("CREATE TABLE shelf (id INTEGER); PRAGMA user_version = 7").unwrap();
        let refuse_and_compare = || {
            let before = std::fs::read(&file).unwrap();
            assert!(matches!(SHELF.open(dir.path()), Err(RecordsError::Schema { found: 7, .. })));
            assert!(before == std::fs::read(&file).unwrap());
        };
        refuse_and_compare();
        assert!(!wal.exists());

        // Nor is it written back what a writer that was killed left beside it.
        newer.execute_batch("PRAGMA journal_mode = WAL; INSERT INTO shelf VALUES (1)").unwrap();
        let [content, beside] = [&file, &wal].map(|file| std::fs::read(file).unwrap());
        drop(newer);
        std::fs::write(&file, content).unwrap();
        std::fs::write(&wal, &beside).unwrap();
        refuse_and_compare();
        assert!(beside == std::fs::read(&wal).unwrap());
    }

    #[test]
    fn a_file_that_gives_way_is_moved_aside_with_those_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        for file in ["shelf.sqlite", "shelf.sqlite-wal"] {
            std::fs::write(dir.path().join(file), file).unwrap();
        }
        let aside = SHELF.move_aside(dir.path()).unwrap();
        let name = aside.file_name().unwrap().to_str().unwrap();
        let seconds: i64 = name.strip_prefix("shelf.sqlite.damaged-").unwrap().parse().unwrap();
        assert!((unix_millis() / 1_000 - seconds).abs() < 60);
        assert_eq!(std::fs::read_to_string(&aside).unwrap(), "shelf.sqlite");
        let wal = dir.path().join(format!("{name}-wal"));
        assert_eq!(std::fs::read_to_string(wal).unwrap(), "shelf.sqlite-wal");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);

        // The next, in the same second, does not replace it.
        std::fs::write(dir.path().join("shelf.sqlite"), "second").unwrap();
        assert_ne!(SHELF.move_aside(dir.path()).unwrap(), aside);
        assert_eq!(std::fs::read_to_string(&aside).unwrap(), "shelf.sqlite");
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
