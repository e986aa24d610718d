//! Random graphs against brute force, which looks at every edge for every row.

use super::*;
use statera_core::Rng;
use std::collections::BTreeSet;

pub(super) const NODES: [&str; 12] = ["a", "b", "c", "d", "e", "f", "10", "7", "x1", "x2", "x3", "x4"];
const KINDS: [&str; 2] = ["pay", "device"];

/// Random edges and rows of twenty days, many of the same times.
pub(super) fn draw(seed: u64) -> (Vec<EdgeLine>, Vec<RowLine>) {
    let mut rng = Rng::new(seed);
    let time = |rng: &mut Rng| (rng.below(80) * 6 * 3600) as i64 * SECOND;
    let mut edges = Vec::new();
    while edges.len() < 150 {
        let (from, to) = (NODES[rng.below(10)], NODES[rng.below(10)]);
        if from != to {
            edges.push((from, to, time(&mut rng), rng.below(1000) as f64 / 100.0, KINDS[rng.below(2)]));
        }
    }
    let row = |_| {
        let at = time(&mut rng);
        let is_fraud = rng.below(6) == 0;
        let told = (rng.below(2) == 0).then(|| at + (rng.below(10 * 86_400) as i64) * SECOND);
        RowLine {
            a: Some(NODES[rng.below(12)]).filter(|_| rng.below(15) > 0),
            b: Some(NODES[rng.below(12)]).filter(|_| rng.below(15) > 0),
            at,
            x: Some(rng.below(50) as f64).filter(|_| rng.below(4) > 0),
            is_fraud,
            told,
        }
    };
    let rows = (0..120).map(row).collect();
    (edges, rows)
}

/// Every figure, over both kinds of windows.
pub(super) fn everything(until: &str) -> Definition {
    let all = "what = [\"fan_in\", \"fan_out\", \"edges_in\", \"edges_out\", \"amount_in\", \"amount_out\", \"cycles_2\", \
               \"cycles_3\", \"closes_2\", \"closes_3\"]\nover = [\"1d\", \"6d\"]\n";
    let near = "what = [\"neighbour_mean\", \"neighbour_max\"]\nover = [\"3d\"]\n";
    let rank = "what = [\"pagerank\"]\nover = [\"5d\"]\n";
    let features = format!(
        "[[feature]]\n{all}[[feature]]\nkinds = [\"pay\"]\n{all}[[feature]]\n{near}of = \"x\"\n\
         [[feature]]\n{near}of = \"fraud\"\ndirection = \"in\"\n[[feature]]\n{near}of = \"x\"\ndirection = \"out\"\n\
         kinds = [\"device\"]\n[[feature]]\n{rank}[[feature]]\n{rank}direction = \"in\"\ndamping = 0.5\nevery = \"2d\"\n"
    );
    let text = network("\"a\", \"b\"", &features);
    definition(&text.replace("nodes =", &format!("until = \"{until}\"\nmax_neighbours = 1000\nnodes ="))).unwrap()
}

/// What a row sees, one figure after the other.
struct Brute<'a> {
    edges: &'a [EdgeLine],
    rows: &'a [RowLine],
    is_at: bool,
}

impl Brute<'_> {
    fn seen(&self, t: i64, days: i64, kinds: &[&str]) -> Vec<&EdgeLine> {
        let is_in = |e: &&EdgeLine| e.2 > t - days * DAY && (e.2 < t || self.is_at && e.2 == t);
        let is_kind = |e: &&EdgeLine| kinds.is_empty() || kinds.contains(&e.4);
        self.edges.iter().filter(|e| is_in(e) && is_kind(e)).collect()
    }

    fn known(row: &RowLine) -> Option<i64> {
        row.is_fraud.then(|| row.told.unwrap_or(row.at + 7 * DAY))
    }

    fn frauds(&self, node: &str, t: i64) -> usize {
        let is_of = |r: &&RowLine| r.a == Some(node) || r.b == Some(node);
        self.rows.iter().filter(|r| is_of(r) && Self::known(r).is_some_and(|k| k < t)).count()
    }

    fn last(&self, node: &str, t: i64) -> Option<f64> {
        let is_of = |r: &&RowLine| (r.a == Some(node) || r.b == Some(node)) && r.at < t && r.x.is_some();
        let newest = self.rows.iter().filter(is_of).map(|r| r.at).max()?;
        self.rows.iter().filter(is_of).filter(|r| r.at == newest).filter_map(|r| r.x).max_by(f64::total_cmp)
    }

    fn figure(&self, what: What, row: &RowLine, node: &str, days: i64, kinds: &[&str]) -> f64 {
        let seen = self.seen(row.at, days, kinds);
        let leads = |a: &str, b: &str| seen.iter().any(|e| e.0 == a && e.1 == b);
        let distinct = |nodes: Vec<&'static str>| nodes.into_iter().collect::<BTreeSet<_>>().len() as f64;
        let (into, out): (Vec<_>, Vec<_>) =
            (seen.iter().filter(|e| e.1 == node).collect(), seen.iter().filter(|e| e.0 == node).collect());
        let money = |edges: &[&&EdgeLine]| edges.iter().map(|e| (e.3 * 100.0).round()).sum::<f64>() / 100.0;
        let n = |is: &dyn Fn(&str) -> bool| NODES.iter().filter(|u| is(u)).count() as f64;
        let second = row.b.unwrap_or_default();
        match what {
            What::FanIn => distinct(into.iter().map(|e| e.0).collect()),
            What::FanOut => distinct(out.iter().map(|e| e.1).collect()),
            What::EdgesIn => into.len() as f64,
            What::EdgesOut => out.len() as f64,
            What::AmountIn => money(&into),
            What::AmountOut => money(&out),
            What::Cycles2 => n(&|u| leads(node, u) && leads(u, node)),
            What::Cycles3 => NODES.iter().map(|u| n(&|v| leads(node, u) && leads(u, v) && leads(v, node))).sum(),
            What::Closes2 => f64::from(u8::from(leads(second, node))),
            What::Closes3 => n(&|u| leads(second, u) && leads(u, node)),
            _ => f64::NAN,
        }
    }

    fn neighbours(&self, row: &RowLine, node: &str, days: i64, kinds: &[&str], way: Direction) -> Vec<&'static str> {
        let seen = self.seen(row.at, days, kinds);
        let is_near = |u: &str| {
            seen.iter().any(|e| {
                e.0 == node && e.1 == u && way != Direction::In || e.1 == node && e.0 == u && way != Direction::Out
            })
        };
        NODES.into_iter().filter(|u| is_near(u)).collect()
    }

    /// By a matrix that is multiplied ten thousand times.
    fn rank(&self, row: &RowLine, node: &str, way: Direction, damping: f64, every: i64) -> f64 {
        let snapshot = row.at / (every * DAY) * (every * DAY);
        let seen: Vec<&EdgeLine> = self.edges.iter().filter(|e| e.2 > snapshot - 5 * DAY && e.2 < snapshot).collect();
        let weight = |a: &str, b: &str| {
            let forward = seen.iter().filter(|e| e.0 == a && e.1 == b).count();
            let backward = seen.iter().filter(|e| e.0 == b && e.1 == a).count();
            match way {
                Direction::Out => forward as f64,
                Direction::In => backward as f64,
                Direction::Any => (forward + backward) as f64,
            }
        };
        let cases: Vec<f64> = NODES.iter().map(|u| f64::from(u8::from(self.frauds(u, snapshot) > 0))).collect();
        let n_cases: f64 = cases.iter().sum();
        if n_cases == 0.0 {
            return 0.0;
        }
        let start: Vec<f64> = cases.iter().map(|c| c / n_cases).collect();
        let step: Vec<Vec<f64>> = NODES
            .iter()
            .map(|a| {
                let row: Vec<f64> = NODES.iter().map(|b| weight(a, b)).collect();
                let sum: f64 = row.iter().sum();
                if sum == 0.0 { start.clone() } else { row.iter().map(|w| w / sum).collect() }
            })
            .collect();
        let mut ranks = start.clone();
        for _ in 0..300 {
            let to = |b: usize| (0..12).map(|a| ranks[a] * step[a][b]).sum::<f64>();
            ranks = (0..12).map(|b| damping * to(b) + (1.0 - damping) * start[b]).collect();
        }
        NODES.iter().position(|u| *u == node).map_or(f64::NAN, |at| ranks[at])
    }

    fn of_neighbours(&self, is_max: bool, values: Vec<f64>) -> f64 {
        if values.is_empty() {
            return f64::NAN;
        }
        let sum: f64 = values.iter().sum();
        if is_max { values.iter().copied().fold(f64::MIN, f64::max) } else { sum / values.len() as f64 }
    }

    fn columns(&self, definition: &Definition) -> Vec<Vec<f64>> {
        let column = |c: &super::super::definition::Column| {
            let kinds: Vec<&str> = definition.layers[c.layer].iter().map(String::as_str).collect();
            let days = c.span / DAY;
            let cell = |row: &RowLine| {
                let Some(node) = [row.a, row.b][c.node] else { return f64::NAN };
                match c.what {
                    What::Closes2 | What::Closes3 if row.b.is_none() => f64::NAN,
                    What::NeighbourMean | What::NeighbourMax => {
                        let near = self.neighbours(row, node, days, &kinds, c.direction);
                        let is_number = c.name.contains("_x_");
                        let value = |u: &&'static str| {
                            if is_number { self.last(u, row.at) } else { Some(self.frauds(u, row.at) as f64) }
                        };
                        self.of_neighbours(c.what == What::NeighbourMax, near.iter().filter_map(value).collect())
                    }
                    What::Pagerank => self.rank(row, node, c.direction, c.damping, c.every / DAY),
                    what => self.figure(what, row, node, days, &kinds),
                }
            };
            self.rows.iter().map(cell).collect()
        };
        definition.columns.iter().map(column).collect()
    }
}

#[test]
fn every_figure_is_that_of_brute_force() {
    for seed in 0..6 {
        let until = if seed % 2 == 0 { "before" } else { "at" };
        let definition = everything(until);
        let (edges, mut rows) = draw(seed);
        // A pair of the same node is no cycle; brute force would have to know that too.
        rows.iter_mut().filter(|r| r.a == r.b).for_each(|r| r.b = None);
        let found = made(&definition, &edges, &rows, 0);
        let expected = Brute { edges: &edges, rows: &rows, is_at: until == "at" }.columns(&definition);
        for ((name, found), expected) in definition.column_names().zip(&found).zip(&expected) {
            for (row, (a, b)) in found.iter().zip(expected).enumerate() {
                let is_near = a.is_nan() && b.is_nan() || (a - b).abs() <= 1e-8;
                assert!(is_near, "seed {seed}, {name}, row {row}: {a}, expected {b}");
            }
        }
        let n_told = found.iter().filter(|column| column.iter().any(|v| *v > 0.0)).count();
        assert!(n_told > found.len() * 9 / 10, "{n_told} of {} columns tell something", found.len());
    }
}

#[test]
fn nothing_after_a_row_changes_its_figures() {
    for (until, seed) in [("before", 11), ("at", 12)] {
        let definition = everything(until);
        let (edges, rows) = draw(seed);
        let whole = made(&definition, &edges, &rows, 0);
        for t in rows.iter().map(|r| r.at).step_by(10) {
            let is_before = |e: &&EdgeLine| e.2 < t || until == "at" && e.2 == t;
            let before: Vec<EdgeLine> = edges.iter().filter(is_before).copied().collect();
            let forget = |r: &RowLine| {
                let is_known = Brute::known(r).is_some_and(|known| known < t);
                RowLine { is_fraud: is_known, x: r.x.filter(|_| r.at < t), ..*r }
            };
            let known: Vec<RowLine> = rows.iter().map(forget).collect();
            let then = made(&definition, &before, &known, 0);
            for (whole, then) in whole.iter().zip(&then) {
                for row in (0..rows.len()).filter(|row| rows[*row].at == t) {
                    assert!(same(&whole[row..=row], &then[row..=row]), "{until}, row {row}");
                }
            }
        }
    }
}

#[test]
fn order_threads_and_a_history_change_no_bit() {
    let definition = everything("before");
    let (mut edges, rows) = draw(21);
    let whole = made(&definition, &edges, &rows, 0);
    let later = made(&definition, &edges, &rows, 70);
    for (whole, later) in whole.iter().zip(&later) {
        assert!(same(&whole[70..], later), "rows after a history");
    }
    edges.reverse();
    let one_thread = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let reversed = one_thread.install(|| made(&definition, &edges, &rows, 0));
    assert!(whole.iter().zip(&reversed).all(|(a, b)| same(a, b)), "another order on one thread");
    let mut backwards = rows.clone();
    backwards.reverse();
    for (whole, other) in whole.iter().zip(&made(&definition, &edges, &backwards, 0)) {
        let other: Vec<f64> = other.iter().rev().copied().collect();
        assert!(same(whole, &other), "another order of rows");
    }
}
