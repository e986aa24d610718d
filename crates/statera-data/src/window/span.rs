//! Lengths of time as people write them: `90s`, `15m`, `1h`, `7d`.

use serde::{Deserialize, Serialize};
use statera_core::{Error, Result};
use std::fmt;

/// Units by their letter, the longest first, in microseconds.
const UNITS: [(char, i64); 4] = [('d', 86_400_000_000), ('h', 3_600_000_000), ('m', 60_000_000), ('s', 1_000_000)];
/// Longest span: with the longest shift it stays below 2^48 microseconds, which is what an event keeps of its time.
const MAX_DAYS: i64 = 1_000;

/// A length of time, from 1 second to 1000 days, in whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(i64);

impl Span {
    /// Reads `90s`, `15m`, `1h`, `7d`, and the same as words: `7 days`.
    ///
    /// # Errors
    /// Anything else, and what is shorter than a second or longer than 1000 days.
    pub fn parse(text: &str) -> Result<Span> {
        let refused = || {
            Error::request(format!(
                "«{text}» is no length of time; allowed are 1s to {MAX_DAYS}d, such as 90s, 15m, 1h, 7d"
            ))
        };
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, unit) = (text[..digits].parse::<i64>().map_err(|_| refused())?, text[digits..].trim());
        let letter = match unit {
            "day" | "days" => "d",
            "hour" | "hours" => "h",
            "minute" | "minutes" => "m",
            "second" | "seconds" => "s",
            letter => letter,
        };
        let size = UNITS.iter().find(|(c, _)| letter == c.to_string()).map(|(_, size)| *size).ok_or_else(refused)?;
        let micros = number.checked_mul(size).filter(|m| (UNITS[3].1..=MAX_DAYS * UNITS[0].1).contains(m));
        micros.map(Span).ok_or_else(refused)
    }

    /// Microseconds.
    pub fn micros(self) -> i64 {
        self.0
    }
}

/// In the largest unit that has no rest: `24h` is written `1d`.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (letter, size) = UNITS.iter().find(|(_, size)| self.0 % size == 0).unwrap_or(&UNITS[3]);
        write!(f, "{}{letter}", self.0 / size)
    }
}

impl TryFrom<String> for Span {
    type Error = Error;
    fn try_from(text: String) -> Result<Span> {
        Span::parse(&text)
    }
}

impl From<Span> for String {
    fn from(span: Span) -> String {
        span.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_spans() {
        for (text, micros, written) in [
            ("90s", 90_000_000, "90s"),
            ("15m", 900_000_000, "15m"),
            ("24h", 86_400_000_000, "1d"),
            ("7 days", 604_800_000_000, "7d"),
        ] {
            let span = Span::parse(text).unwrap();
            assert_eq!((span.micros(), span.to_string().as_str()), (micros, written));
        }
        for text in ["", "7", "d", "0s", "-1d", "1001d", "7 weeks", "1.5h", "99999999999999999999d", "９d"] {
            let said = Span::parse(text).unwrap_err().to_string();
            assert!(said.contains("allowed are 1s to 1000d"), "{said}");
        }
    }
}
