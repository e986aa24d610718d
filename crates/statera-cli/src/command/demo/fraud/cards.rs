//! The first chapter: a model of card transactions, and the patterns that it finds.

use super::{Scene, in_words, no_test, path_text, reading, train};
use crate::console::count;
use serde::Serialize;
use statera::bundle::Bundle;
use statera::facts::Facts;
use statera::given::Given;
use statera::pipeline::{self, Trained};
use statera::project::{Settings, UseCase};
use statera::reasons::Language;
use statera::training_set::TrainingSet;
use statera::{file, report, use_case};
use statera_core::Result;
use statera_data::source::ReadOptions;
use statera_data::texts_of;
use std::collections::BTreeMap;

/// Where numbers are cut: a payment that is larger than any before is scored as the largest. What one card pays is skewed, and the
/// straight lines of a logistic regression, drawn on beyond its rows, may lead anywhere.
const WINSORIZE: f64 = 0.001;

/// The model, and its report.
pub const BUNDLE: &str = "fraud.statera";
pub const REPORT: &str = "report.html";

/// What is found of a pattern among the test rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Pattern {
    n_frauds: usize,
    /// Of them those that the model alerts.
    n_found: usize,
}

/// The model as the other chapters need it.
pub struct Cards {
    pub bundle: Bundle,
    pub facts: Facts,
    pub patterns: BTreeMap<String, Pattern>,
    /// The rows that took no part in training, with what windows counted of each.
    pub test: TrainingSet,
    /// What trains the same by hand.
    pub command: String,
}

/// Trains, writes the bundle and its report, and tells what the model finds.
pub fn tell(scene: &Scene) -> Result<Cards> {
    let Scene { files, console, run, .. } = scene;
    let (table, facts) = reading::table(&path_text(&files.transactions), &ReadOptions::default(), run)?;
    let trained = pipeline::train(table, &settings(scene)?, &reading::formats(&facts), &Given::default(), run)?;
    let patterns = patterns(&trained, scene)?;
    scene.begin("Card transactions");
    let [n, frauds] = files.n_transactions;
    console.paragraph(format!(
        "An invented bank has {} cards. Of their {} transactions in six months {} were fraud ({:.2} %); it learns of \
         each about a week later.",
        count(files.n_cards as f64),
        count(n as f64),
        count(frauds as f64),
        100.0 * frauds as f64 / n.max(1) as f64
    ));
    console.paragraph(
        "Statera counted what each card and each terminal had done before, knowing frauds only a week after they \
         happened, and trained on the months before the last:\n",
    );
    train::print_board(&trained, console);
    if let Some(alerts) = &trained.facts.alerts {
        console.paragraph(format!("\n{}", train::desk(alerts)));
    }
    let found = patterns
        .iter()
        .map(|(name, p)| format!("{} of {} {}", count(p.n_found as f64), count(p.n_frauds as f64), in_words(name)));
    console.paragraph(format!(
        "\nThe truth behind this bank is known. From a probability of {:.3} the model alerts {}.",
        trained.facts.leaderboard.cutoff,
        found.collect::<Vec<_>>().join(", ")
    ));
    let Trained { mut bundle, facts, test, .. } = trained;
    bundle.write(&scene.at(BUNDLE), true, run)?;
    let subject = report::Subject::of(&bundle, report::judgement(&bundle), Language::En)?;
    let page = report::html(&subject)?;
    drop(subject);
    run.check()?;
    file::write_whole(&scene.at(REPORT), page.as_bytes())?;
    let command = command(scene);
    scene.by_hand(&[command.clone(), format!("statera report {} --out {}", scene.shown(BUNDLE), scene.shown(REPORT))]);
    Ok(Cards { bundle, facts, patterns, test: test.ok_or_else(no_test)?, command })
}

/// What the columns of the transactions are for.
fn settings(scene: &Scene) -> Result<Settings> {
    let mut settings = Settings {
        use_case: UseCase::Fraud,
        target: "tx_fraud".into(),
        id: Some("transaction_id".into()),
        time: Some("tx_datetime".into()),
        card: Some("card_id".into()),
        terminal: Some("terminal_id".into()),
        amount: Some("tx_amount".into()),
        drop: vec!["customer_id".into()],
        capacity: Some(scene.capacity()),
        winsorize: Some(WINSORIZE),
        seed: scene.args.seed,
        ..Settings::default()
    };
    use_case::complete(&mut settings)?;
    Ok(settings)
}

/// The same as a person types it.
fn command(scene: &Scene) -> String {
    format!(
        "statera train {} --use-case fraud --target tx_fraud --id transaction_id --time tx_datetime --card card_id \
         --terminal terminal_id --amount tx_amount --drop customer_id --capacity {} --winsorize {WINSORIZE}{} --out {}",
        scene.shown("transactions.csv"),
        scene.capacity(),
        scene.seed_flag(),
        scene.shown(BUNDLE)
    )
}

/// The frauds of the test rows by pattern, and how many the model alerts.
fn patterns(trained: &Trained, scene: &Scene) -> Result<BTreeMap<String, Pattern>> {
    let test = trained.test.as_ref().ok_or_else(no_test)?;
    let ids = test.batch.column_by_name("transaction_id").map(texts_of).unwrap_or_default();
    let probabilities = trained.bundle.scorer.score(&test.batch)?.probabilities;
    let cutoff = trained.facts.leaderboard.cutoff;
    let mut patterns: BTreeMap<String, Pattern> = BTreeMap::new();
    for (id, p) in ids.into_iter().zip(probabilities) {
        if let Some(scenario) = id.and_then(|id| scene.answers.get(&id)) {
            let pattern = patterns.entry(scenario.clone()).or_default();
            pattern.n_frauds += 1;
            pattern.n_found += usize::from(p >= cutoff);
        }
    }
    Ok(patterns)
}
