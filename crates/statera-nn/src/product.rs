//! Matrix products of layers. All matrices are row-major.

use crate::layer::Math;
use statera_kernel::dense::{self, Start};
use statera_kernel::elementwise;

pub use statera_kernel::dense::View;

/// Multiply-adds from which `gemm` is faster than `statera-kernel` in training.
const LARGE: usize = 1 << 23;

/// `out = left · right`, or `out += left · right` where `add`; rows of `out` are `out_stride` apart.
///
/// In [`Math::Score`] each element is one chain of fused multiply-adds over ascending k that starts at 0 (at the
/// element, where `add`).
///
/// # Panics
/// If the sizes do not fit together.
pub fn product(math: Math, left: View, right: View, add: bool, out: &mut [f32], out_stride: usize) {
    let (m, n, k) = (left.n_rows, right.n_cols, left.n_cols);
    if math == Math::Train && is_of_rows_and_vector(left, right, out_stride) {
        let out = &mut out[..m];
        if !add {
            out.fill(0.0);
        }
        return elementwise::add_row_products(&left.data[..m * k], &right.data[..k], out);
    }
    // Measured on 2 cores with AVX-512: gemm gains where a matrix outgrows the caches or the left one is transposed, and
    // loses where few rows meet a transposed right matrix.
    let few = m <= 256 && left.col_stride == 1;
    if math == Math::Score || m * n * k < LARGE || (few && right.col_stride != 1) {
        dense::product(left, right, if add { Start::Out } else { Start::Zero }, out, out_stride);
        return;
    }
    assert_eq!(k, right.n_rows, "columns of the left matrix are rows of the right one");
    assert!(left.fits() && right.fits(), "matrices lie within their data");
    assert!(out_stride >= n && (m - 1) * out_stride + n <= out.len(), "the product fits into out");
    // SAFETY: the asserts above state that every element that gemm reads or writes lies within the slices; none is empty.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            out_stride as isize,
            add,
            left.data.as_ptr(),
            left.col_stride as isize,
            left.row_stride as isize,
            right.data.as_ptr(),
            right.col_stride as isize,
            right.row_stride as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// True if the product is one of rows without gaps and one column without gaps, long enough for sums across a vector.
fn is_of_rows_and_vector(left: View, right: View, out_stride: usize) -> bool {
    let k = left.n_cols;
    let dense = left.col_stride == 1 && left.row_stride == k && right.row_stride == 1 && out_stride == 1;
    dense && right.n_cols == 1 && k >= 16 && left.n_rows > 0 && k == right.n_rows
}

/// `y = x W + b` for x of n × `n_in`, W of `n_in` × m, b of m (0 where absent), y of n × m. In [`Math::Score`] each
/// output is one chain of fused multiply-adds over ascending k that starts at the bias.
///
/// # Panics
/// If the sizes do not fit together.
pub fn affine(math: Math, x: &[f32], n_in: usize, w: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
    let n_out = w.len() / n_in.max(1);
    affine_view(math, View::rows(x, n_in), View::rows(w, n_out), bias, y, n_out);
}

/// [`affine`] of matrices with gaps; rows of `y` are `y_stride` apart.
///
/// # Panics
/// If the sizes do not fit together.
pub fn affine_view(math: Math, x: View, w: View, bias: Option<&[f32]>, y: &mut [f32], y_stride: usize) {
    match bias {
        Some(bias)
            if math == Math::Train
                && (x.n_rows * x.n_cols * w.n_cols >= LARGE || is_of_rows_and_vector(x, w, y_stride)) =>
        {
            y.chunks_mut(y_stride).take(x.n_rows).for_each(|row| row[..w.n_cols].copy_from_slice(bias));
            product(math, x, w, true, y, y_stride);
        }
        Some(bias) => dense::product(x, w, Start::Bias(bias), y, y_stride),
        None => product(math, x, w, false, y, y_stride),
    }
}

/// `dW += xᵀ dy` for x of n × `n_in` and dy of n × m.
///
/// # Panics
/// If the sizes do not fit together.
pub fn add_weight_gradient(x: &[f32], n_in: usize, dy: &[f32], dw: &mut [f32]) {
    let n_out = dw.len() / n_in.max(1);
    product(Math::Train, View::rows(x, n_in).transposed(), View::rows(dy, n_out), true, dw, n_out);
}

/// `dx = dy Wᵀ` for dy of n × `n_out` and W of n_in × `n_out`.
///
/// # Panics
/// If the sizes do not fit together.
pub fn input_gradient(dy: &[f32], n_out: usize, w: &[f32], dx: &mut [f32]) {
    let n_in = w.len() / n_out.max(1);
    product(Math::Train, View::rows(dy, n_out), View::rows(w, n_out).transposed(), false, dx, n_in);
}

/// Adds each row of `dy` to `sum`.
pub fn add_column_sums(dy: &[f32], sum: &mut [f32]) {
    elementwise::add_rows(dy, sum);
}
