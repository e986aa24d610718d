//! Advertising identifiers of mobile devices (Android's GAID, Apple's IDFA), which have the form of a UUID.

use super::text::{Found, Scanner, Text};
use super::{Cell, Detector, Match};

/// The form is unmistakable, but a UUID may also name a session or a row: only a telling column name makes it certain.
pub(super) const DETECTOR: Detector = Detector {
    name: "advertising id or UUID",
    hints: &["gaid", "idfa", "adid", "ad_id", "advertis", "maid", "device", "광고", "广告", "uuid"],
    chance: 1e-6,
    share_min: 0.2,
    check,
};

/// 8-4-4-4-12 hexadecimal digits (RFC 9562).
fn check(cell: &Cell<'_>) -> Match {
    let text = cell.text.as_bytes();
    let fits = text.len() == 36
        && text.iter().enumerate().all(|(i, b)| match i {
            8 | 13 | 18 | 23 => *b == b'-',
            _ => b.is_ascii_hexdigit(),
        });
    if fits { Match::Weak } else { Match::No }
}

/// In text: the form in one piece.
pub(super) const SCANNER: Scanner = Scanner { name: "uuid", token: "[UUID]", scan };

fn scan(text: &Text, found: &mut Vec<Found>) {
    let chars = &text.chars;
    for first_hyphen in (8..chars.len()).filter(|&i| chars[i] == '-' && i + 28 <= chars.len()) {
        let range = first_hyphen - 8..first_hyphen + 28;
        let cell = Cell { text: chars[range.clone()].iter().collect::<String>().into(), integer: false };
        if check(&cell) != Match::No {
            found.push(Found { range, is_sure: true });
        }
    }
}
