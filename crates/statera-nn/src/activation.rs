//! Activations, each with its derivative.

use statera_kernel::{elementwise, math32};

/// A function applied to each output of a layer (softmax: to each row of outputs).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// x.
    #[default]
    Identity,
    /// max(x, 0); the derivative at 0 is 0.
    Relu,
    /// λ x above 0, λ α (eˣ − 1) below (Klambauer et al. 2017).
    Selu,
    /// x Φ(x) (Hendrycks and Gimpel 2016).
    Gelu,
    /// x σ(x).
    Silu,
    /// tanh x.
    Tanh,
    /// 1 / (1 + e⁻ˣ).
    Sigmoid,
    /// eˣ over the row's sum of them.
    Softmax,
}

impl Activation {
    /// All of them.
    pub const ALL: [Activation; 8] = [
        Activation::Identity,
        Activation::Relu,
        Activation::Selu,
        Activation::Gelu,
        Activation::Silu,
        Activation::Tanh,
        Activation::Sigmoid,
        Activation::Softmax,
    ];

    /// Its name in files.
    pub fn name(self) -> &'static str {
        match self {
            Activation::Identity => "identity",
            Activation::Relu => "relu",
            Activation::Selu => "selu",
            Activation::Gelu => "gelu",
            Activation::Silu => "silu",
            Activation::Tanh => "tanh",
            Activation::Sigmoid => "sigmoid",
            Activation::Softmax => "softmax",
        }
    }

    /// Floats kept from forward to backward for `len` values: x, where the derivative cannot be had from the output.
    pub fn cache_len(self, len: usize) -> usize {
        if matches!(self, Activation::Gelu | Activation::Silu) { len } else { 0 }
    }

    /// Replaces the values x of rows of `n_cols` by f(x).
    pub fn forward(self, x: &mut [f32], n_cols: usize, cache: &mut [f32]) {
        match self {
            Activation::Identity => {}
            Activation::Relu => math32::relu(x),
            Activation::Selu => math32::selu(x),
            Activation::Gelu => {
                cache[..x.len()].copy_from_slice(x);
                math32::gelu(x);
            }
            Activation::Silu => {
                cache[..x.len()].copy_from_slice(x);
                math32::silu(x);
            }
            Activation::Tanh => math32::tanh(x),
            Activation::Sigmoid => math32::sigmoid(x),
            Activation::Softmax => math32::softmax(x, n_cols),
        }
    }

    /// Multiplies the gradients `dy` by the derivative; `y` is the output. The cache is spent.
    pub fn backward(self, y: &[f32], dy: &mut [f32], n_cols: usize, cache: &mut [f32]) {
        match self {
            Activation::Identity => {}
            Activation::Relu => elementwise::relu_backward(y, dy),
            // Below 0, λ α eˣ = y + λ α.
            Activation::Selu => {
                scale(y, dy, |y| if y > 0.0 { math32::SELU_SCALE } else { y + math32::SELU_SCALE * math32::SELU_ALPHA })
            }
            Activation::Gelu => {
                let x = &mut cache[..dy.len()];
                math32::gelu_derivative(x);
                scale(x, dy, |d| d);
            }
            Activation::Silu => {
                let x = &mut cache[..dy.len()];
                math32::silu_derivative(x);
                scale(x, dy, |d| d);
            }
            Activation::Tanh => scale(y, dy, |y| 1.0 - y * y),
            Activation::Sigmoid => scale(y, dy, |y| y * (1.0 - y)),
            Activation::Softmax => {
                for (y, dy) in y.chunks_exact(n_cols).zip(dy.chunks_exact_mut(n_cols)) {
                    let mean = math32::sum_of_products(y, dy);
                    for (y, d) in y.iter().zip(dy) {
                        *d = y * (*d - mean);
                    }
                }
            }
        }
    }
}

/// Multiplies each gradient by the derivative at a value.
fn scale(values: &[f32], dy: &mut [f32], derivative: impl Fn(f32) -> f32) {
    for (v, d) in values.iter().zip(dy) {
        *d *= derivative(*v);
    }
}
