//! International bank account numbers.

use super::text::{Found, Scanner, Text};
use super::{Cell, Detector, Match};

/// A known country, its length and two check digits: one in 97 of those that have the form.
pub(super) const DETECTOR: Detector =
    Detector { name: "bank account number (IBAN)", hints: &["iban"], chance: 1e-4, share_min: 0.05, check };

/// Length by country, from the SWIFT registry (ISO 13616).
const COUNTRIES: &[(&[u8; 2], usize)] = &[
    (b"AD", 24),
    (b"AE", 23),
    (b"AL", 28),
    (b"AT", 20),
    (b"AZ", 28),
    (b"BA", 20),
    (b"BE", 16),
    (b"BG", 22),
    (b"BH", 22),
    (b"BI", 27),
    (b"BR", 29),
    (b"BY", 28),
    (b"CH", 21),
    (b"CR", 22),
    (b"CY", 28),
    (b"CZ", 24),
    (b"DE", 22),
    (b"DJ", 27),
    (b"DK", 18),
    (b"DO", 28),
    (b"EE", 20),
    (b"EG", 29),
    (b"ES", 24),
    (b"FI", 18),
    (b"FK", 18),
    (b"FO", 18),
    (b"FR", 27),
    (b"GB", 22),
    (b"GE", 22),
    (b"GI", 23),
    (b"GL", 18),
    (b"GR", 27),
    (b"GT", 28),
    (b"HN", 28),
    (b"HR", 21),
    (b"HU", 28),
    (b"IE", 22),
    (b"IL", 23),
    (b"IQ", 23),
    (b"IS", 26),
    (b"IT", 27),
    (b"JO", 30),
    (b"KW", 30),
    (b"KZ", 20),
    (b"LB", 28),
    (b"LC", 32),
    (b"LI", 21),
    (b"LT", 20),
    (b"LU", 20),
    (b"LV", 21),
    (b"LY", 25),
    (b"MC", 27),
    (b"MD", 24),
    (b"ME", 22),
    (b"MK", 19),
    (b"MN", 20),
    (b"MR", 27),
    (b"MT", 31),
    (b"MU", 30),
    (b"NI", 28),
    (b"NL", 18),
    (b"NO", 15),
    (b"OM", 23),
    (b"PK", 24),
    (b"PL", 28),
    (b"PS", 29),
    (b"PT", 25),
    (b"QA", 29),
    (b"RO", 24),
    (b"RS", 22),
    (b"RU", 33),
    (b"SA", 24),
    (b"SC", 31),
    (b"SD", 18),
    (b"SE", 24),
    (b"SI", 19),
    (b"SK", 24),
    (b"SM", 27),
    (b"SO", 23),
    (b"ST", 25),
    (b"SV", 28),
    (b"TL", 23),
    (b"TN", 24),
    (b"TR", 26),
    (b"UA", 29),
    (b"VA", 22),
    (b"VG", 24),
    (b"XK", 20),
    (b"YE", 30),
];

/// Country, length, and a remainder of 1 modulo 97 (ISO 7064 MOD 97-10); blanks between groups are allowed.
fn check(cell: &Cell<'_>) -> Match {
    let first = cell.text.as_bytes().first();
    if cell.integer || !(15..=48).contains(&cell.text.len()) || !first.is_some_and(u8::is_ascii_alphabetic) {
        return Match::No;
    }
    let text: Vec<u8> = cell.text.bytes().filter(|&b| b != b' ').map(|b| b.to_ascii_uppercase()).collect();
    let known = COUNTRIES.iter().any(|(code, len)| text.starts_with(*code) && text.len() == *len);
    if known && text.iter().all(u8::is_ascii_alphanumeric) && remainder(&text) == 1 { Match::Strong } else { Match::No }
}

/// The number modulo 97 with its first four characters moved to the end and letters counted from A = 10.
pub(super) fn remainder(text: &[u8]) -> u32 {
    text[4..].iter().chain(&text[..4]).fold(0, |r, &b| {
        if b.is_ascii_digit() { (r * 10 + u32::from(b - b'0')) % 97 } else { (r * 100 + u32::from(b - b'A') + 10) % 97 }
    })
}

/// In text: from two letters and two digits on, as many characters as the country's number has; single blanks or hyphens may
/// stand between them.
pub(super) const SCANNER: Scanner = Scanner { name: "iban", token: "[IBAN]", scan };

fn scan(text: &Text, found: &mut Vec<Found>) {
    let chars = &text.chars;
    for start in 0..chars.len().saturating_sub(14) {
        let begins = chars[start].is_ascii_alphabetic()
            && chars[start + 1].is_ascii_alphabetic()
            && chars[start + 2].is_ascii_digit()
            && chars[start + 3].is_ascii_digit()
            && (start == 0 || !chars[start - 1].is_ascii_alphanumeric());
        let code = || [chars[start] as u8, chars[start + 1] as u8].map(|b| b.to_ascii_uppercase());
        let Some((_, len)) = begins.then(|| COUNTRIES.iter().find(|(c, _)| **c == code())).flatten() else { continue };
        let (mut number, mut end) = (String::with_capacity(*len), start);
        while number.len() < *len {
            match chars.get(end) {
                Some(c) if c.is_ascii_alphanumeric() => number.push(*c),
                Some(' ' | '-') if chars[end - 1].is_ascii_alphanumeric() => {}
                _ => break,
            }
            end += 1;
        }
        let is_whole = number.len() == *len && !chars.get(end).is_some_and(char::is_ascii_alphanumeric);
        if is_whole && check(&Cell { text: number.into(), integer: false }) == Match::Strong {
            found.push(Found { range: start..end, is_sure: true });
        }
    }
}
