//! Recourse on taiwan: how many of the declined rows have a change that turns the decision, and how long an answer takes.
//!
//! `cargo run --release -p statera-bench --bin recourse -- [--data DIR] [--model NAME] [--rows N] [--threads N]`
//!
//! Trains on four folds of five (row i is in fold i mod 5), declines about a fifth of rows like those of the training, and asks for
//! the recourse of every declined row of the fifth fold (of the first N with `--rows`). LIMIT_BAL, BILL_AMT1 and PAY_AMT1 may
//! change, the rest is history. Every answer is scored again here: from the table's row, with the cells that the answer
//! names, through `Scorer::score`, decided by the policy.

use anyhow::{Context, Result, bail, ensure};
use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use statera::bundle::Bundle;
use statera::pipeline;
use statera::policy::Decision;
use statera::project::Settings;
use statera::recourse::{Answer, Outcome, Searcher};
use statera::scorer::RowSource;
use statera_bench::sets::{folder, rows_of};
use statera_core::{Run, Task};
use statera_data::source::{self, ReadOptions};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

const FILE: &str = "taiwan_credit_default/default_of_credit_card_clients.csv.gz";
/// Share of rows like those of the training that is declined.
const DECLINED: f64 = 0.2;
const RECOURSE: &str = "version = \"bench\"\n[[change]]\ncolumn = \"LIMIT_BAL\"\nstep = 10000\n[[change]]\n\
    column = \"BILL_AMT1\"\n[[change]]\ncolumn = \"PAY_AMT1\"\n";

struct Options {
    data: PathBuf,
    model: String,
    rows: usize,
    threads: usize,
}

fn main() -> Result<()> {
    let options = options()?;
    rayon::ThreadPoolBuilder::new().num_threads(options.threads).build_global()?;
    let run = Run::new(1, options.threads);
    let address = options.data.join(FILE);
    let table = source::read_table(&address.to_string_lossy(), &ReadOptions::default(), &run)?;
    let settings = Settings {
        target: "class".into(),
        positive: Some("1".into()),
        drop: vec!["ID".into()],
        models: vec![options.model.clone()],
        test_share: 0.0,
        ..Settings::default()
    };
    let trained = pipeline::train(rows_of(&table, |row| row % 5 != 0)?, &settings, &BTreeMap::new(), None, &run)?;
    let bundle = decided(trained.bundle)?;
    let background = bundle.background.as_ref().context("background rows")?;
    println!("model\t{}\nbackground rows\t{}", options.model, background.n_rows.len());
    measure(&bundle, &rows_of(&table, |row| row % 5 == 0)?.batches[0], options.rows)
}

/// The bundle with the policy and the recourse.
fn decided(bundle: Bundle) -> Result<Bundle> {
    let margin = bundle.reference.margins[0][(100.0 * (1.0 - DECLINED)) as usize];
    let cutoff = bundle.scorer.calibrator().probabilities(Task::Binary, &[margin])[0];
    let policy = format!("version = \"bench\"\n[decision]\nby = \"cutoff\"\ndecline_from = {cutoff}\n");
    println!("declined from\t{cutoff:.4}");
    Ok(bundle.decided_by(Some(&policy), None, Some(RECOURSE))?)
}

fn measure(bundle: &Bundle, test: &RecordBatch, most: usize) -> Result<()> {
    let searcher = Searcher::new(bundle)?.context("a recourse")?;
    let (_, fitted) = bundle.deciding.policy.as_ref().context("a policy")?;
    let scored = bundle.scorer.score(test)?;
    let declined =
        (0..test.num_rows()).filter(|&i| fitted.cutoffs.decide(scored.probabilities[i]) != Decision::Approve);
    let declined: Vec<usize> = declined.collect();
    println!("declined\t{} of {}", declined.len(), test.num_rows());
    let (mut ms, mut with, mut n_changes, mut n_answers) = (Vec::new(), 0usize, 0usize, 0usize);
    let mut without: BTreeMap<String, usize> = BTreeMap::new();
    for &row in declined.iter().take(most) {
        let one = test.slice(row, 1);
        let started = Instant::now();
        let found = searcher.find(&one, RowSource::default(), searcher.time_limit())?.context("a declined row")?;
        ms.push(1e3 * started.elapsed().as_secs_f64());
        match found.outcome {
            Outcome::Found => (with, n_changes) = (with + 1, n_changes + found.answers[0].changes.len()),
            none => *without.entry(format!("{none:?}")).or_default() += 1,
        }
        for answer in &found.answers {
            verify(bundle, &one, answer).with_context(|| format!("row {row}"))?;
            n_answers += 1;
        }
    }
    let share = |n: usize| format!("{n}\t{:.1} %", 100.0 * n as f64 / ms.len() as f64);
    println!("asked\t{}\nwith an answer\t{}", ms.len(), share(with));
    without.iter().for_each(|(why, n)| println!("none: {why}\t{}", share(*n)));
    println!("columns of the smallest answer, mean\t{:.2}", n_changes as f64 / with.max(1) as f64);
    println!("answers verified by scoring again\t{n_answers}");
    ms.sort_by(f64::total_cmp);
    let at = |share: f64| ms[(share * (ms.len() - 1) as f64).round() as usize];
    println!("ms at 50, 95, 99 %, most\t{:.1}\t{:.1}\t{:.1}\t{:.1}", at(0.5), at(0.95), at(0.99), at(1.0));
    Ok(())
}

/// The table's row with the answer's cells, scored and decided; cells that the answer does not name are the table's.
fn verify(bundle: &Bundle, one: &RecordBatch, answer: &Answer) -> Result<()> {
    let schema = one.schema();
    let mut arrays: Vec<ArrayRef> = one.columns().to_vec();
    for change in &answer.changes {
        ensure!(
            ["LIMIT_BAL", "BILL_AMT1", "PAY_AMT1"].contains(&change.column.as_str()),
            "{} is history",
            change.column
        );
        let value: i64 = change.to.parse().with_context(|| change.to.clone())?;
        ensure!(change.from != change.to, "{} does not change", change.column);
        arrays[schema.index_of(&change.column)?] = Arc::new(Int64Array::from(vec![value]));
    }
    let columns = schema.fields().iter().map(|f| f.name().clone()).zip(arrays);
    let changed = RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true)))?;
    let probability = bundle.scorer.score(&changed)?.probabilities[0];
    let (_, fitted) = bundle.deciding.policy.as_ref().context("a policy")?;
    ensure!(fitted.cutoffs.decide(probability) == Decision::Approve, "scored again it has {probability}");
    ensure!(probability.to_bits() == answer.score.to_bits(), "scored again it has {probability}, not {}", answer.score);
    ensure!(answer.distance <= answer.reach + 1e-9, "{} is beyond the reach of {}", answer.distance, answer.reach);
    Ok(())
}

fn options() -> Result<Options> {
    let mut options = Options { data: folder(), model: "boosting".into(), rows: usize::MAX, threads: 2 };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().with_context(|| format!("{word} needs a value"));
        match word.as_str() {
            "--data" => options.data = value()?.into(),
            "--model" => options.model = value()?,
            "--rows" => options.rows = value()?.parse()?,
            "--threads" => options.threads = value()?.parse()?,
            other => bail!("«{other}» is not one of --data, --model, --rows, --threads"),
        }
    }
    Ok(options)
}
