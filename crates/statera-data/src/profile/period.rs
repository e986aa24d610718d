//! Calendar periods.

use super::cells::{self, Values};
use super::hash::FastMap;
use crate::Table;
use jiff::Span;
use jiff::civil::{Date, Weekday, date};
use serde::{Deserialize, Serialize};
use statera_core::{Error, Kind, Result};
use std::collections::BTreeMap;

/// Rows that a period needs for its distribution to mean something.
pub(super) const N_PERIOD_MIN: usize = 200;
/// Period of a row without a time.
pub(super) const NO_PERIOD: u32 = u32::MAX;
const MICROS_A_DAY: i64 = 86_400_000_000;

/// A calendar unit, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Period {
    /// A day.
    Day,
    /// A week from Monday, named by that day.
    Week,
    /// A month.
    Month,
    /// A quarter.
    Quarter,
    /// A year.
    Year,
}

impl Period {
    /// The name used on the command line and on pages.
    pub fn name(self) -> &'static str {
        match self {
            Period::Day => "day",
            Period::Week => "week",
            Period::Month => "month",
            Period::Quarter => "quarter",
            Period::Year => "year",
        }
    }

    /// The period's place among those of its unit, and its label.
    pub(super) fn of(self, day: Date) -> (i32, String) {
        let (year, month) = (i32::from(day.year()), i32::from(day.month()));
        match self {
            Period::Day => (epoch_day(day), day.to_string()),
            Period::Week => {
                let back = i64::from(day.weekday().since(Weekday::Monday));
                let monday = day.checked_sub(Span::new().days(back)).unwrap_or(day);
                (epoch_day(monday), monday.to_string())
            }
            Period::Month => (year * 12 + month - 1, format!("{year:04}-{month:02}")),
            Period::Quarter => {
                let quarter = (month - 1) / 3;
                (year * 4 + quarter, format!("{year:04}-Q{}", quarter + 1))
            }
            Period::Year => (year, format!("{year:04}")),
        }
    }
}

fn epoch_day(day: Date) -> i32 {
    date(1970, 1, 1).until(day).map_or(0, |span| span.get_days())
}

/// The day of an instant; `None` outside the years −9999 to 9999.
pub(super) fn day_of(micros: i64) -> Option<Date> {
    let days = Span::new().try_days(micros.div_euclid(MICROS_A_DAY)).ok()?;
    date(1970, 1, 1).checked_add(days).ok()
}

/// An instant in ISO 8601 to the second, the day alone at midnight.
pub(super) fn instant(micros: i64) -> String {
    let seconds = micros.rem_euclid(MICROS_A_DAY) / 1_000_000;
    match day_of(micros) {
        Some(day) if seconds == 0 => day.to_string(),
        Some(day) => format!("{day} {:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60),
        None => format!("{micros} µs"),
    }
}

/// The rows of a table by period; periods without rows do not occur.
pub(super) struct Timeline {
    pub column: String,
    pub unit: Period,
    /// Per row the period's index, or [`NO_PERIOD`].
    pub of_row: Vec<u32>,
    pub labels: Vec<String>,
    pub n_rows: Vec<usize>,
    /// The first so many periods are what the others are compared with: one, or as many as it takes to reach 200 rows.
    pub n_reference: usize,
}

impl Timeline {
    /// Groups rows by `unit`, or by the finest unit that makes at most 36 months, 40 quarters, else years; below three months by
    /// week, below three weeks by day.
    pub fn read(table: &Table, name: &str, unit: Option<Period>) -> Result<Timeline> {
        let idx = table.column(name)?;
        let kind = table.columns[idx].kind;
        if kind != Kind::Time {
            return Err(Error::request(format!(
                "{}: column «{name}» is of kind {}; drift needs one of kind time",
                table.origin,
                kind.name()
            )));
        }
        let cells = cells::read(table, idx, &[])?;
        let Values::Ordered(ordered) = &cells.values else {
            return Err(Error::data(format!("{}: column «{name}» is of kind time but stored as text", table.origin)));
        };
        let days: Vec<Option<i64>> = ordered.keys.iter().map(|k| k.map(|k| k.div_euclid(MICROS_A_DAY))).collect();
        let mut dates: FastMap<i64, Option<Date>> = FastMap::default();
        for day in days.iter().flatten() {
            dates.entry(*day).or_insert_with(|| day_of(day * MICROS_A_DAY));
        }
        let unit = unit.unwrap_or_else(|| readable_unit(dates.values().flatten()));
        let mut periods: BTreeMap<i32, (String, u32)> = BTreeMap::new();
        for day in dates.values().flatten() {
            let (ordinal, label) = unit.of(*day);
            periods.entry(ordinal).or_insert((label, 0));
        }
        for (place, entry) in periods.values_mut().enumerate() {
            entry.1 = place as u32;
        }
        let place: FastMap<i64, u32> =
            dates.iter().filter_map(|(day, date)| date.map(|d| (*day, periods[&unit.of(d).0].1))).collect();
        let of_row: Vec<u32> =
            days.iter().map(|d| d.and_then(|d| place.get(&d)).copied().unwrap_or(NO_PERIOD)).collect();
        let mut n_rows = vec![0; periods.len()];
        for &period in of_row.iter().filter(|&&p| p != NO_PERIOD) {
            n_rows[period as usize] += 1;
        }
        let mut n_upto = 0;
        let n_short = n_rows.iter().take_while(|&&n| {
            n_upto += n;
            n_upto < N_PERIOD_MIN
        });
        let n_reference = (n_short.count() + 1).min(n_rows.len());
        let labels = periods.into_values().map(|(label, _)| label).collect();
        Ok(Timeline { column: name.into(), unit, of_row, labels, n_rows, n_reference })
    }
}

/// The finest unit that makes a readable number of periods.
pub(super) fn readable_unit<'a>(days: impl Iterator<Item = &'a Date> + Clone) -> Period {
    let n_of = |unit: Period| days.clone().map(|d| unit.of(*d).0).collect::<std::collections::BTreeSet<i32>>().len();
    match n_of(Period::Month) {
        0..=2 if n_of(Period::Week) <= 2 => Period::Day,
        0..=2 => Period::Week,
        3..=36 => Period::Month,
        _ if n_of(Period::Quarter) <= 40 => Period::Quarter,
        _ => Period::Year,
    }
}
