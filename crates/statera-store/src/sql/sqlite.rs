//! A connection to SQLite: calls of its library on the caller's own thread.

use super::failure::{self, Attempt};
use super::migrate::refuse_changed;
use super::value::{Row, Value, unreadable};
use super::{STATEMENTS, Use, log_of};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OpenFlags, Statement, ToSql};
use sqlx::migrate::Migrator;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long it waits for another process that writes.
const BUSY_LIMIT: Duration = Duration::from_secs(5);
/// Kibibytes of pages that the writer keeps; a reader keeps SQLite's default of 2,000.
const WRITER_CACHE_KIB: i64 = 16 * 1024;
/// Bytes of a page of a new file. Pages of 8,192 take a twentieth less processor time where many commit together, and write
/// nearly twice as much to the disk where few do, which then lets commits wait.
pub(super) const PAGE_BYTES: u32 = 4096;
/// Migrations that were applied, in the form that sqlx gives them: programs of earlier versions look there.
const APPLIED: &str = "CREATE TABLE IF NOT EXISTS _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL, \
                       installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, success BOOLEAN NOT NULL, \
                       checksum BLOB NOT NULL, execution_time BIGINT NOT NULL)";

/// A connection.
pub(crate) struct Sqlite(Connection);

impl Sqlite {
    pub(crate) fn open(path: &Path, purpose: Use) -> Attempt<Sqlite> {
        Sqlite::try_open(path, purpose).map_err(|e| failure::sqlite(&e))
    }

    fn try_open(path: &Path, purpose: Use) -> rusqlite::Result<Sqlite> {
        // Each connection is one thread's at a time.
        let mut flags = OpenFlags::SQLITE_OPEN_NO_MUTEX;
        flags |= match purpose {
            Use::Create => OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
            Use::Write | Use::Read => OpenFlags::SQLITE_OPEN_READ_WRITE,
            Use::Inspect => OpenFlags::SQLITE_OPEN_READ_ONLY,
        };
        // A copy without a log beside it is opened as it is; one with a log is read through it.
        let connection = if purpose == Use::Inspect && !has_log(path) {
            Connection::open_with_flags(immutable(path), flags | OpenFlags::SQLITE_OPEN_URI)?
        } else {
            Connection::open_with_flags(path, flags)?
        };
        connection.busy_timeout(BUSY_LIMIT)?;
        // Checkpoints are made aside, by the tender, so that no decision waits for them.
        match purpose {
            Use::Write | Use::Create => {
                connection.set_prepared_statement_cache_capacity(STATEMENTS);
                connection.execute_batch(&format!(
                    "PRAGMA page_size = {PAGE_BYTES}; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
                     PRAGMA secure_delete = ON; PRAGMA cache_size = -{WRITER_CACHE_KIB}; PRAGMA wal_autocheckpoint = 0"
                ))?;
                // The log is opened with the first look at the database: from here on it is known which one that is.
                connection.query_row("SELECT count(*) FROM sqlite_master", [], |_| Ok(()))?;
            }
            Use::Read => connection.execute_batch("PRAGMA query_only = ON; PRAGMA wal_autocheckpoint = 0")?,
            Use::Inspect => {}
        }
        Ok(Sqlite(connection))
    }

    /// Runs a statement; rows that it changed.
    pub(crate) fn execute(&self, sql: &str, values: &[Value]) -> Attempt<u64> {
        let run = || {
            let mut statement = self.0.prepare_cached(sql)?;
            bind(&mut statement, values)?;
            let mut rows = statement.raw_query();
            while rows.next()?.is_some() {}
            drop(rows);
            statement.clear_bindings();
            Ok(self.0.changes())
        };
        run().map_err(|e| failure::sqlite(&e))
    }

    /// Runs statements without arguments, as they are.
    pub(crate) fn batch(&self, sql: &str) -> Attempt<()> {
        self.0.execute_batch(sql).map_err(|e| failure::sqlite(&e))
    }

    /// True outside transactions: after some failures, as of a full disk, SQLite has undone them itself.
    pub(crate) fn is_autocommit(&self) -> bool {
        self.0.is_autocommit()
    }

    /// All rows of a query.
    pub(crate) fn fetch(&self, sql: &str, values: &[Value]) -> Attempt<Vec<Row>> {
        let run = || {
            let mut statement = self.0.prepare_cached(sql)?;
            bind(&mut statement, values)?;
            let width = statement.column_count();
            let mut found = Vec::new();
            let mut rows = statement.raw_query();
            while let Some(row) = rows.next()? {
                let cells: rusqlite::Result<Vec<Attempt<Value>>> =
                    (0..width).map(|i| row.get_ref(i).map(|cell| owned(cell))).collect();
                found.push(cells?);
            }
            drop(rows);
            statement.clear_bindings();
            Ok(found)
        };
        let rows = run().map_err(|e| failure::sqlite(&e))?;
        rows.into_iter().map(|cells| Ok(Row::Sqlite(cells.into_iter().collect::<Attempt<_>>()?))).collect()
    }

    /// Applies migrations that were not applied yet, each in a transaction.
    pub(crate) fn migrate(&self, migrator: &Migrator) -> Attempt<()> {
        self.batch(APPLIED)?;
        for migration in migrator.iter() {
            let sql = "SELECT checksum FROM _sqlx_migrations WHERE version = $1";
            let applied = self.fetch(sql, &[migration.version.into()])?;
            if let Some(row) = applied.first() {
                refuse_changed(migration, &row.blob(0)?)?;
                continue;
            }
            let started = Instant::now();
            self.batch("BEGIN IMMEDIATE")?;
            let done = self.batch(&migration.sql).and_then(|()| {
                let sql = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                           VALUES ($1, $2, 1, $3, $4)";
                let values = [
                    migration.version.into(),
                    (&*migration.description).into(),
                    migration.checksum.to_vec().into(),
                    (started.elapsed().as_nanos() as i64).into(),
                ];
                self.execute(sql, &values)?;
                self.batch("COMMIT")
            });
            if let Err(e) = done {
                let _ = self.batch("ROLLBACK");
                return Err(e);
            }
        }
        Ok(())
    }
}

/// Gives a statement its arguments: `$3` the third, `?` the one at its own place.
fn bind(statement: &mut Statement<'_>, values: &[Value]) -> rusqlite::Result<()> {
    let n = statement.parameter_count();
    for i in 1..=n {
        let number = match statement.parameter_name(i) {
            Some(name) => name[1..].parse().unwrap_or(0),
            None => i,
        };
        let value = number.checked_sub(1).and_then(|at: usize| values.get(at));
        let value = value.ok_or(rusqlite::Error::InvalidParameterCount(values.len(), n))?;
        statement.raw_bind_parameter(i, value)?;
    }
    Ok(())
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Value::Int(Some(v)) => ValueRef::Integer(*v),
            Value::Text(Some(v)) => ValueRef::Text(v.as_bytes()),
            Value::Blob(Some(v)) => ValueRef::Blob(v),
            Value::Int(None) | Value::Text(None) | Value::Blob(None) => ValueRef::Null,
        }))
    }
}

/// A cell of a row. The kind of nothing does not matter.
fn owned(cell: ValueRef<'_>) -> Attempt<Value> {
    Ok(match cell {
        ValueRef::Null => Value::Int(None),
        ValueRef::Integer(v) => Value::Int(Some(v)),
        ValueRef::Text(v) => {
            let text = std::str::from_utf8(v).map_err(|e| unreadable(&e))?;
            Value::Text(Some(text.into()))
        }
        ValueRef::Blob(v) => Value::Blob(Some(v.into())),
        ValueRef::Real(_) => return Err(unreadable(&"a number with a fraction stands where none is stored")),
    })
}

/// True where the file has a log: rows may be in it that the file lacks, or a process writes them now.
fn has_log(path: &Path) -> bool {
    std::fs::metadata(log_of(path)).is_ok()
}

/// The address of a file that nobody changes, as SQLite reads it: <https://www.sqlite.org/uri.html>.
fn immutable(path: &Path) -> String {
    let path = path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    format!("file:{path}?immutable=1")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::Failure;

    fn memory() -> Sqlite {
        let sqlite = Sqlite(Connection::open_in_memory().unwrap());
        sqlite.batch("CREATE TABLE t (a INTEGER, b TEXT, c BLOB)").unwrap();
        sqlite
    }

    #[test]
    fn arguments_go_where_their_numbers_say() {
        let sqlite = memory();
        let n = sqlite.execute("INSERT INTO t VALUES (?, ?, ?)", &[1.into(), "x".into(), vec![7].into()]).unwrap();
        assert_eq!(n, 1);
        let sql = "SELECT a, b, c FROM t WHERE b = $2 AND a = $1 AND $2 <> 'y'";
        let rows = sqlite.fetch(sql, &[1.into(), "x".into()]).unwrap();
        assert_eq!(
            (rows[0].int(0).unwrap(), rows[0].text(1).unwrap(), rows[0].blob(2).unwrap()),
            (1, "x".into(), vec![7])
        );
        assert!(sqlite.fetch(sql, &["x".into(), 1.into()]).unwrap().is_empty());
        let Err(Failure::Refused(e)) = sqlite.fetch(sql, &[1.into()]) else { panic!("is refused") };
        assert!(e.to_string().contains("Wrong number of parameters"), "{e}");
    }

    #[test]
    fn cells_are_of_their_kinds() {
        let sqlite = memory();
        sqlite.batch("INSERT INTO t VALUES (NULL, NULL, NULL), (1.5, CAST(x'ff' AS TEXT), 'x')").unwrap();
        let rows = sqlite.fetch("SELECT a, b, c FROM t WHERE a IS NULL", &[]).unwrap();
        assert_eq!((rows[0].maybe_int(0).unwrap(), rows[0].maybe_text(1).unwrap()), (None, None));
        assert_eq!(rows[0].maybe_blob(2).unwrap(), None);
        assert!(rows[0].int(0).is_err() && rows[0].text(1).is_err() && rows[0].blob(2).is_err());
        for column in ["a", "b"] {
            let Err(Failure::Refused(e)) = sqlite.fetch(&format!("SELECT {column} FROM t WHERE a = 1.5"), &[]) else {
                panic!("is refused")
            };
            assert!(e.to_string().contains("a stored value cannot be read"), "{e}");
        }
        let rows = sqlite.fetch("SELECT c FROM t WHERE a = 1.5", &[]).unwrap();
        assert!(rows[0].blob(0).is_err() && rows[0].int(0).is_err());
    }

    #[test]
    fn a_name_with_signs_of_addresses_is_a_name() {
        assert_eq!(immutable(Path::new("/a?b#c%20/d")), "file:/a%3fb%23c%2520/d?immutable=1");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ä?b#c%20.sqlite");
        let sqlite = Sqlite::open(&path, Use::Create).unwrap();
        sqlite.batch("CREATE TABLE t (a INTEGER)").unwrap();
        drop(sqlite);
        assert!(path.exists() && !has_log(&path));
        let sqlite = Sqlite::open(&path, Use::Inspect).unwrap();
        assert!(sqlite.fetch("SELECT a FROM t", &[]).unwrap().is_empty());
        assert!(sqlite.execute("INSERT INTO t VALUES (1)", &[]).is_err());
    }

    #[test]
    fn what_fails_is_told_apart() {
        let sqlite = memory();
        sqlite.batch("CREATE UNIQUE INDEX one ON t (a); INSERT INTO t VALUES (1, '', '')").unwrap();
        assert!(matches!(sqlite.execute("INSERT INTO t VALUES (1, '', '')", &[]), Err(Failure::Unique(_))));
        sqlite.batch("CREATE TABLE k (a TEXT PRIMARY KEY) WITHOUT ROWID; INSERT INTO k VALUES ('x')").unwrap();
        assert!(matches!(sqlite.execute("INSERT INTO k VALUES ($1)", &["x".into()]), Err(Failure::Unique(_))));
        let missing = Sqlite::open(Path::new("/nowhere/store.sqlite"), Use::Create);
        assert!(matches!(missing, Err(Failure::Away(_))));
    }
}
