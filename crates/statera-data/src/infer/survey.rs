//! One pass over the cells of a column: what they could all be. Surveys of the parts of a column are joined in order.

use super::cells::{Cells, INTEGER_LENGTH_MAX, written};
use super::number::{self, Digits};
use crate::time::{TimeSurvey, is_compact_date};
use arrow_array::StringArray;

/// Cells that mean «missing», compared with the whole cell without surrounding blanks.
pub const MISSING_TOKENS: [&str; 13] =
    ["", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "null", "NULL", "Null", "None", "?", "."];

/// Length of the longest missing token.
const TOKEN_LENGTH_MAX: usize = 4;

/// Index of the missing token that a cell is.
pub(super) fn missing_token(cell: &str) -> Option<usize> {
    match cell.as_bytes().first() {
        None => return Some(0),
        Some(b'N' | b'n' | b'#' | b'?' | b'.') if cell.len() <= TOKEN_LENGTH_MAX => {}
        Some(_) => return None,
    }
    MISSING_TOKENS.iter().position(|token| *token == cell)
}

/// A cell without the blanks around it.
pub(super) fn trimmed(cell: &str) -> &str {
    let edge = |b: Option<&u8>| b.is_some_and(|&b| b <= b' ' || b >= 0x80);
    let bytes = cell.as_bytes();
    if edge(bytes.first()) || edge(bytes.last()) { cell.trim() } else { cell }
}

/// What the cells are as numbers under one decimal mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reading {
    /// True if every cell is a number.
    pub(super) possible: bool,
    /// True if no cell has a decimal mark, an exponent or is infinite.
    pub(super) all_integer: bool,
    /// True if `i64` holds every integer.
    pub(super) fits_i64: bool,
    /// Most digits before and after the mark.
    pub(super) n_int_max: u32,
    /// Most digits after the mark.
    pub(super) n_frac_max: u32,
    /// True if a cell has an exponent.
    pub(super) exponent: bool,
    /// True if a cell is infinite or too large for `f64`.
    pub(super) infinite: bool,
    /// True if `f64` holds every cell to its last digit.
    pub(super) f64_holds: bool,
    /// The mark between thousands.
    pub(super) group: Option<char>,
    /// True if a cell has a decimal mark.
    pub(super) mark: bool,
}

impl Reading {
    const NOTHING: Reading = Reading {
        possible: true,
        all_integer: true,
        fits_i64: true,
        n_int_max: 0,
        n_frac_max: 0,
        exponent: false,
        infinite: false,
        f64_holds: true,
        group: None,
        mark: false,
    };

    /// Takes in a cell; `plain` is its decimal text, needed only where it has more than 15 digits.
    fn see(&mut self, digits: Option<Digits>, plain: &str) {
        let Some(digits) = digits else {
            self.possible = false;
            return;
        };
        let integer = !digits.mark && !digits.exponent && !digits.infinite;
        self.all_integer &= integer;
        self.fits_i64 &= !integer || digits.n_int <= 18 || plain.parse::<i64>().is_ok();
        self.n_int_max = self.n_int_max.max(digits.n_int);
        self.n_frac_max = self.n_frac_max.max(digits.n_frac);
        self.exponent |= digits.exponent;
        self.mark |= digits.mark;
        self.infinite |= digits.infinite || (digits.exponent && number::parse_f64(plain).is_some_and(f64::is_infinite));
        if digits.n_int + digits.n_frac > 15 {
            self.f64_holds &= number::f64_holds(plain);
        }
        self.join_group(digits.group);
    }

    fn join_group(&mut self, group: Option<char>) {
        match (self.group, group) {
            (Some(a), Some(b)) if a != b => self.possible = false,
            (None, Some(_)) => self.group = group,
            _ => {}
        }
    }

    fn and(mut self, other: Reading) -> Reading {
        self.possible &= other.possible;
        self.all_integer &= other.all_integer;
        self.fits_i64 &= other.fits_i64;
        self.n_int_max = self.n_int_max.max(other.n_int_max);
        self.n_frac_max = self.n_frac_max.max(other.n_frac_max);
        self.exponent |= other.exponent;
        self.infinite |= other.infinite;
        self.f64_holds &= other.f64_holds;
        self.mark |= other.mark;
        self.join_group(other.group);
        self
    }
}

/// What the cells of a column, or of a part of it, could all be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Survey {
    /// Cells that are not missing.
    pub(super) n: usize,
    /// Cells of each missing token; nulls count as empty.
    pub(super) missing: [usize; MISSING_TOKENS.len()],
    /// As numbers with a decimal point.
    pub(super) point: Reading,
    /// As numbers with a decimal comma.
    pub(super) comma: Reading,
    /// True if a number begins with zeros like a code.
    pub(super) leading_zero: bool,
    /// True if a number has a plus sign.
    pub(super) plus: bool,
    /// Cells with a percent sign.
    pub(super) n_percent: usize,
    /// Cells with the currency sign; another sign makes the column no number.
    pub(super) n_currency: usize,
    /// The currency sign.
    pub(super) currency: Option<char>,
    /// True if every cell is eight digits that are a date.
    pub(super) compact_dates: bool,
    /// As times.
    pub(super) time: TimeSurvey,
}

impl Survey {
    pub(super) fn new() -> Survey {
        Survey {
            n: 0,
            missing: [0; MISSING_TOKENS.len()],
            point: Reading::NOTHING,
            comma: Reading::NOTHING,
            leading_zero: false,
            plus: false,
            n_percent: 0,
            n_currency: 0,
            currency: None,
            compact_dates: true,
            time: TimeSurvey::new(),
        }
    }

    /// Surveys a part of a column.
    pub(super) fn of(cells: &Cells) -> Survey {
        let mut survey = Survey::new();
        let mut scratch = String::new();
        match cells {
            Cells::Integers { values, other_rows, others } => {
                survey.see_part(values, other_rows, others, &mut scratch);
            }
            Cells::Text(_) => cells.each(|cell| survey.see(cell, &mut scratch)),
        }
        survey
    }

    /// Takes in integers and the cells between them: one by one while they could be times, then the integers by their size
    /// alone, because nothing else about them matters.
    fn see_part(&mut self, values: &[i64], other_rows: &[u32], others: &StringArray, scratch: &mut String) {
        let mut buffer = [0; INTEGER_LENGTH_MAX];
        let mut others = others.iter().map(Option::unwrap_or_default);
        let mut next_other = other_rows.iter().map(|&r| r as usize).peekable();
        let mut row = 0;
        while row < values.len() && (self.compact_dates || self.time.possible()) {
            let cell = match next_other.next_if_eq(&row) {
                Some(_) => others.next().unwrap_or_default(),
                None => written(values[row], &mut buffer),
            };
            self.see(cell, scratch);
            row += 1;
        }
        // Other cells have the value 0, which has no say in the largest size.
        let rest = &values[row..];
        let largest = rest.iter().map(|v| v.unsigned_abs()).max().unwrap_or(0);
        let n_other = other_rows.len() - other_rows.partition_point(|&r| (r as usize) < row);
        let n_integers = rest.len() - n_other;
        if n_integers > 0 {
            let n_int = largest.checked_ilog10().unwrap_or(0) + 1;
            let held = n_int <= 15 || rest.iter().all(|&v| number::f64_holds_integer(v));
            for reading in [&mut self.point, &mut self.comma] {
                reading.n_int_max = reading.n_int_max.max(n_int);
                reading.f64_holds &= held;
            }
        }
        self.n += n_integers;
        others.for_each(|cell| self.see(cell, scratch));
    }

    /// Takes in a cell.
    fn see(&mut self, cell: &str, scratch: &mut String) {
        let cell = trimmed(cell);
        if let Some(token) = missing_token(cell) {
            self.missing[token] += 1;
            return;
        }
        self.n += 1;
        let bytes = cell.as_bytes();
        if self.is_number() {
            if number::is_plain_integer(bytes) {
                self.see_integer(bytes);
                return;
            }
            if let Some((n_int, n_frac)) = number::plain_decimal(bytes) {
                self.see_decimal(bytes, n_int, n_frac, scratch);
                return;
            }
            self.see_number(cell, scratch);
        }
        self.compact_dates &= is_compact_date(bytes);
        if self.time.possible() {
            self.time.see(cell);
        }
    }

    fn see_integer(&mut self, bytes: &[u8]) {
        let n_int = (bytes.len() - usize::from(bytes[0] == b'-')) as u32;
        for reading in [&mut self.point, &mut self.comma] {
            reading.n_int_max = reading.n_int_max.max(n_int);
        }
        if n_int > 15 {
            let held = std::str::from_utf8(bytes).is_ok_and(number::f64_holds);
            self.point.f64_holds &= held;
            self.comma.f64_holds &= held;
        }
        if self.compact_dates {
            self.compact_dates = is_compact_date(bytes);
        }
        if self.time.possible() && !self.compact_dates {
            match std::str::from_utf8(bytes) {
                Ok(cell) if bytes.len() >= 8 => self.time.see(cell),
                _ => self.time.rule_out(),
            }
        }
    }

    fn see_decimal(&mut self, bytes: &[u8], n_int: u32, n_frac: u32, scratch: &mut String) {
        self.compact_dates = false;
        self.time.rule_out();
        let digits = Digits { n_int, n_frac, mark: true, ..Digits::default() };
        self.point.see(Some(digits), "");
        if self.comma.possible {
            scratch.clear();
            let core = std::str::from_utf8(bytes).unwrap_or_default().trim_start_matches('-');
            let digits = number::digits(core, true, scratch);
            self.comma.see(digits, scratch);
        }
    }

    fn see_number(&mut self, cell: &str, scratch: &mut String) {
        let Some(shell) = number::shell(cell) else {
            self.point.possible = false;
            self.comma.possible = false;
            return;
        };
        self.plus |= shell.plus;
        self.n_percent += usize::from(shell.percent);
        if let Some(sign) = shell.currency {
            if self.currency.is_some_and(|c| c != sign) {
                self.point.possible = false;
                self.comma.possible = false;
            }
            self.currency = Some(sign);
            self.n_currency += 1;
        }
        for (reading, decimal_comma) in [(&mut self.point, false), (&mut self.comma, true)] {
            if reading.possible {
                scratch.clear();
                if shell.negative {
                    scratch.push('-');
                }
                let digits = number::digits(shell.core, decimal_comma, scratch);
                self.leading_zero |= digits.is_some_and(|d| d.leading_zero);
                reading.see(digits, scratch);
            }
        }
    }

    /// True if the cells so far are all numbers.
    pub(super) fn is_number(&self) -> bool {
        self.point.possible || self.comma.possible
    }

    /// Takes in the survey of the next part.
    pub(super) fn join(&mut self, other: &Survey) {
        self.n += other.n;
        self.missing.iter_mut().zip(&other.missing).for_each(|(a, b)| *a += b);
        self.point = self.point.and(other.point);
        self.comma = self.comma.and(other.comma);
        self.leading_zero |= other.leading_zero;
        self.plus |= other.plus;
        self.n_percent += other.n_percent;
        self.n_currency += other.n_currency;
        if let (Some(a), Some(b)) = (self.currency, other.currency)
            && a != b
        {
            self.point.possible = false;
            self.comma.possible = false;
        }
        self.currency = self.currency.or(other.currency);
        self.compact_dates &= other.compact_dates;
        self.time = self.time.and(other.time);
    }
}
