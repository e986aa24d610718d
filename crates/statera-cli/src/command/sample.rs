//! `statera sample`.

use crate::args::Sample;
use crate::console::{Console, count};
use serde_json::json;
use statera::sample::SampleBank;
use statera_core::Run;

pub fn run(args: &Sample, console: &Console, run: &Run) -> anyhow::Result<()> {
    let bank = SampleBank { rows: args.rows, seed: args.seed, overwrite: args.force, ..SampleBank::default() };
    let files = bank.write(&args.dir, run)?;
    if console.json {
        return console.print_json(&json!({
            "applications": files.applications, "truth": files.truth, "performance": files.performance,
            "customers": files.customers, "project": files.project, "rows": files.rows, "defaults": files.defaults,
            "attainable_auc": files.expected_auc, "transactions": files.transactions, "transfers": files.transfers,
            "fraud_answers": files.fraud_answers, "fraud_rules": files.fraud_rules,
            "n_transactions": files.n_transactions[0], "n_transaction_frauds": files.n_transactions[1],
            "n_transfers": files.n_transfers[0], "n_transfer_frauds": files.n_transfers[1],
        }));
    }
    console.line(format!(
        "{} loan applications of an invented bank, {} of them default ({:.1} %).",
        count(files.rows as f64),
        count(files.defaults as f64),
        100.0 * files.defaults as f64 / files.rows as f64
    ));
    if let Some(auc) = files.expected_auc {
        console.line(format!("The best AUC that any model can expect on them is {auc:.3}."));
    }
    let [[purchases, frauds], [transfers, false_ones]] = [files.n_transactions, files.n_transfers];
    console.line(format!(
        "{} card transactions of six months, {} of them fraud ({:.2} %); {} account transfers, {} of them fraud.",
        count(purchases as f64),
        count(frauds as f64),
        100.0 * frauds as f64 / purchases.max(1) as f64,
        count(transfers as f64),
        count(false_ones as f64)
    ));
    console.line(format!("The tables are in {}; next:", args.dir.display()));
    console.line(format!(
        "  statera train {} --target default --id application_id --time application_date --drop customer_id --baseline \
         bank_score --amount requested_amount --protected sex,age --out sample.statera",
        files.applications.display()
    ));
    Ok(())
}
