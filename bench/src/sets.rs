//! The public sets of `../shared/bench/peers.py`, as learners see them.

use anyhow::{Context, Result, bail};
use arrow_array::UInt64Array;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use statera_core::{Column, FIRST_LEVEL, FeatureSpec, Frame, FrameSpec};
use statera_data::Table;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The folder of the public data: `STATERA_DATA`, else `../shared/data` beside the repository. `--data` overrides both.
pub fn folder() -> PathBuf {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data");
    std::env::var_os("STATERA_DATA").map_or_else(|| beside.into(), PathBuf::from)
}

/// The rows that `keep` wants, as a table of one batch.
pub fn rows_of(table: &Table, keep: impl Fn(usize) -> bool) -> Result<Table> {
    let all = arrow_select::concat::concat_batches(&table.batches[0].schema(), &table.batches)?;
    let rows = UInt64Array::from_iter_values((0..all.num_rows()).filter(|&r| keep(r)).map(|r| r as u64));
    let batch = arrow_select::take::take_record_batch(&all, &rows)?;
    Ok(Table { columns: table.columns.clone(), batches: vec![batch], origin: table.origin.clone() })
}

/// The frame of a set: numbers as numbers, the others as levels, in the folder `data`.
pub fn load(name: &str, data: &Path) -> Result<Frame> {
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
            let mut known = None;
            columns.push(match numbers {
                Some(numbers) => Column::Number(numbers),
                None => {
                    let mut levels = cells.clone();
                    levels.sort();
                    levels.dedup();
                    let code = |c: &String| levels.binary_search(c).map_or(0, |i| FIRST_LEVEL + i as u32);
                    let codes = cells.iter().map(code).collect();
                    known = Some(levels);
                    Column::Codes(codes)
                }
            });
            spec.features.push(feature(raw, name, known));
        }
        frame_of(spec, columns, self.target)
    }
}

fn feature(raw: usize, name: String, levels: Option<Vec<String>>) -> FeatureSpec {
    FeatureSpec { name, raw, levels, sentinels: Vec::new(), monotone: 0 }
}

fn frame_of(spec: FrameSpec, columns: Vec<Column>, target: Vec<f64>) -> Frame {
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
    let features = raw_columns.iter().enumerate().map(|(raw, name)| feature(raw, name.clone(), None)).collect();
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
