//! A small invented table that every model can learn from: numbers with missing cells and a sentinel, levels with rare and
//! missing ones, a constant column, a time, a weight.

#![allow(dead_code)]

use arrow_array::{
    ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, UInt64Array,
};
use statera::project::Settings;
use statera_core::{Kind, Rng};
use statera_data::{ColumnInfo, Table};
use std::sync::Arc;

/// Kinds of the columns of [`table`].
const KINDS: [(&str, Kind); 9] = [
    ("income", Kind::Number),
    ("debt", Kind::Number),
    ("months", Kind::Number),
    ("region", Kind::Category),
    ("constant", Kind::Number),
    ("opened", Kind::Time),
    ("weight", Kind::Number),
    ("bad", Kind::Number),
    ("loss", Kind::Number),
];

/// `n` rows; `bad` is 0/1, `loss` a real number.
pub fn table(n: usize, seed: u64) -> Table {
    let mut rng = Rng::new(seed);
    let (mut income, mut debt, mut months, mut region) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut opened, mut weight, mut bad, mut loss) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..n {
        let (i, d) = (rng.normal(), rng.normal());
        let m = if rng.uniform() < 0.2 { 999 } else { rng.below(60) as i64 };
        let r = ["north", "south", "east", "west"][rng.below(4)];
        let hinge = if m == 999 { -0.8 } else { 0.02 * m as f64 };
        let z = -0.5 - 1.1 * i + 0.9 * d + hinge - 0.6 + if r == "east" { 0.7 } else { 0.0 };
        let p = 1.0 / (1.0 + (-z).exp());
        income.push((rng.uniform() > 0.08).then_some((2_000.0 + 900.0 * i).round()));
        debt.push(Some(d));
        months.push(Some(m));
        region.push(match rng.uniform() {
            u if u < 0.05 => None,
            u if u < 0.052 => Some("rare"),
            _ => Some(r),
        });
        opened.push(1_500_000_000_000_000 + rng.below(2_000) as i64 * 86_400_000_000);
        weight.push(if rng.uniform() < 0.5 { 1.0 } else { 2.0 });
        bad.push(i64::from(rng.uniform() < p));
        loss.push(z + 0.3 * rng.normal());
    }
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("income", Arc::new(Float64Array::from(income))),
        ("debt", Arc::new(Float64Array::from(debt))),
        ("months", Arc::new(Int64Array::from(months))),
        ("region", Arc::new(StringArray::from(region))),
        ("constant", Arc::new(Int64Array::from(vec![7; n]))),
        ("opened", Arc::new(TimestampMicrosecondArray::from(opened).with_timezone("UTC"))),
        ("weight", Arc::new(Float64Array::from(weight))),
        ("bad", Arc::new(Int64Array::from(bad))),
        ("loss", Arc::new(Float64Array::from(loss))),
    ];
    of_batch(RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true))).unwrap())
}

/// [`table`], without the rows that have no place among three classes where `region` is the target.
pub fn table_for(target: &str, n: usize) -> Table {
    let table = table(n, 5);
    if target != "region" {
        return table;
    }
    let batch = &table.batches[0];
    let region = batch.column_by_name("region").unwrap().as_any().downcast_ref::<StringArray>().unwrap();
    let known = |r: &usize| matches!(region.iter().nth(*r).flatten(), Some("north" | "south" | "east"));
    let rows = UInt64Array::from_iter_values((0..n).filter(known).map(|r| r as u64));
    of_batch(arrow_select::take::take_record_batch(batch, &rows).unwrap())
}

/// A table of one batch with the kinds above.
pub fn of_batch(batch: RecordBatch) -> Table {
    let kind = |name: &str| KINDS.iter().find(|k| k.0 == name).map_or(Kind::Category, |k| k.1);
    let columns =
        batch.schema().fields().iter().map(|f| ColumnInfo { name: f.name().clone(), kind: kind(f.name()) }).collect();
    Table { columns, batches: vec![batch], origin: "invented".into() }
}

/// Settings for one model; the columns that are other targets are dropped. Two columns are the steps of a sequence, for the
/// models that read one; for the model that reads neighbourhoods three are a node, its neighbour and that one's.
pub fn settings(target: &str, model: &str) -> Settings {
    let is_of_nodes = model == "graphsage";
    let steps = if is_of_nodes { &["income", "debt", "months"][..] } else { &["income", "debt"] };
    let steps = steps.iter().map(|name| vec![(*name).to_string()]).collect();
    let fans = is_of_nodes.then(|| ("amounts".to_string(), [1, 1]));
    let drop = ["bad", "loss", "weight"].into_iter().filter(|c| *c != target).map(String::from).collect();
    Settings {
        target: target.into(),
        drop,
        quick: true,
        models: vec![model.into()],
        sequences: [("amounts".to_string(), steps)].into(),
        fans: fans.into_iter().collect(),
        missing: [("months".to_string(), vec!["999".to_string()])].into(),
        ..Settings::default()
    }
}
