//! `[retention]` of `server.toml`.

use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use serde::{Deserialize, Serialize};
use statera_core::{Error, Result};
use statera_data::time::Zone;
use statera_store::retention::age_us;

/// Days of the least age: a subject's key is good for as long, and retention is exact to it.
const DAYS_MIN: i64 = 30;
const DAY_US: i64 = 86_400_000_000;
/// Characters of a wrong value that are shown.
const SHOWN: usize = 20;

/// How long decisions can be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetentionSettings {
    /// The age beyond which what is personal is erased, as `5y`, `18m` (months) or `400d`, 30 days to 1,000 years; empty: nothing is
    /// erased by age.
    pub older_than: String,
    /// The time of day at which it is done, as `03:00`.
    pub at: String,
    /// The zone of that time.
    pub tz: String,
}

impl Default for RetentionSettings {
    fn default() -> RetentionSettings {
        RetentionSettings { older_than: String::new(), at: "03:00".into(), tz: "UTC".into() }
    }
}

impl RetentionSettings {
    /// What each field is for, as `server.toml` says it.
    pub const ABOUT: &[(&str, &str)] = &[
        (
            "older_than",
            "What is older can never be read again, as 5y, 18m (months) or 400d; empty: nothing is erased by age",
        ),
        ("at", "It is done once a day at this time, and at the start"),
        ("tz", "The zone of this time"),
    ];

    /// Refuses what cannot be meant.
    ///
    /// # Errors
    /// The first field that is out of its range, with the range.
    pub fn check(&self) -> Result<()> {
        self.age_us()?;
        self.time()?;
        Zone::new(Some(&self.tz)).map_err(|e| e.at("retention.tz")).map(drop)
    }

    /// The age in microseconds; none where nothing is erased by age.
    ///
    /// # Errors
    /// A text that is no age, or one of less than 30 days.
    pub(super) fn age_us(&self) -> Result<Option<i64>> {
        if self.older_than.is_empty() {
            return Ok(None);
        }
        let place = format!("retention.older_than is «{}»", shown(&self.older_than));
        let age_us = age_us(&self.older_than).map_err(|e| e.at(&place))?;
        if age_us < DAYS_MIN * DAY_US {
            return Err(Error::request(format!("{place}; allowed is {DAYS_MIN}d to 1000y")));
        }
        Ok(Some(age_us))
    }

    fn time(&self) -> Result<Time> {
        let wrong = || {
            let at = shown(&self.at);
            Error::request(format!("retention.at is «{at}»; allowed is a time of day such as 03:00"))
        };
        Time::strptime("%H:%M", &self.at).map_err(|_| wrong())
    }

    /// The last time at which it was due, microseconds since 1970 UTC. Settings that were not checked give midnight of UTC.
    pub(super) fn due_us(&self, now_us: i64) -> i64 {
        self.due_by_zone(now_us).unwrap_or(now_us - now_us.rem_euclid(DAY_US))
    }

    fn due_by_zone(&self, now_us: i64) -> Option<i64> {
        let zone = if self.tz.eq_ignore_ascii_case("utc") { TimeZone::UTC } else { TimeZone::get(&self.tz).ok()? };
        let today = Timestamp::from_microsecond(now_us).ok()?.to_zoned(zone.clone()).date();
        let time = self.time().ok()?;
        let of_day = |days: i64| {
            let date = today.checked_add(Span::new().days(days)).ok()?;
            // A time that a change of the clock leaves out is the one after it.
            Some(date.to_datetime(time).to_zoned(zone.clone()).ok()?.timestamp().as_microsecond())
        };
        [0, -1].into_iter().filter_map(of_day).find(|at_us| *at_us <= now_us)
    }
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn us(text: &str) -> i64 {
        text.parse::<Timestamp>().expect("a time").as_microsecond()
    }

    #[test]
    fn it_is_due_once_a_day_where_the_bank_is() {
        let seoul = RetentionSettings { tz: "Asia/Seoul".into(), ..RetentionSettings::default() };
        // Seoul is nine hours ahead.
        for (settings, now, due) in [
            (RetentionSettings::default(), "2026-11-21T03:00:00Z", "2026-11-21T03:00:00Z"),
            (RetentionSettings::default(), "2026-11-21T02:59:59Z", "2026-11-20T03:00:00Z"),
            (seoul.clone(), "2026-11-21T17:59:59Z", "2026-11-20T18:00:00Z"),
            (seoul, "2026-11-21T18:00:00Z", "2026-11-21T18:00:00Z"),
        ] {
            assert_eq!(settings.due_us(us(now)), us(due), "{now}");
        }
        // On 28 March 2027 Berlin has no 02:30: clocks go from two to three.
        let berlin = RetentionSettings { at: "02:30".into(), tz: "Europe/Berlin".into(), ..Default::default() };
        assert_eq!(berlin.due_us(us("2027-03-28T12:00:00Z")), us("2027-03-28T01:30:00Z"));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let base = RetentionSettings::default;
        let older = |age: &str| RetentionSettings { older_than: age.into(), ..base() };
        for age in ["", "5y", "18m", "400d", "30d", "1m", "1000y"] {
            assert_eq!(older(age).check(), Ok(()), "{age}");
        }
        let form = "allowed are a number and y, m (months) or d, up to 1000y";
        for (settings, told) in [
            (older("5 years"), format!("retention.older_than is «5 years»: {form}")),
            (older("-5y"), format!("retention.older_than is «-5y»: {form}")),
            (older("1001y"), format!("retention.older_than is «1001y»: {form}")),
            (older(&"9".repeat(50)), format!("retention.older_than is «{}»: {form}", "9".repeat(20))),
            (older("5d"), "retention.older_than is «5d»; allowed is 30d to 1000y".into()),
            (
                RetentionSettings { at: "3am".into(), ..base() },
                "retention.at is «3am»; allowed is a time of day such as 03:00".into(),
            ),
        ] {
            assert_eq!(settings.check().expect_err("refused").to_string(), told);
        }
        let tz = RetentionSettings { tz: "Mars/Olympus".into(), ..base() };
        assert!(tz.check().expect_err("refused").to_string().starts_with("retention.tz: no time zone «Mars/Olympus»"));
    }
}
