//! From the outputs of all members to margins: predictions are averaged, not outputs.

use super::attribution::Head;
use statera_core::Task;
use statera_kernel::math;

/// The mean prediction of a network's members.
#[derive(Debug, Clone, Copy)]
pub struct Average {
    /// What is predicted.
    pub task: Task,
    /// Members of the network.
    pub n_members: usize,
    /// Added to a regression's output times `scale`.
    pub mean: f64,
    /// A regression's unit.
    pub scale: f64,
}

/// Keeps the logarithm of a mean probability finite.
const LEAST: f64 = 1e-300;

impl Head for Average {
    fn n_outputs(&self) -> usize {
        self.task.n_outputs()
    }

    fn scale(&self) -> f64 {
        self.scale
    }

    /// The margins of rows of `n_members × n_outputs` outputs: the log-odds of the mean probability, logarithms of the
    /// mean probabilities of the classes, or the mean value. A single member's outputs are margins already.
    fn margins(&self, y: &[f32]) -> Vec<f64> {
        let n_outputs = self.task.n_outputs();
        if self.task == Task::Regression {
            let value = |row: &[f32]| row.iter().map(|&v| f64::from(v)).sum::<f64>() / row.len() as f64;
            return y.chunks_exact(self.n_members).map(|row| self.mean + self.scale * value(row)).collect();
        }
        if self.n_members == 1 {
            return y.iter().map(|&v| f64::from(v)).collect();
        }
        let mut out = Vec::with_capacity(y.len() / self.n_members);
        for row in y.chunks_exact(self.n_members * n_outputs) {
            if n_outputs == 1 {
                // Odds of means are means of both sides: no cancellation in 1 − p.
                let sum = |sign: f64| row.iter().map(|&z| math::sigmoid(sign * f64::from(z))).sum::<f64>();
                out.push(math::ln(sum(1.0).max(LEAST)) - math::ln(sum(-1.0).max(LEAST)));
            } else {
                let mut mean = vec![0.0; n_outputs];
                for member in row.chunks_exact(n_outputs) {
                    mean.iter_mut().zip(softmax(member)).for_each(|(m, p)| *m += p);
                }
                out.extend(mean.iter().map(|m| math::ln(m.max(LEAST) / self.n_members as f64)));
            }
        }
        out
    }

    /// The gradient of margin `output` with respect to the outputs of a row.
    fn gradient(&self, y: &[f32], output: usize, dy: &mut [f32]) {
        let (k, n_outputs) = (self.n_members as f64, self.task.n_outputs());
        match self.task {
            Task::Regression => dy.fill((self.scale / k) as f32),
            _ if self.n_members == 1 => {
                dy.fill(0.0);
                dy[output] = 1.0;
            }
            Task::Binary => {
                let p: Vec<f64> = y.iter().map(|&z| math::sigmoid(f64::from(z))).collect();
                let mean = p.iter().sum::<f64>() / k;
                let inverse = 1.0 / (k * (mean * (1.0 - mean)).max(LEAST));
                dy.iter_mut().zip(p).for_each(|(d, p)| *d = (p * (1.0 - p) * inverse) as f32);
            }
            Task::Classes(_) => {
                let p: Vec<f64> = y.chunks_exact(n_outputs).flat_map(softmax).collect();
                let total: f64 = p.iter().skip(output).step_by(n_outputs).sum::<f64>().max(LEAST);
                for (d, p) in dy.chunks_exact_mut(n_outputs).zip(p.chunks_exact(n_outputs)) {
                    for (j, d) in d.iter_mut().enumerate() {
                        let own = if j == output { 1.0 } else { 0.0 };
                        *d = (p[output] * (own - p[j]) / total) as f32;
                    }
                }
            }
        }
    }
}

/// The softmax of a member's outputs.
fn softmax(z: &[f32]) -> Vec<f64> {
    let largest = z.iter().fold(f32::NEG_INFINITY, |m, &v| m.max(v));
    let parts: Vec<f64> = z.iter().map(|&v| math::exp(f64::from(v) - f64::from(largest))).collect();
    let sum: f64 = parts.iter().sum();
    parts.into_iter().map(|p| p / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_averaged_and_gradients_are_those_of_finite_differences() {
        let cases = [(Task::Binary, 3), (Task::Classes(3), 2), (Task::Regression, 4), (Task::Classes(3), 1)];
        for (task, n_members) in cases {
            let average = Average { task, n_members, mean: 1.0, scale: 2.0 };
            let n_outputs = task.n_outputs();
            let y: Vec<f32> = (0..n_members * n_outputs).map(|i| (i as f32 * 1.7).sin() * 2.0).collect();
            if task == Task::Binary {
                let p = y.iter().map(|z| 1.0 / (1.0 + (-f64::from(*z)).exp())).sum::<f64>() / 3.0;
                assert!((average.margins(&y)[0] - (p / (1.0 - p)).ln()).abs() < 1e-12);
            }
            for output in 0..n_outputs {
                let mut dy = vec![f32::NAN; y.len()];
                average.gradient(&y, output, &mut dy);
                for i in 0..y.len() {
                    let moved = |h: f32| {
                        let mut y = y.clone();
                        y[i] += h;
                        average.margins(&y)[output]
                    };
                    let slope = (moved(1e-2) - moved(-1e-2)) / 2e-2;
                    assert!((f64::from(dy[i]) - slope).abs() < 1e-3, "{task:?}: {} against {slope}", dy[i]);
                }
            }
        }
    }

    #[test]
    fn far_outputs_give_finite_margins() {
        let average = Average { task: Task::Binary, n_members: 2, mean: 0.0, scale: 1.0 };
        assert!(average.margins(&[800.0, 900.0, -800.0, -900.0]).iter().all(|m| m.is_finite()));
    }
}
