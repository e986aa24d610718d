//! Payment card numbers.

use super::text::{Found, Scanner, Text};
use super::{Cell, Detector, Match, digits, number};

/// One random number of sixteen digits in ten passes Luhn's check, and 38 % of them begin like a card: 3.8 % match.
pub(super) const DETECTOR: Detector = Detector {
    name: "payment card number",
    hints: &["card_no", "card_num", "cardno", "cardnum", "card number", "credit_card_n", "pan_", "카드번호", "卡号"],
    chance: 0.04,
    share_min: 0.6,
    check,
};

/// 13 to 19 digits in groups or in one piece (ISO/IEC 7812-1), of a known issuer, with a valid check digit.
fn check(cell: &Cell<'_>) -> Match {
    let text = cell.text.as_ref();
    if !(13..=24).contains(&text.len()) {
        return Match::No;
    }
    match digits(text, b" -") {
        Some(d) if (13..=19).contains(&d.len()) && is_issued(&d) && luhn(&d) => Match::Strong,
        _ => Match::No,
    }
}

/// True if the leading digits and the length are those of a scheme: Visa, Mastercard, American Express, Diners Club, JCB,
/// Discover, UnionPay, Maestro, Mir, or a Korean domestic card.
fn is_issued(digits: &[u8]) -> bool {
    let prefix = number(&digits[..4]);
    let n = digits.len();
    match prefix {
        4000..=4999 => matches!(n, 13 | 16 | 19),
        2221..=2720 | 5100..=5599 => n == 16,
        3400..=3499 | 3700..=3799 => n == 15,
        3000..=3059 | 3090..=3099 | 3600..=3699 | 3800..=3999 => (14..=19).contains(&n),
        3528..=3589 | 6011 | 6440..=6599 | 6200..=6299 | 2200..=2204 => (16..=19).contains(&n),
        5000..=5099 | 5600..=5899 | 6300..=6399 | 6700..=6799 => (13..=19).contains(&n),
        9400..=9499 => n == 16,
        _ => false,
    }
}

/// Luhn's check (ISO/IEC 7812-1, annex B): every second digit from the right counts double, the sum is a multiple of ten.
fn luhn(digits: &[u8]) -> bool {
    let double = |d: u8| if d > 4 { 2 * d - 9 } else { 2 * d };
    let sum: u32 =
        digits.iter().rev().enumerate().map(|(i, &d)| u32::from(if i % 2 == 1 { double(d) } else { d })).sum();
    sum.is_multiple_of(10)
}

/// In text: one piece, or groups of which the first has four digits, as on the card.
pub(super) const SCANNER: Scanner = Scanner { name: "card", token: "[CARD]", scan };

fn scan(text: &Text, found: &mut Vec<Found>) {
    text.sequences(5, 13..=19, |sequence| {
        let is_grouped_like_a_card = sequence.groups.len() == 1 || sequence.groups[0].len() == 4;
        if is_grouped_like_a_card && check(&sequence.cell()) == Match::Strong {
            found.push(Found { range: sequence.range(), is_sure: true });
        }
    });
}
