//! Edges of other tables as they come: what a state tells of them is what the table of all tells, to the bit, in whatever order they
//! come and however often; what is refused changes nothing.

use super::random::{bounded, draw};
use super::state::{all_edges, bytes_of, check_same, restored, state};
use super::*;
use statera_core::{ErrorKind, Rng};

/// The columns of rows in the order of their times, of edges that come in lots that overlap, each lot in any order, before the first
/// row that sees them; `between` may put another state in the place of the one that goes on.
fn streamed(
    definition: &Definition,
    edges: &[EdgeLine],
    rows: &[RowLine],
    between: impl Fn(usize, NetworkState) -> NetworkState,
) -> Vec<Vec<f64>> {
    let mut rng = Rng::new(17);
    let mut edges = edges.to_vec();
    edges.sort_by_key(|e| e.2);
    let all = Rows::of(&row_batch(rows), definition).unwrap();
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by_key(|row| rows[*row].at);
    let mut live = state(definition, DAY);
    let mut made = vec![vec![f64::NAN; rows.len()]; definition.n_columns()];
    let mut out = vec![f64::NAN; made.len()];
    let (mut n_come, mut before) = (0, i64::MIN);
    for (n, row) in order.into_iter().enumerate() {
        let time = rows[row].at;
        let n_due = edges.partition_point(|e| e.2 < definition.end(time));
        if n_due > n_come {
            // Some of those that came before come again.
            let first = n_come.saturating_sub(rng.below(7));
            let mut lot = edges[first..n_due].to_vec();
            rng.shuffle(&mut lot);
            let taken = live.take_edges(&all_edges(definition, &lot), Some(time)).unwrap();
            assert_eq!(taken.n_new + taken.n_known + taken.n_unseen, lot.len());
            assert!(taken.n_new <= n_due - n_come, "{taken:?}: {} are new", n_due - n_come);
            n_come = n_due;
        }
        for known in (0..rows.len()).filter(|r| (before..time).contains(&all.known[*r])) {
            assert!(live.add_case(known as u128, (&all, known), all.known[known]));
        }
        before = time;
        let none = Edges::default();
        live.check("it", (&all, row), &none, Some(time)).unwrap();
        live.advance(&all, row, &none, &mut out);
        made.iter_mut().zip(&out).for_each(|(column, cell)| column[row] = *cell);
        live = between(n, live);
    }
    made
}

/// The same, and again every fifth of them, and again those as another kind.
fn with_twins(mut edges: Vec<EdgeLine>) -> Vec<EdgeLine> {
    let twins: Vec<EdgeLine> = edges.iter().copied().step_by(5).collect();
    let other = |e: &EdgeLine| (e.0, e.1, e.2, e.3, if e.4 == "pay" { "device" } else { "pay" });
    edges.extend(twins.iter().map(other));
    edges.extend(twins);
    edges
}

#[test]
fn edges_that_come_have_the_bits_of_their_table() {
    for seed in 40..46 {
        let until = if seed % 2 == 0 { "before" } else { "at" };
        let definition = bounded(until);
        let (edges, rows) = draw(seed);
        let edges = with_twins(edges);
        let expected = made(&definition, &edges, &rows, 0);
        let found = streamed(&definition, &edges, &rows, |_, state| state);
        check_same(&definition, &found, &expected, &format!("seed {seed}"));
        let restarted = |n: usize, state: NetworkState| if n % 9 == 4 { restored(&state) } else { state };
        let found = streamed(&definition, &edges, &rows, restarted);
        check_same(&definition, &found, &expected, &format!("seed {seed}, kept and restored"));
    }
}

fn two_kinds() -> Definition {
    let features = "[[feature]]\nwhat = [\"edges_out\", \"fan_out\"]\nover = [\"3d\"]\nnodes = [\"a\"]\n\
                    [[feature]]\nwhat = [\"edges_out\"]\nkinds = [\"device\"]\nover = [\"3d\"]\nnodes = [\"a\"]\n";
    definition(&network("\"a\"", features)).unwrap()
}

/// What a row of «u» at a time sees.
fn seen(state: &mut NetworkState, at: i64) -> Vec<f64> {
    let definition = state.definition().clone();
    let rows = Rows::of(&row_batch(&[row("u", at)]), &definition).unwrap();
    let mut out = vec![f64::NAN; definition.n_columns()];
    state.check("it", (&rows, 0), &Edges::default(), None).unwrap();
    state.advance(&rows, 0, &Edges::default(), &mut out);
    out
}

#[test]
fn alike_edges_count_as_often_as_one_request_has_them() {
    let definition = two_kinds();
    let (pay, device) = (("u", "v", 10 * DAY, 2.0, "pay"), ("u", "v", 10 * DAY, 2.0, "device"));
    let mut live = state(&definition, DAY);
    let mut take = |lot: &[EdgeLine]| {
        let taken = live.take_edges(&all_edges(&definition, lot), None).unwrap();
        [taken.n_new, taken.n_known, taken.n_unseen]
    };
    assert_eq!(take(&[pay]), [1, 0, 0]);
    assert_eq!(take(&[pay]), [0, 1, 0], "sent again");
    assert_eq!(take(&[device]), [1, 0, 0], "another kind is another edge");
    assert_eq!(take(&[pay, device, pay]), [1, 2, 0], "twice in one request");
    assert_eq!(take(&[pay, pay, device]), [0, 3, 0]);
    assert_eq!(take(&[("u", "v", 10 * DAY, 2.5, "pay"), ("v", "u", 10 * DAY, 2.0, "pay")]), [2, 0, 0]);
    assert_eq!(seen(&mut live, 11 * DAY), [4.0, 1.0, 1.0]);
    assert_eq!(seen(&mut live, 13 * DAY), [0.0, 0.0, 0.0], "they have left the window");
    let taken = live.take_edges(&all_edges(&definition, &[("u", "w", 8 * DAY, 1.0, "pay")]), None).unwrap();
    assert_eq!(taken, EdgesTaken { n_unseen: 1, ..EdgesTaken::default() }, "no row can see it any more");
}

#[test]
fn a_late_lot_at_a_busy_node_is_what_its_edges_are_one_by_one() {
    let definition = two_kinds();
    let edge = |i: i64, kind: &'static str| -> EdgeLine {
        let other = ["v", "w", "x", "y", "z"][(i * 7 % 5) as usize];
        ("u", other, 10 * DAY + i * 119 % 600 * (DAY / 100), (i % 3) as f64, kind)
    };
    let first: Vec<EdgeLine> = (0..400).map(|i| edge(i, "pay")).collect();
    // Before, in and behind the window that was looked at; the last hundred are alike to the first, but half of them in their kind.
    let late: Vec<EdgeLine> = (400..700).map(|i| edge(i, if i % 2 == 0 { "pay" } else { "device" })).collect();
    let run = |lots: &[&[EdgeLine]]| {
        let mut live = state(&definition, 10 * DAY);
        live.take_edges(&all_edges(&definition, &first), None).unwrap();
        let before = seen(&mut live, 15 * DAY);
        let mut n_new = 0;
        for lot in lots {
            n_new += live.take_edges(&all_edges(&definition, lot), None).unwrap().n_new;
        }
        assert_eq!(n_new, 250);
        let after = [15 * DAY + 1, 15 * DAY + DAY / 2, 17 * DAY].map(|at| seen(&mut live, at));
        assert!(before[0] > 128.0 && after[0][0] > before[0], "{before:?} {after:?}");
        (before, after, bytes_of(&live))
    };
    assert!(run(&[&late[..]]) == run(&late.chunks(1).collect::<Vec<_>>()), "at one go and one by one");
}

#[test]
fn edges_that_are_refused_change_nothing() {
    let definition = two_kinds();
    let limits = NetworkLimits { max_nodes: 4, max_edges: 4, max_ahead: SECOND, max_behind: DAY };
    let mut live = NetworkState::new(Arc::new(definition.clone()), limits);
    let now = 20_000 * DAY;
    live.take_edges(&all_edges(&definition, &[("u", "v", now, 1.0, "pay")]), Some(now)).unwrap();
    assert_eq!(seen(&mut live, now + 1)[0], 1.0);
    let before = bytes_of(&live);
    let mut refused = |lot: &[EdgeLine]| {
        let refusal = live.take_edges(&all_edges(&definition, lot), Some(now)).unwrap_err();
        assert_eq!(bytes_of(&live), before, "{refusal}");
        (refusal.code(), refusal.to_string())
    };
    let later = ("u", "w", now + 2 * SECOND, 1.0, "pay");
    let told = "row 2: the edge has the time 2024-10-04T00:00:02Z; allowed is until 2024-10-04T00:00:01Z".to_string();
    assert_eq!(refused(&[("u", "x", now, 1.0, "pay"), later]), ("future", told));
    let told =
        "4 different nodes of the network are kept and none was found idle; allowed are no more, ask again".to_string();
    let lot = [("u", "x", now, 1.0, "pay"), ("u", "y", now, 1.0, "pay"), ("u", "z", now, 1.0, "pay")];
    assert_eq!(refused(&lot), ("too_many_keys", told));
    // Of kind device an edge is in both choices of kinds.
    let lot = [("u", "x", now, 1.0, "device"), ("x", "u", now, 1.0, "device")];
    let told =
        "4 edges of the network are kept and none was found that its windows have left; allowed are no more, ask again"
            .to_string();
    assert_eq!(refused(&lot), ("too_many_edges", told));
    // Days later there is room.
    assert_eq!(seen(&mut live, now + 9 * DAY)[0], 0.0);
    let lot = lot.map(|e| (e.0, e.1, now + 9 * DAY, e.3, e.4));
    assert_eq!(live.take_edges(&all_edges(&definition, &lot), None).map(|taken| taken.n_new), Ok(2));
}

#[test]
fn cells_are_looked_for_as_far_back_as_is_declared() {
    let feature = "[[feature]]\nwhat = [\"neighbour_max\"]\nof = \"x\"\nover = [\"3d\"]\n";
    let edges = [("u", "v", 9 * DAY, 1.0, "pay")];
    let rows = [RowLine { x: Some(7.0), ..row("v", 5 * DAY) }, row("u", 10 * DAY)];
    let cell = |within: &str| {
        made(&definition(&network("\"a\"", feature).replace("nodes", within)).unwrap(), &edges, &rows, 1)[0][0]
    };
    assert_eq!(cell("nodes"), 7.0, "without end");
    assert_eq!(cell("cells_within = \"6d\"\nnodes"), 7.0);
    assert!(cell("cells_within = \"5d\"\nnodes").is_nan(), "it is as old as that");
    let plain = "[[feature]]\nwhat = [\"fan_in\"]\nover = [\"3d\"]\n";
    let told = definition(&network("\"a\"", plain).replace("nodes", "cells_within = \"6d\"\nnodes")).unwrap_err();
    assert_eq!(told.to_string(), "network: cells_within: has no meaning where no figure is of a number column");
}

#[test]
fn a_state_of_the_format_before_is_read() {
    let definition = definition(&network("\"a\"", "[[feature]]\nwhat = [\"edges_out\"]\nover = [\"3d\"]\n")).unwrap();
    let mut live = state(&definition, DAY);
    let edges = all_edges(&definition, &[("u", "v", 10 * DAY, 2.0, "pay")]);
    live.take_edges(&edges, None).unwrap();
    // Format 1 did not tell the kind, which stands behind the edge.
    let mut bytes = bytes_of(&live);
    let kind = edges.kind_codes[0].to_le_bytes();
    let place = bytes.windows(4).rposition(|four| four == kind).unwrap();
    bytes.drain(place..place + 4);
    bytes[8] = 1;
    let end = bytes.len() - 32;
    let digest = blake3::hash(&bytes[..end]);
    bytes[end..].copy_from_slice(digest.as_bytes());
    let own = Arc::new(definition.clone());
    let mut old =
        NetworkState::restore(&mut bytes.as_slice(), bytes.len() as u64, own.clone(), NetworkLimits::default())
            .unwrap();
    assert_eq!(seen(&mut old, 11 * DAY), [1.0]);
    bytes[8] = 2;
    let damaged =
        NetworkState::restore(&mut bytes.as_slice(), bytes.len() as u64, own, NetworkLimits::default()).unwrap_err();
    assert_eq!(damaged.kind(), ErrorKind::Damaged);
}
