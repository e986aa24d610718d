//! The bins of a feature: which cell belongs to which, and what the training rows say about each.

use super::ScorecardParams;
use super::bins_file::{FeatureBins, number};
use super::optimal::{Counts, Limits, Trend, merge};
use super::prebin::{distinct, refine, simplest_cut};
use serde::{Deserialize, Serialize};
use statera_core::{CODE_MISSING, CODE_RARE, Column, Error, FIRST_LEVEL, FeatureSpec, Result};
use std::collections::BTreeSet;

/// The training rows, ready for counting.
pub(super) struct Sample<'a> {
    pub is_bad: &'a [bool],
    pub weight: &'a [f64],
    pub total: Counts,
}

/// What a bin holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BinKind {
    /// An interval of a number or a group of levels.
    Regular,
    /// One special value of a number.
    Special,
    /// Missing cells.
    Missing,
    /// Levels that were too rare in training to stand alone.
    Rare,
    /// Levels that were not seen in training, or that no group names.
    Unknown,
}

/// One line of the card.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bin {
    /// What it holds.
    pub kind: BinKind,
    /// The same in words: `[3, 5)`, `A11, A12`, `missing`.
    pub label: String,
    /// Weight of the training rows with target 0.
    pub goods: f64,
    /// Weight of the training rows with target 1.
    pub bads: f64,
    /// Weight of evidence, ln(share of goods / share of bads): positive is better than the average. 0 (neutral) for bins
    /// without rows and for missing, special, rare and unknown bins below [`ScorecardParams::min_special`].
    pub woe: f64,
    /// Part of the information value.
    pub iv: f64,
    /// Points; 0 for all bins of a characteristic that is not on the card.
    pub points: i32,
}

impl Bin {
    /// Weight of its training rows.
    pub fn weight(&self) -> f64 {
        self.goods + self.bads
    }
    /// Share of bads, 0 without rows.
    pub fn bad_rate(&self) -> f64 {
        if self.weight() > 0.0 { self.bads / self.weight() } else { 0.0 }
    }
}

/// The bins of one feature. A number has the bins `< cuts[0]`, `[cuts[0], cuts[1])`, …, then one per special value, then
/// missing; a category has one per group, then missing, rare, unknown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Binning {
    /// Cuts of a number, ascending; empty for a category.
    pub cuts: Vec<f64>,
    /// Special values of a number, ascending; empty for a category.
    pub special: Vec<f64>,
    /// Levels of a category by bin; empty for a number.
    pub groups: Vec<Vec<String>>,
    /// The bins in the order above.
    pub bins: Vec<Bin>,
}

impl Binning {
    /// Bins the training rows of a feature: as `entry` says if it is fixed, else optimally.
    pub(super) fn fit(
        spec: &FeatureSpec,
        column: &Column,
        entry: Option<&FeatureBins>,
        sample: &Sample,
        params: &ScorecardParams,
    ) -> Result<(Binning, Vec<u16>)> {
        let trend = required_trend(spec, entry, params);
        let mut binning = match column {
            Column::Number(cells) => fit_number(spec, cells, entry, trend, sample, params),
            Column::Codes(codes) => fit_category(spec, codes, entry, sample, params),
        };
        binning.label_bins(entry);
        if binning.bins.len() > usize::from(u16::MAX) {
            return Err(Error::data(format!(
                "feature «{}»: {} bins; at most {} are allowed",
                spec.name,
                binning.bins.len(),
                u16::MAX
            )));
        }
        let rows = binning.assign(spec, column);
        let pool = entry.is_some_and(|e| e.fixed).then_some(trend);
        binning.evaluate(&rows, sample, pool, params);
        Ok((binning, rows))
    }

    /// The bin of each row.
    pub(super) fn assign(&self, spec: &FeatureSpec, column: &Column) -> Vec<u16> {
        match column {
            Column::Number(cells) => cells.iter().map(|&x| self.bin_of_number(x)).collect(),
            Column::Codes(codes) => {
                let table = self.bin_by_code(spec);
                let unknown = (self.bins.len() - 1) as u16;
                codes.iter().map(|&c| table.get(c as usize).copied().unwrap_or(unknown)).collect()
            }
        }
    }

    /// The bin of a number.
    pub(super) fn bin_of_number(&self, x: f64) -> u16 {
        let n_regular = self.cuts.len() + 1;
        if x.is_nan() {
            return (n_regular + self.special.len()) as u16;
        }
        if let Some(i) = self.special.iter().position(|&s| s == x) {
            return (n_regular + i) as u16;
        }
        // A card has few cuts: counting beats a search with branches.
        self.cuts.iter().map(|&cut| u16::from(x >= cut)).sum()
    }

    /// The bin of each level code.
    pub(super) fn bin_by_code(&self, spec: &FeatureSpec) -> Vec<u16> {
        let levels = spec.levels.as_deref().unwrap_or_default();
        let n = self.groups.len() as u16;
        let mut table = vec![n + 2; FIRST_LEVEL as usize + levels.len()];
        table[CODE_MISSING as usize] = n;
        table[CODE_RARE as usize] = n + 1;
        let index: std::collections::BTreeMap<&str, usize> =
            levels.iter().enumerate().map(|(i, l)| (l.as_str(), i)).collect();
        for (bin, group) in self.groups.iter().enumerate() {
            for level in group.iter().filter_map(|l| index.get(l.as_str())) {
                table[FIRST_LEVEL as usize + level] = bin as u16;
            }
        }
        table
    }

    /// Information value: the sum over the bins.
    pub fn iv(&self) -> f64 {
        self.bins.iter().map(|b| b.iv).sum()
    }

    /// Weights of evidence of the bins whose rows are all of one class and that stand on half a row of the other.
    pub(super) fn pure(&self, total: Counts) -> Vec<f64> {
        let stands_on_half_a_row = |b: &&Bin| {
            let counts = Counts { good: b.goods, bad: b.bads };
            counts.weight() > 0.0 && counts.good.min(counts.bad) <= 0.0 && b.woe == counts.woe(total)
        };
        self.bins.iter().filter(stands_on_half_a_row).map(|b| b.woe).collect()
    }

    /// Gini coefficient (2 · AUC - 1) of the weight of evidence alone on the training rows.
    pub fn gini(&self) -> f64 {
        let mut order: Vec<&Bin> = self.bins.iter().collect();
        order.sort_by(|a, b| a.woe.total_cmp(&b.woe));
        let (mut bads_below, mut concordant) = (0.0, 0.0);
        let mut i = 0;
        while i < order.len() {
            let tied = order[i..].iter().take_while(|b| b.woe == order[i].woe).count();
            let (goods, bads) = order[i..i + tied].iter().fold((0.0, 0.0), |(g, b), x| (g + x.goods, b + x.bads));
            concordant += goods * (bads_below + bads / 2.0);
            bads_below += bads;
            i += tied;
        }
        let goods: f64 = self.bins.iter().map(|b| b.goods).sum();
        2.0 * concordant / (goods * bads_below) - 1.0
    }

    /// Counts the rows of each bin and derives weight of evidence and information value. With `pool`, regular bins that
    /// break a required trend share the evidence of their neighbours, so that cuts set by hand may stay.
    fn evaluate(&mut self, rows: &[u16], sample: &Sample, pool: Option<Trend>, params: &ScorecardParams) {
        let mut counts = vec![Counts::default(); self.bins.len()];
        for ((&bin, &weight), &is_bad) in rows.iter().zip(sample.weight).zip(sample.is_bad) {
            counts[bin as usize].add(weight, is_bad);
        }
        let mut woe: Vec<f64> = counts.iter().map(|c| c.woe(sample.total)).collect();
        let n_regular = self.bins.iter().filter(|b| b.kind == BinKind::Regular).count();
        match pool {
            Some(Trend::Ascending) => pool_violators(&counts[..n_regular], sample.total, 1.0, &mut woe),
            Some(Trend::Descending) => pool_violators(&counts[..n_regular], sample.total, -1.0, &mut woe),
            _ => {}
        }
        for ((bin, &c), woe) in self.bins.iter_mut().zip(&counts).zip(woe) {
            let is_thin = bin.kind != BinKind::Regular && c.weight() < params.min_special;
            bin.goods = c.good;
            bin.bads = c.bad;
            bin.woe = if is_thin { 0.0 } else { woe };
            bin.iv = c.iv(bin.woe, sample.total);
        }
    }

    /// Creates the bins with their labels.
    fn label_bins(&mut self, entry: Option<&FeatureBins>) {
        let bin = |kind, label: String| Bin { kind, label, goods: 0.0, bads: 0.0, woe: 0.0, iv: 0.0, points: 0 };
        let own = entry.filter(|e| e.fixed).map_or(&[][..], |e| &e.labels);
        let mut bins = Vec::new();
        if self.groups.is_empty() {
            for i in 0..=self.cuts.len() {
                let label = match (i.checked_sub(1).map(|j| self.cuts[j]), self.cuts.get(i)) {
                    (None, None) => "all".to_string(),
                    (None, Some(&high)) => format!("< {}", number(high)),
                    (Some(low), None) => format!("≥ {}", number(low)),
                    (Some(low), Some(&high)) => format!("[{}, {})", number(low), number(high)),
                };
                bins.push(bin(BinKind::Regular, own.get(i).cloned().unwrap_or(label)));
            }
            bins.extend(self.special.iter().map(|&s| bin(BinKind::Special, format!("= {}", number(s)))));
            bins.push(bin(BinKind::Missing, "missing".into()));
        } else {
            for (i, group) in self.groups.iter().enumerate() {
                bins.push(bin(BinKind::Regular, own.get(i).cloned().unwrap_or_else(|| group.join(", "))));
            }
            bins.push(bin(BinKind::Missing, "missing".into()));
            bins.push(bin(BinKind::Rare, "rare levels".into()));
            bins.push(bin(BinKind::Unknown, "unknown levels".into()));
        }
        self.bins = bins;
    }
}

/// The trend asked for: by the frame, by the file, else by the parameters.
fn required_trend(spec: &FeatureSpec, entry: Option<&FeatureBins>, params: &ScorecardParams) -> Trend {
    match spec.monotone {
        1 => Trend::Ascending,
        -1 => Trend::Descending,
        _ => entry.and_then(|e| e.trend).unwrap_or(params.trend),
    }
}

/// The ends of the bins that `partition` finds within the limits of `params`. Where they permit no split at all, the
/// least numbers of goods and bads are those that a bin must let expect, not those it holds: a feature that separates the
/// classes has no bin with rows of both, and is the strongest there is. On few events nothing is gained by this, so that
/// chance finds no splits.
fn within(sample: &Sample, params: &ScorecardParams, partition: impl Fn(&Limits) -> Vec<usize>) -> Vec<usize> {
    let total = sample.total;
    let observed = Limits {
        max_bins: params.max_bins,
        min_weight: params.min_bin_share * total.weight(),
        min_events: params.min_events,
        tolerance: params.iv_tolerance,
    };
    let ends = partition(&observed);
    if ends.len() > 1 {
        return ends;
    }
    let rate = total.good.min(total.bad) / total.weight();
    partition(&Limits { min_weight: observed.min_weight.max(params.min_events / rate), min_events: 0.0, ..observed })
}

fn fit_number(
    spec: &FeatureSpec,
    cells: &[f64],
    entry: Option<&FeatureBins>,
    trend: Trend,
    sample: &Sample,
    params: &ScorecardParams,
) -> Binning {
    let mut special = spec.sentinels.clone();
    special.extend(entry.iter().flat_map(|e| &e.special));
    special.sort_by(f64::total_cmp);
    special.dedup();
    let empty = |cuts, special| Binning { cuts, special, groups: Vec::new(), bins: Vec::new() };
    if let Some(entry) = entry.filter(|e| e.fixed) {
        return empty(entry.cuts.clone(), special);
    }
    let rows = cells
        .iter()
        .zip(sample.weight)
        .zip(sample.is_bad)
        .filter(|((x, w), _)| !x.is_nan() && **w > 0.0 && !special.contains(x))
        .map(|((&x, &w), &bad)| (x, w, bad))
        .collect();
    let values = distinct(rows);
    let ends = within(sample, params, |limits| {
        refine(&values, params.max_prebins, |groups| merge(groups, sample.total, trend, limits))
    });
    let inner = ends.iter().filter(|&&end| end < values.len());
    let cuts = inner.map(|&end| simplest_cut(values[end - 1].high, values[end].low)).collect();
    empty(cuts, special)
}

fn fit_category(
    spec: &FeatureSpec,
    codes: &[u32],
    entry: Option<&FeatureBins>,
    sample: &Sample,
    params: &ScorecardParams,
) -> Binning {
    let with = |groups| Binning { cuts: Vec::new(), special: Vec::new(), groups, bins: Vec::new() };
    if let Some(entry) = entry.filter(|e| e.fixed) {
        return with(if entry.groups.is_empty() { vec![Vec::new()] } else { entry.groups.clone() });
    }
    let levels = spec.levels.as_deref().unwrap_or_default();
    let mut counts = vec![Counts::default(); levels.len()];
    for ((&code, &weight), &is_bad) in codes.iter().zip(sample.weight).zip(sample.is_bad) {
        if let Some(c) = (code as usize).checked_sub(FIRST_LEVEL as usize).and_then(|level| counts.get_mut(level)) {
            c.add(weight, is_bad);
        }
    }
    // Riskiest level first; equal rates in code order.
    let mut order: Vec<usize> = (0..levels.len()).filter(|&l| counts[l].weight() > 0.0).collect();
    let rate = |l: usize| counts[l].bad / counts[l].weight();
    order.sort_by(|&a, &b| rate(b).total_cmp(&rate(a)));
    let chunks = chunk_levels(&order, &counts, params.max_prebins);
    let groups: Vec<Counts> =
        chunks.iter().map(|c| c.iter().fold(Counts::default(), |sum, &l| sum.plus(counts[l]))).collect();
    let ends = within(sample, params, |limits| merge(&groups, sample.total, Trend::Descending, limits));
    let mut start = 0;
    let mut bins = Vec::new();
    for end in ends.into_iter().filter(|&end| end > 0) {
        // A set, so that levels within a bin stand in the order of their codes.
        let members: BTreeSet<usize> = chunks[start..end].iter().flatten().copied().collect();
        bins.push(members.into_iter().map(|l| levels[l].clone()).collect());
        start = end;
    }
    if bins.is_empty() {
        // No level has training rows: all levels behave as one neutral bin.
        bins.push(levels.to_vec());
    }
    with(bins)
}

/// Levels in order of their bad rates, neighbours put together until at most about twice `max` groups remain.
fn chunk_levels(order: &[usize], counts: &[Counts], max: usize) -> Vec<Vec<usize>> {
    if order.len() <= max {
        return order.iter().map(|&l| vec![l]).collect();
    }
    let share = order.iter().map(|&l| counts[l].weight()).sum::<f64>() / max as f64;
    let mut chunks: Vec<Vec<usize>> = Vec::new();
    let mut weight = f64::INFINITY;
    for &level in order {
        let own = counts[level].weight();
        match chunks.last_mut() {
            Some(last) if weight < share && own < share => {
                last.push(level);
                weight += own;
            }
            _ => {
                chunks.push(vec![level]);
                weight = own;
            }
        }
    }
    chunks
}

/// Pools adjacent violators (Ayer et al. 1955): after it, `sign · woe` does not rise from one bin to the next. A bin
/// without rows takes the evidence of the bin before it, else after it.
fn pool_violators(counts: &[Counts], total: Counts, sign: f64, woe: &mut [f64]) {
    let mut blocks: Vec<(Counts, usize)> = Vec::new();
    for &c in counts {
        blocks.push((c, 1));
        while let [.., (before, n), (last, m)] = blocks[..] {
            let is_empty = before.weight() <= 0.0 || last.weight() <= 0.0;
            if !is_empty && sign * last.woe(total) <= sign * before.woe(total) {
                break;
            }
            blocks.truncate(blocks.len() - 2);
            blocks.push((before.plus(last), n + m));
        }
    }
    let mut at = 0;
    for (c, n) in blocks {
        woe[at..at + n].fill(c.woe(total));
        at += n;
    }
}
