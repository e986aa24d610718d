//! Dates and times in text.
//!
//! What is read: ISO 8601 (`2024-03-05`, `2024-03`, `2024-03-05T14:30:00.5+09:00`, also with `/` or `.` between the parts and a
//! space before the time), `20240305` and `20240305143000`, `05.03.2024`, `05/03/2024` (day or month first),
//! `5 Mar 2024`, `05MAR2024`, `2024년 3월 5일`, `2024年3月5日`; times of day with seconds, fractions and AM/PM. A date alone is
//! its first instant. Years have four digits, 0001 to 9999. Inside, a time is microseconds UTC since 1970; one
//! without an offset is local in a [`Zone`].

use jiff::civil;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use statera_core::{Error, Result};

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// How the times of a column are written, as far as a cell alone does not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeFormat {
    /// True if `03/04/2024` is the third of April, false if it is March 4.
    pub day_first: bool,
}

/// The zone of times that are written without one.
#[derive(Debug, Clone)]
pub struct Zone {
    name: String,
    /// `None` is UTC.
    zone: Option<TimeZone>,
}

impl Zone {
    /// The zone of that IANA name; `None` is UTC.
    ///
    /// # Errors
    /// A name that the time zone database does not know.
    pub fn new(name: Option<&str>) -> Result<Zone> {
        let Some(name) = name.filter(|n| !n.eq_ignore_ascii_case("utc")) else { return Ok(Zone::utc()) };
        let zone = TimeZone::get(name).map_err(|_| {
            Error::request(format!(
                "no time zone «{name}»; expected an IANA name such as Asia/Seoul, Asia/Shanghai or UTC"
            ))
        })?;
        Ok(Zone { name: name.to_string(), zone: Some(zone) })
    }

    /// UTC.
    pub fn utc() -> Zone {
        Zone { name: "UTC".to_string(), zone: None }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The date that a clock of this zone shows at an instant, in microseconds UTC; `None` outside the years -9999 to 9999.
    pub(crate) fn date_at(&self, micros: i64) -> Option<civil::Date> {
        let instant = jiff::Timestamp::from_microsecond(micros).ok()?;
        Some(self.zone.clone().unwrap_or(TimeZone::UTC).to_datetime(instant).date())
    }

    /// Microseconds UTC of the instant at which a clock of this zone shows what a clock in UTC shows at `reading`; skipped and
    /// repeated times as in [`parse_cell`].
    pub(crate) fn instant_of_clock(&self, reading: jiff::Timestamp) -> std::result::Result<i64, jiff::Error> {
        let Some(zone) = &self.zone else { return Ok(reading.as_microsecond()) };
        let local = TimeZone::UTC.to_datetime(reading);
        zone.to_ambiguous_timestamp(local).compatible().map(|instant| instant.as_microsecond())
    }

    /// The instant at which a clock of this zone shows that date and time of day. Where the clock is set forward the skipped
    /// time is read with the offset before it, where it is set back the first of the two instants is taken.
    fn instant(&self, date: Date, micros: i64) -> Option<i64> {
        let Some(zone) = &self.zone else { return Some(date.days() * DAY + micros) };
        let seconds = micros / 1_000_000;
        let local = civil::DateTime::new(
            i16::try_from(date.year).ok()?,
            i8::try_from(date.month).ok()?,
            i8::try_from(date.day).ok()?,
            i8::try_from(seconds / 3600).ok()?,
            i8::try_from(seconds / 60 % 60).ok()?,
            i8::try_from(seconds % 60).ok()?,
            i32::try_from(micros % 1_000_000 * 1000).ok()?,
        );
        let instant = zone.to_ambiguous_timestamp(local.ok()?).compatible().ok()?;
        Some(instant.as_microsecond())
    }
}

/// A day of the Gregorian calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Date {
    year: u32,
    month: u32,
    day: u32,
}

impl Date {
    fn new(year: u32, month: u32, day: u32) -> Option<Date> {
        let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let days = match month {
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            4 | 6 | 9 | 11 => 30,
            2 if leap => 29,
            2 => 28,
            _ => return None,
        };
        ((1..=9999).contains(&year) && (1..=days).contains(&day)).then_some(Date { year, month, day })
    }

    /// Days since 1970-01-01. Years are counted from March, so that the leap day is the last of its year.
    fn days(self) -> i64 {
        let january_or_february = self.month <= 2;
        let year = i64::from(self.year) - i64::from(january_or_february);
        let month = (i64::from(self.month) + 9) % 12;
        let day_of_year = (153 * month + 2) / 5 + i64::from(self.day) - 1;
        365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468
    }
}

/// The date in a cell: certain, or with the year last and two numbers whose order the column decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    Certain(Date),
    /// Year, first number, second number, and true if the first can only be the day (dots).
    YearLast(u32, u32, u32, bool),
}

impl Written {
    fn date(self, day_first: bool) -> Option<Date> {
        match self {
            Written::Certain(date) => Some(date),
            Written::YearLast(year, first, second, _) if day_first => Date::new(year, second, first),
            Written::YearLast(_, _, _, true) => None,
            Written::YearLast(year, first, second, false) => Date::new(year, first, second),
        }
    }
}

/// A cell taken apart.
struct Parts {
    written: Written,
    /// Microseconds of the day.
    micros: i64,
    /// Seconds east of UTC.
    offset: Option<i64>,
}

/// Microseconds UTC of a cell without surrounding blanks; `None` if it is not a time.
pub fn parse_cell(cell: &str, format: TimeFormat, zone: &Zone) -> Option<i64> {
    let parts = match iso_date(cell.as_bytes()) {
        Some(date) if cell.len() == 10 => return zone.instant(date, 0),
        _ => read(cell)?,
    };
    let date = parts.written.date(format.day_first)?;
    match parts.offset {
        Some(offset) => Some(date.days() * DAY + parts.micros - offset * 1_000_000),
        None => zone.instant(date, parts.micros),
    }
}

/// True if a cell begins with a day in ISO 8601 (`2026-05-03`) and ends with it or goes on with a time of day: then it reads the same
/// however the cells around it are written.
pub fn is_iso(cell: &str) -> bool {
    let bytes = cell.as_bytes();
    iso_date(bytes).is_some() && matches!(bytes.get(10), None | Some(b'T' | b't' | b' '))
}

/// True if a cell is a time under some format.
pub(crate) fn is_time(cell: &str) -> bool {
    let either = |w: Written| w.date(true).or(w.date(false)).is_some();
    read(cell).is_some_and(|parts| either(parts.written))
}

/// True for eight digits that are a date of the years 1900 to 2099.
pub(crate) fn is_compact_date(cell: &[u8]) -> bool {
    cell.len() == 8 && matches!(&cell[..2], b"19" | b"20") && compact_date(cell).is_some()
}

/// What the cells of a column allow, gathered cell by cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimeSurvey {
    day_first: bool,
    month_first: bool,
    /// True once a cell reads differently with day and month exchanged, as far as orders go.
    ordered: bool,
}

impl TimeSurvey {
    /// Nothing seen.
    pub(crate) fn new() -> TimeSurvey {
        TimeSurvey { day_first: true, month_first: true, ordered: false }
    }

    /// No cell can make the column a time any more.
    pub(crate) fn rule_out(&mut self) {
        self.day_first = false;
        self.month_first = false;
    }

    /// True if all cells so far are times.
    pub(crate) fn possible(self) -> bool {
        self.day_first || self.month_first
    }

    /// Takes in a cell.
    pub(crate) fn see(&mut self, cell: &str) {
        if iso_date(cell.as_bytes()).is_some() && cell.len() == 10 {
            return;
        }
        match read(cell) {
            None => self.rule_out(),
            Some(parts) => {
                self.day_first &= parts.written.date(true).is_some();
                self.month_first &= parts.written.date(false).is_some();
                self.ordered |= matches!(parts.written, Written::YearLast(..));
            }
        }
    }

    /// What the cells of two parts of a column allow together.
    pub(crate) fn and(self, other: TimeSurvey) -> TimeSurvey {
        TimeSurvey {
            day_first: self.day_first && other.day_first,
            month_first: self.month_first && other.month_first,
            ordered: self.ordered || other.ordered,
        }
    }

    /// The format, and true if day and month could be exchanged in every cell; then the order is day, month, year, which
    /// keeps the parts sorted by size as ISO 8601 does.
    pub(crate) fn format(self) -> (TimeFormat, bool) {
        (TimeFormat { day_first: self.day_first }, self.ordered && self.day_first && self.month_first)
    }
}

/// The date in a text that begins `YYYY-MM-DD`.
fn iso_date(text: &[u8]) -> Option<Date> {
    match text {
        [a, b, c, d, b'-', e, f, b'-', g, h, ..] => {
            Date::new(number(&[*a, *b, *c, *d])?, number(&[*e, *f])?, number(&[*g, *h])?)
        }
        _ => None,
    }
}

/// The date in eight digits.
fn compact_date(text: &[u8]) -> Option<Date> {
    Date::new(number(&text[..4])?, number(&text[4..6])?, number(&text[6..8])?)
}

/// The number that all of the bytes write in decimal digits; at most nine.
fn number(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || digits.len() > 9 {
        return None;
    }
    digits.iter().try_fold(0u32, |n, b| b.is_ascii_digit().then(|| n * 10 + u32::from(b - b'0')))
}

/// Takes a cell apart.
fn read(cell: &str) -> Option<Parts> {
    // Longer than every accepted form; keeps free text cheap.
    if cell.len() < 6 || cell.len() > 48 {
        return None;
    }
    if cell.len() == 14 && cell.bytes().all(|b| b.is_ascii_digit()) {
        let micros = Rest(&cell[8..]).clock()?;
        return Some(Parts { written: Written::Certain(compact_date(cell.as_bytes())?), micros, offset: None });
    }
    let mut rest = Rest(cell);
    let written = rest.date()?;
    if rest.0.is_empty() {
        return Some(Parts { written, micros: 0, offset: None });
    }
    let micros = rest.time_of_day()?;
    let offset = rest.offset()?;
    Some(Parts { written, micros, offset })
}

/// What is still to be read of a cell.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    /// Takes up to `most` digits.
    fn digits(&mut self, most: usize) -> &'a str {
        let n = self.0.bytes().take(most).take_while(u8::is_ascii_digit).count();
        let (digits, rest) = self.0.split_at(n);
        self.0 = rest;
        digits
    }

    /// Takes a number of at least `least` and at most `most` digits.
    fn number(&mut self, least: usize, most: usize) -> Option<u32> {
        let digits = self.digits(most);
        if digits.len() < least { None } else { number(digits.as_bytes()) }
    }

    /// Takes one of some strings.
    fn take(&mut self, any: &[&str]) -> bool {
        match any.iter().find_map(|s| self.0.strip_prefix(s)) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }

    fn spaces(&mut self) {
        self.0 = self.0.trim_start_matches(' ');
    }

    fn date(&mut self) -> Option<Written> {
        let digits = self.digits(9);
        match digits.len() {
            4 => self.year_first(number(digits.as_bytes())?),
            8 => Some(Written::Certain(compact_date(digits.as_bytes())?)),
            1 | 2 => self.year_last(number(digits.as_bytes())?),
            _ => None,
        }
    }

    /// The rest of a date whose year is read.
    fn year_first(&mut self, year: u32) -> Option<Written> {
        if self.take(&["년", "年"]) {
            self.spaces();
            let month = self.number(1, 2)?;
            self.take(&["월", "月"]).then_some(())?;
            self.spaces();
            let day = self.number(1, 2)?;
            self.take(&["일", "日"]).then_some(())?;
            return Date::new(year, month, day).map(Written::Certain);
        }
        let separator = self.0.get(..1)?;
        if !matches!(separator, "-" | "/" | ".") {
            return None;
        }
        self.take(&[separator]);
        let month = self.number(1, 2)?;
        if separator == "-" && self.0.is_empty() {
            return Date::new(year, month, 1).map(Written::Certain);
        }
        self.take(&[separator]).then_some(())?;
        let day = self.number(1, 2)?;
        Date::new(year, month, day).map(Written::Certain)
    }

    /// The rest of a date of which one or two digits are read.
    fn year_last(&mut self, first: u32) -> Option<Written> {
        let separator = self.0.get(..1)?;
        if matches!(separator, "-" | "/" | ".") {
            self.take(&[separator]);
            if let Some(second) = self.number(1, 2) {
                self.take(&[separator]).then_some(())?;
                return Some(Written::YearLast(self.year()?, first, second, separator == "."));
            }
        } else {
            self.spaces();
        }
        let month = self.month_name()?;
        self.take(&["-", "/", ".", " "]);
        Date::new(self.year()?, month, first).map(Written::Certain)
    }

    /// A year of four digits, with no digit after it.
    fn year(&mut self) -> Option<u32> {
        let year = self.number(4, 4)?;
        (!self.0.starts_with(|c: char| c.is_ascii_digit())).then_some(year)
    }

    /// An English month name of three letters.
    fn month_name(&mut self) -> Option<u32> {
        const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
        let name = self.0.get(..3)?.to_ascii_lowercase();
        let month = MONTHS.iter().position(|m| *m == name)?;
        self.0 = &self.0[3..];
        Some(month as u32 + 1)
    }

    /// Microseconds of the day, with what separates it from the date.
    fn time_of_day(&mut self) -> Option<i64> {
        if !self.take(&["T", "t"]) {
            self.0.starts_with(' ').then_some(())?;
            self.spaces();
        }
        self.clock()
    }

    /// Microseconds of the day.
    fn clock(&mut self) -> Option<i64> {
        let digits = self.digits(6);
        let (mut hour, minute, second);
        if digits.len() == 6 {
            hour = number(&digits.as_bytes()[..2])?;
            minute = number(&digits.as_bytes()[2..4])?;
            second = number(&digits.as_bytes()[4..])?;
        } else {
            hour = if digits.len() <= 2 { number(digits.as_bytes())? } else { return None };
            self.take(&[":"]).then_some(())?;
            minute = self.number(2, 2)?;
            second = if self.take(&[":"]) { self.number(2, 2)? } else { 0 };
        }
        let fraction = if self.take(&[".", ","]) { self.fraction()? } else { 0 };
        let spaced = Rest(self.0.trim_start_matches(' '));
        let half = spaced.0.get(..2).map(str::to_ascii_uppercase);
        if let Some(half) = half.filter(|h| h == "AM" || h == "PM") {
            self.0 = &spaced.0[2..];
            (1..=12).contains(&hour).then_some(())?;
            hour = hour % 12 + if half == "PM" { 12 } else { 0 };
        }
        let fits = hour < 24 && minute < 60 && second < 60;
        fits.then(|| (i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second)) * 1_000_000 + fraction)
    }

    /// Microseconds of a fraction of a second; what is finer is cut off.
    fn fraction(&mut self) -> Option<i64> {
        let digits = self.digits(9);
        if digits.is_empty() {
            return None;
        }
        let six: String = digits.chars().chain("000000".chars()).take(6).collect();
        number(six.as_bytes()).map(i64::from)
    }

    /// An offset from UTC in seconds if there is one; nothing may follow it.
    fn offset(&mut self) -> Option<Option<i64>> {
        self.spaces();
        let offset = if self.0.is_empty() {
            None
        } else if self.take(&["Z", "z", "UTC", "GMT"]) {
            Some(0)
        } else {
            let west = self.take(&["-"]);
            if !west {
                self.take(&["+"]).then_some(())?;
            }
            let hours = self.number(2, 2)?;
            self.take(&[":"]);
            let minutes = if self.0.is_empty() { 0 } else { self.number(2, 2)? };
            (hours < 24 && minutes < 60).then_some(())?;
            let seconds = i64::from(hours) * 3600 + i64::from(minutes) * 60;
            Some(if west { -seconds } else { seconds })
        };
        self.0.is_empty().then_some(offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Microseconds of seconds since 1970.
    fn seconds(s: i64) -> Option<i64> {
        Some(s * 1_000_000)
    }

    #[test]
    fn reads_the_usual_forms() {
        // Reference values: `date -u -d '2024-03-05 14:30:00' +%s`.
        let day = seconds(1_709_596_800);
        let moment = seconds(1_709_649_000);
        let check = |cell: &str, expected: Option<i64>| {
            let format = TimeFormat { day_first: true };
            assert_eq!(parse_cell(cell, format, &Zone::utc()), expected, "{cell}");
            assert_eq!(is_time(cell), expected.is_some(), "{cell}");
        };
        let dates = [
            "2024-03-05",
            "2024/03/05",
            "2024.03.05",
            "2024-3-5",
            "20240305",
            "05.03.2024",
            "5/3/2024",
            "05-03-2024",
            "2024년 3월 5일",
            "2024년03월05일",
            "2024年3月5日",
            "5 Mar 2024",
            "05MAR2024",
            "05-mar-2024",
        ];
        for cell in dates {
            check(cell, day);
        }
        let moments = [
            "2024-03-05T14:30:00Z",
            "2024-03-05 14:30",
            "2024-03-05T23:30:00+09:00",
            "2024-03-05T14:30:00.000",
            "2024-03-05 14:30:00 UTC",
            "2024-03-05T09:30-0500",
            "20240305T143000",
            "20240305143000",
            "05/03/2024 2:30 PM",
            "2024년 3월 5일 14:30",
            "2024.03.05 14:30:00",
            "2024-03-05T22:30:00+08",
        ];
        for cell in moments {
            check(cell, moment);
        }
        check("2024-03", seconds(1_709_251_200));
        check("2024-03-05T14:30:00.123456789", moment.map(|m| m + 123_456));
        check("1969-12-31T23:59:59", seconds(-1));
        check("2000-02-29", seconds(951_782_400));
        check("0001-01-01", seconds(-62_135_596_800));
        check("9999-12-31", seconds(253_402_214_400));
        let not = [
            "",
            "2024-02-30",
            "2023-02-29",
            "1900-02-29",
            "2024-13-01",
            "2024-03-05T25:00",
            "2024-03-05T14:60",
            "2024-03-05x",
            "2024/03-05",
            "32/01/2024",
            "2024-03-05T14:30+9",
            "hello world",
            "12345678",
            "2024-03-05 1",
            "00:30",
            "13:00 PM",
            "2024-03-05 13:00 PM",
            "2024년 3월",
            "1.2.3",
            "05/03/20245",
            "0000-01-01",
            "２０２４-03-05",
        ];
        for cell in not {
            check(cell, None);
        }
    }

    #[test]
    fn reads_naive_times_in_the_zone() {
        let check = |name: &str, cell: &str, expected: Option<i64>| {
            let zone = Zone::new(Some(name)).unwrap();
            assert_eq!(parse_cell(cell, TimeFormat { day_first: true }, &zone), expected, "{name} {cell}");
        };
        check("Asia/Seoul", "2024-03-05", seconds(1_709_596_800 - 9 * 3600));
        check("Asia/Seoul", "2024-03-05T14:30:00Z", seconds(1_709_649_000));
        check("utc", "2024-03-05", seconds(1_709_596_800));
        // Clocks in New York skip 02:00 to 03:00 on 2024-03-10 and repeat 01:00 to 02:00 on 2024-11-03.
        check("America/New_York", "2024-03-10 02:30", seconds(1_710_055_800));
        check("America/New_York", "2024-11-03 01:30", seconds(1_730_611_800));
        assert_eq!(
            Zone::new(Some("Asia/Soul")).unwrap_err().to_string(),
            "no time zone «Asia/Soul»; expected an IANA name such as Asia/Seoul, Asia/Shanghai or UTC"
        );
    }

    #[test]
    fn the_column_decides_which_number_is_the_day() {
        let check = |cells: &[&str], expected: Option<(bool, bool)>| {
            let survey = cells.iter().fold(TimeSurvey::new(), |mut survey, cell| {
                survey.see(cell);
                survey
            });
            let found = survey.possible().then(|| survey.format()).map(|(f, ambiguous)| (f.day_first, ambiguous));
            assert_eq!(found, expected, "{cells:?}");
        };
        check(&["03/04/2024", "13/04/2024"], Some((true, false)));
        check(&["03/04/2024", "04/13/2024"], Some((false, false)));
        check(&["03/04/2024", "05/06/2024"], Some((true, true)));
        check(&["03.04.2024", "05.06.2024"], Some((true, false)));
        check(&["2024-03-05", "2024-04-01"], Some((true, false)));
        check(&["13/04/2024", "04/13/2024"], None);
        check(&["2024-03-05", "soon"], None);
    }

    #[test]
    fn days_agree_with_the_calendar_of_jiff() {
        let epoch = civil::date(1970, 1, 1);
        let mut day = civil::date(1, 1, 1);
        while day.year() < 9990 {
            let ours = Date::new(day.year() as u32, day.month() as u32, day.day() as u32).map(Date::days);
            let theirs = day.since((jiff::Unit::Day, epoch)).unwrap().get_days();
            assert_eq!(ours, Some(i64::from(theirs)), "{day}");
            day = day.checked_add(jiff::Span::new().days(97)).unwrap();
        }
    }
}
