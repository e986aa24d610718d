//! Copies of a store, taken while it runs, and stores made of them.
//!
//! A backup is a folder: the database as one SQLite file whichever database it came from, bundles, checkpoints and the public
//! key. Secret keys are kept apart ([`copy_keys`]): with them in the same place encryption would protect nothing. A backup
//! that is older than an erasure still has the wrapped key; the erasure is complete when such backups are gone.

use crate::StoreOptions;
use crate::bundles::{self, BundleFailure, Bundles};
use crate::keys::{self, CHECKPOINT, CHECKPOINT_PUBLIC, KEYS, MASTER, SERVER};
use crate::ledger::checkpoint;
use crate::sql::migrate::{
    MIGRATIONS, PROGRAM, has_table, has_tables, meta, meta_int, migrate, refuse_newer, set_meta,
};
use crate::sql::table::{TABLES, Table};
use crate::sql::{self, Attempt, BULK_LIMIT, Connection, Database, Use, Value};
use crate::vault::Vault;
use statera_core::{Error, ErrorKind, Result};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Rows that are copied at once.
const PAGE: i64 = 200;

/// Files of a backup beside the database and the bundles.
const FILES: [&str; 2] = [checkpoint::FILE, CHECKPOINT_PUBLIC];

/// A folder that is removed unless it is finished.
struct Partial(PathBuf);

impl Partial {
    /// A hidden folder beside `to`.
    fn beside(to: &Path) -> Result<Partial> {
        let place = |e: io::Error| Error::io(format!("{}: {e}", to.display()));
        let name = to.file_name().ok_or_else(|| Error::request(format!("{} names no folder", to.display())))?;
        let path = to.with_file_name(format!(".{}.partial", name.to_string_lossy()));
        let _ = fs::remove_dir_all(&path);
        keys::make_folder(&path).map_err(place)?;
        Ok(Partial(path))
    }

    /// Gives it its name. An empty folder of that name is replaced.
    fn publish(self, to: &Path) -> Result<()> {
        let place = |e: io::Error| Error::io(format!("{}: {e}", to.display()));
        File::open(&self.0).and_then(|f| f.sync_all()).map_err(place)?;
        fs::rename(&self.0, to).and_then(|()| keys::sync_folder(to)).map_err(place)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // After the rename there is nothing left to remove.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What a backup lacks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BackedUp {
    /// Bundles of the registry's versions that are not in the folder, and why the object store, if there is one, did not give
    /// them.
    pub missing: Vec<BundleFailure>,
}

/// Copies a store to a new folder.
pub(crate) fn backup(database: &Database, folder: &Path, bundles: &Bundles, to: &Path) -> Result<BackedUp> {
    refuse_used(to)?;
    let partial = Partial::beside(to)?;
    // In this order: every row that a checkpoint names is in the database that is copied after it, and every bundle that the
    // database names was put before.
    copy_files(folder, &partial.0)?;
    let file = partial.0.join(sql::FILE);
    copy_database(database, &file)?;
    let place = |e: io::Error| Error::io(format!("{}: {e}", to.display()));
    File::open(&file).and_then(|f| f.sync_all()).map_err(place)?;
    let missing = bring_bundles(&mut Database::file(&file).connect(Use::Inspect)?, bundles)?;
    copy_bundles(bundles, &partial.0)?;
    partial.publish(to)?;
    Ok(BackedUp { missing })
}

/// Brings the bundles that a database names from the object store to the folder. Gives those that are not there for all that.
fn bring_bundles(database: &mut Connection, bundles: &Bundles) -> Result<Vec<BundleFailure>> {
    let mut missing: Vec<BundleFailure> = Vec::new();
    // An object store that does not answer would be waited for with each bundle.
    let mut away: Option<Error> = None;
    for row in database.fetch("SELECT DISTINCT digest FROM version ORDER BY digest", Vec::new())? {
        let digest = row.text(0)?;
        let found = match &away {
            None => bundles.find(&digest),
            Some(e) => bundles.find_here(&digest).map_err(|_| Error::busy(format!("not asked for: {e}"))),
        };
        let Err(error) = found else { continue };
        if away.is_none() && error.kind() == ErrorKind::Busy {
            away = Some(error.clone());
        }
        missing.push(BundleFailure { digest, error });
    }
    Ok(missing)
}

fn copy_database(database: &Database, file: &Path) -> Result<()> {
    let mut from = database.connect(Use::Write)?;
    if from.is_sqlite() {
        let path = file.to_str().ok_or_else(|| Error::request(format!("{} is not UTF-8", file.display())))?;
        return from.execute("VACUUM INTO $1", vec![path.into()]).map(drop).map_err(Error::from);
    }
    let mut to = Database::file(file).connect(Use::Create)?;
    migrate(&mut to, MIGRATIONS.len())?;
    from.limited(BULK_LIMIT, |from| from.snapshot(|from| copy_tables(from, &mut to)))?;
    // One file, without a log beside it.
    to.fetch("PRAGMA journal_mode = DELETE", Vec::new())?;
    Ok(())
}

/// Copies all rows into tables that have none yet.
fn copy_tables(from: &mut Connection, to: &mut Connection) -> Attempt<()> {
    to.begin()?;
    to.execute("DELETE FROM meta", Vec::new())?;
    for table in TABLES {
        // A backup of an earlier version has fewer.
        if has_table(from, table.name)? {
            copy_table(table, from, to)?;
        }
    }
    // The tables are those of this program, whatever the copy was of.
    if meta_int(to, "min_program")? < PROGRAM {
        set_meta(to, "min_program", &PROGRAM.to_string())?;
    }
    to.commit()
}

fn copy_table(table: &Table, from: &mut Connection, to: &mut Connection) -> Attempt<()> {
    let keys: Vec<&str> = table.columns[..table.n_key].iter().map(|(name, _)| *name).collect();
    let (columns, name, order) = (table.column_list(), table.name, keys.join(", "));
    let after: Vec<String> = (1..=table.n_key).map(|i| format!("${i}")).collect();
    let mut last: Vec<Value> = Vec::new();
    loop {
        let condition =
            if last.is_empty() { String::new() } else { format!("WHERE ({order}) > ({})", after.join(", ")) };
        let sql = format!("SELECT {columns} FROM {name} {condition} ORDER BY {order} LIMIT {PAGE}");
        let rows = from.fetch(&sql, std::mem::take(&mut last))?;
        let mut values = Vec::with_capacity(rows.len() * table.columns.len());
        for row in &rows {
            for (at, (_, kind)) in table.columns.iter().enumerate() {
                values.push(row.value(at, *kind)?);
            }
        }
        if values.is_empty() {
            return Ok(());
        }
        last = values[values.len() - table.columns.len()..][..table.n_key].to_vec();
        to.insert(table, values)?;
    }
}

fn copy_files(from: &Path, to: &Path) -> Result<()> {
    for name in FILES {
        let file = from.join(name);
        if file.exists() {
            let place = |e: io::Error| Error::io(format!("{}: {e}", file.display()));
            fs::copy(&file, to.join(name)).map_err(place)?;
            File::open(to.join(name)).and_then(|f| f.sync_all()).map_err(place)?;
        }
    }
    Ok(())
}

/// Copies bundles that are whole.
fn copy_bundles(from: &Bundles, to: &Path) -> Result<()> {
    let to = to.join(bundles::FOLDER);
    let all = from.all_here()?;
    if all.is_empty() {
        return Ok(());
    }
    fs::create_dir(&to).map_err(|e| Error::io(format!("{}: {e}", to.display())))?;
    for (_, path) in all {
        let place = |e: io::Error| Error::io(format!("{}: {e}", path.display()));
        bundles::copy(&path, &to.join(path.file_name().unwrap_or_default())).map_err(place)?;
    }
    Ok(())
}

/// Copies the secret keys of a store's folder to a new folder that only its owner can read.
///
/// # Errors
/// A folder that exists; keys that are missing or that others may read.
pub fn copy_keys(store: &Path, to: &Path) -> Result<()> {
    refuse_used(to)?;
    put_keys(&store.join(KEYS), to)
}

fn put_keys(from: &Path, to: &Path) -> Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(to).map_err(|e| Error::io(format!("{}: {e}", to.display())))?;
    for name in [MASTER, CHECKPOINT] {
        let file = from.join(name);
        let key = keys::read(&file)?;
        let key = key.ok_or_else(|| Error::request(format!("{} is missing", file.display())))?;
        keys::write(&to.join(name), &key, true)?;
    }
    // A store that no server has used yet has none; without it nobody's API key would be known after a restore.
    if let Some(key) = keys::read(&from.join(SERVER))? {
        keys::write(&to.join(SERVER), &key, true)?;
    }
    Ok(())
}

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// Rows of the ledger.
    pub n_rows: u64,
    /// Records.
    pub n_records: u64,
    /// Bundles of the backup that the object store did not take, and bundles of the registry's versions that are neither in the
    /// backup nor given by the object store; each with the reason.
    pub missing: Vec<BundleFailure>,
}

/// Makes a store of a backup and its keys, in an empty place: a folder, or a PostgreSQL database without a store and a folder.
///
/// # Errors
/// A place that is not empty; keys that are not the backup's; a backup of a newer program; an object store that does not
/// answer. Nothing half-restored stays.
pub fn restore(from: &Path, keys: &Path, options: &StoreOptions) -> Result<Restored> {
    let file = from.join(sql::FILE);
    if !file.is_file() {
        return Err(Error::request(format!("{} is not there; a backup has that file", file.display())));
    }
    // Only the file is copied below.
    if fs::metadata(sql::log_of(&file)).is_ok_and(|log| log.len() > 0) {
        return Err(Error::request(format!(
            "{} has a log beside {}, and with it rows that the file lacks: it is a store, or a copy of one, and no backup; \
             take one with `statera backup`",
            from.display(),
            sql::FILE
        )));
    }
    let mut source = Database::file(&file).connect(Use::Inspect)?;
    if !has_tables(&mut source)? {
        return Err(Error::request(format!("{} is no backup of a store", from.display())));
    }
    refuse_newer(&mut source)?;
    refuse_other_keys(&mut source, keys, from)?;
    refuse_used(&options.folder)?;
    refuse_damaged(&mut source, &file)?;
    let partial = Partial::beside(&options.folder)?;
    copy_files(from, &partial.0)?;
    let bundles = Bundles::of(from, None);
    copy_bundles(&bundles, &partial.0)?;
    let mut missing = share(&bundles, options)?;
    // What the backup lacks may still be in the object store.
    let objects = options.objects.clone();
    let there = if objects.is_some() { Bundles::of(&partial.0, objects) } else { bundles };
    missing.extend(bring_bundles(&mut source, &there)?);
    put_keys(keys, &partial.0.join(KEYS))?;
    let (n_rows, n_records) = (count(&mut source, "audit")?, count(&mut source, "record")?);
    if sql::is_postgres(&options.address) {
        let database = Database::at(&options.address)?;
        let mut to = database.connect(Use::Write)?;
        if has_tables(&mut to)? && to.first("SELECT id FROM chain LIMIT 1", Vec::new())?.is_some() {
            return Err(Error::request(format!(
                "{} holds a store already; restore into an empty one",
                database.label()
            )));
        }
        migrate(&mut to, MIGRATIONS.len())?;
        to.limited(BULK_LIMIT, |to| source.snapshot(|source| copy_tables(source, to)))?;
    } else {
        let place = |e: io::Error| Error::io(format!("{}: {e}", file.display()));
        let copy = partial.0.join(sql::FILE);
        fs::copy(&file, &copy).map_err(place)?;
        File::open(&copy).and_then(|f| f.sync_all()).map_err(place)?;
    }
    partial.publish(&options.folder)?;
    Ok(Restored { n_rows, n_records, missing })
}

/// Puts the bundles of a backup where the restored store is to share them. Objects that are there already stay as they are,
/// and what a restore that fails later has put there is what the next one needs. Gives those that it does not take.
fn share(backup: &Bundles, options: &StoreOptions) -> Result<Vec<BundleFailure>> {
    let Some(objects) = &options.objects else { return Ok(Vec::new()) };
    let shared = bundles::put_all(objects.as_ref(), backup.all_here()?);
    shared.stopped.map_or(Ok(shared.failures), Err)
}

fn count(source: &mut Connection, table: &str) -> Result<u64> {
    let row = source.first(&format!("SELECT count(*) FROM {table}"), Vec::new())?;
    Ok(row.map(|r| r.int(0)).transpose()?.unwrap_or(0) as u64)
}

fn refuse_other_keys(source: &mut Connection, folder: &Path, backup: &Path) -> Result<()> {
    let path = folder.join(MASTER);
    let master = keys::read(&path)?.ok_or_else(|| Error::request(format!("{} is missing", path.display())))?;
    let known = meta(source, "key_check")?;
    if known.is_some_and(|known| known != Vault::new(&master).check) {
        let (path, backup) = (path.display(), backup.display());
        return Err(Error::request(format!("{path} is not the master key of {backup}")));
    }
    Ok(())
}

/// Refuses a file whose pages do not hang together, as where a disk or a copy lost some: who restores it has lost the other store.
/// What was altered in a row is found by [`crate::ledger::verify`] alone.
fn refuse_damaged(source: &mut Connection, file: &Path) -> Result<()> {
    let found = source.first("PRAGMA quick_check(1)", Vec::new())?;
    let found = found.map(|row| row.text(0)).transpose()?.unwrap_or_default();
    if found == "ok" {
        return Ok(());
    }
    let found = found.replace('\n', "; ");
    Err(Error::damaged(format!("{}: the database file is damaged: {found}; restore another backup", file.display())))
}

/// Refuses a place where something is.
fn refuse_used(path: &Path) -> Result<()> {
    match fs::read_dir(path).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::request(format!("{} exists and is not empty", path.display()))),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(_) => Err(Error::request(format!("{} exists and is no folder that can be read", path.display()))),
    }
}
