//! Coarser cells: numbers to ranges, dates to month, quarter or year, text to a prefix, categories by a mapping.

use super::{Action, Method, MethodKind, Setup};
use crate::time::{TimeFormat, Zone, parse_cell};
use serde::Deserialize;
use statera_core::{Error, Result};
use std::collections::BTreeMap;

pub(super) const KIND: MethodKind = MethodKind {
    name: "generalise",
    about: "a coarser value: width or bounds, to (dates), prefix, map and other",
    needs_key: false,
    build: |setup| Ok(Action::Replace(form(setup)?)),
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    width: Option<f64>,
    bounds: Option<Vec<f64>>,
    to: Option<Period>,
    day_first: Option<bool>,
    prefix: Option<usize>,
    map: Option<BTreeMap<String, String>>,
    other: Option<String>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum Period {
    Month,
    Quarter,
    Year,
}

/// The one form that the settings name.
fn form(setup: &Setup<'_>) -> Result<Box<dyn Method>> {
    let settings: Settings = setup.read()?;
    let named = [
        ("width", settings.width.is_some()),
        ("bounds", settings.bounds.is_some()),
        ("to", settings.to.is_some()),
        ("prefix", settings.prefix.is_some()),
        ("map", settings.map.is_some()),
    ];
    let named: Vec<&str> = named.into_iter().filter(|(_, is)| *is).map(|(name, _)| name).collect();
    if named.len() != 1 {
        let found = if named.is_empty() { "none".into() } else { named.join(" and ") };
        return Err(Error::request(format!(
            "generalise takes one of width, bounds, to, prefix and map, and there is {found}"
        )));
    }
    for (setting, is_given, of) in
        [("day_first", settings.day_first.is_some(), "to"), ("other", settings.other.is_some(), "map")]
    {
        if is_given && named[0] != of {
            return Err(Error::request(format!("{setting} goes with {of}, not with {}", named[0])));
        }
    }
    if let Some(width) = settings.width {
        if !(width.is_finite() && width > 0.0) {
            return Err(Error::request(format!("width «{width}» is not allowed; allowed is a number above 0")));
        }
        return Ok(Box::new(Width(width)));
    }
    if let Some(bounds) = settings.bounds {
        if bounds.is_empty() || !bounds.iter().all(|b| b.is_finite()) || !bounds.is_sorted_by(|a, b| a < b) {
            return Err(Error::request("bounds: allowed are numbers, each above the one before, at least one"));
        }
        return Ok(Box::new(Bounds(bounds)));
    }
    if let Some(to) = settings.to {
        return Ok(Box::new(Dates { to, day_first: settings.day_first, zone: setup.zone.clone() }));
    }
    if let Some(prefix) = settings.prefix {
        return match prefix {
            0 => Err(Error::request("prefix «0» is not allowed; allowed is 1 and above, or «redact»")),
            n => Ok(Box::new(Prefix(n))),
        };
    }
    Ok(Box::new(Map { map: settings.map.unwrap_or_default(), other: settings.other }))
}

/// Ranges of one width, from a multiple of it (inclusive) to the next (exclusive).
struct Width(f64);

impl Method for Width {
    fn mask(&self, cell: &str, _: u64) -> Result<String> {
        let steps = number(cell)? / self.0;
        // 0.3 lies on a bound of width 0.1, though their quotient is 2.9999999999999996.
        let near = (steps - steps.round()).abs() < 1e-9 * steps.abs().max(1.0);
        let low = if near { steps.round() } else { steps.floor() };
        Ok(range(low * self.0, (low + 1.0) * self.0))
    }
}

/// Ranges between given bounds, and what is below the first and from the last on.
struct Bounds(Vec<f64>);

impl Method for Bounds {
    fn mask(&self, cell: &str, _: u64) -> Result<String> {
        let (value, bounds) = (number(cell)?, &self.0);
        let at = bounds.partition_point(|b| *b <= value);
        Ok(match at {
            0 => format!("< {}", short(bounds[0])),
            n if n == bounds.len() => format!("≥ {}", short(bounds[n - 1])),
            n => range(bounds[n - 1], bounds[n]),
        })
    }
}

fn number(cell: &str) -> Result<f64> {
    let value = cell.trim().parse::<f64>().ok().filter(|v| v.is_finite());
    value.ok_or_else(|| Error::data("not a number; allowed are digits with a point, such as 1234.5"))
}

/// From `low`, inclusive, to `high`, exclusive.
fn range(low: f64, high: f64) -> String {
    format!("[{}, {})", short(low), short(high))
}

/// A bound without the noise of binary fractions.
fn short(value: f64) -> String {
    let text = format!("{value:.10}");
    match text.trim_end_matches('0').trim_end_matches('.') {
        "-0" => "0".into(),
        text => text.into(),
    }
}

/// Months (`2026-03`), quarters (`2026-Q1`) and years (`2026`).
struct Dates {
    to: Period,
    day_first: Option<bool>,
    zone: Zone,
}

impl Method for Dates {
    fn mask(&self, cell: &str, _: u64) -> Result<String> {
        let read = |day_first| parse_cell(cell.trim(), TimeFormat { day_first }, &self.zone);
        let instant = match (self.day_first, read(true), read(false)) {
            (Some(true), instant, _) | (Some(false), _, instant) => instant,
            (None, Some(a), Some(b)) if a != b => {
                return Err(Error::data("day and month may be either way round; say day_first = true or false"));
            }
            (None, a, b) => a.or(b),
        };
        let date = instant.and_then(|instant| self.zone.date_at(instant));
        let date = date.ok_or_else(|| Error::data("not a date; allowed are forms such as 2026-03-05 and 20260305"))?;
        Ok(match self.to {
            Period::Month => format!("{:04}-{:02}", date.year(), date.month()),
            Period::Quarter => format!("{:04}-Q{}", date.year(), (date.month() + 2) / 3),
            Period::Year => format!("{:04}", date.year()),
        })
    }
}

/// The first characters and a star; a cell that is no longer than that becomes the star alone.
struct Prefix(usize);

impl Method for Prefix {
    fn mask(&self, cell: &str, _: u64) -> Result<String> {
        Ok(match cell.char_indices().nth(self.0) {
            Some((end, _)) => format!("{}*", &cell[..end]),
            None => "*".into(),
        })
    }
}

/// Levels by a mapping; `other` takes those it does not name.
struct Map {
    map: BTreeMap<String, String>,
    other: Option<String>,
}

impl Method for Map {
    fn mask(&self, cell: &str, _: u64) -> Result<String> {
        self.map.get(cell).or(self.other.as_ref()).cloned().ok_or_else(|| {
            Error::data(format!(
                "none of the {} values of the map; allow for the rest with other = \"…\"",
                self.map.len()
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::key::Key;
    use super::*;

    fn masked(settings: &str, cell: &str) -> std::result::Result<String, String> {
        let setup = Setup {
            column: "x",
            settings: settings.parse().unwrap(),
            key: &Key::of_nobody(),
            zone: &Zone::new(Some("Asia/Seoul")).unwrap(),
        };
        match (KIND.build)(&setup).map_err(|e| e.to_string())? {
            Action::Replace(method) => method.mask(cell, 0).map_err(|e| e.to_string()),
            _ => Err("no method".into()),
        }
    }

    #[test]
    fn every_form_makes_cells_coarser() {
        let cases = [
            ("width = 10", "37", "[30, 40)"),
            ("width = 10", "40", "[40, 50)"),
            ("width = 10", "-0.5", "[-10, 0)"),
            ("width = 0.1", "0.3", "[0.3, 0.4)"),
            ("width = 1000000", "123456789012", "[123456000000, 123457000000)"),
            ("bounds = [18, 25, 65]", "17.9", "< 18"),
            ("bounds = [18, 25, 65]", "18", "[18, 25)"),
            ("bounds = [18, 25, 65]", "65", "≥ 65"),
            ("to = 'month'", "2026-03-05", "2026-03"),
            ("to = 'quarter'", "20261231", "2026-Q4"),
            ("to = 'year'", "2026년 3월 5일", "2026"),
            // Nine hours ahead of UTC it is next year already; a time without an offset is as it is written.
            ("to = 'year'", "2025-12-31T15:00:00Z", "2026"),
            ("to = 'year'", "2025-12-31 23:59", "2025"),
            ("to = 'month'\nday_first = true", "03/04/2026", "2026-04"),
            ("to = 'month'", "13/04/2026", "2026-04"),
            ("prefix = 3", "06236", "062*"),
            ("prefix = 2", "서울특별시", "서울*"),
            ("prefix = 3", "062", "*"),
            ("map = { '서울' = '수도권' }\nother = '그 밖'", "서울", "수도권"),
            ("map = { '서울' = '수도권' }\nother = '그 밖'", "부산", "그 밖"),
        ];
        for (settings, cell, expected) in cases {
            assert_eq!(masked(settings, cell).as_deref(), Ok(expected), "{settings}: {cell}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_without_being_shown() {
        let cases = [
            ("", "", "generalise takes one of width, bounds, to, prefix and map, and there is none"),
            ("width = 1\nprefix = 2", "", "and there is width and prefix"),
            ("width = 0", "", "width «0» is not allowed"),
            ("bounds = [2, 1]", "", "bounds: allowed are numbers, each above the one before"),
            ("prefix = 0", "", "prefix «0» is not allowed"),
            ("width = 1\nother = 'x'", "", "other goes with map, not with width"),
            ("to = 'week'", "", "unknown variant `week`, expected one of `month`, `quarter`, `year`"),
            ("widht = 1", "", "unknown field `widht`, expected one of `width`"),
            ("width = 1", "secret", "not a number; allowed are digits with a point"),
            ("to = 'year'", "secret", "not a date; allowed are forms such as"),
            ("to = 'year'", "2026-02-30", "not a date"),
            ("to = 'month'", "03/04/2026", "say day_first"),
            ("map = { a = 'b' }", "secret", "none of the 1 values of the map"),
        ];
        for (settings, cell, expected) in cases {
            let said = masked(settings, cell).unwrap_err();
            assert!(said.contains(expected) && !said.contains("secret"), "{settings}: {said}");
        }
    }
}
