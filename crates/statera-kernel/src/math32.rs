//! Functions of neural networks in single precision, for slices: exp, tanh, sigmoid, the normal distribution function,
//! softmax.
//!
//! Only `+ − × ÷`, comparisons and bits are used, each rounded on its own and never fused, in an order that does not
//! depend on the slice: a number has the same bits alone or anywhere in a slice, on every CPU. Errors are below 3 units
//! in the last place but where a function says otherwise. NaN gives NaN.

use crate::dispatch::{Instructions, Level, by_level};
use crate::lanes::{self, LANES};

/// Adding it to a number below 2²² in size rounds that to an integer, which then stands in the sum's low bits.
const ROUNDER: f32 = 12_582_912.0; // 1.5 · 2²³
/// ln 2 to 12 bits: its product with an exponent is exact.
const LN2_HIGH: f32 = 355.0 / 512.0;
/// ln 2 − `LN2_HIGH`.
const LN2_LOW: f32 = -2.121_944_4e-4;

/// 2ⁿ for an integer `n` in −126 … 127, given as `ROUNDER + n`.
#[inline(always)]
fn power_of_two(rounded: f32) -> f32 {
    f32::from_bits((rounded.to_bits() << 23).wrapping_add(127 << 23))
}

/// Splits `x` = n ln 2 + r with |r| ≤ ½ ln 2 and returns `ROUNDER + n`, n and eʳ − 1; |x| < 200.
#[inline(always)]
fn exp_parts(x: f32) -> (f32, f32, f32) {
    const INVERSE_FACTORIALS: [f32; 6] = [1.0 / 5040.0, 1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 1.0 / 2.0];
    let rounded = x * std::f32::consts::LOG2_E + ROUNDER;
    let n = rounded - ROUNDER;
    let r = (x - n * LN2_HIGH) - n * LN2_LOW;
    let mut q = INVERSE_FACTORIALS[0];
    for c in &INVERSE_FACTORIALS[1..] {
        q = q * r + *c;
    }
    (rounded, n, r * r * q + r)
}

/// `eˣ`.
#[inline(always)]
fn exp_of(x: f32) -> f32 {
    // Beyond these the result is +∞ or 0 anyway; NaN passes through both comparisons.
    let x = if x > 89.0 { 89.0 } else { x };
    let x = if x < -104.0 { -104.0 } else { x };
    let (_, n, e) = exp_parts(x);
    // 2ⁿ may overflow or be subnormal where the product is not, so it is applied in two halves.
    let half = n * 0.5 + ROUNDER;
    let rest = (n - (half - ROUNDER)) + ROUNDER;
    (1.0 + e) * power_of_two(half) * power_of_two(rest)
}

/// With t = e^(−2|x|) − 1: tanh |x| = −t / (t + 2), which keeps every bit of a small x.
#[inline(always)]
pub(crate) fn tanh_of(x: f32) -> f32 {
    let a = x.abs();
    let a = if a > 10.0 { 10.0 } else { a };
    let (rounded, _, e) = exp_parts(-2.0 * a);
    let scale = power_of_two(rounded);
    let t = scale * e + (scale - 1.0);
    (-t / (t + 2.0)).copysign(x) + x * 0.0
}

/// 1 / (1 + e) for x ≥ 0 and e / (1 + e) for x < 0 with e = e^(−|x|), which neither overflows nor cancels.
#[inline(always)]
pub(crate) fn sigmoid_of(x: f32) -> f32 {
    let e = exp_of(-x.abs());
    let top = if x < 0.0 { e } else { 1.0 };
    top / (1.0 + e)
}

/// cos x = sin 2πu with u = ¼ − |r| / 2π and r = x less whole turns: u is in [−¼, ¼], where sin 2πu = u p(u²) (a
/// least-squares fit at 400 Chebyshev nodes, within 3e-11).
#[inline(always)]
fn cos_of(x: f32) -> f32 {
    const TAU_HIGH: f32 = 6.281_25; // Its product with a number of turns below 2¹³ is exact.
    const TAU_LOW: f32 = 0.001_935_307_2;
    const P: [f32; 6] = [6.283_185_5, -41.341_7, 81.605_225, -76.704_28, 42.009_804, -14.394_135];
    let turns = (x * (1.0 / std::f32::consts::TAU) + ROUNDER) - ROUNDER;
    let r = (x - turns * TAU_HIGH) - turns * TAU_LOW;
    let u = 0.25 - r.abs() * (1.0 / std::f32::consts::TAU);
    // Only numbers of more than 2²² turns leave the interval.
    let u = if u < -0.25 { -0.25 } else { u };
    let z = u * u;
    let mut p = P[5];
    for c in P[..5].iter().rev() {
        p = p * z + *c;
    }
    u * p
}

/// Φ(x) = ½ erfc(−x/√2): erfc(z) = e^(−z²) t p(t) with t = 1 / (1 + z/2) for z ≥ 0, where p is the polynomial nearest
/// in relative error (a weighted least-squares fit at 400 Chebyshev nodes to z = 9.5).
#[inline(always)]
fn normal_of(x: f32) -> f32 {
    const P: [f32; 10] = [
        0.282_058_76,
        0.282_978_95,
        0.237_546_05,
        0.231_057_98,
        -0.115_350_27,
        0.454_903_76,
        -0.712_596_6,
        0.462_348_15,
        -0.138_056_54,
        0.015_109_75,
    ];
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.5 * z);
    let mut p = P[9];
    for c in P[..9].iter().rev() {
        p = p * t + *c;
    }
    let tail = 0.5 * exp_of(-0.5 * x * x) * t * p;
    if x > 0.0 { 1.0 - tail } else { tail }
}

/// Defines the version of a function for slices.
macro_rules! slice {
    ($(#[$doc:meta])* $name:ident, $name_at:ident, $of:expr) => {
        $(#[$doc])*
        pub fn $name(values: &mut [f32]) {
            $name_at(Level::active(), values);
        }

        /// The same with the instructions of `level`, for tests that compare bits.
        pub fn $name_at(level: Level, values: &mut [f32]) {
            #[inline(always)]
            fn each<I: Instructions>(values: &mut [f32]) {
                for v in values {
                    *v = $of(*v);
                }
            }
            by_level!(level, each(values: &mut [f32]));
        }
    };
}

slice! {
    /// Replaces each x by `eˣ`; above 88.73 by +∞, below −103.98 by 0.
    ///
    /// # Example
    /// ```
    /// let mut x = [0.0, f32::NEG_INFINITY];
    /// statera_kernel::math32::exp(&mut x);
    /// assert_eq!(x, [1.0, 0.0]);
    /// ```
    exp, exp_at, exp_of
}
slice! {
    /// Replaces each x by tanh x.
    tanh, tanh_at, tanh_of
}
slice! {
    /// Replaces each x by 1 / (1 + e⁻ˣ).
    sigmoid, sigmoid_at, sigmoid_of
}
slice! {
    /// Replaces each x by cos x, with an error below 1e-6 for |x| up to 1000; beyond, what rounding of x itself does.
    cos, cos_at, cos_of
}
slice! {
    /// Replaces each x by Φ(x), the standard normal distribution function, with a relative error below 1e-6 × (1 + x²).
    normal, normal_at, normal_of
}
slice! {
    /// Replaces each x by the Gaussian error linear unit x Φ(x) (Hendrycks and Gimpel 2016; the exact form, not the
    /// one with tanh).
    gelu, gelu_at, |x: f32| x * normal_of(x)
}
slice! {
    /// Replaces each x by its derivative of the Gaussian error linear unit, Φ(x) + x φ(x).
    gelu_derivative, gelu_derivative_at, |x: f32| {
        const INVERSE_ROOT_TAU: f32 = 0.398_942_3;
        normal_of(x) + x * INVERSE_ROOT_TAU * exp_of(-0.5 * x * x)
    }
}
slice! {
    /// Replaces each x by the sigmoid linear unit x σ(x).
    silu, silu_at, |x: f32| x * sigmoid_of(x)
}
slice! {
    /// Replaces each x by its derivative of the sigmoid linear unit, σ(x) (1 + x (1 − σ(x))).
    silu_derivative, silu_derivative_at, |x: f32| {
        let s = sigmoid_of(x);
        s * (1.0 + x * (1.0 - s))
    }
}
slice! {
    /// Replaces each x by the scaled exponential linear unit (Klambauer et al. 2017): λ x above 0, λ α (eˣ − 1) below.
    selu, selu_at, |x: f32| {
        let (rounded, _, e) = exp_parts(x.clamp(-20.0, 0.0));
        let scale = power_of_two(rounded);
        if x > 0.0 { SELU_SCALE * x } else { SELU_SCALE * SELU_ALPHA * (scale * e + (scale - 1.0)) }
    }
}
slice! {
    /// Replaces each x by max(x, 0); NaN stays.
    relu, relu_at, |x: f32| if x < 0.0 { 0.0 } else { x }
}

/// λ of the scaled exponential linear unit.
pub const SELU_SCALE: f32 = 1.050_701;
/// α of the scaled exponential linear unit.
pub const SELU_ALPHA: f32 = 1.673_263_2;

/// The sum of the values in an order that depends on their number alone: lane l takes the columns l, l + 16, …; the
/// lanes are then summed in pairs.
pub fn sum(values: &[f32]) -> f32 {
    #[inline(always)]
    fn body<I: Instructions>(values: &[f32]) -> f32 {
        let mut lanes = [0.0; LANES];
        let (whole, rest) = values.as_chunks::<LANES>();
        for chunk in whole {
            for l in 0..LANES {
                lanes[l] += chunk[l];
            }
        }
        for (lane, v) in lanes.iter_mut().zip(rest) {
            *lane += *v;
        }
        lanes::sum(lanes)
    }
    by_level!(Level::active(), body(values: &[f32]) -> f32)
}

/// The sum of products of two slices of the same length, in an order that depends on it alone; products are rounded.
///
/// # Panics
/// If the lengths differ.
pub fn sum_of_products(a: &[f32], b: &[f32]) -> f32 {
    #[inline(always)]
    fn body<I: Instructions>(a: &[f32], b: &[f32]) -> f32 {
        let mut lanes = [0.0; LANES];
        let ((whole, rest), (whole_b, rest_b)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
        for (a, b) in whole.iter().zip(whole_b) {
            for l in 0..LANES {
                lanes[l] += a[l] * b[l];
            }
        }
        for ((lane, a), b) in lanes.iter_mut().zip(rest).zip(rest_b) {
            *lane += *a * *b;
        }
        lanes::sum(lanes)
    }
    assert_eq!(a.len(), b.len(), "products are of pairs");
    by_level!(Level::active(), body(a: &[f32], b: &[f32]) -> f32)
}

/// Replaces each row of `n_cols` logits by its softmax: e^(x − max) over their sum. Minus infinity gives 0; a row of
/// nothing else, or with NaN, gives NaN.
pub fn softmax(values: &mut [f32], n_cols: usize) {
    for row in values.chunks_exact_mut(n_cols.max(1)) {
        let largest = row.iter().fold(f32::NEG_INFINITY, |m, &v| if v > m { v } else { m });
        for v in row.iter_mut() {
            *v -= largest;
        }
        exp(row);
        let inverse = 1.0 / sum(row);
        for v in row.iter_mut() {
            *v *= inverse;
        }
    }
}
