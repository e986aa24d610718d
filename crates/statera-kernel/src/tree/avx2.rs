//! Bits of codes and values of leaves with AVX2: 32 codes or 8 whole leaves to a register.

use super::layout::{Layout, MAX_VECTOR_LEAVES, Program};
use super::sliced::{self, BITS_ROWS, Bits, Kernel, Marks, Slot, Sums};
use std::arch::x86_64::*;

/// [`sliced::test_codes`] at this level.
#[target_feature(enable = "avx2,fma")]
pub(super) fn test_codes<const V: usize>(layout: &Layout, codes: &[u8], stride: usize, slots: &mut [Slot<V>]) {
    // SAFETY: this function has the features.
    unsafe { sliced::test_codes::<Avx2, V>(layout, codes, stride, slots) }
}

/// [`sliced::add_tree`] at this level.
#[target_feature(enable = "avx2,fma")]
pub(super) fn add_tree<const V: usize>(layout: &Layout, program: &Program, slots: &mut [Slot<V>], sums: &mut Sums) {
    // SAFETY: this function has the features.
    unsafe { sliced::add_tree::<Avx2, V>(layout, program, slots, sums) }
}

struct Avx2;

impl Kernel for Avx2 {
    type Register = [__m256i; 2];

    #[inline(always)]
    unsafe fn load(bits: &Bits) -> [__m256i; 2] {
        // SAFETY: the caller promises the level.
        unsafe {
            let from = bits.0.as_ptr().cast::<__m256i>();
            [_mm256_load_si256(from), _mm256_load_si256(from.add(1))]
        }
    }

    #[inline(always)]
    unsafe fn store(register: [__m256i; 2], bits: &mut Bits) {
        // SAFETY: the caller promises the level.
        unsafe {
            let to = bits.0.as_mut_ptr().cast::<__m256i>();
            _mm256_store_si256(to, register[0]);
            _mm256_store_si256(to.add(1), register[1]);
        }
    }

    #[inline(always)]
    unsafe fn and(a: [__m256i; 2], b: [__m256i; 2]) -> [__m256i; 2] {
        // SAFETY: the caller promises the level.
        unsafe { [_mm256_and_si256(a[0], b[0]), _mm256_and_si256(a[1], b[1])] }
    }

    #[inline(always)]
    unsafe fn or(a: [__m256i; 2], b: [__m256i; 2]) -> [__m256i; 2] {
        // SAFETY: the caller promises the level.
        unsafe { [_mm256_or_si256(a[0], b[0]), _mm256_or_si256(a[1], b[1])] }
    }

    #[inline(always)]
    unsafe fn xor(a: [__m256i; 2], b: [__m256i; 2]) -> [__m256i; 2] {
        // SAFETY: the caller promises the level.
        unsafe { [_mm256_xor_si256(a[0], b[0]), _mm256_xor_si256(a[1], b[1])] }
    }

    #[inline(always)]
    unsafe fn select(mask: [__m256i; 2], a: [__m256i; 2], b: [__m256i; 2]) -> [__m256i; 2] {
        // SAFETY: the caller promises the level.
        unsafe { Self::xor(b, Self::and(mask, Self::xor(a, b))) }
    }

    #[inline(always)]
    unsafe fn splat(byte: u8) -> [__m256i; 2] {
        // SAFETY: the caller promises the level.
        unsafe { [_mm256_set1_epi8(byte as i8); 2] }
    }

    #[inline(always)]
    unsafe fn up<const N: u32>(a: [__m256i; 2]) -> [__m256i; 2] {
        // SAFETY: the caller promises the level.
        unsafe { a.map(|half| _mm256_sll_epi64(half, _mm_cvtsi32_si128(N as i32))) }
    }

    #[inline(always)]
    unsafe fn down<const N: u32>(a: [__m256i; 2]) -> [__m256i; 2] {
        // SAFETY: the caller promises the level.
        unsafe { a.map(|half| _mm256_srl_epi64(half, _mm_cvtsi32_si128(N as i32))) }
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
            let table: [__m256i; 4] = std::array::from_fn(|i| _mm256_loadu_si256(leaves.as_ptr().add(8 * i).cast()));
            // Those of eight leaves, chosen by bits 3 and 4.
            let value_of = |index: __m256i| {
                let [a, b, c, d] = table.map(|eight| _mm256_castsi256_ps(_mm256_permutevar8x32_epi32(eight, index)));
                let bit = |shifted: __m256i| _mm256_castsi256_ps(shifted);
                let (bit3, bit4) = (bit(_mm256_slli_epi32::<28>(index)), bit(_mm256_slli_epi32::<27>(index)));
                let value = _mm256_blendv_ps(_mm256_blendv_ps(a, b, bit3), _mm256_blendv_ps(c, d, bit3), bit4);
                _mm256_castps_si256(value)
            };
            for (marks, sums) in marks.iter().zip(sums.as_chunks_mut::<64>().0) {
                for (half, marks) in marks.0.as_chunks::<4>().0.iter().enumerate() {
                    let mut index = _mm256_loadu_si256(marks.as_ptr().cast());
                    for sums in sums.as_chunks_mut::<16>().0 {
                        let to = sums.as_mut_ptr().add(8 * half).cast();
                        _mm256_storeu_si256(to, _mm256_add_epi32(_mm256_loadu_si256(to), value_of(index)));
                        index = _mm256_srli_epi32::<8>(index);
                    }
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn add_real(leaves: &[f64; MAX_VECTOR_LEAVES], marks: &Marks, sums: &mut [f64; BITS_ROWS]) {
        for (marks, sums) in marks.iter().zip(sums.as_chunks_mut::<64>().0) {
            for (l, word) in marks.0.iter().enumerate() {
                for (r, mark) in word.to_le_bytes().into_iter().enumerate() {
                    sums[8 * r + l] += leaves[usize::from(mark) % MAX_VECTOR_LEAVES];
                }
            }
        }
    }
}

/// [`Kernel::code_bits`]; not inlined because the compiler would join the words of many calls with shuffles.
#[inline(never)]
#[target_feature(enable = "avx2")]
fn code_bits<const V: usize>(codes: &[u8; 64], planes: &mut [Slot<V>], at: usize) {
    // Bits that cross into another byte do not come to its upper end before the last bit is taken.
    let shift = _mm_cvtsi32_si128(8 - planes.len() as i32);
    // SAFETY: the array has two times 32 codes.
    let [low, high] = unsafe {
        let from = codes.as_ptr().cast::<__m256i>();
        [_mm256_loadu_si256(from), _mm256_loadu_si256(from.add(1))]
    };
    let (mut low, mut high) = (_mm256_sll_epi16(low, shift), _mm256_sll_epi16(high, shift));
    for plane in planes.iter_mut().rev() {
        let [low_bits, high_bits] = [low, high].map(|half| u64::from(_mm256_movemask_epi8(half) as u32));
        plane[at / 8].0[at % 8] = low_bits | high_bits << 32;
        (low, high) = (_mm256_add_epi8(low, low), _mm256_add_epi8(high, high));
    }
}
