//! Korean resident registration numbers, of citizens and foreigners.

use super::text::{Found, Scanner, Text};
use super::{Cell, Detector, Match, digits, is_date, number};

/// Births from this year on are not believed; a numeric column of dates and serial numbers would match more often.
const YEAR_END: u32 = 2040;

/// Of random numbers of thirteen digits 2.9 % have a date and a century digit, a tenth of them the check digit too, and 0.3 % more a
/// date of birth that needs none.
pub(super) const DETECTOR: Detector = Detector {
    name: "Korean resident registration number",
    hints: &["rrn", "jumin", "resident_no", "resident_num", "resident_reg", "주민", "등록번호"],
    chance: 0.01,
    share_min: 0.6,
    check,
};

/// `YYMMDD-CNNNNNN`, the hyphen optional. C tells century and sex, 5 to 8 for foreigners. The last digit is a check digit
/// for numbers given before October 2020; those born later have none and match weakly.
fn check(cell: &Cell<'_>) -> Match {
    let text = cell.text.as_ref();
    // A numeric column has lost the leading zeros of those born in the years 00 to 09.
    let least = if cell.integer { 10 } else { 13 };
    if !(least..=14).contains(&text.len()) || (text.len() == 14 && text.as_bytes()[6] != b'-') {
        return Match::No;
    }
    let Some(written) = digits(text, b"-") else { return Match::No };
    if written.len() > 13 || (written.len() < 13 && !cell.integer) {
        return Match::No;
    }
    let mut d = [0u8; 13];
    d[13 - written.len()..].copy_from_slice(&written);
    let century = match d[6] {
        1 | 2 | 5 | 6 => 1900,
        3 | 4 | 7 | 8 => 2000,
        _ => return Match::No,
    };
    let (year, month, day) = (century + number(&d[..2]), number(&d[2..4]), number(&d[4..6]));
    if !is_date(year, month, day) {
        Match::No
    } else if d[12] == check_digit(&d) {
        Match::Strong
    } else if (year, month) >= (2020, 10) && year < YEAR_END {
        Match::Weak
    } else {
        Match::No
    }
}

/// The thirteenth digit: (11 − S mod 11) mod 10 with weights 2…9, 2…5; foreigners' numbers have 13 in place of 11.
pub(super) fn check_digit(d: &[u8]) -> u8 {
    const WEIGHTS: [u32; 12] = [2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5];
    let sum: u32 = WEIGHTS.iter().zip(d).map(|(w, &x)| w * u32::from(x)).sum();
    let base = if d[6] >= 5 { 13 } else { 11 };
    ((base - sum % 11) % 10) as u8
}

/// In text: thirteen digits, or six and seven with a hyphen or blank between them.
pub(super) const SCANNER: Scanner = Scanner { name: "korean-id", token: "[KOREAN-ID]", scan };

fn scan(text: &Text, found: &mut Vec<Found>) {
    text.sequences(2, 13..=13, |sequence| {
        let judged = check(&sequence.cell());
        if judged != Match::No {
            found.push(Found { range: sequence.range(), is_sure: judged == Match::Strong });
        }
    });
}
