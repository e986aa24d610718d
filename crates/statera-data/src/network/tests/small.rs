//! Small graphs, by hand.

use super::*;

const PAY: &str = "pay";

fn feature(what: &str, more: &str) -> String {
    network("\"a\"", &format!("[[feature]]\nwhat = [\"{what}\"]\nover = [\"1d\"]\n{more}"))
}

#[test]
fn fan_in_and_out_count_nodes_edges_and_money_of_a_window_without_its_ends() {
    let edges = [
        ("u", "v", 0, 10.0, PAY),
        ("w", "v", 5 * SECOND, 0.1, PAY),
        ("u", "v", 6 * SECOND, 0.2, PAY),
        ("v", "u", 7 * SECOND, 4.0, "device"),
    ];
    let at = |t: i64| row("v", t);
    let rows = [at(0), at(SECOND), at(7 * SECOND), at(DAY - 1), at(DAY), at(DAY + 5 * SECOND), at(2 * DAY)];
    let check = |what: &str, more: &str, expected: &[f64]| {
        let found = one(&feature(what, more), &edges, &rows);
        assert_eq!(found, expected, "{what} {more}");
    };
    check("fan_in", "", &[0.0, 1.0, 2.0, 2.0, 2.0, 1.0, 0.0]);
    check("edges_in", "", &[0.0, 1.0, 3.0, 3.0, 2.0, 1.0, 0.0]);
    // Sums are exact: 0.1 + 0.2 is 0.3, and nothing is left over when edges leave.
    check("amount_in", "", &[0.0, 10.0, 10.3, 10.3, 0.3, 0.2, 0.0]);
    check("fan_out", "", &[0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0]);
    check("fan_out", "kinds = [\"pay\"]\n", &[0.0; 7]);
    check("fan_out", "kinds = [\"device\", \"pay\"]\n", &[0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0]);
    let until = |what: &str| feature(what, "").replace("nodes =", "until = \"at\"\nnodes =");
    assert_eq!(one(&until("fan_in"), &edges, &rows), [1.0, 1.0, 2.0, 2.0, 2.0, 1.0, 0.0]);
    assert_eq!(one(&until("fan_out"), &edges, &rows), [0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0]);
}

#[test]
fn short_cycles_are_of_the_window_only() {
    let edges = [
        ("u", "v", SECOND, 1.0, PAY),
        ("v", "u", 2 * SECOND, 1.0, PAY),
        ("v", "u", 3 * SECOND, 1.0, PAY),
        ("v", "w", 4 * SECOND, 1.0, PAY),
        ("w", "u", 5 * SECOND, 1.0, PAY),
        ("w", "z", 6 * SECOND, 1.0, PAY),
    ];
    let rows = [row("u", 3 * SECOND), row("u", 9 * SECOND), row("w", 9 * SECOND), row("u", DAY + 2 * SECOND)];
    assert_eq!(one(&feature("cycles_2", ""), &edges, &rows), [1.0, 1.0, 0.0, 0.0]);
    assert_eq!(one(&feature("cycles_3", ""), &edges, &rows), [0.0, 1.0, 1.0, 0.0]);
    // A transfer from a to b closes a cycle where something went from b to a before.
    let pair = |a, b, at| RowLine { b: Some(b), ..row(a, at) };
    let rows =
        [pair("u", "v", 3 * SECOND), pair("u", "v", 9 * SECOND), pair("z", "v", 9 * SECOND), row("u", 9 * SECOND)];
    let of_pairs =
        |what: &str| network("\"a\", \"b\"", &format!("[[feature]]\nwhat = [\"{what}\"]\nover = [\"1d\"]\n"));
    let found = one(&of_pairs("closes_2"), &edges, &rows);
    assert!(same(&found, &[1.0, 1.0, 0.0, f64::NAN]), "{found:?}");
    let found = one(&of_pairs("closes_3"), &edges, &rows);
    assert!(same(&found, &[0.0, 1.0, 1.0, f64::NAN]), "{found:?}");
}

#[test]
fn neighbours_tell_their_last_cell_and_frauds_that_were_known() {
    let edges = [("u", "v", 0, 1.0, PAY), ("w", "u", SECOND, 1.0, PAY)];
    let with = |x: f64, row: RowLine| RowLine { x: Some(x), ..row };
    let fraud = |told: Option<i64>, row: RowLine| RowLine { is_fraud: true, told, ..row };
    let rows = [
        with(1.0, row("v", SECOND)),
        with(4.0, row("v", 2 * SECOND)),
        fraud(None, with(10.0, row("w", 3 * SECOND))),
        fraud(Some(5 * SECOND), row("w", 4 * SECOND)),
        row("u", SECOND),
        row("u", 3 * SECOND),
        row("u", 5 * SECOND),
        row("u", 6 * SECOND),
        row("z", 6 * SECOND),
        row("u", 3 * SECOND + 7 * DAY + 1),
    ];
    let of = |what: &str, of: &str, more: &str| {
        let text = feature(what, &format!("of = \"{of}\"\n{more}")).replace("over = [\"1d\"]", "over = [\"30d\"]");
        one(&text, &edges, &rows)[4..].to_vec()
    };
    let check = |found: Vec<f64>, expected: [f64; 6]| assert!(same(&found, &expected), "{found:?}");
    let none = f64::NAN;
    check(of("neighbour_mean", "x", ""), [none, 4.0, 7.0, 7.0, none, 7.0]);
    check(of("neighbour_max", "x", ""), [none, 4.0, 10.0, 10.0, none, 10.0]);
    check(of("neighbour_max", "x", "direction = \"out\"\n"), [none, 4.0, 4.0, 4.0, none, 4.0]);
    // A fraud counts after it was reported, or after the delay where nobody has reported it; never at that very time.
    check(of("neighbour_max", "fraud", ""), [0.0, 0.0, 0.0, 1.0, none, 2.0]);
    check(of("neighbour_mean", "fraud", ""), [0.0, 0.0, 0.0, 0.5, none, 1.0]);
    check(of("neighbour_max", "fraud", "direction = \"out\"\n"), [0.0, 0.0, 0.0, 0.0, none, 0.0]);
}

#[test]
fn of_a_busy_node_the_latest_neighbours_count() {
    let edges = [
        ("p", "u", SECOND, 1.0, PAY),
        ("q", "u", 2 * SECOND, 1.0, PAY),
        ("r", "u", 3 * SECOND, 1.0, PAY),
        ("q", "u", 4 * SECOND, 1.0, PAY),
    ];
    let with = |x: f64, a| RowLine { x: Some(x), ..row(a, 0) };
    let rows = [with(100.0, "p"), with(2.0, "q"), with(4.0, "r"), row("u", 9 * SECOND)];
    let mean = |k: usize| {
        let text = feature("neighbour_mean", "of = \"x\"\n");
        one(&text.replace("nodes =", &format!("max_neighbours = {k}\nnodes =")), &edges, &rows)[3]
    };
    assert_eq!([mean(1), mean(2), mean(3), mean(64)], [2.0, 3.0, 106.0 / 3.0, 106.0 / 3.0]);
}

#[test]
fn a_row_without_a_node_has_no_figures() {
    let rows = [RowLine { a: None, ..row("u", DAY) }, row("u", DAY)];
    for what in ["fan_in", "cycles_2", "cycles_3", "pagerank"] {
        let found = one(&feature(what, ""), &[("u", "v", 1, 1.0, PAY)], &rows);
        assert!(same(&found, &[f64::NAN, 0.0]), "{what}: {found:?}");
    }
}
