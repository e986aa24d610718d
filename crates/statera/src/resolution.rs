//! How finely a column is written: digits after the point.

/// Most digits that are looked for; numbers with more are measurements, not written values.
const MAX_DIGITS: u32 = 6;

/// The fewest digits after the point, up to 6, with which every value can be written; `None` if some needs more.
pub(crate) fn digits(values: impl Iterator<Item = f64>) -> Option<u32> {
    let mut digits = 0;
    for value in values {
        while round(value, digits) != value {
            digits += 1;
            if digits > MAX_DIGITS {
                return None;
            }
        }
    }
    Some(digits)
}

/// Steps of a number that is not written in decimals, over its spread.
const STEPS_OF_SPREAD: f64 = 1_000.0;

/// The least difference that a column's values tell: their last digit, else a power of ten of about a thousandth of their spread.
pub(crate) fn fineness(values: &[f64], spread: f64) -> f64 {
    match digits(values.iter().copied()) {
        Some(digits) if !values.is_empty() => 10f64.powi(-(digits as i32)),
        _ if spread > 0.0 => 10f64.powf((spread / STEPS_OF_SPREAD).log10().floor()),
        _ => 1.0,
    }
}

/// A number rounded to digits after the point; numbers too large to have any stay as they are.
pub(crate) fn round(value: f64, digits: u32) -> f64 {
    let unit = 10f64.powi(digits as i32);
    let scaled = value * unit;
    if scaled.abs() < 9_007_199_254_740_992.0 { scaled.round() / unit } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_those_that_values_are_written_with() {
        let check = |values: &[f64], expected| assert_eq!(digits(values.iter().copied()), expected, "{values:?}");
        check(&[], Some(0));
        check(&[3.0, -20.0, 1e300], Some(0));
        check(&[0.1 + 0.2], None);
        check(&[0.3, 12.25], Some(2));
        check(&[1.0 / 3.0], None);
        assert_eq!((fineness(&[0.3, 12.25], 5.0), fineness(&[1.0 / 3.0], 5.0), fineness(&[], 0.0)), (0.01, 0.001, 1.0));
        assert_eq!(round(2.345, 1), 2.3);
        assert_eq!(round(-1_234.5, 0), -1_235.0);
    }
}
