//! 64 rows to a register.

use super::layout::{Flat, Layout, MAX_VECTOR_LEAVES, NO_SET, Run};
use super::{BLOCK_ROWS, GROUP_ROWS};
use std::arch::x86_64::*;

/// Adds a tree's leaves to the margins of `64 G` rows of a block, from row `start`. Several groups share the reading of
/// a test, and hide that each test of a group waits for the one before.
///
/// # Panics
/// If the rows are not within a block of margins and of every view.
#[target_feature(enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl")]
pub(super) fn add_tree<const G: usize>(
    layout: &Layout,
    flat: &Flat,
    leaves: &[f64; MAX_VECTOR_LEAVES],
    codes: &[u8],
    start: usize,
    margins: &mut [f64],
) {
    assert!(margins.len() == BLOCK_ROWS && start + G * GROUP_ROWS <= BLOCK_ROWS, "margins are a block");
    let mut marks = [_mm512_set1_epi8(flat.start as i8); G];
    for test in &layout.tests[flat.path.clone()] {
        let to = _mm512_set1_epi32(test.to as i32);
        let moves = moving::<G>(layout, test, codes, start);
        for (mark, moves) in marks.iter_mut().zip(moves) {
            *mark = _mm512_mask_mov_epi8(*mark, moves, to);
        }
    }
    for test in &layout.tests[flat.rest.clone()] {
        let (at, to) = (_mm512_set1_epi32(test.at as i32), _mm512_set1_epi32(test.to as i32));
        let moves = moving::<G>(layout, test, codes, start);
        for (mark, moves) in marks.iter_mut().zip(moves) {
            let moves = _mm512_mask_cmpeq_epi8_mask(moves, *mark, at);
            *mark = _mm512_mask_mov_epi8(*mark, moves, to);
        }
    }
    // SAFETY: the table has 32 values.
    let table: [__m512d; 4] = std::array::from_fn(|i| unsafe { _mm512_loadu_pd(leaves.as_ptr().add(8 * i)) });
    for (group, mark) in marks.into_iter().enumerate() {
        let margins = &mut margins[start + group * GROUP_ROWS..][..GROUP_ROWS];
        add_leaves(&table, mark, margins.first_chunk_mut().expect("a group of margins has 64 rows"));
    }
}

/// One bit per row whose code does not stay at the test's node.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn moving<const G: usize>(layout: &Layout, test: &super::layout::Test, codes: &[u8], start: usize) -> [u64; G] {
    let from = test.view as usize + start;
    assert!(from + G * GROUP_ROWS <= codes.len(), "codes are a block per view");
    // SAFETY: the group is within the codes (asserted above).
    let load = |group: usize| unsafe { _mm512_loadu_si512(codes.as_ptr().add(from + group * GROUP_ROWS).cast()) };
    if test.set == NO_SET {
        let limit = _mm512_set1_epi32(test.limit as i32);
        std::array::from_fn(|group| _mm512_cmpgt_epu8_mask(load(group), limit))
    } else {
        let runs = &layout.sets[test.set as usize];
        std::array::from_fn(|group| runs.iter().fold(u64::MAX, |outside, run| outside & outside_run(load(group), *run)))
    }
}

/// One bit per code that is not in the run.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn outside_run(codes: __m512i, run: Run) -> u64 {
    let distance = _mm512_sub_epi8(codes, _mm512_set1_epi8(run.first as i8));
    _mm512_cmpgt_epu8_mask(distance, _mm512_set1_epi8(run.span as i8))
}

/// Adds the leaf of each of 64 marks to its margin, which lies where [`super::place`] says: number j of each eight marks is
/// shifted to the low end of its 64 bits, where the permutation reads four bits; the fifth, which tells the half of the
/// table, is first moved to the byte before, so that the same rotation brings it to the sign.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq")]
fn add_leaves(table: &[__m512d; 4], marks: __m512i, margins: &mut [f64; GROUP_ROWS]) {
    let halves = _mm512_ror_epi64::<8>(_mm512_slli_epi64::<3>(marks));
    // Bit 7 of each byte from `halves`, the others from `marks`.
    let marks = _mm512_ternarylogic_epi64::<0xCA>(_mm512_set1_epi8(-128), halves, marks);
    // A macro, because the rotation is a constant.
    macro_rules! add {
        ($($j:literal)*) => {$({
            let index = _mm512_ror_epi64::<{ 8 * $j }>(marks);
            let is_high = _mm512_movepi64_mask(index);
            let low = _mm512_permutex2var_pd(table[0], index, table[1]);
            let high = _mm512_permutex2var_pd(table[2], index, table[3]);
            // SAFETY: 8 · $j + 8 is at most 64, the length of the margins.
            unsafe {
                let to = margins.as_mut_ptr().add(8 * $j);
                let value = _mm512_mask_blend_pd(is_high, low, high);
                _mm512_storeu_pd(to, _mm512_add_pd(_mm512_loadu_pd(to), value));
            }
        })*};
    }
    add!(0 1 2 3 4 5 6 7);
}
