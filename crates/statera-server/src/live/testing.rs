//! A server over a real store in a folder, with a model that counts payments of cards, for the tests of what counts them and of
//! what people do about them.

#![allow(missing_docs, reason = "helpers of tests")]

use super::snapshot;
use crate::app::{App, Shared};
use crate::settings::Settings;
use crate::testing::{answer_of, program};
use axum::http::StatusCode;
use serde_json::Value;
use statera::bundle::Bundle;
use statera::given::Given;
use statera::pipeline;
use statera::project::{Project, Settings as Training};
use statera::rules::RuleSet;
use statera_core::{Error, Rng, Run};
use statera_data::network::{Definition, EdgeColumns};
use statera_store::StoreOptions;
use statera_store::act::{Act, Actor};
use statera_store::registry::Change;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use tempfile::TempDir;

/// Where transactions are sent.
pub(crate) const POST: &str = "/api/v1/transactions";

const PROJECT: &str = r#"
[sources]
payments = "payments.csv"
[main]
source = "payments"
key = "payment"
date = "at"
[roles]
target = "fraud"
[candidates]
models = ["logistic"]
[split]
folds = 2
[windows]
time = "at"
id = "payment"
label = "fraud"
label_delay = "1d"
[windows.number.amount]
most = 100000
[[windows.feature]]
key = "card"
of = "amount"
what = ["count", "mean", "std", "ratio_to_mean"]
over = ["1d", "7d"]
[[windows.feature]]
key = "shop"
of = "fraud"
what = ["count", "mean"]
over = ["7d"]
shift = "label"
"#;

/// The same, and the network whose edges the payments are.
const NETWORK: &str = r#"
[network]
time = "at"
nodes = ["card", "shop"]
label = "fraud"
label_delay = "1d"
edges = { source = "payments", from = "card", to = "shop", time = "at", amount = "amount", purpose = ["fraud"] }
[[network.feature]]
what = ["fan_in", "fan_out", "edges_out", "amount_in", "cycles_2", "closes_3"]
over = ["1d", "7d"]
[[network.feature]]
what = ["neighbour_max", "neighbour_mean"]
of = "fraud"
over = ["7d"]
[[network.feature]]
what = ["neighbour_mean"]
of = "amount"
over = ["7d"]
[[network.feature]]
what = ["pagerank"]
over = ["7d"]
"#;

/// Edges of another table, which come of themselves, and what is around a card.
const LINKS: &str = r#"
[network]
time = "at"
nodes = ["card", "shop"]
label = "fraud"
label_delay = "1d"
cells_within = "10d"
edges = { source = "links", from = "who", to = "whom", time = "since", kind = "how", consent = "agreed", purpose = ["fraud"], live = true }
[[network.feature]]
what = ["fan_in", "fan_out", "edges_out", "cycles_2", "closes_2"]
over = ["2d", "7d"]
[[network.feature]]
what = ["fan_out"]
kinds = ["device"]
over = ["7d"]
[[network.feature]]
what = ["neighbour_max", "neighbour_mean"]
of = "fraud"
over = ["7d"]
[[network.feature]]
what = ["neighbour_mean"]
of = "amount"
over = ["7d"]
[[network.feature]]
what = ["pagerank"]
over = ["7d"]
[[network.neighbourhood]]
name = "near"
of = ["amount", "fraud"]
over = "7d"
fans = [3, 2]
"#;

const RULES: &str = r#"
version = "rules-1"
[[rule]]
code = "big"
en = "A large payment"
ko = "고액 결제"
zh = "大额支付"
action = "block"
when = "amount >= 900"
[[rule]]
code = "many"
en = "Many payments of a card in a day"
ko = "하루에 많은 결제"
zh = "一日多次支付"
action = "challenge"
when = "card_count_1d >= 3"
[[rule]]
code = "likely"
en = "The score is high"
ko = "높은 점수"
zh = "评分高"
action = "hold"
mode = "shadow"
when = "score >= 0"
"#;

/// Rules for who has no windows.
const PLAIN: &str = r#"
version = "rules-2"
[[rule]]
code = "big"
en = "A large payment"
ko = "고액 결제"
zh = "大额支付"
action = "block"
when = "amount >= 900"
"#;

/// One more rule, of a column that no model was trained on.
const CHANNEL: &str = r#"
[[rule]]
code = "kiosk"
en = "A kiosk"
ko = "키오스크"
zh = "自助终端"
action = "hold"
when = "channel = kiosk"
[columns]
channel = "category"
"#;

/// Payments of twenty days; frauds are five times as high.
fn payments(n: usize) -> String {
    let mut rng = Rng::new(1);
    let mut text = String::from("payment,at,card,shop,amount,fraud\n");
    for i in 0..n {
        let minute = i * 60 * 24 * 20 / n;
        let (day, hour) = (1 + minute / 1440, minute % 1440 / 60);
        let is_fraud = rng.below(10) == 0;
        let cents = (500 + rng.below(2000)) * if is_fraud { 5 } else { 1 };
        let (card, shop) = (rng.below(25), rng.below(20));
        let (whole, part, fraud) = (cents / 100, cents % 100, i32::from(is_fraud));
        let _ = writeln!(
            text,
            "{i},2024-03-{day:02}T{hour:02}:{:02}:00Z,C{card},S{shop},{whole}.{part:02},{fraud}",
            minute % 60
        );
    }
    text
}

/// Who shares a device or an address with whom, in those days.
fn links(n: usize) -> String {
    let mut rng = Rng::new(2);
    let mut text = String::from("who,whom,since,how,agreed\n");
    for i in 0..n {
        let (card, other) = (rng.below(25), rng.below(24));
        let other = if other < card { other } else { other + 1 };
        let (day, how) = (1 + i * 20 / n, ["device", "address"][rng.below(2)]);
        // Every third is of a card and a shop, which both have.
        let whom = if i.is_multiple_of(3) { format!("S{}", other % 20) } else { format!("C{other}") };
        let _ = writeln!(text, "C{card},{whom},2024-03-{day:02}T{:02}:30:00Z,{how},yes", rng.below(24));
    }
    text
}

/// A bundle with windows and rules, one with other windows, one with a network too, one with the windows of the first and rules that
/// read one more column, two without windows, whose rules read the columns of the model, and one more, and one with the windows of the first, whose
/// network has edges of another table, and that network where nobody is asked for consent, and where the edges are of a third table; each with
/// its digest; made once.
pub(crate) fn bundles() -> &'static (TempDir, [String; 9]) {
    static BUNDLES: OnceLock<(TempDir, [String; 9])> = OnceLock::new();
    BUNDLES.get_or_init(|| {
        let dir = tempfile::tempdir().expect("a folder");
        fs::write(dir.path().join("payments.csv"), payments(2_000)).expect("written");
        fs::write(dir.path().join("links.csv"), links(300)).expect("written");
        let run = Run::new(1, 1);
        let ruled = |bundle: Bundle, rules: &str, name: &str| {
            let none = |name: &str| Err(Error::io(name.to_string()));
            let read = RuleSet::parse(rules, none).expect("rules");
            let mut bundle = bundle.ruled_by(rules, read).expect("rules of its columns");
            bundle.write(&dir.path().join(name), true, &run).expect("written");
            bundle.digest().expect("a digest")
        };
        let train = |text: &str, rules: &str, name: &str| {
            let project = Project::parse(text, "project.toml").expect("a project");
            let assembled = project.assemble(dir.path(), &run).expect("tables");
            let settings = Training { quick: true, ..assembled.settings };
            let trained = pipeline::train(assembled.table, &settings, &assembled.formats, &Given::default(), &run);
            let mut bundle = trained.expect("trained").bundle;
            bundle.write(&dir.path().join(name), false, &run).expect("written");
            ruled(bundle, rules, name)
        };
        let other = |of: &str, rules: &str, name: &str| {
            ruled(Bundle::read(&dir.path().join(of)).expect("read"), &format!("{rules}{CHANNEL}"), name)
        };
        // Figures are called the same whatever table their edges are of.
        let declared = |of: &str, name: &str, change: fn(&mut EdgeColumns)| {
            let mut bundle = Bundle::read(&dir.path().join(of)).expect("read");
            let own = bundle.network.as_mut().expect("a network");
            let mut network = own.definition.network().clone();
            change(&mut network.edges);
            own.definition = Arc::new(Definition::new(network).expect("a declaration"));
            bundle.write(&dir.path().join(name), false, &run).expect("written");
            bundle.digest().expect("a digest")
        };
        let more_windows = PROJECT
            .replace(r#"over = ["1d", "7d"]"#, r#"over = ["1d", "2d", "7d"]"#)
            .replace(r#"over = ["7d"]"#, r#"over = ["7d", "20d"]"#);
        let linked = PROJECT
            .replace("\n[sources]", "\npurpose = \"fraud\"\n[sources]\nlinks = \"links.csv\"")
            .replace("[\"logistic\"]", "[\"graphsage\"]")
            + LINKS;
        let plain = PROJECT.split("[windows]").next().unwrap_or_default();
        let digests = [
            train(PROJECT, RULES, "a.statera"),
            train(&more_windows, RULES, "b.statera"),
            train(&format!("purpose = \"fraud\"\n{PROJECT}{NETWORK}"), RULES, "c.statera"),
            other("a.statera", RULES, "d.statera"),
            train(plain, PLAIN, "e.statera"),
            other("e.statera", PLAIN, "f.statera"),
            train(&linked, RULES, "g.statera"),
            declared("g.statera", "h.statera", |edges| edges.consent = None),
            declared("g.statera", "i.statera", |edges| edges.source = Some("devices".into())),
        ];
        (dir, digests)
    })
}

pub(crate) fn path_of(which: usize) -> PathBuf {
    bundles().0.path().join(format!("{}.statera", ["a", "b", "c", "d", "e", "f", "g", "h", "i"][which]))
}

/// A server over a real store in a folder.
pub(crate) struct Scene {
    dir: TempDir,
    app: Option<Shared>,
    settings: Settings,
}

impl Scene {
    pub(crate) fn new() -> Scene {
        Scene::with(Settings::default())
    }

    /// With other settings.
    pub(crate) fn with(settings: Settings) -> Scene {
        let dir = tempfile::tempdir().expect("a folder");
        let mut scene = Scene { dir, app: None, settings };
        scene.start();
        let store = scene.app().store.clone();
        let act = |who: &str, act| store.act(&Actor::Person(who.into()), act).expect("done");
        act("ada", Act::SetTier { tier: 1, approvals: 1 });
        act("max", Act::AddModel { name: "cards".into(), tier: 1 });
        scene.serve(0);
        scene
    }

    pub(crate) fn folder(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn app(&self) -> &Shared {
        self.app.as_ref().expect("it runs")
    }

    pub(crate) fn start(&mut self) {
        let options = StoreOptions::at(&self.folder().join("store").display().to_string(), None).expect("options");
        let store = statera_store::open(&options).expect("a store");
        let app = App::over(self.settings.clone(), self.folder(), store).expect("an app");
        app.lives.tend(false);
        self.app = Some(app);
    }

    /// Makes a bundle the champion.
    pub(crate) fn serve(&self, which: usize) {
        let (app, digest) = (self.app(), bundles().1[which].clone());
        app.store.put_bundle(&digest, &path_of(which)).expect("stored");
        let act = |who: &str, act| app.store.act(&Actor::Person(who.into()), act).expect("done");
        act("max", Act::AddVersion { model: "cards".into(), digest, note: String::new() });
        let version = app.store.registry().expect("read").models["cards"].versions.len() as u32;
        let change = Change::Champion { version };
        let proposed = act("max", Act::Propose { model: "cards".into(), change, note: "go".into() });
        act("carol", Act::Approve { proposal: proposed.proposal.expect("a proposal"), note: "seen".into() });
        app.models.refresh().expect("read");
        app.lives.tend(false);
    }

    /// Changes the settings of the next start.
    pub(crate) fn set(&mut self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.settings);
    }

    pub(crate) fn stop(&mut self) {
        self.app = None;
    }

    /// Ends as a process that is killed does: without a last snapshot.
    pub(crate) fn kill(&mut self) {
        let before = fs::read(self.snapshot()).ok();
        self.stop();
        match before {
            Some(bytes) => fs::write(self.snapshot(), bytes).expect("written"),
            None => drop(fs::remove_file(self.snapshot())),
        }
    }

    pub(crate) fn snapshot(&self) -> PathBuf {
        snapshot::path(self.folder(), "cards")
    }

    pub(crate) fn post(&self, body: &str) -> (StatusCode, Value) {
        json_of(answer_of(self.app(), &program(), "POST", POST, body))
    }

    pub(crate) fn send(&self, row: &str) -> (StatusCode, Value) {
        self.post(&format!(r#"{{"model":"cards","subject":"kim","row":{row}}}"#))
    }

    pub(crate) fn taken(&self, row: &str) -> Value {
        let (status, answer) = self.send(row);
        assert_eq!(status, StatusCode::OK, "{row}: {answer}");
        answer
    }

    pub(crate) fn edges(&self, body: &str) -> (StatusCode, Value) {
        json_of(answer_of(self.app(), &program(), "POST", "/api/v1/edges", body))
    }

    pub(crate) fn outcome(&self, body: &str) -> (StatusCode, Value) {
        json_of(answer_of(self.app(), &program(), "POST", "/api/v1/outcomes", body))
    }

    /// What the record of an answer has of the windows.
    pub(crate) fn windows(&self, answer: &Value) -> Value {
        windows_of(self.app(), answer)
    }
}

pub(crate) fn windows_of(app: &Shared, answer: &Value) -> Value {
    let record = app.store.record(answer["id"].as_str().expect("an id").parse().expect("an id")).expect("a record");
    let documents = crate::http::decisions::documents(&record).expect("documents");
    let crate::http::decisions::Document::Plain(part) = &documents[0] else { panic!("erased") };
    serde_json::from_str(part.rows[0].windows.expect("windows").get()).expect("JSON")
}

pub(crate) fn json_of((status, body): (StatusCode, Vec<u8>)) -> (StatusCode, Value) {
    (status, serde_json::from_slice(&body).expect("JSON"))
}

pub(crate) fn row(id: usize, minute: usize, card: &str, shop: &str, amount: &str) -> String {
    let (day, hour, minute) = (1 + minute / 1440, minute % 1440 / 60, minute % 60);
    format!(
        r#"{{"payment":{id},"at":"2024-05-{day:02}T{hour:02}:{minute:02}:00Z","card":"{card}","shop":"{shop}","amount":{amount}}}"#
    )
}
