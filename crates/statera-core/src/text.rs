//! Numbers as people read them.

/// A whole number with thousands separators.
pub fn count(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if value < 0.0 && digits != "0" { format!("−{out}") } else { out }
}

/// `n` things, in the singular where there is one.
pub fn counted(n: usize, one: &str, many: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{} {many}", count(n as f64)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        let cases = [(0.0, "0"), (999.0, "999"), (1000.0, "1,000"), (-1234567.4, "−1,234,567"), (-0.2, "0")];
        for (value, text) in cases {
            assert_eq!(count(value), text);
        }
    }

    #[test]
    fn one_thing_is_singular() {
        for (n, text) in [(0, "0 rows"), (1, "1 row"), (2, "2 rows"), (1000, "1,000 rows")] {
            assert_eq!(counted(n, "row", "rows"), text);
        }
    }
}
