//! Facts about records.

use super::*;
use statera_store::record::{RecordHead, StoredPart};

pub const FACTS: &[Fact] = &[
    ("keeps_records_and_what_follows_them", keeps_records),
    ("a_request_is_recorded_once", once),
    ("a_bad_record_harms_no_other", harmless),
    ("a_full_queue_is_busy_at_once", busy),
    ("a_record_of_many_parts_is_one", batch),
    ("several_processes_share_a_store", shared),
    ("nothing_is_lost_when_it_closes", closes),
    ("heads_of_a_window_are_read_in_pages", heads),
];

fn keeps_records(place: &Place) {
    let store = place.open();
    let first = decision("customer-7", "{\"income\": 1}");
    let at_us = submit(&*store, first.clone());
    let kept = store.record(first.id).expect("is there");
    assert_eq!((kept.id, kept.kind, kept.of, kept.at_us), (first.id, RecordKind::Decision, None, at_us));
    assert_eq!((&kept.actor, kept.facts.as_str()), (&first.actor, first.facts.as_str()));
    assert_eq!(kept.parts, [StoredPart::Plain(b"{\"income\": 1}".to_vec())]);
    assert_eq!(kept.ledger, ("writer-1".to_string(), 1));

    // An outcome that names nobody and has no payload, and an override with one.
    let outcome = NewRecord { kind: RecordKind::Outcome, of: Some(first.id), parts: vec![], ..decision("", "") };
    let over = NewRecord { kind: RecordKind::Override, of: Some(first.id), ..decision("", "note: 음") };
    submit(&*store, outcome.clone());
    submit(&*store, over.clone());
    let follow = store.records_of(first.id, 10).expect("reads");
    assert_eq!(follow.iter().map(|r| r.id).collect::<Vec<_>>(), [outcome.id, over.id]);
    assert_eq!((follow[0].kind, follow[0].parts.len()), (RecordKind::Outcome, 0));
    assert_eq!(follow[1].parts, [StoredPart::Plain("note: 음".as_bytes().to_vec())]);
    assert_eq!(store.records_of(first.id, 1).expect("reads").len(), 1);
    assert_eq!(store.records_of(over.id, 10).expect("reads"), []);
    check_failure(store.record(Id::new(1)), ErrorKind::NotFound, "there is no record");
    assert!(store.is_ready());
}

fn once(place: &Place) {
    let store = place.open();
    let first = named(decision("a", "1"), "payment-1", b"body");
    let again = named(decision("a", "1"), "payment-1", b"body");
    let other = named(decision("a", "2"), "payment-1", b"another body");
    // All in one group, then one by one.
    let answers = submit_all(&*store, vec![first.clone(), again.clone(), other.clone()]);
    let check = |answers: &[Result<Recorded>]| {
        match &answers[answers.len() - 2] {
            Ok(Recorded::Before(before)) => assert_eq!(before.id, first.id),
            answer => panic!("{answer:?}"),
        }
        let why = "the request «payment-1» was made before with another body";
        check_failure(answers[answers.len() - 1].clone(), ErrorKind::Conflict, why);
    };
    assert!(matches!(answers[0], Ok(Recorded::New { .. })));
    check(&answers);
    check(&[again.clone(), other].map(|r| submit_all(&*store, vec![r]).remove(0)));
    // The same name of another scope is another request.
    let mut elsewhere = again;
    elsewhere.request.as_mut().expect("named").scope = "key2".into();
    submit(&*store, elsewhere);
    assert_eq!(store.audit_rows("writer-1", 0, 10).expect("reads").len(), 2);
    // Whoever cannot do it again finds what was done.
    let request = first.request.expect("named");
    assert_eq!(store.request(&request).expect("reads").map(|record| record.id), Some(first.id));
    let why = "the request «payment-1» was made before with another body";
    check_failure(store.request(&RequestName { body_digest: [7; 32], ..request.clone() }), ErrorKind::Conflict, why);
    assert_eq!(store.request(&RequestName { name: "payment-2".into(), ..request.clone() }).expect("reads"), None);
    assert_eq!(store.request(&RequestName { scope: "key3".into(), ..request }).expect("reads"), None);
}

fn harmless(place: &Place) {
    let store = place.open();
    let twice = decision("a", "1");
    submit(&*store, twice.clone());
    let mut group: Vec<NewRecord> = (0..20).map(|i| decision(&format!("s{i}"), "x")).collect();
    group[7] = twice.clone();
    let answers = submit_all(&*store, group.clone());
    for (i, answer) in answers.into_iter().enumerate() {
        if i == 7 {
            check_failure(answer, ErrorKind::Conflict, "there is a record");
        } else {
            assert!(matches!(answer, Ok(Recorded::New { .. })), "{i}: {answer:?}");
            store.record(group[i].id).expect("is there");
        }
    }
    let refused = |record: NewRecord, text: &str| {
        check_failure(store.submit(record, Box::new(|_| panic!("not called"))), ErrorKind::Request, text);
    };
    refused(NewRecord { facts: "{".into(), ..decision("", "") }, "one line of JSON");
    refused(NewRecord { facts: "{}\n{}".into(), ..decision("", "") }, "one line of JSON");
    refused(NewRecord { facts: "{\"a\":\n1}".into(), ..decision("", "") }, "one line of JSON");
    refused(named(decision("", ""), "", b""), "has 0 characters; allowed are 1 to 128");
    refused(named(decision("", ""), "a\u{0}b", b""), "control characters");
    refused(decision(&"s".repeat(2000), ""), "the name of a subject is longer");
}

fn busy(place: &Place) {
    let options = StoreOptions { queue: 3, ..place.options() };
    let store = open(&options).expect("opens");
    // The writer is held by the first record's answer, until the test lets it go.
    let (let_go, held) = mpsc::channel::<()>();
    let (at_work, is_at_work) = mpsc::channel();
    let hold = Box::new(move |_| {
        at_work.send(()).expect("the test waits");
        let _ = held.recv();
    });
    store.submit(decision("", "0"), hold).expect("is taken");
    is_at_work.recv_timeout(ANSWER).expect("the writer has begun");
    let (answer, answers) = mpsc::channel();
    for i in 0..5 {
        let answer = answer.clone();
        let taken = store.submit(decision("", "1"), Box::new(move |done| answer.send(done).expect("the test waits")));
        if i < 3 {
            taken.expect("is taken");
        } else {
            check_failure(taken, ErrorKind::Busy, "3 records wait for the disk");
        }
    }
    drop(let_go);
    for _ in 0..3 {
        answers.recv_timeout(ANSWER).expect("an answer").expect("is recorded");
    }
    drop(answer);
    assert!(answers.recv_timeout(ANSWER).is_err(), "nobody else is answered");
}

fn batch(place: &Place) {
    let store = place.open();
    let parts: Vec<Part> = (0..700)
        .map(|i| Part { subject: format!("customer-{}", i % 100), plain: format!("row {i}").into_bytes() })
        .chain([Part { subject: String::new(), plain: b"nobody".to_vec() }])
        .collect();
    let record = NewRecord { parts: parts.clone(), ..decision("", "") };
    submit(&*store, record.clone());
    let kept = store.record(record.id).expect("is there");
    let plain: Vec<StoredPart> = parts.into_iter().map(|p| StoredPart::Plain(p.plain)).collect();
    assert_eq!(kept.parts, plain);
    assert_eq!(store.audit_rows("writer-1", 0, 10).expect("reads").len(), 1);
}

fn shared(place: &Place) {
    let (one, two) = (place.open(), place.open());
    submit(&*one, named(decision("both", "1"), "n", b"body"));
    // The other sees the request, the subject's key, and writes a chain of its own.
    let answers = submit_all(&*two, vec![named(decision("both", "1"), "n", b"body"), decision("both", "2")]);
    assert!(matches!(answers[0], Ok(Recorded::Before(_))), "{answers:?}");
    assert_eq!(two.chains().expect("reads"), ["writer-1", "writer-2"]);
    assert_eq!(one.erase(&person("ann"), "both", "asked").expect("is erased"), 2);
    // The other remembers a key that is no more: it must make a new one.
    let after = decision("both", "3");
    submit(&*two, after.clone());
    assert_eq!(one.record(after.id).expect("is there").parts, [StoredPart::Plain(b"3".to_vec())]);
    drop(one);
    // Its chain is free for the next.
    let three = place.open();
    submit(&*three, decision("", ""));
    assert_eq!(three.chains().expect("reads"), ["writer-1", "writer-2"]);
    assert_eq!(three.audit_rows("writer-1", 2, 10).expect("reads").len(), 1);
}

fn closes(place: &Place) {
    let store = place.open();
    let records: Vec<NewRecord> = (0..300).map(|i| decision("", &i.to_string())).collect();
    let (answer, answers) = mpsc::channel();
    for record in records.clone() {
        let answer = answer.clone();
        let done = Box::new(move |done: Result<Recorded>| answer.send(done.is_ok()).expect("the test waits"));
        store.submit(record, done).expect("is taken");
    }
    drop((store, answer));
    assert_eq!(all_told(&answers).into_iter().filter(|ok| *ok).count(), 300);
    let store = place.open();
    for record in records {
        store.record(record.id).expect("is there");
    }
}

fn heads(place: &Place) {
    let store = place.open();
    let at = |at_us: i64, of: Option<Id>, kind: RecordKind, facts: &str| NewRecord {
        id: Id::new(at_us),
        kind,
        of,
        facts: facts.into(),
        ..decision("kim", "{\"income\": 1}")
    };
    let second = |s: i64| START_US + s * 1_000_000;
    let facts = "{\"model\":\"credit\",\"version\":1,\"name\":\"음 \\\"x\\\"\",\"rate\":0.1}";
    let old = at(second(1), None, RecordKind::Decision, facts);
    let new = at(second(3), None, RecordKind::Decision, "{}");
    let over = at(second(4), Some(old.id), RecordKind::Override, "{\"to\": \"approve\"}");
    let outcome = at(second(5), Some(new.id), RecordKind::Outcome, "{}");
    let objection = at(second(6), Some(new.id), RecordKind::Objection, "{}");
    let times: Vec<i64> =
        [&old, &new, &over, &outcome, &objection].map(|record| submit(&*store, record.clone())).into();
    let names = |from_s: i64, until: Id, limit: usize| -> Vec<Id> {
        let heads = store.record_heads(Id::first_at(second(from_s)), until, limit).expect("reads");
        heads.into_iter().map(|head| head.id).collect()
    };
    let end = Id::first_at(second(60));
    assert_eq!(names(0, end, 100), [objection.id, outcome.id, over.id, new.id, old.id]);
    assert_eq!(names(3, Id::first_at(second(5)), 100), [over.id, new.id], "from the beginning, and before the end");
    // Page by page, each record once.
    let first = names(0, end, 2);
    assert_eq!(first, [objection.id, outcome.id]);
    assert_eq!(names(0, first[1], 2), [over.id, new.id]);
    assert_eq!(names(0, new.id, 2), [old.id]);
    assert_eq!(names(0, old.id, 2), []);

    // What follows decisions of a time, page by page, in the order of the decisions.
    let follows = |from_s: i64, before: (Id, Id), limit: usize| -> Vec<Id> {
        let heads = store.following_heads(Id::first_at(second(from_s)), before, limit).expect("reads");
        heads.into_iter().map(|head| head.id).collect()
    };
    let all = (end, Id::first_at(0));
    assert_eq!(follows(0, all, 100), [objection.id, outcome.id, over.id]);
    assert_eq!(follows(0, all, 1), [objection.id]);
    assert_eq!(follows(0, (new.id, objection.id), 2), [outcome.id, over.id]);
    assert_eq!(follows(2, all, 100), [objection.id, outcome.id], "the other's decision is older");
    assert_eq!(follows(0, (new.id, Id::first_at(0)), 100), [over.id], "the decision itself is not wanted any more");
    assert_eq!(follows(0, (old.id, over.id), 100), []);

    let heads = store.record_heads(Id::first_at(0), end, usize::MAX).expect("reads");
    let RecordHead { id, kind, of, at_us, actor, facts: read } = &heads[4];
    assert_eq!((*id, *kind, *of, *at_us), (old.id, RecordKind::Decision, None, times[0]));
    assert_eq!(*actor, old.actor);
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
    assert_eq!(json(read), json(facts));
    assert_eq!((heads[2].kind, heads[2].of), (RecordKind::Override, Some(old.id)));
    assert_eq!(json(&heads[2].facts), json("{\"to\":\"approve\"}"));
    // Facts stay when who they are about is erased.
    store.erase(&person("ann"), "kim", "asked").expect("is erased");
    assert_eq!(store.record_heads(Id::first_at(0), end, 100).expect("reads"), heads);
}
