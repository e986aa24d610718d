//! Matrix products of layers. All matrices are row-major.

use crate::layer::Math;
use statera_kernel::elementwise;

/// A matrix in memory: element (i, j) is `data[i · row_stride + j · col_stride]`.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// The numbers.
    pub data: &'a [f32],
    /// Rows.
    pub n_rows: usize,
    /// Columns.
    pub n_cols: usize,
    /// Distance between rows.
    pub row_stride: usize,
    /// Distance between columns.
    pub col_stride: usize,
}

impl<'a> View<'a> {
    /// A row-major matrix with `n_cols` columns, without gaps.
    pub fn rows(data: &'a [f32], n_cols: usize) -> View<'a> {
        View { data, n_rows: data.len() / n_cols.max(1), n_cols, row_stride: n_cols, col_stride: 1 }
    }
    /// A part of a wider row-major matrix: `n_rows` rows of `n_cols` numbers, `row_stride` apart.
    pub fn strided(data: &'a [f32], n_rows: usize, n_cols: usize, row_stride: usize) -> View<'a> {
        View { data, n_rows, n_cols, row_stride, col_stride: 1 }
    }
    /// The transposed matrix.
    #[must_use]
    pub fn transposed(self) -> View<'a> {
        View {
            data: self.data,
            n_rows: self.n_cols,
            n_cols: self.n_rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
        }
    }
    /// True if every element lies in `data`.
    fn fits(&self) -> bool {
        let empty = self.n_rows == 0 || self.n_cols == 0;
        empty || (self.n_rows - 1) * self.row_stride + (self.n_cols - 1) * self.col_stride < self.data.len()
    }
}

/// `out = left · right`, or `out += left · right` where `add`; rows of `out` are `out_stride` apart.
///
/// In [`Math::Score`] each element is one chain of fused multiply-adds over ascending k that starts at 0 (at the
/// element, where `add`).
///
/// # Panics
/// If the sizes do not fit together.
pub fn product(math: Math, left: View, right: View, add: bool, out: &mut [f32], out_stride: usize) {
    let (m, n, k) = (left.n_rows, right.n_cols, left.n_cols);
    assert_eq!(k, right.n_rows, "columns of the left matrix are rows of the right one");
    assert!(left.fits() && right.fits(), "matrices lie within their data");
    assert!(out_stride >= n && (m == 0 || (m - 1) * out_stride + n <= out.len()), "the product fits into out");
    if m == 0 || n == 0 {
        return;
    }
    if math == Math::Score {
        for i in 0..m {
            for j in 0..n {
                let o = &mut out[i * out_stride + j];
                let mut sum = if add { *o } else { 0.0 };
                for l in 0..k {
                    let (a, b) =
                        (i * left.row_stride + l * left.col_stride, l * right.row_stride + j * right.col_stride);
                    sum = left.data[a].mul_add(right.data[b], sum);
                }
                *o = sum;
            }
        }
        return;
    }
    // SAFETY: the asserts above state that every element that gemm reads or writes lies within the slices.
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

/// `y = x W + b` for x of n × `n_in`, W of `n_in` × m, b of m (0 where absent), y of n × m. In [`Math::Score`] each
/// output is one chain of fused multiply-adds over ascending k that starts at the bias.
///
/// # Panics
/// If the sizes do not fit together.
pub fn affine(math: Math, x: &[f32], n_in: usize, w: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
    let n_out = w.len() / n_in.max(1);
    match bias {
        Some(bias) => y.chunks_exact_mut(n_out).for_each(|row| row.copy_from_slice(bias)),
        None => y.fill(0.0),
    }
    product(math, View::rows(x, n_in), View::rows(w, n_out), true, y, n_out);
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
