//! Erasure by age beside others who write, step by step.

use super::*;
use crate::alert::{AlertChange, Suspicion};
use crate::ledger::verify;
use crate::record::{Part, Recorded};
use crate::vault::PERIOD_US;
use std::sync::atomic::{AtomicI64, Ordering};

/// 2026-11-21 12:00 UTC.
const START_US: i64 = 1_795_262_400_000_000;

/// The clock of each test.
static NOW: [AtomicI64; 2] = [const { AtomicI64::new(START_US) }; 2];

/// Every look at it is a microsecond later.
fn clock<const N: usize>() -> i64 {
    NOW[N].fetch_add(1, Ordering::SeqCst)
}

fn store<const N: usize>(folder: &Path) -> OpenStore {
    let options = StoreOptions::at(&folder.display().to_string(), None).expect("a place");
    open(&StoreOptions { clock: clock::<N>, ..options }).expect("opens")
}

/// Records something about a subject; its name and time.
fn submit<const N: usize>(store: &OpenStore, subject: &str) -> (Id, i64) {
    submit_with::<N>(store, subject, None)
}

/// The same where it is suspicious, about a card of the subject's name.
fn suspect<const N: usize>(store: &OpenStore, card: &str) -> (Id, i64) {
    let keys = vec![("shop".to_string(), card.to_string())];
    let suspicion = Suspicion { model: "cards".into(), card: card.into(), risk: 7, keys };
    submit_with::<N>(store, card, Some(AlertChange::Suspect(suspicion)))
}

fn submit_with<const N: usize>(store: &OpenStore, subject: &str, alert: Option<AlertChange>) -> (Id, i64) {
    let id = Id::new(clock::<N>());
    let record = NewRecord {
        id,
        kind: crate::record::RecordKind::Decision,
        of: None,
        request: None,
        actor: Actor::Key("paymentpath".into()),
        facts: "{}".into(),
        parts: vec![Part { subject: subject.into(), plain: b"1".to_vec() }],
        alert,
    };
    let (answer, answers) = mpsc::channel();
    store.submit(record, Box::new(move |done| answer.send(done).expect("is read"))).expect("is taken");
    match answers.recv_timeout(Duration::from_secs(60)).expect("an answer") {
        Ok(Recorded::New { at_us }) => (id, at_us),
        other => panic!("not recorded: {other:?}"),
    }
}

/// A batch of two is found, one of it is erased by name, the other is destroyed, and then the process ends: nothing is wrong with
/// that store, although an old key is left.
#[test]
fn a_batch_that_another_erasure_made_smaller_is_not_the_last() {
    let folder = tempfile::tempdir().expect("a folder");
    let intact = || {
        let verified = verify(&folder.path().display().to_string(), None, None).expect("is checked");
        assert_eq!(verified.findings, []);
    };
    let opened = store::<0>(folder.path());
    let mut ids = [(); 3].map(|()| submit::<0>(&opened, "").0);
    ids.sort();
    NOW[0].fetch_add(3 * PERIOD_US, Ordering::SeqCst);
    let (_, before_us) = submit::<0>(&opened, "");
    let mut search = Search::new(before_us).by(2);
    opened.read(|c| search.look(c)).expect("reads");
    let old = search.take().expect("two are a batch");
    opened.erase(&Actor::System, &ids[0].to_string(), "asked").expect("is erased");
    let retain = |old: erase::Old| opened.on_writer(move |writer| writer.retain(&Actor::System, &old, "old"));
    assert_eq!(retain(old.clone()), Ok(1));
    // Found by two, it leaves no row the second time.
    let end = opened.ledger_ends().expect("reads");
    assert_eq!(retain(old), Ok(0));
    assert_eq!(opened.ledger_ends().expect("reads"), end);
    drop(opened);
    intact();
    let opened = store::<0>(folder.path());
    assert_eq!(opened.retain(&Actor::System, before_us, "old"), Ok(1));
    drop(opened);
    intact();
    // From here on an old key would be one too many.
    let path = folder.path().join(sql::FILE);
    let sql = "UPDATE subject_key SET period = 1 WHERE wrapped IS NOT NULL";
    rusqlite::Connection::open(path).and_then(|c| c.execute(sql, [])).expect("is written");
    let verified = verify(&folder.path().display().to_string(), None, None).expect("is checked");
    let told = "is there, although it was old enough to be erased";
    assert!(verified.findings.iter().any(|f| f.what.contains(told)), "{:?}", verified.findings);
}

/// A batch of old cases is found, and one of them is joined by a new decision before they are forgotten: it stays with all that it
/// has, and the others go. More than a batch go, too.
#[test]
fn a_case_that_is_joined_meanwhile_is_not_forgotten() {
    let folder = tempfile::tempdir().expect("a folder");
    let opened = store::<1>(folder.path());
    let joined = suspect::<1>(&opened, "kim").0;
    let others: Vec<Id> = (0..60).map(|i| suspect::<1>(&opened, &format!("card {i}")).0).collect();
    NOW[1].fetch_add(3 * PERIOD_US, Ordering::SeqCst);
    let (_, before_us) = submit::<1>(&opened, "");
    let old = opened.read(|c| erase::old_cases(c, before_us)).expect("reads");
    suspect::<1>(&opened, "kim");
    assert_eq!(opened.on_writer(move |writer| writer.forget_old_cases(&old)), Ok(49), "fifty, and one that was joined");
    let (case, suspects) = opened.case(joined).expect("is there");
    assert_eq!((case.risk, suspects.len()), (14, 2));
    assert!(opened.case(others[0]).is_err());
    opened.case(others[59]).expect("is of the next batch");
    opened.retain(&Actor::System, before_us, "old").expect("is done");
    assert!(others.iter().all(|id| opened.case(*id).is_err()));
    assert_eq!(opened.case(joined).expect("is there").1.len(), 2);
    drop(opened);
    // Neither decisions nor keys of windows are left of those that went.
    let connection = rusqlite::Connection::open(folder.path().join(sql::FILE)).expect("opens");
    let count = |table: &str| {
        connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0)).expect("counts")
    };
    assert_eq!(["alert", "suspect", "alert_key"].map(count), [1, 2, 1]);
}
