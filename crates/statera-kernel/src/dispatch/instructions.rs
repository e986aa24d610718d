//! The instructions of each level, behind one trait.
//!
//! The types here are only named by `by_level!`, which runs them in functions compiled with their features on CPUs that
//! have them: that is the precondition of every intrinsic below, and why its methods are not for use elsewhere. Loops
//! in and around them are written out: a closure handed to the standard library may be compiled without the features.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// Numbers in a vector: one register of AVX-512, two of AVX2.
pub(crate) const LANES: usize = 8;

/// What a level's CPU does. All implementations give the same bits for all operands (but for the payload of a NaN).
pub(crate) trait Instructions: Copy {
    /// [`LANES`] numbers.
    type Vector: Copy;

    /// `a · b + c`, rounded once.
    fn mul_add(a: f64, b: f64, c: f64) -> f64;
    /// The same number in each lane.
    fn splat(x: f64) -> Self::Vector;
    /// The lanes of an array.
    fn load(x: &[f64; LANES]) -> Self::Vector;
    /// The array of the lanes.
    fn lanes(x: Self::Vector) -> [f64; LANES];
    /// `a + b` in each lane.
    fn add(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a · b` in each lane.
    fn mul(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a / b` in each lane.
    fn div(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a · b + c` in each lane, rounded once.
    fn fused(a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// The columns of eight rows of eight numbers; lane r of column k is `rows[r][k]`.
    fn columns(rows: [&[f32; LANES]; LANES]) -> [Self::Vector; LANES];
}

/// What every x86-64 CPU has, and other architectures; the compiler chooses the instructions.
#[derive(Clone, Copy)]
pub(crate) struct Sse2;

impl Instructions for Sse2 {
    type Vector = [f64; LANES];

    #[inline(always)]
    fn mul_add(a: f64, b: f64, c: f64) -> f64 {
        crate::math::fma_emulated(a, b, c)
    }
    #[inline(always)]
    fn splat(x: f64) -> Self::Vector {
        [x; LANES]
    }
    #[inline(always)]
    fn load(x: &[f64; LANES]) -> Self::Vector {
        *x
    }
    #[inline(always)]
    fn lanes(x: Self::Vector) -> [f64; LANES] {
        x
    }
    #[inline(always)]
    fn add(a: Self::Vector, b: Self::Vector) -> Self::Vector {
        std::array::from_fn(|l| a[l] + b[l])
    }
    #[inline(always)]
    fn mul(a: Self::Vector, b: Self::Vector) -> Self::Vector {
        std::array::from_fn(|l| a[l] * b[l])
    }
    #[inline(always)]
    fn div(a: Self::Vector, b: Self::Vector) -> Self::Vector {
        std::array::from_fn(|l| a[l] / b[l])
    }
    #[inline(always)]
    fn fused(a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector {
        std::array::from_fn(|l| Self::mul_add(a[l], b[l], c[l]))
    }
    #[inline(always)]
    fn columns(rows: [&[f32; LANES]; LANES]) -> [Self::Vector; LANES] {
        std::array::from_fn(|k| std::array::from_fn(|r| f64::from(rows[r][k])))
    }
}

/// AVX2 with fused multiply-add.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(crate) struct Avx2;

#[cfg(target_arch = "x86_64")]
impl Instructions for Avx2 {
    type Vector = [__m256d; 2];

    #[inline(always)]
    fn mul_add(a: f64, b: f64, c: f64) -> f64 {
        // In a function with the feature `fma` this is the instruction, not the C library's function.
        a.mul_add(b, c)
    }
    #[inline(always)]
    fn splat(x: f64) -> Self::Vector {
        // SAFETY: the CPU has AVX2, see the module.
        unsafe { [_mm256_set1_pd(x); 2] }
    }
    #[inline(always)]
    fn load(x: &[f64; LANES]) -> Self::Vector {
        // SAFETY: the CPU has AVX2, see the module; eight numbers are readable and need no alignment.
        unsafe { [_mm256_loadu_pd(x.as_ptr()), _mm256_loadu_pd(x.as_ptr().add(4))] }
    }
    #[inline(always)]
    fn lanes(x: Self::Vector) -> [f64; LANES] {
        let mut out = [0.0; LANES];
        // SAFETY: the CPU has AVX2, see the module; eight numbers are writable and need no alignment.
        unsafe {
            _mm256_storeu_pd(out.as_mut_ptr(), x[0]);
            _mm256_storeu_pd(out.as_mut_ptr().add(4), x[1]);
        }
        out
    }
    #[inline(always)]
    fn add(a: Self::Vector, b: Self::Vector) -> Self::Vector {
        // SAFETY: the CPU has AVX2, see the module.
        unsafe { [_mm256_add_pd(a[0], b[0]), _mm256_add_pd(a[1], b[1])] }
    }
    #[inline(always)]
    fn mul(a: Self::Vector, b: Self::Vector) -> Self::Vector {
        // SAFETY: the CPU has AVX2, see the module.
        unsafe { [_mm256_mul_pd(a[0], b[0]), _mm256_mul_pd(a[1], b[1])] }
    }
    #[inline(always)]
    fn div(a: Self::Vector, b: Self::Vector) -> Self::Vector {
        // SAFETY: the CPU has AVX2, see the module.
        unsafe { [_mm256_div_pd(a[0], b[0]), _mm256_div_pd(a[1], b[1])] }
    }
    #[inline(always)]
    fn fused(a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector {
        // SAFETY: the CPU has FMA, see the module.
        unsafe { [_mm256_fmadd_pd(a[0], b[0], c[0]), _mm256_fmadd_pd(a[1], b[1], c[1])] }
    }
    #[inline(always)]
    fn columns(rows: [&[f32; LANES]; LANES]) -> [Self::Vector; LANES] {
        let mut out = [Self::splat(0.0); LANES];
        // SAFETY: the CPU has AVX2, see the module.
        unsafe {
            let singles = transpose(rows);
            for k in 0..LANES {
                out[k][0] = _mm256_cvtps_pd(_mm256_castps256_ps128(singles[k]));
                out[k][1] = _mm256_cvtps_pd(_mm256_extractf128_ps::<1>(singles[k]));
            }
        }
        out
    }
}

/// AVX-512 F, BW, DQ and VL.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(crate) struct Avx512;

#[cfg(target_arch = "x86_64")]
impl Instructions for Avx512 {
    type Vector = __m512d;

    #[inline(always)]
    fn mul_add(a: f64, b: f64, c: f64) -> f64 {
        // In a function with the feature `fma` this is the instruction, not the C library's function.
        a.mul_add(b, c)
    }
    #[inline(always)]
    fn splat(x: f64) -> Self::Vector {
        // SAFETY: the CPU has AVX-512, see the module.
        unsafe { _mm512_set1_pd(x) }
    }
    #[inline(always)]
    fn load(x: &[f64; LANES]) -> Self::Vector {
        // SAFETY: the CPU has AVX-512, see the module; eight numbers are readable and need no alignment.
        unsafe { _mm512_loadu_pd(x.as_ptr()) }
    }
    #[inline(always)]
    fn lanes(x: Self::Vector) -> [f64; LANES] {
        let mut out = [0.0; LANES];
        // SAFETY: the CPU has AVX-512, see the module; eight numbers are writable and need no alignment.
        unsafe { _mm512_storeu_pd(out.as_mut_ptr(), x) };
        out
    }
    #[inline(always)]
    fn add(a: Self::Vector, b: Self::Vector) -> Self::Vector {
        // SAFETY: the CPU has AVX-512, see the module.
        unsafe { _mm512_add_pd(a, b) }
    }
    #[inline(always)]
    fn mul(a: Self::Vector, b: Self::Vector) -> Self::Vector {
        // SAFETY: the CPU has AVX-512, see the module.
        unsafe { _mm512_mul_pd(a, b) }
    }
    #[inline(always)]
    fn div(a: Self::Vector, b: Self::Vector) -> Self::Vector {
        // SAFETY: the CPU has AVX-512, see the module.
        unsafe { _mm512_div_pd(a, b) }
    }
    #[inline(always)]
    fn fused(a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector {
        // SAFETY: the CPU has AVX-512, see the module.
        unsafe { _mm512_fmadd_pd(a, b, c) }
    }
    #[inline(always)]
    fn columns(rows: [&[f32; LANES]; LANES]) -> [Self::Vector; LANES] {
        let mut out = [Self::splat(0.0); LANES];
        // SAFETY: the CPU has AVX-512 and so AVX2, see the module.
        unsafe {
            let singles = transpose(rows);
            for k in 0..LANES {
                out[k] = _mm512_cvtps_pd(singles[k]);
            }
        }
        out
    }
}

/// Transposes eight rows of eight numbers: pairs, then fours within each half, then the halves.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx2")]
fn transpose(rows: [&[f32; LANES]; LANES]) -> [__m256; LANES] {
    // Rows r and r + 4 share a register from the start: joining halves while loading spares eight shuffles.
    let join = |r: usize, half: usize| {
        // SAFETY: four numbers from 4 · half on are readable in each row and need no alignment.
        let (low, high) =
            unsafe { (_mm_loadu_ps(rows[r].as_ptr().add(4 * half)), _mm_loadu_ps(rows[r + 4].as_ptr().add(4 * half))) };
        _mm256_insertf128_ps::<1>(_mm256_castps128_ps256(low), high)
    };
    let fours = |half: usize| {
        let (a, b, c, d) = (join(0, half), join(1, half), join(2, half), join(3, half));
        let (ab_low, ab_high) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
        let (cd_low, cd_high) = (_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
        [
            _mm256_shuffle_ps::<0x44>(ab_low, cd_low),
            _mm256_shuffle_ps::<0xee>(ab_low, cd_low),
            _mm256_shuffle_ps::<0x44>(ab_high, cd_high),
            _mm256_shuffle_ps::<0xee>(ab_high, cd_high),
        ]
    };
    let ([c0, c1, c2, c3], [c4, c5, c6, c7]) = (fours(0), fours(1));
    [c0, c1, c2, c3, c4, c5, c6, c7]
}
