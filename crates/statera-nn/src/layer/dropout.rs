//! Dropout (Srivastava et al. 2014): in training each number is 0 with probability `rate` and divided by 1 − `rate`
//! otherwise; backward masks the gradient alike.

use super::sequence::{MAX_COLUMNS, check_size};
use super::{Layer, Mode, Pass};
use statera_core::{Error, Result, Rng};
use statera_kernel::elementwise;

/// A dropout layer.
#[derive(Debug, Clone)]
pub struct Dropout {
    n: usize,
    rate: f32,
    stream: u64,
}

impl Dropout {
    /// Of `n` columns; `rate` in [0, 1); `stream` tells this layer's draws from those of others.
    pub fn new(n: usize, rate: f32, stream: u64) -> Dropout {
        Dropout { n, rate, stream }
    }

    /// The same for a rate that nobody has checked.
    ///
    /// # Errors
    /// No columns, or a rate outside [0, 1).
    pub fn checked(n: usize, rate: f32, stream: u64) -> Result<Dropout> {
        check_size("columns of a dropout", n, 1..=MAX_COLUMNS)?;
        if !(0.0..1.0).contains(&rate) {
            return Err(Error::request(format!("dropout {rate}; allowed: at least 0, below 1")));
        }
        Ok(Dropout::new(n, rate, stream))
    }

    fn mask(&self, pass: &Pass, values: &mut [f32]) {
        let rate = self.rate * pass.dropout_factor;
        if let Mode::Train { seed } = pass.mode
            && rate > 0.0
        {
            elementwise::dropout(values, rate, Rng::fork(seed, self.stream).next_u64());
        }
    }
}

impl Layer for Dropout {
    fn n_in(&self) -> usize {
        self.n
    }
    fn n_out(&self) -> usize {
        self.n
    }
    fn forward(&self, pass: &mut Pass, x: &[f32], y: &mut [f32]) {
        y.copy_from_slice(x);
        self.mask(pass, y);
    }
    fn backward(&self, pass: &mut Pass, _: &[f32], _: &[f32], dy: &mut [f32], dx: Option<&mut [f32]>) {
        if let Some(dx) = dx {
            dx.copy_from_slice(dy);
            self.mask(pass, dx);
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

    #[test]
    fn gradients_are_those_of_finite_differences() {
        check::finite_differences(&Dropout::new(5, 0.4, 1), &Params::default(), 7);
    }

    #[test]
    fn the_mean_stays_and_scoring_changes_nothing() {
        let layer = Dropout::new(1000, 0.3, 1);
        let mut work = Workspace::forward_only(&layer, 100);
        let x = vec![1.0; 100_000];
        let y = work.forward(&layer, &[], &x, 100, Mode::Train { seed: 3 }, Math::Train);
        let dropped = y.iter().filter(|v| **v == 0.0).count() as f64 / 1e5;
        let mean = y.iter().map(|v| f64::from(*v)).sum::<f64>() / 1e5;
        assert!((dropped - 0.3).abs() < 0.005 && (mean - 1.0).abs() < 0.01, "{dropped} dropped, mean {mean}");
        let pairs = y.windows(2).filter(|w| w[0] == 0.0 && w[1] == 0.0).count() as f64 / 1e5;
        assert!((pairs - 0.09).abs() < 0.005, "neighbours are independent: {pairs}");
        assert_eq!(work.forward(&layer, &[], &x, 100, Mode::Evaluate, Math::Score), &x[..]);
    }

    #[test]
    fn seeds_and_streams_have_their_own_draws() {
        let run = |stream, seed| {
            let layer = Dropout::new(64, 0.5, stream);
            let mut work = Workspace::forward_only(&layer, 3);
            work.forward(&layer, &[], &[1.0; 192], 3, Mode::Train { seed }, Math::Train).to_vec()
        };
        assert_eq!(run(1, 7), run(1, 7));
        assert_ne!(run(1, 7), run(1, 8));
        assert_ne!(run(1, 7), run(2, 7));
    }

    #[test]
    fn rejects_rates_outside_the_range() {
        for (rate, expected) in [
            (1.0, "dropout 1; allowed: at least 0, below 1"),
            (-0.1, "dropout -0.1; allowed: at least 0, below 1"),
            (f32::NAN, "dropout NaN; allowed: at least 0, below 1"),
        ] {
            assert_eq!(Dropout::checked(3, rate, 0).expect_err("not allowed").to_string(), expected);
        }
        let message = Dropout::checked(0, 0.1, 0).expect_err("not allowed").to_string();
        assert_eq!(message, "columns of a dropout 0; allowed: 1 to 16777216");
    }
}
