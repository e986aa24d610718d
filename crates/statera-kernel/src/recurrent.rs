//! The elementwise parts of recurrent cells: gates from their arguments, and gradients back through them.
//!
//! All matrices are row-major with a row per sequence; a row of gates holds the gates one after another, each of
//! `n_hidden` numbers. Operations are rounded one by one: a row has the same bits in any batch, at every [`Level`].

use crate::dispatch::{Instructions, Level, by_level};
use crate::lanes::{blocks, each, load, store};
use crate::math32::{sigmoid_of, tanh_of};

/// A step of long short-term memory: from the arguments of the gates i, f, g, o in `gates` (n × 4 `n_hidden`), which
/// are replaced by the gates, and the cells `c_before`: `c = f ⊙ c_before + i ⊙ g`, `tanh_c`, `h = o ⊙ tanh c` (each
/// n × `n_hidden`).
///
/// # Panics
/// If the sizes do not fit together.
pub fn lstm(n_hidden: usize, gates: &mut [f32], c_before: &[f32], c: &mut [f32], tanh_c: &mut [f32], h: &mut [f32]) {
    #[inline(always)]
    fn body<I: Instructions>(
        n: usize,
        gates: &mut [f32],
        c_before: &[f32],
        c: &mut [f32],
        tanh_c: &mut [f32],
        h: &mut [f32],
    ) {
        for (r, gates) in gates.chunks_exact_mut(4 * n).enumerate() {
            for (at, len) in blocks(n) {
                let i = load(gates, at, len);
                let i = each(|l| sigmoid_of(i[l]));
                let f = load(gates, n + at, len);
                let f = each(|l| sigmoid_of(f[l]));
                let g = load(gates, 2 * n + at, len);
                let g = each(|l| tanh_of(g[l]));
                let o = load(gates, 3 * n + at, len);
                let o = each(|l| sigmoid_of(o[l]));
                let before = load(c_before, r * n + at, len);
                let cell = each(|l| f[l] * before[l] + i[l] * g[l]);
                let tanh = each(|l| tanh_of(cell[l]));
                store(&i, gates, at, len);
                store(&f, gates, n + at, len);
                store(&g, gates, 2 * n + at, len);
                store(&o, gates, 3 * n + at, len);
                store(&cell, c, r * n + at, len);
                store(&tanh, tanh_c, r * n + at, len);
                store(&each(|l| o[l] * tanh[l]), h, r * n + at, len);
            }
        }
    }
    let len = gates.len() / 4;
    assert!(n_hidden > 0 && gates.len().is_multiple_of(4 * n_hidden), "whole rows of gates");
    assert!([c_before.len(), c.len(), tanh_c.len(), h.len()] == [len; 4], "as many cells as there are of each gate");
    let level = Level::active();
    by_level!(level, body(n_hidden: usize, gates: &mut [f32], c_before: &[f32], c: &mut [f32], tanh_c: &mut [f32], h: &mut [f32]));
}

/// Back through [`lstm`]: from the gates it left, its `c_before` and `tanh_c`, and the gradients `dh` and `dc` that reach
/// this step's h and c, replaces the gates by the gradients of their arguments and `dc` by the gradient of `c_before`.
///
/// # Panics
/// If the sizes do not fit together.
pub fn lstm_backward(n_hidden: usize, gates: &mut [f32], c_before: &[f32], tanh_c: &[f32], dh: &[f32], dc: &mut [f32]) {
    #[inline(always)]
    fn body<I: Instructions>(
        n: usize,
        gates: &mut [f32],
        c_before: &[f32],
        tanh_c: &[f32],
        dh: &[f32],
        dc: &mut [f32],
    ) {
        for (r, gates) in gates.chunks_exact_mut(4 * n).enumerate() {
            for (at, len) in blocks(n) {
                let (i, f) = (load(gates, at, len), load(gates, n + at, len));
                let (g, o) = (load(gates, 2 * n + at, len), load(gates, 3 * n + at, len));
                let (before, tanh) = (load(c_before, r * n + at, len), load(tanh_c, r * n + at, len));
                let (dh, dc_after) = (load(dh, r * n + at, len), load(dc, r * n + at, len));
                let d = each(|l| dc_after[l] + dh[l] * o[l] * (1.0 - tanh[l] * tanh[l]));
                store(&each(|l| d[l] * g[l] * (i[l] * (1.0 - i[l]))), gates, at, len);
                store(&each(|l| d[l] * before[l] * (f[l] * (1.0 - f[l]))), gates, n + at, len);
                store(&each(|l| d[l] * i[l] * (1.0 - g[l] * g[l])), gates, 2 * n + at, len);
                store(&each(|l| dh[l] * tanh[l] * (o[l] * (1.0 - o[l]))), gates, 3 * n + at, len);
                store(&each(|l| d[l] * f[l]), dc, r * n + at, len);
            }
        }
    }
    let len = gates.len() / 4;
    assert!(n_hidden > 0 && gates.len().is_multiple_of(4 * n_hidden), "whole rows of gates");
    assert!([c_before.len(), tanh_c.len(), dh.len(), dc.len()] == [len; 4], "as many cells as there are of each gate");
    let level = Level::active();
    by_level!(level, body(n_hidden: usize, gates: &mut [f32], c_before: &[f32], tanh_c: &[f32], dh: &[f32], dc: &mut [f32]));
}

/// A step of gated recurrent units: a row of `gates` (n × 4 `n_hidden`) holds the arguments of r and z, the input's part a
/// of n's argument and the state's part q. Writes `h = (1 − z) ⊙ n + z ⊙ h_before` with `n = tanh(a + r ⊙ q)`, and
/// replaces the arguments of r, z and n by them; q stays.
///
/// # Panics
/// If the sizes do not fit together.
pub fn gru(n_hidden: usize, gates: &mut [f32], h_before: &[f32], h: &mut [f32]) {
    #[inline(always)]
    fn body<I: Instructions>(n: usize, gates: &mut [f32], h_before: &[f32], h: &mut [f32]) {
        for (row, gates) in gates.chunks_exact_mut(4 * n).enumerate() {
            for (at, len) in blocks(n) {
                let r = load(gates, at, len);
                let r = each(|l| sigmoid_of(r[l]));
                let z = load(gates, n + at, len);
                let z = each(|l| sigmoid_of(z[l]));
                let (a, q) = (load(gates, 2 * n + at, len), load(gates, 3 * n + at, len));
                let new = each(|l| tanh_of(a[l] + r[l] * q[l]));
                let before = load(h_before, row * n + at, len);
                store(&r, gates, at, len);
                store(&z, gates, n + at, len);
                store(&new, gates, 2 * n + at, len);
                store(&each(|l| (1.0 - z[l]) * new[l] + z[l] * before[l]), h, row * n + at, len);
            }
        }
    }
    let len = gates.len() / 4;
    assert!(n_hidden > 0 && gates.len().is_multiple_of(4 * n_hidden), "whole rows of gates");
    assert!([h_before.len(), h.len()] == [len; 2], "as many states as there are of each gate");
    by_level!(Level::active(), body(n_hidden: usize, gates: &mut [f32], h_before: &[f32], h: &mut [f32]));
}

/// Back through [`gru`]: replaces r, z, n and q by the gradients of the arguments of r and z, of a and of q, and `dh`, the
/// gradient that reaches this step's h, by the part of `h_before`'s gradient that does not go through the gates.
///
/// # Panics
/// If the sizes do not fit together.
pub fn gru_backward(n_hidden: usize, gates: &mut [f32], h_before: &[f32], dh: &mut [f32]) {
    #[inline(always)]
    fn body<I: Instructions>(n: usize, gates: &mut [f32], h_before: &[f32], dh: &mut [f32]) {
        for (row, gates) in gates.chunks_exact_mut(4 * n).enumerate() {
            for (at, len) in blocks(n) {
                let (r, z) = (load(gates, at, len), load(gates, n + at, len));
                let (new, q) = (load(gates, 2 * n + at, len), load(gates, 3 * n + at, len));
                let (before, d) = (load(h_before, row * n + at, len), load(dh, row * n + at, len));
                let da = each(|l| d[l] * (1.0 - z[l]) * (1.0 - new[l] * new[l]));
                store(&each(|l| da[l] * q[l] * (r[l] * (1.0 - r[l]))), gates, at, len);
                store(&each(|l| d[l] * (before[l] - new[l]) * (z[l] * (1.0 - z[l]))), gates, n + at, len);
                store(&da, gates, 2 * n + at, len);
                store(&each(|l| da[l] * r[l]), gates, 3 * n + at, len);
                store(&each(|l| d[l] * z[l]), dh, row * n + at, len);
            }
        }
    }
    let len = gates.len() / 4;
    assert!(n_hidden > 0 && gates.len().is_multiple_of(4 * n_hidden), "whole rows of gates");
    assert!([h_before.len(), dh.len()] == [len; 2], "as many states as there are of each gate");
    by_level!(Level::active(), body(n_hidden: usize, gates: &mut [f32], h_before: &[f32], dh: &mut [f32]));
}
