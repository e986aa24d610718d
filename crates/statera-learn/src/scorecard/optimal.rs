//! The best way to merge neighbouring groups into bins: exact dynamic programming over contiguous merges.
//!
//! With totals `G` and `B` of goods and bads, the information value of a partition is a sum over its bins, so the best
//! partition into `k` bins ending with a given bin follows from the best partitions into `k - 1` bins ending where it
//! starts. The trend couples only neighbours; with the bins that end and that start at a boundary sorted by weight of
//! evidence, a running maximum finds the best predecessor of each in one sweep. For `m` groups and at most `K` bins
//! that is `O(m² log m + m² K)` — and exact, where mixed-integer formulations (Navas-Palencia, "Optimal binning:
//! mathematical programming formulation", 2020) need a solver.

use serde::{Deserialize, Serialize};

/// How the bad rate may run over the bins of a number, from the lowest values to the highest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trend {
    /// As `Monotone`, unless a bad rate that turns once fits the training rows significantly better.
    #[default]
    Auto,
    /// Rising or falling, whichever has the higher information value.
    Monotone,
    /// Rising.
    Ascending,
    /// Falling.
    Descending,
    /// Rising, then falling; either part may be empty.
    Peak,
    /// Falling, then rising; either part may be empty.
    Valley,
    /// A peak or a valley, whichever has the higher information value.
    Turning,
    /// Any.
    Free,
}

impl Trend {
    /// The word in `bins.toml`.
    pub fn name(self) -> &'static str {
        match self {
            Trend::Auto => "auto",
            Trend::Monotone => "monotone",
            Trend::Ascending => "ascending",
            Trend::Descending => "descending",
            Trend::Peak => "peak",
            Trend::Valley => "valley",
            Trend::Turning => "turning",
            Trend::Free => "free",
        }
    }
}

/// Weighted goods (target 0) and bads (target 1).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Counts {
    pub good: f64,
    pub bad: f64,
}

impl Counts {
    pub fn weight(self) -> f64 {
        self.good + self.bad
    }
    pub fn add(&mut self, weight: f64, is_bad: bool) {
        if is_bad {
            self.bad += weight;
        } else {
            self.good += weight;
        }
    }
    pub fn plus(self, other: Counts) -> Counts {
        Counts { good: self.good + other.good, bad: self.bad + other.bad }
    }

    /// Weight of evidence `ln((good/G) / (bad/B))`; a class that is empty in the bin adds half a row to both classes;
    /// 0 without rows.
    pub fn woe(self, total: Counts) -> f64 {
        if self.weight() <= 0.0 {
            return 0.0;
        }
        let half = if self.good <= 0.0 || self.bad <= 0.0 { 0.5 } else { 0.0 };
        (((self.good + half) / total.good) / ((self.bad + half) / total.bad)).ln()
    }

    /// The bin's part of the information value: `(good/G - bad/B) · woe`.
    pub fn iv(self, woe: f64, total: Counts) -> f64 {
        (self.good / total.good - self.bad / total.bad) * woe
    }
}

/// What a partition must satisfy.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub max_bins: usize,
    /// Least weight of a bin.
    pub min_weight: f64,
    /// Least weight of goods and of bads in a bin.
    pub min_events: f64,
    /// The fewest bins are chosen that keep `1 - tolerance` of the best information value.
    pub tolerance: f64,
}

/// A candidate bin: the groups `start..end`.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: usize,
    end: usize,
    woe: f64,
    iv: f64,
}

/// The order of weights of evidence along a chain of spans, in the direction in which the chain is built.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Order {
    Rising,
    Falling,
    Any,
}

/// Chains of 1 … K spans from one side: the best value of each length ending in each span, and the span before it.
struct Chains {
    value: Vec<Vec<f64>>,
    before: Vec<Vec<u32>>,
}

const NONE: u32 = u32::MAX;

impl Chains {
    /// The spans of the best chain of `layer + 1` spans that ends in `span`, last span first.
    fn path(&self, mut layer: usize, span: usize) -> Vec<usize> {
        let (mut path, mut at) = (vec![span], span);
        while layer > 0 {
            at = self.before[layer][at] as usize;
            path.push(at);
            layer -= 1;
        }
        path
    }
}

/// The spans that satisfy the limits, by ascending weight of evidence.
fn feasible_spans(groups: &[Counts], total: Counts, limits: &Limits) -> Vec<Span> {
    let mut spans = Vec::new();
    for start in 0..groups.len() {
        let mut counts = Counts::default();
        for end in start + 1..=groups.len() {
            counts = counts.plus(groups[end - 1]);
            let enough = counts.weight() >= limits.min_weight && counts.good.min(counts.bad) >= limits.min_events;
            if enough && counts.weight() > 0.0 {
                let woe = counts.woe(total);
                spans.push(Span { start, end, woe, iv: counts.iv(woe, total) });
            }
        }
    }
    // A stable sort: spans of equal evidence stay in the order of their boundaries.
    spans.sort_by(|a, b| a.woe.total_cmp(&b.woe));
    spans
}

/// Spans by the boundary at which they start, or end. `spans` ascend by weight of evidence, and so does each list.
fn by_boundary(spans: &[Span], n_groups: usize, boundary: impl Fn(&Span) -> usize) -> Vec<Vec<u32>> {
    let mut lists = vec![Vec::new(); n_groups + 1];
    for (id, span) in spans.iter().enumerate() {
        lists[boundary(span)].push(id as u32);
    }
    lists
}

/// Chains that begin at boundary `origin`; `entering[b]` are the spans that begin at `b` seen from there, `leaving[b]`
/// those that end there.
fn chains(
    spans: &[Span],
    entering: &[Vec<u32>],
    leaving: &[Vec<u32>],
    origin: usize,
    order: Order,
    max_bins: usize,
) -> Chains {
    let mut first = vec![f64::NEG_INFINITY; spans.len()];
    for &id in &entering[origin] {
        first[id as usize] = spans[id as usize].iv;
    }
    let mut out = Chains { value: vec![first], before: vec![vec![NONE; spans.len()]] };
    for layer in 1..max_bins {
        let mut value = vec![f64::NEG_INFINITY; spans.len()];
        let mut before = vec![NONE; spans.len()];
        let last = &out.value[layer - 1];
        for (enter, leave) in entering.iter().zip(leaving) {
            match order {
                Order::Rising => sweep(spans, enter.iter(), leave.iter(), last, |p, c| p < c, &mut value, &mut before),
                Order::Falling => {
                    sweep(spans, enter.iter().rev(), leave.iter().rev(), last, |p, c| p > c, &mut value, &mut before);
                }
                Order::Any => sweep(spans, enter.iter(), leave.iter(), last, |_, _| true, &mut value, &mut before),
            }
        }
        if value.iter().all(|v| *v == f64::NEG_INFINITY) {
            break; // no chain is longer
        }
        out.value.push(value);
        out.before.push(before);
    }
    out
}

/// For each span in `enter`, the best of the spans in `leave` that may precede it; both come in the order of the chain.
fn sweep<'a>(
    spans: &[Span],
    enter: impl Iterator<Item = &'a u32>,
    leave: impl Iterator<Item = &'a u32>,
    last: &[f64],
    may_precede: impl Fn(f64, f64) -> bool,
    value: &mut [f64],
    before: &mut [u32],
) {
    let mut leave = leave.peekable();
    let (mut best, mut best_id) = (f64::NEG_INFINITY, NONE);
    for &id in enter {
        let span = &spans[id as usize];
        while let Some(&&p) = leave.peek() {
            if !may_precede(spans[p as usize].woe, span.woe) {
                break;
            }
            if last[p as usize] > best {
                (best, best_id) = (last[p as usize], p);
            }
            leave.next();
        }
        if best_id != NONE {
            value[id as usize] = span.iv + best;
            before[id as usize] = best_id;
        }
    }
}

/// The best partition found for one number of bins: its information value and the ends of its bins.
type Best = Option<(f64, Vec<usize>)>;

/// Candidate bins of one feature, and where they may follow each other.
struct Graph {
    spans: Vec<Span>,
    starting: Vec<Vec<u32>>,
    ending: Vec<Vec<u32>>,
    n_groups: usize,
    max_bins: usize,
}

impl Graph {
    /// Chains from the lowest values.
    fn chains_from_left(&self, order: Order) -> Chains {
        chains(&self.spans, &self.starting, &self.ending, 0, order, self.max_bins)
    }
    /// Chains from the highest values. Seen from there, a fall is a rise.
    fn chains_from_right(&self, order: Order) -> Chains {
        chains(&self.spans, &self.ending, &self.starting, self.n_groups, order, self.max_bins)
    }
}

/// The best partitions with a turn (or with none): `from_left` runs up to the turning span, then `from_right`.
fn best_by_count(graph: &Graph, from_left: &Chains, from_right: Option<&Chains>) -> Vec<Best> {
    let Graph { spans, n_groups, max_bins, .. } = graph;
    let (n_groups, max_bins) = (*n_groups, *max_bins);
    // (value, turning span, layers on the left, layers on the right) by number of bins.
    let mut best: Vec<(f64, usize, usize, usize)> = vec![(f64::NEG_INFINITY, 0, 0, 0); max_bins];
    for (id, span) in spans.iter().enumerate() {
        for l in 0..from_left.value.len() {
            let value = from_left.value[l][id];
            match from_right {
                None if span.end == n_groups && value > best[l].0 => best[l] = (value, id, l, 0),
                Some(other) if value > f64::NEG_INFINITY => {
                    for r in 0..other.value.len().min(max_bins - l) {
                        let value = value + other.value[r][id] - span.iv;
                        if value > best[l + r].0 {
                            best[l + r] = (value, id, l, r);
                        }
                    }
                }
                _ => {}
            }
        }
    }
    let ends = |(value, id, l, r): (f64, usize, usize, usize)| {
        let mut path = from_left.path(l, id);
        path.reverse();
        if let Some(other) = from_right {
            path.extend(other.path(r, id).into_iter().skip(1));
        }
        (value, path.into_iter().map(|s| spans[s].end).collect())
    };
    best.into_iter().map(|b| (b.0 > f64::NEG_INFINITY).then(|| ends(b))).collect()
}

/// How much a turn must gain. The information value times G·B/(G + B) is asymptotically a χ² statistic (Kullback 1959);
/// this is the 1 % point of χ² with one degree of freedom. In cross-validation scorecards with such turns ranked better than
/// monotone ones on each of german_credit, taiwan and bank_marketing (AUC by .0014, .0003 and .0030; 40, 6 and 6 × 5 folds).
const TURN: f64 = 6.63;

/// The highest information value.
fn top(candidate: &[Best]) -> f64 {
    candidate.iter().flatten().map(|b| b.0).fold(f64::NEG_INFINITY, f64::max)
}

/// Of two candidates the one with more information value, the first if they are equal.
fn better(first: Vec<Best>, second: Vec<Best>) -> Vec<Best> {
    if top(&second) > top(&first) { second } else { first }
}

/// Merges neighbouring groups so that the information value is the highest that trend and limits permit. Returns the
/// ends of the bins, ascending, the last being `groups.len()`; one bin where nothing else is possible.
///
/// `total` counts all rows of the training data, those outside `groups` (missing, special values) included.
pub(super) fn merge(groups: &[Counts], total: Counts, trend: Trend, limits: &Limits) -> Vec<usize> {
    let n = groups.len();
    let spans = feasible_spans(groups, total, limits);
    let graph = Graph {
        starting: by_boundary(&spans, n, |s| s.start),
        ending: by_boundary(&spans, n, |s| s.end),
        spans,
        n_groups: n,
        max_bins: limits.max_bins.clamp(1, n.max(1)),
    };
    // Weight of evidence falls where the bad rate rises.
    let straight = |order| best_by_count(&graph, &graph.chains_from_left(order), None);
    let turning = |order| best_by_count(&graph, &graph.chains_from_left(order), Some(&graph.chains_from_right(order)));
    let chosen = match trend {
        Trend::Ascending => straight(Order::Falling),
        Trend::Descending => straight(Order::Rising),
        Trend::Monotone => better(straight(Order::Falling), straight(Order::Rising)),
        Trend::Peak => turning(Order::Falling),
        Trend::Valley => turning(Order::Rising),
        Trend::Turning => better(turning(Order::Falling), turning(Order::Rising)),
        Trend::Auto => {
            let [fall, rise] = [Order::Falling, Order::Rising].map(|order| (graph.chains_from_left(order), order));
            let straight = better(best_by_count(&graph, &fall.0, None), best_by_count(&graph, &rise.0, None));
            let turning = |(left, order)| best_by_count(&graph, &left, Some(&graph.chains_from_right(order)));
            let turning = better(turning(fall), turning(rise));
            let gain = (top(&turning) - top(&straight)) * total.good * total.bad / total.weight();
            if gain > TURN { turning } else { straight }
        }
        Trend::Free => straight(Order::Any),
    };
    let enough = top(&chosen) * (1.0 - limits.tolerance);
    chosen.iter().flatten().find(|b| b.0 >= enough).map_or_else(|| vec![n], |b| b.1.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use statera_core::Rng;

    /// Every partition into contiguous bins, tried one by one.
    fn brute_force(groups: &[Counts], total: Counts, trend: Trend, limits: &Limits) -> f64 {
        let n = groups.len();
        let mut best = f64::NEG_INFINITY;
        for mask in 0..1u32 << (n - 1) {
            let mut bins = vec![Counts::default()];
            for (i, &g) in groups.iter().enumerate() {
                let last = bins.len() - 1;
                bins[last] = bins[last].plus(g);
                if i + 1 < n && mask >> i & 1 == 1 {
                    bins.push(Counts::default());
                }
            }
            let woe: Vec<f64> = bins.iter().map(|b| b.woe(total)).collect();
            let falls = |w: &[f64]| w.windows(2).all(|p| p[0] > p[1]);
            let rises = |w: &[f64]| w.windows(2).all(|p| p[0] < p[1]);
            let shaped = match trend {
                Trend::Monotone => falls(&woe) || rises(&woe),
                Trend::Ascending => falls(&woe),
                Trend::Descending => rises(&woe),
                Trend::Peak => (0..woe.len()).any(|t| falls(&woe[..=t]) && rises(&woe[t..])),
                Trend::Valley => (0..woe.len()).any(|t| rises(&woe[..=t]) && falls(&woe[t..])),
                Trend::Turning | Trend::Auto => (0..woe.len())
                    .any(|t| (falls(&woe[..=t]) && rises(&woe[t..])) || (rises(&woe[..=t]) && falls(&woe[t..]))),
                Trend::Free => true,
            };
            let allowed = bins.len() <= limits.max_bins
                && bins.iter().all(|b| b.weight() >= limits.min_weight && b.good.min(b.bad) >= limits.min_events);
            if shaped && allowed {
                best = best.max(bins.iter().zip(&woe).map(|(b, &w)| b.iv(w, total)).sum());
            }
        }
        if trend == Trend::Auto {
            let straight = brute_force(groups, total, Trend::Monotone, limits);
            let gain = (best - straight) * total.good * total.bad / (total.good + total.bad);
            return if gain > TURN { best } else { straight };
        }
        best
    }

    const TRENDS: [Trend; 8] = [
        Trend::Auto,
        Trend::Monotone,
        Trend::Ascending,
        Trend::Descending,
        Trend::Peak,
        Trend::Valley,
        Trend::Turning,
        Trend::Free,
    ];

    #[test]
    fn merges_are_the_best_of_all_that_exist() {
        let mut rng = Rng::new(11);
        for case in 0..400 {
            let n = 1 + rng.below(10);
            let groups: Vec<Counts> =
                (0..n).map(|_| Counts { good: rng.below(30) as f64, bad: rng.below(12) as f64 }).collect();
            let inside = groups.iter().fold(Counts::default(), |a, &g| a.plus(g));
            let total = inside.plus(Counts { good: 7.0, bad: 3.0 });
            let limits = Limits {
                max_bins: 1 + rng.below(6),
                min_weight: rng.below(30) as f64,
                min_events: rng.below(4) as f64,
                tolerance: 0.0,
            };
            for trend in TRENDS {
                let ends = merge(&groups, total, trend, &limits);
                let expected = brute_force(&groups, total, trend, &limits);
                if expected == f64::NEG_INFINITY {
                    assert_eq!(ends, [n], "case {case} {trend:?}: nothing is feasible");
                    continue;
                }
                let mut start = 0;
                let mut iv = 0.0;
                for &end in &ends {
                    let bin = groups[start..end].iter().fold(Counts::default(), |a, &g| a.plus(g));
                    iv += bin.iv(bin.woe(total), total);
                    start = end;
                }
                assert_eq!(start, n);
                assert!((iv - expected).abs() < 1e-12, "case {case} {trend:?}: {iv} instead of {expected}, {ends:?}");
            }
        }
    }

    #[test]
    fn a_turn_must_be_significant() {
        // Rates .2, .1, .13 of n rows each: the rise at the end is chance in 3 · 200 rows, and no chance in 3 · 4,000.
        for (n, expected) in [(200.0, vec![1, 3]), (4_000.0, vec![1, 2, 3])] {
            let groups = [0.2, 0.1, 0.13].map(|rate| Counts { good: n * (1.0 - rate), bad: n * rate });
            let total = groups.iter().fold(Counts::default(), |a, &g| a.plus(g));
            let limits = Limits { max_bins: 5, min_weight: 1.0, min_events: 1.0, tolerance: 0.0 };
            assert_eq!(merge(&groups, total, Trend::Auto, &limits), expected);
            assert_eq!(merge(&groups, total, Trend::Monotone, &limits), [1, 3]);
            assert_eq!(merge(&groups, total, Trend::Turning, &limits), [1, 2, 3]);
        }
    }

    #[test]
    fn tolerance_prefers_fewer_bins() {
        // Rates .1, .1001, .5: the second cut adds almost nothing.
        let groups = [
            Counts { good: 900.0, bad: 100.0 },
            Counts { good: 899.0, bad: 101.0 },
            Counts { good: 500.0, bad: 500.0 },
        ];
        let total = groups.iter().fold(Counts::default(), |a, &g| a.plus(g));
        let limits = |tolerance| Limits { max_bins: 5, min_weight: 1.0, min_events: 1.0, tolerance };
        assert_eq!(merge(&groups, total, Trend::Auto, &limits(0.0)), [1, 2, 3]);
        assert_eq!(merge(&groups, total, Trend::Auto, &limits(0.01)), [2, 3]);
    }

    #[test]
    fn weight_of_evidence_by_hand() {
        let total = Counts { good: 80.0, bad: 20.0 };
        let bin = Counts { good: 40.0, bad: 5.0 };
        // ln((40/80) / (5/20)) = ln 2; (0.5 - 0.25) · ln 2.
        assert!((bin.woe(total) - std::f64::consts::LN_2).abs() < 1e-15);
        assert!((bin.iv(bin.woe(total), total) - 0.25 * std::f64::consts::LN_2).abs() < 1e-15);
        // No bads: ln((10.5/80) / (0.5/20)) = ln 5.25.
        let pure = Counts { good: 10.0, bad: 0.0 };
        assert!((pure.woe(total) - 5.25f64.ln()).abs() < 1e-15);
        assert_eq!(Counts::default().woe(total), 0.0);
    }
}
