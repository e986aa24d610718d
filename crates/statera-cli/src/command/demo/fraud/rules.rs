//! The third chapter: the bank's rules beside the model, tried on rows that the model has not seen, and put into a
//! bundle.

use super::cards::{self, Cards};
use super::{Scene, money, percent};
use crate::console::count;
use statera::rules::{Labelled, Mode, RuleResult, RuleSet, TableBacktest, backtest_table};
use statera_core::{Error, Result};
use statera_data::Table;

/// The model with its rules, and what they would have done.
pub const BUNDLE: &str = "ruled.statera";
pub const BACKTEST: &str = "rules-backtest.json";

/// Tries the rules, tells what they find beside the model, and gives the model with them.
pub fn tell(scene: &Scene, cards: Cards) -> Result<(Cards, TableBacktest)> {
    let (text, set) = RuleSet::read(&scene.files.fraud_rules)?;
    let found = beside(&cards, &set)?;
    let json = serde_json::to_vec_pretty(&found).map_err(|e| Error::io(e.to_string()))?;
    statera::file::write_whole(&scene.at(BACKTEST), &json)?;
    let Cards { bundle, facts, patterns, test, command } = cards;
    let mut bundle = bundle.ruled_by(&text, set)?;
    bundle.write(&scene.at(BUNDLE), true, scene.run)?;
    scene.begin("Rules beside the model");
    scene.console.paragraph(
        "What the bank's people know stands in a file of rules; on the same unseen rows they would have done:\n",
    );
    table(&found, scene);
    told(&found, scene);
    let rules = scene.shown("fraud-rules.toml");
    let (transactions, alone, ruled) =
        (scene.shown("transactions.csv"), scene.shown(cards::BUNDLE), scene.shown(BUNDLE));
    scene.by_hand(&[
        format!(
            "statera rules backtest {rules} {transactions} --bundle {alone} --amount tx_amount    of all rows, also those of \
             the training"
        ),
        format!("statera rules put {rules} {alone} --out {ruled}"),
        format!("statera score {ruled} {transactions} --out actions.csv"),
    ]);
    Ok((Cards { bundle, facts, patterns, test, command }, found))
}

/// The bank's rules beside the model, on the test rows.
fn beside(cards: &Cards, set: &RuleSet) -> Result<TableBacktest> {
    let test = &cards.test;
    let table =
        Table { columns: test.columns.clone(), batches: vec![test.batch.clone()], origin: "the test rows".into() };
    let threshold = Some(cards.facts.leaderboard.cutoff);
    let how = Labelled { amount: Some("tx_amount"), threshold, ..Labelled::default() };
    backtest_table(set, &table, Some(&cards.bundle), how)
}

/// A line a rule, and those of all together and of the model.
fn table(found: &TableBacktest, scene: &Scene) {
    let back = &found.backtest;
    let line = |name: String, result: &RuleResult| {
        let [caught, stopped] =
            result.money.map_or(["–".into(), "–".into()], |m| [m.events.value, m.good.value].map(money));
        let precision = result.precision.map_or("–".into(), |p| percent(p.value));
        vec![name, count(result.alerts as f64), count(result.events as f64), precision, caught, stopped]
    };
    let name = |rule: &RuleResult| {
        let shadow = if rule.mode == Mode::Shadow { ", shadow" } else { "" };
        format!("{} ({}{shadow})", rule.code, rule.action.map_or("–", |action| action.name()))
    };
    let mut rows: Vec<Vec<String>> = back.rules.iter().map(|rule| line(name(rule), rule)).collect();
    rows.push(line("all that act".into(), &back.total));
    rows.extend(back.model.iter().map(|model| line("the model".into(), model)));
    scene.console.table(&["Rule", "Alerts", "Frauds", "Precision", "Their money", "Money of others"], rows);
}

/// What the figures come to.
fn told(found: &TableBacktest, scene: &Scene) {
    let back = &found.backtest;
    let (Some(overlap), Some(model)) = (back.total.overlap, &back.model) else { return };
    scene.console.paragraph(format!(
        "\nThe rules of {} alert {} transactions, the model {}. Of {} frauds both find {}, the rules alone {} and the \
         model alone {}.",
        back.version,
        count(back.total.alerts as f64),
        count(model.alerts as f64),
        count(back.n_events as f64),
        count(overlap.both[1] as f64),
        count(overlap.rule_only[1] as f64),
        count(overlap.model_only[1] as f64),
    ));
    for rule in back.rules.iter().filter(|rule| rule.mode == Mode::Shadow) {
        let precision = rule.precision.map_or(String::new(), |p| format!(", {} of its alerts", percent(p.value)));
        scene.console.paragraph(format!(
            "{} is on trial: it is recorded and does nothing. It would have stopped {} transactions, {} of them \
             frauds{precision}.",
            rule.code,
            count(rule.alerts as f64),
            count(rule.events as f64),
        ));
    }
}
