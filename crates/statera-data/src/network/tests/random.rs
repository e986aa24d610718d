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
         kinds = [\"device\"]\n[[feature]]\n{rank}[[feature]]\n{rank}direction = \"in\"\ndamping = 0.5\nevery = \"2d\"\n\
         [[neighbourhood]]\nname = \"near\"\nof = [\"x\", \"fraud\"]\nover = \"6d\"\nfans = [3, 2]\n"
    );
    let text = network("\"a\", \"b\"", &features);
    definition(&text.replace("nodes =", &format!("until = \"{until}\"\nmax_neighbours = 1000\nnodes ="))).unwrap()
}

/// The same, of cells that are looked for four days back.
pub(super) fn bounded(until: &str) -> Definition {
    let declared = everything(until).network().clone();
    Definition::new(Network { cells_within: Some(crate::window::Span::parse("4d").unwrap()), ..declared }).unwrap()
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

/// What is told of a node as text, so that it can be sorted: its edges, the cell of its last row, its known frauds.
type Told = [String; 3];

/// A neighbourhood whose columns are those of some nodes, beside what brute force knows of it.
fn neighbourhood(more: &str) -> Definition {
    let declared =
        format!("[[neighbourhood]]\nname = \"near\"\nnode = \"b\"\nof = [\"x\", \"fraud\"]\nover = \"6d\"\n{more}");
    let text = network("\"a\", \"b\"", &declared);
    definition(&text.replace("nodes =", "max_neighbours = 1000\nnodes =")).unwrap()
}

/// What a row's columns tell of each node; `None` where all is missing.
fn nodes_of(made: &[Vec<f64>], row: usize) -> Vec<Option<Told>> {
    let told = |cells: &[Vec<f64>]| {
        let cells = [0, 1, 2].map(|i| cells[i][row]);
        cells.iter().any(|c| !c.is_nan()).then(|| cells.map(|c| format!("{c}")))
    };
    made.chunks_exact(3).map(told).collect()
}

impl Brute<'_> {
    fn told(&self, row: &RowLine, node: &str, kinds: &[&str], way: Direction) -> Told {
        let of = |e: &&&EdgeLine| e.0 == node && way != Direction::In || e.1 == node && way != Direction::Out;
        let n = self.seen(row.at, 6, kinds).iter().filter(of).count();
        let x = self.last(node, row.at).unwrap_or(f64::NAN);
        [n as f64, x, self.frauds(node, row.at) as f64].map(|c| format!("{c}"))
    }
}

#[test]
fn a_neighbourhood_that_holds_all_is_that_of_brute_force() {
    for (seed, more, kinds, way) in [
        (31, "fans = [12, 12]\n", vec![], Direction::Any),
        (32, "fans = [11, 10]\nkinds = [\"pay\"]\ndirection = \"in\"\nseed = 9\n", vec!["pay"], Direction::In),
    ] {
        let definition = neighbourhood(more);
        let [a, b] = definition.network().neighbourhoods[0].fans;
        let (edges, rows) = draw(seed);
        let found = made(&definition, &edges, &rows, 0);
        assert_eq!(found.len(), 3 * (1 + a + a * b));
        let brute = Brute { edges: &edges, rows: &rows, is_at: false };
        let mut n_far = 0;
        for (at, row) in rows.iter().enumerate() {
            let nodes = nodes_of(&found, at);
            let Some(node) = row.b else {
                assert!(nodes.iter().all(Option::is_none), "row {at} has no node");
                continue;
            };
            assert_eq!(nodes[0], Some(brute.told(row, node, &kinds, way)), "seed {seed}, row {at}");
            // Each neighbour with its own; which place it has is drawn.
            let own = |u: &str| {
                let mut far: Vec<Told> =
                    brute.neighbours(row, u, 6, &kinds, way).iter().map(|w| brute.told(row, w, &kinds, way)).collect();
                far.sort();
                (brute.told(row, u, &kinds, way), far)
            };
            let mut expected: Vec<(Told, Vec<Told>)> =
                brute.neighbours(row, node, 6, &kinds, way).into_iter().map(own).collect();
            expected.sort();
            let place = |i: usize| {
                let mut far: Vec<Told> = nodes[1 + a + i * b..][..b].iter().flatten().cloned().collect();
                far.sort();
                nodes[1 + i].clone().map(|near| (near, far))
            };
            assert!((0..a).all(|i| nodes[1 + i].is_some() == (i < expected.len())), "the first places are taken");
            let mut places: Vec<(Told, Vec<Told>)> = (0..a).filter_map(place).collect();
            places.sort();
            assert_eq!(places, expected, "seed {seed}, row {at}");
            n_far += places.iter().map(|(_, far)| far.len()).sum::<usize>();
        }
        assert!(n_far > 100, "{n_far} neighbours of neighbours");
    }
}

#[test]
fn samples_are_of_the_neighbours_without_repetition_as_likely_each_and_drawn_by_the_seed() {
    // A node that twenty others pay, of which each has a cell of its own.
    const NAMES: [&str; 20] = [
        "u00", "u01", "u02", "u03", "u04", "u05", "u06", "u07", "u08", "u09", "u10", "u11", "u12", "u13", "u14", "u15",
        "u16", "u17", "u18", "u19",
    ];
    let edges: Vec<EdgeLine> = NAMES.iter().map(|u| (*u, "hub", DAY, 1.0, "pay")).collect();
    let cells = NAMES.iter().enumerate().map(|(i, u)| RowLine { x: Some(i as f64), ..row(u, SECOND) });
    let asked = (0..400).map(|i| RowLine { b: Some("hub"), ..row("hub", 2 * DAY + i * SECOND) });
    let rows: Vec<RowLine> = cells.chain(asked).collect();
    let sampled = |seed: u64| -> Vec<Vec<usize>> {
        let definition = neighbourhood(&format!("fans = [5, 1]\nseed = {seed}\n"));
        let found = made(&definition, &edges, &rows, NAMES.len());
        // The second column of the nodes behind the first.
        (0..400).map(|row| (1..=5).map(|node| found[3 * node + 1][row] as usize).collect()).collect()
    };
    let samples = sampled(1);
    let mut counts = [0; 20];
    for sample in &samples {
        assert_eq!(sample.iter().collect::<BTreeSet<_>>().len(), 5, "{sample:?}");
        sample.iter().for_each(|u| counts[*u] += 1);
    }
    // 100 each are expected, with a standard deviation of 8.7.
    assert!(counts.iter().all(|n| (60..=140).contains(n)), "{counts:?}");
    assert_eq!(samples, sampled(1));
    assert_ne!(samples, sampled(2));
}
