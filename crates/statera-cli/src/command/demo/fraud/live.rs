//! The fourth chapter: the last day of the bank as it happens. A server is told the weeks before, restarted, given the
//! version with rules, and sent the day one transaction at a time; every probability is compared with what the batch
//! gave the same row.

use super::bank::{MODEL, Serving, Staff};
use super::cards::{self, Cards};
use super::desk::{self, Desk};
use super::weeks::{Purchase, Weeks, reach};
use super::{Scene, bank, ledger, money, rules};
use crate::console::count;
use serde::Serialize;
use serde_json::{Value, json};
use statera::bundle::Bundle;
use statera::scorer::RowSource;
use statera_core::{Error, Result};
use statera_data::texts_of;
use statera_server::settings::Settings;
use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::time::Instant;

/// The folder of the server, and the day's transactions.
pub const SERVER: &str = "server";
pub const DAY: &str = "live-day.csv";

/// The server's settings in its folder, how they begin, and its store.
const SETTINGS: &str = "server.toml";
const HEAD: &str = "# Settings of the demo's server: `statera serve --settings server.toml`, in this folder.\n";
pub const STORE: &str = "store";
/// How many rows the ledger had when the demo ended: with another number it is somebody's, and no demo may take it away.
const ROWS: &str = "rows-of-demo.txt";
/// Where transactions and labels are sent.
const TRANSACTIONS: &str = "/api/v1/transactions";
const OUTCOMES: &str = "/api/v1/outcomes";
/// Transactions of the weeks before that are sent in one request.
const TOGETHER: usize = 1_000;

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

/// Refuses what is no server of an earlier demo, one that runs, and one that somebody has gone on with.
///
/// # Errors
/// A file or folder of somebody's; a server that would lose its store.
pub fn check_place(folder: &Path) -> Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    let is_ours = || std::fs::read_to_string(folder.join(SETTINGS)).is_ok_and(|text| text.starts_with(HEAD));
    let shown = folder.display();
    if !is_ours() {
        return Err(Error::request(format!("{shown} exists and is not of a demo; name another folder with --out")));
    }
    let files = std::fs::read_dir(folder.join(STORE)).into_iter().flatten().flatten().map(|entry| entry.path());
    let locks = files.filter(|path| path.extension().is_some_and(|e| e == "lock"));
    let is_held = |path: &Path| {
        File::open(path).is_ok_and(|file| matches!(file.try_lock(), Err(std::fs::TryLockError::WouldBlock)))
    };
    if locks.into_iter().any(|path| is_held(&path)) {
        return Err(Error::request(format!("the server of {shown} runs; stop it, or name another folder with --out")));
    }
    let refused = |why: String| {
        Err(Error::request(format!("{shown}: {why}; name another folder with --out, or remove {shown} with all in it")))
    };
    let Some(left) = rows_left(folder) else {
        return refused(format!("{ROWS} does not say how the demo left the ledger; somebody may have gone on with it"));
    };
    match ledger::n_rows(&folder.join(STORE)) {
        Ok(now) if now == left => Ok(()),
        Ok(now) => {
            refused(format!("somebody has gone on with the server, its ledger has {now} rows, the demo left {left}"))
        }
        Err(e) => refused(format!("whether somebody has gone on with the server cannot be told: {e}")),
    }
}

/// Rows of the ledger when the demo ended; `None` where the folder does not say so.
fn rows_left(folder: &Path) -> Option<u64> {
    std::fs::read_to_string(folder.join(ROWS)).ok()?.trim().parse().ok()
}

/// Notes how many rows the ledger has now that the demo ends.
fn note_rows(folder: &Path, n: u64) -> Result<()> {
    let path = folder.join(ROWS);
    std::fs::write(&path, format!("{n}\n")).map_err(|e| Error::io(format!("{}: {e}", path.display())))
}

/// Lives through the day, has the desk work on its cases, verifies the ledger, and tells all of it.
pub fn tell(scene: &Scene, cards: &Cards) -> Result<(Lived, Desk, Value)> {
    let text = std::fs::read_to_string(&scene.files.transactions)
        .map_err(|e| Error::io(format!("{}: {e}", scene.files.transactions.display())))?;
    let weeks = Weeks::of(&text, reach(&cards.bundle)?)?;
    let place = scene.at(SERVER);
    let (mut lived, desk, ledger) = statera::file::fill_folder(&place, |folder| {
        close_to_others(folder)?;
        let live = Live { scene, cards, weeks: &weeks, folder };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let lived = runtime.block_on(live.days())?;
        scene.run.check()?;
        let verified = ledger::verified(&folder.join(STORE))?;
        note_rows(folder, verified["rows"].as_u64().unwrap_or(0))?;
        Ok((lived.0, lived.1, verified))
    })?;
    lived.n_bytes = size(&place);
    lived.tell(scene);
    desk.tell(scene);
    ledger::tell(&ledger, scene);
    Ok((lived, desk, ledger))
}

/// Passwords lie in there.
fn close_to_others(folder: &Path) -> Result<()> {
    #[cfg(unix)]
    std::fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    let _ = folder;
    Ok(())
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
        let text = [
            HEAD,
            &format!("[serve]\nstore = \"{STORE}\"\n"),
            "[log]\nlevel = \"warn\"\n",
            "# A transaction of this probability makes a case, and the desk can work on so many in a shift.",
            &format!("[alerts]\nthreshold = {threshold:?}\ncapacity = {capacity}\n"),
        ]
        .join("\n");
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
        let sent = "transaction_id,tx_datetime,card_id,terminal_id,tx_amount";
        let header = format!("{sent},probability_live,probability_batch,action,tx_fraud");
        self.scene.write(DAY, &header, lines)?;
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
            "A server was founded by {}: {} brings models, {} approves them. It was sent the {} transactions of {} \
             days and {} frauds among them that were known (in {:.0} s, all of it on disk and in the ledger), was \
             stopped and started again, and got the version with rules.",
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
            "\nThen came {}, one transaction at a time through POST {TRANSACTIONS}: {} were counted, scored, judged \
             by the rules, recorded and answered, half of them within {:.1} ms and 99 % within {:.1} ms. Compared \
             with the batch, {equal}; {actions}.",
            self.day,
            count(self.n as f64),
            self.median_ms,
            self.p99_ms,
        ));
        let key = bank::KEY_FILE;
        console.paragraph(format!("The server's folder has {} MB.", money(self.n_bytes as f64 / 1e6)));
        scene.by_hand(&[
            format!("cd {}", scene.shown(SERVER)),
            format!("statera serve --settings {SETTINGS}    it stays; go on in another terminal, in the same folder"),
            format!(
                "curl -s http://127.0.0.1:8420{TRANSACTIONS} -H \"authorization: Bearer $(cat {key})\" -H \
                 'content-type: application/json' -d '{}'",
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

#[cfg(test)]
mod tests {
    use super::*;
    use statera_store::act::{Act, Actor};
    use statera_store::{StoreOptions, open};

    #[test]
    fn a_server_that_somebody_has_gone_on_with_stays() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = dir.path().join(SERVER);
        let told = |folder: &Path| check_place(folder).err().map(|e| e.to_string()).unwrap_or_default();
        assert_eq!(told(&folder), "", "there is none");
        std::fs::create_dir(&folder).expect("a folder");
        std::fs::write(folder.join(SETTINGS), HEAD).expect("is written");
        let act = |name: &str| {
            let options = StoreOptions::at(&super::super::path_text(&folder.join(STORE)), None).expect("a place");
            let store = open(&options).expect("opens");
            store.act(&Actor::Person("ada".into()), Act::AddModel { name: name.into(), tier: 4 }).expect("is done");
            store.close();
        };
        act("cards");
        assert!(told(&folder).contains("rows-of-demo.txt does not say"), "{}", told(&folder));
        let n = ledger::n_rows(&folder.join(STORE)).expect("rows");
        note_rows(&folder, n).expect("is written");
        assert_eq!(told(&folder), "", "as the demo left it");
        act("loans");
        let now = ledger::n_rows(&folder.join(STORE)).expect("rows");
        assert!(now > n);
        let expected = format!(
            "{0}: somebody has gone on with the server, its ledger has {now} rows, the demo left {n}; name another folder \
             with --out, or remove {0} with all in it",
            folder.display()
        );
        assert_eq!(told(&folder), expected);
        std::fs::remove_dir_all(folder.join(STORE)).expect("is removed");
        assert!(told(&folder).contains("cannot be told"), "{}", told(&folder));
    }
}
