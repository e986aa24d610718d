//! `statera fraud edges`: the edges of a table, sent a part at a time.

use super::super::door::{Door, told};
use super::arguments::Edges;
use crate::console::{Console, count};
use anyhow::Context;
use serde_json::{Map, Value, json};
use statera_core::Result;
use statera_data::source::{self, ReadOptions};
use statera_data::texts_of;

/// Where they are sent.
const EDGES: &str = "/api/v1/edges";
/// What the answers count.
const COUNTS: [&str; 5] = ["edges", "new", "known", "unseen", "left_out"];

/// Sends a table of edges. Rows that are alike go in one request: the server takes those of two requests for the same.
pub async fn send(door: &Door, args: &Edges, console: &Console) -> anyhow::Result<()> {
    let mut rows = rows(&args.data)?;
    rows.sort_unstable();
    let mut total = json!({ "model": args.model, "edges": 0, "new": 0, "known": 0, "unseen": 0, "left_out": 0 });
    for lot in lots(&rows, args.batch as usize) {
        let sent = count(total["edges"].as_f64().unwrap_or(0.0));
        let edges = lot.iter().map(|row| serde_json::from_str(row)).collect::<serde_json::Result<Vec<Value>>>()?;
        let answer = door.post(EDGES, json!({ "model": args.model, "edges": edges })).await.with_context(|| {
            format!("{sent} edges of {} were sent; send them all again once it is mended: each counts once", args.data)
        })?;
        for name in COUNTS {
            let sum = total[name].as_u64().unwrap_or(0) + answer[name].as_u64().unwrap_or(0);
            total[name] = sum.into();
        }
    }
    let [n, new, known, unseen, left_out] = COUNTS.map(|name| count(total[name].as_f64().unwrap_or(0.0)));
    let text = format!(
        "{n} edges were sent: {new} are new, {known} were there; {unseen} are seen by no transaction to come, {left_out} are left out"
    );
    told(console, &total, &text)
}

/// Rows as objects of JSON, as the table writes their cells; an empty cell is null.
fn rows(address: &str) -> Result<Vec<String>> {
    let mut reader = source::open(address, &ReadOptions::default())?;
    let mut rows = Vec::new();
    while let Some(batch) = reader.next_batch()? {
        let schema = batch.schema();
        let columns: Vec<Vec<Option<String>>> = batch.columns().iter().map(texts_of).collect();
        for row in 0..batch.num_rows() {
            let cell = |cells: &Vec<Option<String>>| cells[row].clone().filter(|text| !text.trim().is_empty());
            let cells =
                schema.fields().iter().zip(&columns).map(|(field, cells)| (field.name().clone(), cell(cells).into()));
            rows.push(Value::Object(cells.collect::<Map<String, Value>>()).to_string());
        }
    }
    Ok(rows)
}

/// Rows, which are sorted, in lots of `n`, and of more where the next ones are alike.
fn lots(rows: &[String], n: usize) -> Vec<&[String]> {
    let (mut lots, mut rest) = (Vec::new(), rows);
    while !rest.is_empty() {
        let mut end = n.min(rest.len());
        while end < rest.len() && rest[end] == rest[end - 1] {
            end += 1;
        }
        let (lot, more) = rest.split_at(end);
        lots.push(lot);
        rest = more;
    }
    lots
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_table_is_sent_in_lots_that_part_no_twins() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("edges.csv");
        fs::write(&file, "who,whom,since,amount\n007,b,2026-05-01,1.50\na,b,2026-05-02,\na,b,2026-05-02,\n")
            .expect("written");
        let mut rows = rows(&file.display().to_string()).expect("rows");
        let twin = r#"{"amount":null,"since":"2026-05-02","who":"a","whom":"b"}"#;
        let first = r#"{"amount":"1.50","since":"2026-05-01","who":"007","whom":"b"}"#;
        assert_eq!(rows, [first, twin, twin], "as the table writes them");
        rows.sort_unstable();
        let sizes = |n: usize| lots(&rows, n).iter().map(|lot| lot.len()).collect::<Vec<_>>();
        assert_eq!((sizes(1), sizes(2), sizes(9)), (vec![1, 2], vec![3], vec![3]));
    }
}
