//! Facts about models and who approves them.

use super::*;
use statera_store::registry::{Challenger, Change, ProposalState};

pub const FACTS: &[Fact] = &[
    ("nothing_is_allowed_by_default", denied),
    ("another_person_must_approve", approvals),
    ("rolls_back_stops_and_resumes", emergencies),
    ("names_and_digests_are_checked", names),
    ("bundles_are_kept_by_digest", bundles),
];

fn add_model(store: &dyn Store, place: &Place, n_versions: u8) {
    act(store, "mia", Act::AddModel { name: "credit".into(), tier: 1 });
    for n in 1..=n_versions {
        let digest = bundle(store, &place.folder, n);
        let added = act(store, "mia", Act::AddVersion { model: "credit".into(), digest, note: format!("v{n}") });
        assert_eq!(added.version, Some(u32::from(n)));
    }
}

fn propose(store: &dyn Store, who: &str, change: Change) -> Result<Id> {
    let act = Act::Propose { model: "credit".into(), change, note: "why".into() };
    store.act(&person(who), act).map(|acted| acted.proposal.expect("a proposal"))
}

fn approve(store: &dyn Store, who: &Actor, proposal: Id) -> Result<bool> {
    store.act(who, Act::Approve { proposal, note: String::new() }).map(|acted| acted.applied)
}

/// Proposed by one and approved by another.
fn change(store: &dyn Store, change: Change) {
    let proposal = propose(store, "mia", change).expect("is proposed");
    assert!(approve(store, &person("cho"), proposal).expect("is approved"));
}

fn denied(place: &Place) {
    let store = place.open();
    add_model(&*store, place, 1);
    let champion = Change::Champion { version: 1 };
    check_failure(propose(&*store, "mia", champion), ErrorKind::Denied, "tier 1 allows no changes until");
    act(&*store, "ann", Act::SetTier { tier: 2, approvals: 1 });
    check_failure(propose(&*store, "mia", champion), ErrorKind::Denied, "tier 1 allows no changes until");
    assert_eq!(store.registry().expect("reads").models["credit"].route.champion, None);
}

fn approvals(place: &Place) {
    let store = place.open();
    add_model(&*store, place, 2);
    act(&*store, "ann", Act::SetTier { tier: 1, approvals: 2 });
    let before = store.registry_revision().expect("reads");
    let proposal = propose(&*store, "mia", Change::Champion { version: 1 }).expect("is proposed");
    let again = propose(&*store, "cho", Change::Champion { version: 1 });
    check_failure(again, ErrorKind::Conflict, "the same is proposed already");
    check_failure(approve(&*store, &person("mia"), proposal), ErrorKind::Denied, "«mia» proposed it");
    let key = Actor::Key("paymentpath".into());
    check_failure(approve(&*store, &key, proposal), ErrorKind::Denied, "only a person can approve");
    check_failure(approve(&*store, &Actor::System, proposal), ErrorKind::Denied, "only a person can approve");
    assert!(!approve(&*store, &person("cho"), proposal).expect("is approved"));
    check_failure(approve(&*store, &person("cho"), proposal), ErrorKind::Conflict, "«cho» has approved it already");
    assert_eq!(store.registry().expect("reads").models["credit"].route.champion, None);
    assert!(approve(&*store, &person("dan"), proposal).expect("is approved"));
    check_failure(approve(&*store, &person("eve"), proposal), ErrorKind::Conflict, "is closed: it was approved");
    let registry = store.registry().expect("reads");
    assert_eq!(registry.models["credit"].route.champion, Some(1));
    assert_eq!(registry.proposals[0].approved_by, ["cho", "dan"]);
    assert_eq!((registry.proposals[0].state, registry.proposals[0].by.as_str()), (ProposalState::Applied, "mia"));
    assert_eq!(registry.revision, before + 3, "what fails does not raise it");
    assert_eq!(store.registry_revision().expect("reads"), registry.revision);

    let proposal = propose(&*store, "mia", Change::Champion { version: 2 }).expect("is proposed");
    act(&*store, "mia", Act::Reject { proposal, note: "withdrawn".into() });
    check_failure(approve(&*store, &person("cho"), proposal), ErrorKind::Conflict, "it was rejected");
    check_failure(approve(&*store, &person("cho"), Id::new(5)), ErrorKind::NotFound, "there is no proposal");
    let registry = store.registry().expect("reads");
    assert_eq!(registry.proposals[1].rejected, Some(("mia".into(), "withdrawn".into())));
}

fn emergencies(place: &Place) {
    let store = place.open();
    add_model(&*store, place, 3);
    act(&*store, "ann", Act::SetTier { tier: 1, approvals: 1 });
    let route = || store.registry().expect("reads").models["credit"].route.clone();
    let rollback = || store.act(&Actor::System, Act::Rollback { model: "credit".into(), note: "bad".into() });
    change(&*store, Change::Champion { version: 1 });
    check_failure(rollback(), ErrorKind::Conflict, "no champion before this one");
    change(&*store, Change::Backup { version: 3 });
    let challenger = Some(Challenger { version: 2, shadow: true, per_mille: 1000 });
    change(&*store, Change::Challenger { challenger });
    assert_eq!(route().challenger, challenger);
    change(&*store, Change::Champion { version: 2 });
    assert_eq!((route().champion, route().before, route().challenger), (Some(2), vec![1], None));
    act(&*store, "eve", Act::Stop { model: "credit".into(), note: "now".into() });
    assert!(route().stopped && route().backup == Some(3));
    rollback().expect("goes back");
    assert_eq!((route().champion, route().before, route().stopped), (Some(1), vec![], true));
    change(&*store, Change::Resume);
    assert!(!route().stopped);
    check_failure(propose(&*store, "mia", Change::Resume), ErrorKind::Conflict, "is not stopped");
}

fn names(place: &Place) {
    let store = place.open();
    let add = |name: &str| store.act(&person("mia"), Act::AddModel { name: name.into(), tier: 1 });
    for name in ["", "Credit", "1st", "../x", "a b", "é", &"a".repeat(65)] {
        check_failure(add(name), ErrorKind::Request, "cannot name a model");
    }
    check_failure(store.act(&person("mia"), Act::AddModel { name: "a".into(), tier: 5 }), ErrorKind::Request, "tier 5");
    let tier = Act::SetTier { tier: 1, approvals: 0 };
    check_failure(store.act(&person("mia"), tier), ErrorKind::Request, "0 approvals; allowed are 1 to 5");
    add("credit").expect("is added");
    check_failure(add("credit"), ErrorKind::Conflict, "a model «credit» exists already");
    let version = |digest: &str| {
        let act = Act::AddVersion { model: "credit".into(), digest: digest.into(), note: String::new() };
        store.act(&person("mia"), act)
    };
    check_failure(version("../../etc"), ErrorKind::Request, "is not the digest of a bundle");
    check_failure(version(&"ab".repeat(32)), ErrorKind::NotFound, "there is no bundle");
    let digest = bundle(&*store, &place.folder, 1);
    version(&digest).expect("is added");
    check_failure(version(&digest), ErrorKind::Conflict, "the bundle is version 1 of «credit» already");
    act(&*store, "ann", Act::SetTier { tier: 1, approvals: 1 });
    check_failure(
        propose(&*store, "mia", Change::Champion { version: 2 }),
        ErrorKind::NotFound,
        "no version 2; it has 1",
    );
    let challenger = Some(Challenger { version: 1, shadow: false, per_mille: 1001 });
    let proposed = propose(&*store, "mia", Change::Challenger { challenger });
    check_failure(proposed, ErrorKind::Request, "a share of 1001 per thousand");
}

fn bundles(place: &Place) {
    let store = place.open();
    let digest = bundle(&*store, &place.folder, 9);
    let there = store.bundle(&digest).expect("is there");
    assert_eq!(std::fs::read(there.join("weights/a")).expect("reads"), [9]);
    // One that exists stays as it is.
    let other = place.folder.join("other");
    std::fs::create_dir(&other).expect("a folder");
    assert_eq!(store.put_bundle(&digest, &other).expect("is there"), there);
    assert!(there.join("manifest.json").exists());
    let zip = place.folder.join("a.zip");
    std::fs::write(&zip, b"PK").expect("a file");
    let kept = store.put_bundle(&"0a".repeat(32), &zip).expect("is kept");
    assert!(kept.extension().is_some_and(|e| e == "zip") && kept.is_file());
    check_failure(store.bundle("../keys"), ErrorKind::Request, "is not the digest of a bundle");
    check_failure(store.put_bundle(&"0b".repeat(32), &place.folder.join("none")), ErrorKind::Request, "none");
    let partials = std::fs::read_dir(place.folder.join("bundles")).expect("reads").flatten();
    assert!(partials.into_iter().all(|e| !e.file_name().to_string_lossy().ends_with("partial")));
}
