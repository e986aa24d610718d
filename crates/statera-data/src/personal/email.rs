//! E-mail addresses.

use super::text::{Found, Scanner, Text};
use super::{Cell, Detector, Match};

/// `local@domain.tld`; nothing else looks like it.
pub(super) const DETECTOR: Detector = Detector {
    name: "e-mail address",
    hints: &["email", "e-mail", "e_mail", "mail_addr", "이메일", "메일", "邮箱", "邮件"],
    chance: 1e-6,
    share_min: 0.05,
    check,
};

/// The dot-atom form of RFC 5322 with a domain of at least two labels; letters of any script are accepted (RFC 6531).
fn check(cell: &Cell<'_>) -> Match {
    let text = cell.text.as_ref();
    if cell.integer || text.len() > 254 {
        return Match::No;
    }
    let Some((local, domain)) = text.split_once('@') else { return Match::No };
    let is_local = |c: char| c.is_alphanumeric() || "!#$%&'*+/=?^_`{|}~-".contains(c);
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
    };
    let local_fits = local.len() <= 64 && local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_local));
    let domain_fits = domain.contains('.') && domain.split('.').all(is_label);
    let top = domain.rsplit('.').next().unwrap_or("");
    let top_fits = top.chars().count() >= 2 && !top.chars().any(|c| c.is_ascii_digit());
    if local_fits && domain_fits && (top_fits || top.starts_with("xn--")) { Match::Strong } else { Match::No }
}

/// In text: around an @, ASCII characters as far as they go, so that a particle written right after an address
/// (`kim@bank.kr로`) does not belong to it; letters of other scripts where the local part or a label begins with them.
pub(super) const SCANNER: Scanner = Scanner { name: "email", token: "[EMAIL]", scan };

fn scan(text: &Text, found: &mut Vec<Found>) {
    for at in (0..text.chars.len()).filter(|&i| text.chars[i] == '@') {
        let wide =
            |i: Option<usize>| i.and_then(|i| text.chars.get(i)).is_some_and(|c| c.is_alphanumeric() && !c.is_ascii());
        let (wide_local, wide_label) = (wide(at.checked_sub(1)), wide(Some(at + 1)));
        let is_local = |c: char| {
            c.is_ascii_alphanumeric() || ".!#$%&'*+/=?^_`{|}~-".contains(c) || (wide_local && c.is_alphanumeric())
        };
        let start = at - text.chars[..at].iter().rev().take_while(|c| is_local(**c)).count();
        let mut end = at + 1;
        while let Some(&c) = text.chars.get(end) {
            let after_dot = text.chars[end - 1] == '.' || wide(Some(end - 1));
            if c.is_ascii_alphanumeric() || ".-".contains(c) || ((wide_label || after_dot) && c.is_alphanumeric()) {
                end += 1;
            } else {
                break;
            }
        }
        // Punctuation around an address is the sentence's.
        let start = start + text.chars[start..at].iter().take_while(|c| "./=&'".contains(**c)).count();
        while end > at + 1 && ".-".contains(text.chars[end - 1]) {
            end -= 1;
        }
        let cell = Cell { text: text.chars[start..end].iter().collect::<String>().into(), integer: false };
        if check(&cell) == Match::Strong {
            found.push(Found { range: start..end, is_sure: true });
        }
    }
}
