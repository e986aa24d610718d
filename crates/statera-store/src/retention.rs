//! Retention by age: how a policy states it, and the time before which it erases.

use crate::Store;
use statera_core::{Error, Result};

/// Microseconds of a day.
const DAY_US: i64 = 24 * 3600 * 1_000_000;
/// Years that an age can have.
const YEARS_MAX: i64 = 1000;

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
