//! Cases: opened and joined by suspicious decisions, worked on in steps, sorted by what they put at stake, forgotten with
//! their card.

use super::{DAY_US, Fact, Place, START_US, check_failure, decision, person, submit, submit_all, turn_clock};
use statera_core::{ErrorKind, Result};
use statera_store::Store;
use statera_store::alert::{AlertChange, CaseQuery, CaseState, RISK_MAX, Step, Suspicion, Verdict};
use statera_store::ledger::verify;
use statera_store::record::{Id, NewRecord, RecordKind, Recorded};

pub const FACTS: &[Fact] = &[
    ("cases_are_opened_joined_and_sorted", queue),
    ("sums_hold_whoever_writes", sums),
    ("one_of_two_takes_a_step", steps),
    ("cases_are_read_page_by_page", pages),
    ("cases_go_with_their_card", forgotten),
    ("neighbours_share_keys", neighbours),
];

/// A suspicious decision about a subject.
fn suspect(card: &str, risk: i64, keys: &[(&str, &str)]) -> NewRecord {
    let keys = keys.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
    let suspicion = Suspicion { model: "cards".into(), card: card.into(), risk, keys };
    NewRecord { alert: Some(AlertChange::Suspect(suspicion)), ..decision(card, "{}") }
}

fn opened(store: &dyn Store, card: &str, risk: i64) -> Id {
    let record = suspect(card, risk, &[]);
    submit(store, record.clone());
    record.id
}

fn step(of: Id, number: u32, assigned: Option<&str>, closed: Option<Verdict>) -> NewRecord {
    let step = Step { number, assigned: assigned.map(String::from), closed };
    let alert = Some(AlertChange::Step(step));
    NewRecord { kind: RecordKind::Alert, of: Some(of), alert, ..decision("", "") }
}

fn answer(of: Id) -> NewRecord {
    NewRecord { kind: RecordKind::Outcome, of: Some(of), alert: Some(AlertChange::Answer), ..decision("", "") }
}

fn query(state: Option<CaseState>) -> CaseQuery<'static> {
    CaseQuery { model: Some("cards"), state, since_us: 0, limit: 10, after: None }
}

/// Cases in their order, with what they put at stake.
fn listed(store: &dyn Store, state: Option<CaseState>) -> Vec<(Id, i64)> {
    store.cases(&query(state)).expect("reads").cases.iter().map(|c| (c.id, c.risk)).collect()
}

fn queue(place: &Place) {
    let store = place.open();
    let (a, b) = (opened(&*store, "a", 30), opened(&*store, "b", 50));
    assert_eq!(listed(&*store, None), [(b, 50), (a, 30)]);
    // Another of the same card joins its case, also in one group.
    let more = suspect("a", 25, &[]);
    let all = vec![more.clone(), suspect("c", 1, &[]), suspect("c", 2, &[])];
    let c = all[1].id;
    assert!(submit_all(&*store, all).iter().all(Result::is_ok));
    assert_eq!(listed(&*store, None), [(a, 55), (b, 50), (c, 3)]);
    let (case, suspects) = store.case(a).expect("is there");
    assert_eq!((case.n_waiting, case.steps, case.assigned), (2, 0, None));
    assert_eq!(
        suspects.iter().map(|s| (s.record, s.risk, s.is_answered)).collect::<Vec<_>>(),
        [(a, 30, false), (more.id, 25, false)]
    );
    // What is answered is no longer at stake; said again it changes nothing.
    submit(&*store, answer(a));
    submit(&*store, answer(a));
    assert_eq!(listed(&*store, None), [(b, 50), (a, 25), (c, 3)]);
    submit(&*store, answer(more.id));
    assert_eq!(listed(&*store, None), [(b, 50), (c, 3)], "nothing of it waits");
    // Limits: the sum of the largest stays a number, and counts go beyond what is listed.
    let huge: Vec<NewRecord> = (0..950).map(|_| suspect("h", i64::MAX, &[])).collect();
    submit_all(&*store, huge);
    let page = store.cases(&CaseQuery { limit: 1, ..query(None) }).expect("reads");
    assert_eq!((page.cases[0].risk, page.cases[0].n_waiting, page.n_all), (900 * RISK_MAX, 950, 3));
    // Of more than are listed those that wait go first, also where later ones are answered.
    let many: Vec<NewRecord> = (0..1_100).map(|_| suspect("m", 1, &[])).collect();
    let first = many[0].id;
    let mut names: Vec<Id> = many.iter().map(|record| record.id).collect();
    names.sort_unstable();
    for group in many.chunks(550) {
        assert!(submit_all(&*store, group.to_vec()).iter().all(Result::is_ok));
    }
    for group in names[100..].chunks(500) {
        submit_all(&*store, group.iter().map(|id| answer(*id)).collect());
    }
    let (case, suspects) = store.case(first).expect("is there");
    assert_eq!((case.n_waiting, suspects.len()), (100, 1_000));
    let mut waiting: Vec<Id> = suspects.iter().filter(|s| !s.is_answered).map(|s| s.record).collect();
    waiting.sort_unstable();
    assert_eq!(waiting, names[..100]);
    submit_all(&*store, names[..100].iter().map(|id| answer(*id)).collect());
    let other = CaseQuery { model: Some("other"), ..query(None) };
    assert_eq!(store.cases(&other).expect("reads").n_all, 0);
    let later = CaseQuery { since_us: i64::MAX, ..query(None) };
    assert_eq!(store.cases(&later).expect("reads").n_all, 0, "none is so young");
    // Another process sees and extends the same cases.
    let two = place.open();
    submit(&*two, suspect("b", 7, &[]));
    assert_eq!(store.case(b).expect("is there").0.risk, 57);
    check_failure(store.case(more.id), ErrorKind::NotFound, "there is no alert");
    drop((store, two));
    assert_eq!(verify(&place.address, None, None).expect("is checked").findings, []);
}

/// Cases of many pages, of which some have as much at stake as others.
fn pages(place: &Place) {
    let store = place.open();
    let all: Vec<NewRecord> = (0..23).map(|i| suspect(&format!("card {i}"), 100 - i / 3, &[])).collect();
    assert!(submit_all(&*store, all.clone()).iter().all(Result::is_ok));
    let read = |asked: CaseQuery<'_>, is_closed: bool| -> Vec<Id> {
        let (mut after, mut names, mut n_left) = (None, Vec::new(), 23);
        loop {
            let page = store.cases(&CaseQuery { limit: 4, after, ..asked }).expect("reads");
            assert_eq!(page.n_all, n_left, "what is left after {} cases", names.len());
            let Some(last) = page.cases.last() else { return names };
            after = Some((if is_closed { last.closed.expect("is closed").1 } else { last.risk }, last.id));
            n_left -= page.cases.len() as u64;
            names.extend(page.cases.iter().map(|case| case.id));
        }
    };
    let mut expected: Vec<(i64, Id)> =
        all.iter().enumerate().map(|(i, record)| (-(100 - i as i64 / 3), record.id)).collect();
    expected.sort_unstable();
    let expected: Vec<Id> = expected.into_iter().map(|(_, id)| id).collect();
    // Of a model, and of all.
    assert_eq!(read(query(None), false), expected);
    assert_eq!(read(CaseQuery { model: None, ..query(Some(CaseState::Open)) }, false), expected);
    // What came in between takes nothing from the pages that follow: only what changed its own place is met twice or not at all.
    let first = store.cases(&CaseQuery { limit: 4, ..query(None) }).expect("reads").cases;
    let last = &first[3];
    opened(&*store, "a late one of little weight", 1);
    opened(&*store, "a late one of much weight", 1_000);
    let rest = store.cases(&CaseQuery { limit: 100, after: Some((last.risk, last.id)), ..query(None) }).expect("reads");
    let rest: Vec<Id> = rest.cases.iter().map(|case| case.id).collect();
    assert_eq!((rest.len(), &rest[..19]), (20, &expected[4..]));
    // Closed ones are in the order of their closing, the last first; those of one instant by name.
    let closing = |id: &Id| [answer(*id), step(*id, 1, None, Some(Verdict::Dismissed))];
    assert!(submit_all(&*store, expected.iter().flat_map(closing).collect()).iter().all(Result::is_ok));
    let mut waiting: Vec<Id> = all.iter().map(|record| record.id).collect();
    waiting.sort_unstable();
    let closed = read(query(Some(CaseState::Closed)), true);
    let mut found = closed.clone();
    found.sort_unstable();
    assert_eq!(found, waiting);
    let at_once = store.cases(&CaseQuery { limit: 100, ..query(Some(CaseState::Closed)) }).expect("reads");
    assert_eq!(closed, at_once.cases.iter().map(|case| case.id).collect::<Vec<_>>());
}

/// One process adds decisions to a case while another answers those that are in it.
fn sums(place: &Place) {
    let (one, two) = (place.open(), place.open());
    let some = || -> Vec<NewRecord> { (0..5).map(|_| suspect("kim", 4, &[])).collect() };
    let mut known = some();
    let first = known[0].id;
    submit_all(&*one, known.clone());
    for _ in 0..20 {
        let answers: Vec<NewRecord> = known.iter().map(|record| answer(record.id)).collect();
        known = some();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for record in answers {
                    submit(&*two, record);
                }
            });
            for record in &known {
                submit(&*one, record.clone());
            }
        });
    }
    assert_eq!(listed(&*one, None), [(first, 20)], "the last five wait");
    drop((one, two));
    assert_eq!(verify(&place.address, None, None).expect("is checked").findings, []);
}

fn steps(place: &Place) {
    let store = place.open();
    let a = opened(&*store, "a", 30);
    let both = submit_all(&*store, vec![step(a, 1, Some("ann"), None), step(a, 1, Some("ben"), None)]);
    assert!(matches!(both[0], Ok(Recorded::New { .. })), "{both:?}");
    check_failure(both[1].clone(), ErrorKind::Conflict, "somebody else worked on the case");
    assert_eq!(store.records_of(a, 10).expect("reads").len(), 1, "what was refused is not recorded");
    let end = Id::first_at(START_US + 10_000 * DAY_US);
    let heads = store.record_heads(Id::first_at(0), end, 10).expect("steps are read among all records");
    let n_steps = heads.iter().filter(|head| head.kind == RecordKind::Alert).count();
    assert_eq!((heads.len(), n_steps), (2, 1));
    assert_eq!(listed(&*store, Some(CaseState::Open)), []);
    assert_eq!(listed(&*store, Some(CaseState::Assigned)), [(a, 30)]);
    // What joined meanwhile keeps the case open, whether it comes before the closing step or in one group with it.
    let closing = || step(a, 2, Some("ann"), Some(Verdict::Confirmed));
    let joined = suspect("a", 7, &[]);
    let group = submit_all(&*store, vec![answer(a), joined.clone(), closing()]);
    assert!(group[0].is_ok() && group[1].is_ok(), "{group:?}");
    check_failure(group[2].clone(), ErrorKind::Conflict, "1 wait for an answer");
    assert_eq!(listed(&*store, Some(CaseState::Assigned)), [(a, 7)]);
    let group = submit_all(&*store, vec![answer(joined.id), closing()]);
    assert!(group.iter().all(Result::is_ok), "{group:?}");
    assert_eq!(listed(&*store, None), []);
    assert_eq!(listed(&*store, Some(CaseState::Closed)), [(a, 0)]);
    let closed = store.case(a).expect("is there").0;
    assert_eq!((closed.closed.map(|c| c.0), closed.assigned.as_deref()), (Some(Verdict::Confirmed), Some("ann")));
    let late = submit_all(&*store, vec![step(a, 3, None, None)]).pop().expect("an answer");
    check_failure(late, ErrorKind::Conflict, "somebody else worked on the case");
    // The next suspicious decision opens another case.
    let next = opened(&*store, "a", 4);
    assert_eq!(listed(&*store, None), [(next, 4)]);
    let counts = store.case_counts(0, 0).expect("reads");
    assert_eq!((counts.open, counts.assigned, counts.opened, counts.confirmed, counts.dismissed), (1, 0, 2, 1, 0));
    assert_eq!(counts.oldest_us, Some(store.case(next).expect("is there").0.opened_us));
    drop(store);
    assert_eq!(verify(&place.address, None, None).expect("is checked").findings, []);
    let store = place.open();
    assert_eq!(store.case(a).expect("is there").0, closed, "as it was before the end of the process");
}

fn forgotten(place: &Place) {
    let store = place.open();
    let a = opened(&*store, "kim", 30);
    submit(&*store, suspect("kim", 5, &[("shop", "S1")]));
    submit(&*store, step(a, 1, Some("ann"), None));
    let b = opened(&*store, "lee", 20);
    let heads = store.heads_of("kim", 0, 10).expect("reads");
    assert_eq!((heads.len(), heads[1].id), (2, a), "the latest first");
    assert!(store.heads_of("kim", i64::MAX / 2, 10).expect("reads").is_empty());
    store.erase(&person("ann"), "kim", "asked").expect("is erased");
    assert_eq!(listed(&*store, None), [(b, 20)]);
    check_failure(store.case(a), ErrorKind::NotFound, "there is no alert");
    assert!(store.heads_of("kim", 0, 10).expect("reads").is_empty());
    // A decision that names nobody is erased by its own name; its case stays while others are in it.
    let nobody = |risk| NewRecord { parts: decision("", "{}").parts, ..suspect("C9", risk, &[]) };
    let (first, second) = (nobody(8), nobody(9));
    submit(&*store, first.clone());
    submit(&*store, second.clone());
    store.erase(&person("ann"), &first.id.to_string(), "asked").expect("is erased");
    assert_eq!(listed(&*store, None), [(b, 20), (first.id, 9)]);
    store.erase(&person("ann"), &second.id.to_string(), "asked").expect("is erased");
    assert_eq!(listed(&*store, None), [(b, 20)]);
    // And what is old goes with the keys.
    turn_clock(70 * DAY_US);
    let now = submit(&*store, decision("", ""));
    store.retain(&person("ann"), now - 31 * DAY_US, "monthly").expect("is erased");
    assert_eq!(listed(&*store, None), []);
    drop(store);
    assert_eq!(verify(&place.address, None, None).expect("is checked").findings, []);
}

fn neighbours(place: &Place) {
    let store = place.open();
    let with = |card: &str, risk, keys: &[(&str, &str)]| {
        let record = suspect(card, risk, keys);
        submit(&*store, record.clone());
        record.id
    };
    let own = with("a", 1, &[("shop", "S1"), ("device", "D1")]);
    let both = with("b", 2, &[("shop", "S1"), ("device", "D1")]);
    let one = with("c", 9, &[("shop", "S1"), ("device", "D2")]);
    let dismissed = with("d", 5, &[("shop", "S1")]);
    submit(&*store, answer(dismissed));
    submit(&*store, step(dismissed, 1, Some("ann"), Some(Verdict::Dismissed)));
    // The same value under another name is another key.
    with("e", 5, &[("device", "S1")]);
    let found = store.neighbours(own, 10).expect("reads");
    let told: Vec<(Id, Vec<&str>)> =
        found.iter().map(|n| (n.case.id, n.shared.iter().map(String::as_str).collect())).collect();
    assert_eq!(told, [(both, vec!["device", "shop"]), (one, vec!["shop"])]);
    assert_eq!(store.neighbours(own, 1).expect("reads").len(), 1);
}
