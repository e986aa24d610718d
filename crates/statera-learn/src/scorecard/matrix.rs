//! The linear algebra of small regressions: Gram matrices, Cholesky factors, and what is solved with them. Matrices are
//! square, row by row.

/// Dot product in eight interleaved sums, which the compiler turns into vector instructions.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let (a8, b8) = (a.chunks_exact(8), b.chunks_exact(8));
    let tail: f64 = a8.remainder().iter().zip(b8.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a8.zip(b8) {
        for (s, (x, y)) in sums.iter_mut().zip(x.iter().zip(y)) {
            *s += x * y;
        }
    }
    sums.iter().sum::<f64>() + tail
}

/// Columns whose products with another are made together, so that the other is read once: the tables are larger than
/// the caches.
const TOGETHER: usize = 3;

/// Dot products of [`TOGETHER`] columns with `b`, each to the same bits as [`dot`].
fn dots(a: [&[f64]; TOGETHER], b: &[f64]) -> [f64; TOGETHER] {
    let mut sums = [[0.0; 8]; TOGETHER];
    let n8 = b.len() / 8 * 8;
    for (at, b8) in b[..n8].chunks_exact(8).enumerate() {
        for (sums, a) in sums.iter_mut().zip(a) {
            for (s, (x, y)) in sums.iter_mut().zip(a[8 * at..8 * at + 8].iter().zip(b8)) {
                *s += x * y;
            }
        }
    }
    std::array::from_fn(|k| {
        let tail: f64 = a[k][n8..].iter().zip(&b[n8..]).map(|(x, y)| x * y).sum();
        sums[k].iter().sum::<f64>() + tail
    })
}

/// `X' diag(weight) X` of `p` columns of `n` rows.
pub(super) fn weighted_gram(x: &[f64], n: usize, p: usize, weight: &[f64]) -> Vec<f64> {
    let column = |j: usize| &x[j * n..][..n];
    let mut gram = vec![0.0; p * p];
    let mut set = |i: usize, j: usize, value: f64| {
        gram[i * p + j] = value;
        gram[j * p + i] = value;
    };
    for first in (0..p).step_by(TOGETHER) {
        let end = (first + TOGETHER).min(p);
        let scaled: Vec<Vec<f64>> =
            (first..end).map(|i| column(i).iter().zip(weight).map(|(v, w)| v * w).collect()).collect();
        match &scaled[..] {
            [a, b, c] => {
                for j in 0..end {
                    for (k, value) in dots([a, b, c], column(j)).into_iter().enumerate().filter(|(k, _)| j <= first + k)
                    {
                        set(first + k, j, value);
                    }
                }
            }
            rest => {
                for (k, a) in rest.iter().enumerate() {
                    (0..=first + k).for_each(|j| set(first + k, j, dot(a, column(j))));
                }
            }
        }
    }
    gram
}

/// Lower triangular `L` with `L L' = a`, or `None` if `a` is not positive definite.
pub(super) fn cholesky(a: &[f64], p: usize) -> Option<Vec<f64>> {
    let mut l = vec![0.0; p * p];
    for i in 0..p {
        for j in 0..=i {
            let sum: f64 = (0..j).map(|k| l[i * p + k] * l[j * p + k]).sum();
            let rest = a[i * p + j] - sum;
            if i == j {
                if rest.is_nan() || rest <= 1e-14 * a[i * p + i] {
                    return None;
                }
                l[i * p + i] = rest.sqrt();
            } else {
                l[i * p + j] = rest / l[j * p + j];
            }
        }
    }
    Some(l)
}

/// `x` with `L L' x = b`.
pub(super) fn solve(l: &[f64], p: usize, b: &[f64]) -> Vec<f64> {
    let mut x = b.to_vec();
    for i in 0..p {
        let sum: f64 = (0..i).map(|k| l[i * p + k] * x[k]).sum();
        x[i] = (x[i] - sum) / l[i * p + i];
    }
    for i in (0..p).rev() {
        let sum: f64 = (i + 1..p).map(|k| l[k * p + i] * x[k]).sum();
        x[i] = (x[i] - sum) / l[i * p + i];
    }
    x
}

/// Inverse of `L L'`.
pub(super) fn inverse(l: &[f64], p: usize) -> Vec<f64> {
    let mut out = vec![0.0; p * p];
    for j in 0..p {
        let mut unit = vec![0.0; p];
        unit[j] = 1.0;
        for (i, v) in solve(l, p, &unit).into_iter().enumerate() {
            out[i * p + j] = v;
        }
    }
    out
}
