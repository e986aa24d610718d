//! The Fraud Detection Handbook's transactions: its own columns, and a month both ways. Passed over where the data are absent.

use super::*;
use crate::source::{ReadOptions, read_table};
use crate::{Table, preparer};
use arrow_select::concat::concat_batches;
use statera_core::Run;
use std::collections::HashMap;
use std::path::PathBuf;

const HANDBOOK: &str = "
time = 'TX_DATETIME'
id = 'TRANSACTION_ID'
label = 'TX_FRAUD'
label_delay = '7d'
[[feature]]
key = 'CUSTOMER_ID'
of = 'TX_AMOUNT'
what = ['count', 'mean']
over = ['1d', '7d', '30d']
[[feature]]
key = 'TERMINAL_ID'
of = 'TX_FRAUD'
what = ['count', 'mean']
over = ['1d', '7d', '30d']
shift = 'label'
";

fn read(file: &str) -> Option<RecordBatch> {
    let root: PathBuf = std::env::var("STATERA_DATA")
        .unwrap_or(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data").into())
        .into();
    let path = root.join("fraud_handbook_simulated").join(file);
    if !path.exists() {
        eprintln!("passed over: no {}", path.display());
        return None;
    }
    let Table { batches, .. } = read_table(path.to_str()?, &ReadOptions::default(), &Run::new(1, 2)).unwrap();
    Some(concat_batches(&batches[0].schema(), &batches).unwrap())
}

/// The rows from one day to another, counted from 2018-04-01.
fn days(raw: &RecordBatch, from: f64, to: f64) -> (usize, RecordBatch) {
    let day = preparer::number_cells("day", raw.column_by_name("TX_TIME_DAYS").unwrap()).unwrap();
    let (first, end) = (day.partition_point(|d| *d < from), day.partition_point(|d| *d < to));
    (first, raw.slice(first, end - first))
}

#[test]
fn the_handbooks_columns_and_a_month_both_ways() {
    let (Some(raw), Some(shipped)) =
        (read("transactions_raw.csv.gz"), read("transactions_transformed_2018-07_2018-08.parquet"))
    else {
        return;
    };
    let windows: Windows = crate::toml_text::read(HANDBOOK, "handbook").unwrap();
    let definition = Arc::new(Definition::of_table(windows, &raw).unwrap());
    let swept = sweep(&definition, &Events::of(&raw, &definition).unwrap()).unwrap();

    // Of one instant the shipped rows are in another order.
    let ids =
        |batch: &RecordBatch| preparer::number_cells("id", batch.column_by_name("TRANSACTION_ID").unwrap()).unwrap();
    let at: HashMap<u64, usize> = ids(&raw).iter().enumerate().map(|(row, id)| (id.to_bits(), row)).collect();
    let rows: Vec<usize> = ids(&shipped).iter().map(|id| at[&id.to_bits()]).collect();
    // A customer's events of one instant are in the order of their ids here, and in that of a file there.
    let times = preparer::time_cells("time", shipped.column_by_name("TX_DATETIME").unwrap()).unwrap();
    let customers = preparer::number_cells("customer", shipped.column_by_name("CUSTOMER_ID").unwrap()).unwrap();
    let instant = |i: usize| (customers[i].to_bits(), times[i]);
    let mut n_at: HashMap<_, usize> = HashMap::new();
    (0..rows.len()).for_each(|i| *n_at.entry(instant(i)).or_default() += 1);
    let alone: Vec<usize> = (0..rows.len()).filter(|i| n_at[&instant(*i)] == 1).collect();
    assert_eq!(rows.len() - alone.len(), 12);
    let own = ["NB_TX", "AVG_AMOUNT", "NB_TX", "RISK"];
    for (i, (name, column)) in definition.column_names().zip(&swept).enumerate() {
        let key = if i < 6 { "CUSTOMER_ID" } else { "TERMINAL_ID" };
        let theirs = format!("{key}_{}_{}DAY_WINDOW", own[i / 3], [1, 7, 30][i % 3]);
        let expected = preparer::number_cells(&theirs, shipped.column_by_name(&theirs).unwrap()).unwrap();
        let made = preparer::number_cells(name, column).unwrap();
        let apart = alone.iter().map(|&i| (made[rows[i]] - expected[i]).abs()).fold(0.0, f64::max);
        assert!(apart < 1e-4, "{name} and {theirs} are {apart} apart");
    }

    // July, after the 37 days that its windows reach back.
    let (_, history) = days(&raw, 54.0, 91.0);
    let (first, july) = days(&raw, 91.0, 122.0);
    let mut state = State::new(definition.clone(), Limits::default());
    let (_, refused) = state.advance_all(&Events::of(&history, &definition).unwrap(), None);
    assert_eq!(refused, []);
    let (columns, refused) = state.advance_all(&Events::of(&july, &definition).unwrap(), None);
    assert_eq!(refused, []);
    let swept: Vec<ArrayRef> = swept.iter().map(|c| c.slice(first, july.num_rows())).collect();
    assert!(bits(&columns) == bits(&swept), "July is the same to the bit");
}
