//! Windowed features beside NumPy, and the state of many cards: seconds, bytes.
//!
//! `windows features [--python PYTHON] [--data DIR]` makes the handbook's 15 features of the raw 1,754,155 transactions (least of 5)
//! and lets `../shared/bench/handbook.py --features-only` make them in the same run; both begin with the table in memory.
//! `windows state [--cards N] [--with-terminals]` fills a state with 31 days of transactions at the handbook's rate, writes and
//! reads it.

use anyhow::{Context, Result, bail};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, TimestampMicrosecondArray};
use statera_bench::sets;
use statera_core::{Rng, Run};
use statera_data::source::{ReadOptions, read_table};
use statera_data::window::{Definition, Events, Limits, State, Windows, sweep};
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;
/// Transactions of a card and a day in the handbook's data.
const RATE: f64 = 1_754_155.0 / 4_990.0 / 183.0;

const BY_CUSTOMER: &str = "
[[feature]]
key = 'CUSTOMER_ID'
of = 'TX_AMOUNT'
what = ['count', 'mean']
over = ['1d', '7d', '30d']
";
const BY_TERMINAL: &str = "
[[feature]]
key = 'TERMINAL_ID'
of = 'TX_FRAUD'
what = ['count', 'mean']
over = ['1d', '7d', '30d']
shift = 'label'
";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |flag: &str| arguments.iter().position(|a| a == flag).and_then(|at| arguments.get(at + 1));
    match arguments.first().map(String::as_str) {
        Some("features") => {
            let data = value("--data").map_or_else(sets::folder, PathBuf::from);
            features(&data, value("--python").map_or("python3", String::as_str))
        }
        Some("state") => {
            let n_cards = value("--cards").map_or(Ok(1_000_000), |n| n.parse()).context("--cards takes a number")?;
            state(n_cards, arguments.iter().any(|a| a == "--with-terminals"))
        }
        _ => bail!(
            "usage: windows features [--python PYTHON] [--data DIR] | windows state [--cards N] [--with-terminals]"
        ),
    }
}

fn declaration(features: &[&str]) -> Result<Windows> {
    let head = "time = 'TX_DATETIME'\nid = 'TRANSACTION_ID'\nlabel = 'TX_FRAUD'\nlabel_delay = '7d'\n";
    Ok(statera_data::toml_text::read(&format!("{head}{}", features.concat()), "windows")?)
}

fn features(data: &Path, python: &str) -> Result<()> {
    let folder = data.join("fraud_handbook_simulated");
    let read = |file: &str| -> Result<RecordBatch> {
        let path = folder.join(file);
        let table =
            read_table(path.to_str().context("the path is not UTF-8")?, &ReadOptions::default(), &Run::new(1, 2))?;
        Ok(arrow_select::concat::concat_batches(&table.batches[0].schema(), &table.batches)?)
    };
    let raw = read("transactions_raw.csv.gz")?;
    let definition = Arc::new(Definition::of_table(declaration(&[BY_CUSTOMER, BY_TERMINAL])?, &raw)?);
    let mut least = f64::MAX;
    let mut columns = Vec::new();
    for _ in 0..5 {
        let started = Instant::now();
        let (flags, windows) = rayon::join(|| flags(&raw), || sweep(&definition, &Events::of(&raw, &definition)?));
        let mut made = flags?;
        made.extend(windows?);
        least = least.min(started.elapsed().as_secs_f64());
        columns = made;
    }
    println!("rows         {}", raw.num_rows());
    println!("statera      {least:.3} s for the 15 features (the amount is one of them)");
    let shipped = read("transactions_transformed_2018-07_2018-08.parquet")?;
    let (apart, n_compared) = apart(&raw, &columns[2..], &shipped)?;
    println!("apart        {apart:.1e} at most from {n_compared} of {} shipped rows", shipped.num_rows());
    println!("             (the others share customer and instant, and are there in the order of a file)");
    let script = data.join("../bench/handbook.py");
    let output = Command::new(python).arg(script).arg("--features-only").output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let seconds =
        text.split("rows: ").nth(1).and_then(|rest| rest.split(' ').next()).and_then(|s| s.parse::<f64>().ok());
    match seconds {
        Some(peer) => println!("handbook.py  {peer:.1} s\nratio        {:.3} (at most .2 is wanted)", least / peer),
        None => println!("handbook.py  does not run with {python}: {}", String::from_utf8_lossy(&output.stderr).trim()),
    }
    Ok(())
}

/// Weekend and night, as the handbook has them.
fn flags(raw: &RecordBatch) -> Result<Vec<ArrayRef>> {
    let times = raw.column_by_name("TX_DATETIME").context("no TX_DATETIME")?;
    let times = times.as_primitive::<TimestampMicrosecondType>().values();
    let flag = |is: fn(i64) -> bool| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(times.iter().map(|t| i64::from(is(*t)))))
    };
    // 1970-01-01 was a Thursday.
    Ok(vec![flag(|t| (t.div_euclid(DAY) + 3).rem_euclid(7) >= 5), flag(|t| t.rem_euclid(DAY) / 3_600_000_000 <= 6)])
}

/// The largest difference to the columns that are shipped with the handbook, and the rows that were compared: those that are the
/// only one of their customer and instant.
fn apart(raw: &RecordBatch, columns: &[ArrayRef], shipped: &RecordBatch) -> Result<(f64, usize)> {
    let whole = |batch: &RecordBatch, name: &str| -> Result<Vec<i64>> {
        let column = batch.column_by_name(name).with_context(|| format!("no {name}"))?;
        let cells = column.as_primitive_opt::<Int64Type>();
        Ok(cells.with_context(|| format!("{name} holds no whole numbers"))?.values().to_vec())
    };
    let (own, theirs) = (whole(raw, "TRANSACTION_ID")?, whole(shipped, "TRANSACTION_ID")?);
    let (seconds, customers) = (whole(shipped, "TX_TIME_SECONDS")?, whole(shipped, "CUSTOMER_ID")?);
    let mut n_at: HashMap<(i64, i64), usize> = HashMap::new();
    seconds.iter().zip(&customers).for_each(|(s, c)| *n_at.entry((*s, *c)).or_default() += 1);
    let alone: Vec<usize> = (0..theirs.len()).filter(|i| n_at[&(seconds[*i], customers[*i])] == 1).collect();
    // Of one instant the shipped rows are in another order.
    let at: HashMap<i64, usize> = own.iter().enumerate().map(|(row, id)| (*id, row)).collect();
    let rows: Option<Vec<usize>> = theirs.iter().map(|id| at.get(id).copied()).collect();
    let rows = rows.context("a shipped row is not there")?;
    let number = |column: &ArrayRef, row: usize| match column.as_primitive_opt::<Int64Type>() {
        Some(whole) => whole.value(row) as f64,
        None => column.as_primitive::<Float64Type>().value(row),
    };
    let mut most: f64 = 0.0;
    for (i, column) in columns.iter().enumerate() {
        let figure = [["NB_TX", "AVG_AMOUNT"], ["NB_TX", "RISK"]][i / 6][i % 6 / 3];
        let name = format!("{}_ID_{figure}_{}DAY_WINDOW", ["CUSTOMER", "TERMINAL"][i / 6], [1, 7, 30][i % 3]);
        let shipped = shipped.column_by_name(&name).with_context(|| format!("no {name}"))?;
        let pairs = alone.iter().map(|&i| (number(column, rows[i]) - number(shipped, i)).abs());
        most = pairs.fold(most, f64::max);
    }
    Ok((most, alone.len()))
}

/// Transactions of one hour: each card has one with the handbook's rate.
fn hour(hour: i64, n_cards: usize, next_id: &mut i64, rng: &mut Rng) -> Result<RecordBatch> {
    let n = (n_cards as f64 * RATE / 24.0) as usize;
    let mut times: Vec<i64> = (0..n).map(|_| hour * DAY / 24 + rng.below(3_600_000_000) as i64).collect();
    times.sort_unstable();
    let whole =
        |f: &mut dyn FnMut() -> i64| -> ArrayRef { Arc::new(Int64Array::from_iter_values((0..n).map(|_| f()))) };
    let ids = whole(&mut || {
        *next_id += 1;
        *next_id
    });
    let customers = whole(&mut || rng.below(n_cards) as i64);
    // The handbook has two terminals a card; ten cards a terminal are nearer to what happens.
    let terminals = whole(&mut || rng.below(n_cards / 10 + 1) as i64);
    let frauds = whole(&mut || i64::from(rng.below(120) == 0));
    let amounts = (0..n).map(|_| (rng.uniform() * 20_000.0).round() / 100.0);
    let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC"));
    Ok(RecordBatch::try_from_iter([
        ("TRANSACTION_ID", ids),
        ("TX_DATETIME", times),
        ("CUSTOMER_ID", customers),
        ("TERMINAL_ID", terminals),
        ("TX_FRAUD", frauds),
        ("TX_AMOUNT", Arc::new(Float64Array::from_iter_values(amounts))),
    ])?)
}

fn state(n_cards: usize, with_terminals: bool) -> Result<()> {
    let parts: &[&str] = if with_terminals { &[BY_CUSTOMER, BY_TERMINAL] } else { &[BY_CUSTOMER] };
    let (mut rng, mut next_id) = (Rng::new(1), 0);
    let mut windows = declaration(parts)?;
    windows.number.entry("TX_AMOUNT".into()).or_default().decimals = Some(2);
    let definition = Arc::new(Definition::new(windows)?);
    let mut state = State::new(definition.clone(), Limits::default());
    let days = if with_terminals { 38 } else { 31 };
    let mut out = vec![0.0; definition.n_columns()];
    let (mut seconds, mut n_events) = (0.0, 0);
    for at in 0..days * 24 {
        let events = Events::of(&hour(at, n_cards, &mut next_id, &mut rng)?, &definition)?;
        let started = Instant::now();
        for row in 0..events.n_rows() {
            state.advance(&events, row, None, &mut out)?;
        }
        seconds += started.elapsed().as_secs_f64();
        n_events += events.n_rows();
    }
    let gib = |bytes: usize| bytes as f64 / f64::from(1 << 30);
    println!(
        "cards        {n_cards}, {n_events} transactions of {days} days, {:.0} a second on one core",
        n_events as f64 / seconds
    );
    println!("state        {:.3} GiB, {:.0} bytes a card", gib(state.bytes()), state.bytes() as f64 / n_cards as f64);
    let path = std::env::temp_dir().join(format!("statera-windows-{}.state", std::process::id()));
    let outcome = write_and_read(&state, &definition, &path);
    std::fs::remove_file(&path)?;
    outcome
}

fn write_and_read(state: &State, definition: &Arc<Definition>, path: &Path) -> Result<()> {
    let started = Instant::now();
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    state.snapshot(&mut file)?;
    drop(file);
    let n_bytes = std::fs::metadata(path)?.len();
    println!("snapshot     {:.2} s, {:.3} GiB", started.elapsed().as_secs_f64(), n_bytes as f64 / f64::from(1 << 30));
    let started = Instant::now();
    let mut file = BufReader::with_capacity(1 << 20, File::open(path)?);
    let restored = State::restore(&mut file, n_bytes, definition.clone(), Limits::default())?;
    println!("restore      {:.2} s (at most 5 are wanted)", started.elapsed().as_secs_f64());
    if restored.n_keys() != state.n_keys() {
        bail!("the restored state has other keys");
    }
    Ok(())
}
