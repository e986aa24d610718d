//! Stores of earlier versions: each is opened, brought up to date, read and written. And what a newer program left behind.
//!
//! `tests/versions/N` has a store as the program of migration N wrote it: the database as SQL text, its keys and checkpoints.
//! `STATERA_WRITE_VERSION=FOLDER cargo test --test versions` writes one of this program; the next version is a folder and a line.

mod facts;

use facts::{Place, act, bundle, decision, named, submit};
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use statera_core::ErrorKind;
use statera_store::act::Act;
use statera_store::alert::{AlertChange, CaseQuery, Step, Suspicion};
use statera_store::ledger::verify;
use statera_store::open;
use statera_store::people::{NewPerson, Role};
use statera_store::record::{Id, NewRecord, RecordKind, StoredPart};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Every version, by its last migration.
const VERSIONS: &[&str] = &["1", "2"];
/// Files of a version beside the database.
const FILES: [&str; 5] =
    ["keys/master.key", "keys/checkpoint.key", "checkpoints.jsonl", "checkpoint.pub", "record.txt"];

fn connect(folder: &Path) -> Connection {
    Connection::open(folder.join("store.sqlite")).expect("opens")
}

fn run(folder: &Path, sql: &str) {
    connect(folder).execute_batch(sql).expect("is done");
}

/// All statements that make a database again.
fn dump(folder: &Path) -> String {
    let connection = connect(folder);
    let mut text = String::new();
    let made = "SELECT sql, CASE type WHEN 'table' THEN name ELSE '' END FROM sqlite_master WHERE sql IS NOT NULL \
                AND name NOT LIKE 'sqlite_%' ORDER BY type DESC, name";
    for [sql, table] in rows(&connection, made, |cell| cell.as_str().expect("is text").to_string()) {
        writeln!(text, "{sql};").expect("is text");
        if !table.is_empty() {
            for values in cells(&connection, &format!("SELECT * FROM {table}"), literal) {
                writeln!(text, "INSERT INTO {table} VALUES ({});", values.join(", ")).expect("is text");
            }
        }
    }
    text
}

/// The cells of all rows, each as `read` says.
fn cells<T>(connection: &Connection, sql: &str, read: impl Fn(ValueRef<'_>) -> T) -> Vec<Vec<T>> {
    let mut statement = connection.prepare(sql).expect("is SQL");
    let width = statement.column_count();
    let rows = statement.query_map([], |row| Ok((0..width).map(|i| read(row.get_ref(i).expect("a cell"))).collect()));
    rows.and_then(Iterator::collect).expect("reads")
}

fn rows<T: std::fmt::Debug, const N: usize>(
    connection: &Connection,
    sql: &str,
    read: impl Fn(ValueRef<'_>) -> T,
) -> Vec<[T; N]> {
    cells(connection, sql, read).into_iter().map(|row| row.try_into().expect("so many columns")).collect()
}

fn literal(cell: ValueRef<'_>) -> String {
    match cell {
        ValueRef::Null => "NULL".into(),
        ValueRef::Integer(v) => v.to_string(),
        ValueRef::Real(v) => v.to_string(),
        ValueRef::Text(v) => format!("'{}'", std::str::from_utf8(v).expect("is text").replace('\'', "''")),
        ValueRef::Blob(v) => format!("x'{}'", v.iter().map(|b| format!("{b:02x}")).collect::<String>()),
    }
}

/// What the store says that a program must be of at least.
fn min_program(folder: &Path) -> String {
    let sql = "SELECT value FROM meta WHERE name = 'min_program'";
    connect(folder).query_row(sql, [], |row| row.get(0)).expect("is there")
}

/// A suspicious decision, which opens a case.
fn suspicious() -> NewRecord {
    let suspicion = Suspicion { model: "credit".into(), card: "kim".into(), risk: 5, keys: vec![] };
    NewRecord { alert: Some(AlertChange::Suspect(suspicion)), ..decision("kim", "{}") }
}

/// Somebody takes a case.
fn taken(of: Id) -> NewRecord {
    let step = AlertChange::Step(Step { number: 1, assigned: Some("ann".into()), closed: None });
    NewRecord { kind: RecordKind::Alert, of: Some(of), alert: Some(step), ..decision("kim", "{}") }
}

#[test]
fn writes_a_version() {
    let Some(to) = std::env::var_os("STATERA_WRITE_VERSION").map(PathBuf::from) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let place = Place { address: folder.path().display().to_string(), folder: folder.path().into() };
    let store = place.open();
    let record = named(decision("kim", "{\"income\": 1}"), "payment-1", b"body");
    submit(&*store, record.clone());
    submit(&*store, decision("", "nobody"));
    let suspect = suspicious();
    submit(&*store, suspect.clone());
    submit(&*store, taken(suspect.id));
    let digest = bundle(&*store, folder.path(), 1);
    act(&*store, "mia", Act::AddModel { name: "credit".into(), tier: 1 });
    act(&*store, "mia", Act::AddVersion { model: "credit".into(), digest, note: "first".into() });
    let ann = NewPerson { name: "ann".into(), roles: [Role::Admin].into(), password: None };
    act(&*store, "root", Act::AddPerson { person: ann });
    drop(store);
    fs::write(folder.path().join("record.txt"), record.id.to_string()).expect("is written");
    fs::create_dir_all(to.join("keys")).expect("a folder");
    for file in FILES {
        fs::copy(folder.path().join(file), to.join(file)).expect("is copied");
    }
    fs::write(to.join("store.sql"), dump(folder.path())).expect("is written");
}

/// A store of a version in a folder of its own.
fn version(name: &str, to: &Path) -> Place {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/versions").join(name);
    fs::create_dir_all(to.join("keys")).expect("a folder");
    for file in FILES {
        fs::copy(from.join(file), to.join(file)).expect("is copied");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(to.join(file), fs::Permissions::from_mode(0o600)).expect("is set");
        }
    }
    run(to, &fs::read_to_string(from.join("store.sql")).expect("reads"));
    Place { address: to.display().to_string(), folder: to.into() }
}

#[test]
fn every_earlier_version_is_read_and_written() {
    for name in VERSIONS {
        let folder = tempfile::tempdir().expect("a folder");
        let place = version(name, folder.path());
        let store = place.open();
        let id = Id::from_str(&fs::read_to_string(folder.path().join("record.txt")).expect("reads")).expect("an id");
        let kept = store.record(id).expect("is there");
        assert_eq!(kept.parts, [StoredPart::Plain(b"{\"income\": 1}".to_vec())], "version {name}");
        assert_eq!(store.registry().expect("reads").models["credit"].versions.len(), 1);
        assert_eq!(store.people().expect("reads").len(), 1);
        let cases = store.cases(&CaseQuery { limit: 10, ..CaseQuery::default() }).expect("reads").cases;
        let assigned: Vec<_> = cases.iter().map(|case| case.assigned.as_deref()).collect();
        // The first version had none.
        assert_eq!(assigned, if *name == "1" { vec![] } else { vec![Some("ann")] }, "version {name}");
        let follows = NewRecord { of: Some(id), ..decision("kim", "2") };
        submit(&*store, follows);
        act(&*store, "ann", Act::SetTier { tier: 1, approvals: 1 });
        drop(store);
        let verified = verify(&place.address, None, None).expect("is checked");
        assert_eq!(verified.findings, [], "version {name}");
    }
}

#[test]
fn the_program_before_may_come_back_until_somebody_takes_a_case() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = version("1", folder.path());
    let store = place.open();
    let suspect = suspicious();
    submit(&*store, suspect.clone());
    act(&*store, "ann", Act::SetTier { tier: 1, approvals: 1 });
    let refused = NewRecord { of: Some(Id::new(1)), ..taken(suspect.id) };
    assert!(facts::submit_all(&*store, vec![refused])[0].is_err(), "there is no such case");
    assert_eq!(min_program(folder.path()), "1", "nothing is there that the program before could not read");
    submit(&*store, taken(suspect.id));
    assert_eq!(min_program(folder.path()), "2");
    submit(&*store, NewRecord { kind: RecordKind::Edges, ..decision("kim", "3") });
    assert_eq!(min_program(folder.path()), "3", "nor could it read edges");
    drop(store);
    assert_eq!(verify(&place.address, None, None).expect("is checked").findings, []);
}

#[test]
fn an_older_program_works_on_what_a_newer_one_added() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = version(VERSIONS[VERSIONS.len() - 1], folder.path());
    // What a newer program may do: add tables, and columns that may be left out.
    run(
        folder.path(),
        "INSERT INTO _sqlx_migrations VALUES (99, 'later', CURRENT_TIMESTAMP, 1, x'00', 1);
         CREATE TABLE later (id INTEGER PRIMARY KEY);
         ALTER TABLE record ADD COLUMN later TEXT; ALTER TABLE person ADD COLUMN later INTEGER NOT NULL DEFAULT 0;",
    );
    let store = place.open();
    submit(&*store, decision("kim", "2"));
    act(&*store, "ann", Act::SetTier { tier: 1, approvals: 1 });
    drop(store);
    assert_eq!(verify(&place.address, None, None).expect("is checked").findings, []);
    // What it must not work on any more.
    run(folder.path(), "UPDATE meta SET value = '4' WHERE name = 'min_program'");
    let why = "needs at least generation 4, this one is 3";
    facts::check_failure(open(&place.options()).map(drop), ErrorKind::Newer, why);
    facts::check_failure(verify(&place.address, None, None), ErrorKind::Newer, why);
}
