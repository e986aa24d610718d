//! Accuracy against a table of high precision, special values, and bits over levels, lengths and implementations.

use super::*;
use crate::dispatch::with_level;

/// Written by `tests/math_table.py`.
const TABLE: &str = include_str!("../../tests/math_table.txt");

type Scalar = fn(f64) -> f64;
type Slice = fn(Level, &mut [f64]);

/// Name, function, its slice version, and the largest error permitted in units in the last place.
const FUNCTIONS: [(&str, Scalar, Slice, f64); 4] = [
    ("exp", exp, exp_slice_at, 1.0),
    ("ln", ln, ln_slice_at, 1.0),
    ("tanh", tanh, tanh_slice_at, 2.0),
    ("sigmoid", sigmoid, sigmoid_slice_at, 2.0),
];

/// SplitMix64: this crate knows no other.
struct Draws(u64);

impl Draws {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }
}

fn from_hex(text: &str) -> f64 {
    f64::from_bits(u64::from_str_radix(text, 16).expect("the table holds hexadecimal numbers"))
}

/// The distance from one number to the next of that size.
fn unit_in_last_place(x: f64) -> f64 {
    let x = x.abs().min(f64::MAX);
    if x == f64::MAX { x - x.next_down() } else { x.next_up() - x }
}

#[test]
fn errors_stay_within_the_stated_units_in_the_last_place() {
    for (name, function, _, permitted) in FUNCTIONS {
        let (mut worst, mut at, mut n) = (0.0, 0.0, 0);
        for line in TABLE.lines().filter(|l| l.split(' ').next() == Some(name)) {
            let [x, value, remainder]: [f64; 3] =
                line.split(' ').skip(1).map(from_hex).collect::<Vec<_>>().try_into().expect("three numbers a line");
            let got = function(x);
            n += 1;
            if value.is_infinite() {
                assert_eq!(got, value, "{name}({x:e})");
                continue;
            }
            let error = ((got - value) - remainder).abs() / unit_in_last_place(value);
            if error > worst {
                (worst, at) = (error, x);
            }
        }
        println!("{name}: {n} values, largest error {worst:.3} units, at {at:e}");
        assert!(n > 100, "{name} has {n} lines in the table");
        assert!(worst <= permitted, "{name}({at:e}) is off by {worst} units");
    }
}

#[test]
fn special_values_are_as_documented() {
    let (inf, nan) = (f64::INFINITY, f64::NAN);
    let cases: [(&str, Scalar, f64, f64); 28] = [
        ("exp", exp, 0.0, 1.0),
        ("exp", exp, -0.0, 1.0),
        ("exp", exp, 5e-324, 1.0),
        ("exp", exp, 709.79, inf),
        ("exp", exp, 1e308, inf),
        ("exp", exp, inf, inf),
        ("exp", exp, -745.14, 0.0),
        ("exp", exp, -745.13, 5e-324),
        ("exp", exp, -1e308, 0.0),
        ("exp", exp, -inf, 0.0),
        ("ln", ln, 1.0, 0.0),
        ("ln", ln, 0.0, -inf),
        ("ln", ln, -0.0, -inf),
        ("ln", ln, inf, inf),
        ("ln", ln, -5e-324, nan),
        ("ln", ln, -inf, nan),
        ("ln", ln, 5e-324, -744.440_071_921_381_2),
        ("tanh", tanh, 0.0, 0.0),
        ("tanh", tanh, -0.0, -0.0),
        ("tanh", tanh, 5e-324, 5e-324),
        ("tanh", tanh, inf, 1.0),
        ("tanh", tanh, -inf, -1.0),
        ("tanh", tanh, 25.0, 1.0),
        ("sigmoid", sigmoid, 0.0, 0.5),
        ("sigmoid", sigmoid, -0.0, 0.5),
        ("sigmoid", sigmoid, inf, 1.0),
        ("sigmoid", sigmoid, -inf, 0.0),
        ("sigmoid", sigmoid, 40.0, 1.0),
    ];
    for (name, function, x, expected) in cases {
        assert_eq!(function(x).to_bits(), expected.to_bits(), "{name}({x:e}) is {:e}, not {expected:e}", function(x));
    }
    // Every NaN, whatever its sign and payload, becomes the one of `f64::NAN`.
    for payload in [f64::NAN.to_bits(), 0xfff8_0000_0000_0000, 0x7ff0_0000_0000_0001, 0xffff_ffff_ffff_ffff] {
        for (name, function, _, _) in FUNCTIONS {
            let got = function(f64::from_bits(payload)).to_bits();
            assert_eq!(got, f64::NAN.to_bits(), "{name} of NaN {payload:x}");
        }
    }
}

#[test]
fn bits_are_those_of_the_scalar_at_every_level_and_length() {
    let mut draws = Draws(1);
    let mut values: Vec<f64> = (0..3000).map(|_| f64::from_bits(draws.bits())).collect();
    values.extend((0..3000).map(|_| draws.uniform(-50.0, 50.0)));
    values.extend((0..1000).map(|_| draws.uniform(-760.0, 760.0)));
    values.extend([0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, f64::MIN_POSITIVE, 5e-324]);
    for (name, function, slice, _) in FUNCTIONS {
        let expected: Vec<u64> =
            with_level(Level::Baseline, || values.iter().map(|&x| function(x).to_bits()).collect());
        for level in Level::available() {
            let scalar: Vec<u64> = with_level(level, || values.iter().map(|&x| function(x).to_bits()).collect());
            assert_eq!(scalar, expected, "{name} at {level:?}");
            for length in [1, 2, 3, 7, 8, 100, values.len()] {
                let mut got = values.clone();
                got.chunks_mut(length).for_each(|chunk| slice(level, chunk));
                let got: Vec<u64> = got.iter().map(|y| y.to_bits()).collect();
                assert_eq!(got, expected, "{name} at {level:?} in slices of {length}");
            }
        }
    }
}

/// The instruction, or the C library's exact function where the CPU lacks it: an implementation by other hands.
fn fma_reference(a: f64, b: f64, c: f64) -> f64 {
    a.mul_add(b, c)
}

fn check_fma(a: f64, b: f64, c: f64) {
    let (got, expected) = (fma_emulated(a, b, c), fma_reference(a, b, c));
    // The payload of a NaN depends on the order of operands.
    let same = got.to_bits() == expected.to_bits() || (got.is_nan() && expected.is_nan());
    assert!(same, "fma({a:e}, {b:e}, {c:e}) is {got:e}, not {expected:e}");
}

#[test]
fn emulated_fma_rounds_like_the_instruction() {
    let mut draws = Draws(2);
    for _ in 0..1_000_000 {
        // Any bits: all exponents, subnormal numbers, infinities, NaN.
        check_fma(f64::from_bits(draws.bits()), f64::from_bits(draws.bits()), f64::from_bits(draws.bits()));
        // Similar sizes, where product and addend overlap.
        let (a, b) = (draws.uniform(-2.0, 2.0), draws.uniform(-2.0, 2.0));
        check_fma(a, b, draws.uniform(-4.0, 4.0));
        // The addend cancels the rounded product: what remains are the bits that one rounding keeps.
        check_fma(a, b, -(a * b));
        check_fma(a, b, (-(a * b)).next_up());
        // The sum lies near the middle of two numbers, just where a lost sticky bit would show.
        let scale = f64::from_bits((draws.bits() % 130 + 1023 - 65) << 52);
        check_fma(a, b * scale * f64::EPSILON, draws.uniform(1.0, 2.0));
        check_fma(1.0 + f64::EPSILON, 0.5 * f64::EPSILON * scale, 1.0 + (draws.bits() % 4) as f64 * f64::EPSILON);
    }
}

#[test]
fn emulated_fma_is_exact_at_the_edges_of_the_range() {
    let mut edges = vec![0.0, 5e-324, 1e-323, f64::MIN_POSITIVE.next_down(), f64::MIN_POSITIVE, f64::MAX];
    edges.extend([1.0, 1.0 + f64::EPSILON, 1.0 - f64::EPSILON / 2.0, 2.0, 0.5, 3.0, f64::INFINITY, f64::NAN]);
    edges.extend([-1022, -1000, -540, -538, -537, -60, -53, -52, 53, 511, 512, 970, 1023].map(|k| 2f64.powi(k)));
    let around: Vec<f64> = edges.iter().flat_map(|&x: &f64| [x, x.next_up(), x.next_down()]).collect();
    let signed: Vec<f64> = around.iter().flat_map(|&x| [x, -x]).collect();
    for &a in &signed {
        for &b in &around {
            for &c in &signed {
                check_fma(a, b, c);
            }
        }
    }
    let mut draws = Draws(3);
    for _ in 0..1_000_000 {
        // Products around the smallest numbers, against subnormal addends.
        let a = f64::from_bits(draws.bits() >> 12 | (480 + draws.bits() % 60) << 52);
        let b = f64::from_bits(draws.bits() >> 12 | (480 + draws.bits() % 60) << 52);
        check_fma(a, b, f64::from_bits(draws.bits() >> (11 + draws.bits() % 53)));
        check_fma(a, -b, f64::from_bits(draws.bits() >> (8 + draws.bits() % 53)));
        // And around the largest.
        let a = f64::from_bits(draws.bits() >> 12 | (1500 + draws.bits() % 40) << 52);
        let b = f64::from_bits(draws.bits() >> 12 | (1510 + draws.bits() % 50) << 52);
        check_fma(a, -b, f64::from_bits(draws.bits() >> 12 | (2040 + draws.bits() % 7) << 52));
    }
}
