//! Deterministic exp, ln, tanh and sigmoid, and fused multiply-add on every CPU.
//!
//! Only IEEE 754 `+ - × ÷`, fused multiply-add and integer bit manipulation are used, without data-dependent branches:
//! a value has the same bits alone or in a slice, on every CPU and with every C library (whose own functions differ
//! between versions in the last bit). Every NaN that comes out is the one of `f64::NAN`.
//!
//! Largest errors in units in the last place, against a table of 60-digit values (`tests/math_table.txt`): exp and ln
//! below 1, tanh and sigmoid below 2; results in the subnormal range are within one subnormal step.

use crate::dispatch::{Instructions, Level, by_level};

/// `a · b + c`, rounded once; the same bits on every CPU.
///
/// # Example
/// ```
/// let x = 1.0 + 2f64.powi(-30);
/// // The square's last bit, 2⁻⁶⁰, is lost in `x * x` but not here.
/// assert_eq!(statera_kernel::math::fma(x, x, -(x * x)), 2f64.powi(-60));
/// ```
pub fn fma(a: f64, b: f64, c: f64) -> f64 {
    #[inline(always)]
    fn body<I: Instructions>(a: f64, b: f64, c: f64) -> f64 {
        I::mul_add(a, b, c)
    }
    by_level!(Level::active(), body(a: f64, b: f64, c: f64) -> f64)
}

/// Defines a function of one number and its version for slices from one generic body.
macro_rules! scalar_and_slice {
    ($(#[$doc:meta])* $name:ident, $(#[$slice_doc:meta])* $slice:ident, $slice_at:ident, $body:ident) => {
        $(#[$doc])*
        pub fn $name(x: f64) -> f64 {
            by_level!(Level::active(), $body(x: f64) -> f64)
        }

        $(#[$slice_doc])*
        pub fn $slice(values: &mut [f64]) {
            $slice_at(Level::active(), values);
        }

        /// The same with the instructions of `level`, for tests that compare bits.
        pub fn $slice_at(level: Level, values: &mut [f64]) {
            #[inline(always)]
            fn each<I: Instructions>(values: &mut [f64]) {
                for v in values {
                    *v = $body::<I>(*v);
                }
            }
            by_level!(level, each(values: &mut [f64]));
        }
    };
}

scalar_and_slice! {
    /// `eˣ`. NaN gives NaN, +∞ and x > 709.79 give +∞, −∞ and x < −745.14 give 0; between −745.14 and −708.39 the
    /// result is subnormal.
    ///
    /// # Example
    /// ```
    /// use statera_kernel::math::exp;
    /// assert_eq!(exp(0.0), 1.0);
    /// assert_eq!(exp(f64::NEG_INFINITY), 0.0);
    /// ```
    exp,
    /// Replaces each value by [`exp`] of it, with the same bits.
    exp_slice, exp_slice_at, exp_body
}

scalar_and_slice! {
    /// The natural logarithm. NaN and negative numbers give NaN, ±0 gives −∞, +∞ gives +∞; subnormal numbers are exact
    /// operands like any other.
    ///
    /// # Example
    /// ```
    /// use statera_kernel::math::ln;
    /// assert_eq!(ln(1.0), 0.0);
    /// assert!(ln(-1.0).is_nan());
    /// ```
    ln,
    /// Replaces each value by [`ln`] of it, with the same bits.
    ln_slice, ln_slice_at, ln_body
}

scalar_and_slice! {
    /// The hyperbolic tangent. NaN gives NaN, ±∞ gives ±1; odd to the last bit, −0 included.
    tanh,
    /// Replaces each value by [`tanh`] of it, with the same bits.
    tanh_slice, tanh_slice_at, tanh_body
}

scalar_and_slice! {
    /// The logistic function `1 / (1 + e⁻ˣ)`: the probability of log-odds `x`. NaN gives NaN, −∞ gives 0, +∞ gives 1;
    /// for very negative `x` it is `eˣ`, down to the subnormal numbers, never cut to 0 early.
    ///
    /// # Example
    /// ```
    /// assert_eq!(statera_kernel::math::sigmoid(0.0), 0.5);
    /// ```
    sigmoid,
    /// Replaces each value by [`sigmoid`] of it, with the same bits.
    sigmoid_slice, sigmoid_slice_at, sigmoid_body
}

/// Adding it to a number below 2⁵¹ in size rounds that to an integer, which then stands in the sum's low bits.
const ROUNDER: f64 = 6_755_399_441_055_744.0; // 1.5 · 2⁵²
/// ln 2 to 42 bits: its product with an exponent is exact.
const LN2_HIGH: f64 = f64::from_bits(0x3fe6_2e42_fefa_3800);
/// ln 2 − `LN2_HIGH`.
const LN2_LOW: f64 = f64::from_bits(0x3d2e_f357_93c7_6730);

/// 2ⁿ for an integer `n` in −1022 … 1023, given as `ROUNDER + n`.
#[inline(always)]
fn power_of_two(rounded: f64) -> f64 {
    // The shift leaves the low twelve bits of n, and adding the bias makes them an exponent.
    f64::from_bits((rounded.to_bits() << 52).wrapping_add(1023 << 52))
}

/// Splits `x` = n ln 2 + r with |r| ≤ ½ ln 2 and returns `ROUNDER + n`, n and eʳ − 1; |x| < 2000.
///
/// eʳ − 1 = r + r² · (1/2! + r/3! + … + r¹¹/13!); the next term of the series is below 2⁻⁵⁷ of the sum.
#[inline(always)]
fn exp_parts<I: Instructions>(x: f64) -> (f64, f64, f64) {
    const INVERSE_FACTORIALS: [f64; 12] = [
        1.0 / 6_227_020_800.0,
        1.0 / 479_001_600.0,
        1.0 / 39_916_800.0,
        1.0 / 3_628_800.0,
        1.0 / 362_880.0,
        1.0 / 40_320.0,
        1.0 / 5_040.0,
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        1.0 / 2.0,
    ];
    let rounded = I::mul_add(x, std::f64::consts::LOG2_E, ROUNDER);
    let n = rounded - ROUNDER;
    let r = I::mul_add(n, -LN2_LOW, I::mul_add(n, -LN2_HIGH, x));
    let mut q = INVERSE_FACTORIALS[0];
    for c in &INVERSE_FACTORIALS[1..] {
        q = I::mul_add(q, r, *c);
    }
    (rounded, n, I::mul_add(r * r, q, r))
}

#[inline(always)]
fn exp_body<I: Instructions>(x: f64) -> f64 {
    // Beyond these the result is +∞ or 0 anyway; NaN passes through both comparisons.
    let x0 = if x > 710.0 { 710.0 } else { x };
    let x0 = if x0 < -746.0 { -746.0 } else { x0 };
    let (_, n, e) = exp_parts::<I>(x0);
    // 2ⁿ may overflow or be subnormal where the product is not, so it is applied in two halves; only the second rounds.
    let half = n * 0.5 + ROUNDER;
    let rest = (n - (half - ROUNDER)) + ROUNDER;
    let y = (1.0 + e) * power_of_two(half) * power_of_two(rest);
    if x.is_nan() { f64::NAN } else { y }
}

/// ln x = k ln 2 + ln m with m in [√½, √2), f = m − 1, s = f / (2 + f):
/// ln m = f − (f²/2 − s (f²/2 + R)), R = 2 (s²/3 + s⁴/5 + …), the arrangement of Ng (fdlibm, 1993) in which the exact f
/// carries the leading bits. s² < 0.0295; the first term left out is below 2⁻⁵⁷ of the sum.
#[inline(always)]
fn ln_body<I: Instructions>(x: f64) -> f64 {
    const COEFFICIENTS: [f64; 11] = [
        2.0 / 23.0,
        2.0 / 21.0,
        2.0 / 19.0,
        2.0 / 17.0,
        2.0 / 15.0,
        2.0 / 13.0,
        2.0 / 11.0,
        2.0 / 9.0,
        2.0 / 7.0,
        2.0 / 5.0,
        2.0 / 3.0,
    ];
    const ROOT_HALF: u64 = std::f64::consts::FRAC_1_SQRT_2.to_bits();
    const TWO_52: f64 = 4_503_599_627_370_496.0;
    const TWO_54: f64 = 18_014_398_509_481_984.0;
    let subnormal = x < f64::MIN_POSITIVE;
    let normal = if subnormal { x * TWO_54 } else { x };
    let shifted = normal.to_bits().wrapping_add(1f64.to_bits().wrapping_sub(ROOT_HALF));
    // The biased exponent becomes a number through the low bits of 2⁵²; AVX2 has no conversion from 64-bit integers.
    let biased = f64::from_bits((shifted >> 52) | TWO_52.to_bits()) - TWO_52;
    let k = biased - if subnormal { 1023.0 + 54.0 } else { 1023.0 };
    let m = f64::from_bits((shifted & ((1 << 52) - 1)).wrapping_add(ROOT_HALF));
    let f = m - 1.0;
    let s = f / (2.0 + f);
    let z = s * s;
    let mut r = COEFFICIENTS[0];
    for c in &COEFFICIENTS[1..] {
        r = I::mul_add(r, z, *c);
    }
    let half_square = 0.5 * f * f;
    let tail = I::mul_add(s, I::mul_add(r, z, half_square), k * LN2_LOW);
    let y = I::mul_add(k, LN2_HIGH, f - (half_square - tail));
    let y = if x == 0.0 { f64::NEG_INFINITY } else { y };
    let y = if x == f64::INFINITY { f64::INFINITY } else { y };
    if x.is_nan() || x < 0.0 { f64::NAN } else { y }
}

/// With t = e^(−2|x|) − 1: tanh |x| = −t / (t + 2), which keeps every bit of a small x; and where that is above ½,
/// 1 − 2 (t + 1) / (t + 2), whose last subtraction hides the errors of the rest.
#[inline(always)]
fn tanh_body<I: Instructions>(x: f64) -> f64 {
    let a = x.abs();
    // From 20 on the nearest number to tanh is 1.
    let a = if a > 20.0 { 20.0 } else { a };
    let (rounded, _, e) = exp_parts::<I>(-2.0 * a);
    let scale = power_of_two(rounded);
    let large = a > 0.55;
    // scale · (e + 1) is t + 1; scale − 1 is exact where it is used.
    let (offset, sign) = if large { (scale, 2.0) } else { (scale - 1.0, -1.0) };
    let t = I::mul_add(scale, e, offset);
    let quotient = sign * t / (t + if large { 1.0 } else { 2.0 });
    let y = if large { 1.0 - quotient } else { quotient }.copysign(x);
    if x.is_nan() { f64::NAN } else { y }
}

/// 1 / (1 + e) for x ≥ 0 and e / (1 + e) for x < 0 with e = e^(−|x|), which neither overflows nor cancels.
#[inline(always)]
fn sigmoid_body<I: Instructions>(x: f64) -> f64 {
    let e = exp_body::<I>(-x.abs());
    let top = if x < 0.0 { e } else { 1.0 };
    top / (1.0 + e)
}

/// `a · b + c` rounded once, by integer arithmetic: the 106-bit product and `c` are aligned in 128 bits, what is shifted
/// out is kept as one sticky bit, and the sum is rounded to nearest, ties to even, at 53 bits or at the subnormal step.
pub(crate) fn fma_emulated(a: f64, b: f64, c: f64) -> f64 {
    if a.is_finite() && b.is_finite() && !c.is_finite() {
        return c; // A product that overflows must not meet an infinity of the other sign.
    }
    if !(a.is_finite() && b.is_finite()) || a == 0.0 || b == 0.0 {
        return a * b + c; // Infinite, NaN or an exact zero: the product needs no rounding.
    }
    if c == 0.0 {
        return a * b; // Not a·b + c: a product that underflows keeps its sign.
    }
    let (ma, ea) = mantissa_and_exponent(a);
    let (mb, eb) = mantissa_and_exponent(b);
    let (mc, ec) = mantissa_and_exponent(c);
    // Leading bits at 124 or 125 and 124: the sum has room, and an operand that loses bits in the alignment is smaller
    // than the other by far, so no cancellation brings the sticky bit near the rounding place.
    let mut product = (u128::from(ma) * u128::from(mb)) << 20;
    let mut addend = u128::from(mc) << 72;
    let (exp_product, exp_addend) = (ea + eb - 20, ec - 72);
    let exponent = exp_product.max(exp_addend);
    product = shift_right_sticky(product, exponent - exp_product);
    addend = shift_right_sticky(addend, exponent - exp_addend);
    let product_negative = a.is_sign_negative() != b.is_sign_negative();
    let (sum, negative) = if product_negative == c.is_sign_negative() {
        (product + addend, product_negative)
    } else if product >= addend {
        (product - addend, product_negative)
    } else {
        (addend - product, !product_negative)
    };
    if sum == 0 {
        return 0.0; // Exact cancellation gives +0 when rounding to nearest.
    }
    let magnitude = round_to_f64(sum, exponent);
    if negative { -magnitude } else { magnitude }
}

/// The value as `m · 2ᵉ` with m in [2⁵², 2⁵³); finite and not 0.
#[inline(always)]
fn mantissa_and_exponent(x: f64) -> (u64, i32) {
    let bits = x.to_bits();
    let fraction = bits & ((1 << 52) - 1);
    let biased = ((bits >> 52) & 0x7ff) as i32;
    if biased > 0 {
        (fraction | (1 << 52), biased - 1075)
    } else {
        let shift = fraction.leading_zeros() - 11;
        (fraction << shift, -1074 - shift as i32)
    }
}

/// Shifts right; the lowest bit of the result is set if a set bit was lost.
#[inline(always)]
fn shift_right_sticky(x: u128, shift: i32) -> u128 {
    if shift == 0 {
        x
    } else if shift < 128 {
        (x >> shift) | u128::from(x << (128 - shift) != 0)
    } else {
        u128::from(x != 0)
    }
}

/// The f64 nearest to `x · 2ᵉ` (ties to even); `x` > 0.
#[inline(always)]
fn round_to_f64(x: u128, exponent: i32) -> f64 {
    let top = 127 - x.leading_zeros() as i32;
    let drop = (top - 52).max(-1074 - exponent);
    let mantissa = if drop <= 0 {
        (x << -drop) as u64
    } else if drop > 127 {
        0 // x has at most 127 bits, so it is below half of the smallest subnormal number.
    } else {
        let (kept, lost, half) = ((x >> drop) as u64, x & ((1 << drop) - 1), 1u128 << (drop - 1));
        kept + u64::from(lost > half || (lost == half && kept & 1 == 1))
    };
    if mantissa < 1 << 52 {
        return f64::from_bits(mantissa); // Subnormal: drop is −1074 − e.
    }
    let biased = (exponent + drop + 1075) as u64;
    if biased >= 2047 {
        return f64::INFINITY;
    }
    // A mantissa rounded up to 2⁵³ carries into the exponent, and from the largest finite number to infinity.
    f64::from_bits((biased << 52) + (mantissa - (1 << 52)))
}

#[cfg(test)]
mod tests;
