//! The demo's story of card fraud: a model of transactions, the patterns that it finds, and rules beside it.

use super::{path_text, reading, train};
use crate::args::Demo;
use crate::console::{Console, count};
use serde_json::json;
use statera::given::Given;
use statera::pipeline::{self, Trained};
use statera::project::{Settings, UseCase};
use statera::rules::{Labelled, RuleSet, TableBacktest, backtest_table};
use statera::sample::SampleFiles;
use statera::training_set::texts_of;
use statera::use_case;
use statera_core::{Error, Result, Run};
use statera_data::Table;
use statera_data::source::ReadOptions;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// Cards for each one that the desk can look at on a day; the handbook's 5,000 for 100.
const CARDS_A_REVIEW: usize = 50;

/// What is found of a pattern among the test rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize)]
struct Pattern {
    n_frauds: usize,
    /// Of them those that the model alerts.
    n_found: usize,
}

/// The story, and the bundle with the rules.
pub fn run(args: &Demo, files: &SampleFiles, console: &Console, run: &Run) -> Result<serde_json::Value> {
    let bundle = args.out.join("fraud.statera");
    let (table, facts) = reading::table(&path_text(&files.transactions), &ReadOptions::default(), run)?;
    let settings = settings(args, files)?;
    let trained = pipeline::train(table, &settings, &reading::formats(&facts), &Given::default(), run)?;
    let patterns = patterns(&trained, files, run)?;
    let (text, set) = RuleSet::read(&files.fraud_rules)?;
    let beside = beside(&trained, &set)?;
    let figures = trained.facts.clone();
    let story = Story { patterns, beside };
    if !console.json {
        story.tell(&trained, files, console);
    }
    let mut ruled = trained.bundle.ruled_by(&text, set)?;
    ruled.write(&bundle, true, run)?;
    if !console.json {
        next(args, &bundle, console);
    }
    Ok(json!({ "bundle": bundle, "facts": figures, "patterns": story.patterns, "rules": story.beside }))
}

/// What the columns of the transactions are for.
fn settings(args: &Demo, files: &SampleFiles) -> Result<Settings> {
    let mut settings = Settings {
        use_case: UseCase::Fraud,
        target: "tx_fraud".into(),
        id: Some("transaction_id".into()),
        time: Some("tx_datetime".into()),
        card: Some("card_id".into()),
        terminal: Some("terminal_id".into()),
        amount: Some("tx_amount".into()),
        drop: vec!["customer_id".into()],
        capacity: Some((files.n_cards / CARDS_A_REVIEW).max(1)),
        seed: args.seed,
        ..Settings::default()
    };
    use_case::complete(&mut settings)?;
    Ok(settings)
}

/// The frauds of the test rows by pattern, which the invented bank knows, and how many the model alerts.
fn patterns(trained: &Trained, files: &SampleFiles, run: &Run) -> Result<BTreeMap<String, Pattern>> {
    let (table, _) = reading::table(&path_text(&files.fraud_answers), &ReadOptions::default(), run)?;
    let (id, scenario) = (table.column("event_id")?, table.column("scenario")?);
    let mut answers = HashMap::new();
    for batch in &table.batches {
        answers.extend(texts_of(batch.column(id)).into_iter().zip(texts_of(batch.column(scenario))));
    }
    let Some(test) = &trained.test else { return Err(Error::data("the demo needs a test part; ask for more rows")) };
    let ids = test.batch.column_by_name("transaction_id").map(texts_of).unwrap_or_default();
    let probabilities = trained.bundle.scorer.score(&test.batch)?.probabilities;
    let cutoff = trained.facts.leaderboard.cutoff;
    let mut patterns: BTreeMap<String, Pattern> = BTreeMap::new();
    for (id, p) in ids.into_iter().zip(probabilities) {
        if let Some(Some(scenario)) = answers.get(&id) {
            let pattern = patterns.entry(scenario.clone()).or_default();
            pattern.n_frauds += 1;
            pattern.n_found += usize::from(p >= cutoff);
        }
    }
    Ok(patterns)
}

/// The bank's rules beside the model, on the test rows.
fn beside(trained: &Trained, set: &RuleSet) -> Result<TableBacktest> {
    let Some(test) = &trained.test else { return Err(Error::data("the demo needs a test part; ask for more rows")) };
    let table =
        Table { columns: test.columns.clone(), batches: vec![test.batch.clone()], origin: "the test rows".into() };
    let threshold = Some(trained.facts.leaderboard.cutoff);
    let how = Labelled { amount: Some("tx_amount"), threshold, ..Labelled::default() };
    backtest_table(set, &table, Some(&trained.bundle), how)
}

struct Story {
    patterns: BTreeMap<String, Pattern>,
    beside: TableBacktest,
}

impl Story {
    fn tell(&self, trained: &Trained, files: &SampleFiles, console: &Console) {
        let [n, frauds] = files.n_transactions;
        console.paragraph(format!(
            "An invented bank has {} cards. Of their {} transactions in six months {} were fraud ({:.2} %); it learns of each about a \
             week later.",
            count(files.n_cards as f64),
            count(n as f64),
            count(frauds as f64),
            100.0 * frauds as f64 / n.max(1) as f64
        ));
        console.paragraph(
            "Statera counted what each card and each terminal had done before, knowing frauds only a week after they happened, and \
             trained on the months before the last:\n",
        );
        train::print_board(trained, console);
        self.desk(trained, console);
        let found: Vec<String> = self
            .patterns
            .iter()
            .map(|(name, p)| {
                format!("{} of {} {}", count(p.n_found as f64), count(p.n_frauds as f64), name.replace('_', " "))
            })
            .collect();
        console.paragraph(format!(
            "\nThe truth behind this bank is known. From a probability of {:.3} the model alerts {}.",
            trained.facts.leaderboard.cutoff,
            found.join(", ")
        ));
        self.rules(console);
    }

    /// What the desk finds with its capacity.
    fn desk(&self, trained: &Trained, console: &Console) {
        let Some(alerts) = &trained.facts.alerts else { return };
        let Some(own) = alerts.by_capacity.iter().find(|p| p.capacity == alerts.capacity) else { return };
        let saved = own.share_saved.map_or(String::new(), |s| {
            format!(" and save {:.0} % of the money [{:.0} to {:.0}]", 100.0 * s.value, 100.0 * s.low, 100.0 * s.high)
        });
        console.paragraph(format!(
            "\nPeople can look at {} cards a day. Those that the model ranks highest hold a fraud in {:.0} % of cases [{:.0} to \
             {:.0}]{saved}.",
            count(alerts.capacity as f64),
            100.0 * own.card_precision.value,
            100.0 * own.card_precision.low,
            100.0 * own.card_precision.high,
        ));
    }

    fn rules(&self, console: &Console) {
        let back = &self.beside.backtest;
        let (Some(overlap), Some(model)) = (back.total.overlap, &back.model) else { return };
        console.paragraph(format!(
            "\nThe bank's rules of {} alert {} of the same transactions, the model {}. Of {} frauds both find {}, the rules alone {} \
             and the model alone {}.",
            back.version,
            count(back.total.alerts as f64),
            count(model.alerts as f64),
            count(back.n_events as f64),
            count(overlap.both[1] as f64),
            count(overlap.rule_only[1] as f64),
            count(overlap.model_only[1] as f64),
        ));
    }
}

fn next(args: &Demo, bundle: &Path, console: &Console) {
    let at = |name: &str| args.out.join(name).display().to_string();
    let (bundle, rules, transactions) = (bundle.display(), at("fraud-rules.toml"), at("transactions.csv"));
    console.paragraph(format!(
        "\nThe tables, the rules and the model with its rules ({bundle}) are in {}. Next:",
        args.out.display()
    ));
    console.line(format!("  statera rules backtest {rules} {transactions} --bundle {bundle} --amount tx_amount"));
    console.line(format!("  statera score {bundle} {transactions} --out actions.csv"));
    console.line(format!("  statera report {bundle} --out report.html"));
}
