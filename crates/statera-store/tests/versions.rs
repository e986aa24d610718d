//! Stores of earlier versions: each is opened, brought up to date, read and written. And what a newer program left behind.
//!
//! `tests/versions/N` has a store as the program of migration N wrote it into SQLite, and `tests/versions/N/postgres` as it wrote it
//! into PostgreSQL: the database as SQL text, its keys and checkpoints. `STATERA_WRITE_VERSION=FOLDER cargo test --test versions`
//! writes both of this program; the next version is a folder and a line. What is about PostgreSQL is skipped, with a message, where
//! the machine has none.

#[path = "../../statera-data/tests/server/mod.rs"]
mod server;

mod facts;

use facts::{Place, act, bundle, decision, named, submit};
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use server::Server;
use statera_core::ErrorKind;
use statera_store::act::Act;
use statera_store::alert::{AlertChange, CaseQuery, Step, Suspicion};
use statera_store::ledger::verify;
use statera_store::people::{NewApiKey, NewPerson, NewSession, Role};
use statera_store::record::{Id, NewRecord, RecordKind, StoredPart};
use statera_store::registry::Change;
use statera_store::{Store, open};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Every version, by its last migration.
const VERSIONS: &[&str] = &["1", "2"];
/// Files of a version beside the database.
const FILES: [&str; 5] =
    ["keys/master.key", "keys/checkpoint.key", "checkpoints.jsonl", "checkpoint.pub", "record.txt"];

/// The table of applied migrations, as sqlx makes it in PostgreSQL.
const APPLIED: &str = "CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL, installed_on \
                       TIMESTAMPTZ NOT NULL DEFAULT now(), success BOOLEAN NOT NULL, checksum BYTEA NOT NULL, \
                       execution_time BIGINT NOT NULL);";
/// Digest of a session's secret.
const SESSION: [u8; 32] = [9; 32];

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

/// All statements that make a database of PostgreSQL again: the migrations, and a row a line.
fn dump_postgres(server: &Server, database: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/postgres");
    let files = fs::read_dir(folder).expect("a folder").map(|file| file.expect("a file").path());
    let mut files: Vec<PathBuf> = files.collect();
    files.sort();
    let migrations = files.iter().map(|file| fs::read_to_string(file).expect("reads"));
    let mut text = format!("{APPLIED}\n{}DELETE FROM meta;\n", migrations.collect::<String>());
    for table in tables(server, database) {
        let sql = format!(
            "SELECT string_agg('quote_nullable(' || attname || '::text)', ' || '', '' || ' ORDER BY attnum) \
             FROM pg_attribute WHERE attrelid = '{table}'::regclass AND attnum > 0"
        );
        let values = server.sql_in(database, &sql);
        let sql = format!("SELECT 'INSERT INTO {table} VALUES (' || {} || ');' FROM {table} ORDER BY 1", values.trim());
        text += &server.sql_in(database, &sql);
    }
    text
}

/// The tables of a database of PostgreSQL, by name.
fn tables(server: &Server, database: &str) -> Vec<String> {
    let sql = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1";
    server.sql_in(database, sql).lines().map(String::from).collect()
}

/// A suspicious decision, which opens a case.
fn suspicious() -> NewRecord {
    let keys = vec![("shop".to_string(), "corner".to_string())];
    let suspicion = Suspicion { model: "credit".into(), card: "kim".into(), risk: 5, keys };
    NewRecord { alert: Some(AlertChange::Suspect(suspicion)), ..decision("kim", "{}") }
}

/// Somebody takes a case.
fn taken(of: Id) -> NewRecord {
    let step = AlertChange::Step(Step { number: 1, assigned: Some("ann".into()), closed: None });
    NewRecord { kind: RecordKind::Alert, of: Some(of), alert: Some(step), ..decision("kim", "{}") }
}

/// Writes rows of every table; the record that tests read.
fn fill(store: &dyn Store, folder: &Path) -> NewRecord {
    let record = named(decision("kim", "{\"income\": 1}"), "payment-1", b"body");
    submit(store, record.clone());
    submit(store, decision("", "nobody"));
    let suspect = suspicious();
    submit(store, suspect.clone());
    submit(store, taken(suspect.id));
    let digest = bundle(store, folder, 1);
    act(store, "mia", Act::AddModel { name: "credit".into(), tier: 1 });
    act(store, "mia", Act::AddVersion { model: "credit".into(), digest, note: "first".into() });
    let ann = NewPerson { name: "ann".into(), roles: [Role::Admin].into(), password: None };
    act(store, "root", Act::AddPerson { person: ann });
    act(store, "ann", Act::SetTier { tier: 1, approvals: 1 });
    let change = Change::Champion { version: 1 };
    act(store, "mia", Act::Propose { model: "credit".into(), change, note: "better".into() });
    let key = NewApiKey {
        prefix: "paymentpath".into(),
        secret_mac: [3; 32],
        label: "it's the payment path".into(),
        roles: [Role::Scorer].into(),
        rate_per_second: 5,
        urgent: true,
        expires_us: None,
    };
    act(store, "ann", Act::AddKey { key });
    let session = NewSession { secret_digest: SESSION, person: "ann".into(), expires_us: i64::MAX };
    store.open_session(session).expect("is kept");
    record
}

/// Keeps the files of a store that are beside its database.
fn keep(record: &NewRecord, from: &Path, to: &Path, sql: String) {
    fs::write(from.join("record.txt"), record.id.to_string()).expect("is written");
    fs::create_dir_all(to.join("keys")).expect("a folder");
    for file in FILES {
        fs::copy(from.join(file), to.join(file)).expect("is copied");
    }
    fs::write(to.join("store.sql"), sql).expect("is written");
}

#[test]
fn writes_a_version() {
    let Some(to) = std::env::var_os("STATERA_WRITE_VERSION").map(PathBuf::from) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let place = Place { address: folder.path().display().to_string(), folder: folder.path().into() };
    let record = fill(&*place.open(), folder.path());
    keep(&record, folder.path(), &to, dump(folder.path()));
    let Some(server) = Server::start() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let place = Place { address: server.base(), folder: folder.path().into() };
    let record = fill(&*place.open(), folder.path());
    keep(&record, folder.path(), &to.join("postgres"), dump_postgres(&server, "postgres"));
}

/// A kept store, brought back to life.
struct Kept<'a> {
    /// The version.
    name: &'a str,
    place: Place,
    /// PostgreSQL's server, and the database there.
    server: Option<(&'a Server, String)>,
}

impl Kept<'_> {
    /// A version's store in a folder of its own.
    fn open<'a>(name: &'a str, to: &Path, server: Option<&'a Server>) -> Kept<'a> {
        let mut from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/versions").join(name);
        if server.is_some() {
            from.push("postgres");
        }
        fs::create_dir_all(to.join("keys")).expect("a folder");
        for file in FILES {
            fs::copy(from.join(file), to.join(file)).expect("is copied");
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt;
                fs::set_permissions(to.join(file), fs::Permissions::from_mode(0o600)).expect("is set");
            }
        }
        let database = format!("version_{name}");
        let address = match server {
            None => to.display().to_string(),
            Some(server) => {
                server.sql(&format!("CREATE DATABASE {database}"));
                server.base_of(&database)
            }
        };
        let place = Place { address, folder: to.into() };
        let kept = Kept { name, place, server: server.map(|server| (server, database)) };
        kept.run(&fs::read_to_string(from.join("store.sql")).expect("reads"));
        kept
    }

    /// Runs statements on the database.
    fn run(&self, sql: &str) {
        match &self.server {
            None => run(&self.place.folder, sql),
            Some((server, database)) => drop(server.sql_in(database, sql)),
        }
    }

    /// What the store says that a program must be of at least.
    fn min_program(&self) -> String {
        let sql = "SELECT value FROM meta WHERE name = 'min_program'";
        match &self.server {
            None => connect(&self.place.folder).query_row(sql, [], |row| row.get(0)).expect("is there"),
            Some((server, database)) => server.sql_in(database, sql).trim().into(),
        }
    }

    /// The record that the tests read.
    fn record(&self) -> Id {
        Id::from_str(&fs::read_to_string(self.place.folder.join("record.txt")).expect("reads")).expect("an id")
    }

    /// What the auditor's check says.
    fn verify(&self) -> statera_core::Result<Vec<String>> {
        let beside = |name: &str| self.server.is_some().then(|| self.place.folder.join(name));
        let (lines, key) = (beside("checkpoints.jsonl"), beside("checkpoint.pub"));
        let verified = verify(&self.place.address, lines.as_deref(), key.as_deref())?;
        Ok(verified.findings.iter().map(ToString::to_string).collect())
    }
}

/// Checks the stores of these versions, in SQLite and in PostgreSQL.
fn with_each(versions: &[&str], check: impl Fn(&Kept<'_>)) {
    let server = Server::start();
    for server in std::iter::once(None).chain(server.iter().map(Some)) {
        for name in versions {
            let folder = tempfile::tempdir().expect("a folder");
            eprintln!("version {name}{}", if server.is_some() { " in PostgreSQL" } else { "" });
            check(&Kept::open(name, folder.path(), server));
        }
    }
}

#[test]
fn every_earlier_version_is_read_and_written() {
    with_each(VERSIONS, |kept| {
        let is_first = kept.name == "1";
        if let Some((server, database)) = &kept.server {
            for table in tables(server, database) {
                let n = server.sql_in(database, &format!("SELECT count(*) FROM {table}"));
                assert_ne!(n.trim(), "0", "the kept store has rows of every table, but none of {table}");
            }
        }
        let store = kept.place.open();
        let id = kept.record();
        let record = store.record(id).expect("is there");
        assert_eq!(record.parts, [StoredPart::Plain(b"{\"income\": 1}".to_vec())]);
        assert_eq!(store.named("key1", "payment-1"), Ok(Some(id)));
        let registry = store.registry().expect("reads");
        assert_eq!(registry.models["credit"].versions.len(), 1);
        assert_eq!(store.people().expect("reads").len(), 1);
        let cases = store.cases(&CaseQuery { limit: 10, ..CaseQuery::default() }).expect("reads").cases;
        let assigned: Vec<_> = cases.iter().map(|case| case.assigned.as_deref()).collect();
        // The first version had none.
        assert_eq!(assigned, if is_first { vec![] } else { vec![Some("ann")] });
        // The stores in SQLite were kept before these were written, too.
        if kept.server.is_some() {
            assert_eq!((registry.tiers[&1], registry.proposals.len()), (1, 1));
            let keys = store.api_keys().expect("reads");
            assert_eq!((keys.len(), keys[0].key.secret_mac), (1, [3; 32]));
            assert_eq!(keys[0].key.label, "it's the payment path");
            assert_eq!(store.session(&SESSION).expect("is there").person, "ann");
        }
        // And written.
        let follows = NewRecord { of: Some(id), ..decision("kim", "2") };
        submit(&*store, follows.clone());
        assert_eq!(store.records_of(id, 10).expect("reads")[0].id, follows.id);
        act(&*store, "ann", Act::SetTier { tier: 1, approvals: 2 });
        let n_parts = store.erase(&facts::person("ann"), "kim", "asked").expect("is erased");
        assert_eq!(n_parts, if is_first { 2 } else { 4 });
        assert!(matches!(store.record(id).expect("is there").parts[0], StoredPart::Erased { .. }));
        drop(store);
        assert_eq!(kept.verify().expect("is checked"), <Vec<String>>::new());
    });
}

#[test]
fn the_program_before_may_come_back_until_somebody_takes_a_case() {
    with_each(&["1"], |kept| {
        let store = kept.place.open();
        let suspect = suspicious();
        submit(&*store, suspect.clone());
        act(&*store, "ann", Act::SetTier { tier: 1, approvals: 1 });
        let refused = NewRecord { of: Some(Id::new(1)), ..taken(suspect.id) };
        assert!(facts::submit_all(&*store, vec![refused])[0].is_err(), "there is no such case");
        assert_eq!(kept.min_program(), "1", "nothing is there that the program before could not read");
        submit(&*store, taken(suspect.id));
        assert_eq!(kept.min_program(), "2");
        submit(&*store, NewRecord { kind: RecordKind::Edges, ..decision("kim", "3") });
        assert_eq!(kept.min_program(), "3", "nor could it read edges");
        drop(store);
        assert_eq!(kept.verify().expect("is checked"), <Vec<String>>::new());
    });
}

/// The statements by which the program before writes, on tables that this one has brought up to date: what was added may be left
/// out.
#[test]
fn the_program_before_writes_on_what_this_one_added() {
    with_each(&["1"], |kept| {
        drop(kept.place.open());
        let blob = |n: u8| match &kept.server {
            None => format!("x'{}'", format!("{n:02x}").repeat(16)),
            Some(_) => format!("'\\x{}'", format!("{n:02x}").repeat(16)),
        };
        let (id, digest) = (blob(1), blob(2));
        kept.run(&format!(
            "INSERT INTO record (id, follows, place, first_part, n_parts) VALUES ({id}, NULL, 7, 7, 0);
             INSERT INTO part (id, place, key_id, sealed) VALUES (7, 7, NULL, {digest});
             INSERT INTO subject_key (id, subject, period, wrapped, erased_us) VALUES ({id}, NULL, 1, {digest}, NULL);
             INSERT INTO request (scope, name, record, body_digest) VALUES ('a', 'b', {id}, {digest});
             INSERT INTO person (name, roles, password, disabled, failures, locked_until_us) VALUES ('x', '[]', NULL, 0, 0, 0);
             INSERT INTO session (secret_digest, person, at_us, expires_us) VALUES ({digest}, 'x', 1, 2);
             INSERT INTO audit (place, at_us, actor, body, hash) VALUES (7, 1, '', '', {digest});"
        ));
    });
}

#[test]
fn an_older_program_works_on_what_a_newer_one_added() {
    with_each(&VERSIONS[VERSIONS.len() - 1..], |kept| {
        // What a newer program may do: add tables, and columns that may be left out.
        let checksum = if kept.server.is_some() { "'\\x00'" } else { "x'00'" };
        kept.run(&format!(
            "INSERT INTO _sqlx_migrations VALUES (99, 'later', CURRENT_TIMESTAMP, TRUE, {checksum}, 1);
             CREATE TABLE later (id INTEGER PRIMARY KEY);
             ALTER TABLE record ADD COLUMN later TEXT;
             ALTER TABLE person ADD COLUMN later INTEGER NOT NULL DEFAULT 0;"
        ));
        let store = kept.place.open();
        submit(&*store, decision("kim", "2"));
        act(&*store, "ann", Act::SetTier { tier: 1, approvals: 2 });
        drop(store);
        assert_eq!(kept.verify().expect("is checked"), <Vec<String>>::new());
        // What it must not work on any more.
        kept.run("UPDATE meta SET value = '4' WHERE name = 'min_program'");
        let why = "needs at least generation 4, this one is 3";
        facts::check_failure(open(&kept.place.options()).map(drop), ErrorKind::Newer, why);
        facts::check_failure(kept.verify(), ErrorKind::Newer, why);
    });
}
