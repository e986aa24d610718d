//! The best split of a leaf on one feature.

use super::GbdtParams;
use statera_kernel::histogram::{Cell, CutRule, Packing, best_cut};

/// How a feature splits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Codes below `n_special` (missing, then sentinels) have no order; the others ascend.
    Number { n_special: usize, monotone: i8 },
    /// Code 0 (missing, unknown) is never in a set; the others are levels.
    Level,
}

/// A set of codes.
pub(super) type CodeSet = [u64; 4];

/// A way to cut a leaf in two.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Split {
    /// Loss that it saves, times two; positive.
    pub(super) gain: f64,
    pub(super) column: usize,
    /// Codes that go left.
    pub(super) left: CodeSet,
    /// The sum over the left rows.
    pub(super) left_sum: Cell,
    /// Added to the hessian of both new leaves.
    pub(super) l2: f64,
    /// Sign of right minus left that the feature requires, 0 if none.
    pub(super) monotone: i8,
}

/// A leaf's sums and the limits on its value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leaf {
    pub(super) total: Cell,
    /// Least and most value of the leaf, before the learning rate.
    pub(super) bounds: (f64, f64),
}

/// What every split of a fit must respect.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules<'a> {
    pub(super) params: &'a GbdtParams,
    pub(super) packing: Packing,
    /// Units of a row of weight 1.
    pub(super) count_unit: f64,
}

impl Rules<'_> {
    pub(super) fn min_count(&self) -> i64 {
        (self.params.min_rows_per_leaf as f64 * self.count_unit).ceil() as i64
    }

    /// The value of a leaf before the learning rate: -G/(H + λ) within its bounds.
    pub(super) fn value(&self, sum: Cell, l2: f64, bounds: (f64, f64)) -> f64 {
        let value = -self.packing.gradient(sum) / (self.packing.hessian(sum) + l2);
        // An empty sum has no value of its own.
        if value.is_nan() { 0.0_f64.max(bounds.0).min(bounds.1) } else { value.max(bounds.0).min(bounds.1) }
    }

    /// Twice the loss that a leaf's value saves: -(2·G·v + (H + λ)·v²); G²/(H + λ) for the optimal value.
    fn saving(&self, sum: Cell, l2: f64, bounds: (f64, f64)) -> f64 {
        let v = self.value(sum, l2, bounds);
        -(2.0 * self.packing.gradient(sum) * v + (self.packing.hessian(sum) + l2) * v * v)
    }

    /// True if both sides have rows and hessian enough.
    fn allows(&self, left: Cell, right: Cell, min_count_right: i64) -> bool {
        let (min, h) = (self.min_count(), self.params.min_hessian_per_leaf);
        self.packing.count(left) >= min
            && self.packing.count(right) >= min.max(min_count_right)
            && self.packing.hessian(left) >= h
            && self.packing.hessian(right) >= h
    }

    /// False if the leaf is too small to be split at all.
    pub(super) fn may_split(&self, total: Cell) -> bool {
        self.packing.count(total) >= 2 * self.min_count()
            && self.packing.hessian(total) >= 2.0 * self.params.min_hessian_per_leaf
    }
}

/// The split of largest gain on a column, the first among equals; `None` if none gains.
pub(super) fn best_split(rules: &Rules, kind: Kind, column: usize, cells: &[Cell], leaf: &Leaf) -> Option<Split> {
    let mut search = Search { rules, leaf, column, cells, best: None };
    match kind {
        Kind::Number { n_special, monotone } => search.number(n_special, monotone),
        Kind::Level => search.level(),
    }
    let own = rules.saving(leaf.total, rules.params.l2, leaf.bounds);
    search.best.and_then(|mut split| {
        split.gain -= own;
        // Rounding leaves about 1e-16 of the leaf's own saving.
        (split.gain > 1e-12 * own.abs() && split.gain.is_finite() && split.gain > 0.0).then_some(split)
    })
}

struct Search<'a> {
    rules: &'a Rules<'a>,
    leaf: &'a Leaf,
    column: usize,
    cells: &'a [Cell],
    best: Option<Split>,
}

impl Search<'_> {
    /// Keeps a candidate if it saves more than the best so far; `gain` still holds the leaf's own saving.
    fn offer(&mut self, gain: f64, left: CodeSet, left_sum: Cell, l2: f64, monotone: i8) {
        if self.best.is_none_or(|best| gain > best.gain) {
            self.best = Some(Split { gain, column: self.column, left, left_sum, l2, monotone });
        }
    }

    fn is_bounded(&self) -> bool {
        self.leaf.bounds.0 > f64::NEG_INFINITY || self.leaf.bounds.1 < f64::INFINITY
    }

    /// What a division saves in all, or `None` if it is not allowed or against the required direction.
    fn gain(&self, left: Cell, l2: f64, monotone: i8) -> Option<f64> {
        let right = self.leaf.total.minus(left);
        if !self.rules.allows(left, right, 0) {
            return None;
        }
        let bounds = self.leaf.bounds;
        if monotone != 0 {
            let rise = self.rules.value(right, l2, bounds) - self.rules.value(left, l2, bounds);
            if rise * f64::from(monotone) < 0.0 {
                return None;
            }
        }
        Some(self.rules.saving(left, l2, bounds) + self.rules.saving(right, l2, bounds))
    }

    fn number(&mut self, n_special: usize, monotone: i8) {
        let (special, ordered) = self.cells.split_at(n_special.min(self.cells.len()));
        let special_sum = special.iter().fold(Cell::default(), |sum, &cell| sum.plus(cell));
        if special_sum == Cell::default() {
            // No row tells where the special codes belong: they go where most rows are.
            if let Some((gain, last, left)) = self.cut(ordered, Cell::default(), monotone) {
                let packing = &self.rules.packing;
                let special_left = 2 * packing.count(left) >= packing.count(self.leaf.total);
                let first = if special_left { 0 } else { n_special };
                self.offer(gain, set_of(first..n_special + last + 1), left, self.rules.params.l2, monotone);
            }
            return;
        }
        for (first, start) in [(n_special, Cell::default()), (0, special_sum)] {
            if let Some((gain, last, left)) = self.cut(ordered, start, monotone) {
                self.offer(gain, set_of(first..n_special + last + 1), left, self.rules.params.l2, monotone);
            }
        }
        // Each special code against everything else, and all of them together.
        let l2 = self.rules.params.l2;
        for (code, &cell) in special.iter().enumerate() {
            if let Some(gain) = self.gain(cell, l2, 0) {
                self.offer(gain, set_of(code..code + 1), cell, l2, 0);
            }
        }
        if n_special > 1
            && let Some(gain) = self.gain(special_sum, l2, 0)
        {
            self.offer(gain, set_of(0..n_special), special_sum, l2, 0);
        }
    }

    /// The best cut of ordered cells: its gain, the last cell on the left, the sum on the left.
    fn cut(&self, ordered: &[Cell], start: Cell, monotone: i8) -> Option<(f64, usize, Cell)> {
        // A cut behind the last cell would leave the right side to nobody, or to the special codes alone.
        let candidates = &ordered[..ordered.len().saturating_sub(1)];
        if !self.is_bounded() && monotone == 0 {
            let rule = CutRule {
                packing: self.rules.packing,
                total: self.leaf.total,
                l2: self.rules.params.l2,
                min_hessian: self.rules.params.min_hessian_per_leaf,
                min_count: self.rules.min_count(),
            };
            return best_cut(candidates, start, &rule).map(|cut| (cut.gain, cut.last, cut.left));
        }
        let mut best: Option<(f64, usize, Cell)> = None;
        let mut left = start;
        for (last, cell) in candidates.iter().enumerate() {
            left = left.plus(*cell);
            if let Some(gain) = self.gain(left, self.rules.params.l2, monotone)
                && best.is_none_or(|b| gain > b.0)
            {
                best = Some((gain, last, left));
            }
        }
        best
    }

    fn level(&mut self) {
        let params = self.rules.params;
        let packing = self.rules.packing;
        if self.cells.len() - 1 <= params.max_levels_one_against_rest {
            for code in 1..self.cells.len() {
                if let Some(gain) = self.gain(self.cells[code], params.l2, 0) {
                    self.offer(gain, set_of(code..code + 1), self.cells[code], params.l2, 0);
                }
            }
            return;
        }
        let least = params.level_smoothing * self.rules.count_unit;
        let mut order: Vec<(f64, usize)> = (1..self.cells.len())
            .filter(|&code| packing.count(self.cells[code]) > 0 && packing.count(self.cells[code]) as f64 >= least)
            .map(|code| {
                let cell = self.cells[code];
                (packing.gradient(cell) / (packing.hessian(cell) + params.level_smoothing.max(1e-9)), code)
            })
            .collect();
        order.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        self.sets(&order);
        order.reverse();
        self.sets(&order);
    }

    /// Offers the sets that begin the order, one for each `min_rows_per_level_group` rows.
    fn sets(&mut self, order: &[(f64, usize)]) {
        let params = self.rules.params;
        let group = (params.min_rows_per_level_group as f64 * self.rules.count_unit).ceil() as i64;
        let l2 = params.l2 + params.level_l2;
        let most = params.max_levels_per_side.min(order.len().div_ceil(2));
        let (mut left, mut in_group, mut set) = (Cell::default(), 0, CodeSet::default());
        for &(_, code) in &order[..most] {
            left = left.plus(self.cells[code]);
            set[code >> 6] |= 1 << (code & 63);
            in_group += self.rules.packing.count(self.cells[code]);
            let right = self.leaf.total.minus(left);
            if in_group < group || !self.rules.allows(left, right, group) {
                continue;
            }
            in_group = 0;
            if let Some(gain) = self.gain(left, l2, 0) {
                self.offer(gain, set, left, l2, 0);
            }
        }
    }
}

/// The set of a range of codes.
pub(super) fn set_of(codes: std::ops::Range<usize>) -> CodeSet {
    let mut set = CodeSet::default();
    codes.for_each(|code| set[code >> 6] |= 1 << (code & 63));
    set
}
