//! Leaf values as whole numbers.
//!
//! If all leaves and the base of an output are multiples of a power of two, and the sum over trees of the largest leaf is
//! below 2³¹ of it, then every partial sum is exact, in f64 as in i32: adding whole numbers gives the bits of the sum in f64,
//! with twice as many to a register. [`round`] makes leaves such.

use super::Tree;

/// Least and largest exponent of a unit: far from where numbers lose digits or overflow.
const EXPONENTS: std::ops::RangeInclusive<i32> = -900..=900;

/// Rounds the leaves and bases of each output to multiples of the least power of two 2^s with which sums of whole multiples fit
/// 32 bits. A leaf moves by at most 2^(s-1), which is
/// 2⁻³⁰ of the sum over trees of the largest leaf, or less.
///
/// # Panics
/// If a tree's output has no base.
pub fn round(base: &mut [f64], trees: &mut [Tree]) {
    for (output, base) in base.iter_mut().enumerate() {
        let of_output = || trees.iter().filter(|tree| tree.output == output);
        // Rounding may add half a unit per tree.
        let room = f64::from(i32::MAX) - of_output().count() as f64;
        let total: f64 = of_output().map(largest).sum();
        // The exponent of the power of two above.
        let exponent = ((total / room).to_bits() >> 52) as i32 - 1022;
        if room < f64::from(i32::MAX / 2) || !EXPONENTS.contains(&exponent) {
            continue;
        }
        let unit = power_of_two(exponent);
        // `+ 0.0` because a sum of whole numbers has no negative zero.
        let to_unit = |x: &mut f64| *x = (*x / unit).round() * unit + 0.0;
        to_unit(base);
        for tree in trees.iter_mut().filter(|tree| tree.output == output) {
            tree.leaves.iter_mut().for_each(to_unit);
        }
    }
}

/// The power of two for each output, or `None` if some output's leaves are no such multiples.
pub(super) fn units(base: &[f64], trees: &[Tree]) -> Option<Vec<f64>> {
    let unit = |(output, &base): (usize, &f64)| {
        let of_output = || trees.iter().filter(|tree| tree.output == output);
        let values = of_output().flat_map(|tree| &tree.leaves).chain([&base]);
        let exponent = values.filter(|&&x| x != 0.0).map(|&x| lowest_bit(x)).min().unwrap_or(0);
        if !EXPONENTS.contains(&exponent) || base.to_bits() == (-0.0_f64).to_bits() {
            return None;
        }
        let unit = power_of_two(exponent);
        let total: f64 = of_output().map(|tree| largest(tree) / unit).sum();
        (total <= f64::from(i32::MAX) && base.abs() / unit <= 2.0_f64.powi(51)).then_some(unit)
    };
    base.iter().enumerate().map(unit).collect()
}

/// 2^exponent, for an exponent of [`EXPONENTS`].
fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(((exponent + 1023) as u64) << 52)
}

fn largest(tree: &Tree) -> f64 {
    tree.leaves.iter().fold(0.0, |most, leaf| most.max(leaf.abs()))
}

/// Exponent of the lowest bit that is set in a finite number other than 0.
fn lowest_bit(x: f64) -> i32 {
    let bits = x.to_bits();
    let exponent = (bits >> 52 & 0x7ff) as i32;
    let fraction = bits & ((1 << 52) - 1);
    if exponent == 0 {
        return -1074 + fraction.trailing_zeros() as i32;
    }
    exponent - 1075 + (fraction | 1 << 52).trailing_zeros() as i32
}
