//! Retention by age: how a policy states it, and the time before which it erases, which a wrong clock must not move.

use crate::Store;
use crate::vault::PERIOD_US;
use statera_core::{Error, Result};

/// Microseconds of a day.
const DAY_US: i64 = 24 * 3600 * 1_000_000;
/// Years that an age can have.
const YEARS_MAX: i64 = 1000;
/// By how much a clock may be ahead of the ledger's last row. A server that erases by age writes a row each day, so that more is
/// a clock that jumped, or a store that nobody used.
const AHEAD_US: i64 = 35 * DAY_US;
/// By how much an erasure goes further than the one before it, without a person: two periods.
const STEP_US: i64 = 2 * PERIOD_US;
/// Time after which it may go further again; less than a day, so that one that is done daily always may.
const STEP_EVERY_US: i64 = 20 * 3600 * 1_000_000;

/// What one process of a store does at a time, as [`Store::claim`] calls it.
pub const CLAIM: &str = "erase what is old";

/// The last erasure by age.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastRetain {
    /// What was recorded before is gone, microseconds since 1970 UTC.
    pub before_us: i64,
    /// When it was done by the clock, which may not be the time of its row.
    pub at_us: i64,
}

/// How far an erasure by age may go that no person stands for. Times are microseconds since 1970 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// As far as its age says.
    Whole {
        /// What was recorded before is too old.
        before_us: i64,
    },
    /// Less far today: it would go more than 60 days further than the last one, or a second time within a day.
    Part {
        /// What may be erased today.
        before_us: i64,
        /// What is too old by its age.
        wanted_us: i64,
    },
    /// Nowhere: the clock is more than 35 days ahead of the ledger's last row, and a row that was written now would have its time.
    Nowhere {
        /// The time of the last row.
        latest_us: i64,
    },
}

/// An age in microseconds, written as `5y`, `18m` (months) or `400d`. Years have 366 days and months 31, so that nothing is
/// erased too early.
///
/// # Errors
/// Anything else, without the text: the caller names the place and shows it.
pub fn age_us(text: &str) -> Result<i64> {
    let wrong = || Error::request(format!("allowed are a number and y, m (months) or d, up to {YEARS_MAX}y"));
    let unit = text.chars().last().ok_or_else(wrong)?;
    let number = text[..text.len() - unit.len_utf8()].parse::<i64>().map_err(|_| wrong())?;
    let days = match unit {
        'y' => 366,
        'm' => 31,
        'd' => 1,
        _ => return Err(wrong()),
    };
    match number.checked_mul(days) {
        Some(days) if number > 0 && days <= YEARS_MAX * 366 => Ok(days * DAY_US),
        _ => Err(wrong()),
    }
}

/// The time of the ledger's last row, microseconds since 1970 UTC; 0 of an empty ledger.
///
/// # Errors
/// A store that does not answer.
pub fn latest_us(store: &dyn Store) -> Result<i64> {
    let mut latest_us = 0;
    for (chain, end) in store.ledger_ends()? {
        let rows = store.audit_rows(&chain, end.saturating_sub(1), 1)?;
        latest_us = rows.iter().map(|row| row.at_us).fold(latest_us, i64::max);
    }
    Ok(latest_us)
}

/// The time before which what was recorded has an age, microseconds since 1970 UTC. It counts from the clock or from the ledger's last
/// row, whichever is earlier: a clock that is ahead, as of a machine that woke up in another year, ages nothing.
///
/// # Errors
/// A store that does not answer.
pub fn before_us(store: &dyn Store, age_us: i64, now_us: i64) -> Result<i64> {
    Ok(latest_us(store)?.min(now_us).saturating_sub(age_us))
}

/// How far an erasure by age may go now. A wrong clock destroys what can never be had back: one that jumped ahead erases nothing and
/// writes nothing, and where other rows have its time already, little is gone before somebody sees it.
///
/// # Errors
/// A store that does not answer.
pub fn reach(store: &dyn Store, age_us: i64, now_us: i64) -> Result<Reach> {
    let latest_us = latest_us(store)?;
    if latest_us > 0 && now_us.saturating_sub(latest_us) > AHEAD_US {
        return Ok(Reach::Nowhere { latest_us });
    }
    let wanted_us = latest_us.min(now_us).saturating_sub(age_us);
    // One over an empty ledger, which counts from 1970, says nothing of those after it.
    let Some(last) = store.last_retain()?.filter(|last| last.before_us > 0) else {
        return Ok(Reach::Whole { before_us: wanted_us });
    };
    let is_soon = (last.at_us..last.at_us.saturating_add(STEP_EVERY_US)).contains(&now_us);
    let limit_us = last.before_us.saturating_add(if is_soon { 0 } else { STEP_US });
    // Within the period of the limit it is the same keys.
    if wanted_us < limit_us.saturating_add(PERIOD_US) {
        return Ok(Reach::Whole { before_us: wanted_us });
    }
    Ok(Reach::Part { before_us: limit_us, wanted_us })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_read() {
        for (text, days) in [("5y", 5 * 366), ("18m", 18 * 31), ("400d", 400), ("1000y", 366_000)] {
            assert_eq!(age_us(text), Ok(days * DAY_US), "{text}");
        }
        for text in ["", "5", "y", "-1y", "0d", "5w", "1.5y", "1001y", "99999999999999y", "5년", "5 y"] {
            let told = age_us(text).expect_err("must fail").to_string();
            assert_eq!(told, "allowed are a number and y, m (months) or d, up to 1000y", "{text}");
        }
    }
}
