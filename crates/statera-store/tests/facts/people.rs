//! Facts about people, keys and sessions.

use super::*;
use statera_store::people::{NewApiKey, NewPerson, NewSession, Role, Sessions};

pub const FACTS: &[Fact] = &[
    ("the_first_person_comes_by_the_link", setup),
    ("people_sign_in_and_are_locked_out", people),
    ("keys_are_made_and_revoked", keys),
    ("sessions_end", sessions),
];

fn new_person(name: &str, roles: &[Role]) -> NewPerson {
    NewPerson { name: name.into(), roles: roles.iter().copied().collect(), password: Some("$argon2id$x".into()) }
}

fn setup(place: &Place) {
    let store = place.open();
    let token_digest = [7; 32];
    let offer = |expires_us| store.act(&Actor::System, Act::OfferSetup { token_digest, expires_us });
    let set_up = |token_digest, person| store.act(&Actor::System, Act::Setup { token_digest, person });
    let admin = || new_person("ann", &[Role::Admin]);
    check_failure(set_up([0; 32], admin()), ErrorKind::Denied, "wrong, used or expired");
    offer(clock()).expect("is offered");
    check_failure(set_up(token_digest, admin()), ErrorKind::Denied, "wrong, used or expired");
    offer(clock() + DAY_US).expect("is offered");
    check_failure(set_up([8; 32], admin()), ErrorKind::Denied, "wrong, used or expired");
    check_failure(set_up(token_digest, new_person("ann", &[Role::Viewer])), ErrorKind::Request, "must be an admin");
    set_up(token_digest, admin()).expect("is set up");
    check_failure(
        set_up(token_digest, new_person("eve", &[Role::Admin])),
        ErrorKind::Denied,
        "the first person exists",
    );
    check_failure(offer(clock() + DAY_US), ErrorKind::Denied, "the first person exists");
    assert_eq!(store.person("ann").expect("is there").password.as_deref(), Some("$argon2id$x"));
    // Secrets are in no row of the ledger.
    let rows = store.audit_rows("writer-1", 0, 100).expect("reads");
    assert!(rows.iter().all(|r| !r.body.contains("argon2")), "{rows:?}");
}

fn people(place: &Place) {
    let store = place.open();
    act(&*store, "root", Act::AddPerson { person: new_person("ann", &[Role::Admin]) });
    act(&*store, "ann", Act::AddPerson { person: new_person("bo.kim@bank", &[Role::Maker]) });
    let add = |name: &str| store.act(&person("ann"), Act::AddPerson { person: new_person(name, &[]) });
    check_failure(add("ann"), ErrorKind::Conflict, "there is a person «ann» already");
    for name in ["", "a b", "a/b", "key:x", "a\nb", &"x".repeat(65)] {
        check_failure(add(name), ErrorKind::Request, "cannot name a person");
    }
    let told = "there is a person «ann» already; «Ann» differs from it in capitals alone";
    check_failure(add("Ann"), ErrorKind::Conflict, told);
    check_failure(add("system"), ErrorKind::Request, "the program itself");
    let failed = |locked_until_us| {
        act(&*store, "root", Act::SignInFailed { name: Some("bo.kim@bank".into()), locked_until_us });
        let bo = store.person("bo.kim@bank").expect("is there");
        (bo.failures, bo.locked_until_us)
    };
    assert_eq!(failed(None), (1, 0));
    assert_eq!(failed(Some(99)), (2, 99));
    act(&*store, "bo.kim@bank", Act::SignIn { name: "bo.kim@bank".into() });
    let bo = store.person("bo.kim@bank").expect("is there");
    assert_eq!((bo.failures, bo.locked_until_us), (0, 0));
    store.act(&Actor::System, Act::SignInFailed { name: None, locked_until_us: None }).expect("is noted");
    check_failure(store.act(&person("ann"), Act::SignIn { name: "zoe".into() }), ErrorKind::NotFound, "«zoe»");
    act(&*store, "ann", Act::SetPassword { name: "bo.kim@bank".into(), password: "$argon2id$y".into() });
    assert_eq!(store.person("bo.kim@bank").expect("is there").password.as_deref(), Some("$argon2id$y"));
    // The last admin stays.
    let disable = Act::SetDisabled { name: "ann".into(), disabled: true };
    check_failure(store.act(&person("ann"), disable.clone()), ErrorKind::Conflict, "the last admin");
    let roles = Act::SetRoles { name: "ann".into(), roles: [Role::Viewer].into() };
    check_failure(store.act(&person("ann"), roles), ErrorKind::Conflict, "the last admin");
    act(&*store, "ann", Act::SetRoles { name: "bo.kim@bank".into(), roles: [Role::Admin].into() });
    act(&*store, "bo.kim@bank", disable);
    let names: Vec<(String, bool)> = store.people().expect("reads").into_iter().map(|p| (p.name, p.disabled)).collect();
    assert_eq!(names, [("ann".into(), true), ("bo.kim@bank".into(), false)]);
    check_failure(store.person("zoe"), ErrorKind::NotFound, "no person");
}

fn keys(place: &Place) {
    let store = place.open();
    let key = NewApiKey {
        prefix: "paymentpath".into(),
        secret_mac: [3; 32],
        label: "payment path".into(),
        roles: [Role::Scorer].into(),
        rate_per_second: 500,
        urgent: true,
        expires_us: Some(5),
    };
    act(&*store, "ann", Act::AddKey { key: key.clone() });
    let kept = store.api_key("paymentpath").expect("is there");
    assert_eq!((&kept.key, kept.revoked, kept.by.as_str()), (&key, false, "ann"));
    check_failure(store.act(&person("ann"), Act::AddKey { key: key.clone() }), ErrorKind::Conflict, "already");
    for prefix in ["short", "has-dash1", "waytoolongprefix1"] {
        let key = NewApiKey { prefix: prefix.into(), ..key.clone() };
        check_failure(store.act(&person("ann"), Act::AddKey { key }), ErrorKind::Request, "cannot name a key");
    }
    act(&*store, "ann", Act::RevokeKey { prefix: "paymentpath".into() });
    assert!(store.api_keys().expect("reads")[0].revoked);
    check_failure(
        store.act(&person("ann"), Act::RevokeKey { prefix: "other000".into() }),
        ErrorKind::NotFound,
        "no key",
    );
    check_failure(store.api_key("other000"), ErrorKind::NotFound, "no key");
}

fn sessions(place: &Place) {
    let store = place.open();
    act(&*store, "root", Act::AddPerson { person: new_person("ann", &[Role::Admin]) });
    act(&*store, "root", Act::AddPerson { person: new_person("bo", &[Role::Viewer]) });
    let open = |n: u8, name: &str, lasts_us: i64| {
        let session = NewSession { secret_digest: [n; 32], person: name.into(), expires_us: clock() + lasts_us };
        store.open_session(session).expect("is kept");
    };
    let is_open = |n: u8| store.session(&[n; 32]).is_ok();
    open(1, "ann", DAY_US);
    open(2, "bo", DAY_US);
    open(3, "bo", DAY_US);
    open(4, "bo", 0);
    assert_eq!(store.session(&[1; 32]).expect("is open").person, "ann");
    assert_eq!([1, 2, 3, 4].map(is_open), [true, true, true, false]);
    store.close_sessions(Sessions::One(&[1; 32])).expect("ends");
    store.close_sessions(Sessions::Of("bo")).expect("end");
    assert_eq!([1, 2, 3].map(is_open), [false; 3]);
    open(5, "bo", DAY_US);
    act(&*store, "ann", Act::SetDisabled { name: "bo".into(), disabled: true });
    assert!(!is_open(5), "who is disabled has no session");
    open(6, "ann", DAY_US);
    turn_clock(2 * DAY_US);
    assert!(!is_open(6), "it has expired");
    check_failure(store.session(&[9; 32]), ErrorKind::NotFound, "no such session");
}
