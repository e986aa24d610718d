//! Loops of networks whose members share weight matrices and differ by scalings: one pass over memory each.
//!
//! A value of n rows and k members of d numbers is n × (k × d), row-major; scalings are k × d. Every operation is rounded
//! on its own and sums over rows run in their order: the bits are the same at every [`Level`].

use crate::dispatch::{Instructions, Level, by_level};

/// `out = x ⊙ scale`; x is n × (k × d), or n × d where `shared`, whose rows all members see.
///
/// # Panics
/// If the lengths do not fit together.
pub fn scale(x: &[f32], scale: &[f32], d: usize, shared: bool, out: &mut [f32]) {
    #[inline(always)]
    fn body<I: Instructions>(x: &[f32], scale: &[f32], d: usize, shared: bool, out: &mut [f32]) {
        let width = if shared { d } else { scale.len() };
        for (out, x) in out.chunks_exact_mut(scale.len()).zip(x.chunks_exact(width)) {
            for (m, (out, scale)) in out.chunks_exact_mut(d).zip(scale.chunks_exact(d)).enumerate() {
                let x = if shared { x } else { &x[m * d..][..d] };
                for ((o, x), s) in out.iter_mut().zip(x).zip(scale) {
                    *o = *x * *s;
                }
            }
        }
    }
    check(x.len(), scale.len(), d, shared, out.len());
    by_level!(Level::active(), body(x: &[f32], scale: &[f32], d: usize, shared: bool, out: &mut [f32]));
}

/// The backward pass of [`scale`]: `d_scale += Σ rows (dout ⊙ x)`, and `dx = dout ⊙ scale`, summed over the members
/// where `shared`; `dx` may be empty if nobody asks for it.
///
/// # Panics
/// If the lengths do not fit together.
pub fn scale_backward(
    x: &[f32],
    scale: &[f32],
    d: usize,
    shared: bool,
    dout: &[f32],
    d_scale: &mut [f32],
    dx: &mut [f32],
) {
    #[inline(always)]
    fn body<I: Instructions>(
        x: &[f32],
        scale: &[f32],
        d: usize,
        shared: bool,
        dout: &[f32],
        d_scale: &mut [f32],
        dx: &mut [f32],
    ) {
        let width = if shared { d } else { scale.len() };
        for (row, (dout, x)) in dout.chunks_exact(scale.len()).zip(x.chunks_exact(width)).enumerate() {
            let mut dx = if dx.is_empty() { &mut [][..] } else { &mut dx[row * width..][..width] };
            if shared {
                dx.fill(0.0);
            }
            let members = dout.chunks_exact(d).zip(scale.chunks_exact(d)).zip(d_scale.chunks_exact_mut(d));
            for (m, ((dout, scale), d_scale)) in members.enumerate() {
                let x = if shared { x } else { &x[m * d..][..d] };
                for ((ds, g), x) in d_scale.iter_mut().zip(dout).zip(x) {
                    *ds += *g * *x;
                }
                if dx.is_empty() {
                    continue;
                }
                if shared {
                    for ((dx, g), s) in dx.iter_mut().zip(dout).zip(scale) {
                        *dx += *g * *s;
                    }
                } else {
                    let (own, rest) = dx.split_at_mut(d);
                    for ((dx, g), s) in own.iter_mut().zip(dout).zip(scale) {
                        *dx = *g * *s;
                    }
                    dx = rest;
                }
            }
        }
    }
    check(x.len(), scale.len(), d, shared, dout.len());
    assert!(d_scale.len() == scale.len() && (dx.is_empty() || dx.len() == x.len()), "one gradient per number");
    by_level!(
        Level::active(),
        body(x: &[f32], scale: &[f32], d: usize, shared: bool, dout: &[f32], d_scale: &mut [f32], dx: &mut [f32])
    );
}

/// `y = max(z ⊙ scale + bias, 0)`, rows of z and y being as long as scale and bias.
///
/// # Panics
/// If the lengths do not fit together.
pub fn scale_bias_relu(z: &[f32], scale: &[f32], bias: &[f32], y: &mut [f32]) {
    #[inline(always)]
    fn body<I: Instructions>(z: &[f32], scale: &[f32], bias: &[f32], y: &mut [f32]) {
        for (y, z) in y.chunks_exact_mut(scale.len()).zip(z.chunks_exact(scale.len())) {
            for (((y, z), s), b) in y.iter_mut().zip(z).zip(scale).zip(bias) {
                let v = *z * *s + *b;
                *y = if v < 0.0 { 0.0 } else { v };
            }
        }
    }
    check(z.len(), scale.len(), scale.len(), false, y.len());
    assert_eq!(scale.len(), bias.len(), "one bias per scaling");
    by_level!(Level::active(), body(z: &[f32], scale: &[f32], bias: &[f32], y: &mut [f32]));
}

/// The backward pass of [`scale_bias_relu`], with δ = dy where y > 0, else 0: `d_scale += Σ rows (δ ⊙ z)`,
/// `d_bias += Σ rows δ`, and `dy` becomes δ ⊙ scale, the gradient of z.
///
/// # Panics
/// If the lengths do not fit together.
pub fn scale_bias_relu_backward(
    z: &[f32],
    scale: &[f32],
    y: &[f32],
    dy: &mut [f32],
    d_scale: &mut [f32],
    d_bias: &mut [f32],
) {
    #[inline(always)]
    fn body<I: Instructions>(
        z: &[f32],
        scale: &[f32],
        y: &[f32],
        dy: &mut [f32],
        d_scale: &mut [f32],
        d_bias: &mut [f32],
    ) {
        let width = scale.len();
        // A block of columns over all rows: its sums stay in the first-level cache.
        const BLOCK: usize = 512;
        for from in (0..width).step_by(BLOCK) {
            let len = BLOCK.min(width - from);
            let scale = &scale[from..][..len];
            let (d_scale, d_bias) = (&mut d_scale[from..][..len], &mut d_bias[from..][..len]);
            for row in 0..z.len() / width {
                let place = row * width + from;
                let (z, y, dy) = (&z[place..][..len], &y[place..][..len], &mut dy[place..][..len]);
                for i in 0..len {
                    let g = if y[i] > 0.0 { dy[i] } else { 0.0 };
                    d_scale[i] += g * z[i];
                    d_bias[i] += g;
                    dy[i] = g * scale[i];
                }
            }
        }
    }
    check(z.len(), scale.len(), scale.len(), false, y.len());
    let sums = d_scale.len() == scale.len() && d_bias.len() == scale.len();
    assert!(dy.len() == y.len() && sums, "one gradient per number");
    by_level!(
        Level::active(),
        body(z: &[f32], scale: &[f32], y: &[f32], dy: &mut [f32], d_scale: &mut [f32], d_bias: &mut [f32])
    );
}

/// States what the lengths must be.
fn check(x: usize, scale: usize, d: usize, shared: bool, out: usize) {
    assert!(d > 0 && scale > 0 && scale.is_multiple_of(d), "scalings are k × d");
    let rows = out / scale;
    assert!(out == rows * scale && x == rows * if shared { d } else { scale }, "values are n × k × d");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::with_level;

    #[test]
    fn two_members_of_two_numbers_by_hand_at_every_level() {
        let factors = [1.0, 2.0, 3.0, -4.0];
        for level in Level::available() {
            with_level(level, || {
                let mut out = [0.0; 8];
                scale(&[1.0, 2.0, 3.0, 4.0], &factors, 2, true, &mut out);
                assert_eq!(out, [1.0, 4.0, 3.0, -8.0, 3.0, 8.0, 9.0, -16.0]);
                let (mut sums, mut dx) = ([0.5, 0.0, 0.0, 0.0], [9.0; 4]);
                let dout = [1.0, 1.0, 2.0, 0.0, 1.0, 0.0, 0.0, 1.0];
                scale_backward(&[1.0, 2.0, 3.0, 4.0], &factors, 2, true, &dout, &mut sums, &mut dx);
                assert_eq!((sums, dx), ([4.5, 2.0, 2.0, 4.0], [7.0, 2.0, 1.0, -4.0]));
                let (mut sums, mut dx) = ([0.0; 4], [9.0; 4]);
                scale_backward(&[1.0, 2.0, 3.0, 4.0], &factors, 2, false, &[1.0; 4], &mut sums, &mut dx);
                assert_eq!((sums, dx), ([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, -4.0]));

                let (z, mut y) = ([1.0, -1.0, 2.0, 1.0], [9.0; 4]);
                scale_bias_relu(&z, &[2.0, 1.0], &[0.5, 0.5], &mut y);
                assert_eq!(y, [2.5, 0.0, 4.5, 1.5]);
                let (mut dy, mut d_scale, mut d_bias) = ([1.0, 1.0, 2.0, 3.0], [0.0; 2], [0.25; 2]);
                scale_bias_relu_backward(&z, &[2.0, 1.0], &y, &mut dy, &mut d_scale, &mut d_bias);
                assert_eq!((dy, d_scale, d_bias), ([2.0, 0.0, 4.0, 3.0], [5.0, 3.0], [3.25, 3.25]));
            });
        }
    }
}
