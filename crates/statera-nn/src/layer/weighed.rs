//! What layers of weighed steps share: sums, and steps that go into a product times their weights. A step of weight 0 is never
//! read, so that it can hold anything.

use statera_kernel::math32;

/// Σ m, in order.
pub(super) fn total(weights: &[f32]) -> f32 {
    weights.iter().fold(0.0, |sum: f32, m| sum + m)
}

/// `Σ m x` over the vectors x of `to.len()` numbers that begin `vectors`, in order.
pub(super) fn sum(weights: &[f32], vectors: &[f32], to: &mut [f32]) {
    to.fill(0.0);
    for (m, vector) in weights.iter().zip(vectors.chunks_exact(to.len())).filter(|(m, _)| **m != 0.0) {
        to.iter_mut().zip(vector).for_each(|(to, v)| *to += m * v);
    }
}

/// Multiplies steps by their weights: those of weight 1 keep their bits, those of weight 0 become 0 whatever they held.
pub(super) fn weigh(weights: &[f32], steps: &mut [f32]) {
    for (step, m) in in_steps(weights, steps).filter(|(_, m)| **m != 1.0) {
        if *m == 0.0 { step.fill(0.0) } else { step.iter_mut().for_each(|v| *v *= m) }
    }
}

/// Back through [`weigh`]: from the gradient of what it wrote to that of the steps `x`, and adds that of their weights, 0 where a
/// weight is 0.
pub(super) fn weigh_backward(weights: &[f32], x: &[f32], d_steps: &mut [f32], d_weights: &mut [f32]) {
    let width = d_steps.len() / weights.len();
    for ((d, m), (x, dm)) in in_steps(weights, d_steps).zip(x.chunks_exact(width).zip(d_weights)) {
        if *m == 0.0 {
            d.fill(0.0);
            *dm = 0.0;
        } else {
            *dm += math32::sum_of_products(x, d);
            d.iter_mut().for_each(|d| *d *= m);
        }
    }
}

/// Sets the steps of weight 0 to 0.
pub(super) fn clear(weights: &[f32], steps: &mut [f32]) {
    in_steps(weights, steps).filter(|(_, m)| **m == 0.0).for_each(|(step, _)| step.fill(0.0));
}

/// Steps, of as many numbers each, with their weights.
fn in_steps<'a>(weights: &'a [f32], steps: &'a mut [f32]) -> impl Iterator<Item = (&'a mut [f32], &'a f32)> {
    let width = steps.len() / weights.len();
    steps.chunks_exact_mut(width).zip(weights)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_counts_by_its_weight_and_one_of_weight_zero_is_not_read() {
        let weights = [0.0, 1.0, 0.5];
        let x = [f32::NAN, f32::NAN, 3.0, 4.0, 5.0, 6.0];
        let mut to = [9.0; 2];
        sum(&weights, &x, &mut to);
        assert_eq!((total(&weights), to), (1.5, [5.5, 7.0]));
        let mut steps = x;
        weigh(&weights, &mut steps);
        assert_eq!(steps, [0.0, 0.0, 3.0, 4.0, 2.5, 3.0]);
        let (mut d_steps, mut d_weights) = ([f32::NAN, 7.0, 1.0, 2.0, 3.0, 4.0], [8.0, 10.0, 20.0]);
        weigh_backward(&weights, &x, &mut d_steps, &mut d_weights);
        assert_eq!((d_steps, d_weights), ([0.0, 0.0, 1.0, 2.0, 1.5, 2.0], [0.0, 21.0, 59.0]));
        let mut steps = [1.0; 6];
        clear(&weights, &mut steps);
        assert_eq!(steps, [0.0, 0.0, 1.0, 1.0, 1.0, 1.0]);
    }
}
