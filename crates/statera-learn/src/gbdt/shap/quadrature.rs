//! The rule by which path-dependent TreeSHAP (Lundberg et al., Nature Machine Intelligence 2020) integrates; the game itself
//! is `statera_kernel::shapley`'s.

/// Most quadrature nodes: exact up to 128 different features on a path, and to rounding beyond.
const MAX_NODES: usize = 64;

/// Gauss-Legendre nodes and weights on [0, 1], exact for paths of up to `longest` elements.
///
/// The roots of each Legendre polynomial lie between those of the one before, and are found by halving: no cosine, so
/// the numbers are the same on every machine.
pub(super) fn gauss_legendre(longest: usize) -> Vec<(f64, f64)> {
    let most = longest.div_ceil(2).clamp(1, MAX_NODES);
    let mut rule = Vec::new();
    let mut roots: Vec<f64> = Vec::new();
    for n in 1..=most {
        let ends: Vec<f64> = std::iter::once(-1.0).chain(roots).chain([1.0]).collect();
        roots = ends.windows(2).map(|w| root_between(n, w[0], w[1])).collect();
        let weighted = roots.iter().map(|&x| {
            let (p, before) = legendre(n, x);
            let slope = n as f64 * (x * p - before) / (x * x - 1.0);
            ((1.0 + x) / 2.0, 1.0 / ((1.0 - x * x) * slope * slope))
        });
        rule = weighted.collect();
    }
    rule
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
        for n in 1..=MAX_NODES {
            let rule = gauss_legendre(2 * n);
            let degree = 2 * n as i32 - 1;
            for power in [0, 1, degree] {
                let sum: f64 = rule.iter().map(|(t, w)| w * t.powi(power)).sum();
                let exact = 1.0 / (f64::from(power) + 1.0);
                assert!((sum - exact).abs() < 1e-14, "{n} nodes, t^{power}: {sum} for {exact}");
            }
        }
    }
}
