//! `[alerts]` of `server.toml`.

use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, Zoned};
use serde::{Deserialize, Serialize};
use statera_core::{Error, Result};
use statera_data::time::Zone;
use std::collections::{BTreeMap, BTreeSet};

/// Most shifts a day, entries of a list, and characters of a code.
const MAX_SHIFTS: usize = 24;
const MAX_ENTRIES: usize = 100;
const MAX_CODE_CHARS: usize = 64;
const DAY_US: i64 = 86_400_000_000;

/// Which transactions people look at, and how many they can.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AlertsSettings {
    /// A transaction of this probability or more is suspicious, 0 to 1; so is one that the rules do not allow.
    pub threshold: f64,
    /// The same by model, where it is another.
    pub thresholds: BTreeMap<String, f64>,
    /// Cases that the desk works on in a shift, 1 to 100,000.
    pub capacity: u32,
    /// When shifts begin, as `06:00`, 1 to 24 of them; each lasts until the next.
    pub shifts: Vec<String>,
    /// The zone of these times.
    pub tz: String,
    /// Days after its last transaction for which a case that nobody took is listed, 1 to 365.
    pub open_days: u32,
    /// Days of a card's transactions that a case shows, 1 to 365.
    pub timeline_days: u32,
    /// Why a case may be dismissed.
    pub dismiss_reasons: BTreeSet<String>,
}

impl Default for AlertsSettings {
    fn default() -> AlertsSettings {
        let reasons = ["customer_confirmed", "known_pattern", "rule_too_wide", "other"];
        AlertsSettings {
            threshold: 0.5,
            thresholds: BTreeMap::new(),
            capacity: 100,
            shifts: vec!["00:00".into()],
            tz: "UTC".into(),
            open_days: 14,
            timeline_days: 30,
            dismiss_reasons: reasons.map(String::from).into(),
        }
    }
}

/// From when to when a shift lasts, microseconds since 1970 UTC; the end is the begin of the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shift {
    /// The first instant.
    pub began_us: i64,
    /// The first instant of the next.
    pub ends_us: i64,
}

impl AlertsSettings {
    /// What each field is for, as `server.toml` says it.
    pub const ABOUT: &[(&str, &str)] = &[
        ("threshold", "A transaction of this probability or more is suspicious; so is one that the rules do not allow"),
        ("thresholds", "The same by model, where it is another"),
        ("capacity", "Cases that the desk works on in a shift"),
        ("shifts", "When shifts begin; each lasts until the next"),
        ("tz", "The zone of these times"),
        ("open_days", "Days after its last transaction for which a case that nobody took is listed"),
        ("timeline_days", "Days of a card's transactions that a case shows"),
        ("dismiss_reasons", "Why a case may be dismissed"),
    ];

    /// Refuses what cannot be meant.
    ///
    /// # Errors
    /// The first field that is out of its range, with the range.
    pub fn check(&self) -> Result<()> {
        let one = std::iter::once(("threshold".to_string(), &self.threshold));
        let by_model = self.thresholds.iter().map(|(model, threshold)| (format!("thresholds.{model}"), threshold));
        if let Some((name, value)) = one.chain(by_model).find(|(_, value)| !(0.0..=1.0).contains(*value)) {
            return Err(Error::request(format!("alerts.{name} is {value}; allowed is 0 to 1")));
        }
        let limits = [
            ("capacity", self.capacity, 1..=100_000),
            ("open_days", self.open_days, 1..=365),
            ("timeline_days", self.timeline_days, 1..=365),
        ];
        if let Some((name, value, allowed)) = limits.iter().find(|(_, value, allowed)| !allowed.contains(value)) {
            let (least, most) = (allowed.start(), allowed.end());
            return Err(Error::request(format!("alerts.{name} is {value}; allowed is {least} to {most}")));
        }
        self.starts()?;
        Zone::new(Some(&self.tz)).map_err(|e| e.at("alerts.tz"))?;
        let reasons = &self.dismiss_reasons;
        let is_fine = |code: &String| (1..=MAX_CODE_CHARS).contains(&code.chars().count());
        if !(1..=MAX_ENTRIES).contains(&reasons.len()) || !reasons.iter().all(is_fine) {
            let n = reasons.len();
            return Err(Error::request(format!(
                "alerts.dismiss_reasons has {n} codes; allowed are 1 to {MAX_ENTRIES} of 1 to {MAX_CODE_CHARS} characters"
            )));
        }
        Ok(())
    }

    /// The times of day at which shifts begin, ascending.
    fn starts(&self) -> Result<Vec<Time>> {
        let n = self.shifts.len();
        if !(1..=MAX_SHIFTS).contains(&n) {
            return Err(Error::request(format!("alerts.shifts has {n} times; allowed are 1 to {MAX_SHIFTS}")));
        }
        let parse = |text: &String| {
            let shown: String = text.chars().take(20).collect();
            let wrong = || Error::request(format!("alerts.shifts: «{shown}»; allowed is a time of day such as 06:00"));
            Time::strptime("%H:%M", text).map_err(|_| wrong())
        };
        let mut starts = self.shifts.iter().map(parse).collect::<Result<Vec<Time>>>()?;
        starts.sort_unstable();
        starts.dedup();
        Ok(starts)
    }

    /// The shift of a time. Settings that were not checked give the day of UTC.
    pub fn shift(&self, now_us: i64) -> Shift {
        let day = now_us - now_us.rem_euclid(DAY_US);
        self.shift_of(now_us).unwrap_or(Shift { began_us: day, ends_us: day + DAY_US })
    }

    fn shift_of(&self, now_us: i64) -> Option<Shift> {
        let zone = if self.tz.eq_ignore_ascii_case("utc") { TimeZone::UTC } else { TimeZone::get(&self.tz).ok()? };
        let now: Zoned = Timestamp::from_microsecond(now_us).ok()?.to_zoned(zone.clone());
        let starts = self.starts().ok()?;
        let (mut began, mut ends) = (None, None);
        for day in -1..=1 {
            let date = now.date().checked_add(Span::new().days(day)).ok()?;
            for start in &starts {
                // A time that a change of the clock leaves out is the one after it.
                let at = date.to_datetime(*start).to_zoned(zone.clone()).ok()?.timestamp().as_microsecond();
                if at <= now_us {
                    began = Some(at);
                } else {
                    ends = ends.or(Some(at));
                }
            }
        }
        Some(Shift { began_us: began?, ends_us: ends? })
    }

    /// From which probability on a model's transactions are suspicious.
    pub fn threshold_of(&self, model: &str) -> f64 {
        self.thresholds.get(model).copied().unwrap_or(self.threshold)
    }

    /// Cases that nobody took and whose last transaction was recorded before are no longer listed.
    pub fn kept_us(&self, now_us: i64) -> i64 {
        now_us - i64::from(self.open_days) * DAY_US
    }

    /// From when on a case shows transactions.
    pub fn timeline_us(&self, now_us: i64) -> i64 {
        now_us - i64::from(self.timeline_days) * DAY_US
    }

    /// Refuses a reason that is not listed.
    ///
    /// # Errors
    /// With what is allowed.
    pub fn check_reason(&self, reason: &str) -> Result<()> {
        if self.dismiss_reasons.contains(reason) {
            return Ok(());
        }
        let known: Vec<&str> = self.dismiss_reasons.iter().map(String::as_str).collect();
        let shown: String = reason.chars().take(64).collect();
        Err(Error::request(format!("reason «{shown}» is not known; allowed: {}", known.join(", "))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn us(text: &str) -> i64 {
        text.parse::<Timestamp>().expect("a time").as_microsecond()
    }

    #[test]
    fn a_shift_lasts_from_its_start_to_the_next() {
        let settings = AlertsSettings {
            shifts: vec!["22:00".into(), "06:00".into(), "14:00".into()],
            tz: "Asia/Seoul".into(),
            ..AlertsSettings::default()
        };
        settings.check().expect("fine");
        // Seoul is nine hours ahead.
        for (now, began, ends) in [
            ("2026-11-21T05:00:00Z", "2026-11-21T05:00:00Z", "2026-11-21T13:00:00Z"),
            ("2026-11-21T04:59:59Z", "2026-11-20T21:00:00Z", "2026-11-21T05:00:00Z"),
            ("2026-11-21T15:30:00Z", "2026-11-21T13:00:00Z", "2026-11-21T21:00:00Z"),
        ] {
            assert_eq!(settings.shift(us(now)), Shift { began_us: us(began), ends_us: us(ends) }, "{now}");
        }
        // The day on which Berlin's clocks go back has 25 hours.
        let berlin = AlertsSettings { tz: "Europe/Berlin".into(), ..AlertsSettings::default() };
        let shift = berlin.shift(us("2026-10-25T12:00:00Z"));
        assert_eq!(shift.ends_us - shift.began_us, 25 * 3_600_000_000);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let base = AlertsSettings::default;
        let cases: Vec<(AlertsSettings, &str)> = vec![
            (AlertsSettings { threshold: 1.5, ..base() }, "alerts.threshold is 1.5; allowed is 0 to 1"),
            (AlertsSettings { threshold: f64::NAN, ..base() }, "alerts.threshold is NaN; allowed is 0 to 1"),
            (
                AlertsSettings { thresholds: [("cards".to_string(), -1.0)].into(), ..base() },
                "alerts.thresholds.cards is -1; allowed is 0 to 1",
            ),
            (AlertsSettings { capacity: 0, ..base() }, "alerts.capacity is 0; allowed is 1 to 100000"),
            (AlertsSettings { shifts: vec![], ..base() }, "alerts.shifts has 0 times; allowed are 1 to 24"),
            (
                AlertsSettings { shifts: vec!["25:00".into()], ..base() },
                "alerts.shifts: «25:00»; allowed is a time of day such as 06:00",
            ),
            (AlertsSettings { open_days: 0, ..base() }, "alerts.open_days is 0; allowed is 1 to 365"),
        ];
        for (settings, told) in cases {
            assert_eq!(settings.check().expect_err("refused").to_string(), told);
        }
        let tz = AlertsSettings { tz: "Mars/Olympus".into(), ..base() };
        assert!(tz.check().expect_err("refused").to_string().starts_with("alerts.tz: no time zone «Mars/Olympus»"));
        let none = AlertsSettings { dismiss_reasons: BTreeSet::new(), ..base() };
        assert!(none.check().is_err());
    }
}
