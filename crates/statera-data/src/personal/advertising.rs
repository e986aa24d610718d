//! Advertising identifiers of mobile devices (Android's GAID, Apple's IDFA), which have the form of a UUID.

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
