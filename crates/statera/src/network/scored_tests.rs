//! Networks beside rows that are scored or on which rules are tried: places in errors, rows that came before, what is known later.

use super::tests::{PROJECT, Trained, trained};
use super::*;
use crate::rules::{Labelled, RuleSet, backtest_table};
use std::fs;

/// A rule of a condition, with the kinds of columns that it declares.
fn rules(columns: &str, when: &str) -> (String, RuleSet) {
    let text = format!(
        "version = \"1\"\n[columns]\n{columns}\n[[rule]]\ncode = \"R\"\nen = \"n\"\nko = \"이\"\nzh = \"名\"\naction = \"hold\"\n\
         when = \"{when}\"\n"
    );
    let read = RuleSet::parse(&text, |name| Err(Error::io(name.to_string()))).unwrap();
    (text, read)
}

/// The rows of the training in two tables: `before.csv`, of so many rows, and `new.csv`.
fn part(trained: &Trained, n_before: usize) -> Vec<String> {
    let lines: Vec<String> = fs::read_to_string(trained.path("loans.csv")).unwrap().lines().map(String::from).collect();
    put(trained, "before.csv", &lines, 1..n_before + 1);
    put(trained, "new.csv", &lines, n_before + 1..lines.len());
    lines
}

fn put(trained: &Trained, name: &str, lines: &[String], rows: std::ops::Range<usize>) {
    fs::write(trained.path(name), [&lines[..1], &lines[rows]].concat().join("\n")).unwrap();
}

#[test]
fn an_error_of_a_row_is_of_its_own_table_and_counts_the_rows_there() {
    let trained = trained(PROJECT);
    let mut lines = part(&trained, 1_000);
    let n_rows = lines.len();
    for row in [3, 1_001] {
        let mut cells: Vec<&str> = lines[row].split(',').collect();
        cells[1] = "";
        lines[row] = cells.join(",");
    }
    put(&trained, "odd_before.csv", &lines, 1..1_001);
    put(&trained, "odd_new.csv", &lines, 1_001..n_rows);
    for (data, history, told) in [
        ("odd_new.csv", Some("before.csv"), "odd_new.csv: column «at», row 1: missing; every row needs a time"),
        ("odd_new.csv", None, "odd_new.csv: column «at», row 1: missing; every row needs a time"),
        ("new.csv", Some("odd_before.csv"), "odd_before.csv: column «at», row 3: missing; every row needs a time"),
    ] {
        let message = trained.score(data, history, Some("friends.csv")).unwrap_err().to_string();
        assert!(message.ends_with(told), "{message}\nwanted {told}");
    }
}

#[test]
fn rules_are_tried_on_raw_rows_after_their_history_as_in_the_whole_table() {
    let trained = trained(PROJECT);
    let lines = part(&trained, 2_400);
    let run = Run::new(1, 1);
    let table = |name: &str| read_table(&trained.path(name), &ReadOptions::default(), &run).unwrap();
    let (edges, before, new) = (trained.path("friends.csv"), table("before.csv"), table("new.csv"));
    let bundle = &trained.bundle;
    let whole = complete(bundle, &table("loans.csv"), Some(&edges), &run).unwrap();
    let made = complete_after(bundle, &new, Some(&before), Some(&edges), &run).unwrap();
    let n_new = lines.len() - 2_401;
    assert_eq!(made.n_rows(), n_new, "rules are not tried on what came before");
    for name in bundle.network.as_ref().unwrap().definition.column_names() {
        let cells = |table: &Table| {
            let columns: Vec<ArrayRef> =
                table.batches.iter().map(|batch| batch.column_by_name(name).unwrap().clone()).collect();
            assert_eq!(columns.len(), 1, "one batch");
            columns[0].clone()
        };
        assert_eq!(cells(&made).to_data(), cells(&whole).slice(2_400, n_new).to_data(), "{name}");
    }
    let (_, set) = rules("", "customer_fan_in_60d >= 1");
    let found = backtest_table(&set, &made, Some(bundle), Labelled::default()).unwrap().backtest;
    assert!(found.n_rows == n_new && found.rules[0].alerts > 0, "{found:?}");
    let said = |table: &Table, edges: Option<&str>| {
        complete_after(bundle, table, Some(&before), edges, &run).unwrap_err().to_string()
    };
    assert!(said(&new, None).contains("which the rows do not have; give the edges (--edges DATA)"));
    let told = said(&made, None);
    assert!(
        told.ends_with("the rows have the columns of the bundle's windows and network already; leave it out"),
        "{told}"
    );
}

#[test]
fn rules_read_nothing_that_the_network_knows_later_only() {
    let mut bundle = trained(PROJECT).bundle;
    let own = bundle.network.as_mut().expect("the bundle has a network");
    let mut network = own.definition.network().clone();
    // As where the network's label is another one than the target.
    for feature in network.features.iter_mut().filter(|feature| feature.of.as_deref() == Some("bad")) {
        feature.of = Some("fell".into());
    }
    (network.label, network.label_time) = (Some("fell".into()), Some("told".into()));
    own.definition = Arc::new(Definition::new(network).unwrap());
    let late = bundle.known_late();
    assert!(["bad", "fell", "told"].iter().all(|name| late.contains(name)), "{late:?}");
    let (text, read) = rules("told = \"time\"", "told is present");
    let message = bundle.ruled_by(&text, read).err().expect("refused").to_string();
    let told = "rule «R»: «told» is known later than the row; allowed are columns that are known when it is decided";
    assert!(message.ends_with(told), "{message}");
}
