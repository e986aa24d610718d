//! Chinese resident identity numbers.

use super::text::{Found, Scanner, Text};
use super::{Cell, Detector, Match, is_date, number};

/// Province, date and check character together: 2 random numbers of eighteen digits in 100,000 match.
pub(super) const DETECTOR: Detector = Detector {
    name: "Chinese resident identity number",
    hints: &["id_card", "idcard", "shenfen", "sfz", "身份证", "证件号"],
    chance: 1e-4,
    share_min: 0.2,
    check,
};

/// Eighteen characters (GB 11643-1999): region, date of birth, serial number and the check character of ISO 7064
/// MOD 11-2, which may be X. The fifteen-digit numbers of before 1999, no longer valid since 2013, are not looked for.
fn check(cell: &Cell<'_>) -> Match {
    let text = cell.text.as_bytes();
    if text.len() != 18 || !text[..17].iter().all(u8::is_ascii_digit) {
        return Match::No;
    }
    let mut d = [0u8; 17];
    for (digit, byte) in d.iter_mut().zip(text) {
        *digit = byte - b'0';
    }
    let year = number(&d[6..10]);
    let fits = is_province(number(&d[..2]))
        && (1900..2100).contains(&year)
        && is_date(year, number(&d[10..12]), number(&d[12..14]))
        && text[17].to_ascii_uppercase() == check_character(&d);
    if fits { Match::Strong } else { Match::No }
}

/// Provincial codes of GB/T 2260, with 83 and 91 for residents from Taiwan and abroad.
fn is_province(code: u32) -> bool {
    matches!(code, 11..=15 | 21..=23 | 31..=37 | 41..=46 | 50..=54 | 61..=65 | 71 | 81..=83 | 91)
}

/// The check character: Σ wᵢ aᵢ ≡ 1 (mod 11) with wᵢ = 2^(17−i) mod 11 and X for ten.
pub(super) fn check_character(d: &[u8; 17]) -> u8 {
    const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    let sum: u32 = WEIGHTS.iter().zip(d).map(|(w, &x)| w * u32::from(x)).sum();
    b"10X98765432"[(sum % 11) as usize]
}

/// In text: eighteen characters in one piece or in groups (region, birth, serial), an X as the last one.
pub(super) const SCANNER: Scanner = Scanner { name: "chinese-id", token: "[CHINESE-ID]", scan };

fn scan(text: &Text, found: &mut Vec<Found>) {
    text.sequences(4, 17..=18, |sequence| {
        let mut range = sequence.range();
        let mut number = sequence.digits();
        if number.len() == 17 {
            if !text.chars.get(range.end).is_some_and(|c| c.eq_ignore_ascii_case(&'x')) {
                return;
            }
            number.push('X');
            range.end += 1;
        }
        if check(&Cell { text: number.into(), integer: false }) == Match::Strong {
            found.push(Found { range, is_sure: true });
        }
    });
}
