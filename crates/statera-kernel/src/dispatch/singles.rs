//! Single-precision vectors of each level, behind one trait; the module `instructions` says when they may be used.

use super::instructions::Sse2;
#[cfg(target_arch = "x86_64")]
use super::instructions::{Avx2, Avx512};
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// Numbers in a vector: one register of AVX-512, two of AVX2.
pub(crate) const SINGLES: usize = 16;

/// What a level's CPU does in single precision. All implementations give the same bits for all operands (but for the
/// payload of a NaN).
pub(crate) trait Singles: Copy {
    /// [`SINGLES`] numbers.
    type Single: Copy;
    /// True with 32 registers, each of a whole vector.
    const WIDE: bool;

    /// The same number in each lane.
    fn splat(x: f32) -> Self::Single;
    /// `a · b + c` in each lane, rounded once.
    fn fused(a: Self::Single, b: Self::Single, c: Self::Single) -> Self::Single;
    /// The lanes at a place.
    ///
    /// # Safety
    /// [`SINGLES`] numbers are readable there.
    unsafe fn load(from: *const f32) -> Self::Single;
    /// Writes the lanes to a place.
    ///
    /// # Safety
    /// [`SINGLES`] numbers are writable there.
    unsafe fn store(x: Self::Single, to: *mut f32);
    /// The first `len` lanes at a place, the others 0; `len` is at most [`SINGLES`].
    ///
    /// # Safety
    /// `len` numbers are readable there.
    unsafe fn load_part(from: *const f32, len: usize) -> Self::Single;
    /// Writes the first `len` lanes to a place; `len` is at most [`SINGLES`].
    ///
    /// # Safety
    /// `len` numbers are writable there.
    unsafe fn store_part(x: Self::Single, to: *mut f32, len: usize);
    /// Transposes 8 × 8 numbers: `to[c · to_stride + r] = from[r · from_stride + c]`.
    ///
    /// # Safety
    /// Both squares lie within memory that is readable and writable, and do not overlap.
    unsafe fn transpose8(from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize);
}

/// `a · b + c` rounded once. The product is exact in double precision; the sum is rounded there to odd (a sum that lost
/// bits gets an odd last bit), after which rounding to single precision cannot fall on the wrong side of a tie.
pub(crate) fn fma_emulated(a: f32, b: f32, c: f32) -> f32 {
    let (p, c) = (f64::from(a) * f64::from(b), f64::from(c));
    let sum = p + c;
    let back = sum - p;
    let lost = (p - (sum - back)) + (c - back);
    let bits = sum.to_bits();
    if !sum.is_finite() || lost == 0.0 || bits & 1 == 1 {
        return sum as f32;
    }
    // The lost part points away from 0 if it has the sum's sign: the next odd number is above in size, else below.
    let away = (lost > 0.0) == (sum > 0.0);
    f64::from_bits(if away { bits + 1 } else { bits - 1 }) as f32
}

impl Singles for Sse2 {
    type Single = [f32; SINGLES];
    const WIDE: bool = false;

    #[inline(always)]
    fn splat(x: f32) -> Self::Single {
        [x; SINGLES]
    }
    #[inline(always)]
    fn fused(a: Self::Single, b: Self::Single, c: Self::Single) -> Self::Single {
        std::array::from_fn(|l| fma_emulated(a[l], b[l], c[l]))
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self::Single {
        // SAFETY: the caller's.
        unsafe { from.cast::<Self::Single>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(x: Self::Single, to: *mut f32) {
        // SAFETY: the caller's.
        unsafe { to.cast::<Self::Single>().write_unaligned(x) }
    }
    #[inline(always)]
    unsafe fn load_part(from: *const f32, len: usize) -> Self::Single {
        let mut out = [0.0; SINGLES];
        // SAFETY: the caller's; `out` has room for `len` numbers.
        unsafe { out.as_mut_ptr().copy_from_nonoverlapping(from, len.min(SINGLES)) };
        out
    }
    #[inline(always)]
    unsafe fn store_part(x: Self::Single, to: *mut f32, len: usize) {
        // SAFETY: the caller's; `x` has `len` numbers.
        unsafe { to.copy_from_nonoverlapping(x.as_ptr(), len.min(SINGLES)) };
    }
    #[inline(always)]
    unsafe fn transpose8(from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize) {
        for r in 0..8 {
            for c in 0..8 {
                // SAFETY: the caller's.
                unsafe { *to.add(c * to_stride + r) = *from.add(r * from_stride + c) };
            }
        }
    }
}

/// The first `len` of eight lanes.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx2")]
fn mask8(len: usize) -> __m256i {
    let len = _mm256_set1_epi32(len.min(8) as i32);
    _mm256_cmpgt_epi32(len, _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7))
}

#[cfg(target_arch = "x86_64")]
impl Singles for Avx2 {
    type Single = [__m256; 2];
    const WIDE: bool = false;

    #[inline(always)]
    fn splat(x: f32) -> Self::Single {
        // SAFETY: the CPU has AVX2, see the module.
        unsafe { [_mm256_set1_ps(x); 2] }
    }
    #[inline(always)]
    fn fused(a: Self::Single, b: Self::Single, c: Self::Single) -> Self::Single {
        // SAFETY: the CPU has FMA, see the module.
        unsafe { [_mm256_fmadd_ps(a[0], b[0], c[0]), _mm256_fmadd_ps(a[1], b[1], c[1])] }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self::Single {
        // SAFETY: the CPU has AVX2, see the module; the numbers are readable by the caller's promise.
        unsafe { [_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))] }
    }
    #[inline(always)]
    unsafe fn store(x: Self::Single, to: *mut f32) {
        // SAFETY: the CPU has AVX2, see the module; the numbers are writable by the caller's promise.
        unsafe {
            _mm256_storeu_ps(to, x[0]);
            _mm256_storeu_ps(to.add(8), x[1]);
        }
    }
    #[inline(always)]
    unsafe fn load_part(from: *const f32, len: usize) -> Self::Single {
        // SAFETY: the CPU has AVX2, see the module; lanes outside the mask are not read, and the second half's address
        // is only computed.
        unsafe {
            [
                _mm256_maskload_ps(from, mask8(len)),
                _mm256_maskload_ps(from.wrapping_add(8), mask8(len.saturating_sub(8))),
            ]
        }
    }
    #[inline(always)]
    unsafe fn store_part(x: Self::Single, to: *mut f32, len: usize) {
        // SAFETY: the CPU has AVX2, see the module; lanes outside the mask are not written.
        unsafe {
            _mm256_maskstore_ps(to, mask8(len), x[0]);
            _mm256_maskstore_ps(to.wrapping_add(8), mask8(len.saturating_sub(8)), x[1]);
        }
    }
    #[inline(always)]
    unsafe fn transpose8(from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize) {
        // SAFETY: the CPU has AVX2, see the module; the squares are the caller's.
        unsafe { transpose8_avx2(from, from_stride, to, to_stride) }
    }
}

/// Pairs, then fours within each half, then the halves.
///
/// # Safety
/// As [`Singles::transpose8`].
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn transpose8_avx2(from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize) {
    // Rows r and r + 4 share a register from the start: joining halves while loading spares eight shuffles.
    let join = |r: usize, half: usize| {
        // SAFETY: rows r and r + 4 of the square are readable.
        let (low, high) = unsafe {
            let at = |r: usize| from.add(r * from_stride + 4 * half);
            (_mm_loadu_ps(at(r)), _mm_loadu_ps(at(r + 4)))
        };
        _mm256_insertf128_ps::<1>(_mm256_castps128_ps256(low), high)
    };
    for half in 0..2 {
        let (a, b, c, d) = (join(0, half), join(1, half), join(2, half), join(3, half));
        let (ab_low, ab_high) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
        let (cd_low, cd_high) = (_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
        let columns = [
            _mm256_shuffle_ps::<0x44>(ab_low, cd_low),
            _mm256_shuffle_ps::<0xee>(ab_low, cd_low),
            _mm256_shuffle_ps::<0x44>(ab_high, cd_high),
            _mm256_shuffle_ps::<0xee>(ab_high, cd_high),
        ];
        for (c, column) in columns.into_iter().enumerate() {
            // SAFETY: row 4 · half + c of the written square is writable.
            unsafe { _mm256_storeu_ps(to.add((4 * half + c) * to_stride), column) };
        }
    }
}

#[cfg(target_arch = "x86_64")]
impl Singles for Avx512 {
    type Single = __m512;
    const WIDE: bool = true;

    #[inline(always)]
    fn splat(x: f32) -> Self::Single {
        // SAFETY: the CPU has AVX-512, see the module.
        unsafe { _mm512_set1_ps(x) }
    }
    #[inline(always)]
    fn fused(a: Self::Single, b: Self::Single, c: Self::Single) -> Self::Single {
        // SAFETY: the CPU has AVX-512, see the module.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self::Single {
        // SAFETY: the CPU has AVX-512, see the module; the numbers are readable by the caller's promise.
        unsafe { _mm512_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn store(x: Self::Single, to: *mut f32) {
        // SAFETY: the CPU has AVX-512, see the module; the numbers are writable by the caller's promise.
        unsafe { _mm512_storeu_ps(to, x) };
    }
    #[inline(always)]
    unsafe fn load_part(from: *const f32, len: usize) -> Self::Single {
        // SAFETY: the CPU has AVX-512, see the module; lanes outside the mask are not read.
        unsafe { _mm512_maskz_loadu_ps(first(len), from) }
    }
    #[inline(always)]
    unsafe fn store_part(x: Self::Single, to: *mut f32, len: usize) {
        // SAFETY: the CPU has AVX-512, see the module; lanes outside the mask are not written.
        unsafe { _mm512_mask_storeu_ps(to, first(len), x) };
    }
    #[inline(always)]
    unsafe fn transpose8(from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize) {
        // SAFETY: the CPU has AVX-512 and so AVX2, see the module; the squares are the caller's.
        unsafe { transpose8_avx2(from, from_stride, to, to_stride) }
    }
}

/// The first `len` of sixteen lanes.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn first(len: usize) -> __mmask16 {
    ((1u32 << len.min(SINGLES)) - 1) as __mmask16
}

#[cfg(test)]
mod tests {
    use super::fma_emulated;

    #[test]
    fn emulated_fused_multiply_add_rounds_once() {
        // A linear congruential generator: all kinds of exponents, near cancellation included.
        let mut state = 1u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 32) as u32
        };
        for i in 0..300_000 {
            let (a, b) = (f32::from_bits(next()), f32::from_bits(next()));
            let c = match i % 3 {
                0 => f32::from_bits(next()),
                1 => -(a * b),
                _ => f32::from_bits((a * b).to_bits() ^ (next() & 0x8000_0fff)),
            };
            let (ours, exact) = (fma_emulated(a, b, c), a.mul_add(b, c));
            assert!(ours.to_bits() == exact.to_bits() || (ours.is_nan() && exact.is_nan()), "{a:e} · {b:e} + {c:e}");
        }
        let tie = 1.0 + 2f32.powi(-12);
        assert_eq!(fma_emulated(tie, tie, -1.0), tie.mul_add(tie, -1.0));
    }
}
