//! Gradient boosting beside its peers: accuracy at LightGBM's settings and at the shipped ones, fit time, scoring speed,
//! attributions.
//!
//! `cargo run --release -p statera-bench --bin gbdt -- [auc|bag|fit|score|explain]... [--data DIR] [--sets a,b] [--threads N]
//! [--repeats N] [--set name=value]... [--out DIR]`
//!
//! `explain` writes to `--out` the trees as LightGBM's text and the attributions as 64-bit floats, so that a peer can give
//! its own.
//!
//! Sets and folds are those of `../shared/bench/peers.py` (row i is in fold i mod 5), whose numbers stand beside.

use anyhow::{Context, Result, bail};
use rayon::prelude::*;
use statera_bench::sets::load;
use statera_core::{Background, Frame, Model, Run};
use statera_learn::gbdt::{GbdtModel, GbdtParams};
use std::path::PathBuf;
use std::time::Instant;

/// AUC of LightGBM and CatBoost with default settings, mean of five folds (design/decisions.md).
const PEERS: [(&str, f64, f64); 3] =
    [("german_credit", 0.7598, 0.7926), ("taiwan", 0.7798, 0.7823), ("bank_marketing", 0.8001, 0.8032)];

struct Options {
    works: Vec<String>,
    data: PathBuf,
    sets: Vec<String>,
    threads: usize,
    repeats: usize,
    changes: Vec<(String, f64)>,
    out: Option<PathBuf>,
}

fn main() -> Result<()> {
    let options = options()?;
    rayon::ThreadPoolBuilder::new().num_threads(options.threads).build_global()?;
    for work in &options.works {
        match work.as_str() {
            "auc" => auc_table(&options)?,
            "bag" => bag_table(&options)?,
            "fit" => fit_table(&options)?,
            "score" => score_table(&options)?,
            "explain" => explain_table(&options)?,
            other => bail!("«{other}» is not one of auc, bag, fit, score, explain"),
        }
    }
    Ok(())
}

fn options() -> Result<Options> {
    let mut options = Options {
        works: Vec::new(),
        data: statera_bench::sets::folder(),
        sets: PEERS.iter().map(|p| p.0.to_owned()).collect(),
        threads: 2,
        repeats: 3,
        changes: Vec::new(),
        out: None,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().with_context(|| format!("{word} needs a value"));
        match word.as_str() {
            "--data" => options.data = value()?.into(),
            "--out" => options.out = Some(value()?.into()),
            "--sets" => options.sets = value()?.split(',').map(str::to_owned).collect(),
            "--threads" => options.threads = value()?.parse()?,
            "--repeats" => options.repeats = value()?.parse()?,
            "--set" => {
                let pair = value()?;
                let (name, number) = pair.split_once('=').context("--set needs name=value")?;
                options.changes.push((name.to_owned(), number.parse()?));
            }
            _ => options.works.push(word),
        }
    }
    if options.works.is_empty() {
        options.works = ["auc", "bag", "fit", "score", "explain"].map(str::to_owned).into();
    }
    Ok(options)
}

/// Applies `--set`.
fn changed(mut params: GbdtParams, options: &Options) -> Result<GbdtParams> {
    for (name, value) in &options.changes {
        let whole = *value as usize;
        match name.as_str() {
            "learning_rate" => params.learning_rate = *value,
            "max_trees" => params.max_trees = whole,
            "patience" => params.patience = whole,
            "max_leaves" => params.max_leaves = whole,
            "min_rows_per_leaf" => params.min_rows_per_leaf = whole,
            "min_hessian_per_leaf" => params.min_hessian_per_leaf = *value,
            "l2" => params.l2 = *value,
            "row_share" => params.row_share = *value,
            "column_share" => params.column_share = *value,
            "max_bins" => params.max_bins = whole,
            "level_smoothing" => params.level_smoothing = *value,
            "level_l2" => params.level_l2 = *value,
            "min_rows_per_level_group" => params.min_rows_per_level_group = whole,
            "max_levels_one_against_rest" => params.max_levels_one_against_rest = whole,
            other => bail!("no setting «{other}»"),
        }
    }
    Ok(params)
}

fn run(options: &Options, seed: u64) -> Run {
    Run::new(seed, options.threads)
}

/// Rows of `frame` by whether they are in the test fold.
fn fold(frame: &Frame, fold: usize) -> (Frame, Frame) {
    let rows = |is_test: bool| -> Vec<usize> { (0..frame.n_rows).filter(|i| (i % 5 == fold) == is_test).collect() };
    (frame.take(&rows(false)), frame.take(&rows(true)))
}

fn fit(params: &GbdtParams, train: &Frame, valid: &Frame, run: &Run) -> Result<GbdtModel> {
    Ok(params.fit_model(train, valid, run)?)
}

fn auc_table(options: &Options) -> Result<()> {
    println!("set\tours at parity\tLightGBM\tdifference");
    for name in &options.sets {
        let frame = load(name, &options.data)?;
        let params = changed(GbdtParams::lightgbm_parity(), options)?;
        let mut sum = 0.0;
        for f in 0..5 {
            let (train, test) = fold(&frame, f);
            let model = fit(&params, &train, &Frame::default(), &run(options, 1))?;
            sum += auc(&test.target, &model.predict(&test)?.margins);
        }
        let peer = PEERS.iter().find(|p| p.0 == name).map_or(f64::NAN, |p| p.1);
        println!("{name}\t{:.4}\t{peer:.4}\t{:+.4}", sum / 5.0, sum / 5.0 - peer);
    }
    Ok(())
}

/// The shipped settings as `train` uses them: five models, each stopped on its own fold of the training part, averaged.
fn bag_table(options: &Options) -> Result<()> {
    println!("set\tbag of five\tinner folds\tinner loss\tCatBoost\tdifference\trounds\tfit s");
    for name in &options.sets {
        let frame = load(name, &options.data)?;
        let params = changed(GbdtParams::default(), options)?;
        let started = Instant::now();
        let (mut sum, mut inner, mut loss, mut rounds) = (0.0, 0.0, 0.0, 0);
        for f in 0..5 {
            let (train, test) = fold(&frame, f);
            let mut margins = vec![0.0; test.n_rows];
            let (mut oof_target, mut oof) = (Vec::new(), Vec::new());
            for inner_fold in 0..5 {
                let (part, held) = fold(&train, inner_fold);
                let model = fit(&params, &part, &held, &run(options, inner_fold as u64))?;
                margins.iter_mut().zip(model.predict(&test)?.margins).for_each(|(a, b)| *a += b);
                oof.extend(model.predict(&held)?.margins);
                oof_target.extend(&held.target);
                rounds += model.n_rounds();
                loss += model.valid_loss().unwrap_or(f64::NAN) / 25.0;
            }
            sum += auc(&test.target, &margins);
            inner += auc(&oof_target, &oof);
        }
        let peer = PEERS.iter().find(|p| p.0 == name).map_or(f64::NAN, |p| p.2);
        println!(
            "{name}\t{:.4}\t{:.4}\t{loss:.5}\t{peer:.4}\t{:+.4}\t{}\t{:.1}",
            sum / 5.0,
            inner / 5.0,
            sum / 5.0 - peer,
            rounds / 25,
            started.elapsed().as_secs_f64() / 5.0
        );
    }
    Ok(())
}

fn fit_table(options: &Options) -> Result<()> {
    println!("set\trows\tfeatures\tfit s (least of {})", options.repeats);
    for name in ["taiwan", "fraud_week"] {
        let (train, _) = fold(&load(name, &options.data)?, 0);
        let params = changed(GbdtParams::lightgbm_parity(), options)?;
        let mut least = f64::INFINITY;
        for _ in 0..options.repeats {
            let started = Instant::now();
            fit(&params, &train, &Frame::default(), &run(options, 1))?;
            least = least.min(started.elapsed().as_secs_f64());
        }
        println!("{name}\t{}\t{}\t{least:.3}", train.n_rows, train.columns.len());
    }
    Ok(())
}

fn score_table(options: &Options) -> Result<()> {
    let taiwan = load("taiwan", &options.data)?;
    let params = changed(GbdtParams::lightgbm_parity(), options)?;
    let model = fit(&params, &fold(&taiwan, 0).0, &Frame::default(), &run(options, 1))?;
    let million: Vec<usize> = (0..1_000_000).map(|i| i % taiwan.n_rows).collect();
    let rows = taiwan.take(&million);
    let mut least = f64::INFINITY;
    for _ in 0..options.repeats {
        let started = Instant::now();
        std::hint::black_box(model.predict(&rows)?);
        least = least.min(started.elapsed().as_secs_f64());
    }
    println!("taiwan repeated to 1,000,000 rows: {:.0} rows a second with {} trees", 1e6 / least, params.max_trees);
    Ok(())
}

/// Attributions of all rows of taiwan, path-dependent and against 100 of them (every 300th), and of one row.
fn explain_table(options: &Options) -> Result<()> {
    let taiwan = load("taiwan", &options.data)?;
    let params = changed(GbdtParams::lightgbm_parity(), options)?;
    let model = fit(&params, &fold(&taiwan, 0).0, &Frame::default(), &run(options, 1))?;
    if let Some(out) = &options.out {
        std::fs::write(out.join("model.txt"), model.to_lightgbm()?)?;
    }
    let background = taiwan.take(&(0..100).map(|i| 300 * i).collect::<Vec<_>>());
    println!("attributions\trows\ts (least of {0})\tone row, us (least of {0} times 20)", options.repeats);
    for (name, background) in [("path", None), ("interventional", Some(background))] {
        let background = Background { frame: background };
        let least_of = |rows: &Frame, times: usize| -> Result<f64> {
            let mut least = f64::INFINITY;
            for _ in 0..times {
                let started = Instant::now();
                std::hint::black_box(model.attribute(rows, &background)?);
                least = least.min(started.elapsed().as_secs_f64());
            }
            Ok(least)
        };
        let (all, one) = (least_of(&taiwan, options.repeats)?, least_of(&taiwan.take(&[7]), 20 * options.repeats)?);
        println!("{name}\t{}\t{all:.3}\t{:.0}", taiwan.n_rows, one * 1e6);
        if let Some(out) = &options.out {
            let found = model.attribute(&taiwan, &background)?;
            let bytes: Vec<u8> = found.values.iter().chain(&found.base).flat_map(|v| v.to_le_bytes()).collect();
            std::fs::write(out.join(format!("{name}.f64")), bytes)?;
        }
    }
    Ok(())
}

/// Area under the ROC curve; ties count half.
fn auc(target: &[f64], score: &[f64]) -> f64 {
    let mut order: Vec<usize> = (0..score.len()).collect();
    order.par_sort_by(|&a, &b| score[a].total_cmp(&score[b]));
    let (mut rank_sum, mut positives, mut i) = (0.0, 0.0, 0);
    while i < order.len() {
        let ties = order[i..].iter().take_while(|&&r| score[r] == score[order[i]]).count();
        let rank = i as f64 + (ties as f64 + 1.0) / 2.0;
        let hits: f64 = order[i..i + ties].iter().map(|&r| target[r]).sum();
        rank_sum += rank * hits;
        positives += hits;
        i += ties;
    }
    let negatives = score.len() as f64 - positives;
    (rank_sum - positives * (positives + 1.0) / 2.0) / (positives * negatives)
}
