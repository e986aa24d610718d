//! Telephone numbers: international, Korean and Chinese.

use super::text::{Found, Scanner, Text};
use super::{Cell, Detector, Digits, Match, digits};

/// Of random numbers of eleven digits 7.8 % have the Chinese mobile form, of ten digits 0.9 % the Korean one without its zero.
pub(super) const DETECTOR: Detector = Detector {
    name: "telephone number",
    hints: &["phone", "mobile", "msisdn", "cellular", "tel_no", "휴대폰", "핸드폰", "전화", "연락처", "手机", "电话"],
    chance: 0.08,
    share_min: 0.6,
    check,
};

/// Separators people write between groups.
const SEPARATORS: &[u8] = b" -.";

/// Country calling codes of one and two digits; every other code has three (ITU-T E.164).
const SHORT_CODES: &[u8] = &[
    1, 7, 20, 27, 30, 31, 32, 33, 34, 36, 39, 40, 41, 43, 44, 45, 46, 47, 48, 49, 51, 52, 53, 54, 55, 56, 57, 58, 60,
    61, 62, 63, 64, 65, 66, 81, 82, 84, 86, 90, 91, 92, 93, 94, 95, 98,
];

fn check(cell: &Cell<'_>) -> Match {
    let text = cell.text.as_ref();
    if !(9..=24).contains(&text.len()) {
        return Match::No;
    }
    if let Some(rest) = text.strip_prefix('+') {
        return check_international(rest);
    }
    let Some(number) = digits(text, SEPARATORS) else { return Match::No };
    let grouped = number.len() < text.len();
    match (fits_korea(&number, cell.integer, grouped) || fits_china(&number), grouped) {
        (false, _) => Match::No,
        (true, true) => Match::Strong,
        (true, false) if number[0] == 0 => Match::Strong,
        (true, false) => Match::Weak,
    }
}

/// What follows a plus sign: a country code and, in all, 8 to 15 digits; an area code may stand in parentheses.
fn check_international(rest: &str) -> Match {
    let plain: String = rest.chars().filter(|c| !"()".contains(*c)).collect();
    let Some(number) = digits(&plain, SEPARATORS) else { return Match::No };
    let has_code = number.len() > 3
        && number[0] != 0
        && (SHORT_CODES.contains(&number[0])
            || SHORT_CODES.contains(&(number[0] * 10 + number[1]))
            || matches!(number[0] * 10 + number[1], 21..=26 | 29 | 35 | 37 | 38 | 42 | 50 | 59 | 67..=69 | 80 | 85 | 87 | 88 | 96 | 97 | 99));
    if has_code && (8..=15).contains(&number.len()) { Match::Strong } else { Match::No }
}

/// Mobile numbers `010`, `011`, `016`–`019` (without the zero where the column is numeric), and, written in groups, area codes
/// `02`, `031`–`064` and `070`. Numbers after `010` begin with 2–9.
fn fits_korea(number: &Digits, integer: bool, grouped: bool) -> bool {
    let mobile = |n: &[u8]| match n {
        [1, 0, first, ..] => n.len() == 10 && *first >= 2,
        [1, 1 | 6..=9, first, ..] => (9..=10).contains(&n.len()) && *first >= 2,
        _ => false,
    };
    match &number[..] {
        [0, rest @ ..] if mobile(rest) => true,
        [0, 2, ..] => grouped && (9..=10).contains(&number.len()),
        [0, 3..=6, 1..=5, ..] | [0, 7, 0, ..] => grouped && (10..=11).contains(&number.len()),
        // `011` and older prefixes are no longer assigned; as bare integers they would be any number of nine or ten digits.
        [1, 0, ..] => integer && mobile(number),
        _ => false,
    }
}

/// Mobile numbers `1[3-9]` of eleven digits, with or without the country code 86.
fn fits_china(number: &Digits) -> bool {
    let mobile = |n: &[u8]| n.len() == 11 && n[0] == 1 && n[1] >= 3;
    match &number[..] {
        [8, 6, rest @ ..] if rest.len() == 11 => mobile(rest),
        all => mobile(all),
    }
}

/// In text: after a plus sign or 00; Korean and Chinese numbers with or without groups; any 7 to 15 digits right after a word
/// such as 전화, 手机 or tel.
pub(super) const SCANNER: Scanner = Scanner { name: "phone", token: "[PHONE]", scan };

/// Words after which a number is a telephone's.
const WORDS: &[&str] = &[
    "전화번호",
    "전화",
    "연락처",
    "휴대폰",
    "휴대전화",
    "핸드폰",
    "팩스",
    "电话",
    "手机",
    "手机号",
    "手机号码",
    "联系方式",
    "传真",
    "電話",
    "手機",
    "phone",
    "phone number",
    "telephone",
    "tel",
    "mobile",
    "cell",
    "fax",
    "call",
    "whatsapp",
];

fn scan(text: &Text, found: &mut Vec<Found>) {
    text.sequences(7, 8..=17, |sequence| {
        let mut range = sequence.range();
        let plus = text.chars[..range.start].iter().rev().take(2).position(|c| *c == '+');
        let opens = text.chars[..range.start].last() == Some(&'(');
        if let Some(back) = plus.filter(|&back| back == 0 || opens) {
            if check_international(&sequence.joined()) != Match::No {
                range.start -= back + 1;
                found.push(Found { range, is_sure: true });
            }
            return;
        }
        let joined = sequence.joined();
        let abroad = joined
            .strip_prefix("00")
            .is_some_and(|rest| check_international(rest.trim_start_matches('-')) != Match::No);
        if abroad || is_national(&joined, &sequence.groups.iter().map(|g| g.len()).collect::<Vec<_>>()) {
            range.start -= usize::from(opens);
            found.push(Found { range, is_sure: !abroad && joined.starts_with('0') });
        }
    });
    text.numbers_after(WORDS, 7..=15, 0, found);
}

/// Groups of a Korean or Chinese number as people write them; dates and amounts seldom are: three at most (a country code
/// apart), the first no shorter than a prefix, the last with at least three digits.
fn is_national(joined: &str, groups: &[usize]) -> bool {
    let Some(number) = digits(joined, b"-") else { return false };
    let has_code = number.starts_with(&[8, 6]) && (groups[0] == 2 || number.len() == 13);
    let rest = &groups[usize::from(has_code && groups.len() > 1)..];
    let first_least = if number[0] == 0 { 2 } else { 3 };
    let is_written_so = rest.len() <= 3 && rest[0] >= first_least && rest.last().is_some_and(|last| *last >= 3);
    // Area codes of China have three or four digits, and the numbers after them seven or eight.
    let landline = groups.len() == 2 && matches!((groups[0], groups[1]), (3 | 4, 7 | 8)) && number[0] == 0;
    // Numbers for life (0505) and shops' (0507), which lead to a person too.
    let virtual_number = number.starts_with(&[0, 5, 0]) && matches!(number.len(), 11 | 12);
    is_written_so && (landline || virtual_number || fits_korea(&number, false, true) || fits_china(&number))
}
