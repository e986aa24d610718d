//! The fourth chapter: the last day of the bank as it happens. A server is told the weeks before, restarted, given the version with rules,
//! and sent the day one transaction at a time; every probability is compared with what the batch gave the same row.

use super::bank::{MODEL, Serving, Staff, password_file};
use super::cards::{self, Cards};
use super::desk::{self, Desk};
use super::{Scene, bank, money, no_test, rules};
use crate::console::count;
use serde::Serialize;
use serde_json::{Value, json};
use statera::bundle::Bundle;
use statera::scorer::RowSource;
use statera_core::{Error, Result};
use statera_data::texts_of;
use statera_data::window::Shift;
use statera_server::settings::Settings;
use statera_store::ledger::{self, Extent};
use std::collections::HashMap;
use std::path::Path;
use std::time::Instant;

/// The folder of the server, and the day's transactions.
pub const SERVER: &str = "server";
pub const DAY: &str = "live-day.csv";

/// The server's settings in its folder, how they begin, and its store.
const SETTINGS: &str = "server.toml";
const HEAD: &str = "# Settings of the demo's server: `statera serve --settings server.toml`, in this folder.\n";
const STORE: &str = "store";
/// Where transactions and labels are sent.
const TRANSACTIONS: &str = "/api/v1/transactions";
const OUTCOMES: &str = "/api/v1/outcomes";
/// Transactions of the weeks before that are sent in one request.
const TOGETHER: usize = 1_000;
/// Days from a fraud to its label: what the model was trained on knew each after seven.
const LABEL_DAYS: usize = 6;
const DAY_US: i64 = 86_400_000_000;

/// How the day went.
#[derive(Debug, Serialize)]
pub struct Lived {
    day: String,
    /// Days that the server was told first, their transactions, and the frauds among them that it was told of.
    n_days_before: usize,
    n_before: usize,
    n_labels: usize,
    /// Seconds for them.
    seconds_before: f64,
    /// Transactions of the day, and how many have the batch's probability, to the last bit, and its action.
    n: usize,
    n_equal: usize,
    n_same_action: usize,
    /// Milliseconds of an answer: half, and 99 of 100, came sooner.
    median_ms: f64,
    p99_ms: f64,
    /// Bytes of the server's folder.
    n_bytes: u64,
}

/// Refuses what is no server of an earlier demo.
///
/// # Errors
/// A file or folder of somebody's.
pub fn check_place(folder: &Path) -> Result<()> {
    let is_ours = || std::fs::read_to_string(folder.join(SETTINGS)).is_ok_and(|text| text.starts_with(HEAD));
    if !folder.exists() || is_ours() {
        return Ok(());
    }
    let folder = folder.display();
    Err(Error::request(format!("{folder} exists and is not of a demo; name another folder with --out")))
}

/// Lives through the day, has the desk work on its cases, verifies the ledger, and tells all of it.
pub fn tell(scene: &Scene, cards: &Cards) -> Result<(Lived, Desk, Value)> {
    let text = std::fs::read_to_string(&scene.files.transactions)
        .map_err(|e| Error::io(format!("{}: {e}", scene.files.transactions.display())))?;
    let weeks = Weeks::of(&text, &cards.bundle)?;
    let place = scene.at(SERVER);
    let (mut lived, desk, ledger) = statera::file::fill_folder(&place, |folder| {
        close_to_others(folder)?;
        let live = Live { scene, cards, weeks: &weeks, folder };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let lived = runtime.block_on(live.days())?;
        scene.run.check()?;
        Ok((lived.0, lived.1, verified(&folder.join(STORE))?))
    })?;
    lived.n_bytes = size(&place);
    lived.tell(scene);
    desk.tell(scene);
    ledger_told(&ledger, scene);
    Ok((lived, desk, ledger))
}

/// Passwords lie in there.
fn close_to_others(folder: &Path) -> Result<()> {
    #[cfg(unix)]
    std::fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    let _ = folder;
    Ok(())
}

/// A transaction as the bank's file has it.
pub struct Purchase<'a> {
    pub id: &'a str,
    pub at: &'a str,
    pub card: &'a str,
    pub terminal: &'a str,
    pub amount: f64,
    pub is_fraud: bool,
}

impl<'a> Purchase<'a> {
    fn of(line: &'a str) -> Result<Purchase<'a>> {
        let wrong = || Error::damaged(format!("transactions.csv: «{line}» is no transaction of the sample bank"));
        let cells: Vec<&str> = line.split(',').collect();
        let [id, at, card, _, terminal, amount, fraud] = cells[..] else { return Err(wrong()) };
        let amount = amount.parse().map_err(|_| wrong())?;
        Ok(Purchase { id, at, card, terminal, amount, is_fraud: fraud == "1" })
    }

    /// The day, as `2025-09-30`.
    fn day(&self) -> &'a str {
        self.at.get(..10).unwrap_or(self.at)
    }

    /// As a bank's system sends it.
    fn sent(&self) -> Value {
        json!({
            "subject": self.card,
            "row": {
                "transaction_id": self.id, "tx_datetime": self.at, "card_id": self.card, "terminal_id": self.terminal,
                "tx_amount": self.amount,
            },
        })
    }
}

/// The last day, and those before it that windows reach back to.
struct Weeks<'a> {
    /// Days that there are.
    days: Vec<&'a str>,
    before: Vec<Purchase<'a>>,
    n_days_before: usize,
    today: Vec<Purchase<'a>>,
}

impl<'a> Weeks<'a> {
    fn of(text: &'a str, bundle: &Bundle) -> Result<Weeks<'a>> {
        let all: Vec<Purchase> = text.lines().skip(1).map(Purchase::of).collect::<Result<_>>()?;
        let mut days: Vec<&str> = all.iter().map(Purchase::day).collect();
        days.dedup();
        let last = *days.last().ok_or_else(no_test)?;
        let first = days.len().saturating_sub(1 + reach(bundle)?);
        let since = days[first];
        let (before, today): (Vec<_>, Vec<_>) =
            all.into_iter().filter(|p| p.day() >= since).partition(|p| p.day() < last);
        Ok(Weeks { n_days_before: days.len() - 1 - first, days, before, today })
    }

    /// When a fraud of the weeks before is told: some days later; `None` if that is not before the last day.
    fn told_on(&self, purchase: &Purchase) -> Option<&'a str> {
        let at = self.days.binary_search(&purchase.day()).ok()?;
        self.days[..self.days.len() - 1].get(at + LABEL_DAYS).copied()
    }
}

/// Days that the windows of a bundle look back.
fn reach(bundle: &Bundle) -> Result<usize> {
    let windows = bundle.windows.as_ref().ok_or_else(|| Error::data("the model of cards has no windows"))?;
    let windows = windows.definition.windows();
    let of_feature = |feature: &statera_data::window::Feature| {
        let shift = match feature.shift {
            None => 0,
            Some(Shift::By(span)) => span.micros(),
            Some(Shift::Label) => windows.label_delay.map_or(0, |delay| delay.micros()),
        };
        shift + feature.over.iter().map(|span| span.micros()).max().unwrap_or(0)
    };
    let longest = windows.features.iter().map(of_feature).max().unwrap_or(0);
    Ok((longest.max(0) as u64).div_ceil(DAY_US as u64) as usize)
}

/// What was answered to a transaction of the day.
struct Answered {
    probability: f64,
    action: String,
    ms: f64,
}

/// A server's life.
struct Live<'a> {
    scene: &'a Scene<'a>,
    cards: &'a Cards,
    weeks: &'a Weeks<'a>,
    folder: &'a Path,
}

impl Live<'_> {
    async fn days(&self) -> Result<(Lived, Desk)> {
        let staff = Staff { folder: self.folder, run: self.scene.run };
        let began = Instant::now();
        // The weeks before make no cases: nobody works on them any more.
        let serving = Serving::start(self.settings(None)?)?;
        staff.found(&serving).await?;
        let alone = Bundle::packed(&self.scene.at(cards::BUNDLE))?;
        staff.promote(&serving, alone, "the model alone").await?;
        let n_labels = self.catch_up(&staff, &serving).await?;
        serving.stop()?;
        let seconds_before = began.elapsed().as_secs_f64();
        let serving = Serving::start(self.settings(Some(self.cards.facts.leaderboard.cutoff))?)?;
        let ruled = Bundle::packed(&self.scene.at(rules::BUNDLE))?;
        staff.promote(&serving, ruled, "the same model, with the bank's rules").await?;
        let answered = self.today(&staff, &serving).await?;
        let desk = desk::work(&staff, &serving, &self.weeks.today, self.scene).await?;
        serving.stop()?;
        let mut lived = self.compare(&answered)?;
        (lived.n_labels, lived.seconds_before) = (n_labels, seconds_before);
        Ok((lived, desk))
    }

    /// Settings of the server, which are written to its folder; without a threshold no probability makes a case.
    fn settings(&self, threshold: Option<f64>) -> Result<Settings> {
        let (threshold, capacity) = (threshold.unwrap_or(1.0), self.scene.capacity());
        let text = format!(
            "{HEAD}\n[serve]\nstore = \"{STORE}\"\n\n[log]\nlevel = \"warn\"\n\n[alerts]\nthreshold = {threshold:?}         # the \
             probability from which a transaction makes a case\ncapacity = {capacity}         # cases that the desk can work on in a \
             shift\n"
        );
        let mut settings = Settings::parse(&text)?;
        let path = self.folder.join(SETTINGS);
        std::fs::write(&path, &text).map_err(|e| Error::io(format!("{}: {e}", path.display())))?;
        settings.serve.store = super::path_text(&self.folder.join(STORE));
        settings.serve.listen = "127.0.0.1:0".into();
        // Nobody else is connected, so that nothing has to be waited for.
        settings.serve.stop_ms = 1_000;
        settings.log.level = "error".into();
        Ok(settings)
    }

    /// Sends the weeks before, and then the frauds that were known by the last day; gives how many.
    async fn catch_up(&self, staff: &Staff<'_>, serving: &Serving) -> Result<usize> {
        let (program, before) = (staff.program(serving).await?, &self.weeks.before);
        let progress = &self.scene.run.progress;
        progress.start("The weeks before", before.len() as u64);
        for (i, part) in before.chunks(TOGETHER).enumerate() {
            let rows: Vec<Value> = part.iter().map(Purchase::sent).collect();
            let body = json!({ "model": MODEL, "explain": "none", "rows": rows });
            staff.patiently(&program, TRANSACTIONS, &body).await?;
            progress.update((i * TOGETHER + part.len()) as u64, "transactions");
        }
        progress.finish();
        let known: Vec<(&Purchase, &str)> =
            before.iter().filter(|p| p.is_fraud).filter_map(|p| Some((p, self.weeks.told_on(p)?))).collect();
        progress.start("What was known of them", known.len() as u64);
        for (i, (fraud, on)) in known.iter().enumerate() {
            let body = json!({ "model": MODEL, "transaction": fraud.id, "outcome": "fraud", "on": on });
            staff.patiently(&program, OUTCOMES, &body).await?;
            progress.update(i as u64 + 1, "labels");
        }
        progress.finish();
        Ok(known.len())
    }

    /// Sends the day, one transaction at a time.
    async fn today(&self, staff: &Staff<'_>, serving: &Serving) -> Result<Vec<Answered>> {
        let (program, today) = (staff.program(serving).await?, &self.weeks.today);
        let progress = &self.scene.run.progress;
        progress.start("The last day", today.len() as u64);
        let mut answered = Vec::with_capacity(today.len());
        for purchase in today {
            let mut body = purchase.sent();
            body["model"] = MODEL.into();
            let asked = Instant::now();
            let answer = staff.patiently(&program, TRANSACTIONS, &body).await?;
            let ms = 1e3 * asked.elapsed().as_secs_f64();
            let decision = &answer["decisions"][0];
            let none = || Error::damaged(format!("transaction {}: the answer has no probability", purchase.id));
            let probability = decision["probability"].as_f64().ok_or_else(none)?;
            let action = decision["action"].as_str().unwrap_or_default().to_string();
            answered.push(Answered { probability, action, ms });
            progress.update(answered.len() as u64, "transactions");
        }
        progress.finish();
        Ok(answered)
    }

    /// Compares the day with what the batch says of the same rows, and writes both down.
    fn compare(&self, answered: &[Answered]) -> Result<Lived> {
        let batch = self.batch()?;
        let (mut n_equal, mut n_same_action) = (0, 0);
        let mut lines = Vec::with_capacity(answered.len());
        for (purchase, live) in self.weeks.today.iter().zip(answered) {
            let none = || Error::data(format!("transaction {} is not among the test rows", purchase.id));
            let (probability, action) = batch.get(purchase.id).ok_or_else(none)?;
            n_equal += usize::from(probability.to_bits() == live.probability.to_bits());
            n_same_action += usize::from(*action == live.action);
            let Purchase { id, at, card, terminal, amount, is_fraud } = purchase;
            lines.push(format!(
                "{id},{at},{card},{terminal},{amount:.2},{},{probability},{},{}",
                live.probability,
                live.action,
                u8::from(*is_fraud)
            ));
        }
        let header = "transaction_id,tx_datetime,card_id,terminal_id,tx_amount,probability_live,probability_batch,action,tx_fraud";
        self.scene.write(DAY, header, lines)?;
        let mut ms: Vec<f64> = answered.iter().map(|a| a.ms).collect();
        ms.sort_by(f64::total_cmp);
        let below = |share: f64| ms.get((share * ms.len() as f64) as usize).or(ms.last()).copied().unwrap_or(0.0);
        Ok(Lived {
            day: self.weeks.days.last().copied().unwrap_or_default().into(),
            n_days_before: self.weeks.n_days_before,
            n_before: self.weeks.before.len(),
            n_labels: 0,
            seconds_before: 0.0,
            n: answered.len(),
            n_equal,
            n_same_action,
            median_ms: below(0.5),
            p99_ms: below(0.99),
            n_bytes: 0,
        })
    }

    /// Probability and action of each test row by its id, as the batch has them.
    fn batch(&self) -> Result<HashMap<String, (f64, &'static str)>> {
        let (bundle, rows) = (&self.cards.bundle, &self.cards.test.batch);
        let probabilities = bundle.scorer.score(rows)?.probabilities;
        let ruling = bundle.ruling()?.ok_or_else(|| Error::data("the model of cards has no rules"))?;
        let verdicts = ruling.verdicts(rows, &probabilities, RowSource { is_text: false, first_row: 0 })?;
        let ids = rows.column_by_name("transaction_id").map(texts_of).unwrap_or_default();
        let told = probabilities.into_iter().zip(verdicts.iter().map(|verdict| verdict.action.name()));
        Ok(ids.into_iter().zip(told).filter_map(|(id, told)| Some((id?, told))).collect())
    }
}

impl Lived {
    fn tell(&self, scene: &Scene) {
        let console = scene.console;
        scene.begin("A day as it happens");
        console.paragraph(format!(
            "A server was founded by {}: {} brings models, {} approves them. It was sent the {} transactions of {} days and {} frauds \
             among them that were known (in {:.0} s, all of it on disk and in the ledger), was stopped and started again, and got the \
             version with rules.",
            bank::ADMIN,
            bank::MAKER,
            bank::CHECKER,
            count(self.n_before as f64),
            self.n_days_before,
            count(self.n_labels as f64),
            self.seconds_before
        ));
        let equal = match self.n_equal {
            n if n == self.n => "every probability is the batch's, to the last bit".to_string(),
            n => {
                format!("{} of the probabilities are the batch's to the last bit, the others are NOT", count(n as f64))
            }
        };
        let actions = match self.n_same_action {
            n if n == self.n => "so is every action".to_string(),
            n => format!("{} of the actions are the same", count(n as f64)),
        };
        console.paragraph(format!(
            "\nThen came {}, one transaction at a time through POST {TRANSACTIONS}: {} were counted, scored, judged by the rules, recorded \
             and answered, half of them within {:.1} ms and 99 % within {:.1} ms. Compared with the batch, {equal}; {actions}.",
            self.day,
            count(self.n as f64),
            self.median_ms,
            self.p99_ms,
        ));
        let key = bank::KEY_FILE;
        console.paragraph(format!("The server's folder has {} MB.", money(self.n_bytes as f64 / 1e6)));
        scene.by_hand(&[
            format!("cd {}", scene.shown(SERVER)),
            format!("statera serve --settings {SETTINGS}           it stays there; go on in another terminal, in the same folder"),
            format!(
                "curl -s http://127.0.0.1:8420{TRANSACTIONS} -H \"authorization: Bearer $(cat {key})\" -H 'content-type: \
                 application/json' -d '{}'",
                self.next()
            ),
        ]);
    }

    /// A transaction of the next day.
    fn next(&self) -> Value {
        let row = json!({
            "transaction_id": "P99999999", "tx_datetime": format!("{}T23:59:59", self.day), "card_id": "K000001",
            "terminal_id": "T000001", "tx_amount": 950.0,
        });
        json!({ "model": MODEL, "subject": "K000001", "row": row })
    }
}

/// What a check of the whole ledger found.
///
/// # Errors
/// A ledger that is not intact.
fn verified(store: &Path) -> Result<Value> {
    let place = super::path_text(store);
    let mut verified = ledger::verify(&place, None, None)?;
    if let Some(folder) = ledger::bundles_beside(&place) {
        ledger::verify_bundles(&mut verified, &folder, Extent::Whole, Bundle::checked_digest)?;
    }
    if let Some(finding) = verified.findings.first() {
        return Err(Error::damaged(format!("the ledger of the demo's server is not intact: {finding}")));
    }
    let n_rows: u64 = verified.chains.iter().map(|(_, n)| n).sum();
    Ok(json!({
        "is_intact": verified.n_findings == 0, "rows": n_rows, "records": verified.n_records,
        "checkpoints": verified.n_checkpoints, "bundles": verified.n_bundles.map(|(n, _)| n),
    }))
}

fn ledger_told(ledger: &Value, scene: &Scene) {
    let n = |name: &str| count(ledger[name].as_f64().unwrap_or(0.0));
    scene.begin("The ledger");
    scene.console.paragraph(format!(
        "Everything that the server was told, answered and had done to it, and who did it, is in a ledger of {} rows under {} signed \
         checkpoints. It was read again from its first row: no row was changed, dropped or put in, and the {} versions of the model are \
         those that were approved.",
        n("rows"),
        n("checkpoints"),
        n("bundles"),
    ));
    scene.by_hand(&[format!("statera audit verify {}", scene.at(SERVER).join(STORE).display())]);
}

/// Bytes of the files of a folder, which nobody writes to any more.
fn size(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let of = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => size(&entry.path()),
        Ok(meta) => meta.len(),
        Err(_) => 0,
    };
    entries.flatten().map(of).sum()
}
