//! Bits of codes and values of leaves with AVX-512: 64 codes, 16 whole leaves or 8 others to a register.

use super::layout::{Layout, MAX_VECTOR_LEAVES, Program};
use super::sliced::{self, BITS_ROWS, Bits, Kernel, Marks, Slot, Sums};
use std::arch::x86_64::*;

/// [`sliced::test_codes`] at this level.
#[target_feature(enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl")]
pub(super) fn test_codes<const V: usize>(layout: &Layout, codes: &[u8], stride: usize, slots: &mut [Slot<V>]) {
    // SAFETY: this function has the features.
    unsafe { sliced::test_codes::<Avx512, V>(layout, codes, stride, slots) }
}

/// [`sliced::add_tree`] at this level.
#[target_feature(enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl")]
pub(super) fn add_tree<const V: usize>(layout: &Layout, program: &Program, slots: &mut [Slot<V>], sums: &mut Sums) {
    // SAFETY: this function has the features.
    unsafe { sliced::add_tree::<Avx512, V>(layout, program, slots, sums) }
}

struct Avx512;

impl Kernel for Avx512 {
    type Register = __m512i;

    #[inline(always)]
    unsafe fn load(bits: &Bits) -> __m512i {
        // SAFETY: the caller promises the level.
        unsafe { _mm512_load_si512(bits.0.as_ptr().cast()) }
    }

    #[inline(always)]
    unsafe fn store(register: __m512i, bits: &mut Bits) {
        // SAFETY: the caller promises the level.
        unsafe { _mm512_store_si512(bits.0.as_mut_ptr().cast(), register) }
    }

    #[inline(always)]
    unsafe fn and(a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: the caller promises the level.
        unsafe { _mm512_and_si512(a, b) }
    }

    #[inline(always)]
    unsafe fn or(a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: the caller promises the level.
        unsafe { _mm512_or_si512(a, b) }
    }

    #[inline(always)]
    unsafe fn xor(a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: the caller promises the level.
        unsafe { _mm512_xor_si512(a, b) }
    }

    #[inline(always)]
    unsafe fn select(mask: __m512i, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: the caller promises the level.
        unsafe { _mm512_ternarylogic_epi64::<0xCA>(mask, a, b) }
    }

    #[inline(always)]
    unsafe fn splat(byte: u8) -> __m512i {
        // SAFETY: the caller promises the level.
        unsafe { _mm512_set1_epi8(byte as i8) }
    }

    #[inline(always)]
    unsafe fn up<const N: u32>(a: __m512i) -> __m512i {
        // SAFETY: the caller promises the level.
        unsafe { _mm512_slli_epi64::<N>(a) }
    }

    #[inline(always)]
    unsafe fn down<const N: u32>(a: __m512i) -> __m512i {
        // SAFETY: the caller promises the level.
        unsafe { _mm512_srli_epi64::<N>(a) }
    }

    #[inline(always)]
    unsafe fn code_bits<const V: usize>(codes: &[u8; 64], planes: &mut [Slot<V>], at: usize) {
        // SAFETY: the caller promises the level.
        unsafe { code_bits(codes, planes, at) }
    }

    #[inline(always)]
    unsafe fn add_whole(leaves: &[i32; MAX_VECTOR_LEAVES], marks: &Marks, sums: &mut [i32; BITS_ROWS]) {
        // SAFETY: the table has 32 values, and each of 8 marks has 64 sums; the caller promises the level.
        unsafe {
            let table: [__m512i; 2] = std::array::from_fn(|i| _mm512_loadu_si512(leaves.as_ptr().add(16 * i).cast()));
            for (marks, sums) in marks.iter().zip(sums.as_chunks_mut::<64>().0) {
                let marks = _mm512_load_si512(marks.0.as_ptr().cast());
                // The permutation reads the lowest five bits.
                let indices = [
                    marks,
                    _mm512_srli_epi32::<8>(marks),
                    _mm512_srli_epi32::<16>(marks),
                    _mm512_srli_epi32::<24>(marks),
                ];
                for (index, sums) in indices.into_iter().zip(sums.as_chunks_mut::<16>().0) {
                    let value = _mm512_permutex2var_epi32(table[0], index, table[1]);
                    let sum = _mm512_add_epi32(_mm512_loadu_si512(sums.as_ptr().cast()), value);
                    _mm512_storeu_si512(sums.as_mut_ptr().cast(), sum);
                }
            }
        }
    }

    /// Number r of each eight marks is shifted to the low end of its 64 bits, where the permutation reads four bits; the
    /// fifth, which tells the half of the table, is first moved to the byte before, so that the same rotation brings it to
    /// the sign.
    #[inline(always)]
    unsafe fn add_real(leaves: &[f64; MAX_VECTOR_LEAVES], marks: &Marks, sums: &mut [f64; BITS_ROWS]) {
        // SAFETY: the table has 32 values, and each of 8 marks has 64 sums; the caller promises the level.
        unsafe {
            let table: [__m512d; 4] = std::array::from_fn(|i| _mm512_loadu_pd(leaves.as_ptr().add(8 * i)));
            for (marks, sums) in marks.iter().zip(sums.as_chunks_mut::<64>().0) {
                let marks = _mm512_load_si512(marks.0.as_ptr().cast());
                let halves = _mm512_ror_epi64::<8>(_mm512_slli_epi64::<3>(marks));
                // Bit 7 of each byte from `halves`, the others from `marks`.
                let mut index = _mm512_ternarylogic_epi64::<0xCA>(_mm512_set1_epi8(-128), halves, marks);
                for sums in sums.as_chunks_mut::<8>().0 {
                    let is_high = _mm512_movepi64_mask(index);
                    let low = _mm512_permutex2var_pd(table[0], index, table[1]);
                    let high = _mm512_permutex2var_pd(table[2], index, table[3]);
                    let value = _mm512_mask_blend_pd(is_high, low, high);
                    _mm512_storeu_pd(sums.as_mut_ptr(), _mm512_add_pd(_mm512_loadu_pd(sums.as_ptr()), value));
                    index = _mm512_ror_epi64::<8>(index);
                }
            }
        }
    }
}

/// [`Kernel::code_bits`]; not inlined because the compiler would join the words of many calls with shuffles.
#[inline(never)]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn code_bits<const V: usize>(codes: &[u8; 64], planes: &mut [Slot<V>], at: usize) {
    // Bits that cross into another byte do not come to its upper end before the last bit is taken.
    let shift = _mm_cvtsi32_si128(8 - planes.len() as i32);
    // SAFETY: the array has 64 codes.
    let mut codes = _mm512_sll_epi16(unsafe { _mm512_loadu_si512(codes.as_ptr().cast()) }, shift);
    for plane in planes.iter_mut().rev() {
        plane[at / 8].0[at % 8] = _mm512_movepi8_mask(codes);
        codes = _mm512_add_epi8(codes, codes);
    }
}
