//! Convolution over images, with its activation: `y(i, j) = f(b + Σ x(s i + u − p, s j + v − p) W(u, v))` over the kernel's
//! places (u, v), with strides s and p points of zero padding on all sides.
//!
//! W is `(kernel height × kernel width × channels) × n_filters`. The windows of some rows are copied into a matrix (a line of
//! a window lies together in memory), and the convolution is a product with it. Backward, with δ = dy ⊙ f′:
//! `dW += windows(x)ᵀ δ`, `db += Σ δ`, and `δ Wᵀ` is added back to the places that windows came from.

use super::pool::Image;
use super::sequence::{MAX_SIZE, check_size};
use super::{Layer, Pass};
use crate::activation::Activation;
use crate::params::{Init, Params, Role, padded};
use crate::product::{self, View};
use statera_core::{Result, Rng};
use std::ops::Range;

/// The sizes of a convolution over images: height, then width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Points of the kernel.
    pub kernel: [usize; 2],
    /// Points from a window to the next.
    pub stride: [usize; 2],
    /// Zero points on each side.
    pub padding: [usize; 2],
}

/// A convolution over images.
#[derive(Debug, Clone)]
pub struct Conv2d {
    input: Image,
    n_filters: usize,
    window: Window,
    activation: Activation,
    weight: Range<usize>,
    bias: Range<usize>,
}

/// Windows of a product: what it reads and writes stays in the second-level cache.
const WINDOWS_TOGETHER: usize = 256;

impl Conv2d {
    /// Adds `name.weight` (kernel height × kernel width × channels × n_filters) and `name.bias` (n_filters) to the parameters,
    /// uniform between ±1/√(numbers of a window) (PyTorch's start).
    ///
    /// # Errors
    /// An empty image, no filters, a stride of 0, padding of a whole kernel, or a kernel of 0 or larger than the padded image.
    pub fn new(
        params: &mut Params,
        rng: &mut Rng,
        name: &str,
        input: Image,
        n_filters: usize,
        window: Window,
        activation: Activation,
    ) -> Result<Conv2d> {
        input.check()?;
        check_size("filters", n_filters, 1..=MAX_SIZE)?;
        for (side, size) in [input.height, input.width].into_iter().enumerate() {
            let what = ["height", "width"][side];
            let Window { kernel, stride, padding } = window;
            check_size(&format!("padding in {what}"), padding[side], 0..=MAX_SIZE)?;
            check_size(&format!("{what} of a kernel"), kernel[side], 1..=size + 2 * padding[side])?;
            check_size(&format!("padding in {what}"), padding[side], 0..=kernel[side] - 1)?;
            check_size(&format!("stride in {what}"), stride[side], 1..=MAX_SIZE)?;
        }
        let [height, width] = window.kernel;
        let bound = Init::Uniform(1.0 / ((height * width * input.channels) as f32).sqrt());
        let shape = [height, width, input.channels, n_filters];
        let weight = params.add(format!("{name}.weight"), &shape, &bound, Role::WEIGHT, rng);
        let bias = params.add(format!("{name}.bias"), &[n_filters], &bound, Role::BIAS, rng);
        Ok(Conv2d { input, n_filters, window, activation, weight, bias })
    }

    /// The shape of the output.
    pub fn output(&self) -> Image {
        let Window { kernel, stride, padding } = self.window;
        let side = |size: usize, i: usize| (size + 2 * padding[i] - kernel[i]) / stride[i] + 1;
        Image { height: side(self.input.height, 0), width: side(self.input.width, 1), channels: self.n_filters }
    }

    /// Windows of a row, and numbers of a window.
    fn windows_of_row(&self) -> [usize; 2] {
        let [height, width] = self.window.kernel;
        [self.output().height * self.output().width, height * width * self.input.channels]
    }

    /// Rows of a product.
    fn together(&self, n_rows: usize) -> usize {
        (WINDOWS_TOGETHER / self.windows_of_row()[0]).clamp(1, n_rows.max(1))
    }

    /// Calls `each` for every line of every window of a row, with its place in the row's matrix of windows, its place in the
    /// row and its length; `None` where it lies in the padding.
    fn lines(&self, mut each: impl FnMut(Range<usize>, Option<(usize, Range<usize>)>)) {
        let (output, channels) = (self.output(), self.input.channels);
        let Window { kernel, stride, padding } = self.window;
        let len = kernel[1] * channels;
        let mut place = 0;
        for i in 0..output.height {
            for j in 0..output.width {
                // Columns of the window that lie within the image.
                let left = (j * stride[1]) as isize - padding[1] as isize;
                let first = (-left).max(0) as usize;
                let end = (self.input.width as isize - left).clamp(first as isize, kernel[1] as isize) as usize;
                for u in 0..kernel[0] {
                    let line = (i * stride[0] + u).checked_sub(padding[0]).filter(|l| *l < self.input.height);
                    let inside = line.filter(|_| end > first).map(|line| {
                        let from = (line * self.input.width + (left + first as isize) as usize) * channels;
                        (place + first * channels, from..from + (end - first) * channels)
                    });
                    each(place..place + len, inside);
                    place += len;
                }
            }
        }
    }

    /// Writes the windows of rows.
    fn put_windows(&self, x: &[f32], windows: &mut [f32]) {
        let [n_windows, len] = self.windows_of_row();
        let rows = x.chunks_exact(self.n_in()).zip(windows.chunks_exact_mut(n_windows * len));
        for (x, windows) in rows {
            self.lines(|place, inside| {
                let Some((to, from)) = inside else {
                    windows[place].fill(0.0);
                    return;
                };
                if from.len() < place.len() {
                    windows[place].fill(0.0);
                }
                windows[to..][..from.len()].copy_from_slice(&x[from]);
            });
        }
    }

    /// Writes the gradient of rows from that of their windows.
    fn add_windows(&self, windows: &[f32], dx: &mut [f32]) {
        let [n_windows, len] = self.windows_of_row();
        let n_in = self.n_in();
        for (dx, windows) in dx.chunks_exact_mut(n_in).zip(windows.chunks_exact(n_windows * len)) {
            dx.fill(0.0);
            self.lines(|_, inside| {
                if let Some((place, to)) = inside {
                    let windows = &windows[place..][..to.len()];
                    dx[to].iter_mut().zip(windows).for_each(|(dx, d)| *dx += *d);
                }
            });
        }
    }
}

/// The cache is the activation's; the scratch holds the windows of some rows.
impl Layer for Conv2d {
    fn n_in(&self) -> usize {
        self.input.n_cols()
    }
    fn n_out(&self) -> usize {
        self.output().n_cols()
    }
    fn cache_len(&self, n_rows: usize) -> usize {
        self.activation.cache_len(n_rows * self.n_out())
    }
    fn scratch_len(&self, n_rows: usize) -> usize {
        let [n_windows, len] = self.windows_of_row();
        padded(self.together(n_rows) * n_windows * len)
    }

    fn forward(&self, pass: &mut Pass, x: &[f32], y: &mut [f32]) {
        let (together, [n_windows, len]) = (self.together(pass.n_rows), self.windows_of_row());
        let (weight, bias) = (&pass.params[self.weight.clone()], &pass.params[self.bias.clone()]);
        let weight = View::rows(weight, self.n_filters);
        let n_in = self.n_in();
        for (x, y) in x.chunks(together * n_in).zip(y.chunks_mut(together * self.n_out())) {
            let windows = &mut pass.scratch[..x.len() / n_in * n_windows * len];
            self.put_windows(x, windows);
            product::affine_view(pass.math, View::rows(windows, len), weight, Some(bias), y, self.n_filters);
        }
        self.activation.forward(y, self.n_filters, pass.cache);
    }

    fn backward(&self, pass: &mut Pass, x: &[f32], y: &[f32], dy: &mut [f32], mut dx: Option<&mut [f32]>) {
        self.activation.backward(y, dy, self.n_filters, pass.cache);
        let (together, [n_windows, len], n_in) = (self.together(pass.n_rows), self.windows_of_row(), self.n_in());
        let rows = x.chunks(together * n_in).zip(dy.chunks(together * self.n_out()));
        for (block, (x, deltas)) in rows.enumerate() {
            let windows = &mut pass.scratch[..x.len() / n_in * n_windows * len];
            self.put_windows(x, windows);
            product::add_weight_gradient(windows, len, deltas, &mut pass.grads[self.weight.clone()]);
            if let Some(dx) = &mut dx {
                product::input_gradient(deltas, self.n_filters, &pass.params[self.weight.clone()], windows);
                self.add_windows(windows, &mut dx[block * together * n_in..][..x.len()]);
            }
        }
        product::add_column_sums(dy, &mut pass.grads[self.bias.clone()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use crate::layer::{Counted, Sequence};

    const INPUT: Image = Image { height: 5, width: 4, channels: 2 };

    /// Name, window, activation.
    const CASES: [(&str, Window, Activation); 4] = [
        ("valid", Window { kernel: [2, 3], stride: [1, 1], padding: [0, 0] }, Activation::Tanh),
        ("same", Window { kernel: [3, 3], stride: [1, 1], padding: [1, 1] }, Activation::Gelu),
        ("strides", Window { kernel: [3, 2], stride: [2, 3], padding: [2, 1] }, Activation::Identity),
        ("whole", Window { kernel: [5, 4], stride: [1, 1], padding: [0, 0] }, Activation::Sigmoid),
    ];

    fn layer(window: Window, activation: Activation) -> (Conv2d, Params) {
        let mut params = Params::default();
        let layer = Conv2d::new(&mut params, &mut Rng::new(1), "conv", INPUT, 7, window, activation);
        (layer.expect("sizes are allowed"), params)
    }

    fn rows(n_rows: usize) -> Vec<f32> {
        check::sequences(&Sequence { n_steps: 20, n_features: 2, counted: Counted::All }, n_rows, 3)
    }

    #[test]
    fn equals_pytorch() {
        for (name, window, activation) in CASES {
            let (layer, params) = layer(window, activation);
            check::torch_case(&layer, &params, "conv2d", &format!("conv2d_{name}"));
        }
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        for (_, window, activation) in CASES {
            let (layer, params) = layer(window, activation);
            check::finite_differences_at(&layer, &params, &rows(5), true);
        }
    }

    #[test]
    fn scores_have_the_same_bits_everywhere() {
        for (_, window, activation) in CASES {
            let (layer, params) = layer(window, activation);
            check::same_bits_everywhere(&layer, &params, &rows(37));
        }
    }

    #[test]
    fn rejects_kernels_that_do_not_fit() {
        let plain = Window { kernel: [3, 3], stride: [1, 1], padding: [1, 1] };
        for (window, expected) in [
            (Window { kernel: [8, 3], ..plain }, "height of a kernel 8; allowed: 1 to 7"),
            (Window { kernel: [3, 0], ..plain }, "width of a kernel 0; allowed: 1 to 6"),
            (Window { stride: [0, 1], ..plain }, "stride in height 0; allowed: 1 to 65536"),
            (Window { padding: [1, 3], ..plain }, "padding in width 3; allowed: 0 to 2"),
        ] {
            let (params, rng) = (&mut Params::default(), &mut Rng::new(1));
            let made = Conv2d::new(params, rng, "conv", INPUT, 7, window, Activation::Relu);
            assert_eq!(made.expect_err("not allowed").to_string(), expected);
        }
    }
}
