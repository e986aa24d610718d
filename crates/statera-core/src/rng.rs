//! The generator of every random draw: xoshiro256++ seeded by SplitMix64 (Blackman & Vigna 2018), kept here because
//! bundles must be the same bytes for a seed whatever a library's next version does.

/// A seeded generator.
#[derive(Debug, Clone)]
pub struct Rng {
    s: [u64; 4],
}

impl Rng {
    /// The generator of a seed.
    pub fn new(seed: u64) -> Self {
        let mut z = seed;
        let s = std::array::from_fn(|_| {
            z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut x = z;
            x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            x ^ (x >> 31)
        });
        Rng { s }
    }

    /// An independent generator for a named part of the work (a fold, a tree, a column).
    pub fn fork(seed: u64, stream: u64) -> Self {
        let mut base = Rng::new(seed ^ stream.wrapping_mul(0xd134_2543_de82_ef95).rotate_left(17));
        Rng::new(base.next_u64())
    }

    /// 64 uniform bits.
    pub fn next_u64(&mut self) -> u64 {
        let s = &mut self.s;
        let out = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        out
    }

    /// Uniform on [0, 1), 53 bits.
    pub fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Uniform on 0 … n-1, without bias; `n` > 0.
    pub fn below(&mut self, n: usize) -> usize {
        assert!(n > 0, "below(0) has no value");
        let n = n as u64;
        // Lemire's rejection method.
        loop {
            let m = u128::from(self.next_u64()) * u128::from(n);
            // The remainder is smaller than n: it is seldom needed, and costs more than all the rest.
            let low = m as u64;
            if low >= n || low >= n.wrapping_neg() % n {
                return (m >> 64) as usize;
            }
        }
    }

    /// Standard normal (Box and Muller; one value a call, so that a draw's place in the stream does not depend on its past).
    pub fn normal(&mut self) -> f64 {
        let u = 1.0 - self.uniform();
        let v = self.uniform();
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }

    /// Permutes a slice uniformly (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_the_distributions() {
        let mut rng = Rng::new(7);
        let n = 200_000;
        let (mut u, mut z, mut z2, mut hits) = (0.0, 0.0, 0.0, [0usize; 5]);
        for _ in 0..n {
            u += rng.uniform();
            let x = rng.normal();
            z += x;
            z2 += x * x;
            hits[rng.below(5)] += 1;
        }
        let n = n as f64;
        assert!((u / n - 0.5).abs() < 0.003, "mean of uniform {}", u / n);
        assert!((z / n).abs() < 0.01, "mean of normal {}", z / n);
        assert!((z2 / n - 1.0).abs() < 0.015, "variance of normal {}", z2 / n);
        assert!(hits.iter().all(|&h| (h as f64 / n - 0.2).abs() < 0.004), "{hits:?}");
    }

    #[test]
    fn first_draws_of_a_seed_never_change() {
        let mut rng = Rng::new(42);
        // xoshiro256++ after SplitMix64(42), as printed by the authors' reference code.
        assert_eq!(rng.next_u64(), 15021278609987233951);
        assert_eq!(rng.next_u64(), 5881210131331364753);
        assert_eq!(rng.next_u64(), 18149643915985481100);
    }
}
