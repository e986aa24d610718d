//! What a fraud desk of a given size finds with the chosen model: card precision, money saved, and both by capacity and by
//! week, on the rows that took no part in training.

mod case;

pub use case::{
    Case, CaseCard, CaseNetwork, CaseTerminal, CaseTransaction, MAX_CARDS, MAX_TERMINALS, MAX_TRANSACTIONS,
};

use crate::facts::Measured;
use crate::pipeline::Contender;
use crate::project::Settings;
use crate::training_set::TrainingSet;
use crate::use_case::fraud::DEFAULT_CAPACITY;
use serde::{Deserialize, Serialize};
use statera_core::metric::{
    self, AlertQueue, CAPACITY_STEPS, CapacityPoint, DEFAULT_BOOTSTRAP, Reviewing, ScoredFolds, Transactions,
};
use statera_core::{Error, Result, Task};
use std::collections::{HashMap, HashSet};

/// Microseconds of a quarter of an hour: no zone changes its offset within one.
const QUARTER: i64 = 900_000_000;
/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;
/// Days before the first measured one, besides the label delay, from which known frauds block a card, as in the handbook's
/// training week. Cards that were compromised before have been replaced.
const BLOCKED_DAYS: i64 = 7;
/// Bins of the score's drift.
const N_BINS: usize = 10;
/// Most weeks that are told, the latest.
const MAX_WEEKS: usize = 53;

/// What alerts come to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alerts {
    /// Cards reviewed a day.
    pub capacity: usize,
    /// Money a review costs.
    pub review_cost: f64,
    /// First and last day, as days since 1970-01-01 in the bank's zone.
    pub days: [i64; 2],
    /// Transactions that are measured.
    pub n_rows: usize,
    /// Fraudulent ones among them.
    pub n_frauds: usize,
    /// Transactions left out because their card was known to be compromised.
    pub n_known: usize,
    /// AUC, average precision, recall at 1 % false positives, card precision and money saved, with intervals that draw whole
    /// cards.
    pub figures: Vec<metric::Measured>,
    /// What a desk of the capacity looks at and finds; `None` in bundles of former versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reviewed: Option<Reviewed>,
    /// What other capacities come to, ascending.
    pub by_capacity: Vec<CapacityPoint>,
    /// Week by week.
    pub weeks: Vec<Week>,
    /// One card that was caught; `None` if none is, and in bundles of former versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<Case>,
}

/// Cards that are looked at on all days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reviewed {
    /// Days with transactions.
    pub n_days: usize,
    /// Alerts: a card that is looked at on three days counts three times. Fewer than capacity times days where cards are few.
    pub n_alerts: usize,
    /// Cards that were caught, each once, because it leaves then.
    pub n_caught: usize,
    /// Cards with a fraud.
    pub n_with_fraud: usize,
}

/// Seven days.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Week {
    /// Its first day.
    pub start: i64,
    /// Days with transactions.
    pub n_days: usize,
    /// Transactions.
    pub n_rows: usize,
    /// Fraudulent ones.
    pub n_frauds: usize,
    /// Share of the capacity that is caught, mean over the week's days; cards caught in weeks before have left.
    pub card_precision: f64,
    /// Share of the fraudulent money that is saved; `None` without amounts or without fraud.
    pub share_saved: Option<f64>,
    /// Stability index of the score against the training rows.
    pub psi: f64,
    /// What it exceeds by chance in one case of twenty.
    pub psi_bound: f64,
}

/// The figures of the rows `measured`; `None` where no card and no time are named, or it is no task of two classes.
///
/// # Errors
/// A zone that is none; a measured part without fraud.
pub(crate) fn alerts(
    measured: &Measured,
    (train, chosen): (&TrainingSet, &Contender),
    settings: &Settings,
) -> Result<Option<Alerts>> {
    let rows = &measured.rows;
    let (Task::Binary, Some(card), Some(_)) = (rows.task, &rows.card, &rows.time) else { return Ok(None) };
    let (day, train_day) = (days(rows, settings)?, days(train, settings)?);
    let kept = without_known(rows, &day, (train, &train_day));
    let take = |values: &[f64]| kept.iter().map(|&r| values[r]).collect::<Vec<f64>>();
    let day: Vec<i64> = kept.iter().map(|&r| day[r]).collect();
    let card: Vec<u64> = kept.iter().map(|&r| card[r]).collect();
    let (target, score) = (take(&rows.target), take(&measured.margins));
    let amount = rows.amount.as_ref().map_or_else(Vec::new, |a| take(a));
    let table = Transactions { day: &day, card: &card, target: &target, score: &score, amount: &amount };
    let reviewing = Reviewing {
        capacity: settings.capacity.unwrap_or(DEFAULT_CAPACITY),
        cost: settings.review_cost.unwrap_or(0.0),
    };
    let folds = ScoredFolds::new(&[table])?;
    let desk = case::Desk { rows, train, probabilities: &measured.probabilities, kept: &kept, table };
    let mut steps: Vec<usize> =
        CAPACITY_STEPS.iter().map(|s| ((s * reviewing.capacity as f64).round() as usize).max(1)).collect();
    steps.dedup();
    let (first, last) = (day.iter().min().copied().unwrap_or(0), day.iter().max().copied().unwrap_or(0));
    Ok(Some(Alerts {
        capacity: reviewing.capacity,
        review_cost: reviewing.cost,
        days: [first, last],
        n_rows: kept.len(),
        n_frauds: target.iter().filter(|&&y| y == 1.0).count(),
        n_known: rows.n_rows() - kept.len(),
        reviewed: Some(reviewed(&table, reviewing.capacity)?),
        figures: folds.measure(reviewing, settings.seed, DEFAULT_BOOTSTRAP)?,
        by_capacity: folds.by_capacity(&steps, reviewing.cost, settings.seed, DEFAULT_BOOTSTRAP)?,
        weeks: weeks(&table, reviewing.capacity, &chosen.out_of_fold)?,
        case: desk.case(reviewing.capacity, settings)?,
    }))
}

/// What a desk of that capacity looks at and finds.
fn reviewed(table: &Transactions<'_>, capacity: usize) -> Result<Reviewed> {
    let queue = AlertQueue::new(table)?;
    let reviews = queue.reviews(capacity);
    let with_fraud: HashSet<u64> =
        table.card.iter().zip(table.target).filter(|(_, target)| **target == 1.0).map(|(card, _)| *card).collect();
    Ok(Reviewed {
        n_days: queue.n_days(),
        n_alerts: reviews.len(),
        n_caught: reviews.iter().filter(|review| review.is_caught).count(),
        n_with_fraud: with_fraud.len(),
    })
}

/// The number of each row's day in the bank's zone, since 1970-01-01.
pub(crate) fn days(set: &TrainingSet, settings: &Settings) -> Result<Vec<i64>> {
    let zone = settings.tz.as_deref().unwrap_or("UTC");
    let zone = jiff::tz::TimeZone::get(zone).map_err(|e| Error::request(format!("tz: {e}")))?;
    let mut known: HashMap<i64, i64> = HashMap::new();
    let day = |&time: &i64| -> Result<i64> {
        let quarter = time.div_euclid(QUARTER);
        if let Some(&offset) = known.get(&quarter) {
            return Ok((time + offset).div_euclid(DAY));
        }
        let instant = jiff::Timestamp::from_microsecond(quarter * QUARTER)
            .map_err(|e| Error::data(format!("a time of {time} microseconds since 1970: {e}")))?;
        let offset = i64::from(zone.to_offset(instant).seconds()) * 1_000_000;
        known.insert(quarter, offset);
        Ok((time + offset).div_euclid(DAY))
    };
    set.time.iter().flatten().map(day).collect()
}

/// The rows whose card was not known to be compromised on their day: frauds of the training rows' last days and of the measured
/// ones, from the day after the label delay on.
fn without_known(rows: &TrainingSet, day: &[i64], (train, train_day): (&TrainingSet, &[i64])) -> Vec<usize> {
    let delay = |set: &TrainingSet, row: usize| {
        let times = set.time.as_ref().zip(set.known.as_ref());
        times.map_or(0, |(time, known)| (known[row] - time[row]).div_euclid(DAY))
    };
    let first = day.iter().min().copied().unwrap_or(0);
    let mut leaves: HashMap<u64, i64> = HashMap::new();
    for (set, day) in [(train, train_day), (rows, day)] {
        for (row, &card) in set.card.iter().flatten().enumerate() {
            let delay = delay(set, row);
            if set.target[row] == 1.0 && day[row] >= first - delay - BLOCKED_DAYS {
                let from = day[row] + delay + 1;
                leaves.entry(card).and_modify(|d| *d = from.min(*d)).or_insert(from);
            }
        }
    }
    let card = rows.card.as_deref().unwrap_or(&[]);
    let is_open = |row: &usize| leaves.get(&card[*row]).is_none_or(|&from| day[*row] < from);
    (0..rows.n_rows()).filter(is_open).collect()
}

/// Figures by week. `reference` are the margins of training rows, against which the score's drift is told.
fn weeks(table: &Transactions<'_>, capacity: usize, reference: &[f64]) -> Result<Vec<Week>> {
    let first = table.day.iter().min().copied().unwrap_or(0);
    let n_weeks = table.day.iter().map(|d| (d - first) / 7 + 1).max().unwrap_or(0);
    let edges = edges(reference);
    let counts = |margins: &mut dyn Iterator<Item = f64>| -> Vec<f64> {
        let mut counts = vec![0.0; edges.len() + 1];
        margins.for_each(|m| counts[edges.partition_point(|&e| e < m)] += 1.0);
        counts
    };
    let expected = counts(&mut reference.iter().copied());
    let mut caught: HashSet<u64> = HashSet::new();
    let mut all = Vec::new();
    for week in 0..n_weeks {
        let start = first + 7 * week;
        let all_rows: Vec<usize> =
            (0..table.n_rows()).filter(|&r| (start..start + 7).contains(&table.day[r])).collect();
        let open: Vec<usize> = all_rows.iter().copied().filter(|&r| !caught.contains(&table.card[r])).collect();
        if open.is_empty() {
            continue;
        }
        let take = |of: &[f64]| open.iter().filter_map(|&r| of.get(r).copied()).collect::<Vec<f64>>();
        let (target, score, amount) = (take(table.target), take(table.score), take(table.amount));
        let day: Vec<i64> = open.iter().map(|&r| table.day[r]).collect();
        let card: Vec<u64> = open.iter().map(|&r| table.card[r]).collect();
        let queue =
            AlertQueue::new(&Transactions { day: &day, card: &card, target: &target, score: &score, amount: &amount })?;
        let (worked, found) = queue.work_and_catch(capacity);
        let actual = counts(&mut all_rows.iter().map(|&r| table.score[r]));
        all.push(Week {
            start,
            n_days: queue.n_days(),
            n_rows: all_rows.len(),
            n_frauds: all_rows.iter().filter(|&&r| table.target[r] == 1.0).count(),
            card_precision: worked.card_precision,
            share_saved: (worked.at_stake > 0.0).then(|| worked.saved / worked.at_stake),
            psi: metric::population_stability(&expected, &actual)?,
            // A score that is the same for all cannot drift.
            psi_bound: match expected.len() {
                1 => 0.0,
                n => metric::stability_bound(reference.len() as f64, all_rows.len() as f64, n)?,
            },
        });
        caught.extend(found);
    }
    Ok(all.split_off(all.len().saturating_sub(MAX_WEEKS)))
}

/// Different tenths of the margins.
fn edges(margins: &[f64]) -> Vec<f64> {
    let mut sorted = margins.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let mut edges: Vec<f64> = (1..N_BINS).filter_map(|i| sorted.get(i * sorted.len() / N_BINS).copied()).collect();
    edges.dedup();
    // A last edge at the largest margin would leave nothing above it.
    while edges.last().is_some_and(|e| sorted.last() == Some(e)) {
        edges.pop();
    }
    edges
}

/// The probability from which the rows `rows` of the training part, of these probabilities, are alerted: from which as many cards a
/// day are as can be reviewed, and no lower than where an alert is worth its review (the cost over the mean fraudulent amount).
/// `None` where no capacity is set, or a cut-off or an approval rate is.
///
/// # Errors
/// A zone that is none.
pub(crate) fn cutoff(
    probabilities: &[f64],
    train: &TrainingSet,
    rows: &[usize],
    settings: &Settings,
) -> Result<Option<f64>> {
    let is_set = settings.cutoff.is_some() || settings.approval_rate.is_some();
    let (Some(capacity), Some(card), false, Task::Binary) = (settings.capacity, &train.card, is_set, train.task) else {
        return Ok(None);
    };
    let day = days(train, settings)?;
    let day: Vec<i64> = rows.iter().map(|&r| day[r]).collect();
    let card: Vec<u64> = rows.iter().map(|&r| card[r]).collect();
    let by_capacity = cutoff_by_capacity(probabilities, &day, &card, capacity);
    let by_cost = train.amount.as_ref().zip(settings.review_cost).and_then(|(amount, cost)| {
        let frauds: Vec<f64> = rows.iter().filter(|&&r| train.target[r] == 1.0).map(|&r| amount[r].max(0.0)).collect();
        let share = cost * frauds.len() as f64 / frauds.iter().sum::<f64>();
        Some(share).filter(|s| *s > 0.0 && *s < 1.0)
    });
    Ok(by_capacity.into_iter().chain(by_cost).reduce(f64::max))
}

/// The probability from which as many cards a day are alerted as can be reviewed, on average over the days; of rows out of
/// fold. `None` where fewer cards stand on a day than can be reviewed.
pub(crate) fn cutoff_by_capacity(probabilities: &[f64], day: &[i64], card: &[u64], capacity: usize) -> Option<f64> {
    let mut highest: HashMap<(i64, u64), f64> = HashMap::new();
    for ((&p, &day), &card) in probabilities.iter().zip(day).zip(card) {
        highest.entry((day, card)).and_modify(|h| *h = h.max(p)).or_insert(p);
    }
    let n_days = day.iter().collect::<HashSet<_>>().len();
    let mut highest: Vec<f64> = highest.into_values().collect();
    highest.sort_unstable_by(|a, b| b.total_cmp(a));
    let cutoff = highest.get((capacity * n_days).checked_sub(1)?).copied()?;
    Some(cutoff).filter(|c| *c > 0.0 && *c < 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cut_off_alerts_as_many_cards_a_day_as_can_be_reviewed() {
        // Day 1: cards 1 (.9 and .2), 2 (.5), 3 (.1); day 2: cards 1 (.3), 2 (.8). Two reviews in two days: .9 and .8.
        let (day, card) = ([1, 1, 1, 1, 2, 2], [1, 1, 2, 3, 1, 2]);
        let p = [0.9, 0.2, 0.5, 0.1, 0.3, 0.8];
        assert_eq!(cutoff_by_capacity(&p, &day, &card, 1), Some(0.8));
        assert_eq!(cutoff_by_capacity(&p, &day, &card, 2), Some(0.3));
        assert_eq!(cutoff_by_capacity(&p, &day, &card, 3), None);
        assert_eq!(cutoff_by_capacity(&p, &day, &card, 0), None);
    }

    #[test]
    fn cards_caught_in_a_week_have_left_in_the_next() {
        // Card 1 is fraudulent in both weeks and first on each day; card 2 in the second week only.
        let day = [0, 0, 0, 8, 8, 8];
        let card = [1, 2, 3, 1, 2, 3];
        let target = [1.0, 0.0, 0.0, 1.0, 1.0, 0.0];
        let score = [0.9, 0.5, 0.1, 0.9, 0.5, 0.1];
        let amount = [10.0; 6];
        let table = Transactions { day: &day, card: &card, target: &target, score: &score, amount: &amount };
        let reference: Vec<f64> = (0..100).map(|i| f64::from(i) / 100.0).collect();
        let weeks = weeks(&table, 1, &reference).unwrap();
        let of: Vec<_> =
            weeks.iter().map(|w| (w.start, w.n_rows, w.n_frauds, w.card_precision, w.share_saved)).collect();
        assert_eq!(of, [(0, 3, 1, 1.0, Some(1.0)), (7, 3, 2, 1.0, Some(1.0))]);
        assert!(weeks[0].psi > 0.0 && weeks[0].psi_bound > 0.0);
    }

    #[test]
    fn edges_are_tenths_without_repeats() {
        let margins: Vec<f64> = (0..100).map(|i| f64::from(i.min(50))).collect();
        assert_eq!(edges(&margins), [10.0, 20.0, 30.0, 40.0]);
        assert!(edges(&[1.0; 50]).is_empty());
    }
}
