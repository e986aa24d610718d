//! The tables' versions. Migrations are added, never changed; each only adds, so that the program before it still works on
//! its tables, or else raises `min_program`. A field or kind that is new in rows of the ledger, which are read strictly, raises
//! it with the first row that has it ([`need_program`]): until then the program before may come back.

use super::{Attempt, Connection};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use statera_core::Error;
use std::borrow::Cow;

/// What this program can work with: the value of `min_program` in the table `meta` is this or less.
pub(crate) const PROGRAM: i64 = 3;
/// The first that reads steps of work on cases.
pub(crate) const READS_STEPS: i64 = 2;
/// The first that reads records of edges.
pub(crate) const READS_EDGES: i64 = 3;

/// Name, SQLite's text and PostgreSQL's text of every migration, in their order.
pub(crate) const MIGRATIONS: &[(&str, &str, &str)] = &[
    (
        "begin",
        include_str!("../../migrations/sqlite/0001_begin.sql"),
        include_str!("../../migrations/postgres/0001_begin.sql"),
    ),
    (
        "alerts",
        include_str!("../../migrations/sqlite/0002_alerts.sql"),
        include_str!("../../migrations/postgres/0002_alerts.sql"),
    ),
];

/// Makes the tables or brings them up to date, the first `n` migrations.
///
/// # Errors
/// `Newer` for tables that a program of this version must not write to.
pub(crate) fn migrate(connection: &mut Connection, n: usize) -> Attempt<()> {
    refuse_newer(connection)?;
    let is_sqlite = connection.is_sqlite();
    let migrations = MIGRATIONS.iter().take(n).enumerate().map(|(i, (name, sqlite, postgres))| {
        let sql = if is_sqlite { *sqlite } else { *postgres };
        Migration::new(i as i64 + 1, Cow::Borrowed(*name), MigrationType::Simple, Cow::Borrowed(sql), false)
    });
    let migrator = Migrator {
        migrations: migrations.collect(),
        // An older program runs on the tables of a newer one.
        ignore_missing: true,
        ..Migrator::DEFAULT
    };
    connection.migrate(&migrator)?;
    refuse_newer(connection)
}

/// Refuses a migration whose text is not the one that was applied.
pub(crate) fn refuse_changed(migration: &Migration, applied: &[u8]) -> Attempt<()> {
    if applied == &*migration.checksum {
        return Ok(());
    }
    Err(Error::damaged(format!("migration {} was applied with another text", migration.version)).into())
}

/// True where the tables are there.
pub(crate) fn has_tables(connection: &mut Connection) -> Attempt<bool> {
    has_table(connection, "meta")
}

/// True where a table is there: a copy may be of an earlier version.
pub(crate) fn has_table(connection: &mut Connection, name: &str) -> Attempt<bool> {
    let sql = if connection.is_sqlite() {
        "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = $1"
    } else {
        "SELECT count(*) FROM pg_catalog.pg_class WHERE oid = to_regclass($1)"
    };
    let row = connection.first(sql, vec![name.into()])?;
    Ok(row.map(|r| r.int(0)).transpose()?.unwrap_or(0) > 0)
}

pub(crate) fn refuse_newer(connection: &mut Connection) -> Attempt<()> {
    if !has_tables(connection)? {
        return Ok(());
    }
    let needed = meta_int(connection, "min_program")?;
    if needed > PROGRAM {
        let why = format!(
            "the store was changed by a newer program; it needs at least generation {needed}, this one is {PROGRAM}"
        );
        return Err(Error::newer(why).into());
    }
    Ok(())
}

/// Refuses programs of an earlier generation from now on, in the transaction that writes what they cannot read.
pub(crate) fn need_program(connection: &mut Connection, generation: i64) -> Attempt<()> {
    if meta_int(connection, "min_program")? < generation {
        set_meta(connection, "min_program", &generation.to_string())?;
    }
    Ok(())
}

/// A value of the table `meta`.
pub(crate) fn meta(connection: &mut Connection, name: &str) -> Attempt<Option<String>> {
    let row = connection.first("SELECT value FROM meta WHERE name = $1", vec![name.into()])?;
    row.map(|r| r.text(0)).transpose()
}

/// The same where it must be there, and a number.
pub(crate) fn meta_int(connection: &mut Connection, name: &str) -> Attempt<i64> {
    let value = meta(connection, name)?;
    value.as_deref().and_then(|v| v.parse().ok()).ok_or_else(|| {
        Error::damaged(format!("the store's table meta: {name} is {value:?}; allowed are numbers")).into()
    })
}

/// Sets a value of the table `meta`.
pub(crate) fn set_meta(connection: &mut Connection, name: &str, value: &str) -> Attempt<()> {
    let sql = "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    connection.execute(sql, vec![name.into(), value.into()]).map(drop)
}
