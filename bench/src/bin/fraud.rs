//! The Fraud Detection Handbook's prequential protocol on the raw simulated transactions: our learners beside its published
//! rows, features computed here from the raw days.
//!
//! `fraud [--folds handbook|earlier] [--models 'a;b'|all] [--data DIR] [--threads N] [--bootstrap N] [--against MODEL]
//! [--set NAME=VALUE]...`
//!
//! Folds train on 7 days, wait 7, test 7, four a week apart; the handbook's begin with training from 2018-08-15 back to 07-25,
//! and the last test week enters September. `earlier` are the seven before them whose tests end before 2018-08-08: settings were
//! chosen there. Figures are means over the folds with 95 % intervals that draw whole cards; gains are against `--against`
//! (logistic regression on the handbook's 15 features) with the same draws for both.

use anyhow::{Context, Result, bail};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch};
use arrow_schema::{Field, Schema};
use statera::anomaly::{self, Autoencoding};
use statera::use_case::fraud;
use statera_bench::sets;
use statera_core::metric::{Reviewing, ScoredFolds, Transactions, measured};
use statera_core::split::{PrequentialFold, Windows as Days, prequential};
use statera_core::{Estimator, Form, Frame, Kind, Run, Task};
use statera_data::preparer::{Preparer, PreparerParams};
use statera_data::source::{ReadOptions, read_table};
use statera_data::window::{
    Definition, Events, Feature, SINCE_LAST, Shift, Span, Steps, What, Windows, sweep, with_columns,
};
use statera_learn::gbdt::GbdtParams;
use statera_learn::imbalance::Imbalance;
use statera_learn::isolation::{BoostedParams, IsolationParams};
use statera_learn::linear::LinearParams;
use statera_nn::input::Scaling;
use statera_nn::loss::Loss;
use statera_nn::model::sequence::Reader;
use statera_nn::model::{AutoencoderParams, MlpParams, SequenceParams};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;
/// 2018-08-15 and 2018-07-18, the first training days of the latest folds, as days since 1970-01-01.
const HANDBOOK: i64 = 17_758;
const EARLIER: i64 = 17_730;
/// Payments of a sequence.
const N_STEPS: usize = 5;
/// Cards reviewed a day, and what a review costs: nothing, in the handbook.
const REVIEWING: Reviewing = Reviewing { capacity: 100, cost: 0.0 };

/// AUC, average precision and card precision@100 that the handbook reports, or that others reached on its protocol.
const PUBLISHED: [(&str, [f64; 3]); 6] = [
    ("XGBoost", [0.869, 0.687, 0.303]),
    ("MLP", [0.876, 0.675, 0.303]),
    ("LSTM", [0.876, 0.665, 0.297]),
    ("CNN", [0.872, 0.599, 0.288]),
    ("LSTM with attention", [0.874, 0.667, 0.295]),
    ("balanced bagging", [0.879, 0.680, 0.305]),
];

/// Which columns a model reads.
#[derive(Clone, Copy, PartialEq)]
enum Columns {
    /// The handbook's 15.
    Handbook,
    /// Those that the use case declares.
    Declared,
    /// Both.
    Both,
    /// Those that the use case declares, and the card's last payments as a sequence.
    Sequence,
}

/// A row of the table: name, columns, and the learners whose margins are averaged.
type Row = (&'static str, Columns, fn() -> Vec<Box<dyn Estimator>>);

/// The model that is proposed.
const PROPOSED: &str = "proposed";
/// The model that gains are against.
const LOGISTIC: &str = "logistic";

/// LightGBM's settings in `../shared/bench/handbook.py`.
fn small_trees() -> GbdtParams {
    GbdtParams { learning_rate: 0.05, max_leaves: 15, ..GbdtParams::lightgbm_parity() }
}

/// Boosting with the proposed model's trees, on all rows, and other treatments of the rare ones.
fn treated(imbalance: Imbalance) -> Vec<Box<dyn Estimator>> {
    vec![Box::new(plain(imbalance))]
}

fn plain(imbalance: Imbalance) -> GbdtParams {
    let rare = GbdtParams::rare();
    // The focal loss makes hessians of all but the hardest rows tiny.
    let min_hessian_per_leaf = if imbalance.focal > 0.0 { 1e-3 } else { rare.min_hessian_per_leaf };
    GbdtParams { max_trees: 200, learning_rate: 0.03, patience: 0, imbalance, min_hessian_per_leaf, ..rare }
}

/// The proposed model with other settings, for `--set`.
fn changed(changes: &[(String, f64)]) -> Result<(Columns, GbdtParams)> {
    let (mut columns, mut params) = (Columns::Declared, plain(proposed()));
    for (name, value) in changes {
        let (value, whole) = (*value, *value as usize);
        match name.as_str() {
            "both_columns" => columns = if value > 0.0 { Columns::Both } else { Columns::Declared },
            "learning_rate" => params.learning_rate = value,
            "max_trees" => params.max_trees = whole,
            "max_leaves" => params.max_leaves = whole,
            "min_rows_per_leaf" => params.min_rows_per_leaf = whole,
            "min_hessian_per_leaf" => params.min_hessian_per_leaf = value,
            "l2" => params.l2 = value,
            "row_share" => params.row_share = value,
            "column_share" => params.column_share = value,
            "positive_weight" => params.imbalance.positive_weight = value,
            "focal" => params.imbalance.focal = value,
            "bags" => params.imbalance.bags = whole,
            "negatives_per_positive" => params.imbalance.negatives_per_positive = value,
            other => bail!("no setting «{other}»"),
        }
    }
    Ok((columns, params))
}

fn bagged(bags: usize, negatives_per_positive: f64) -> Imbalance {
    Imbalance { bags, negatives_per_positive, ..Imbalance::default() }
}

/// Five seeds, frauds weighing four times as much.
fn proposed() -> Imbalance {
    Imbalance { positive_weight: 4.0, ..bagged(5, 1e6) }
}

fn logistic() -> LinearParams {
    LinearParams { task: Task::Binary, l2: Some(1.0), ..LinearParams::default() }
}

/// A small network for as many epochs as are enough for a week of transactions.
fn network(loss: Loss) -> Vec<Box<dyn Estimator>> {
    vec![Box::new(small_network(loss))]
}

fn small_network(loss: Loss) -> MlpParams {
    let mut params = MlpParams { loss: Some(loss), ..MlpParams::default() };
    params.shape.hidden = vec![64, 32];
    (params.train.epochs, params.train.patience) = (10, None);
    params
}

/// A network that reads a card's last payments beside the payment's columns.
fn sequence_network(reader: Reader) -> Vec<Box<dyn Estimator>> {
    let mut params = SequenceParams::new(reader, Task::Binary);
    (params.train.epochs, params.train.patience, params.train.batch_rows) = (10, None, 64);
    vec![Box::new(params)]
}

fn weighted(positive: f32, focal: f32) -> Loss {
    Loss::Binary { class_weights: [1.0, positive], focal, smoothing: 0.0 }
}

/// Every row.
const ROWS: &[Row] = &[
    (LOGISTIC, Columns::Handbook, || vec![Box::new(logistic())]),
    ("boosting, LightGBM's settings", Columns::Handbook, || vec![Box::new(small_trees())]),
    ("boosting, the same, declared", Columns::Declared, || vec![Box::new(small_trees())]),
    (PROPOSED, Columns::Declared, || treated(proposed())),
    ("proposed, both", Columns::Both, || treated(proposed())),
    ("proposed with gru", Columns::Sequence, || {
        treated(proposed()).into_iter().chain(sequence_network(Reader::Gru)).collect()
    }),
    ("logistic, declared", Columns::Declared, || vec![Box::new(logistic())]),
    ("logistic, weight 10", Columns::Handbook, || vec![Box::new(LinearParams { positive_weight: 10.0, ..logistic() })]),
    ("mlp", Columns::Declared, || network(Loss::BINARY)),
    ("mlp, weight 10", Columns::Declared, || network(weighted(10.0, 0.0))),
    ("mlp, focal 2", Columns::Declared, || network(weighted(1.0, 2.0))),
    ("mlp, standard scaling", Columns::Declared, || {
        vec![Box::new(MlpParams { scaling: Scaling::Standard, ..small_network(Loss::BINARY) })]
    }),
    ("lstm", Columns::Sequence, || sequence_network(Reader::Lstm)),
    ("gru", Columns::Sequence, || sequence_network(Reader::Gru)),
    // What `statera train` ends with in five folds: an average of fits that differ by their seeds.
    ("gru, five seeds", Columns::Sequence, || (0..5).flat_map(|_| sequence_network(Reader::Gru)).collect()),
    ("cnn", Columns::Sequence, || sequence_network(Reader::Cnn)),
    ("attention", Columns::Sequence, || sequence_network(Reader::Attention)),
    ("plain", Columns::Declared, || treated(Imbalance::default())),
    ("5 bags of all rows", Columns::Declared, || treated(bagged(5, 1e6))),
    ("10 bags 30:1", Columns::Declared, || treated(bagged(10, 30.0))),
    ("10 bags 10:1", Columns::Declared, || treated(bagged(10, 10.0))),
    ("20 bags 1:1", Columns::Declared, || treated(bagged(20, 1.0))),
    ("weight 10", Columns::Declared, || treated(Imbalance { positive_weight: 10.0, ..Imbalance::default() })),
    ("weight 100", Columns::Declared, || treated(Imbalance { positive_weight: 100.0, ..Imbalance::default() })),
    ("focal 1", Columns::Declared, || treated(Imbalance { focal: 1.0, ..Imbalance::default() })),
    ("focal 2", Columns::Declared, || treated(Imbalance { focal: 2.0, ..Imbalance::default() })),
    ("isolation", Columns::Declared, || vec![Box::new(IsolationParams::default())]),
    ("autoencoder", Columns::Declared, || vec![Box::new(AutoencoderParams::default().quick())]),
    ("plain with isolation", Columns::Declared, || {
        let boosting = plain(Imbalance::default());
        vec![Box::new(BoostedParams { boosting, ..BoostedParams::default() })]
    }),
    ("plain with autoencoder", Columns::Declared, || {
        let (detector, boosting) = (Autoencoding::default().quick(), plain(Imbalance::default()));
        vec![Box::new(anomaly::BoostedParams { detector, boosting })]
    }),
];

struct Options {
    data: PathBuf,
    earlier: bool,
    models: Vec<String>,
    against: String,
    changes: Vec<(String, f64)>,
    threads: usize,
    n_bootstrap: usize,
}

/// The transactions with every column, in the order of the file, and what the protocol needs of them.
struct Table {
    batch: RecordBatch,
    day: Vec<i64>,
    card: Vec<u64>,
    target: Vec<f64>,
    amount: Vec<f64>,
    handbook: Vec<String>,
    declared: Vec<String>,
    /// The card's last payments: the columns of each step, the earliest first.
    steps: Vec<Vec<String>>,
}

/// A fold's test rows with one model's scores.
struct Scored {
    rows: Vec<usize>,
    margins: Vec<f64>,
}

fn main() -> Result<()> {
    let options = options()?;
    rayon::ThreadPoolBuilder::new().num_threads(options.threads).build_global()?;
    let started = Instant::now();
    let table = Table::read(&options)?;
    eprintln!("{} transactions with their columns: {:.1} s", table.day.len(), started.elapsed().as_secs_f64());
    let (last_start, folds) = if options.earlier { (EARLIER, 7) } else { (HANDBOOK, 4) };
    let days = Days { folds, last_start: Some(last_start), ..Days::default() };
    let folds = prequential(days, &table.day, &table.target, &table.card)?;
    println!("model\tAUC\tAP\tCP@100\trecall@1%\tsaved a day\tgain AUC\tgain AP\tgain CP@100\tfit s");
    if !options.earlier {
        for (name, [auc, ap, cp]) in PUBLISHED {
            println!("{name}, published\t{auc:.3}\t{ap:.3}\t{cp:.3}");
        }
    }
    let is_wanted = |name: &str| options.models.iter().any(|m| m == "all" || m == name) || name == options.against;
    let mut base: Option<ScoredFolds> = None;
    let custom = changed(&options.changes)?;
    let mut rows: Vec<&Row> = ROWS.iter().filter(|row| is_wanted(row.0)).collect();
    rows.sort_by_key(|row| row.0 != options.against);
    for (name, columns, estimators) in rows {
        let started = Instant::now();
        // Settings that are given are the proposed model's.
        let is_custom = *name == PROPOSED && !options.changes.is_empty();
        let (columns, estimators) = match is_custom {
            true => (custom.0, vec![Box::new(custom.1.clone()) as Box<dyn Estimator>]),
            false => (*columns, estimators()),
        };
        let scored: Vec<Scored> =
            folds.iter().map(|f| table.score(f, columns, &estimators, &options)).collect::<Result<_>>()?;
        let seconds = started.elapsed().as_secs_f64();
        let parts: Vec<Parts> = scored.iter().map(|s| table.parts(s)).collect();
        let views: Vec<Transactions> = parts.iter().map(Parts::view).collect();
        let scored = ScoredFolds::new(&views)?;
        print(name, &scored, base.as_ref(), seconds, &options)?;
        base.get_or_insert(scored);
    }
    Ok(())
}

/// A line of the table.
fn print(name: &str, scored: &ScoredFolds, base: Option<&ScoredFolds>, seconds: f64, options: &Options) -> Result<()> {
    let figures = scored.measure(REVIEWING, 1, options.n_bootstrap)?;
    let figure = |name: &str, digits: usize| {
        let Some(i) = measured(&figures, name) else { return "–".to_string() };
        format!("{:.digits$} [{:.digits$}, {:.digits$}]", i.value, i.low, i.high)
    };
    let mut line = vec![name.to_string()];
    line.extend(["auc", "average_precision", "card_precision", "recall_at_1_percent_fpr"].map(|n| figure(n, 4)));
    line.push(figure("money_saved", 0));
    if let Some(base) = base {
        let gains = scored.gains_over(base, REVIEWING, 1, options.n_bootstrap)?;
        for name in ["auc", "average_precision", "card_precision"] {
            let gain = gains.iter().find(|g| g.metric == name).context("a gain")?.gain;
            line.push(format!("{:+.4} [{:+.4}, {:+.4}]", gain.value, gain.low, gain.high));
        }
    } else {
        line.extend(["", "", ""].map(String::from));
    }
    line.push(format!("{seconds:.1}"));
    println!("{}", line.join("\t"));
    Ok(())
}

/// The rows of a fold, column by column.
struct Parts {
    day: Vec<i64>,
    card: Vec<u64>,
    target: Vec<f64>,
    amount: Vec<f64>,
    score: Vec<f64>,
}

impl Parts {
    fn view(&self) -> Transactions<'_> {
        Transactions {
            day: &self.day,
            card: &self.card,
            target: &self.target,
            score: &self.score,
            amount: &self.amount,
        }
    }
}

impl Table {
    /// Reads the raw days and computes the handbook's columns and the declared ones.
    fn read(options: &Options) -> Result<Table> {
        let path = options.data.join("fraud_handbook_simulated/transactions_raw.csv.gz");
        let path = path.to_str().context("the path is not UTF-8")?;
        let read = read_table(path, &ReadOptions::default(), &Run::new(1, options.threads))?;
        let raw = arrow_select::concat::concat_batches(&read.batches[0].schema(), &read.batches)?;
        let declared = fraud::windows(&fraud::Columns {
            time: "TX_DATETIME",
            id: "TRANSACTION_ID",
            label: ("TX_FRAUD", None),
            label_delay: "7d",
            card: "CUSTOMER_ID",
            terminal: Some("TERMINAL_ID"),
            amount: Some("TX_AMOUNT"),
        })?;
        let handbook = Windows { features: handbook_features()?, ..declared.clone() };
        let last = Windows { features: Vec::new(), sequences: vec![last_payments()?], ..declared.clone() };
        let mut names = [vec!["TX_AMOUNT".to_string()], vec!["TX_AMOUNT".to_string()], Vec::new()];
        let mut batch = raw.clone();
        for (windows, names) in [handbook, declared, last].into_iter().zip(&mut names) {
            names.extend(windows.column_names());
            // What both declare is made once.
            let new: Vec<String> =
                windows.column_names().into_iter().filter(|n| batch.column_by_name(n).is_none()).collect();
            let definition = Arc::new(Definition::of_table(windows, &raw)?);
            let made = with_columns(&raw, &definition, sweep(&definition, &Events::of(&raw, &definition)?)?)?;
            batch = beside(&batch, &made, &new)?;
        }
        let times = batch.column_by_name("TX_DATETIME").context("no TX_DATETIME")?.clone();
        let times = times.as_primitive::<TimestampMicrosecondType>().values();
        // 1970-01-01 was a Thursday.
        let weekend = times.iter().map(|t| i64::from((t.div_euclid(DAY) + 3).rem_euclid(7) >= 5));
        let night = times.iter().map(|t| i64::from(t.rem_euclid(DAY) / 3_600_000_000 <= 6));
        let flags: [(&str, ArrayRef); 2] = [
            ("TX_DURING_WEEKEND", Arc::new(Int64Array::from_iter_values(weekend))),
            ("TX_DURING_NIGHT", Arc::new(Int64Array::from_iter_values(night))),
        ];
        let flags = RecordBatch::try_from_iter(flags)?;
        let flag_names: Vec<String> = flags.schema().fields().iter().map(|f| f.name().clone()).collect();
        batch = beside(&batch, &flags, &flag_names)?;
        let [mut handbook, declared, last] = names;
        handbook.extend(flag_names);
        let whole = |name: &str| -> Result<Vec<i64>> {
            Ok(batch
                .column_by_name(name)
                .with_context(|| format!("no {name}"))?
                .as_primitive::<Int64Type>()
                .values()
                .to_vec())
        };
        let amount = batch.column_by_name("TX_AMOUNT").context("no TX_AMOUNT")?.as_primitive::<Float64Type>();
        Ok(Table {
            day: times.iter().map(|t| t.div_euclid(DAY)).collect(),
            card: whole("CUSTOMER_ID")?.into_iter().map(|c| c as u64).collect(),
            target: whole("TX_FRAUD")?.into_iter().map(|y| y as f64).collect(),
            amount: amount.values().to_vec(),
            handbook,
            declared,
            steps: steps_of(&last),
            batch,
        })
    }

    fn columns(&self, columns: Columns) -> Vec<(String, Kind)> {
        let mut names = match columns {
            Columns::Handbook => self.handbook.clone(),
            Columns::Declared => self.declared.clone(),
            Columns::Both => [self.handbook.as_slice(), &self.declared].concat(),
            Columns::Sequence => [self.declared.as_slice(), &self.steps.concat()].concat(),
        };
        let mut seen = std::collections::HashSet::new();
        names.retain(|name| seen.insert(name.clone()));
        names.into_iter().map(|name| (name, Kind::Number)).collect()
    }

    /// Fits the learners on a fold's training rows and scores its test rows by the mean of their margins.
    fn score(
        &self,
        fold: &PrequentialFold,
        columns: Columns,
        estimators: &[Box<dyn Estimator>],
        options: &Options,
    ) -> Result<Scored> {
        let take = |rows: &[usize]| -> Result<RecordBatch> {
            let rows = arrow_array::UInt64Array::from_iter_values(rows.iter().map(|&r| r as u64));
            Ok(arrow_select::take::take_record_batch(&self.batch, &rows)?)
        };
        let (train, test) = (take(&fold.train)?, take(&fold.test)?);
        let mut margins = vec![0.0; fold.test.len()];
        for (seed, estimator) in estimators.iter().enumerate() {
            let sequences = (columns == Columns::Sequence).then(|| ("last".to_string(), self.steps.clone()));
            let params = PreparerParams {
                form: estimator.form(),
                columns: self.columns(columns),
                sequences: sequences.into_iter().collect(),
                ..PreparerParams::default()
            };
            let all: Vec<usize> = (0..fold.train.len()).collect();
            let preparer = Preparer::fit(&params, &train, &all, None)?;
            let target = fold.train.iter().map(|&r| self.target[r]).collect();
            let learnt = Frame { target, ..preparer.transform(&train)? };
            let mut empty = Frame { spec: learnt.spec.clone(), ..Frame::default() };
            if estimator.form() == Form::Dense {
                empty.dense.n_cols = learnt.dense.n_cols;
            }
            let model = estimator.fit(&learnt, &empty, &Run::new(1 + seed as u64, options.threads))?;
            let scores = model.predict(&preparer.transform(&test)?)?;
            margins.iter_mut().zip(scores.margins).for_each(|(sum, m)| *sum += m / estimators.len() as f64);
        }
        Ok(Scored { rows: fold.test.clone(), margins })
    }

    fn parts(&self, scored: &Scored) -> Parts {
        let numbers = |of: &[f64]| scored.rows.iter().map(|&r| of[r]).collect::<Vec<f64>>();
        Parts {
            day: scored.rows.iter().map(|&r| self.day[r]).collect(),
            card: scored.rows.iter().map(|&r| self.card[r]).collect(),
            target: numbers(&self.target),
            amount: numbers(&self.amount),
            score: scored.margins.clone(),
        }
    }
}

/// The last five payments of a card, as the handbook's sequences: how much, and how long after the one before.
fn last_payments() -> Result<Steps> {
    let (key, of) = (vec!["CUSTOMER_ID".into()], vec!["TX_AMOUNT".into(), SINCE_LAST.into()]);
    Ok(Steps { name: "last".into(), key, of, steps: N_STEPS, within: Span::parse("30d")? })
}

/// The columns of a sequence by step, from NAME_COLUMN_1 … NAME_COLUMN_N.
fn steps_of(names: &[String]) -> Vec<Vec<String>> {
    let of_step = |step: usize| {
        let ending = format!("_{step}");
        names.iter().filter(|name| name.ends_with(&ending)).cloned().collect()
    };
    (1..=N_STEPS).map(of_step).collect()
}

/// The handbook's twelve windowed columns.
fn handbook_features() -> Result<Vec<Feature>> {
    let over = ["1d", "7d", "30d"].map(Span::parse).into_iter().collect::<Result<Vec<Span>, _>>()?;
    let feature = |key: &str, of: &str, shift| Feature {
        key: vec![key.into()],
        of: Some(of.into()),
        level: None,
        what: vec![What::Count, What::Mean],
        over: over.clone(),
        current: true,
        shift,
        resolution: None,
    };
    Ok(vec![feature("CUSTOMER_ID", "TX_AMOUNT", None), feature("TERMINAL_ID", "TX_FRAUD", Some(Shift::Label))])
}

/// A batch with the columns `names` of another beside its own.
fn beside(batch: &RecordBatch, other: &RecordBatch, names: &[String]) -> Result<RecordBatch> {
    let (mut fields, mut columns) = (batch.schema().fields().to_vec(), batch.columns().to_vec());
    for name in names {
        let column = other.column_by_name(name).with_context(|| format!("no {name}"))?;
        fields.push(Arc::new(Field::new(name, column.data_type().clone(), true)));
        columns.push(column.clone());
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

fn options() -> Result<Options> {
    let mut options = Options {
        data: sets::folder(),
        earlier: false,
        models: [LOGISTIC, "boosting, LightGBM's settings", "boosting, the same, declared", PROPOSED]
            .map(String::from)
            .into(),
        against: LOGISTIC.into(),
        changes: Vec::new(),
        threads: 2,
        n_bootstrap: 200,
    };
    let mut words = std::env::args().skip(1);
    let known: BTreeMap<&str, ()> = ROWS.iter().map(|r| (r.0, ())).collect();
    while let Some(word) = words.next() {
        let value = words.next().with_context(|| format!("{word} needs a value"))?;
        match word.as_str() {
            "--data" => options.data = value.into(),
            "--folds" if value == "handbook" || value == "earlier" => options.earlier = value == "earlier",
            // Names hold commas of their own.
            "--models" => options.models = value.split(';').map(|m| m.trim().to_string()).collect(),
            "--against" => options.against = value,
            "--set" => {
                let (name, number) = value.split_once('=').context("--set needs name=value")?;
                options.changes.push((name.to_owned(), number.parse()?));
            }
            "--threads" => options.threads = value.parse()?,
            "--bootstrap" => options.n_bootstrap = value.parse()?,
            _ => bail!(
                "usage: fraud [--folds handbook|earlier] [--models 'a;b'|all] [--against MODEL] [--set NAME=VALUE]... [--data DIR] [--threads N] [--bootstrap N]"
            ),
        }
    }
    for name in options.models.iter().chain([&options.against]) {
        if name != "all" && !known.contains_key(name.as_str()) {
            let names: Vec<&str> = ROWS.iter().map(|r| r.0).collect();
            bail!("no model «{name}»; there are {}", names.join("; "));
        }
    }
    Ok(options)
}
