mod answers;
mod real;
mod reference;
mod tiles;

use super::*;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray};
use std::sync::Arc;

/// Microseconds of an hour.
const HOUR: i64 = 3_600_000_000;

/// An event as tests write it.
#[derive(Debug, Clone, PartialEq)]
struct Event {
    id: i64,
    time: i64,
    customer: Option<i64>,
    terminal: Option<&'static str>,
    amount: Option<i64>,
    rate: Option<f64>,
    channel: Option<&'static str>,
    fraud: Option<i64>,
    known: Option<i64>,
}

/// An event at an hour, of customer 1 at terminal a, of 10.00.
fn event(id: i64, hour: i64) -> Event {
    Event {
        id,
        time: hour * HOUR,
        customer: Some(1),
        terminal: Some("a"),
        amount: Some(1_000),
        rate: None,
        channel: None,
        fraud: None,
        known: None,
    }
}

/// Amounts have two decimals.
fn batch(events: &[Event]) -> RecordBatch {
    let times = |f: fn(&Event) -> Option<i64>| -> ArrayRef {
        let array = arrow_array::TimestampMicrosecondArray::from_iter(events.iter().map(f));
        Arc::new(array.with_timezone("UTC"))
    };
    let whole = |f: fn(&Event) -> Option<i64>| -> ArrayRef { Arc::new(Int64Array::from_iter(events.iter().map(f))) };
    let text =
        |f: fn(&Event) -> Option<&'static str>| -> ArrayRef { Arc::new(StringArray::from_iter(events.iter().map(f))) };
    let amounts = Decimal128Array::from_iter(events.iter().map(|e| e.amount.map(i128::from)));
    let columns: [(&str, ArrayRef); 9] = [
        ("id", whole(|e| Some(e.id))),
        ("time", times(|e| Some(e.time))),
        ("customer", whole(|e| e.customer)),
        ("terminal", text(|e| e.terminal)),
        ("amount", Arc::new(amounts.with_precision_and_scale(38, 2).unwrap())),
        ("rate", Arc::new(Float64Array::from_iter(events.iter().map(|e| e.rate)))),
        ("channel", text(|e| e.channel)),
        ("fraud", whole(|e| e.fraud)),
        ("known", times(|e| e.known)),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

/// A definition of what follows the columns' names in TOML.
fn definition(features: &str) -> Arc<Definition> {
    definition_without_label_time(&format!("label_time = 'known'\n{features}"))
}

/// The same where labels become known after their delay.
fn definition_without_label_time(features: &str) -> Arc<Definition> {
    let head = "time = 'time'\nid = 'id'\nlabel = 'fraud'\nlabel_delay = '2d'\n";
    let windows: Windows = crate::toml_text::read(&format!("{head}{features}"), "test").unwrap();
    Arc::new(Definition::of_table(windows, &batch(&[event(1, 0)])).unwrap())
}

/// Bits of the columns of all rows, missing as `None`.
fn bits(columns: &[ArrayRef]) -> Vec<Vec<Option<u64>>> {
    let bits = |column: &ArrayRef| match column.as_primitive_opt::<Int64Type>() {
        Some(whole) => whole.iter().map(|v| v.map(|v| (v as f64).to_bits())).collect(),
        None => column.as_primitive::<Float64Type>().iter().map(|v| v.map(f64::to_bits)).collect(),
    };
    columns.iter().map(bits).collect()
}

/// The cells of one column over a sweep of events.
fn swept(features: &str, events: &[Event], column: &str) -> Vec<Option<f64>> {
    let definition = definition(features);
    let columns = sweep(&definition, &Events::of(&batch(events), &definition).unwrap()).unwrap();
    let at = definition.column_names().position(|name| name == column);
    let at = at.unwrap_or_else(|| panic!("no {column}; {:?}", definition.column_names().collect::<Vec<_>>()));
    bits(&columns)[at].iter().map(|v| v.map(f64::from_bits)).collect()
}
