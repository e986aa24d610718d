//! The whole pipeline on the peers' sets: `train` with its fast candidates on four folds of five, scored on the fifth.
//!
//! `cargo run --release -p statera-bench --bin spine -- [--data DIR] [--sets a,b] [--models a,b] [--folds 0,1] [--order] [--once] [--refit]`
//!
//! Prints one tab-separated line per set and model in the columns of `../shared/bench/peers.py` (row i is in fold i mod
//! 5), with KS and the calibration error beside. The model `best` is what `train` would use; `a+b` is the ensemble of a and b. `--order` splits by row order
//! instead: the last fifth is the test. `--once` fits a family a single time on the training rows, without folds and bag, as the
//! peers do; networks hold 15 % of the rows back to know when to stop; `--refit` then
//! fits once more on all rows, for as many epochs as were best.

use anyhow::{Context, Result, bail};
use statera::given::Given;
use statera::project::{Prefer, Settings};
use statera::training_set::TrainingSet;
use statera::{models, pipeline};
use statera_bench::sets::{folder, rows_of};
use statera_core::metric::{self, Predicted};
use statera_core::split::{self, Keys};
use statera_core::{Frame, Run};
use statera_data::Table;
use statera_data::preparer::{Preparer, PreparerParams};
use statera_data::source::{self, ReadOptions};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

/// Name, file, target, event, columns left out.
type Set = (&'static str, &'static str, &'static str, &'static str, &'static [&'static str]);

const SETS: [Set; 3] = [
    ("german_credit", "german_credit/german_credit.csv", "class", "bad", &[]),
    ("taiwan", "taiwan_credit_default/default_of_credit_card_clients.csv.gz", "class", "1", &["ID"]),
    ("bank_marketing", "uci_bank_marketing/bank-full.csv.gz", "y", "yes", &["duration"]),
];

struct Options {
    data: PathBuf,
    sets: Vec<String>,
    models: Vec<String>,
    folds: Vec<usize>,
    by_order: bool,
    once: bool,
    refit: bool,
    threads: usize,
}

/// One fold's figures.
#[derive(Default)]
struct Figures {
    auc: Vec<f64>,
    average_precision: Vec<f64>,
    ks: Vec<f64>,
    calibration_error: Vec<f64>,
    fit_seconds: Vec<f64>,
    rows_per_second: Vec<f64>,
    families: Vec<String>,
}

fn main() -> Result<()> {
    let options = options()?;
    rayon::ThreadPoolBuilder::new().num_threads(options.threads).build_global()?;
    println!("set\tmodel\tauc\tstd\tap\tks\tece\tfit_s\trows_per_s\tused");
    for set in SETS.iter().filter(|s| options.sets.iter().any(|n| n == s.0)) {
        let address = options.data.join(set.1);
        let read = ReadOptions::default();
        let table = source::read_table(&address.to_string_lossy(), &read, &Run::new(1, options.threads))?;
        for model in &options.models {
            let mut figures = Figures::default();
            for &fold in &options.folds {
                measure(set, model, &table, fold, &options, &mut figures)
                    .with_context(|| format!("{} {model} fold {fold}", set.0))?;
            }
            let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
            let deviation = |v: &[f64]| (v.iter().map(|x| (x - mean(v)).powi(2)).sum::<f64>() / v.len() as f64).sqrt();
            println!(
                "{}\t{model}\t{:.4}\t{:.4}\t{:.4}\t{:.4}\t{:.4}\t{:.2}\t{:.0}\t{}",
                set.0,
                mean(&figures.auc),
                deviation(&figures.auc),
                mean(&figures.average_precision),
                mean(&figures.ks),
                mean(&figures.calibration_error),
                mean(&figures.fit_seconds),
                mean(&figures.rows_per_second),
                figures.families.join(",")
            );
        }
    }
    Ok(())
}

fn measure(set: &Set, model: &str, table: &Table, fold: usize, options: &Options, out: &mut Figures) -> Result<()> {
    let n = table.n_rows();
    let in_test = |row: usize| if options.by_order { row >= n - n / 5 } else { row % 5 == fold };
    let train = rows_of(table, |row| !in_test(row))?;
    let test = rows_of(table, in_test)?;
    let settings = Settings {
        target: set.2.into(),
        positive: Some(set.3.into()),
        drop: set.4.iter().map(|c| (*c).to_string()).collect(),
        models: if model == "best" { Vec::new() } else { model.split('+').map(String::from).collect() },
        prefer: if model.contains('+') { Prefer::Ensemble } else { Prefer::Best },
        test_share: 0.0,
        ..Settings::default()
    };
    if options.once {
        return measure_once(model, train, test, &settings, (options.threads, options.refit), out);
    }
    let started = Instant::now();
    let trained =
        pipeline::train(train, &settings, &BTreeMap::new(), &Given::default(), &Run::new(1, options.threads))?;
    out.fit_seconds.push(started.elapsed().as_secs_f64());
    let bundle = trained.bundle;
    let batch = &test.batches[0];
    let target_column = batch.column_by_name(set.2).context("the target")?;
    let target: Vec<f64> = statera::training_set::texts_of(target_column)
        .into_iter()
        .map(|t| f64::from(u8::from(t.as_deref() == Some(set.3))))
        .collect();
    let started = Instant::now();
    let scored = bundle.scorer.score(batch)?;
    out.rows_per_second.push(target.len() as f64 / started.elapsed().as_secs_f64());
    let predicted = Predicted { margins: &scored.margins, probabilities: &scored.probabilities };
    let measured =
        metric::evaluate(bundle.scorer.schema().task, &target, predicted, None, 0.5, 1, metric::MIN_BOOTSTRAP)?;
    let value = |name: &str| measured.iter().find(|m| m.name == name).map_or(f64::NAN, |m| m.interval.value);
    out.auc.push(value("auc"));
    out.average_precision.push(value("average_precision"));
    out.ks.push(value("ks"));
    out.calibration_error.push(value("calibration_error"));
    out.families.push(bundle.manifest.family);
    Ok(())
}

/// One fit of a family, its margins as they are.
fn measure_once(
    model: &str,
    train: Table,
    test: Table,
    settings: &Settings,
    (threads, refit): (usize, bool),
    out: &mut Figures,
) -> Result<()> {
    let family = models::family(model)?;
    let (train, test) = (TrainingSet::new(train, settings)?, TrainingSet::new(test, settings)?);
    let estimator = (family.estimator)(train.task, None)?;
    let rows: Vec<usize> = (0..train.n_rows()).collect();
    let params =
        PreparerParams { form: estimator.form(), columns: train.features.clone(), ..PreparerParams::default() };
    let preparer = Preparer::fit(&params, &train.batch, &rows, None)?;
    let frame = |set: &TrainingSet| -> Result<Frame> {
        Ok(Frame { target: set.target.clone(), ..preparer.transform(&set.batch)? })
    };
    let (fitted, judged) = (frame(&train)?, frame(&test)?);
    let keys = Keys { task: train.task, target: &train.target, time: None, known: None, group: None };
    let (learnt, stopping) = split::holdout(&keys, 0.15, settings.seed)?;
    let started = Instant::now();
    let run = Run::new(1, threads);
    let fit = if estimator.stops_on_training_rows() {
        estimator.fit(&fitted.take(&learnt), &fitted.take(&stopping), &run)?
    } else {
        estimator.fit(&fitted, &Frame::default(), &run)?
    };
    let fit =
        if refit { estimator.refit(&[&*fit]).fit(&fitted, &Frame::default(), &Run::new(2, threads))? } else { fit };
    out.fit_seconds.push(started.elapsed().as_secs_f64());
    let started = Instant::now();
    let margins = fit.predict(&judged)?.margins;
    out.rows_per_second.push(judged.n_rows as f64 / started.elapsed().as_secs_f64());
    let auc = metric::area(&margins, &judged.target, &vec![1.0; judged.n_rows]);
    eprintln!("{model}: AUC {auc:.4}, {:.0} s, {:?}", out.fit_seconds.last().unwrap_or(&0.0), fit.describe());
    out.auc.push(auc);
    out.families.push(model.into());
    Ok(())
}

fn options() -> Result<Options> {
    let mut options = Options {
        data: folder(),
        sets: SETS.iter().map(|s| s.0.to_string()).collect(),
        models: vec!["best".into()],
        folds: (0..5).collect(),
        by_order: false,
        once: false,
        refit: false,
        threads: 2,
    };
    let list = |text: String| text.split(',').map(String::from).collect::<Vec<_>>();
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        if word == "--once" {
            options.once = true;
            continue;
        }
        if word == "--refit" {
            (options.once, options.refit) = (true, true);
            continue;
        }
        let mut value = || words.next().with_context(|| format!("{word} needs a value"));
        match word.as_str() {
            "--data" => options.data = value()?.into(),
            "--sets" => options.sets = list(value()?),
            "--models" => options.models = list(value()?),
            "--folds" => options.folds = list(value()?).iter().map(|f| f.parse()).collect::<Result<_, _>>()?,
            "--order" => (options.by_order, options.folds) = (true, vec![0]),
            "--threads" => options.threads = value()?.parse()?,
            other => {
                bail!("«{other}» is not one of --data, --sets, --models, --folds, --order, --once, --refit, --threads")
            }
        }
    }
    Ok(options)
}
