//! What tests of this crate share: a store in memory whose writer can be held or fail, kept bundles under a policy, and a
//! server without sockets.

mod over_store;

pub use over_store::{Asked, Client, furnish};

use crate::app::{App, Shared};
use crate::settings::Settings;
use crate::who::Who;
use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use statera::bundle::Bundle;
use statera_core::{Error, Result, Run};
use statera_store::act::{Act, Acted, Actor};
use statera_store::alert::{Case, CaseCounts, CaseQuery, Cases, Neighbour, Suspect};
use statera_store::ledger::{AuditRow, LedgerRecord};
use statera_store::people::{ApiKey, NewSession, Person, Role, Session, Sessions};
use statera_store::record::{Done, Id, NewRecord, RecordHead, Recorded, RequestName, StoredPart, StoredRecord};
use statera_store::registry::{Model, Registry, Route, Version};
use statera_store::{BackedUp, Claim, Store};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tower::ServiceExt;
use zeroize::Zeroizing;

/// A policy under which the rows below are approved and declined.
pub const POLICY: &str = r#"
version = "policy-1"
[decision]
by = "cutoff"
decline_from = 0.25
[[grade]]
name = "A"
from = 0
to = 0.1
[[grade]]
name = "B"
from = 0.1
to = 1
"#;

/// Reasons for the columns of the kept bundles.
pub const REASONS: &str = r#"
version = "reasons-1"
[[reason]]
code = "employment"
columns = ["employment"]
en = "Kind of employment"
ko = "고용 형태"
zh = "就业类型"
[[reason]]
code = "income"
columns = ["monthly_income"]
actionable = true
en = "Monthly income in relation to the loan"
ko = "대출 대비 월 소득"
zh = "月收入与贷款的比例"
[[reason]]
code = "debt"
columns = ["debt_ratio"]
actionable = true
en = "Debts in relation to income"
ko = "소득 대비 부채"
zh = "负债与收入的比例"
[[reason]]
code = "delinquency"
columns = ["months_since_delinquency"]
en = "Time since the last late payment"
ko = "최근 연체 이후 경과 기간"
zh = "距上次逾期的时间"
"#;

/// A row that the kept boosting approves.
pub const APPROVED: &str =
    r#"{"employment":"permanent","monthly_income":2590,"debt_ratio":0.144,"months_since_delinquency":999}"#;
/// A row that it declines.
pub const DECLINED: &str =
    r#"{"employment":"temporary","monthly_income":900,"debt_ratio":0.9,"months_since_delinquency":1}"#;

/// A store in memory. It keeps no secrets and no ledger: only what decisions need.
#[derive(Default)]
pub struct MemoryStore {
    state: Mutex<State>,
    /// Every call fails as if the database were gone.
    pub is_down: AtomicBool,
    /// What is submitted is kept back until [`MemoryStore::release`].
    pub is_held: AtomicBool,
    /// Whoever holds it keeps bundles from coming.
    pub gate: Mutex<()>,
    /// How often a bundle was asked for.
    pub n_asked: AtomicUsize,
    /// Digests of the bundles that are here, whoever holds the gate; none: all come through it.
    pub here: Mutex<Option<BTreeSet<String>>>,
}

#[derive(Default)]
struct State {
    records: BTreeMap<Id, StoredRecord>,
    requests: BTreeMap<(String, String), ([u8; 32], Id)>,
    registry: Registry,
    bundles: BTreeMap<String, PathBuf>,
    notes: Vec<String>,
    held: Vec<(NewRecord, Done)>,
}

impl MemoryStore {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn up(&self) -> Result<MutexGuard<'_, State>> {
        match self.is_down.load(Ordering::SeqCst) {
            true => Err(Error::busy("the database does not answer")),
            false => Ok(self.state()),
        }
    }
    /// Commits what was kept back.
    pub fn release(&self) {
        self.is_held.store(false, Ordering::SeqCst);
        let held = std::mem::take(&mut self.state().held);
        held.into_iter().for_each(|(record, done)| self.commit(record, done));
    }
    /// Changes the registry.
    pub fn change(&self, change: impl FnOnce(&mut Registry)) {
        let mut state = self.state();
        change(&mut state.registry);
        state.registry.revision += 1;
    }
    /// Has a bundle as the next version of a model; gives its number.
    pub fn add(&self, model: &str, digest: &str, path: &Path) -> u32 {
        self.state().bundles.insert(digest.into(), path.into());
        let mut number = 0;
        self.change(|registry| {
            let new = || Model { tier: 1, versions: Vec::new(), route: Route::default() };
            let model = registry.models.entry(model.into()).or_insert_with(new);
            number = model.versions.len() as u32 + 1;
            let (digest, note, by) = (digest.into(), String::new(), "test".into());
            model.versions.push(Version { number, digest, note, by, at_us: 0 });
        });
        number
    }
    /// Changes who answers for a model.
    pub fn route(&self, model: &str, change: impl FnOnce(&mut Route)) {
        self.change(|registry| change(&mut registry.models.get_mut(model).expect("a model").route));
    }
    pub fn n_records(&self) -> usize {
        self.state().records.len()
    }
    pub fn n_held(&self) -> usize {
        self.state().held.len()
    }
    pub fn notes(&self) -> Vec<String> {
        self.state().notes.clone()
    }
    pub fn stored(&self, id: Id) -> StoredRecord {
        self.state().records[&id].clone()
    }
    /// Puts another record in the place of one.
    pub fn tamper(&self, record: StoredRecord) {
        self.state().records.insert(record.id, record);
    }
    fn commit(&self, new: NewRecord, done: Done) {
        let recorded = self.kept(new);
        done(recorded);
    }
    fn kept(&self, new: NewRecord) -> Result<Recorded> {
        let mut state = self.up()?;
        if let Some(request) = &new.request {
            let name = (request.scope.clone(), request.name.clone());
            if let Some((digest, id)) = state.requests.get(&name) {
                if *digest != request.body_digest {
                    return Err(Error::conflict(format!("request {} had another body", request.name)));
                }
                return Ok(Recorded::Before(Box::new(state.records[id].clone())));
            }
            state.requests.insert(name, (request.body_digest, new.id));
        }
        let at_us = 1_800_000_000_000_000 + state.records.len() as i64;
        let ledger = ("chain".to_string(), state.records.len() as u64 + 1);
        let parts = new.parts.into_iter().map(|p| StoredPart::Plain(p.plain)).collect();
        let NewRecord { id, kind, of, actor, facts, .. } = new;
        state.records.insert(id, StoredRecord { id, kind, of, at_us, actor, facts, parts, ledger });
        Ok(Recorded::New { at_us })
    }
}

fn head_of(record: &StoredRecord) -> RecordHead {
    let (actor, facts) = (record.actor.clone(), record.facts.clone());
    RecordHead { id: record.id, kind: record.kind, of: record.of, at_us: record.at_us, actor, facts }
}

impl Store for MemoryStore {
    fn submit(&self, record: NewRecord, done: Done) -> Result<()> {
        if self.is_held.load(Ordering::SeqCst) {
            self.state().held.push((record, done));
        } else {
            self.commit(record, done);
        }
        Ok(())
    }
    fn record(&self, id: Id) -> Result<StoredRecord> {
        self.up()?.records.get(&id).cloned().ok_or_else(|| Error::not_found(format!("there is no record {id}")))
    }
    fn request(&self, request: &RequestName) -> Result<Option<StoredRecord>> {
        let state = self.up()?;
        match state.requests.get(&(request.scope.clone(), request.name.clone())) {
            None => Ok(None),
            Some((digest, id)) if *digest == request.body_digest => Ok(Some(state.records[id].clone())),
            Some(_) => Err(Error::conflict(format!("request {} had another body", request.name))),
        }
    }
    fn records_of(&self, id: Id, limit: usize) -> Result<Vec<StoredRecord>> {
        let mut later: Vec<_> = self.up()?.records.values().filter(|r| r.of == Some(id)).cloned().collect();
        later.sort_by_key(|r| r.at_us);
        later.truncate(limit);
        Ok(later)
    }
    fn record_heads(&self, from: Id, until: Id, limit: usize) -> Result<Vec<RecordHead>> {
        Ok(self.up()?.records.range(from..until).rev().take(limit).map(|(_, r)| head_of(r)).collect())
    }
    fn following_heads(&self, from: Id, before: (Id, Id), limit: usize) -> Result<Vec<RecordHead>> {
        let state = self.up()?;
        let mut found: Vec<_> = state.records.values().filter_map(|r| Some(((r.of?, r.id), r))).collect();
        found.retain(|((of, id), _)| *of >= from && (*of, *id) < before);
        found.sort_by_key(|(at, _)| Reverse(*at));
        Ok(found.into_iter().take(limit).map(|(_, r)| head_of(r)).collect())
    }
    fn registry(&self) -> Result<Registry> {
        Ok(self.up()?.registry.clone())
    }
    fn registry_revision(&self) -> Result<u64> {
        Ok(self.up()?.registry.revision)
    }
    fn act(&self, _: &Actor, act: Act) -> Result<Acted> {
        if let Act::Note { what } = act {
            self.up()?.notes.push(what);
        }
        Ok(Acted::default())
    }
    fn put_bundle(&self, digest: &str, from: &Path) -> Result<PathBuf> {
        self.up()?.bundles.insert(digest.into(), from.into());
        Ok(from.into())
    }
    fn bundle(&self, digest: &str) -> Result<PathBuf> {
        self.n_asked.fetch_add(1, Ordering::SeqCst);
        drop(self.gate.lock());
        self.up()?.bundles.get(digest).cloned().ok_or_else(|| Error::not_found(format!("there is no bundle {digest}")))
    }
    fn bundle_here(&self, digest: &str) -> Result<PathBuf> {
        let is_here = self.here.lock().expect("is free").as_ref().map(|here| here.contains(digest));
        let path = self.up()?.bundles.get(digest).cloned();
        match (is_here, path) {
            (None, _) => self.bundle(digest),
            (Some(true), Some(path)) => Ok(path),
            _ => Err(Error::not_found(format!("there is no bundle {digest} here"))),
        }
    }
    fn person(&self, _: &str) -> Result<Person> {
        Err(Error::not_found("nobody"))
    }
    fn people(&self) -> Result<Vec<Person>> {
        Ok(Vec::new())
    }
    fn api_key(&self, _: &str) -> Result<ApiKey> {
        Err(Error::not_found("no key"))
    }
    fn api_keys(&self) -> Result<Vec<ApiKey>> {
        Ok(Vec::new())
    }
    fn open_session(&self, _: NewSession) -> Result<()> {
        Ok(())
    }
    fn session(&self, _: &[u8; 32]) -> Result<Session> {
        Err(Error::not_found("no session"))
    }
    fn close_sessions(&self, _: Sessions<'_>) -> Result<()> {
        Ok(())
    }
    fn audit_rows(&self, chain: &str, after: u64, limit: usize) -> Result<Vec<AuditRow>> {
        let state = self.up()?;
        let row = |r: &StoredRecord| {
            let id = r.id;
            let (seq, at_us, kind, facts) = (r.ledger.1, r.at_us, r.kind.name(), &r.facts);
            let body = format!(r#"{{"record":{{"id":"{id}","kind":"{kind}","facts":{facts}}}}}"#);
            AuditRow { chain: chain.into(), seq, at_us, actor: String::new(), body, previous: [0; 32], hash: [0; 32] }
        };
        let mut rows: Vec<AuditRow> = state.records.values().filter(|r| r.ledger.1 > after).map(row).collect();
        rows.sort_by_key(|r| r.seq);
        rows.truncate(limit);
        Ok(rows)
    }
    fn chains(&self) -> Result<Vec<String>> {
        Ok(vec!["chain".into()])
    }
    fn named(&self, scope: &str, name: &str) -> Result<Option<Id>> {
        let state = self.up()?;
        Ok(state.requests.get(&(scope.into(), name.into())).map(|(_, id)| *id))
    }
    fn ledger_ends(&self) -> Result<BTreeMap<String, u64>> {
        Ok([("chain".to_string(), self.up()?.records.len() as u64)].into())
    }
    fn claim(&self, _: &str) -> Result<Claim> {
        Ok(Claim::free())
    }
    fn cases(&self, _: &CaseQuery<'_>) -> Result<Cases> {
        Ok(Cases::default())
    }
    fn case(&self, id: Id) -> Result<(Case, Vec<Suspect>)> {
        Err(Error::not_found(format!("there is no alert {id}")))
    }
    fn neighbours(&self, _: Id, _: usize) -> Result<Vec<Neighbour>> {
        Ok(Vec::new())
    }
    fn case_counts(&self, _: i64, _: i64) -> Result<CaseCounts> {
        self.up().map(|_| CaseCounts::default())
    }
    fn heads_of(&self, _: &str, _: i64, _: usize) -> Result<Vec<LedgerRecord>> {
        Ok(Vec::new())
    }
    fn room(&self) -> usize {
        usize::MAX
    }
    fn file_key(&self, _: &str) -> Zeroizing<[u8; 32]> {
        Zeroizing::new([7; 32])
    }
    fn erase(&self, _: &Actor, subject: &str, _: &str) -> Result<u64> {
        let mut n = 0;
        for record in self.up()?.records.values_mut() {
            for part in &mut record.parts {
                let is_of = match part {
                    StoredPart::Plain(plain) => {
                        String::from_utf8_lossy(plain).contains(&format!("\"subject\":\"{subject}\""))
                    }
                    StoredPart::Erased { .. } => false,
                };
                if is_of {
                    *part = StoredPart::Erased { at_us: 1_900_000_000_000_000 };
                    n += 1;
                }
            }
        }
        Ok(n)
    }
    fn retain(&self, _: &Actor, _: i64, _: &str) -> Result<u64> {
        Ok(0)
    }
    fn backup(&self, _: &Path) -> Result<BackedUp> {
        Ok(BackedUp::default())
    }
    fn unready(&self) -> Option<&'static str> {
        self.is_down.load(Ordering::SeqCst).then_some("the database does not answer")
    }
}

/// A kept bundle with the reasons above, written to a folder; gives its digest and place.
pub fn bundle(folder: &Path, family: &str) -> (String, PathBuf) {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../statera/tests/artifact/format-4");
    let read = Bundle::read(&kept.join(format!("{family}.zip"))).expect("a kept bundle");
    let mut bundle = read.decided_by(Some(POLICY), Some(REASONS), None).expect("reasons of its columns");
    let path = folder.join(format!("{family}.statera"));
    bundle.write(&path, false, &Run::new(1, 1)).expect("written");
    (bundle.digest().expect("a digest"), path)
}

/// A server without sockets whose model «credit» has boosting as its champion.
pub struct Server {
    pub app: Shared,
    pub store: Arc<MemoryStore>,
    pub folder: TempDir,
}

impl Server {
    pub fn new(settings: Settings) -> Server {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Arc::new(MemoryStore::default());
        let (digest, path) = bundle(folder.path(), "boosting");
        store.add("credit", &digest, &path);
        store.route("credit", |route| route.champion = Some(1));
        let app = app(settings, store.clone());
        Server { app, store, folder }
    }

    /// Adds a kept bundle as the next version; gives its number.
    pub fn add(&self, family: &str) -> u32 {
        let (digest, path) = bundle(self.folder.path(), family);
        self.store.add("credit", &digest, &path)
    }

    /// Changes who answers, and has it in force.
    pub fn route(&self, change: impl FnOnce(&mut Route)) {
        self.store.route("credit", change);
        self.app.models.refresh().expect("the store answers");
    }

    /// Sends a request of somebody; gives the answer's status and body.
    pub fn send(&self, who: &Who, method: &str, path: &str, body: &str) -> (StatusCode, Vec<u8>) {
        answer_of(&self.app, who, method, path, body)
    }

    /// As [`Server::send`], for an answer of JSON.
    pub fn json(&self, who: &Who, method: &str, path: &str, body: &str) -> (StatusCode, Value) {
        let (status, bytes) = self.send(who, method, path, body);
        let text = String::from_utf8_lossy(&bytes);
        (status, serde_json::from_slice(&bytes).unwrap_or_else(|e| panic!("{e}: {text}")))
    }

    /// Asks for a decision of a row, which succeeds.
    pub fn decide(&self, row: &str) -> Value {
        let body = format!("{{\"model\":\"credit\",\"subject\":\"c-1\",\"row\":{row}}}");
        let (status, answer) = self.json(&program(), "POST", "/api/v1/decisions", &body);
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer
    }
}

/// Waits until something holds, for as long as a slow machine may take.
#[track_caller]
pub fn until(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < end, "not within a minute: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// What a server answers to somebody: status and body.
pub fn answer_of(app: &Shared, who: &Who, method: &str, path: &str, body: &str) -> (StatusCode, Vec<u8>) {
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    let mut request = request.body(Body::from(body.to_string())).expect("a request");
    request.extensions_mut().insert(who.clone());
    let routes = Router::new()
        .merge(crate::http::decisions::routes())
        .merge(crate::http::outcomes::routes())
        .merge(crate::http::edges::routes())
        .merge(crate::http::monitoring::routes())
        .merge(crate::http::alerts::routes())
        .merge(crate::http::inference::routes())
        .with_state(app.clone());
    runtime().block_on(async {
        let answer = routes.oneshot(request).await.expect("an answer");
        let status = answer.status();
        let body = answer.into_body().collect().await.expect("a body").to_bytes();
        (status, body.to_vec())
    })
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

/// Everything over a store in memory.
pub fn app(settings: Settings, store: Arc<MemoryStore>) -> Shared {
    // The server's key is read once: the folder may go.
    let folder = tempfile::tempdir().expect("a folder");
    App::over(settings, folder.path(), store).expect("an app")
}

fn who(actor: Actor, roles: &[Role]) -> Who {
    Who { actor, roles: roles.iter().copied().collect(), rate_per_second: 0, urgent: false }
}

/// A person with these roles.
pub fn person(name: &str, roles: &[Role]) -> Who {
    who(Actor::Person(name.into()), roles)
}

/// A bank's system that asks for decisions.
pub fn program() -> Who {
    who(Actor::Key("app00001".into()), &[Role::Scorer])
}

/// Another of them.
pub fn other_program() -> Who {
    who(Actor::Key("app00002".into()), &[Role::Scorer])
}

/// A person who may override.
pub fn checker() -> Who {
    who(Actor::Person("carol".into()), &[Role::Checker])
}

/// A person who may look.
pub fn viewer() -> Who {
    who(Actor::Person("victor".into()), &[Role::Viewer])
}
