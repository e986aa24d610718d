//! Pooling: the largest or the mean of the numbers of a window, feature by feature; and of all steps that count.
//!
//! Backward, a mean of n numbers gives each `dy / n`, and a largest number gets all of dy: the first of equal ones. Of steps x with
//! weights m the mean is `y = Σ m x / n` with s = Σ m and n = max(s, 1); backward, `dxⱼ = mⱼ dy / n` and, where mⱼ is not 0,
//! `dmⱼ = (xⱼ − [s > 1] y) · dy / n`.

use super::sequence::{Column, Counted, MAX_COLUMNS, MAX_SIZE, Sequence, check_size};
use super::{Layer, Pass, weighed};
use statera_core::{Error, Result};
use statera_kernel::math32;

/// What becomes of the numbers of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// The largest.
    Max,
    /// The mean.
    Average,
}

/// The shape of a row that is an image: height × width × channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Image {
    /// Lines.
    pub height: usize,
    /// Points of a line.
    pub width: usize,
    /// Numbers of a point.
    pub channels: usize,
}

impl Image {
    /// Checks the sizes.
    pub(super) fn check(&self) -> Result<()> {
        check_size("height", self.height, 1..=MAX_SIZE)?;
        check_size("width", self.width, 1..=MAX_SIZE)?;
        check_size("channels", self.channels, 1..=MAX_SIZE)?;
        check_size("columns of an image", self.n_cols(), 1..=MAX_COLUMNS)
    }

    /// Columns of a row.
    pub fn n_cols(&self) -> usize {
        self.height * self.width * self.channels
    }
}

/// Pooling of windows of `size` points that begin every `stride` points, without padding.
#[derive(Debug, Clone)]
pub struct Pool {
    input: Image,
    /// Which points count, of a row that is a sequence (of height 1).
    counted: Counted,
    size: [usize; 2],
    stride: [usize; 2],
    pooling: Pooling,
}

impl Pool {
    /// Pools windows of steps. Of a sequence of length L, the windows of its first L steps count.
    ///
    /// # Errors
    /// An empty sequence, steps with weights, a window of 0 or of more steps than there are, a stride of 0.
    pub fn of_steps(input: Sequence, size: usize, stride: usize, pooling: Pooling) -> Result<Pool> {
        input.check_unweighed("a pool")?;
        check_size("steps of a window", size, 1..=input.n_steps)?;
        check_size("stride", stride, 1..=MAX_SIZE)?;
        let image = Image { height: 1, width: input.n_steps, channels: input.n_features };
        Ok(Pool { input: image, counted: input.counted, size: [1, size], stride: [1, stride], pooling })
    }

    /// Pools windows of `size` (height, width) of images, which begin every `stride` points.
    ///
    /// # Errors
    /// An empty image, a window of 0 or larger than the image, a stride of 0.
    pub fn of_image(input: Image, size: [usize; 2], stride: [usize; 2], pooling: Pooling) -> Result<Pool> {
        input.check()?;
        check_size("height of a window", size[0], 1..=input.height)?;
        check_size("width of a window", size[1], 1..=input.width)?;
        check_size("stride", stride[0], 1..=MAX_SIZE)?;
        check_size("stride", stride[1], 1..=MAX_SIZE)?;
        Ok(Pool { input, counted: Counted::All, size, stride, pooling })
    }

    /// The shape of the output without the column of lengths.
    pub fn output(&self) -> Image {
        let height = (self.input.height - self.size[0]) / self.stride[0] + 1;
        Image { height, width: self.width_out(self.input.width), channels: self.input.channels }
    }

    /// Windows of the first `width` points of a line.
    fn width_out(&self, width: usize) -> usize {
        if width < self.size[1] { 0 } else { (width - self.size[1]) / self.stride[1] + 1 }
    }

    /// Windows in a line of a row that count.
    fn counted(&self, row: &[f32]) -> usize {
        self.width_out(self.sequence().length(row))
    }

    /// The input as a sequence of its points' columns, for its lengths.
    fn sequence(&self) -> Sequence {
        let Image { width, channels, height } = self.input;
        Sequence { n_steps: width, n_features: channels * height, counted: self.counted }
    }

    /// Calls `each` with the place of every counted window in the output and the places of its points in the input.
    fn windows(&self, counted: usize, mut each: impl FnMut(usize, &mut dyn Iterator<Item = usize>)) {
        let (output, c) = (self.output(), self.input.channels);
        for line in 0..output.height {
            for column in 0..counted {
                let corner = line * self.stride[0] * self.input.width + column * self.stride[1];
                let (width, n) = (self.input.width, self.size[1]);
                let mut points = (0..self.size[0]).flat_map(|i| (0..n).map(move |j| (corner + i * width + j) * c));
                each((line * output.width + column) * c, &mut points);
            }
        }
    }
}

impl Layer for Pool {
    fn n_in(&self) -> usize {
        self.sequence().n_cols()
    }
    fn n_out(&self) -> usize {
        self.output().n_cols() + self.n_in() - self.input.n_cols()
    }

    fn forward(&self, _pass: &mut Pass, x: &[f32], y: &mut [f32]) {
        let (c, scale) = (self.input.channels, 1.0 / (self.size[0] * self.size[1]) as f32);
        let lengths = Sequence { n_steps: self.output().width, ..self.sequence() };
        for (x, y) in x.chunks_exact(self.n_in()).zip(y.chunks_exact_mut(self.n_out())) {
            y.fill(0.0);
            let counted = self.counted(x);
            self.windows(counted, |place, points| {
                let y = &mut y[place..][..c];
                if let Some(first) = points.next() {
                    y.copy_from_slice(&x[first..][..c]);
                }
                for point in points {
                    combine(self.pooling, y, &x[point..][..c]);
                }
                if self.pooling == Pooling::Average {
                    y.iter_mut().for_each(|y| *y *= scale);
                }
            });
            Column::Length.write(&lengths, counted, y);
        }
    }

    fn backward(&self, _pass: &mut Pass, x: &[f32], y: &[f32], dy: &mut [f32], dx: Option<&mut [f32]>) {
        let Some(dx) = dx else { return };
        let (c, scale) = (self.input.channels, 1.0 / (self.size[0] * self.size[1]) as f32);
        let (n_in, n_out) = (self.n_in(), self.n_out());
        let rows = x.chunks_exact(n_in).zip(y.chunks_exact(n_out)).zip(dy.chunks_exact_mut(n_out));
        for (((x, y), dy), dx) in rows.zip(dx.chunks_exact_mut(n_in)) {
            dx.fill(0.0);
            self.windows(self.counted(x), |place, points| {
                let (y, dy) = (&y[place..][..c], &mut dy[place..][..c]);
                for point in points {
                    let (x, dx) = (&x[point..][..c], &mut dx[point..][..c]);
                    give_back(self.pooling, scale, (x, y), dy, dx);
                }
            });
        }
    }
}

/// Adds, or takes the larger of, two numbers of each feature. NaN stays.
fn combine(pooling: Pooling, y: &mut [f32], x: &[f32]) {
    match pooling {
        Pooling::Average => y.iter_mut().zip(x).for_each(|(y, x)| *y += *x),
        Pooling::Max => y.iter_mut().zip(x).for_each(|(y, x)| *y = if *x > *y || x.is_nan() { *x } else { *y }),
    }
}

/// Adds a point's part of the gradient. The largest number takes it all: for equal ones behind it nothing is left.
fn give_back(pooling: Pooling, scale: f32, (x, y): (&[f32], &[f32]), dy: &mut [f32], dx: &mut [f32]) {
    match pooling {
        Pooling::Average => dx.iter_mut().zip(dy).for_each(|(dx, dy)| *dx += *dy * scale),
        Pooling::Max => {
            for (((x, y), dy), dx) in x.iter().zip(y).zip(dy).zip(dx) {
                if x == y {
                    *dx += std::mem::take(dy);
                }
            }
        }
    }
}

/// Pooling over all steps that count: a row of features. A sequence of which none does becomes 0.
#[derive(Debug, Clone)]
pub struct GlobalPool {
    input: Sequence,
    pooling: Pooling,
}

impl GlobalPool {
    /// Pools all steps that count (an image is a sequence of its points).
    ///
    /// # Errors
    /// An empty sequence, or the largest of steps with weights.
    pub fn new(input: Sequence, pooling: Pooling) -> Result<GlobalPool> {
        input.check()?;
        if input.counted == Counted::Weights && pooling == Pooling::Max {
            return Err(Error::request("the largest of weighed steps; allowed: their mean"));
        }
        Ok(GlobalPool { input, pooling })
    }

    /// 1 / n of a mean.
    fn scale(&self, length: usize) -> f32 {
        1.0 / length.max(1) as f32
    }

    /// Writes the gradient of weighed steps to `dx`, which is 0, given that of their mean.
    fn steps_backward(&self, weights: &[f32], dy: &[f32], dx: &mut [f32]) {
        let scale = 1.0 / weighed::total(weights).max(1.0);
        for (dx, m) in dx.chunks_exact_mut(self.input.n_features).zip(weights).filter(|(_, m)| **m != 0.0) {
            dx.iter_mut().zip(dy).for_each(|(dx, dy)| *dx = m * (dy * scale));
        }
    }

    /// Writes that of the weights, given the mean and its gradient.
    fn weights_backward(&self, row: &[f32], weights: &[f32], (y, dy): (&[f32], &[f32]), d_weights: &mut [f32]) {
        let sum = weighed::total(weights);
        let scale = 1.0 / sum.max(1.0);
        let of_mean = if sum > 1.0 { math32::sum_of_products(y, dy) } else { 0.0 };
        let steps = row.chunks_exact(self.input.n_features).zip(weights).zip(d_weights);
        for ((x, _), dm) in steps.filter(|((_, m), _)| **m != 0.0) {
            *dm = (math32::sum_of_products(x, dy) - of_mean) * scale;
        }
    }
}

impl Layer for GlobalPool {
    fn n_in(&self) -> usize {
        self.input.n_cols()
    }
    fn n_out(&self) -> usize {
        self.input.n_features
    }

    fn forward(&self, _pass: &mut Pass, x: &[f32], y: &mut [f32]) {
        let n = self.input.n_features;
        for (row, y) in x.chunks_exact(self.n_in()).zip(y.chunks_exact_mut(n)) {
            if let Some(weights) = self.input.weights(row) {
                weighed::sum(weights, row, y);
                let scale = 1.0 / weighed::total(weights).max(1.0);
                y.iter_mut().for_each(|y| *y *= scale);
                continue;
            }
            let length = self.input.length(row);
            let mut steps = row[..length * n].chunks_exact(n);
            match steps.next() {
                Some(first) => y.copy_from_slice(first),
                None => y.fill(0.0),
            }
            steps.for_each(|step| combine(self.pooling, y, step));
            if self.pooling == Pooling::Average {
                let scale = self.scale(length);
                y.iter_mut().for_each(|y| *y *= scale);
            }
        }
    }

    fn backward(&self, pass: &mut Pass, x: &[f32], y: &[f32], dy: &mut [f32], dx: Option<&mut [f32]>) {
        let Some(dx) = dx else { return };
        let n = self.input.n_features;
        let rows = x.chunks_exact(self.n_in()).zip(y.chunks_exact(n)).zip(dy.chunks_exact_mut(n));
        for (((row, y), dy), dx) in rows.zip(dx.chunks_exact_mut(self.n_in())) {
            dx.fill(0.0);
            if let Some(weights) = self.input.weights(row) {
                self.steps_backward(weights, dy, dx);
                if pass.to_input {
                    self.weights_backward(row, weights, (y, dy), &mut dx[weights.len() * n..]);
                }
                continue;
            }
            let length = self.input.length(row);
            for (x, dx) in row.chunks_exact(n).zip(dx.chunks_exact_mut(n)).take(length) {
                give_back(self.pooling, self.scale(length), (x, y), dy, dx);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use crate::params::Params;

    const POOLINGS: [(&str, Pooling); 2] = [("max", Pooling::Max), ("average", Pooling::Average)];

    /// Every kind of pooling with its case and, for sequences, their shape.
    fn layers() -> Vec<(String, Box<dyn Layer>, Sequence)> {
        let mut layers: Vec<(String, Box<dyn Layer>, Sequence)> = Vec::new();
        for (name, pooling) in POOLINGS {
            let image = Image { height: 5, width: 4, channels: 3 };
            let plain = Sequence { n_steps: 20, n_features: 3, counted: Counted::All };
            for (size, stride) in [([2, 2], [2, 2]), ([3, 2], [1, 2])] {
                let layer = Pool::of_image(image, size, stride, pooling).expect("sizes are allowed");
                layers.push((format!("image_{}_{}_{name}", size[0], stride[0]), Box::new(layer), plain));
            }
            for (suffix, counted) in [("", Counted::All), ("_lengths", Counted::Lengths)] {
                let input = Sequence { n_steps: 7, n_features: 3, counted };
                let global = GlobalPool::new(input, pooling).expect("sizes are allowed");
                layers.push((format!("global_{name}{suffix}"), Box::new(global), input));
                for (size, stride) in [(2, 2), (3, 1)] {
                    let layer = Pool::of_steps(input, size, stride, pooling).expect("sizes are allowed");
                    layers.push((format!("steps_{size}_{stride}_{name}{suffix}"), Box::new(layer), input));
                }
            }
        }
        layers
    }

    /// The same, and the mean of weighed steps, of which PyTorch has no numbers.
    fn all_layers() -> Vec<(String, Box<dyn Layer>, Sequence)> {
        let mut layers = layers();
        let input = Sequence { n_steps: 7, n_features: 3, counted: Counted::Weights };
        let mean = GlobalPool::new(input, Pooling::Average).expect("sizes are allowed");
        layers.push(("global_average_weights".into(), Box::new(mean), input));
        layers
    }

    #[test]
    fn equals_pytorch() {
        for (name, layer, _) in layers() {
            check::torch_case(&*layer, &Params::default(), "pool", &name);
        }
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        for (_, layer, shape) in all_layers() {
            let mut x = check::sequences(&shape, 16, 3);
            // No two numbers of a window are so near that a step of a finite difference changes which is the larger.
            for row in x.chunks_exact_mut(shape.n_cols()) {
                for (i, v) in row[..shape.n_steps * 3].iter_mut().enumerate() {
                    *v = (*v * 4.0).round() / 4.0 + (i / 3 % 12) as f32 * 0.02;
                }
            }
            check::finite_differences_at(&*layer, &Params::default(), &x, true);
        }
    }

    #[test]
    fn scores_have_the_same_bits_everywhere() {
        for (_, layer, shape) in all_layers() {
            check::same_bits_everywhere(&*layer, &Params::default(), &check::sequences(&shape, 17, 4));
        }
    }

    #[test]
    fn rejects_windows_that_do_not_fit() {
        let input = Sequence { n_steps: 5, n_features: 3, counted: Counted::All };
        let message = Pool::of_steps(input, 6, 1, Pooling::Max).expect_err("too long").to_string();
        assert_eq!(message, "steps of a window 6; allowed: 1 to 5");
        let message = Pool::of_steps(input, 2, 0, Pooling::Max).expect_err("no stride").to_string();
        assert_eq!(message, "stride 0; allowed: 1 to 65536");
        let weighed = input.with_weights();
        let message = Pool::of_steps(weighed, 2, 2, Pooling::Max).expect_err("weights").to_string();
        assert_eq!(message, "a pool of weighed steps; allowed: steps that all count, or lengths");
        let message = GlobalPool::new(weighed, Pooling::Max).expect_err("weights").to_string();
        assert_eq!(message, "the largest of weighed steps; allowed: their mean");
        let image = Image { height: 2, width: 2, channels: 1 };
        let message = Pool::of_image(image, [3, 1], [1, 1], Pooling::Max).expect_err("too high").to_string();
        assert_eq!(message, "height of a window 3; allowed: 1 to 2");
    }
}
