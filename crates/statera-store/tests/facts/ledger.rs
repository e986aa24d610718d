//! Facts about the ledger and what it lets be erased.

use super::*;
use statera_store::record::StoredPart;
use statera_store::retention::{before_us, latest_us};

pub const FACTS: &[Fact] = &[
    ("rows_are_chained_and_time_never_falls", chained),
    ("an_erased_subject_cannot_be_read", erased),
    ("what_is_old_is_erased", retained),
    ("what_is_old_is_erased_in_batches", retained_in_batches),
    ("a_clock_that_is_wrong_ages_nothing", ages_by_the_ledger),
    ("a_store_of_another_key_is_refused", other_key),
];

fn chained(place: &Place) {
    let store = place.open();
    submit(&*store, decision("a", "1"));
    act(&*store, "ann", Act::Note { what: "a backup was taken".into() });
    turn_clock(-DAY_US);
    submit(&*store, decision("a", "2"));
    drop(store);
    let store = place.open();
    submit(&*store, decision("a", "3"));
    turn_clock(DAY_US);
    let rows = store.audit_rows("writer-1", 0, 100).expect("reads");
    assert_eq!(rows.len(), 4);
    let mut previous = [0; 32];
    let mut at_us = 0;
    for (i, row) in rows.iter().enumerate() {
        assert_eq!((row.seq, row.previous, row.hash), (i as u64 + 1, previous, row.expected_hash()));
        assert!(row.at_us >= at_us, "{rows:?}");
        (previous, at_us) = (row.hash, row.at_us);
    }
    assert!(rows[1].body.contains("a backup was taken") && rows[1].actor == "{\"person\":\"ann\"}");
    assert_eq!(store.audit_rows("writer-1", 2, 1).expect("reads"), rows[2..3]);
    assert_eq!(store.audit_rows("writer-1", 4, 10).expect("reads"), []);
    check_failure(store.audit_rows("writer-9", 0, 10), ErrorKind::NotFound, "no chain");
    let long = Act::Note { what: "x".repeat(3000) };
    check_failure(store.act(&person("ann"), long), ErrorKind::Request, "3000 characters; allowed are 2000");
}

fn erased(place: &Place) {
    let store = place.open();
    let (first, other, nobody) = (decision("kim", "1"), decision("lee", "2"), decision("", "3"));
    for record in [&first, &other, &nobody] {
        submit(&*store, record.clone());
    }
    let again = decision("kim", "4");
    submit(&*store, again.clone());
    let erase = |subject: &str| store.erase(&person("ann"), subject, "asked in writing");
    assert_eq!(erase("kim").expect("is erased"), 2);
    check_failure(erase("kim"), ErrorKind::NotFound, "erased already");
    check_failure(erase("park"), ErrorKind::NotFound, "nothing is kept");
    let part = |id: Id| store.record(id).expect("is there").parts.remove(0);
    let row = store.audit_rows("writer-1", 4, 1).expect("reads").remove(0);
    assert!(row.body.contains("asked in writing") && !row.body.contains("kim"), "{}", row.body);
    assert_eq!(part(first.id), StoredPart::Erased { at_us: row.at_us });
    assert_eq!(part(again.id), StoredPart::Erased { at_us: row.at_us });
    assert_eq!(part(other.id), StoredPart::Plain(b"2".to_vec()));
    assert_eq!(store.record(first.id).expect("is there").facts, first.facts, "facts stay");
    // Nobody named: by the record's id, however it is written, with what was said of it later under that name.
    let later = decision(&nobody.id.to_string(), "said of 3");
    submit(&*store, later.clone());
    assert_eq!(erase(&nobody.id.to_string().to_uppercase()).expect("is erased"), 2);
    assert!(matches!(part(nobody.id), StoredPart::Erased { .. }));
    assert!(matches!(part(later.id), StoredPart::Erased { .. }));
    check_failure(erase(&nobody.id.to_string()), ErrorKind::NotFound, "erased already");
    // Who comes back is a new subject.
    let back = decision("kim", "5");
    submit(&*store, back.clone());
    assert_eq!(part(back.id), StoredPart::Plain(b"5".to_vec()));
    assert!(matches!(part(first.id), StoredPart::Erased { .. }));
}

fn retained(place: &Place) {
    let store = place.open();
    let (old, old_nobody) = (decision("kim", "1"), decision("", "2"));
    let at_us = submit(&*store, old.clone());
    submit(&*store, old_nobody.clone());
    turn_clock(40 * DAY_US);
    let new = decision("kim", "3");
    submit(&*store, new.clone());
    let retain = |before_us| store.retain(&Actor::System, before_us, "five years").expect("is done");
    assert_eq!(retain(at_us), 0, "its 30 days have not ended");
    assert_eq!(retain(at_us + 30 * DAY_US), 2);
    assert_eq!(retain(at_us + 30 * DAY_US), 0);
    let part = |id: Id| store.record(id).expect("is there").parts.remove(0);
    assert!(matches!(part(old.id), StoredPart::Erased { .. }));
    assert!(matches!(part(old_nobody.id), StoredPart::Erased { .. }));
    assert_eq!(part(new.id), StoredPart::Plain(b"3".to_vec()));
    turn_clock(-40 * DAY_US);
}

fn retained_in_batches(place: &Place) {
    let store = place.open();
    // A key for each that names nobody, and more than a transaction destroys.
    let records = |n: usize| (0..n).map(|_| decision("", "1")).collect::<Vec<_>>();
    for _ in 0..4 {
        assert!(submit_all(&*store, records(300)).iter().all(|done| done.is_ok()));
    }
    let at_us = submit(&*store, decision("kim", "1"));
    turn_clock(40 * DAY_US);
    let young = records(300);
    assert!(submit_all(&*store, young.clone()).iter().all(|done| done.is_ok()));
    assert_eq!(store.retain(&Actor::System, at_us + 30 * DAY_US, "five years").expect("is done"), 1201);
    let rows = store.audit_rows("writer-1", 1501, 100).expect("reads");
    assert_eq!(rows.len(), 3, "a batch is a row, and so is the end");
    for (row, n) in rows.iter().zip([1000, 201, 0]) {
        assert!(row.body.contains(&format!("\"keys\":{n},")) && row.actor == "\"system\"", "{row:?}");
    }
    for record in young {
        assert_eq!(store.record(record.id).expect("is there").parts, [StoredPart::Plain(b"1".to_vec())]);
    }
    drop(store);
    let (lines, key) = (place.folder.join("checkpoints.jsonl"), place.folder.join("checkpoint.pub"));
    let verified = statera_store::ledger::verify(&place.address, Some(&lines), Some(&key)).expect("is checked");
    assert_eq!(verified.findings, []);
    turn_clock(-40 * DAY_US);
}

fn ages_by_the_ledger(place: &Place) {
    let store = place.open();
    assert_eq!(before_us(&*store, 5 * DAY_US, i64::MAX).expect("reads"), -5 * DAY_US, "nothing is recorded");
    let at_us = submit(&*store, decision("kim", "1"));
    for (now_us, expected) in [
        (at_us, at_us),
        (at_us - DAY_US, at_us - DAY_US),
        // Ahead of all that was recorded.
        (at_us + 400 * DAY_US, at_us),
    ] {
        assert_eq!(before_us(&*store, 5 * DAY_US, now_us).expect("reads"), expected - 5 * DAY_US, "{now_us}");
    }
    assert_eq!(latest_us(&*store).expect("reads"), at_us);
}

fn other_key(place: &Place) {
    submit(&*place.open(), decision("kim", "1"));
    let key = place.folder.join("keys/master.key");
    let text = std::fs::read_to_string(&key).expect("a key");
    let open = || open(&place.options()).map(drop);
    std::fs::write(&key, format!("{}\n", "0f".repeat(32))).expect("is written");
    check_failure(open(), ErrorKind::Request, "is not the master key of");
    std::fs::write(&key, "abc").expect("is written");
    check_failure(open(), ErrorKind::Damaged, "holds no key; allowed are 64 hexadecimal digits");
    std::fs::remove_file(&key).expect("is removed");
    check_failure(open(), ErrorKind::Io, "is missing");
    std::fs::write(&key, &text).expect("is written");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let set = |mode| std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).expect("is set");
        set(0o644);
        check_failure(open(), ErrorKind::Request, "can be read or changed by others (mode 644)");
        set(0o600);
    }
    open().expect("opens");
}
