//! The second chapter: account transfers, first without and then with who pays whom, judged on the weeks that neither
//! has seen.

use super::{Scene, in_words, no_test, path_text, reading};
use crate::console::count;
use serde::Serialize;
use statera::given::Given;
use statera::pipeline;
use statera::project::{Settings, UseCase};
use statera::use_case;
use statera_core::metric::{DEFAULT_BOOTSTRAP, Difference, Interval, Reviewing, ScoredFolds, Transactions, measured};
use statera_core::{Error, Result};
use statera_data::source::ReadOptions;
use statera_data::texts_of;
use std::collections::BTreeMap;

/// The model that sees the network, and what each of the two finds.
pub const BUNDLE: &str = "transfers.statera";
pub const FOUND: &str = "transfers-found.csv";

/// Share of the rows that are held back: bursts of a mule are rare, and ten weeks have some.
const TEST_SHARE: f64 = 0.4;
/// Share of the genuine transfers that may be alerted: one in five hundred, which is about one a week for 500
/// customers.
const FALSE_ALARMS: f64 = 0.002;
const DAY: i64 = 86_400_000_000;

/// What the network adds.
#[derive(Debug, Serialize)]
pub struct Told {
    bundle: std::path::PathBuf,
    n_test: usize,
    n_days: i64,
    /// Genuine transfers that each model alerts.
    n_false: usize,
    /// Average precision without and with the network, and what is gained.
    average_precision: [Interval; 2],
    gain: Option<Difference>,
    patterns: BTreeMap<String, Found>,
    commands: Vec<String>,
}

/// Frauds of a pattern.
#[derive(Debug, Default, Clone, Copy, PartialEq, Serialize)]
struct Found {
    n_frauds: usize,
    without: usize,
    with: usize,
}

/// Transfers that a model has not seen.
struct Judged {
    ids: Vec<Option<String>>,
    day: Vec<i64>,
    card: Vec<u64>,
    target: Vec<f64>,
    margins: Vec<f64>,
    probabilities: Vec<f64>,
    /// From which margin on it alerts, so that it has its share of false alarms.
    alert_above: f64,
}

impl Judged {
    fn folds(&self) -> Result<ScoredFolds> {
        let table =
            Transactions { day: &self.day, card: &self.card, target: &self.target, score: &self.margins, amount: &[] };
        ScoredFolds::new(&[table])
    }

    fn is_alerted(&self, row: usize) -> bool {
        self.margins[row] > self.alert_above
    }

    fn n_false(&self) -> usize {
        (0..self.target.len()).filter(|&row| self.target[row] == 0.0 && self.is_alerted(row)).count()
    }
}

/// Trains twice and tells what the network adds, by pattern.
pub fn tell(scene: &Scene) -> Result<Told> {
    let (alone, with) = (judge(scene, false)?, judge(scene, true)?);
    if alone.ids != with.ids {
        return Err(Error::data("the two models of transfers were judged on different rows"));
    }
    let mut patterns: BTreeMap<String, Found> = BTreeMap::new();
    let mut lines = Vec::new();
    for (row, id) in alone.ids.iter().enumerate() {
        let Some((id, pattern)) = id.as_ref().and_then(|id| Some((id, scene.answers.get(id)?))) else { continue };
        let found = patterns.entry(pattern.clone()).or_default();
        let [is_alone, is_with] = [&alone, &with].map(|judged| judged.is_alerted(row));
        found.n_frauds += 1;
        found.without += usize::from(is_alone);
        found.with += usize::from(is_with);
        let (p, q) = (alone.probabilities[row], with.probabilities[row]);
        lines.push(format!("{id},{pattern},{p},{q},{},{}", u8::from(is_alone), u8::from(is_with)));
    }
    let header = "transfer_id,pattern,probability_without,probability_with,alerted_without,alerted_with";
    scene.write(FOUND, header, lines)?;
    // No desk is asked here: only the figures that need none are read.
    let reviewing = Reviewing { capacity: scene.capacity(), cost: 0.0 };
    let (folds, others) = (with.folds()?, alone.folds()?);
    let precision = |folds: &ScoredFolds| {
        let figures = folds.measure(reviewing, scene.args.seed, DEFAULT_BOOTSTRAP)?;
        measured(&figures, "average_precision").ok_or_else(no_test)
    };
    let gains = folds.gains_over(&others, reviewing, scene.args.seed, DEFAULT_BOOTSTRAP)?;
    let told = Told {
        bundle: scene.at(BUNDLE),
        n_test: alone.ids.len(),
        n_days: alone.day.iter().max().zip(alone.day.iter().min()).map_or(0, |(last, first)| last - first + 1),
        n_false: alone.n_false().max(with.n_false()),
        average_precision: [precision(&others)?, precision(&folds)?],
        gain: gains.into_iter().find(|gain| gain.metric == "average_precision"),
        patterns,
        commands: commands(scene),
    };
    told.tell(scene);
    Ok(told)
}

/// Trains with or without edges, and scores the rows that were held back.
fn judge(scene: &Scene, with_edges: bool) -> Result<Judged> {
    let address = path_text(&scene.files.transfers);
    let (table, facts) = reading::table(&address, &ReadOptions::default(), scene.run)?;
    let given = Given { edges: with_edges.then_some(address), ..Given::default() };
    let mut trained = pipeline::train(table, &settings(scene)?, &reading::formats(&facts), &given, scene.run)?;
    if with_edges {
        trained.bundle.write(&scene.at(BUNDLE), true, scene.run)?;
    }
    let test = trained.test.ok_or_else(no_test)?;
    let scored = trained.bundle.scorer.score(&test.batch)?;
    let mut genuine: Vec<f64> =
        scored.margins.iter().zip(&test.target).filter(|(_, target)| **target == 0.0).map(|(m, _)| *m).collect();
    genuine.sort_by(|a, b| b.total_cmp(a));
    let alert_above = genuine.get((FALSE_ALARMS * genuine.len() as f64) as usize).copied().ok_or_else(no_test)?;
    Ok(Judged {
        ids: test.batch.column_by_name("transfer_id").map(texts_of).unwrap_or_default(),
        day: test.time.iter().flatten().map(|time| time.div_euclid(DAY)).collect(),
        card: test.card.ok_or_else(no_test)?,
        target: test.target,
        margins: scored.margins,
        probabilities: scored.probabilities,
        alert_above,
    })
}

fn settings(scene: &Scene) -> Result<Settings> {
    let mut settings = Settings {
        use_case: UseCase::Fraud,
        target: "transfer_fraud".into(),
        id: Some("transfer_id".into()),
        time: Some("transfer_datetime".into()),
        card: Some("from_account".into()),
        terminal: Some("to_account".into()),
        amount: Some("amount".into()),
        drop: vec!["device_id".into()],
        models: vec!["boosting".into()],
        test_share: TEST_SHARE,
        capacity: Some(scene.capacity()),
        seed: scene.args.seed,
        ..Settings::default()
    };
    use_case::complete(&mut settings)?;
    Ok(settings)
}

/// The same as a person types it: training, and scoring what comes next.
fn commands(scene: &Scene) -> Vec<String> {
    let (transfers, bundle) = (scene.shown("transfers.csv"), scene.shown(BUNDLE));
    vec![
        format!(
            "statera train {transfers} --use-case fraud --target transfer_fraud --id transfer_id --time \
             transfer_datetime --card from_account --terminal to_account --amount amount --drop device_id --models \
             boosting --test {TEST_SHARE} --capacity {}{} --edges {transfers} --out {bundle}",
            scene.capacity(),
            scene.seed_flag(),
        ),
        format!("statera score {bundle} NEW.csv --history {transfers} --edges EDGES.csv --out scores.csv"),
    ]
}

impl Told {
    fn tell(&self, scene: &Scene) {
        let Scene { files, console, .. } = scene;
        scene.begin("Transfers, and who pays whom");
        let [n, frauds] = files.n_transfers;
        console.paragraph(format!(
            "The cards' owners made {} transfers, {} of them frauds: customers who were deceived (phishing), accounts \
             that pass money on (mule), and people who pay each other in a circle (ring). One model saw what each \
             account did; another also the network: who paid whom, through whom money came back, who is near accounts \
             with known frauds.",
            count(n as f64),
            count(frauds as f64),
        ));
        let n_false = count(self.n_false as f64);
        console.paragraph(format!(
            "On the {} days that neither had seen ({} transfers), with no more than {n_false} genuine transfers \
             alerted by each:\n",
            count(self.n_days as f64),
            count(self.n_test as f64),
        ));
        let line = |name: String, found: Found| {
            let [n, without, with] = [found.n_frauds, found.without, found.with].map(|n| count(n as f64));
            vec![name, n, without, with]
        };
        let mut rows: Vec<Vec<String>> = self.patterns.iter().map(|(name, f)| line(in_words(name), *f)).collect();
        rows.push(line("all".into(), self.all()));
        console.table(&["Pattern", "Frauds", "Found without the network", "Found with it"], rows);
        let [without, with] = &self.average_precision;
        let gain = self.gain.as_ref().map_or(String::new(), |gain| {
            let Interval { value, low, high } = gain.gain;
            format!(": {value:+.3} [{low:+.3} to {high:+.3}], whole accounts drawn")
        });
        console.paragraph(format!("Average precision {:.3} without, {:.3} with it{gain}.", without.value, with.value));
        if let Some(same) = self.same() {
            console.paragraph(format!("Of {same} it finds no more than what each account did before tells."));
        }
        scene.by_hand(&self.commands);
    }

    fn all(&self) -> Found {
        self.patterns.values().fold(Found::default(), |sum, f| Found {
            n_frauds: sum.n_frauds + f.n_frauds,
            without: sum.without + f.without,
            with: sum.with + f.with,
        })
    }

    /// Patterns of which the network finds no more; `None` where it finds more of each.
    fn same(&self) -> Option<String> {
        let those = self.patterns.iter().filter(|(_, f)| f.with <= f.without).map(|(name, _)| in_words(name));
        let those: Vec<String> = those.collect();
        (!those.is_empty()).then(|| those.join(" and "))
    }
}
