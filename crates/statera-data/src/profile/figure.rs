//! Numbers as people read them.

/// A count with thousands separators.
pub(super) fn count(n: usize) -> String {
    group(&n.to_string())
}

/// A share of 0 to 1 as a percentage with one decimal, none or all without; what is not zero never reads as zero, nor what is not all as all.
pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if share == 0.0 || share == 1.0 {
        format!("{percent:.0} %")
    } else if share > 0.0 && percent < 0.05 {
        "< 0.1 %".into()
    } else if share < 1.0 && percent >= 99.95 {
        "> 99.9 %".into()
    } else {
        format!("{percent:.1} %")
    }
}

/// A number with four significant digits at least, thousands separators and a true minus sign; whole numbers in full.
pub(super) fn number(value: f64) -> String {
    let size = value.abs();
    let text = if size >= 1e15 || (size > 0.0 && size < 1e-4) {
        format!("{size:.3e}")
    } else if size.fract() == 0.0 || size >= 1000.0 {
        group(&format!("{size:.0}"))
    } else {
        let decimals = 3 - size.log10().floor().clamp(-4.0, 3.0) as i32;
        let text = format!("{size:.*}", decimals.max(0) as usize);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    if value < 0.0 && text.bytes().any(|b| (b'1'..=b'9').contains(&b)) { format!("−{text}") } else { text }
}

/// A number as it is typed: `-1`, `999`, `0.5`.
pub(super) fn plain(value: f64) -> String {
    format!("{value}")
}

/// An AUC, `.784`.
pub(super) fn auc(value: f64) -> String {
    let text = format!("{value:.3}");
    text.strip_prefix('0').map_or(text.clone(), str::to_owned)
}

/// At most `max` characters, the last an ellipsis where something is cut.
pub(super) fn cut(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    text.chars().take(max.saturating_sub(1)).chain(['…']).collect()
}

fn group(digits: &str) -> String {
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        let cases = [
            (0.0, "0"),
            (-0.0, "0"),
            (1234567.0, "1,234,567"),
            (-999.0, "−999"),
            (1234.5, "1,234"),
            (35.4855, "35.49"),
            (0.25, "0.25"),
            (0.001_234_56, "0.001235"),
            (-1.0e-7, "−1.000e-7"),
            (2.5e18, "2.500e18"),
            (9.5, "9.5"),
        ];
        for (value, expected) in cases {
            assert_eq!(number(value), expected, "{value}");
        }
        assert_eq!((count(0), count(999), count(1_754_155)), ("0".into(), "999".into(), "1,754,155".into()));
        assert_eq!((percent(0.0), percent(1e-5), percent(0.2212)), ("0 %".into(), "< 0.1 %".into(), "22.1 %".into()));
        assert_eq!((percent(0.99999), percent(1.0)), ("> 99.9 %".into(), "100 %".into()));
        assert_eq!((auc(0.7841), auc(1.0), cut("abcdef", 4)), (".784".into(), "1.000".into(), "abc…".into()));
    }
}
