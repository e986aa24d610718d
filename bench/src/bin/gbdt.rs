//! Gradient boosting beside its peers: accuracy at LightGBM's settings and at the shipped ones, fit time, scoring speed.
//!
//! `cargo run --release -p statera-bench --bin gbdt -- [auc|bag|fit|score]... [--data DIR] [--sets a,b] [--threads N]
//! [--repeats N] [--set name=value]...`
//!
//! Sets and folds are those of `../shared/bench/peers.py` (row i is in fold i mod 5), whose numbers stand beside.

use anyhow::{Context, Result, bail};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use rayon::prelude::*;
use statera_core::{Column, FIRST_LEVEL, FeatureSpec, Form, Frame, FrameSpec, Model, Run};
use statera_learn::gbdt::{GbdtModel, GbdtParams};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
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
            other => bail!("«{other}» is not one of auc, bag, fit, score"),
        }
    }
    Ok(())
}

fn options() -> Result<Options> {
    let mut options = Options {
        works: Vec::new(),
        data: concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data").into(),
        sets: PEERS.iter().map(|p| p.0.to_owned()).collect(),
        threads: 2,
        repeats: 3,
        changes: Vec::new(),
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().with_context(|| format!("{word} needs a value"));
        match word.as_str() {
            "--data" => options.data = value()?.into(),
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
        options.works = ["auc", "bag", "fit", "score"].map(str::to_owned).into();
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

fn load(name: &str, data: &Path) -> Result<Frame> {
    let table = match name {
        "german_credit" => Csv::read(&data.join("german_credit/german_credit.csv"), b',')?.with_target("class", "bad"),
        "taiwan" => {
            let file = data.join("taiwan_credit_default/default_of_credit_card_clients.csv.gz");
            Csv::read(&file, b',')?.without("ID").with_target("class", "1")
        }
        "bank_marketing" => {
            let file = data.join("uci_bank_marketing/bank-full.csv.gz");
            Csv::read(&file, b';')?.without("duration").with_target("y", "yes")
        }
        "fraud_week" => return fraud_week(data),
        other => bail!("no set «{other}»"),
    };
    Ok(table.frame())
}

/// Text cells by column.
struct Csv {
    names: Vec<String>,
    columns: Vec<Vec<String>>,
    target: Vec<f64>,
}

impl Csv {
    fn read(path: &Path, separator: u8) -> Result<Csv> {
        let mut text = Vec::new();
        let file = std::fs::File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        if path.extension().is_some_and(|e| e == "gz") {
            flate2::read::GzDecoder::new(file).read_to_end(&mut text)?;
        } else {
            std::io::BufReader::new(file).read_to_end(&mut text)?;
        }
        let mut reader = csv::ReaderBuilder::new().delimiter(separator).from_reader(&text[..]);
        let names: Vec<String> = reader.headers()?.iter().map(str::to_owned).collect();
        let mut columns = vec![Vec::new(); names.len()];
        for record in reader.records() {
            for (column, cell) in columns.iter_mut().zip(&record?) {
                column.push(cell.to_owned());
            }
        }
        Ok(Csv { names, columns, target: Vec::new() })
    }

    fn remove(&mut self, name: &str) -> Vec<String> {
        match self.names.iter().position(|n| n == name) {
            Some(at) => {
                self.names.remove(at);
                self.columns.remove(at)
            }
            None => Vec::new(),
        }
    }
    fn without(mut self, name: &str) -> Csv {
        self.remove(name);
        self
    }
    fn with_target(mut self, name: &str, positive: &str) -> Csv {
        self.target = self.remove(name).iter().map(|y| f64::from(u8::from(y == positive))).collect();
        self
    }

    /// Columns of numbers as numbers, the others as levels.
    fn frame(self) -> Frame {
        let mut spec = FrameSpec { features: Vec::new(), raw_columns: self.names.clone(), ..FrameSpec::default() };
        let mut columns = Vec::new();
        for (raw, (name, cells)) in self.names.into_iter().zip(self.columns).enumerate() {
            let numbers: Option<Vec<f64>> = cells.iter().map(|c| c.parse().ok()).collect();
            let mut feature = FeatureSpec { name, raw, levels: None, sentinels: Vec::new(), monotone: 0 };
            columns.push(match numbers {
                Some(numbers) => Column::Number(numbers),
                None => {
                    let mut levels = cells.clone();
                    levels.sort();
                    levels.dedup();
                    let code = |c: &String| levels.binary_search(c).map_or(0, |i| FIRST_LEVEL + i as u32);
                    let codes = cells.iter().map(code).collect();
                    feature.levels = Some(levels);
                    Column::Codes(codes)
                }
            });
            spec.features.push(feature);
        }
        frame_of(spec, columns, self.target)
    }
}

fn frame_of(spec: FrameSpec, columns: Vec<Column>, target: Vec<f64>) -> Frame {
    assert_eq!(statera_core::Estimator::form(&GbdtParams::default()), Form::Codes);
    Frame { spec: Arc::new(spec), n_rows: target.len(), columns, target, ..Frame::default() }
}

fn fraud_week(data: &Path) -> Result<Frame> {
    let path = data.join("fraud_handbook_simulated/transactions_transformed_2018-07_2018-08.parquet");
    let reader = SerializedFileReader::new(std::fs::File::open(&path)?)?;
    let names: Vec<String> =
        reader.metadata().file_metadata().schema().get_fields().iter().map(|f| f.name().to_owned()).collect();
    let is_feature =
        |n: &str| ["TX_AMOUNT", "TX_DURING", "CUSTOMER_ID_", "TERMINAL_ID_"].iter().any(|p| n.starts_with(p));
    let wanted: Vec<usize> = (0..names.len()).filter(|&i| is_feature(&names[i])).collect();
    let mut columns = vec![Vec::new(); wanted.len()];
    let mut target = Vec::new();
    for row in reader.get_row_iter(None)? {
        let row = row?;
        let cells: Vec<&Field> = row.get_column_iter().map(|(_, field)| field).collect();
        for (column, &i) in columns.iter_mut().zip(&wanted) {
            column.push(number(cells[i])?);
        }
        let label = names.iter().position(|n| n == "TX_FRAUD").context("no column TX_FRAUD")?;
        target.push(number(cells[label])?);
    }
    let raw_columns: Vec<String> = wanted.iter().map(|&i| names[i].clone()).collect();
    let feature = |(raw, name): (usize, &String)| FeatureSpec {
        name: name.clone(),
        raw,
        levels: None,
        sentinels: Vec::new(),
        monotone: 0,
    };
    let features = raw_columns.iter().enumerate().map(feature).collect();
    let columns = columns.into_iter().map(Column::Number).collect();
    Ok(frame_of(FrameSpec { features, raw_columns, ..FrameSpec::default() }, columns, target))
}

fn number(field: &Field) -> Result<f64> {
    Ok(match field {
        Field::Null => f64::NAN,
        Field::Bool(b) => f64::from(u8::from(*b)),
        Field::Int(i) => f64::from(*i),
        Field::Long(i) => *i as f64,
        Field::Float(x) => f64::from(*x),
        Field::Double(x) => *x,
        other => bail!("{other} is not a number"),
    })
}
