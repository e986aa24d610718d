//! The game of path-dependent TreeSHAP (Lundberg et al., Nature Machine Intelligence 2020): a row goes down both sides of a
//! node on an unknown feature, in the proportion of the training rows.
//!
//! A leaf of value 1 is then worth Π_j f_j over its elements, where f_j is 1 or 0 for a known feature (the row passes or
//! not) and the share z_j for an unknown one. The Shapley value of a product game is the integral of its multilinear
//! extension (Owen, Management Science 1972):
//!
//! φ_i = (o_i - z_i) · ∫₀¹ Π_{j≠i} (z_j + (o_j - z_j)·t) dt
//!
//! The integrand is a polynomial of degree D - 1, so ⌈D/2⌉ Gauss-Legendre nodes give it exactly; all factors are
//! positive, so unlike the usual extend-and-unwind recursion nothing cancels. `statera-kernel` plays the games.

use super::{Element, Game};
use statera_kernel::shapley::{self, ProductScratch};

/// Most quadrature nodes: exact up to 128 different features on a path, and to rounding beyond.
const MAX_NODES: usize = 64;

/// Gauss-Legendre nodes and weights on [0, 1] by their number.
#[derive(Debug, Default)]
pub(super) struct Quadrature(Vec<Vec<(f64, f64)>>);

impl Quadrature {
    /// Exact for paths of up to `longest` elements.
    pub(super) fn new(longest: usize) -> Quadrature {
        Quadrature(gauss_legendre(longest.div_ceil(2).clamp(1, MAX_NODES)))
    }
}

impl Quadrature {
    /// The rule for a path of `n` elements.
    pub(super) fn rule(&self, n: usize) -> &[(f64, f64)] {
        &self.0[n.div_ceil(2).clamp(1, MAX_NODES) - 1]
    }
}

/// The game with its workspace.
#[derive(Clone)]
pub(super) struct PathDependent<'a> {
    quadrature: &'a Quadrature,
    /// Of each element, z and o - z.
    shares: Vec<f64>,
    surplus: Vec<f64>,
    scratch: ProductScratch,
}

impl<'a> PathDependent<'a> {
    pub(super) fn new(quadrature: &'a Quadrature) -> Self {
        PathDependent { quadrature, shares: Vec::new(), surplus: Vec::new(), scratch: ProductScratch::default() }
    }
}

impl Game for PathDependent<'_> {
    fn enter(&mut self, _tree: usize) {}

    fn play(&mut self, elements: &[Element], passes: &[bool], values: &mut [f64]) {
        let outcomes = passes.iter().map(|&passes| f64::from(u8::from(passes)));
        self.shares.clear();
        self.shares.extend(elements.iter().map(|e| e.share));
        self.surplus.clear();
        self.surplus.extend(outcomes.zip(&self.shares).map(|(o, z)| o - z));
        let rule = self.quadrature.rule(elements.len());
        shapley::product_game(rule, &self.shares, &self.surplus, values, &mut self.scratch);
    }
}

/// Gauss-Legendre nodes and weights on [0, 1], for 1 to `most` nodes.
///
/// The roots of each Legendre polynomial lie between those of the one before, and are found by halving: no cosine, so
/// the numbers are the same on every machine.
fn gauss_legendre(most: usize) -> Vec<Vec<(f64, f64)>> {
    let mut rules = Vec::with_capacity(most);
    let mut roots: Vec<f64> = Vec::new();
    for n in 1..=most {
        let ends: Vec<f64> = std::iter::once(-1.0).chain(roots).chain([1.0]).collect();
        roots = ends.windows(2).map(|w| root_between(n, w[0], w[1])).collect();
        let rule = roots.iter().map(|&x| {
            let (p, before) = legendre(n, x);
            let slope = n as f64 * (x * p - before) / (x * x - 1.0);
            ((1.0 + x) / 2.0, 1.0 / ((1.0 - x * x) * slope * slope))
        });
        rules.push(rule.collect());
    }
    rules
}

/// P_n(x) and P_{n-1}(x) by Bonnet's recursion.
fn legendre(n: usize, x: f64) -> (f64, f64) {
    let (mut p, mut before) = (x, 1.0);
    for k in 2..=n {
        let k = k as f64;
        (p, before) = (((2.0 * k - 1.0) * x * p - (k - 1.0) * before) / k, p);
    }
    (p, before)
}

fn root_between(n: usize, mut low: f64, mut high: f64) -> f64 {
    let rises = legendre(n, high).0 > 0.0;
    for _ in 0..80 {
        let middle = (low + high) / 2.0;
        if (legendre(n, middle).0 > 0.0) == rises {
            high = middle;
        } else {
            low = middle;
        }
    }
    (low + high) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quadrature_integrates_polynomials_exactly() {
        for (n, rule) in gauss_legendre(MAX_NODES).iter().enumerate() {
            let degree = 2 * n as i32 + 1;
            for power in [0, 1, degree] {
                let sum: f64 = rule.iter().map(|(t, w)| w * t.powi(power)).sum();
                let exact = 1.0 / (f64::from(power) + 1.0);
                assert!((sum - exact).abs() < 1e-14, "{} nodes, t^{power}: {sum} for {exact}", n + 1);
            }
        }
    }
}
