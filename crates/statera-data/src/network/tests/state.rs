//! What a state tells as rows and edges come is what a table tells, to the bit.

use super::random::{NODES, bounded, draw, everything};
use super::*;
use statera_core::{ErrorKind, Rng};

pub(super) fn all_edges(definition: &Definition, edges: &[EdgeLine]) -> Edges {
    Edges::of(&edge_batch(edges), definition).unwrap()
}

pub(super) fn state(definition: &Definition, max_behind: i64) -> NetworkState {
    let limits = NetworkLimits { max_behind, ..NetworkLimits::default() };
    NetworkState::new(Arc::new(definition.clone()), limits)
}

pub(super) fn bytes_of(state: &NetworkState) -> Vec<u8> {
    let mut bytes = Vec::new();
    state.snapshot(&mut bytes).unwrap();
    bytes
}

/// What is read of what a state has written.
pub(super) fn restored(state: &NetworkState) -> NetworkState {
    let bytes = bytes_of(state);
    let limits = NetworkLimits { max_behind: DAY, ..NetworkLimits::default() };
    let own = state.definition().clone();
    let restored = NetworkState::restore(&mut bytes.as_slice(), bytes.len() as u64, own, limits).unwrap();
    assert_eq!(bytes_of(&restored), bytes);
    restored
}

/// A stream of rows, edges and frauds as they become known.
struct Stream<'a> {
    definition: &'a Definition,
    edges: Vec<EdgeLine>,
    rows: Rows,
    none: Edges,
}

impl Stream<'_> {
    fn of<'a>(definition: &'a Definition, edges: &[EdgeLine], rows: &[RowLine]) -> Stream<'a> {
        let (none, mut edges) = (all_edges(definition, &[]), edges.to_vec());
        edges.sort_by_key(|e| e.2);
        Stream { definition, edges, rows: Rows::of(&row_batch(rows), definition).unwrap(), none }
    }

    /// The columns of all rows, in the order of their times; `between` is called with the state after each row.
    fn run(&self, mut state: NetworkState, mut between: impl FnMut(&mut NetworkState)) -> Vec<Vec<f64>> {
        let times = &self.rows.times;
        let mut order: Vec<usize> = (0..times.len()).collect();
        order.sort_by_key(|row| times[*row]);
        let mut made = vec![vec![f64::NAN; times.len()]; self.definition.n_columns()];
        let mut out = vec![f64::NAN; made.len()];
        let (mut n_edges, mut before) = (0, i64::MIN);
        for row in order {
            let time = times[row];
            while n_edges < self.edges.len() && self.edges[n_edges].2 < self.definition.end(time) {
                state.add_edges(&all_edges(self.definition, &self.edges[n_edges..=n_edges]));
                n_edges += 1;
            }
            // What is known from now on is told now, in whatever order.
            for known in (0..times.len()).rev().filter(|r| (before..time).contains(&self.rows.known[*r])) {
                assert!(state.add_case(known as u128, (&self.rows, known), self.rows.known[known]));
                assert!(!state.add_case(known as u128, (&self.rows, known), 0), "it is known");
            }
            before = time;
            state.check("it", (&self.rows, row), &self.none, None).unwrap();
            state.advance(&self.rows, row, &self.none, &mut out);
            made.iter_mut().zip(&out).for_each(|(column, cell)| column[row] = *cell);
            between(&mut state);
        }
        made
    }
}

pub(super) fn check_same(definition: &Definition, found: &[Vec<f64>], expected: &[Vec<f64>], what: &str) {
    for ((name, found), expected) in definition.column_names().zip(found).zip(expected) {
        let bits =
            |cells: &[f64]| cells.iter().map(|c| if c.is_nan() { 0 } else { c.to_bits() + 1 }).collect::<Vec<_>>();
        assert_eq!(bits(found), bits(expected), "{what}, {name}");
    }
}

#[test]
fn rows_that_come_one_by_one_have_the_bits_of_a_table() {
    for seed in 0..6 {
        let until = if seed % 2 == 0 { "before" } else { "at" };
        let definition = bounded(until);
        let (edges, rows) = draw(seed);
        let stream = Stream::of(&definition, &edges, &rows);
        let found = stream.run(state(&definition, DAY), |_| {});
        check_same(&definition, &found, &made(&definition, &edges, &rows, 0), &format!("seed {seed}"));
    }
}

/// Rows that are edges, as payments are: of a small town, with a shop that everybody pays.
fn payments(n: usize, days: i64, seed: u64) -> (Vec<EdgeLine>, Vec<RowLine>) {
    let mut rng = Rng::new(seed);
    let rows: Vec<RowLine> = (0..n)
        .map(|i| {
            let a = NODES[rng.below(12)];
            let mut b = if rng.below(3) > 0 { "shop" } else { NODES[rng.below(12)] };
            if a == b {
                b = "shop";
            }
            let at = i as i64 * days * DAY / n as i64;
            let is_fraud = rng.below(9) == 0;
            let told = (rng.below(2) == 0).then(|| at + rng.below(9 * 86_400) as i64 * SECOND);
            RowLine { a: Some(a), b: Some(b), at, x: Some(rng.below(500) as f64), is_fraud, told }
        })
        .collect();
    let edge = |r: &RowLine| (r.a.unwrap_or_default(), r.b.unwrap_or_default(), r.at, r.x.unwrap_or(0.0), "pay");
    (rows.iter().map(edge).collect(), rows)
}

/// Rows that bring their own edge.
fn paid(definition: &Definition, edges: &[EdgeLine], rows: &[RowLine], max_behind: i64) -> (Vec<Vec<f64>>, [usize; 2]) {
    let all = Rows::of(&row_batch(rows), definition).unwrap();
    let mut state = state(definition, max_behind);
    let mut made = vec![Vec::new(); definition.n_columns()];
    let mut out = vec![f64::NAN; made.len()];
    let mut most = [0; 2];
    for (row, edge) in edges.iter().enumerate() {
        let before = row.checked_sub(1).map_or(i64::MIN, |row| rows[row].at);
        for known in (0..rows.len()).filter(|r| (before..rows[row].at).contains(&all.known[*r])) {
            state.add_case(known as u128, (&all, known), all.known[known]);
        }
        let edge = all_edges(definition, std::slice::from_ref(edge));
        state.check("it", (&all, row), &edge, None).unwrap();
        state.advance(&all, row, &edge, &mut out);
        made.iter_mut().zip(&out).for_each(|(column, cell)| column.push(*cell));
        let kept = state.n_kept();
        most = [most[0].max(kept[0]), most[1].max(kept[1])];
    }
    (made, most)
}

#[test]
fn payments_have_the_bits_of_a_table_and_leave_with_their_window() {
    let definition = bounded("before");
    // Of two layers, with windows of at most six days, and two more that PageRank may look back for its snapshot.
    let (edges, rows) = payments(3_000, 150, 4);
    let (found, most) = paid(&definition, &edges, &rows, DAY);
    check_same(&definition, &found, &made(&definition, &edges, &rows, 0), "payments");
    assert!(found.iter().any(|column| column.iter().any(|cell| *cell >= 60.0)), "the shop is busy");
    // 20 payments a day, each in two layers, of 8 days and one that a row may be behind, and some that were not looked at yet.
    assert!((300..600).contains(&most[1]), "{most:?}");
    assert_eq!(most[0], 13);
}

#[test]
fn a_busy_node_slides_and_takes_what_comes_late() {
    let text = network(
        "\"a\", \"b\"",
        "[[feature]]\nwhat = [\"fan_in\", \"edges_in\", \"amount_in\", \"fan_out\"]\nover = [\"1d\", \"6d\"]\nnodes = [\"b\"]\n",
    );
    let definition = definition(&text).unwrap();
    let mut rng = Rng::new(8);
    let mut state = state(&definition, 2 * DAY);
    let mut come: Vec<EdgeLine> = Vec::new();
    let mut out = vec![f64::NAN; definition.n_columns()];
    let none = all_edges(&definition, &[]);
    for step in 0..400_i64 {
        let now = step * DAY / 20;
        for _ in 0..8 {
            // Up to a day late, at whole hours, so that many are of one time.
            let at = (now - rng.below(24) as i64 * 3600 * SECOND).div_euclid(3600 * SECOND) * 3600 * SECOND;
            let edge = (NODES[rng.below(12)], "shop", at, rng.below(100) as f64 / 100.0, "pay");
            state.add_edges(&all_edges(&definition, &[edge]));
            come.push(edge);
        }
        // A row may come late, too: it sees what is before its own time.
        let at = now - if step % 5 == 0 { rng.below(86_400) as i64 * SECOND } else { 0 };
        let row = RowLine { a: Some("f"), b: Some("shop"), at, ..RowLine::default() };
        let rows = Rows::of(&row_batch(&[row]), &definition).unwrap();
        state.check("it", (&rows, 0), &none, None).unwrap();
        state.advance(&rows, 0, &none, &mut out);
        let expected = made(&definition, &come, &[row], 0);
        let found: Vec<Vec<f64>> = out.iter().map(|cell| vec![*cell]).collect();
        check_same(&definition, &found, &expected, &format!("step {step}"));
    }
    assert!(out[3] > 500.0, "{out:?}: a window is busier than those that are counted anew");
}

#[test]
fn a_state_that_was_kept_goes_on_to_the_same_bits() {
    let definition = everything("before");
    let (edges, rows) = draw(31);
    let stream = Stream::of(&definition, &edges, &rows);
    let whole = stream.run(state(&definition, DAY), |_| {});
    let mut n = 0;
    let kept = stream.run(state(&definition, DAY), |state| {
        n += 1;
        if n % 10 != 0 {
            return;
        }
        assert_eq!(state.n_bytes().unwrap(), bytes_of(state).len() as u64);
        *state = restored(state);
    });
    check_same(&definition, &kept, &whole, "kept and restored");
}

#[test]
fn a_state_that_is_none_is_refused() {
    let definition = everything("before");
    let (edges, rows) = draw(5);
    let stream = Stream::of(&definition, &edges, &rows);
    let mut bytes = Vec::new();
    stream.run(state(&definition, DAY), |state| {
        bytes.clear();
        state.snapshot(&mut bytes).unwrap();
    });
    let restore = |bytes: &[u8], definition: &Definition| {
        let own = Arc::new(definition.clone());
        NetworkState::restore(&mut &*bytes, bytes.len() as u64, own, NetworkLimits::default()).map(drop)
    };
    restore(&bytes, &definition).unwrap();
    let of_other = restore(&bytes, &everything("at")).unwrap_err();
    assert_eq!(of_other.kind(), ErrorKind::Conflict);
    assert!(of_other.to_string().contains("allowed is a state of the same network"), "{of_other}");
    for at in (0..bytes.len()).step_by(97) {
        let mut altered = bytes.clone();
        altered[at] ^= 1;
        restore(&altered, &definition).unwrap_err();
        let cut = restore(&bytes[..at], &definition).unwrap_err();
        assert_eq!(cut.kind(), ErrorKind::Damaged, "cut at {at}: {cut}");
    }
    let mut newer = bytes.clone();
    newer[8] = 9;
    assert_eq!(restore(&newer, &definition).unwrap_err().kind(), ErrorKind::Newer);
}

#[test]
fn what_is_beyond_the_limits_is_told_and_changes_nothing() {
    let text = network("\"a\", \"b\"", "[[feature]]\nwhat = [\"fan_in\"]\nover = [\"1d\"]\n");
    let definition = definition(&text).unwrap();
    let limits = NetworkLimits { max_nodes: 3, max_edges: 2, max_ahead: SECOND, max_behind: DAY };
    let mut state = NetworkState::new(Arc::new(definition.clone()), limits);
    let mut take = |from: &'static str, to: &'static str, at: i64, now: i64| {
        let row = RowLine { a: Some(from), b: Some(to), at, ..RowLine::default() };
        let rows = Rows::of(&row_batch(&[row]), &definition).unwrap();
        let edge = all_edges(&definition, &[(from, to, at, 1.0, "pay")]);
        let mut out = [f64::NAN; 2];
        state.check("7", (&rows, 0), &edge, Some(now)).map_err(|refusal| (refusal.code(), refusal.to_string()))?;
        state.advance(&rows, 0, &edge, &mut out);
        Ok::<_, (&str, String)>((out, state.n_kept()))
    };
    let day = |n: i64| 20_000 * DAY + n * DAY;
    assert_eq!(take("u", "v", day(0), day(0)), Ok(([0.0, 0.0], [2, 1])));
    assert_eq!(
        take("u", "v", day(-2), day(0)),
        Err(("far_past", "event «7» has the time 2024-10-02; allowed is from 2024-10-03".into()))
    );
    assert_eq!(
        take("u", "v", day(9), day(0)),
        Err(("future", "event «7» has the time 2024-10-13; allowed is until 2024-10-04T00:00:01Z".into()))
    );
    let too_many = || {
        Err((
            "too_many_keys",
            "3 different nodes of the network are kept and none was found idle; allowed are no more, ask again".into(),
        ))
    };
    assert_eq!(take("x", "y", day(0), day(0)), too_many());
    assert_eq!(take("w", "v", day(0) + 1, day(0)), Ok(([0.0, 1.0], [3, 2])));
    let told =
        "2 edges of the network are kept and none was found that its windows have left; allowed are no more, ask again";
    assert_eq!(take("w", "u", day(1) - 1, day(1)), Err(("too_many_edges", told.into())));
    // When both are out of the window, and further behind than a row may be, there is room again, for other nodes too.
    assert_eq!(take("x", "y", day(2), day(2)), too_many());
    assert_eq!(take("x", "y", day(2) + 2, day(3)), Ok(([0.0, 0.0], [2, 1])));
}
