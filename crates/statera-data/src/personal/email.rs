//! E-mail addresses.

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
