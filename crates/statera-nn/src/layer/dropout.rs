//! Inverted dropout (Srivastava et al. 2014): in training each number is kept with probability 1 − p and divided by it,
//! else 0; in evaluation rows pass unchanged.
//!
//! The draws of a pass are made again on the way back instead of being kept. A 64-bit draw decides over four numbers, so p
//! is rounded to a multiple of 2⁻¹⁶.

use super::sequence::{MAX_SIZE, check_size};
use super::{Layer, Mode, Pass};
use statera_core::{Error, Result, Rng};

/// Dropout.
#[derive(Debug, Clone)]
pub struct Dropout {
    n_cols: usize,
    /// A number is dropped where its 16 bits are below this.
    threshold: u32,
    stream: u64,
}

/// 16 bits say what becomes of a number.
const LEVELS: u32 = 1 << 16;
/// Numbers whose draws are made together.
const BLOCK: usize = 64;

impl Dropout {
    /// Drops the share `rate` of the numbers of rows of `n_cols`. `stream` distinguishes the draws of this layer from
    /// those of every other layer of the network.
    ///
    /// # Errors
    /// No columns, or a rate outside [0, 1).
    pub fn new(n_cols: usize, rate: f32, stream: u64) -> Result<Dropout> {
        check_size("columns of a dropout", n_cols, 1..=MAX_SIZE)?;
        if !(0.0..1.0).contains(&rate) {
            return Err(Error::request(format!("dropout {rate}; allowed: at least 0, below 1")));
        }
        let threshold = ((rate * LEVELS as f32).round() as u32).min(LEVELS - 1);
        Ok(Dropout { n_cols, threshold, stream })
    }

    /// Writes each number of `from` or 0 to `to`.
    fn apply(&self, mode: Mode, from: &[f32], to: &mut [f32]) {
        let Mode::Train { seed } = mode else {
            to.copy_from_slice(from);
            return;
        };
        if self.threshold == 0 {
            to.copy_from_slice(from);
            return;
        }
        let mut rng = Rng::fork(seed, self.stream);
        let scale = LEVELS as f32 / (LEVELS - self.threshold) as f32;
        let mut factors = [0.0; BLOCK];
        for (from, to) in from.chunks(BLOCK).zip(to.chunks_mut(BLOCK)) {
            for four in factors.as_chunks_mut::<4>().0 {
                let bits = rng.next_u64();
                for (i, factor) in four.iter_mut().enumerate() {
                    let draw = (bits >> (16 * i)) as u32 % LEVELS;
                    *factor = if draw < self.threshold { 0.0 } else { scale };
                }
            }
            for ((from, to), factor) in from.iter().zip(to).zip(&factors) {
                *to = *from * *factor;
            }
        }
    }
}

impl Layer for Dropout {
    fn n_in(&self) -> usize {
        self.n_cols
    }
    fn n_out(&self) -> usize {
        self.n_cols
    }
    fn forward(&self, pass: &mut Pass, x: &[f32], y: &mut [f32]) {
        self.apply(pass.mode, x, y);
    }
    fn backward(&self, pass: &mut Pass, _x: &[f32], _y: &[f32], dy: &mut [f32], dx: Option<&mut [f32]>) {
        if let Some(dx) = dx {
            self.apply(pass.mode, dy, dx);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use crate::layer::Math;
    use crate::params::Params;
    use crate::workspace::Workspace;

    /// The output of rows of ones.
    fn ones(layer: &Dropout, n_rows: usize, seed: u64) -> Vec<f32> {
        let x = vec![1.0; n_rows * layer.n_cols];
        Workspace::forward_only(layer, n_rows)
            .forward(layer, &[], &x, n_rows, Mode::Train { seed }, Math::Train)
            .to_vec()
    }

    #[test]
    fn drops_its_share_and_keeps_the_mean() {
        for rate in [0.0, 0.1, 0.5, 0.9] {
            let layer = Dropout::new(101, rate, 3).expect("allowed");
            let y = ones(&layer, 1000, 5);
            let dropped = y.iter().filter(|v| **v == 0.0).count() as f32 / y.len() as f32;
            let mean = y.iter().map(|v| f64::from(*v)).sum::<f64>() / y.len() as f64;
            assert!((dropped - rate).abs() < 0.005, "{rate}: {dropped} dropped");
            assert!((mean - 1.0).abs() < 0.03, "{rate}: mean {mean}");
        }
    }

    #[test]
    fn seeds_and_streams_have_their_own_draws() {
        let a = Dropout::new(64, 0.5, 1).expect("allowed");
        let b = Dropout::new(64, 0.5, 2).expect("allowed");
        assert_eq!(ones(&a, 3, 7), ones(&a, 3, 7));
        assert_ne!(ones(&a, 3, 7), ones(&a, 3, 8));
        assert_ne!(ones(&a, 3, 7), ones(&b, 3, 7));
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        check::finite_differences(&Dropout::new(70, 0.3, 3).expect("allowed"), &Params::default(), 5);
    }

    #[test]
    fn scores_are_the_rows() {
        let x: Vec<f32> = (0..70).map(|i| i as f32).collect();
        let layer = Dropout::new(70, 0.3, 3).expect("allowed");
        let mut work = Workspace::forward_only(&layer, 1);
        assert_eq!(work.forward(&layer, &[], &x, 1, Mode::Evaluate, Math::Score), x);
        check::same_bits_everywhere(&layer, &Params::default(), &x);
    }

    #[test]
    fn rejects_rates_outside_the_range() {
        for (rate, expected) in [
            (1.0, "dropout 1; allowed: at least 0, below 1"),
            (-0.1, "dropout -0.1; allowed: at least 0, below 1"),
            (f32::NAN, "dropout NaN; allowed: at least 0, below 1"),
        ] {
            assert_eq!(Dropout::new(3, rate, 0).expect_err("not allowed").to_string(), expected);
        }
    }
}
