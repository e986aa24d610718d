//! What rules would have done on rows whose outcomes are known: alerts, precision, recall, money, and what they find beside the
//! model.
//!
//! Frauds come in runs, of one card or one terminal, so that rows are not independent: where days are known, shares are as well
//! known as by so many independent rows as have the variance between days (a ratio of sums over days as clusters; Cochran,
//! *Sampling Techniques*, 1977, 6.3), with Wilson's interval for as many. Money and alerts a day have normal intervals from the same
//! variance. A day's neighbours count as independent of it.

use super::{Action, Mode, RuleSet, Verdict};
use serde::{Deserialize, Serialize};
use statera_core::metric::{Interval, wilson};
use statera_core::{Error, Result};

/// Two-sided normal quantile of 95 %.
const Z: f64 = 1.959_963_984_540_054;

/// Rows with known outcomes; all slices have one length.
#[derive(Debug, Clone, Copy)]
pub struct Cases<'a> {
    /// True for the event.
    pub is_event: &'a [bool],
    /// Money at stake, at least 0.
    pub amounts: Option<&'a [f64]>,
    /// The local day of each row, in days since any.
    pub days: Option<&'a [i64]>,
    /// The model's probabilities, and the one from which it alerts.
    pub model: Option<(&'a [f64], f64)>,
}

/// What a file of rules would have done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backtest {
    /// The rules' version.
    pub version: String,
    /// Rows with an outcome.
    pub n_rows: usize,
    /// Of them events.
    pub n_events: usize,
    /// Days that have rows.
    pub n_days: Option<usize>,
    /// Probability from which the model alerts.
    pub threshold: Option<f64>,
    /// The rules that act, together: rows whose action is not allow.
    pub total: RuleResult,
    /// The model alone, at its threshold.
    pub model: Option<RuleResult>,
    /// Every rule, in the order of the file.
    pub rules: Vec<RuleResult>,
    /// Rows, and events among them, by action from allow to block.
    pub actions: Vec<(Action, usize, usize)>,
}

/// What a rule, or all of them, would have done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleResult {
    /// The rule's code; empty of all together and of the model.
    pub code: String,
    /// Its action.
    pub action: Option<Action>,
    /// Whether it acts.
    pub mode: Mode,
    /// Rows for which it holds.
    pub alerts: usize,
    /// Of them events.
    pub events: usize,
    /// Of them rows for which it decides.
    pub decided: usize,
    /// Share of the alerts that are events; `None` without alerts.
    pub precision: Option<Interval>,
    /// Share of the events that are alerted; `None` without events.
    pub recall: Option<Interval>,
    /// Alerts a day.
    pub alerts_a_day: Option<Interval>,
    /// The alerted rows' money.
    pub money: Option<Caught>,
    /// Alerts beside those of the model at its threshold.
    pub overlap: Option<Overlap>,
}

/// Money of alerted rows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Caught {
    /// Of events: fraud that is caught.
    pub events: Interval,
    /// Of other rows: good business that is stopped.
    pub good: Interval,
}

/// Alerts, and events among them, of a rule beside the model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Overlap {
    /// Of both.
    pub both: [usize; 2],
    /// Of the rule alone.
    pub rule_only: [usize; 2],
    /// Of the model alone.
    pub model_only: [usize; 2],
}

/// Sums of one day.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    alerts: f64,
    events: f64,
    event_money: f64,
    good_money: f64,
}

/// What is counted of a rule.
struct Tally {
    /// By day, or all in one.
    days: Vec<Sums>,
    /// Sums of the squares of money, for rows without days.
    squares: [f64; 2],
    decided: usize,
    both: [usize; 2],
}

impl Tally {
    fn new(n_days: usize) -> Tally {
        Tally { days: vec![Sums::default(); n_days], squares: [0.0; 2], decided: 0, both: [0; 2] }
    }

    fn add(&mut self, row: Row, is_deciding: bool) {
        let sums = &mut self.days[row.day];
        sums.alerts += 1.0;
        if row.is_event {
            sums.events += 1.0;
            sums.event_money += row.amount;
        } else {
            sums.good_money += row.amount;
        }
        self.squares[usize::from(!row.is_event)] += row.amount * row.amount;
        self.decided += usize::from(is_deciding);
        if row.is_modelled {
            self.both[0] += 1;
            self.both[1] += usize::from(row.is_event);
        }
    }

    fn total(&self, of: impl Fn(&Sums) -> f64) -> f64 {
        self.days.iter().map(of).sum()
    }
}

/// A row as it is counted.
#[derive(Clone, Copy)]
struct Row {
    day: usize,
    is_event: bool,
    is_modelled: bool,
    amount: f64,
}

/// Counts what verdicts come to, row by row as the cases.
///
/// # Errors
/// Slices of different lengths, no rows, money that is below 0 or not finite.
pub fn backtest(set: &RuleSet, verdicts: &[Verdict], cases: Cases) -> Result<Backtest> {
    let n = verdicts.len();
    let lengths = [Some(cases.is_event.len()), cases.amounts.map(<[f64]>::len), cases.days.map(<[i64]>::len)];
    if n == 0 || lengths.into_iter().flatten().chain(cases.model.map(|(p, _)| p.len())).any(|other| other != n) {
        return Err(Error::data(format!("{n} rows; allowed: at least one, with an outcome each")));
    }
    if let Some(row) = cases.amounts.and_then(|a| a.iter().position(|v| !(*v >= 0.0 && v.is_finite()))) {
        return Err(Error::data(format!("row {} has no amount of 0 or more; money cannot be counted", row + 1)));
    }
    let (days, n_days) = numbered(cases.days, n);
    let mut tallies: Vec<Tally> = (0..set.rules.len()).map(|_| Tally::new(n_days)).collect();
    let (mut total, mut model) = (Tally::new(n_days), Tally::new(n_days));
    let mut events = vec![0.0; n_days];
    let mut actions = Action::ALL.map(|action| (action, 0, 0));
    for (i, verdict) in verdicts.iter().enumerate() {
        let is_event = cases.is_event[i];
        let is_modelled = cases.model.is_some_and(|(p, threshold)| p[i] >= threshold);
        let row = Row { day: days[i], is_event, is_modelled, amount: cases.amounts.map_or(0.0, |a| a[i]) };
        events[row.day] += f64::from(u8::from(is_event));
        verdict.fired.iter().for_each(|rule| tallies[rule].add(row, verdict.deciding == u16::try_from(rule).ok()));
        if verdict.action != Action::Allow {
            total.add(row, true);
        }
        if is_modelled {
            model.add(row, false);
        }
        let (_, n_rows, n_events) = &mut actions[verdict.action as usize];
        *n_rows += 1;
        *n_events += usize::from(is_event);
    }
    let ends = Ends { events: &events, has_days: cases.days.is_some(), has_money: cases.amounts.is_some() };
    let modelled = cases.model.map(|_| [model.total(|s| s.alerts), model.total(|s| s.events)].map(|v| v as usize));
    let rules = set.rules.iter().zip(&tallies).map(|(rule, tally)| RuleResult {
        code: rule.code.clone(),
        action: Some(rule.action),
        mode: rule.mode,
        ..ends.result(tally, modelled)
    });
    Ok(Backtest {
        version: set.version.clone(),
        n_rows: n,
        n_events: events.iter().sum::<f64>() as usize,
        n_days: cases.days.map(|_| n_days),
        threshold: cases.model.map(|(_, threshold)| threshold),
        rules: rules.collect(),
        total: ends.result(&total, modelled),
        model: cases.model.map(|_| ends.result(&model, None)),
        actions: actions.into(),
    })
}

/// The place of each row's day among those that have rows, and how many these are.
fn numbered(days: Option<&[i64]>, n: usize) -> (Vec<usize>, usize) {
    let Some(days) = days else { return (vec![0; n], 1) };
    let mut distinct = days.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    (days.iter().map(|day| distinct.partition_point(|d| d < day)).collect(), distinct.len())
}

/// What results need beside a tally.
struct Ends<'a> {
    /// Events by day.
    events: &'a [f64],
    has_days: bool,
    has_money: bool,
}

impl Ends<'_> {
    fn result(&self, tally: &Tally, modelled: Option<[usize; 2]>) -> RuleResult {
        let alerts = tally.total(|s| s.alerts);
        let caught = tally.total(|s| s.events);
        let share = |of: &dyn Fn(usize) -> (f64, f64)| self.share((0..self.events.len()).map(of).collect());
        let money = |which: usize, of: &dyn Fn(&Sums) -> f64| {
            let sums: Vec<f64> = tally.days.iter().map(of).collect();
            let sum = sums.iter().sum::<f64>();
            let variance = between(&sums).filter(|_| self.has_days);
            let half = Z * variance.map_or(tally.squares[which], |v| v * sums.len() as f64).sqrt();
            Interval { value: sum, low: (sum - half).max(0.0), high: sum + half }
        };
        let own = [alerts as usize, caught as usize];
        let less = |a: [usize; 2], b: [usize; 2]| [a[0] - b[0], a[1] - b[1]];
        RuleResult {
            code: String::new(),
            action: None,
            mode: Mode::Active,
            alerts: own[0],
            events: own[1],
            decided: tally.decided,
            precision: share(&|d| (tally.days[d].events, tally.days[d].alerts)),
            recall: share(&|d| (tally.days[d].events, self.events[d])),
            alerts_a_day: self.has_days.then(|| self.a_day(tally)),
            money: self
                .has_money
                .then(|| Caught { events: money(0, &|s| s.event_money), good: money(1, &|s| s.good_money) }),
            overlap: modelled.map(|model| Overlap {
                both: tally.both,
                rule_only: less(own, tally.both),
                model_only: less(model, tally.both),
            }),
        }
    }

    fn a_day(&self, tally: &Tally) -> Interval {
        let alerts: Vec<f64> = tally.days.iter().map(|s| s.alerts).collect();
        let mean = alerts.iter().sum::<f64>() / alerts.len() as f64;
        let half = Z * (between(&alerts).unwrap_or(mean) / alerts.len() as f64).sqrt();
        Interval { value: mean, low: (mean - half).max(0.0), high: mean + half }
    }

    /// The share of (part, whole) summed over days, with Wilson's interval for as many rows as have the variance between days, at
    /// most all of them.
    fn share(&self, days: Vec<(f64, f64)>) -> Option<Interval> {
        let (part, whole) = days.iter().fold((0.0, 0.0), |(p, w), day| (p + day.0, w + day.1));
        if whole == 0.0 {
            return None;
        }
        let share = part / whole;
        let n_days = days.len() as f64;
        let residual: f64 = days.iter().map(|(p, w)| (p - share * w).powi(2)).sum();
        let variance = n_days / (n_days - 1.0).max(1.0) * residual / (whole * whole);
        let independent = share * (1.0 - share) / variance;
        let n = if self.has_days && independent > 0.0 && independent < whole { independent } else { whole };
        let (low, high) = wilson(share, n, Z);
        Some(Interval { value: share, low, high })
    }
}

/// Variance between days; `None` of one day.
fn between(sums: &[f64]) -> Option<f64> {
    let n = sums.len() as f64;
    let mean = sums.iter().sum::<f64>() / n;
    (sums.len() > 1).then(|| sums.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / (n - 1.0))
}
