//! Connections to SQLite's file whose disk is full, or whose log is another; and to a PostgreSQL that says nothing.

#[path = "../../../statera-data/tests/server/mod.rs"]
mod server;

use super::*;
use std::fs;

const TABLE: &str = "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID";

fn write(connection: &mut Connection, name: &str) -> Attempt<()> {
    connection.begin()?;
    let sql = "INSERT INTO meta (name, value) VALUES ($1, 'x')";
    connection.execute(sql, vec![name.into()])?;
    connection.commit()
}

fn n_rows(connection: &mut Connection) -> i64 {
    let row = connection.first("SELECT count(*) FROM meta", Vec::new()).unwrap();
    row.unwrap().int(0).unwrap()
}

#[test]
fn a_refusal_of_a_full_disk_does_not_cost_the_connection() {
    let folder = tempfile::tempdir().unwrap();
    let full = Arc::new(AtomicBool::new(false));
    let database = Database::file(&folder.path().join(FILE)).filled_by(full.clone());
    let mut connection = database.connect(Use::Create).unwrap();
    connection.batch(TABLE).unwrap();
    for round in 0..3 {
        full.store(true, Ordering::Relaxed);
        assert!(matches!(write(&mut connection, "refused"), Err(Failure::Full(_))));
        connection.rollback();
        assert!(!connection.is_broken());
        // What changes nothing finds room on any disk.
        connection.begin().unwrap();
        connection.execute("UPDATE meta SET value = value", Vec::new()).unwrap();
        connection.commit().unwrap();
        full.store(false, Ordering::Relaxed);
        write(&mut connection, &format!("kept {round}")).unwrap();
        assert_eq!(n_rows(&mut connection), round + 1);
    }
    // And what is undone before it fails.
    connection.begin().unwrap();
    connection.execute("DELETE FROM meta", Vec::new()).unwrap();
    connection.rollback();
    assert!(!connection.is_broken());
    assert_eq!(n_rows(&mut connection), 3);
}

#[test]
fn a_log_that_another_process_began_anew_is_told_from_one_that_nobody_writes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    let log = log_of(&path);
    let (first, second) = (Database::file(&path), Database::file(&path));
    let (mut one, mut two) = (first.connect(Use::Create).unwrap(), second.connect(Use::Write).unwrap());
    one.batch(TABLE).unwrap();
    write(&mut one, "a").unwrap();
    write(&mut two, "b").unwrap();
    let old = fs::read(&log).unwrap();
    fs::remove_file(&log).unwrap();
    assert!(matches!(write(&mut one, "refused"), Err(Failure::Away(_))));
    one.save_log().unwrap();
    let mut one = first.connect(Use::Write).unwrap();
    write(&mut one, "c").unwrap();
    assert!(fs::metadata(&log).unwrap().len() > 0);
    // The other one has only to open it.
    assert!(matches!(write(&mut two, "refused"), Err(Failure::Away(_))));
    let live = fs::read(&log).unwrap();
    for foreign in [&b"another"[..], &old[..], &[0; 64][..]] {
        fs::write(&log, foreign).unwrap();
        let Err(Failure::Away(why)) = two.save_log() else { panic!("is refused") };
        assert!(why.contains("another log lies in its place") && why.contains("keep a copy"), "{why}");
        assert_eq!(fs::read(&log).unwrap(), foreign);
    }
    fs::write(&log, &live).unwrap();
    two.save_log().unwrap();
    assert_eq!(fs::read(&log).unwrap(), live);
    let mut two = second.connect(Use::Write).unwrap();
    write(&mut two, "d").unwrap();
    write(&mut one, "e").unwrap();
    assert_eq!((n_rows(&mut one), n_rows(&mut two)), (5, 5));
}

#[test]
fn what_postgres_does_not_answer_is_waited_for_so_long() {
    let Some(server) = server::Server::start() else { return };
    let database = Database::at(&server.base()).unwrap();
    let mut connection = database.connect(Use::Read).unwrap();
    let read = |c: &mut Connection| c.snapshot(|c| c.first("SELECT pg_sleep(300)", Vec::new()).map(drop));
    let Err(Failure::Away(why)) = connection.limited(Duration::from_millis(200), read) else { panic!("is waited for") };
    assert_eq!(why, "no answer within 0.2 s");
    assert!(connection.is_broken());
}
