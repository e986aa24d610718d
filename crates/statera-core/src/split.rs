//! Which rows train and which judge.
//!
//! Three ways, by what is known of the rows: at random and stratified by class; whole groups on one side (a customer's
//! rows never on both); and by time, the past trains and the future judges. With time *and* group the split is by time,
//! and training rows whose group also stands on the judging side are left out of training, so that the judging side
//! stays the whole population of its period.
//!
//! A label may become known long after its row (a default within twelve months): with `known`, a row trains only for
//! judging rows that come after its label was known, as it would have been.
//!
//! Everything is deterministic for a seed; row indices are ascending.

mod prequential;

pub use prequential::{PrequentialFold, Windows, prequential};

use crate::{Error, Result, Rng, Task, metric::check_target};
use std::collections::{HashMap, HashSet};

/// Row indices that train and row indices that judge, both ascending.
pub type Sides = (Vec<usize>, Vec<usize>);

/// What splits go by, one entry a row.
#[derive(Debug, Clone, Copy)]
pub struct Keys<'a> {
    /// What is predicted; classes are stratified.
    pub task: Task,
    /// Binary 0/1, class index, or value.
    pub target: &'a [f64],
    /// Microseconds UTC; rows of equal time stay on one side.
    pub time: Option<&'a [i64]>,
    /// When each row's label was known, microseconds UTC; `None`: at once. Has a meaning with `time` only.
    pub known: Option<&'a [i64]>,
    /// Rows of equal group stay on one side.
    pub group: Option<&'a [u64]>,
}

/// Rows to train on and rows to test on, the latter about `share` of all.
///
/// At random, each class is divided by `share` (rounded, at least one row on either side). By group, whole groups are
/// dealt so that rows and classes come as near to `share` as whole groups allow. By time, the last `share` of the rows
/// are the test, moved to the nearest change of time.
///
/// ```
/// use statera_core::{Task, split::{Keys, holdout}};
/// let target = [0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0];
/// let (train, test) = holdout(&Keys { task: Task::Binary, target: &target, time: None, known: None, group: None }, 0.25, 42)?;
/// assert_eq!((train.len(), test.len()), (6, 2));
/// # Ok::<(), statera_core::Error>(())
/// ```
///
/// Fails unless 0 < `share` < 1 and both sides get rows of every class (two classes at least on a test side by time).
pub fn holdout(keys: &Keys<'_>, share: f64, seed: u64) -> Result<Sides> {
    if !(share > 0.0 && share < 1.0) {
        return Err(Error::request(format!("the test share is {share}; it must be greater than 0 and less than 1")));
    }
    keys.check()?;
    if let Some(time) = keys.time {
        let n = time.len();
        let by_time = ByTime::new(time);
        let cut = by_time.cuts(&[n as f64 * (1.0 - share)])?[0];
        return by_time.sides(keys, cut, n);
    }
    let part = match keys.group {
        Some(group) => deal_groups(keys, group, &[1.0 - share, share], seed)?,
        None => {
            keys.check_classes(2, "a training and a test side")?;
            deal_rows(keys, |n, rank| usize::from(rank < ((n as f64 * share).round() as usize).clamp(1, n - 1)), seed)
        }
    };
    Ok(sides(&part, 1))
}

/// `k` pairs of rows to train on and rows to validate on.
///
/// At random and by group every row is validated once: classes are dealt evenly, or whole groups so that folds come as
/// near to equal rows and classes as whole groups allow. By time the rows are cut into `k + 1` blocks of equal size
/// (moved to the nearest change of time); fold *j* trains on the blocks before block *j + 1* and validates on that block.
/// With `known`, the blocks begin where the labels of that many rows are known, and share what comes after equally.
///
/// Fails unless `k` ≥ 2 and every fold gets rows of every class on both sides (two classes at least on a validation side
/// by time); the message says how many rows, groups or times are needed.
pub fn folds(keys: &Keys<'_>, k: usize, seed: u64) -> Result<Vec<Sides>> {
    if k < 2 {
        return Err(Error::request(format!("{k} folds; at least 2 are needed")));
    }
    keys.check()?;
    if let Some(time) = keys.time {
        let n = time.len();
        let by_time = ByTime::new(time);
        let first = by_time.first_judged(keys, n as f64 / (k + 1) as f64)?;
        let wanted: Vec<f64> = (0..k).map(|block| first + block as f64 * (n as f64 - first) / k as f64).collect();
        let mut cuts = by_time.cuts(&wanted)?;
        cuts.push(n);
        return cuts
            .windows(2)
            .enumerate()
            .map(|(fold, cut)| by_time.sides(keys, cut[0], cut[1]).map_err(|e| e.at(format!("fold {}", fold + 1))))
            .collect();
    }
    let part = match keys.group {
        Some(group) => deal_groups(keys, group, &vec![1.0 / k as f64; k], seed)?,
        None => {
            keys.check_classes(k, &format!("{k} folds"))?;
            // Each class goes on where the one before ended, so that folds differ by one row at most.
            let mut dealt = 0;
            let mut before = vec![0; keys.n_classes()];
            for (class, count) in keys.class_counts(0..keys.target.len()).into_iter().enumerate() {
                before[class] = dealt;
                dealt += count;
            }
            deal_rows_by_class(keys, |class, _, rank| (before[class] + rank) % k, seed)
        }
    };
    Ok((0..k).map(|fold| sides(&part, fold)).collect())
}

impl Keys<'_> {
    fn check(&self) -> Result<()> {
        let n = self.target.len();
        let lengths = [
            ("times", self.time.map(<[i64]>::len)),
            ("times of labels", self.known.map(<[i64]>::len)),
            ("groups", self.group.map(<[u64]>::len)),
        ];
        for (what, len) in lengths {
            if let Some(len) = len.filter(|&len| len != n) {
                return Err(Error::data(format!("{len} {what} for {n} targets; {n} are needed")));
            }
        }
        check_target(self.task, self.target)
    }

    /// Classes; a regression has one.
    fn n_classes(&self) -> usize {
        match self.task {
            Task::Binary => 2,
            Task::Classes(k) => k,
            Task::Regression => 1,
        }
    }

    fn class(&self, row: usize) -> usize {
        if self.task.is_classification() { self.target[row] as usize } else { 0 }
    }

    fn class_counts(&self, rows: impl IntoIterator<Item = usize>) -> Vec<usize> {
        let mut counts = vec![0; self.n_classes()];
        for row in rows {
            counts[self.class(row)] += 1;
        }
        counts
    }

    /// Fails unless each class has `needed` rows.
    fn check_classes(&self, needed: usize, purpose: &str) -> Result<()> {
        for (class, count) in self.class_counts(0..self.target.len()).into_iter().enumerate() {
            if count < needed {
                let rows = if self.task.is_classification() {
                    format!("{} of class {class}", rows(count))
                } else {
                    rows(count)
                };
                return Err(Error::data(format!("there are {rows}; {purpose} need at least {needed}")));
            }
        }
        Ok(())
    }
}

fn rows(count: usize) -> String {
    if count == 1 { "1 row".into() } else { format!("{count} rows") }
}

/// Rows outside and inside a part.
fn sides(part: &[usize], judging: usize) -> Sides {
    (0..part.len()).partition(|&row| part[row] != judging)
}

/// The part of each row: `deal(class size, rank)` for the row that is `rank`-th in its class after shuffling.
fn deal_rows(keys: &Keys<'_>, deal: impl Fn(usize, usize) -> usize, seed: u64) -> Vec<usize> {
    deal_rows_by_class(keys, |_, n, rank| deal(n, rank), seed)
}

fn deal_rows_by_class(keys: &Keys<'_>, deal: impl Fn(usize, usize, usize) -> usize, seed: u64) -> Vec<usize> {
    let mut part = vec![0; keys.target.len()];
    for class in 0..keys.n_classes() {
        let mut members: Vec<usize> = (0..part.len()).filter(|&row| keys.class(row) == class).collect();
        Rng::fork(seed, class as u64).shuffle(&mut members);
        for (rank, &row) in members.iter().enumerate() {
            part[row] = deal(class, members.len(), rank);
        }
    }
    part
}

/// The part of each row when whole groups are dealt to parts of given shares: the largest groups first (equal ones in
/// random order), each to the part where it adds least to Σ over classes and rows of (count / wanted count)², so that
/// every class, however rare, is as evenly divided as the rows are.
fn deal_groups(keys: &Keys<'_>, group: &[u64], shares: &[f64], seed: u64) -> Result<Vec<usize>> {
    let n_parts = shares.len();
    let totals = keys.class_counts(0..group.len());
    let mut members: HashMap<u64, usize> = HashMap::new();
    // Groups are numbered by first appearance: a hash map's own order is random.
    let index: Vec<usize> = group
        .iter()
        .map(|&g| {
            let next = members.len();
            *members.entry(g).or_insert(next)
        })
        .collect();
    let n_groups = members.len();
    if n_groups < n_parts {
        return Err(Error::data(format!("there are {n_groups} groups; at least {n_parts} are needed")));
    }
    let mut counts = vec![vec![]; n_groups];
    for (row, &g) in index.iter().enumerate() {
        add(&mut counts[g], keys.class(row), 1);
    }
    let size = |g: usize| counts[g].iter().map(|&(_, n)| n).sum::<usize>();
    let mut order: Vec<usize> = (0..n_groups).collect();
    Rng::new(seed).shuffle(&mut order);
    order.sort_by_key(|&g| std::cmp::Reverse(size(g)));

    let mut filled = vec![vec![0usize; totals.len() + 1]; n_parts];
    let mut part_of = vec![0; n_groups];
    for &g in &order {
        let with_rows = || counts[g].iter().copied().chain([(totals.len(), size(g))]);
        let cost = |part: usize| -> f64 {
            with_rows()
                .map(|(class, n)| {
                    let total = totals.get(class).copied().unwrap_or(group.len()) as f64;
                    let (n, before) = (n as f64, filled[part][class] as f64);
                    (n * n + 2.0 * n * before) / (shares[part] * total * total)
                })
                .sum()
        };
        let best = (0..n_parts).fold((0, f64::INFINITY), |best, part| {
            let cost = cost(part);
            if cost < best.1 { (part, cost) } else { best }
        });
        part_of[g] = best.0;
        for (class, n) in with_rows() {
            filled[best.0][class] += n;
        }
    }
    check_parts(keys, &filled, &totals)?;
    Ok(index.into_iter().map(|g| part_of[g]).collect())
}

fn add(counts: &mut Vec<(usize, usize)>, class: usize, n: usize) {
    match counts.iter_mut().find(|(c, _)| *c == class) {
        Some((_, count)) => *count += n,
        None => counts.push((class, n)),
    }
}

fn check_parts(keys: &Keys<'_>, filled: &[Vec<usize>], totals: &[usize]) -> Result<()> {
    let n_parts = filled.len();
    for (class, &total) in totals.iter().enumerate() {
        let n_with = filled.iter().filter(|part| part[class] > 0).count();
        if n_with < n_parts {
            let what = if keys.task.is_classification() { format!(" of class {class}") } else { String::new() };
            return Err(Error::data(format!(
                "the {}{what} lie in groups that reach {n_with} of {n_parts} parts only; at least {n_parts} groups with such \
                 rows are needed",
                rows(total)
            )));
        }
    }
    Ok(())
}

/// Rows in order of time.
struct ByTime {
    /// Row indices, ascending by time.
    order: Vec<usize>,
    /// Places in `order` where a new time begins, without the first.
    changes: Vec<usize>,
}

impl ByTime {
    fn new(time: &[i64]) -> ByTime {
        let mut order: Vec<usize> = (0..time.len()).collect();
        order.sort_by_key(|&row| time[row]);
        let changes = (1..order.len()).filter(|&i| time[order[i]] != time[order[i - 1]]).collect();
        ByTime { order, changes }
    }

    /// For each wanted place the nearest change of time, all of them different; `wanted` ascends.
    fn cuts(&self, wanted: &[f64]) -> Result<Vec<usize>> {
        let (n_times, needed) = (self.changes.len() + usize::from(!self.order.is_empty()), wanted.len() + 1);
        if n_times < needed {
            return Err(Error::data(format!("there are {n_times} different times; at least {needed} are needed")));
        }
        let mut first = 0;
        let cuts = wanted.iter().enumerate().map(|(i, &wanted_place)| {
            // As many changes must be left over as there are cuts to come.
            let last = self.changes.len() - (wanted.len() - i);
            let distance = |c: usize| (self.changes[c] as f64 - wanted_place).abs();
            let mut best =
                (first + self.changes[first..=last].partition_point(|&c| (c as f64) < wanted_place)).min(last);
            if best > first && distance(best - 1) <= distance(best) {
                best -= 1;
            }
            first = best + 1;
            self.changes[best]
        });
        Ok(cuts.collect())
    }

    /// The first place from which labels of at least `wanted` rows are known; without `known` that is place `wanted`.
    fn first_judged(&self, keys: &Keys<'_>, wanted: f64) -> Result<f64> {
        let (Some(time), Some(known)) = (keys.time, keys.known) else { return Ok(wanted) };
        let mut labels = known.to_vec();
        labels.sort_unstable();
        let n_known = |place: usize| labels.partition_point(|&label| label <= time[self.order[place]]);
        let first = self.changes.iter().copied().find(|&place| n_known(place) as f64 >= wanted);
        first.map(|place| place as f64).ok_or_else(|| {
            let n_last = self.order.len().checked_sub(1).map_or(0, n_known);
            Error::data(format!(
                "when the last row was observed, the labels of {} were known; {} are needed to train a fold: give a \
                 shorter label delay, fewer folds or a longer history",
                rows(n_last),
                wanted.ceil()
            ))
        })
    }

    /// Rows before place `cut` whose labels were known there, and rows from there to place `end`.
    fn sides(&self, keys: &Keys<'_>, cut: usize, end: usize) -> Result<Sides> {
        let mut judging = self.order[cut..end].to_vec();
        let mut training = self.order[..cut].to_vec();
        let mut left_out = Vec::new();
        if let (Some(time), Some(known)) = (keys.time, keys.known) {
            let start = time[self.order[cut]];
            training.retain(|&row| known[row] <= start);
            left_out.push((cut - training.len(), "whose label was known later"));
        }
        if let Some(group) = keys.group {
            let before = training.len();
            let judged: HashSet<u64> = judging.iter().map(|&row| group[row]).collect();
            training.retain(|&row| !judged.contains(&group[row]));
            left_out.push((before - training.len(), "whose group occurs later"));
        }
        training.sort_unstable();
        judging.sort_unstable();
        self.check(keys, &training, &judging, &left_out)?;
        Ok((training, judging))
    }

    fn check(&self, keys: &Keys<'_>, training: &[usize], judging: &[usize], left_out: &[(usize, &str)]) -> Result<()> {
        let reasons: Vec<String> =
            left_out.iter().filter(|(n, _)| *n > 0).map(|(n, why)| format!("{n} were left out {why}")).collect();
        let why = if reasons.is_empty() { String::new() } else { format!(" after {}", reasons.join(" and ")) };
        let present = |rows: &[usize]| keys.class_counts(rows.iter().copied());
        if !keys.task.is_classification() {
            return match training.is_empty() {
                true => Err(Error::data(format!("no rows are left to train on{why}; at least 1 is needed"))),
                false => Ok(()),
            };
        }
        if let Some(class) = present(training).iter().position(|&n| n == 0) {
            return Err(Error::data(format!(
                "none of the {} before the cut is of class {class}{why}; at least 1 is needed to train",
                rows(training.len())
            )));
        }
        if present(judging).iter().filter(|&&n| n > 0).count() < 2 {
            return Err(Error::data(format!(
                "the {} after the cut are all of class {}; at least 2 classes are needed to judge",
                rows(judging.len()),
                keys.class(judging[0])
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binary(n: usize, every: usize) -> Vec<f64> {
        (0..n).map(|i| f64::from(u8::from(i % every == 0))).collect()
    }

    fn keys<'a>(target: &'a [f64], time: Option<&'a [i64]>, group: Option<&'a [u64]>) -> Keys<'a> {
        Keys { task: Task::Binary, target, time, known: None, group }
    }

    fn positives(rows: &[usize], target: &[f64]) -> usize {
        rows.iter().filter(|&&r| target[r] == 1.0).count()
    }

    fn is_partition(sides: &[&[usize]], n: usize) -> bool {
        let mut all: Vec<usize> = sides.concat();
        let ascending = sides.iter().all(|s| s.is_sorted());
        all.sort_unstable();
        ascending && all == (0..n).collect::<Vec<_>>()
    }

    #[test]
    fn random_splits_divide_each_class() {
        let target = binary(1000, 8);
        let (train, test) = holdout(&keys(&target, None, None), 0.2, 3).unwrap();
        assert!(is_partition(&[&train, &test], 1000));
        assert_eq!((test.len(), positives(&test, &target)), (200, 25));
        assert_eq!(holdout(&keys(&target, None, None), 0.2, 3).unwrap().1, test);
        assert_ne!(holdout(&keys(&target, None, None), 0.2, 4).unwrap().1, test);

        let folds = folds(&keys(&target[..997], None, None), 5, 3).unwrap();
        let valid: Vec<&[usize]> = folds.iter().map(|f| f.1.as_slice()).collect();
        assert!(is_partition(&valid, 997));
        for (train, valid) in &folds {
            assert!(is_partition(&[train, valid], 997));
            assert!(matches!(valid.len(), 199 | 200) && positives(valid, &target) == 25, "{}", valid.len());
        }
    }

    #[test]
    fn a_regression_is_divided_at_random() {
        let target: Vec<f64> = (0..50).map(f64::from).collect();
        let keys = Keys { task: Task::Regression, target: &target, time: None, known: None, group: None };
        let (train, test) = holdout(&keys, 0.3, 1).unwrap();
        assert!(is_partition(&[&train, &test], 50) && test.len() == 15);
        assert!(folds(&keys, 5, 1).unwrap().iter().all(|f| f.1.len() == 10));
    }

    #[test]
    fn groups_stay_together_and_classes_stay_even() {
        let mut rng = Rng::new(11);
        let group: Vec<u64> = (0..3000).map(|_| (rng.uniform().powi(2) * 400.0) as u64).collect();
        // Some groups are far worse than others, which a plain deal by size would not even out.
        let target: Vec<f64> =
            group.iter().map(|&g| f64::from(u8::from(rng.uniform() < if g % 7 == 3 { 0.5 } else { 0.03 }))).collect();
        let keys = keys(&target, None, Some(&group));
        let n_positive = positives(&(0..3000).collect::<Vec<_>>(), &target) as f64;
        let whole = |a: &[usize], b: &[usize]| {
            let left: HashSet<u64> = a.iter().map(|&r| group[r]).collect();
            b.iter().all(|&r| !left.contains(&group[r]))
        };
        let (train, test) = holdout(&keys, 0.25, 3).unwrap();
        assert!(is_partition(&[&train, &test], 3000) && whole(&train, &test));
        assert!((test.len() as f64 - 750.0).abs() < 8.0, "{}", test.len());
        assert!((positives(&test, &target) as f64 - 0.25 * n_positive).abs() < 4.0);
        let folds = folds(&keys, 5, 3).unwrap();
        assert!(is_partition(&folds.iter().map(|f| f.1.as_slice()).collect::<Vec<_>>(), 3000));
        for (train, valid) in &folds {
            assert!(whole(train, valid));
            assert!((valid.len() as f64 - 600.0).abs() < 8.0, "{}", valid.len());
            let even = 0.2 * n_positive;
            assert!((positives(valid, &target) as f64 - even).abs() < 4.0, "{} {even}", positives(valid, &target));
        }
    }

    #[test]
    fn time_cuts_between_times_and_the_past_trains() {
        let mut rng = Rng::new(2);
        let time: Vec<i64> = (0..1200).map(|_| (rng.uniform() * 40.0) as i64).collect();
        let target = binary(1200, 3);
        let keys = keys(&target, Some(&time), None);
        let range = |rows: &[usize]| {
            let times = || rows.iter().map(|&r| time[r]);
            (times().min().unwrap(), times().max().unwrap())
        };
        let (train, test) = holdout(&keys, 0.2, 9).unwrap();
        assert!(is_partition(&[&train, &test], 1200) && range(&train).1 < range(&test).0);
        assert!((test.len() as f64 - 240.0).abs() <= 30.0, "{}", test.len());
        let folds = folds(&keys, 5, 9).unwrap();
        let mut seen = 0;
        for (train, valid) in &folds {
            assert!(range(train).1 < range(valid).0 && train.is_sorted() && valid.is_sorted());
            assert!((valid.len() as f64 - 200.0).abs() <= 30.0, "{}", valid.len());
            assert!(train.len() == seen || seen == 0);
            seen = train.len() + valid.len();
        }
        assert_eq!(seen, 1200);
    }

    #[test]
    fn ties_of_time_never_cost_a_fold() {
        // Six times, nearly all rows at the first: every fold still gets its own time.
        let mut time = vec![0i64; 100];
        for (i, t) in time.iter_mut().rev().take(10).enumerate() {
            *t = 5 - i as i64 / 2;
        }
        let target = binary(100, 2);
        let folds = folds(&keys(&target, Some(&time), None), 5, 1).unwrap();
        assert_eq!(folds.iter().map(|f| f.1.len()).collect::<Vec<_>>(), [2, 2, 2, 2, 2]);
    }

    #[test]
    fn with_time_and_group_no_group_is_on_both_sides() {
        let time: Vec<i64> = (0..100).collect();
        let group: Vec<u64> = (0..100).map(|i| if i % 10 == 0 { 7 } else { 1000 + i }).collect();
        let target = binary(100, 3);
        let (train, test) = holdout(&keys(&target, Some(&time), Some(&group)), 0.3, 1).unwrap();
        assert_eq!(test, (70..100).collect::<Vec<_>>());
        assert_eq!(train.len(), 63);
        assert!(train.iter().all(|r| group[*r] != 7));
    }

    #[test]
    fn a_row_trains_only_once_its_label_is_known() {
        // Ten rows a month for 24 months; labels come six months later.
        let time: Vec<i64> = (0..240).map(|i| i / 10).collect();
        let known: Vec<i64> = time.iter().map(|t| t + 6).collect();
        let target = binary(240, 3);
        let keys = Keys { known: Some(&known), ..keys(&target, Some(&time), None) };
        let (train, test) = holdout(&keys, 0.25, 1).unwrap();
        assert_eq!(test, (180..240).collect::<Vec<_>>());
        // The test starts in month 18: labels of months 0 to 12 are known.
        assert_eq!(train, (0..130).collect::<Vec<_>>());
        let folds = folds(&keys, 3, 1).unwrap();
        // A fourth of the rows (months 0 to 5) are known in month 11; the 13 months from there make three blocks.
        let spans: Vec<_> = folds.iter().map(|(train, valid)| (train.len(), valid[0], valid.len())).collect();
        assert_eq!(spans, [(60, 110, 40), (100, 150, 50), (150, 200, 40)]);
        for (train, valid) in &folds {
            assert!(train.iter().all(|&row| known[row] <= time[valid[0]]));
        }
        let late: Vec<i64> = time.iter().map(|t| t + 20).collect();
        assert_eq!(
            super::folds(&Keys { known: Some(&late), ..keys }, 3, 1).unwrap_err().to_string(),
            "when the last row was observed, the labels of 40 rows were known; 60 are needed to train a fold: give a \
             shorter label delay, fewer folds or a longer history"
        );
        let never: Vec<i64> = time.iter().map(|t| t + 100).collect();
        assert_eq!(
            holdout(&Keys { known: Some(&never), ..keys }, 0.25, 1).unwrap_err().to_string(),
            "none of the 0 rows before the cut is of class 0 after 180 were left out whose label was known later; at \
             least 1 is needed to train"
        );
    }

    #[test]
    fn says_how_many_are_needed() {
        fn check<T: std::fmt::Debug>(result: Result<T>, expected: &str) {
            assert_eq!(result.unwrap_err().to_string(), expected);
        }
        let target = binary(20, 7);
        let plain = keys(&target, None, None);
        check(holdout(&plain, 1.0, 1), "the test share is 1; it must be greater than 0 and less than 1");
        check(folds(&plain, 1, 1), "1 folds; at least 2 are needed");
        check(folds(&plain, 5, 1), "there are 3 rows of class 1; 5 folds need at least 5");
        check(
            holdout(&keys(&target[1..7], None, None), 0.5, 1),
            "there are 0 rows of class 1; a training and a test side need at least 2",
        );
        let real = Keys { task: Task::Regression, target: &[0.5, 1.0, 2.0], time: None, known: None, group: None };
        check(folds(&real, 5, 1), "there are 3 rows; 5 folds need at least 5");
        check(
            holdout(&Keys { target: &[0.5], ..real }, 0.5, 1),
            "there are 1 row; a training and a test side need at least 2",
        );
        let group: Vec<u64> = (0..20).map(|i| i / 7).collect();
        check(folds(&keys(&target, None, Some(&group)), 5, 1), "there are 3 groups; at least 5 are needed");
        let group: Vec<u64> = (0..20).map(|i| if target[i] == 1.0 { 0 } else { i as u64 }).collect();
        check(
            folds(&keys(&target, None, Some(&group)), 5, 1),
            "the 3 rows of class 1 lie in groups that reach 1 of 5 parts only; at least 5 groups with such rows are needed",
        );
        let time = vec![3i64; 20];
        check(holdout(&keys(&target, Some(&time), None), 0.5, 1), "there are 1 different times; at least 2 are needed");
        let time: Vec<i64> = (0..20).collect();
        check(
            folds(&keys(&target, Some(&time), None), 5, 1),
            "fold 1: the 4 rows after the cut are all of class 0; at least 2 classes are needed to judge",
        );
        let panel: Vec<u64> = (0..20).map(|i| i % 4).collect();
        check(
            holdout(&keys(&target, Some(&time), Some(&panel)), 0.4, 1),
            "none of the 0 rows before the cut is of class 0 after 12 were left out whose group occurs later; at least 1 is \
             needed to train",
        );
        check(folds(&keys(&target, Some(&time[..9]), None), 5, 1), "9 times for 20 targets; 20 are needed");
        check(folds(&keys(&[0.0, 1.0, 2.0], None, None), 2, 1), "the target of row 2 (from 0) is 2; it must be 0 or 1");
    }
}
