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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::with_level;

    /// Numbers between −3 and 3 without a pattern.
    fn numbers(n: usize, seed: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 7919 + seed * 104_729) % 6007) as f32 / 1000.0 - 3.0).collect()
    }

    /// What all functions make of three rows of `n` units.
    fn run(n: usize) -> Vec<Vec<u32>> {
        let (mut gates, before) = (numbers(12 * n, 1), numbers(3 * n, 2));
        let [mut c, mut tanh_c, mut h] = [(); 3].map(|()| vec![0.0; 3 * n]);
        lstm(n, &mut gates, &before, &mut c, &mut tanh_c, &mut h);
        let (mut back, mut dc) = (gates.clone(), numbers(3 * n, 3));
        lstm_backward(n, &mut back, &before, &tanh_c, &numbers(3 * n, 4), &mut dc);
        let (mut gru_gates, mut gru_h) = (numbers(12 * n, 5), vec![0.0; 3 * n]);
        gru(n, &mut gru_gates, &before, &mut gru_h);
        let (mut gru_back, mut dh) = (gru_gates.clone(), numbers(3 * n, 6));
        gru_backward(n, &mut gru_back, &before, &mut dh);
        let all = [gates, c, tanh_c, h, back, dc, gru_gates, gru_h, gru_back, dh];
        all.map(|values| values.iter().map(|v| v.to_bits()).collect()).to_vec()
    }

    #[test]
    fn bits_are_the_same_at_every_level() {
        for n in [1, 15, 16, 17, 64] {
            let expected = with_level(Level::Baseline, || run(n));
            for level in Level::available() {
                assert_eq!(with_level(level, || run(n)), expected, "{n} units at {level:?}");
            }
        }
    }

    #[test]
    fn gates_are_those_of_the_equations() {
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let (mut gates, mut c, mut tanh_c, mut h) = ([0.5, -1.0, 2.0, 0.25], [0.0], [0.0], [0.0]);
        lstm(1, &mut gates, &[0.75], &mut c, &mut tanh_c, &mut h);
        let cell = sigmoid(-1.0) * 0.75 + sigmoid(0.5) * 2f64.tanh();
        assert!((f64::from(c[0]) - cell).abs() < 1e-6);
        assert!((f64::from(h[0]) - sigmoid(0.25) * cell.tanh()).abs() < 1e-6);
        let (mut gates, mut h) = ([0.5, -1.0, 2.0, 0.25], [0.0]);
        gru(1, &mut gates, &[0.75], &mut h);
        let new = (2.0 + sigmoid(0.5) * 0.25).tanh();
        assert!((f64::from(h[0]) - ((1.0 - sigmoid(-1.0)) * new + sigmoid(-1.0) * 0.75)).abs() < 1e-6);
    }
}
