//! Figures of networks are facts of small graphs, of brute force over random ones, and of networkx.

mod answers;
mod coming;
mod page_rank;
mod random;
mod small;
mod state;

use super::*;
use crate::table::ColumnInfo;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow_schema::DataType;
use statera_core::{Result, Run};
use std::sync::Arc;

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

/// An edge as a test writes it: from, to, microseconds, amount, kind.
type EdgeLine = (&'static str, &'static str, i64, f64, &'static str);

/// A row as a test writes it.
#[derive(Debug, Clone, Copy, Default)]
struct RowLine {
    a: Option<&'static str>,
    b: Option<&'static str>,
    at: i64,
    x: Option<f64>,
    is_fraud: bool,
    told: Option<i64>,
}

/// A row of one node.
fn row(a: &'static str, at: i64) -> RowLine {
    RowLine { a: Some(a), at, ..RowLine::default() }
}

fn times(cells: Vec<Option<i64>>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(cells).with_timezone("UTC"))
}

fn edge_batch(edges: &[EdgeLine]) -> RecordBatch {
    let text = |of: fn(&EdgeLine) -> &'static str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(edges.iter().map(of)))
    };
    let amounts: ArrayRef = Arc::new(Float64Array::from_iter_values(edges.iter().map(|e| e.3)));
    RecordBatch::try_from_iter([
        ("from", text(|e| e.0)),
        ("to", text(|e| e.1)),
        ("time", times(edges.iter().map(|e| Some(e.2)).collect())),
        ("amount", amounts),
        ("kind", text(|e| e.4)),
    ])
    .unwrap()
}

fn row_batch(rows: &[RowLine]) -> RecordBatch {
    let [a, b] = [|r: &RowLine| r.a, |r: &RowLine| r.b].map(|of: fn(&RowLine) -> Option<&'static str>| {
        Arc::new(StringArray::from_iter(rows.iter().map(of))) as ArrayRef
    });
    let numbers: ArrayRef = Arc::new(Float64Array::from_iter(rows.iter().map(|r| r.x)));
    let frauds: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| i64::from(r.is_fraud))));
    RecordBatch::try_from_iter([
        ("a", a),
        ("b", b),
        ("at", times(rows.iter().map(|r| Some(r.at)).collect())),
        ("x", numbers),
        ("fraud", frauds),
        ("told", times(rows.iter().map(|r| r.told).collect())),
    ])
    .unwrap()
}

/// The declaration of rows with one node, or with two, and these features.
fn network(nodes: &str, more: &str) -> String {
    format!(
        "time = \"at\"\nnodes = [{nodes}]\nlabel = \"fraud\"\nlabel_delay = \"7d\"\nlabel_time = \"told\"\n\
         edges = {{ purpose = [\"fraud\"], amount = \"amount\", kind = \"kind\" }}\n{more}"
    )
}

fn definition(text: &str) -> Result<Definition> {
    Definition::new(crate::toml_text::read(text, "test")?)
}

/// Cells as numbers, NaN where missing.
fn cells(column: &ArrayRef) -> Vec<f64> {
    if *column.data_type() == DataType::Int64 {
        return column.as_primitive::<Int64Type>().iter().map(|v| v.map_or(f64::NAN, |v| v as f64)).collect();
    }
    column.as_primitive::<Float64Type>().iter().map(|v| v.unwrap_or(f64::NAN)).collect()
}

/// The columns of rows from `first` on.
fn made(definition: &Definition, edges: &[EdgeLine], rows: &[RowLine], first: usize) -> Vec<Vec<f64>> {
    let edges = Edges::of(&edge_batch(edges), definition).unwrap();
    let rows = Rows::of(&row_batch(rows), definition).unwrap();
    columns(definition, &edges, &rows, first, &Run::new(1, 2)).unwrap().iter().map(cells).collect()
}

/// The one column of a declaration.
fn one(text: &str, edges: &[EdgeLine], rows: &[RowLine]) -> Vec<f64> {
    let definition = definition(text).unwrap();
    let mut made = made(&definition, edges, rows, 0);
    assert_eq!(made.len(), 1, "{:?}", definition.column_names().collect::<Vec<_>>());
    made.remove(0)
}

/// Equal, and missing where the other is.
fn same(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a == b || a.is_nan() && b.is_nan())
}

#[test]
fn columns_are_named_by_one_function_and_typed_by_what_they_are() {
    let text = network(
        "\"a\", \"b\"",
        "[[feature]]\nwhat = [\"fan_in\", \"amount_out\"]\nover = [\"1d\", \"24h\"]\nnodes = [\"b\"]\nkinds = [\"device\"]\n",
    );
    let message = definition(&text).unwrap_err().to_string();
    assert_eq!(message, "network: column «b_device_fan_in_1d» would be made twice");
    let text = network(
        "\"a\", \"b\"",
        "[[feature]]\nwhat = [\"fan_in\", \"closes_3\"]\nover = [\"7d\"]\n\
         [[feature]]\nwhat = [\"neighbour_max\"]\nof = \"x\"\nover = [\"7d\"]\ndirection = \"in\"\n\
         [[feature]]\nwhat = [\"pagerank\"]\nover = [\"30d\"]\nnodes = [\"b\"]\n",
    );
    let definition = definition(&text).unwrap();
    let names = ["a_fan_in_7d", "b_fan_in_7d", "a_b_closes_3_7d", "a_neighbour_max_x_in_7d", "b_neighbour_max_x_in_7d"];
    let all = [&names[..], &["b_pagerank_30d"]].concat();
    assert_eq!(definition.column_names().collect::<Vec<_>>(), all);
    assert_eq!(definition.network().column_names(), all);
    assert_eq!(definition.network().inputs(), ["at", "fraud", "told", "a", "b", "x"]);
    let infos: Vec<ColumnInfo> = column_infos(&definition);
    assert_eq!(infos.len(), 6);
    let edges = Edges::of(&edge_batch(&[("u", "v", 1, 1.0, "pay")]), &definition).unwrap();
    let rows = Rows::of(&row_batch(&[row("u", 5)]), &definition).unwrap();
    let types: Vec<DataType> = columns(&definition, &edges, &rows, 0, &Run::new(1, 1))
        .unwrap()
        .iter()
        .map(|c| c.data_type().clone())
        .collect();
    let (whole, real) = (DataType::Int64, DataType::Float64);
    assert_eq!(types, [whole.clone(), whole.clone(), whole, real.clone(), real.clone(), real]);
}

#[test]
fn a_declaration_survives_its_text() {
    let text = network("\"a\", \"b\"", "[[feature]]\nwhat = [\"cycles_2\"]\nover = [\"7d\"]\nkinds = [\"pay\"]\n");
    let definition = definition(&text).unwrap();
    let written = toml::to_string(definition.network()).unwrap();
    assert_eq!(super::tests::definition(&written).unwrap(), definition, "{written}");
}
