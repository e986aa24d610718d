//! `statera fraud edges`: the edges of a table, sent a part at a time.

use super::super::door::{Door, told};
use super::arguments::Edges;
use crate::console::{Console, count};
use anyhow::Context;
use serde_json::{Map, Value, json};
use statera_core::Result;
use statera_data::source::{self, ReadOptions};
use statera_data::texts_of;
use std::ops::Range;

/// Where they are sent.
const EDGES: &str = "/api/v1/edges";
/// What the answers count.
const COUNTS: [&str; 5] = ["edges", "new", "known", "unseen", "left_out"];

/// Sends a table of edges by time. Rows that are alike go in one request: the server takes those of two requests for the same. Which
/// columns make them alike is the server's to say, so it is asked first.
pub async fn send(door: &Door, args: &Edges, console: &Console) -> anyhow::Result<()> {
    let mut table = Table::read(&args.data)?;
    let (ignored, ahead) = drop_ignored(door, args, &mut table).await?;
    if !ignored.is_empty() {
        let names = ignored.iter().map(|name| format!("«{name}»")).collect::<Vec<_>>().join(", ");
        console.note(format!(
            "the model's edges have no column {names}, which is left out: rows that differ there alone are alike"
        ));
    }
    let order = table.order();
    let mut total = json!({
        "model": args.model, "edges": 0, "new": 0, "known": 0, "unseen": 0, "left_out": 0, "ignored_columns": ignored,
    });
    for lot in lots(&order, args.batch as usize) {
        let sent = count(total["edges"].as_f64().unwrap_or(0.0));
        let edges = order[lot].iter().map(|(_, row)| table.row(*row)).collect::<Vec<Value>>();
        let answer = door.post(EDGES, json!({ "model": args.model, "edges": edges })).await.with_context(|| {
            format!("{sent} edges of {} were sent; send them all again once it is mended: each counts once", args.data)
        })?;
        for name in COUNTS {
            let sum = total[name].as_u64().unwrap_or(0) + answer[name].as_u64().unwrap_or(0);
            total[name] = sum.into();
        }
    }
    // What was sent ahead, to ask, was known when it came again.
    let [new, known] = ["new", "known"].map(|name| total[name].as_u64().unwrap_or(0));
    let ahead = ahead.min(known);
    (total["new"], total["known"]) = ((new + ahead).into(), (known - ahead).into());
    let [n, new, known, unseen, left_out] = COUNTS.map(|name| count(total[name].as_f64().unwrap_or(0.0)));
    let text = format!(
        "{n} edges were sent: {new} are new, {known} were there; {unseen} are seen by no transaction to come, {left_out} are left out"
    );
    told(console, &total, &text)
}

/// Sends the first row to learn which columns nobody reads, and leaves them out; gives their names, and how many edges are new by that.
/// The row is sent again with those that are like it: it counts once.
async fn drop_ignored(door: &Door, args: &Edges, table: &mut Table) -> anyhow::Result<(Vec<String>, u64)> {
    let (mut ignored, mut ahead) = (Vec::new(), 0);
    while !table.rows.is_empty() {
        let asked = json!({ "model": args.model, "edges": [table.row(0)] });
        let answer = door.post(EDGES, asked).await.with_context(|| format!("no edge of {} was sent", args.data))?;
        ahead += answer["new"].as_u64().unwrap_or(0);
        let names: Vec<&str> =
            answer["ignored_columns"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        // The server names a bounded number of them at once.
        let dropped = table.drop_columns(|name| names.contains(&name));
        if dropped.is_empty() {
            break;
        }
        ignored.extend(dropped);
    }
    Ok((ignored, ahead))
}

/// A table as it is written.
struct Table {
    names: Vec<String>,
    /// Cells; an empty one is none.
    rows: Vec<Vec<Option<String>>>,
}

/// What rows are compared by, and which row it is.
type Keyed = (Vec<String>, usize);

impl Table {
    fn read(address: &str) -> Result<Table> {
        let mut reader = source::open(address, &ReadOptions::default())?;
        let mut table = Table { names: Vec::new(), rows: Vec::new() };
        while let Some(batch) = reader.next_batch()? {
            table.names = batch.schema().fields().iter().map(|field| field.name().clone()).collect();
            let columns: Vec<Vec<Option<String>>> = batch.columns().iter().map(texts_of).collect();
            let cell = |cells: &Vec<Option<String>>, row: usize| {
                cells[row].clone().filter(|text: &String| !text.trim().is_empty())
            };
            table.rows.extend(
                (0..batch.num_rows()).map(|row| columns.iter().map(|cells| cell(cells, row)).collect::<Vec<_>>()),
            );
        }
        Ok(table)
    }

    /// A row as an object of JSON; an empty cell is null.
    fn row(&self, row: usize) -> Value {
        let cells = self.names.iter().cloned().zip(self.rows[row].iter().map(|cell| Value::from(cell.clone())));
        Value::Object(cells.collect::<Map<String, Value>>())
    }

    /// Leaves columns out; gives their names.
    fn drop_columns(&mut self, is_dropped: impl Fn(&str) -> bool) -> Vec<String> {
        let kept: Vec<bool> = self.names.iter().map(|name| !is_dropped(name)).collect();
        for cells in &mut self.rows {
            let mut kept = kept.iter();
            cells.retain(|_| kept.next() != Some(&false));
        }
        let (names, dropped) =
            std::mem::take(&mut self.names).into_iter().zip(&kept).partition::<Vec<_>, _>(|(_, k)| **k);
        self.names = names.into_iter().map(|(name, _)| name).collect();
        dropped.into_iter().map(|(name, _)| name).collect()
    }

    /// The rows in the order of their time, those that are alike side by side. Numbers that are written differently are alike.
    fn order(&self) -> Vec<Keyed> {
        let time = (0..self.names.len()).find(|column| self.is_time(*column));
        let columns: Vec<usize> = time.into_iter().chain((0..self.names.len()).filter(|c| Some(*c) != time)).collect();
        let key = |cells: &Vec<Option<String>>| {
            columns.iter().map(|column| alike(cells[*column].as_deref())).collect::<Vec<String>>()
        };
        let mut order: Vec<Keyed> = self.rows.iter().enumerate().map(|(row, cells)| (key(cells), row)).collect();
        order.sort_unstable();
        order
    }

    /// True of a column whose cells all begin with a year and something after it that is neither digit nor letter: their texts have the
    /// order of the times.
    fn is_time(&self, column: usize) -> bool {
        let is_time = |cells: &Vec<Option<String>>| {
            let text = cells[column].as_deref().unwrap_or_default().trim();
            let (year, rest) = text.split_at_checked(4).unwrap_or_default();
            year.bytes().all(|b| b.is_ascii_digit()) && rest.starts_with(['-', '/', '.']) && rest.len() >= 4
        };
        !self.rows.is_empty() && self.rows.iter().all(is_time)
    }
}

/// A cell as it is compared: alike here may be different for the server, which does no harm in one request.
fn alike(cell: Option<&str>) -> String {
    let text = cell.unwrap_or_default().trim();
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => number.to_string(),
        _ => text.into(),
    }
}

/// Rows in their order in lots of `n`, and of more where the next ones are alike.
fn lots(order: &[Keyed], n: usize) -> Vec<Range<usize>> {
    let (mut lots, mut first) = (Vec::new(), 0);
    while first < order.len() {
        let mut end = (first + n).min(order.len());
        while end < order.len() && order[end].0 == order[end - 1].0 {
            end += 1;
        }
        lots.push(first..end);
        first = end;
    }
    lots
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn table(text: &str) -> Table {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("edges.csv");
        fs::write(&file, text).expect("written");
        Table::read(&file.display().to_string()).expect("a table")
    }

    fn rows_of(order: &[Keyed]) -> Vec<usize> {
        order.iter().map(|(_, row)| *row).collect()
    }

    fn sizes(order: &[Keyed], n: usize) -> Vec<usize> {
        lots(order, n).iter().map(ExactSizeIterator::len).collect()
    }

    #[test]
    fn a_table_is_sent_by_time_in_lots_that_part_no_twins() {
        let table = table("who,whom,since,amount\na,b,2026-05-02,\n007,b,2026-05-01,1.50\na,b,2026-05-02,\n");
        let twin = json!({"amount": null, "since": "2026-05-02", "who": "a", "whom": "b"});
        let first = json!({"amount": "1.50", "since": "2026-05-01", "who": "007", "whom": "b"});
        assert_eq!([0, 1, 2].map(|row| table.row(row)), [twin.clone(), first, twin], "as the table writes them");
        let order = table.order();
        assert_eq!(rows_of(&order), [1, 0, 2]);
        assert_eq!((sizes(&order, 1), sizes(&order, 2), sizes(&order, 9)), (vec![1, 2], vec![3], vec![3]));
    }

    #[test]
    fn rows_that_differ_where_nobody_reads_are_alike() {
        let mut table = table(
            "edge_id,who,whom,since,amount,note\n\
             1,a,b,2026-05-01,1.50,x\n2,c,d,2026-05-01,2,x\n3,a,b,2026-05-01,1.5,y\n4,a,b,2026-04-30,1.5,y\n",
        );
        assert_eq!(sizes(&table.order(), 1), [1, 1, 1, 1]);
        assert_eq!(table.drop_columns(|name| ["edge_id", "note"].contains(&name)), ["edge_id", "note"]);
        assert_eq!(table.row(0), json!({"who": "a", "whom": "b", "since": "2026-05-01", "amount": "1.50"}));
        let order = table.order();
        assert_eq!((rows_of(&order), sizes(&order, 1)), (vec![3, 0, 2, 1], vec![1, 2, 1]));
        assert!(table.drop_columns(|name| name == "edge_id").is_empty());
    }
}
