//! Numbers in text: what a cell looks like, and its exact decimal text once the marks of its column are known.

use super::TextFormat;

/// Currency signs that are taken off where every cell of a column has the same.
const CURRENCIES: &str = "$€£¥￥₩￦원元";

/// Marks that may group digits by thousands.
const GROUPS: [char; 7] = [',', '.', ' ', '\'', '’', '\u{A0}', '\u{202F}'];

/// What stands around the digits of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shell<'a> {
    /// Digits, marks and exponent; not empty.
    pub(super) core: &'a str,
    pub(super) negative: bool,
    /// True if a plus sign stands before.
    pub(super) plus: bool,
    pub(super) percent: bool,
    pub(super) currency: Option<char>,
}

/// Takes sign, parentheses, percent and currency sign off a cell without surrounding blanks; `None` if what is left cannot
/// be a number.
pub(super) fn shell(cell: &str) -> Option<Shell<'_>> {
    let mut shell = Shell { core: cell, negative: false, plus: false, percent: false, currency: None };
    if let Some(inner) = cell.strip_prefix('(').and_then(|c| c.strip_suffix(')')) {
        shell.core = inner.trim();
        shell.negative = true;
    }
    let mut signs = 0;
    loop {
        let first = shell.core.chars().next()?;
        match first {
            '-' | '−' => shell.negative = true,
            '+' => shell.plus = true,
            c if shell.currency.is_none() && CURRENCIES.contains(c) => shell.currency = Some(c),
            _ => break,
        }
        signs += usize::from(shell.currency != Some(first));
        shell.core = shell.core[first.len_utf8()..].trim_start_matches(' ');
    }
    // One sign at most, and none inside parentheses.
    if signs > 1 || (signs == 1 && cell.starts_with('(')) {
        return None;
    }
    if let Some(core) = shell.core.strip_suffix('%') {
        shell.percent = true;
        shell.core = core.trim_end_matches(' ');
    } else if let Some(last) = shell.core.chars().next_back().filter(|&c| CURRENCIES.contains(c)) {
        if shell.currency.is_some() {
            return None;
        }
        shell.currency = Some(last);
        shell.core = shell.core[..shell.core.len() - last.len_utf8()].trim_end_matches(' ');
    }
    (!shell.core.is_empty()).then_some(shell)
}

/// The digits of a number, read under one decimal mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Digits {
    /// Digits before the decimal mark.
    pub(super) n_int: u32,
    /// Digits after it.
    pub(super) n_frac: u32,
    /// True if a decimal mark is there.
    pub(super) mark: bool,
    /// True if an exponent is there.
    pub(super) exponent: bool,
    /// True for `007`: a code rather than a number.
    pub(super) leading_zero: bool,
    /// True for `inf`.
    pub(super) infinite: bool,
    /// The mark between thousands.
    pub(super) group: Option<char>,
}

/// Reads a core and writes it to `out` as `1234.5e6`; `None` if it is no number under that decimal mark.
///
/// Thousands are grouped with one and the same mark, first one to three digits and then always three.
pub(super) fn digits(core: &str, decimal_comma: bool, out: &mut String) -> Option<Digits> {
    let mut found = Digits::default();
    if core.bytes().next()?.is_ascii_alphabetic() || core == "∞" {
        if !(core.eq_ignore_ascii_case("inf") || core.eq_ignore_ascii_case("infinity") || core == "∞") {
            return None;
        }
        out.push_str("inf");
        found.infinite = true;
        return Some(found);
    }
    let decimal = if decimal_comma { ',' } else { '.' };
    let mut in_group = 0;
    let mut chars = core.char_indices();
    for (at, c) in chars.by_ref() {
        match c {
            '0'..='9' => {
                out.push(c);
                if found.mark {
                    found.n_frac += 1;
                } else {
                    found.n_int += 1;
                    in_group += 1;
                }
            }
            c if c == decimal && !found.mark => {
                if found.group.is_some() && in_group != 3 {
                    return None;
                }
                found.mark = true;
                out.push('.');
            }
            'e' | 'E' if found.n_int + found.n_frac > 0 => {
                found.exponent = true;
                push_exponent(&core[at + 1..], out)?;
                break;
            }
            c if !found.mark && c != decimal && GROUPS.contains(&c) => {
                let fits = match found.group {
                    None => (1..=3).contains(&in_group),
                    Some(group) => group == c && in_group == 3,
                };
                if !fits {
                    return None;
                }
                found.group = Some(c);
                in_group = 0;
            }
            _ => return None,
        }
    }
    if found.n_int + found.n_frac == 0 || (found.group.is_some() && !found.mark && in_group != 3) {
        return None;
    }
    // `0,123` is no grouped number.
    let first = core.as_bytes()[0];
    if found.group.is_some() && first == b'0' {
        return None;
    }
    found.leading_zero = found.n_int > 1 && first == b'0';
    Some(found)
}

/// Writes an exponent of one to four digits.
fn push_exponent(text: &str, out: &mut String) -> Option<()> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || digits.len() > 4 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    out.push('e');
    out.push_str(text.strip_prefix('+').unwrap_or(text));
    Some(())
}

/// Writes a cell to `out` as plain ASCII (`-1234.5e6`), read by the format of its column; `None` if the cell does not fit it.
pub(super) fn plain(cell: &str, format: &TextFormat, out: &mut String) -> Option<()> {
    out.clear();
    let shell = shell(cell)?;
    if shell.percent != format.percent || shell.currency != format.currency {
        return None;
    }
    if shell.negative {
        out.push('-');
    }
    let digits = digits(shell.core, format.decimal_comma, out)?;
    (digits.group.is_none() || digits.group == format.thousands).then_some(())
}

/// True for `-?(0|[1-9][0-9]{0,17})`, which `i64` always holds.
pub(super) fn is_plain_integer(cell: &[u8]) -> bool {
    let digits = cell.strip_prefix(b"-").unwrap_or(cell);
    match digits {
        [b'0'] => true,
        [b'1'..=b'9', rest @ ..] => rest.len() < 18 && rest.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

/// Digits before and after the point of `-?(0|[1-9][0-9]*)\.[0-9]+` with at most 15 digits, which `f64` holds to the digit.
pub(super) fn plain_decimal(cell: &[u8]) -> Option<(u32, u32)> {
    let digits = cell.strip_prefix(b"-").unwrap_or(cell);
    let n_int = digits.iter().take_while(|b| b.is_ascii_digit()).count();
    let fraction = digits[n_int..].strip_prefix(b".")?;
    let starts_well = digits[0] != b'0' || n_int == 1;
    let fits = n_int > 0 && !fraction.is_empty() && n_int + fraction.len() <= 15;
    (fits && starts_well && fraction.iter().all(u8::is_ascii_digit)).then_some((n_int as u32, fraction.len() as u32))
}

/// True if `f64` holds the decimal number `plain`: printing it with as many significant digits gives the same digits back.
/// Up to 15 digits that is always so; a number printed from a double with 17 passes, an amount of 18 digits does not.
pub(super) fn f64_holds(plain: &str) -> bool {
    let mantissa = plain.trim_start_matches('-').split('e').next().unwrap_or_default();
    let all: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let significant = all.trim_start_matches('0');
    let significant = if mantissa.contains('.') { significant.trim_end_matches('0') } else { significant };
    if significant.len() <= 15 {
        return true;
    }
    let Ok(value) = plain.parse::<f64>() else { return false };
    if !value.is_finite() {
        return true;
    }
    let printed = format!("{:.*e}", significant.len() - 1, value.abs());
    let digits = printed.split('e').next().unwrap_or_default();
    digits.bytes().filter(u8::is_ascii_digit).eq(significant.bytes())
}

/// [`f64_holds`] of an integer of at most 18 digits: a double that is not the integer is another integer, and prints as that.
pub(super) fn f64_holds_integer(value: i64) -> bool {
    value as f64 as i64 == value
}

/// The integer that `plain` is, however it is written: `5`, `5.00`, `1.5e3`; `None` if it is not whole or not of 64 bits.
pub(super) fn parse_i64(plain: &str) -> Option<i64> {
    plain.parse().ok().or_else(|| parse_decimal(plain, 0)?.try_into().ok())
}

/// The number nearest to `plain`; infinite where it is too large.
pub(super) fn parse_f64(plain: &str) -> Option<f64> {
    fast_f64(plain.as_bytes()).or_else(|| plain.parse().ok())
}

/// Powers of ten that are exact in binary.
const TENS: [f64; 16] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// Up to 15 digits without exponent: digits and power of ten are exact, so one division rounds correctly (Clinger 1990).
fn fast_f64(plain: &[u8]) -> Option<f64> {
    let digits = plain.strip_prefix(b"-").unwrap_or(plain);
    if digits.is_empty() || digits.len() > 16 {
        return None;
    }
    let (mut mantissa, mut n_digits, mut n_frac, mut mark) = (0u64, 0, 0, false);
    for &b in digits {
        match b {
            b'0'..=b'9' => {
                mantissa = mantissa * 10 + u64::from(b - b'0');
                n_digits += 1;
                n_frac += usize::from(mark);
            }
            b'.' if !mark => mark = true,
            _ => return None,
        }
    }
    if n_digits == 0 || n_digits > 15 {
        return None;
    }
    let value = mantissa as f64 / TENS[n_frac];
    Some(if digits.len() < plain.len() { -value } else { value })
}

/// The digits of `plain` times `10^scale`, exactly: an exponent moves the point. `None` if digits are left after it, or more
/// than 38 in all.
pub(super) fn parse_decimal(plain: &str, scale: u32) -> Option<i128> {
    let (mantissa, exponent) = plain.split_once('e').unwrap_or((plain, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let (negative, whole) = whole.strip_prefix('-').map_or((false, whole), |whole| (true, whole));
    let mut value: i128 = 0;
    // Zeros wait until a digit follows: those at the end are a power of ten, which the exponent may take back.
    let mut zeros: i64 = 0;
    for b in whole.bytes().chain(fraction.bytes()) {
        if !b.is_ascii_digit() {
            return None;
        }
        if b == b'0' {
            zeros += i64::from(value != 0);
            continue;
        }
        value = times_ten(value, zeros + 1)?.checked_add(i128::from(b - b'0'))?;
        zeros = 0;
    }
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    // The exponent of `plain` has at most four digits.
    let moved = exponent.parse::<i64>().ok()? + i64::from(scale) - i64::try_from(fraction.len()).ok()? + zeros;
    let value = if value == 0 { 0 } else { times_ten(value, moved)? };
    let fits = value < 10i128.pow(38);
    fits.then_some(if negative { -value } else { value })
}

/// `value · 10^power`; `None` if that is no whole number or has more than 38 digits.
fn times_ten(value: i128, power: i64) -> Option<i128> {
    if power == 1 {
        return value.checked_mul(10);
    }
    value.checked_mul(10i128.checked_pow(u32::try_from(power).ok()?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(cell: &str, format: &TextFormat) -> Option<String> {
        let mut out = String::new();
        plain(cell, format, &mut out).map(|()| out)
    }

    #[test]
    fn reads_marks_signs_and_shells() {
        let check = |cell: &str, format: &TextFormat, expected: Option<&str>| {
            assert_eq!(read(cell, format).as_deref(), expected, "{cell} as {format:?}");
        };
        let point = TextFormat { thousands: Some(','), ..TextFormat::default() };
        let comma = TextFormat { decimal_comma: true, thousands: Some('.'), ..TextFormat::default() };
        let cases = [
            ("1,234.50", Some("1234.50")),
            ("-5", Some("-5")),
            ("(5)", Some("-5")),
            ("− 5", Some("-5")),
            ("+5", Some("5")),
            ("1e5", Some("1e5")),
            (".5", Some(".5")),
            ("5.", Some("5.")),
            ("1.5E+3", Some("1.5e3")),
            ("1234,567", None),
            ("12,34", None),
            ("1,2345", None),
            ("1.2.3", None),
            ("--5", None),
            ("(-5)", None),
            ("5%", None),
            ("$5", None),
            ("1 234", None),
            ("e5", None),
            ("1e", None),
            ("-", None),
            ("", None),
            ("()", None),
            ("0,123", None),
            ("inf", Some("inf")),
            ("-Infinity", Some("-inf")),
            ("info", None),
            ("1_000", None),
            ("٣", None),
            ("5-", None),
            ("$", None),
            ("%", None),
            ("1,234,567", Some("1234567")),
            ("1,234 567", None),
            ("1e99999", None),
        ];
        for (cell, expected) in cases {
            check(cell, &point, expected);
        }
        check("1.234,50", &comma, Some("1234.50"));
        check("1,5", &comma, Some("1.5"));
        check("1.5", &comma, None);
        let percent = TextFormat { percent: true, ..TextFormat::default() };
        check("12.5 %", &percent, Some("12.5"));
        check("12.5", &percent, None);
        let won = TextFormat { currency: Some('원'), thousands: Some(','), ..TextFormat::default() };
        check("1,234원", &won, Some("1234"));
        check("-1,234 원", &won, Some("-1234"));
        check("$1", &won, None);
        let dollar = TextFormat { currency: Some('$'), ..TextFormat::default() };
        check("-$5", &dollar, Some("-5"));
        check("$-5", &dollar, Some("-5"));
        check("($5)", &dollar, Some("-5"));
        check("$5$", &dollar, None);
    }

    #[test]
    fn f64_holds_what_it_prints_back() {
        let check = |plain: &str, expected: bool| assert_eq!(f64_holds(plain), expected, "{plain}");
        check("123456789012345", true);
        check("0.30000000000000004", true);
        check("0.2621293365955353", true);
        check("9007199254740992", true);
        check("9007199254740993", false);
        check("12345678901234567.89", false);
        check("-0.100000000000000000000", true);
        check("0.1000000000000000055511151231257827", true);
        check("0.1000000000000000055511151231257828", false);
        check("1e999", true);
        for value in [9_007_199_254_740_992, 9_007_199_254_740_993, 123_456_789_012_345_678, 999_999_999_999_999_999] {
            assert_eq!(f64_holds_integer(value), f64_holds(&value.to_string()), "{value}");
        }
    }

    #[test]
    fn parses_to_the_nearest_double_and_the_exact_decimal() {
        for plain in
            ["0", "-0.5", "24.608617782592773", "123456.789", "999999999999999", "0.1", ".5", "5.", "1e22", "-1e-7"]
        {
            assert_eq!(parse_f64(plain), plain.parse().ok(), "{plain}");
        }
        assert_eq!(parse_f64("1e999"), Some(f64::INFINITY));
        assert_eq!(parse_f64("."), None);
        assert_eq!(parse_decimal("12345678901234567.89", 2), Some(1_234_567_890_123_456_789));
        assert_eq!(parse_decimal("-1.50", 3), Some(-1500));
        assert_eq!(parse_decimal("1.234", 2), None);
        assert_eq!(parse_decimal("1e5", 2), Some(10_000_000));
        assert_eq!(parse_decimal("1.234e1", 2), Some(1234));
        assert_eq!(parse_decimal("1.234e1", 1), None);
        assert_eq!(parse_decimal("1e38", 0), None);
        assert_eq!(parse_decimal("0e9999", 0), Some(0));
        assert_eq!(parse_decimal("-0.000", 2), Some(0));
        assert_eq!(parse_decimal(".", 0), None);
        assert_eq!(parse_decimal("inf", 0), None);
        assert_eq!(parse_decimal(&"9".repeat(38), 0), Some(10i128.pow(38) - 1));
        assert_eq!(parse_decimal(&"9".repeat(39), 0), None);
        assert_eq!(parse_i64("5.00"), Some(5));
        assert_eq!(parse_i64("5.01"), None);
        assert_eq!(parse_i64("9223372036854775808"), None);
        for (plain, expected) in [
            ("1.00e05", Some(100_000)),
            ("1.5e3", Some(1500)),
            ("-1500e-2", Some(-15)),
            ("5.", Some(5)),
            (".50e1", Some(5)),
            ("0001", Some(1)),
            ("9.223372036854775807e18", Some(i64::MAX)),
            ("-9.223372036854775808e18", Some(i64::MIN)),
            ("1.5e0", None),
            ("15e-1", None),
            ("1e19", None),
            ("1e9999", None),
            ("1e-9999", None),
        ] {
            assert_eq!(parse_i64(plain), expected, "{plain}");
        }
    }
}
