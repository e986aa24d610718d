//! Shapley values of product games, eight at a time.
//!
//! A product game of D players is worth Π_j f_j, where f_j is o_j for a player who takes part and z_j for one who does not. By
//! Owen (Management Science 1972) the value of player i is
//!
//! φ_i = (o_i - z_i) · ∫₀¹ Π_{j≠i} (z_j + (o_j - z_j)·t) dt
//!
//! whose integrand is a polynomial of degree D - 1: a Gauss-Legendre rule of ⌈D/2⌉ nodes gives it exactly. The products
//! without one factor are those before it times those after it, so that nothing is divided. [`product_game`] and
//! [`product_games`] round alike: a game has the same bits alone or beside seven others, at every [`Level`].

use crate::dispatch::{Instructions, LANES, Level, by_level};

/// Games that are played at once.
pub const GAMES: usize = LANES;

/// Room to work in, kept between games.
#[derive(Debug, Clone, Default)]
pub struct ProductScratch {
    /// Of each player, its factor and the product of those before.
    one: Vec<[f64; 2]>,
    eight: Vec<[[f64; GAMES]; 2]>,
}

/// The values of one game: `rule` has nodes and weights on [0, 1], `z` and `d` have z_j and o_j - z_j by player, `values`
/// receives φ_j.
///
/// # Panics
/// If the lengths differ.
pub fn product_game(rule: &[(f64, f64)], z: &[f64], d: &[f64], values: &mut [f64], scratch: &mut ProductScratch) {
    assert!(z.len() == d.len() && d.len() == values.len(), "one z, one d and one value a player");
    scratch.one.clear();
    scratch.one.resize(z.len(), [0.0; 2]);
    values.fill(0.0);
    for &(t, weight) in rule {
        let mut left = 1.0;
        for ((room, z), d) in scratch.one.iter_mut().zip(z).zip(d) {
            let factor = z + d * t;
            *room = [factor, left];
            left *= factor;
        }
        let mut right = weight;
        for (value, [factor, left]) in values.iter_mut().zip(&scratch.one).rev() {
            *value += left * right;
            right *= factor;
        }
    }
    values.iter_mut().zip(d).for_each(|(value, d)| *value *= d);
}

/// The same for eight games of as many players; lane g of every array is game g's.
///
/// # Panics
/// If the lengths differ.
pub fn product_games(
    rule: &[(f64, f64)],
    z: &[[f64; GAMES]],
    d: &[[f64; GAMES]],
    values: &mut [[f64; GAMES]],
    scratch: &mut ProductScratch,
) {
    #[inline(always)]
    fn body<I: Instructions>(
        rule: &[(f64, f64)],
        z: &[[f64; GAMES]],
        d: &[[f64; GAMES]],
        values: &mut [[f64; GAMES]],
        room: &mut [[[f64; GAMES]; 2]],
    ) {
        for (node, &(t, weight)) in rule.iter().enumerate() {
            let t = I::splat(t);
            let mut left = I::splat(1.0);
            for j in 0..z.len() {
                let factor = I::add(I::load(&z[j]), I::mul(I::load(&d[j]), t));
                room[j] = [I::lanes(factor), I::lanes(left)];
                left = I::mul(left, factor);
            }
            let mut right = I::splat(weight);
            for j in (0..z.len()).rev() {
                let part = I::mul(I::load(&room[j][1]), right);
                let before = if node == 0 { I::splat(0.0) } else { I::load(&values[j]) };
                values[j] = I::lanes(I::add(before, part));
                right = I::mul(right, I::load(&room[j][0]));
            }
        }
        for j in 0..z.len() {
            values[j] = I::lanes(I::mul(I::load(&values[j]), I::load(&d[j])));
        }
    }
    assert!(z.len() == d.len() && d.len() == values.len(), "one z, one d and one value a player");
    assert!(!rule.is_empty(), "a rule has a node");
    scratch.eight.resize(scratch.eight.len().max(z.len()), [[0.0; GAMES]; 2]);
    let room = &mut scratch.eight[..z.len()];
    by_level!(Level::active(), body(
        rule: &[(f64, f64)],
        z: &[[f64; GAMES]],
        d: &[[f64; GAMES]],
        values: &mut [[f64; GAMES]],
        room: &mut [[[f64; GAMES]; 2]]
    ));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::with_level;

    /// Gauss-Legendre on [0, 1] with two nodes: exact up to degree 3.
    const RULE: [(f64, f64); 2] = [(0.211_324_865_405_187_1, 0.5), (0.788_675_134_594_812_9, 0.5)];

    #[test]
    fn values_are_those_of_the_definition() {
        // v(S) = Π over players of o or z; three players, by hand: z = (.5, .2, .25), o = (1, 0, 1).
        let (z, o) = ([0.5, 0.2, 0.25], [1.0, 0.0, 1.0]);
        let worth = |s: usize| (0..3).map(|j| if s >> j & 1 == 1 { o[j] } else { z[j] }).product::<f64>();
        let expected = [0, 1, 2].map(|i| {
            let others: Vec<usize> = (0..3).filter(|&j| j != i).collect();
            let gain = |s: usize| worth(s | 1 << i) - worth(s);
            let both = 1 << others[0] | 1 << others[1];
            gain(0) / 3.0 + (gain(1 << others[0]) + gain(1 << others[1])) / 6.0 + gain(both) / 3.0
        });
        let d = [0.5, -0.2, 0.75];
        let mut values = [0.0; 3];
        product_game(&RULE, &z, &d, &mut values, &mut ProductScratch::default());
        for (value, expected) in values.iter().zip(expected) {
            assert!((value - expected).abs() < 1e-15, "{values:?} for {expected}");
        }
    }

    #[test]
    fn eight_games_have_the_bits_of_one_at_every_level() {
        let n = 4;
        let number = |i: usize| (i as f64 * 0.731).sin().abs().max(1e-3);
        let z: Vec<[f64; GAMES]> = (0..n).map(|j| std::array::from_fn(|g| number(8 * j + g))).collect();
        let d: Vec<[f64; GAMES]> =
            (0..n).map(|j| std::array::from_fn(|g| f64::from(u8::from((j + g) % 3 == 0)) - z[j][g])).collect();
        for level in Level::available() {
            let mut values = vec![[f64::NAN; GAMES]; n];
            with_level(level, || product_games(&RULE, &z, &d, &mut values, &mut ProductScratch::default()));
            for g in 0..GAMES {
                let lane = |x: &[[f64; GAMES]]| x.iter().map(|x| x[g]).collect::<Vec<f64>>();
                let mut one = vec![0.0; n];
                product_game(&RULE, &lane(&z), &lane(&d), &mut one, &mut ProductScratch::default());
                assert_eq!(lane(&values), one, "{level:?}, game {g}");
            }
        }
    }
}
