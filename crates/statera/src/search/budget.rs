//! How long a search goes on: a number of trials, or a time.
//!
//! Time decides nothing but after which batch a search ends. So a search that ended by its time after n trials is the
//! search of n trials, to the byte.

use crate::project::Settings;
use statera_core::{Error, Result};
use std::time::{Duration, Instant};

/// When a search ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Limit {
    /// After that many trials.
    Trials(usize),
    /// After the last batch that is expected to end within that time.
    Time(Duration),
}

impl Limit {
    /// What the settings ask for; `None`: no search.
    ///
    /// # Errors
    /// No trial at all, a time that cannot be read, or both.
    pub fn of(settings: &Settings) -> Result<Option<Limit>> {
        match (settings.trials, &settings.budget) {
            (Some(_), Some(_)) => Err(Error::request("trials and budget are both given; only one can hold")),
            (Some(0), None) => Err(Error::request("trials: 0 is not allowed; allowed is 1 and above")),
            (Some(n), None) => Ok(Some(Limit::Trials(n))),
            (None, Some(text)) => parse(text).map(|time| Some(Limit::Time(time))),
            (None, None) => Ok(None),
        }
    }

    /// Trials that may still be made after `done`, at most `wanted`.
    pub(super) fn at_most(self, wanted: usize, done: usize) -> usize {
        match self {
            Limit::Trials(n) => wanted.min(n.saturating_sub(done)),
            Limit::Time(_) => wanted,
        }
    }
}

/// A time written as a number and a unit: `90s`, `10m`, `1.5h`.
fn parse(text: &str) -> Result<Duration> {
    let trimmed = text.trim();
    let unit = |unit: char| match unit {
        's' => Some(1.0),
        'm' => Some(60.0),
        'h' => Some(3600.0),
        _ => None,
    };
    let seconds = trimmed.chars().last().and_then(unit).and_then(|unit| {
        let number: f64 = trimmed[..trimmed.len() - 1].trim_end().parse().ok()?;
        let seconds = number * unit;
        // A search of more than a year is a slip of the keyboard.
        (seconds > 0.0 && seconds <= 366.0 * 86_400.0).then_some(seconds)
    });
    seconds.map(Duration::from_secs_f64).ok_or_else(|| {
        Error::request(format!(
            "budget: «{text}» is not a time; allowed is a positive number with s, m or h, such as 90s, 10m or 1.5h"
        ))
    })
}

/// What has been spent of a limit.
pub(super) struct Clock {
    limit: Limit,
    started: Instant,
}

impl Clock {
    pub fn new(limit: Limit) -> Clock {
        Clock { limit, started: Instant::now() }
    }

    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// True if work of about that length still fits.
    pub fn allows(&self, expected: Duration) -> bool {
        match self.limit {
            Limit::Trials(_) => true,
            Limit::Time(time) => self.elapsed() + expected <= time,
        }
    }

    /// Refuses a time in which not even the first trial ended.
    pub fn check_first(&self, title: &str) -> Result<()> {
        let Limit::Time(time) = self.limit else { return Ok(()) };
        let spent = self.elapsed();
        if spent <= time {
            return Ok(());
        }
        Err(Error::request(format!(
            "budget: {}s is too little; the first trial ({title} with its default settings) took {:.1}s: give at least {}s, \
             and several times as much for a search that finds something",
            time.as_secs_f64(),
            spent.as_secs_f64(),
            spent.as_secs() + 1
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_numbers_with_a_unit() {
        for (text, seconds) in [("90s", 90.0), ("10m", 600.0), ("1.5h", 5400.0), (" 2 m ", 120.0)] {
            assert_eq!(parse(text).unwrap().as_secs_f64(), seconds, "{text}");
        }
        for text in ["", "10", "m", "-5m", "0s", "10 min", "tenm", "NaNm", "infh", "9999999h", "10M", "5秒"] {
            let error = parse(text).unwrap_err();
            assert!(error.is_request() && error.to_string().contains(&format!("«{text}» is not a time")), "{error}");
        }
    }

    #[test]
    fn a_limit_is_one_of_two() {
        let limit = |trials, budget: Option<&str>| {
            Limit::of(&Settings { trials, budget: budget.map(String::from), ..Settings::default() })
        };
        assert_eq!(limit(None, None).unwrap(), None);
        assert_eq!(limit(Some(3), None).unwrap(), Some(Limit::Trials(3)));
        assert_eq!(limit(None, Some("1m")).unwrap(), Some(Limit::Time(Duration::from_secs(60))));
        let refused = |trials, budget| limit(trials, budget).unwrap_err().to_string();
        assert_eq!(refused(Some(0), None), "trials: 0 is not allowed; allowed is 1 and above");
        assert_eq!(refused(Some(3), Some("1m")), "trials and budget are both given; only one can hold");
    }
}
