//! Vintages and roll rates of a performance table: one row per loan and month, with the days it is past due.
//!
//! **Months on book.** A column `m` of a vintage answers «bad within the first `m` months». With an origination the month of
//! origination is month 0 and a report `m` calendar months later is month `m`. Without one a loan's first report is month 1,
//! the first month it was on the book, so that column 12 holds its reports 1 to 12; month 0 is then before any report, and
//! its share is 0.

use super::cells::{self, NO_LEVEL, Values};
use super::hash::FastMap;
use super::period::{Period, day_of, readable_unit};
use super::share;
use crate::Table;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use statera_core::{Error, Kind, Result};
use std::collections::BTreeMap;

/// Names of the delinquency buckets.
pub const BUCKETS: [&str; 5] = ["0", "1–29", "30–59", "60–89", "90+"];

/// Columns of a performance table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoanColumns {
    /// Names the loan or account.
    pub id: String,
    /// The month: a time, or a number or text of the form 202403, 20240331 or 2024-03.
    pub period: String,
    /// Days past due, a number; negative counts as 0.
    pub days_past_due: String,
    /// Month of origination, in the same forms: month 0 on book. With `None`, and for a loan where it is missing, the first
    /// month of the loan in the table is month 1 on book and names its cohort.
    pub origination: Option<String>,
    /// From how many days past due a loan is bad; 90 is usual.
    pub bad_days: u32,
}

/// Vintages and roll rates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoanPerformance {
    /// Loans.
    pub n_loans: usize,
    /// Rows left aside because loan, month or days are missing.
    pub n_skipped: usize,
    /// From how many days past due a loan counts as bad.
    pub bad_days: u32,
    /// Cohorts by origination, in order.
    pub cohorts: Vec<Cohort>,
    /// Moves between buckets from one month to the next.
    pub roll_rates: RollRates,
}

/// Loans of one origination period.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cohort {
    /// `2024-01`, `2024-Q1` or `2024`.
    pub label: String,
    /// Loans.
    pub n_loans: usize,
    /// Share of the cohort's loans that were bad at least once up to so many months on book (the index, from 0 on), as far as
    /// the whole cohort is observed; months are counted as [`LoanColumns::origination`] says. Loans that left the table stay in
    /// the denominator.
    pub bad_rate: Vec<f64>,
}

/// Moves between delinquency buckets over one month.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RollRates {
    /// Loan-months by bucket (row) and bucket a month later (column): 0, 1–29, 30–59, 60–89, 90 or more days.
    pub counts: [[usize; 5]; 5],
}

impl RollRates {
    /// Share of the bucket `from` that is in `to` a month later; `None` where the bucket is empty.
    pub fn rate(&self, from: usize, to: usize) -> Option<f64> {
        let n: usize = self.counts[from].iter().sum();
        (n > 0).then(|| share(self.counts[from][to], n))
    }
}

/// A loan in a month.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
struct Record {
    loan: u32,
    month: i32,
    days: f64,
    origination: Option<i32>,
}

/// A loan's life in two figures.
#[derive(Debug, Clone, Copy)]
struct Loan {
    /// Month that names its cohort, counted from year 0: of origination, else of the first report.
    cohort: i32,
    /// Month 0 on book, counted from year 0: of origination, else the one before the first report.
    start: i32,
    /// Months on book when it was bad for the first time.
    first_bad: Option<i32>,
    /// Months on book when it was last observed.
    last_seen: i32,
}

/// Reads the columns and counts. A loan with several rows in a month has its worst.
pub(super) fn performance(table: &Table, names: &LoanColumns) -> Result<LoanPerformance> {
    let loans = codes(table, &names.id)?;
    let months = months(table, &names.period)?;
    let days = days_past_due(table, &names.days_past_due)?;
    let originations = names.origination.as_ref().map(|name| self::months(table, name)).transpose()?;
    let mut records: Vec<Record> = Vec::with_capacity(loans.len());
    for (row, &loan) in loans.iter().enumerate() {
        if let (true, Some(month), Some(days)) = (loan != NO_LEVEL, months[row], days[row]) {
            let origination = originations.as_ref().and_then(|o| o[row]);
            records.push(Record { loan, month, days: days.max(0.0), origination });
        }
    }
    let n_skipped = loans.len() - records.len();
    records.sort_unstable_by(|a, b| {
        (a.loan, a.month)
            .cmp(&(b.loan, b.month))
            .then(b.days.total_cmp(&a.days))
            .then(a.origination.cmp(&b.origination))
    });
    records.dedup_by_key(|r| (r.loan, r.month));
    let histories: Vec<&[Record]> = records.chunk_by(|a, b| a.loan == b.loan).collect();
    Ok(LoanPerformance {
        n_loans: histories.len(),
        n_skipped,
        bad_days: names.bad_days,
        cohorts: cohorts(&histories, f64::from(names.bad_days)),
        roll_rates: roll_rates(&histories),
    })
}

/// The bucket of a number of days.
fn bucket(days: f64) -> usize {
    [1.0, 30.0, 60.0, 90.0].partition_point(|&from| from <= days)
}

fn roll_rates(histories: &[&[Record]]) -> RollRates {
    let mut counts = [[0; 5]; 5];
    for pair in histories.iter().flat_map(|h| h.windows(2)).filter(|p| p[1].month == p[0].month + 1) {
        counts[bucket(pair[0].days)][bucket(pair[1].days)] += 1;
    }
    RollRates { counts }
}

/// Cumulative bad rates by origination; the unit is the finest that makes a readable number of cohorts.
fn cohorts(histories: &[&[Record]], bad_days: f64) -> Vec<Cohort> {
    let Some(last_month) = histories.iter().flat_map(|h| h.iter()).map(|r| r.month).max() else { return Vec::new() };
    let loans: Vec<Loan> = histories
        .iter()
        .map(|history| {
            let first = history[0].month;
            let (cohort, start) =
                history.iter().find_map(|r| r.origination).map_or((first, first - 1), |month| (month, month));
            let first_bad = history.iter().find(|r| r.days >= bad_days).map(|r| (r.month - start).max(0));
            let last_seen = history.last().map_or(0, |r| (r.month - start).max(0));
            Loan { cohort, start, first_bad, last_seen }
        })
        .collect();
    let dates: Vec<Date> = loans.iter().filter_map(|l| first_day(l.cohort)).collect();
    let unit = match readable_unit(dates.iter()) {
        Period::Day | Period::Week => Period::Month,
        unit => unit,
    };
    let mut groups: BTreeMap<i32, (String, Vec<Loan>)> = BTreeMap::new();
    for loan in loans {
        if let Some(day) = first_day(loan.cohort) {
            let (ordinal, label) = unit.of(day);
            groups.entry(ordinal).or_insert((label, Vec::new())).1.push(loan);
        }
    }
    let cohort = |(label, loans): (String, Vec<Loan>)| {
        let youngest = loans.iter().map(|l| l.start).max().unwrap_or(last_month);
        // Beyond the last month in which any of the cohort's loans was observed there is nothing to tell.
        let last_seen = loans.iter().map(|l| l.last_seen).max().unwrap_or(0);
        let n_months = usize::try_from((last_month - youngest).min(last_seen) + 1).unwrap_or(0);
        let mut first_bads = vec![0usize; n_months];
        for months in loans.iter().filter_map(|l| l.first_bad) {
            if let Some(count) = first_bads.get_mut(months as usize) {
                *count += 1;
            }
        }
        let mut n_bad = 0;
        let rate = |&count: &usize| {
            n_bad += count;
            share(n_bad, loans.len())
        };
        Cohort { label, n_loans: loans.len(), bad_rate: first_bads.iter().map(rate).collect() }
    };
    groups.into_values().map(cohort).collect()
}

/// The first day of a month counted from year 0.
fn first_day(month: i32) -> Option<Date> {
    Date::new(month.div_euclid(12) as i16, month.rem_euclid(12) as i8 + 1, 1).ok()
}

/// Each row's code of its key.
fn codes(table: &Table, name: &str) -> Result<Vec<u32>> {
    let cells = cells::read(table, table.column(name)?, &[])?;
    Ok(match cells.values {
        Values::Levels(levels) => levels.codes,
        Values::Ordered(ordered) => {
            let mut map: FastMap<i64, u32> = FastMap::default();
            let mut code = |key: i64| {
                let next = map.len() as u32;
                *map.entry(key).or_insert(next)
            };
            ordered.keys.iter().map(|k| k.map_or(NO_LEVEL, &mut code)).collect()
        }
    })
}

/// Each row's month, counted from year 0.
fn months(table: &Table, name: &str) -> Result<Vec<Option<i32>>> {
    let idx = table.column(name)?;
    let cells = cells::read(table, idx, &[])?;
    let refuse = |value: &str| {
        Error::data(format!(
            "{}: column «{name}» has the value «{value}»; a month is a time, or of the form 202403, 20240331 or 2024-03",
            table.origin
        ))
    };
    match &cells.values {
        Values::Ordered(ordered) if table.columns[idx].kind == Kind::Time => {
            let month = |k: i64| day_of(k).map(|d| Period::Month.of(d).0);
            Ok(ordered.keys.iter().map(|k| k.and_then(month)).collect())
        }
        Values::Ordered(ordered) => {
            let parse = |k: i64| {
                let value = ordered.scale.value(k);
                parse_month(&format!("{value}")).ok_or_else(|| refuse(&format!("{value}")))
            };
            ordered.keys.iter().map(|k| k.map(parse).transpose()).collect()
        }
        Values::Levels(levels) => {
            let parsed: Vec<i32> =
                levels.texts.iter().map(|t| parse_month(t).ok_or_else(|| refuse(t))).collect::<Result<_>>()?;
            Ok(levels.codes.iter().map(|&c| parsed.get(c as usize).copied()).collect())
        }
    }
}

/// `202403`, `20240331`, `2024-03`, `2024-03-31`.
fn parse_month(text: &str) -> Option<i32> {
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    if !matches!(digits.len(), 6 | 8) || !digits.is_ascii() {
        return None;
    }
    let (year, month): (i32, i32) = (digits[..4].parse().ok()?, digits[4..6].parse().ok()?);
    ((1900..=2999).contains(&year) && (1..=12).contains(&month)).then(|| year * 12 + month - 1)
}

fn days_past_due(table: &Table, name: &str) -> Result<Vec<Option<f64>>> {
    let idx = table.column(name)?;
    let cells = cells::read(table, idx, &[])?;
    match &cells.values {
        Values::Ordered(ordered) if table.columns[idx].kind != Kind::Time => {
            Ok(ordered.keys.iter().map(|k| k.map(|k| ordered.scale.value(k))).collect())
        }
        _ => Err(Error::request(format!(
            "{}: column «{name}» is of kind {}; days past due are a number",
            table.origin,
            table.columns[idx].kind.name()
        ))),
    }
}
